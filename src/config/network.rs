//! `[gateway]`, `[tls]`, and what `[download]` says of its proxy.

use std::path::PathBuf;

use url::Url;

use super::{Gateway, Proxy, ProxyChoice, Tls, reader::Section, sections::absolute};

pub(super) fn gateway(mut s: Section<'_>) -> Gateway {
    let gateway = Gateway { proxy: proxy(&mut s) };
    s.finish();
    gateway
}

pub(super) fn tls(mut s: Section<'_>) -> Tls {
    let tls = Tls { ca_file: s.text("ca_file", None, |text| absolute(text).map(Some)) };
    s.finish();
    tls
}

/// The proxy of a section.
pub(super) fn proxy(s: &mut Section<'_>) -> Proxy {
    let section = s.path().to_owned();
    let choice = s.text("proxy", None, |text| choice(text, &section).map(Some));
    let credentials_file = s.text("proxy_credentials_file", None, |text| {
        if text.is_empty() || text.contains('\0') {
            Err("must be the path of a file".to_owned())
        } else {
            Ok(Some(PathBuf::from(text)))
        }
    });
    let is_without_proxy = !s.has("proxy") || choice == Some(ProxyChoice::Direct);
    if credentials_file.is_some() && is_without_proxy {
        s.wrong("proxy_credentials_file", format!("is of use only beside {section}.proxy = \"http://HOST:PORT\""));
    }
    Proxy { choice, credentials_file }
}

/// The refusal does not repeat the text: it may hold a password.
fn choice(text: &str, section: &str) -> Result<ProxyChoice, String> {
    const ALLOWED: &str = "allowed: \"http://HOST:PORT\", \"https://HOST:PORT\", or \"none\"";
    if text == "none" {
        return Ok(ProxyChoice::Direct);
    }
    if text.contains('@') {
        return Err(format!(
            "holds a user name or a password; secrets are never written in this file: put USER:PASSWORD into a file of its \
             own, mode 0640, and name it in {section}.proxy_credentials_file"
        ));
    }
    let url = Url::parse(text).map_err(|e| format!("is not a URL ({e}); {ALLOWED}"))?;
    let wrong = match url.scheme() {
        "http" | "https" if !matches!(url.path(), "" | "/") => "has a path",
        "http" | "https" if url.query().is_some() || url.fragment().is_some() => "has a query or a fragment",
        "http" | "https" => return Ok(ProxyChoice::Url(url)),
        _ => "is neither http nor https",
    };
    Err(format!("{wrong}; {ALLOWED}"))
}
