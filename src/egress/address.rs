//! What kind of address an address is.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where clouds tell a machine its own secrets. Never reached by a download, whatever networks are allowed.
pub(super) const METADATA: [IpAddr; 10] = [
    // Alibaba Cloud
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    // nearly everyone else
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    // container credentials on AWS: tasks, then pods
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 23)),
    // Tencent Cloud
    IpAddr::V4(Ipv4Addr::new(169, 254, 0, 23)),
    // Oracle's older cloud
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    // Azure's agent endpoint: a public address by its number
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    // AWS over IPv6: instances, then pods
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23)),
    // Google over IPv6
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
];

/// The IPv4 address that an IPv6 address carries to its other end: mapped, compatible, NAT64 (both prefixes) and
/// 6to4. Teredo addresses carry two, of which the client's is returned.
pub(super) fn embedded_v4(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let s = ip.segments();
    let join = |high: u16, low: u16| Ipv4Addr::from_bits((u32::from(high) << 16) | u32::from(low));
    match s {
        // Compatible addresses, but for `::` and `::1`, which are addresses of their own.
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 || low > 1 => Some(join(high, low)),
        [0, 0, 0, 0, 0, 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x64, 0xff9b, 1, _, _, _, high, low] => Some(join(high, low)),
        [0x2002, high, low, ..] => Some(join(high, low)),
        [0x2001, 0, _, _, _, _, high, low] => Some(join(!high, !low)),
        _ => None,
    }
}

/// The address as the other end sees it: a mapped IPv6 address is its IPv4 address.
pub(super) fn canonical(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(ip, IpAddr::V4),
        IpAddr::V4(_) => ip,
    }
}

/// Whether this is one host on the public internet.
pub(super) fn is_global_unicast(ip: IpAddr) -> bool {
    match canonical(ip) {
        IpAddr::V4(v4) => v4_is_global(v4),
        IpAddr::V6(v6) => v6_is_global(v6),
    }
}

/// After the IANA special-purpose registry. Blocks that hold a few public services (192.0.0/24, 192.88.99/24) are
/// refused whole: no file lives there.
fn v4_is_global(ip: Ipv4Addr) -> bool {
    let special = match ip.octets() {
        // "this network", private, loopback; 224/4 multicast, 240/4 reserved, broadcast
        [0 | 10 | 127 | 224..=255, ..] => true,
        // carrier-grade NAT
        [100, b, ..] => b & 0xc0 == 64,
        // link-local, private
        [169, 254, ..] | [192, 168, ..] => true,
        [172, b, ..] => b & 0xf0 == 16,
        // protocol assignments, documentation, the old 6to4 relays
        [192, 0, 0 | 2, _] | [192, 88, 99, _] | [198, 51, 100, _] | [203, 0, 113, _] => true,
        // benchmarks
        [198, b, ..] => b & 0xfe == 18,
        _ => false,
    };
    !special
}

/// Only 2000::/3 is given out as global unicast; everything outside (unspecified, loopback, unique-local, link-local,
/// site-local, multicast, discard, local NAT64) is not. Of that, protocol assignments and documentation are not, and an
/// address that leads on to an IPv4 address is as public as that one.
fn v6_is_global(ip: Ipv6Addr) -> bool {
    match ip.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, ..] | [0x2002, ..] => embedded_v4(ip).is_some_and(v4_is_global),
        [0x2001, b, ..] if b < 0x200 || b == 0xdb8 => false,
        [0x3fff, b, ..] if b < 0x1000 => false,
        [a, ..] => a & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn public_addresses_are_global() {
        for text in [
            "1.1.1.1",
            "8.8.8.8",
            "47.95.0.1",
            "100.63.255.255",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "198.17.0.1",
            "198.20.0.1",
            "223.255.255.255",
            "2400:3200::1",
            "2606:4700::1111",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "2002:808:808::1",
            "2001:200::1",
            "3fff:1000::1",
        ] {
            assert!(is_global_unicast(ip(text)), "{text}");
        }
    }

    #[test]
    fn everything_else_is_not() {
        for text in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.255",
            "169.254.1.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.9",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.7",
            "224.0.0.1",
            "239.1.1.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::8.8.8.8",
            "::ffff:10.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:0:127.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::8.8.8.8",
            "100::1",
            "2001::1",
            "2001:10::1",
            "2001:db8::1",
            "2002:a00:1::1",
            "2002:7f00:1::1",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!is_global_unicast(ip(text)), "{text}");
        }
    }

    #[test]
    fn an_address_inside_an_address_is_found() {
        let v4 = Ipv4Addr::new(169, 254, 169, 254);
        for text in [
            "::ffff:169.254.169.254",
            "::ffff:0:169.254.169.254",
            "::169.254.169.254",
            "64:ff9b::169.254.169.254",
            "64:ff9b:1:2:3:4:169.254.169.254",
            "2002:a9fe:a9fe::1",
            "2001:0:1:2:3:4:5601:5601",
        ] {
            assert_eq!(embedded_v4(text.parse().unwrap()), Some(v4), "{text}");
        }
        assert_eq!(embedded_v4("::2".parse().unwrap()), Some(Ipv4Addr::new(0, 0, 0, 2)));
        for text in ["::", "::1", "2400::1", "fe80::a9fe:a9fe"] {
            assert_eq!(embedded_v4(text.parse().unwrap()), None, "{text}");
        }
    }
}
