//! What the configuration says of the way: which proxy, and whose certificates beside those that the system knows.

use std::{
    fmt,
    fs::{self, File},
    io::{self, Read as _},
    path::Path,
};

use reqwest::Certificate;
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::{EgressError, proxy, resolver::ProxyHosts};

/// The largest file of certificates that is read, in bytes. That of a system, with every public authority, has 250 KiB.
const FILE_MAX_BYTES: u64 = 4 << 20;

/// The way to a proxy.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Via {
    /// The proxies of the environment.
    #[default]
    Environment,
    /// None.
    Direct,
    /// This one, for everything.
    Proxy {
        /// Without user name and password.
        url: Url,
        /// Those, where it wants them.
        login: Option<Login>,
    },
}

/// Whom a proxy lets through.
#[derive(Clone)]
pub struct Login {
    /// The user's name.
    pub user: String,
    /// Not to be shown.
    pub password: SecretString,
}

impl PartialEq for Login {
    fn eq(&self, other: &Self) -> bool {
        self.user == other.user && self.password.expose_secret() == other.password.expose_secret()
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login([redacted])")
    }
}

/// Authorities that are trusted beside those of the system.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Authorities(Vec<CertificateDer<'static>>);

impl Authorities {
    /// Reads a file of certificates in PEM.
    ///
    /// # Errors
    /// When it cannot be read, holds no certificate, or something that is none.
    pub fn load(path: &Path) -> Result<Self, EgressError> {
        let failed = |what: String| EgressError::Authorities { path: path.to_owned(), what };
        let bytes = read(path).map_err(|e| failed(format!("cannot be read: {e}")))?;
        let (mut found, mut store) = (Vec::new(), RootCertStore::empty());
        for (n, certificate) in CertificateDer::pem_slice_iter(&bytes).enumerate() {
            let broken = |e: String| failed(format!("is damaged at certificate {}: {e}", n + 1));
            let certificate = certificate.map_err(|e| broken(e.to_string()))?;
            store.add(certificate.clone()).map_err(|e| broken(e.to_string()))?;
            found.push(certificate);
        }
        if found.is_empty() {
            return Err(failed(
                "holds no certificate; it must hold them in PEM, -----BEGIN CERTIFICATE-----".to_owned(),
            ));
        }
        Ok(Self(found))
    }

    pub(super) fn certificates(&self) -> Result<Vec<Certificate>, reqwest::Error> {
        self.0.iter().map(|der| Certificate::from_der(der)).collect()
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    // Asked before it is opened, since opening a pipe waits for its writer.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_MAX_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("it has more than {FILE_MAX_BYTES} bytes")));
    }
    Ok(bytes)
}

/// The ways of both clients.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Network {
    /// For signed calls.
    pub gateway: Via,
    /// For files.
    pub download: Via,
    /// For both.
    pub authorities: Authorities,
}

/// Which of the two clients, to name its keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    Gateway,
    Download,
}

impl Network {
    pub(super) const fn via(&self, used: Use) -> &Via {
        match used {
            Use::Gateway => &self.gateway,
            Use::Download => &self.download,
        }
    }
}

impl Via {
    /// The names of the proxies, which are resolved without being judged.
    pub(super) fn hosts(&self) -> ProxyHosts {
        match self {
            Self::Environment => ProxyHosts::from_environment(),
            Self::Direct => ProxyHosts::none(),
            Self::Proxy { url, .. } => ProxyHosts::from_values(std::iter::once(url.to_string())),
        }
    }

    /// The proxy that a link goes through, without user name and password.
    pub(super) fn proxy_of(&self, link: &Url) -> Option<String> {
        match self {
            Self::Environment => proxy::of(link),
            Self::Direct => None,
            Self::Proxy { url, .. } => Some(url.as_str().trim_end_matches('/').to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixture(name: &str) -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tls").join(name)
    }

    #[test]
    fn authorities_are_read_from_pem_and_what_is_none_is_named_with_its_file() {
        crate::egress::install_crypto();
        assert_eq!(Authorities::load(&fixture("ca.pem")).unwrap().0.len(), 1);
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ca.pem");
        let good = fs::read_to_string(fixture("ca.pem")).unwrap();
        for (text, said) in [
            (String::new(), "holds no certificate"),
            (fs::read_to_string(fixture("server.key")).unwrap(), "holds no certificate"),
            (good.replace("-----END CERTIFICATE-----", ""), "is damaged at certificate 1"),
            (
                format!("{good}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
                "is damaged at certificate 2",
            ),
        ] {
            fs::write(&file, text).unwrap();
            let error = Authorities::load(&file).unwrap_err().to_string();
            assert!(
                error.contains(said) && error.contains(file.to_str().unwrap()) && error.contains("tls.ca_file"),
                "{error}"
            );
        }
        for path in [dir.path().to_owned(), dir.path().join("missing")] {
            assert!(Authorities::load(&path).unwrap_err().to_string().contains("cannot be read"), "{}", path.display());
        }
    }

    #[test]
    fn a_file_of_authorities_is_read_up_to_its_largest_size_and_not_beyond() {
        crate::egress::install_crypto();
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ca.pem");
        let mut text = fs::read(fixture("ca.pem")).unwrap();
        text.resize(usize::try_from(FILE_MAX_BYTES).unwrap(), b'\n');
        fs::write(&file, &text).unwrap();
        let authorities = Authorities::load(&file).unwrap();
        assert_eq!(authorities.certificates().unwrap().len(), 1);
        text.push(b'\n');
        fs::write(&file, text).unwrap();
        assert!(Authorities::load(&file).unwrap_err().to_string().contains("it has more than 4194304 bytes"));
    }

    #[test]
    fn a_login_is_another_when_either_of_its_parts_is() {
        let login = |user: &str, password: &str| Login { user: user.to_owned(), password: password.to_owned().into() };
        assert!(login("a", "b") == login("a", "b"));
        for other in [login("a", "c"), login("c", "b"), login("c", "c")] {
            assert!(login("a", "b") != other);
        }
    }

    #[test]
    fn the_name_of_a_configured_proxy_is_one_that_is_not_judged() {
        let via = Via::Proxy { url: Url::parse("http://proxy.example.com:3128").unwrap(), login: None };
        assert!(via.hosts().contains("proxy.example.com"));
        assert!(!Via::Direct.hosts().contains("proxy.example.com"));
    }

    #[test]
    fn a_login_is_not_shown() {
        let login = Login { user: "MARK".to_owned(), password: "MARK".to_owned().into() };
        let via = Via::Proxy { url: Url::parse("http://proxy:3128").unwrap(), login: Some(login) };
        let shown = format!("{via:?}");
        assert!(shown.contains("Login([redacted])") && !shown.contains("MARK"), "{shown}");
        assert_eq!(via.proxy_of(&Url::parse("https://x").unwrap()).as_deref(), Some("http://proxy:3128"));
    }
}
