//! The internal endpoints of the object store: the same bucket under a name that only machines inside the cloud reach.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};
use url::{Host, Url};

/// Where these names lead: the cloud keeps its own services in the space that is otherwise for carriers.
const ADDRESSES: IpNet = IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(100, 64, 0, 0), 10));

/// The end of a region's name that makes its endpoint the internal one.
const INTERNAL: &str = "-internal";

/// The host of the same bucket at the internal endpoint of its region. None for what is no regional endpoint of the object
/// store (another host, one that is internal already, or acceleration, which has no inside), and for a link whose
/// signature covers its host.
pub(super) fn twin(url: &Url) -> Option<String> {
    let Some(Host::Domain(host)) = url.host() else { return None };
    let (bucket, endpoint) = split(host)?;
    if endpoint.ends_with(INTERNAL) || endpoint.starts_with("oss-accelerate") || signs_host(url) {
        return None;
    }
    let bucket = bucket.map_or_else(String::new, |bucket| format!("{bucket}."));
    Some(format!("{bucket}{endpoint}{INTERNAL}.aliyuncs.com"))
}

/// Whether a name is one of an internal endpoint, and an address one of those that they have.
pub(super) fn leads_to(host: &str, address: IpAddr) -> bool {
    split(host).is_some_and(|(_, endpoint)| endpoint.ends_with(INTERNAL)) && ADDRESSES.contains(&address)
}

/// The bucket, and `oss-REGION`, of `[BUCKET.]oss-REGION.aliyuncs.com`.
fn split(host: &str) -> Option<(Option<&str>, &str)> {
    let name = host.strip_suffix('.').unwrap_or(host).strip_suffix(".aliyuncs.com")?;
    let (bucket, endpoint) = name.split_once('.').map_or((None, name), |(bucket, rest)| (Some(bucket), rest));
    let region = endpoint.strip_prefix("oss-")?;
    let is_word = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    (is_word(region) && bucket.is_none_or(is_word)).then_some((bucket, endpoint))
}

/// Whether the signature of a link covers its host: version 4 when asked to, that of the S3 interface always. Others cover
/// bucket and object.
fn signs_host(url: &Url) -> bool {
    url.query_pairs().any(|(name, value)| {
        let name = name.to_ascii_lowercase();
        (name == "x-oss-additional-headers" || name == "x-amz-signedheaders")
            && value.split([';', ',']).any(|header| header.trim().eq_ignore_ascii_case("host"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn twin_of(link: &str) -> Option<String> {
        twin(&Url::parse(link).unwrap())
    }

    #[test]
    fn a_regional_endpoint_has_an_internal_twin_of_the_same_bucket() {
        for (host, expected) in [
            ("b.oss-cn-beijing.aliyuncs.com", "b.oss-cn-beijing-internal.aliyuncs.com"),
            ("B-1.OSS-cn-shanghai-finance-1.aliyuncs.com.", "b-1.oss-cn-shanghai-finance-1-internal.aliyuncs.com"),
            ("oss-ap-southeast-1.aliyuncs.com", "oss-ap-southeast-1-internal.aliyuncs.com"),
        ] {
            let link = format!("https://{host}/x?Expires=1&OSSAccessKeyId=a&Signature=b");
            assert_eq!(twin_of(&link).as_deref(), Some(expected), "{host}");
        }
    }

    #[test]
    fn what_is_no_regional_endpoint_has_none() {
        for host in [
            "b.oss-cn-beijing-internal.aliyuncs.com",
            "b.oss-accelerate.aliyuncs.com",
            "b.oss-accelerate-overseas.aliyuncs.com",
            "cdn.aliyuncs.com",
            "b.oss.aliyuncs.com",
            "b.oss-.aliyuncs.com",
            "a.b.oss-cn-beijing.aliyuncs.com",
            "b.oss-cn-beijing.aliyuncs.com.evil.example",
            "b.oss-cn-beijing.aliyuncs.example",
            "oss-cn-beijing.evil.aliyuncs.com.example",
            "b.xoss-cn-beijing.aliyuncs.com",
            "b.oss-cn_beijing.aliyuncs.com",
            "files.example.com",
            "100.64.0.1",
            "[::1]",
        ] {
            assert_eq!(twin_of(&format!("https://{host}/x")), None, "{host}");
        }
    }

    #[test]
    fn a_link_whose_signature_covers_its_host_keeps_it() {
        let v4 = "https://b.oss-cn-beijing.aliyuncs.com/x?x-oss-signature-version=OSS4-HMAC-SHA256&x-oss-signature=1";
        assert!(twin_of(v4).is_some());
        for signed in
            ["x-oss-additional-headers=host", "x-oss-additional-headers=date%3BHost", "X-Amz-SignedHeaders=host"]
        {
            assert_eq!(twin_of(&format!("{v4}&{signed}")), None, "{signed}");
        }
        for other in ["x-oss-additional-headers=range", "x-oss-additional-headers=x-host", "x=host"] {
            assert!(twin_of(&format!("{v4}&{other}")).is_some(), "{other}");
        }
    }

    #[test]
    fn only_internal_names_lead_to_internal_addresses() {
        let inside = ["100.64.0.1", "100.118.28.7", "100.127.255.254"];
        for host in ["b.oss-cn-beijing-internal.aliyuncs.com", "oss-cn-beijing-internal.aliyuncs.com"] {
            for address in inside {
                assert!(leads_to(host, address.parse().unwrap()), "{host} {address}");
            }
            for address in ["100.63.255.255", "100.128.0.1", "10.0.0.1", "127.0.0.1", "::1", "::ffff:100.64.0.1"] {
                assert!(!leads_to(host, address.parse().unwrap()), "{host} {address}");
            }
        }
        for host in ["b.oss-cn-beijing.aliyuncs.com", "x-internal.aliyuncs.com", "files.example.com", "100.64.0.1"] {
            assert!(!leads_to(host, inside[0].parse().unwrap()), "{host}");
        }
    }
}
