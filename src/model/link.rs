//! A link to a file, which is a secret while it lives: whoever has it may read the file.

use std::fmt;

use url::Url;

use super::task::ParseError;

/// A download link. Its query carries a signature, so neither `Debug` nor `Display` ever shows it; only
/// [`SignedUrl::expose`] does, for the request itself and for the column that keeps a pending link.
#[derive(Clone, PartialEq, Eq)]
pub struct SignedUrl(Url);

impl SignedUrl {
    /// The longest link that is kept, in bytes. Signed links have a few hundred; with an STS token, two thousand.
    pub const MAX_BYTES: usize = 16 * 1024;

    /// Reads a link as a listing gives it. One without a scheme is taken as https, as the service's own samples
    /// have it. Which hosts and schemes may be reached is not decided here.
    ///
    /// # Errors
    /// When it is too long, cannot be parsed, has no host, or is neither http nor https. The text never holds the
    /// link's query.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let text = text.trim();
        if text.len() > Self::MAX_BYTES {
            return Err(ParseError::new(format!("the link has {} bytes, more than {}", text.len(), Self::MAX_BYTES)));
        }
        let parsed = if let Some(rest) = text.strip_prefix("//") {
            Url::parse(&format!("https://{rest}"))
        } else if text.contains("://") {
            Url::parse(text)
        } else {
            Url::parse(&format!("https://{text}"))
        };
        let url = parsed.map_err(|e| ParseError::new(format!("the link cannot be read: {e}")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(ParseError::new(format!("the link's scheme is {:?}, not http or https", url.scheme())));
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(ParseError::new("the link has no host"));
        }
        Ok(Self(url))
    }

    /// The whole link. For the request, and for nothing that is shown.
    #[must_use]
    pub const fn expose(&self) -> &Url {
        &self.0
    }

    /// The host and the port, by which a server that is down is known.
    #[must_use]
    pub fn host_and_port(&self) -> String {
        format!("{}:{}", self.host(), self.0.port_or_known_default().unwrap_or(0))
    }

    /// The host, for messages.
    #[must_use]
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or("")
    }
}

impl From<Url> for SignedUrl {
    fn from(url: Url) -> Self {
        Self(url)
    }
}

impl fmt::Display for SignedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.0.scheme(), self.host())?;
        if let Some(port) = self.0.port() {
            write!(f, ":{port}")?;
        }
        f.write_str(self.0.path())?;
        if self.0.query().is_some() { f.write_str("?[redacted]") } else { Ok(()) }
    }
}

impl fmt::Debug for SignedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignedUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_debug_nor_display_shows_the_signature() {
        let link =
            SignedUrl::parse("https://u:p@b.oss-cn-beijing.aliyuncs.com/a/b?Signature=MARK&Expires=1#MARK").unwrap();
        for shown in [format!("{link}"), format!("{link:?}"), format!("{link:#?}")] {
            assert!(!shown.contains("MARK") && !shown.contains("u:p"), "{shown}");
            assert!(shown.contains("b.oss-cn-beijing.aliyuncs.com/a/b"), "{shown}");
        }
        assert!(link.expose().as_str().contains("Signature=MARK"));
    }

    #[test]
    fn a_link_without_a_scheme_is_https() {
        for text in ["example.com/x?a=1", "//example.com/x?a=1", " https://example.com/x?a=1 "] {
            assert_eq!(SignedUrl::parse(text).unwrap().expose().as_str(), "https://example.com/x?a=1");
        }
        assert_eq!(SignedUrl::parse("http://example.com/x").unwrap().expose().scheme(), "http");
    }

    #[test]
    fn what_is_no_link_is_refused_without_being_repeated() {
        for text in ["", "ftp://example.com/x?MARK", "file:///etc/passwd", "https://", "https://[::1/x?MARK"] {
            let error = SignedUrl::parse(text).unwrap_err().to_string();
            assert!(!error.contains("MARK"), "{error}");
        }
    }
    #[test]
    fn a_link_of_sixteen_kibibytes_is_kept_and_a_longer_one_is_not() {
        let link = |bytes: usize| format!("https://a/{}", "x".repeat(bytes - "https://a/".len()));
        assert!(SignedUrl::parse(&link(16 * 1024)).is_ok());
        assert!(SignedUrl::parse(&link(16 * 1024 + 1)).is_err());
    }

    #[test]
    fn a_server_is_known_by_its_host_and_port() {
        let known = |text| SignedUrl::parse(text).unwrap().host_and_port();
        assert_eq!(known("https://a.example/x"), "a.example:443");
        assert_eq!(known("http://a.example/x"), "a.example:80");
        assert_eq!(known("http://[::1]:9000/x"), "[::1]:9000");
    }
}
