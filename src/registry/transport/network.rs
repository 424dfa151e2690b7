//! Classes of network addresses, and the private ones that the configuration opens. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use ipnet::IpNet;

/// Class of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::registry) enum AddressClass {
    /// Publicly routable.
    Public,
    /// This machine, or a private network.
    Private,
    /// Never a registry: metadata services of clouds (which hand out keys), link-local, multicast and reserved
    /// addresses.
    Never,
}

/// Metadata and platform services at public addresses: Alibaba Cloud, Azure.
const SERVICES_V4: [Ipv4Addr; 2] = [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(168, 63, 129, 16)];

/// Not globally reachable or not meant for servers, by IANA's special-purpose address registry (RFC 6890).
const NEVER_V4: [(Ipv4Addr, u8); 9] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];
/// RFC 1918; loopback; carrier-grade NAT (RFC 6598); benchmark networks (RFC 2544), which some use as private ones.
const PRIVATE_V4: [(Ipv4Addr, u8); 6] = [
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
];

/// The class of an address, also of an IPv4 address embedded in IPv6.
pub(in crate::registry) fn reach(ip: IpAddr) -> AddressClass {
    match canonical(ip) {
        IpAddr::V4(ip) => reach_v4(ip),
        IpAddr::V6(ip) => reach_v6(ip),
    }
}

/// The embedded IPv4 address of an IPv6 address, if it has one; else the address itself.
pub(in crate::registry) fn canonical(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V6(v6) => embedded_ipv4(v6).map_or(ip, IpAddr::V4),
        IpAddr::V4(_) => ip,
    }
}

fn reach_v4(ip: Ipv4Addr) -> AddressClass {
    let within = |(network, bits): &(Ipv4Addr, u8)| (u32::from(ip) ^ u32::from(*network)) >> (32 - bits) == 0;
    if SERVICES_V4.contains(&ip) || NEVER_V4.iter().any(within) {
        AddressClass::Never
    } else if PRIVATE_V4.iter().any(within) {
        AddressClass::Private
    } else {
        AddressClass::Public
    }
}

fn reach_v6(ip: Ipv6Addr) -> AddressClass {
    match ip.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => AddressClass::Private,
        // Metadata services of Amazon and Google.
        [0xfd00, 0x0ec2, ..] | [0xfd20, 0x00ce, ..] => AddressClass::Never,
        [first, ..] if first & 0xfe00 == 0xfc00 => AddressClass::Private,
        // Teredo and other protocols (2001::/23), documentation (RFC 3849, RFC 9637).
        [0x2001, second, ..] if second < 0x0200 || second == 0x0db8 => AddressClass::Never,
        [0x3fff, second, ..] if second < 0x1000 => AddressClass::Never,
        // The only globally allocated unicast space (RFC 4291 §2.4).
        [first, ..] if first & 0xe000 == 0x2000 => AddressClass::Public,
        _ => AddressClass::Never,
    }
}

/// The embedded IPv4 address: mapped and compatible (RFC 4291), translated (RFC 2765), NAT64 (RFC 6052), 6to4 (RFC
/// 3056).
fn embedded_ipv4(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = ip.segments();
    let join = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match (a, b, c, d, e, f) {
        _ if ip.is_loopback() || ip.is_unspecified() => None,
        (0, 0, 0, 0, 0, 0 | 0xffff) | (0, 0, 0, 0, 0xffff, 0) | (0x64, 0xff9b, 0, 0, 0, 0) => Some(join(g, h)),
        (0x2002, ..) => Some(join(b, c)),
        _ => None,
    }
}

/// Private addresses that the configuration opens, beside those of the registries that an admin added.
#[derive(Clone, Debug)]
pub struct PrivateNetworkPolicy {
    /// `false`: no private address at all, not even a registry's own.
    allowed: bool,
    names: GlobSet,
    networks: Vec<IpNet>,
}

impl Default for PrivateNetworkPolicy {
    /// Only the addresses of added registries.
    fn default() -> Self {
        Self { allowed: true, names: GlobSet::empty(), networks: Vec::new() }
    }
}

impl PrivateNetworkPolicy {
    /// From `scan.allow_private` and `scan.private_hosts`: globs of host names, IP addresses, and networks such as
    /// `10.1.0.0/16`.
    ///
    /// # Errors
    /// The invalid entry, and why.
    pub fn new(allowed: bool, hosts: &[String]) -> std::result::Result<Self, String> {
        let (mut names, mut networks) = (GlobSetBuilder::new(), Vec::new());
        for host in hosts {
            let host = host.trim();
            if let Ok(network) = host.parse().or_else(|_| host.parse::<IpAddr>().map(IpNet::from)) {
                networks.push(network);
                continue;
            }
            let unusable = |why: &str| {
                format!(
                    "'{host}' is not a host ({why}); give a name such as minio.example.org or *.example.org, an \
                     address, or a network such as 10.1.0.0/16"
                )
            };
            if host.is_empty() || host.contains(['/', ':', '@']) {
                return Err(unusable("it must have no scheme, port or path"));
            }
            let glob = GlobBuilder::new(host).case_insensitive(true).build();
            names.add(glob.map_err(|why| unusable(&why.kind().to_string()))?);
        }
        let names = names.build().map_err(|why| why.to_string())?;
        Ok(Self { allowed, names, networks })
    }

    /// Whether private addresses are allowed at all.
    pub(in crate::registry) fn is_allowed(&self) -> bool {
        self.allowed
    }

    /// Whether an address is opened, by its host name or by itself.
    pub(in crate::registry) fn admits(&self, host: &str, ip: IpAddr) -> bool {
        let ip = canonical(ip);
        self.names.is_match(host) || self.networks.iter().any(|network| network.contains(&ip))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(ip: &str) -> AddressClass {
        reach(ip.parse().unwrap_or_else(|why| panic!("{ip}: {why}")))
    }

    #[test]
    fn what_no_registry_lives_at() {
        for ip in [
            "0.0.0.0",
            "0.1.2.3",
            "169.254.169.254",
            "169.254.0.1",
            "192.0.0.192",
            "192.0.2.1",
            "192.88.99.1",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "100.100.100.200",
            "168.63.129.16",
            "::",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
            "fd00:ec2::254",
            "fd00:ec2::23",
            "fd20:ce::254",
            "2001::1",
            "2001:10::1",
            "2001:20::1",
            "2001:db8::1",
            "3fff::1",
            "100::1",
            "5f00::1",
            "64:ff9b:1::a00:1",
            "::2:0:0:1",
            "4000::1",
        ] {
            assert_eq!(of(ip), AddressClass::Never, "{ip}");
        }
    }

    #[test]
    fn what_only_its_own_people_reach() {
        for ip in [
            "10.0.0.0",
            "10.255.255.255",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.0.9",
            "127.0.0.1",
            "127.255.255.254",
            "100.64.0.1",
            "100.127.255.255",
            "198.18.0.1",
            "198.19.255.255",
            "::1",
            "fc00::1",
            "fd12::1",
            "fdff::1",
        ] {
            assert_eq!(of(ip), AddressClass::Private, "{ip}");
        }
    }

    #[test]
    fn what_anybody_reaches() {
        for ip in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "168.63.129.17",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2001:200::1",
            "2606:4700::1111",
            "2a00::1",
            "3ffe::1",
        ] {
            assert_eq!(of(ip), AddressClass::Public, "{ip}");
        }
    }

    /// Every way to embed an IPv4 address in an IPv6 address.
    fn spellings(ip: Ipv4Addr) -> Vec<String> {
        let (high, low) = ((u32::from(ip) >> 16) as u16, u32::from(ip) as u16);
        let mut all = vec![
            format!("::ffff:{ip}"),
            format!("::ffff:{high:x}:{low:x}"),
            format!("0:0:0:0:0:FFFF:{high:X}:{low:X}"),
            format!("::ffff:0:{ip}"),
            format!("64:ff9b::{ip}"),
            format!("64:ff9b::{high:x}:{low:x}"),
            format!("2002:{high:x}:{low:x}::"),
            format!("2002:{high:x}:{low:x}::1"),
        ];
        // `::` and `::1` are no embedded IPv4 addresses.
        if !matches!(u32::from(ip), 0 | 1) {
            all.push(format!("::{ip}"));
        }
        all
    }

    proptest! {
        #[test]
        fn an_address_is_the_same_in_every_spelling(ip in any::<Ipv4Addr>()) {
            let plain = reach(IpAddr::V4(ip));
            for spelling in spellings(ip) {
                prop_assert_eq!(of(&spelling), plain, "{} as {}", ip, spelling);
            }
        }

        #[test]
        fn a_special_address_is_the_same_in_every_spelling(row in 0usize..15, host in any::<u32>()) {
            let (network, bits) = NEVER_V4.iter().chain(&PRIVATE_V4).nth(row).copied().unwrap();
            let ip = Ipv4Addr::from(u32::from(network) | (host >> bits));
            prop_assert_ne!(reach(IpAddr::V4(ip)), AddressClass::Public);
            for spelling in spellings(ip) {
                prop_assert_eq!(of(&spelling), reach(IpAddr::V4(ip)), "{} as {}", ip, spelling);
            }
        }

        #[test]
        fn any_entry_is_read_or_refused(text in "\\PC{0,40}") {
            _ = PrivateNetworkPolicy::new(true, &[text]);
        }
    }

    #[test]
    fn private_hosts_are_names_addresses_and_networks() {
        let own = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let private = PrivateNetworkPolicy::new(
            true,
            &own(&["*.corp.example", "Minio", "10.1.0.0/16", "fd12::/32", "192.168.7.7"]),
        )
        .unwrap();
        let admits = |host: &str, ip: &str| private.admits(host, ip.parse().unwrap());
        assert!(admits("s3.corp.example", "10.9.9.9") && admits("minio", "10.9.9.9"));
        assert!(admits("else", "10.1.2.3") && admits("else", "::ffff:10.1.2.3"), "by its network, in any spelling");
        assert!(admits("else", "fd12::9") && admits("else", "192.168.7.7"));
        assert!(!admits("corp.example.org", "10.9.9.9") && !admits("else", "10.2.0.1"));
        assert!(!admits("minio.example", "10.9.9.9"));
        for bad in ["", "http://minio", "minio:9000", "10.0.0.0/99", "a/b", "[a", "ada@minio"] {
            let why = PrivateNetworkPolicy::new(true, &own(&[bad])).unwrap_err();
            assert!(why.contains(&format!("'{bad}'")) && why.contains("10.1.0.0/16"), "{why}");
        }
    }
}
