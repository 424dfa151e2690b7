//! Which network addresses are never dialled, whatever a registry, a redirect or a name server says.
//!
//! Private and loopback addresses are fine: an admin chose the registry, and most stand in private networks. What no
//! registry lives at is refused: link-local (with the metadata services of clouds, which hand out keys), "this
//! network", multicast and broadcast. Names are checked when they are resolved, so what is checked is what is dialled;
//! addresses written in URLs never reach a resolver and are checked by [`check`].

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use super::{Error, Result};

/// The metadata service of a cloud that is not link-local.
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254);
const METADATA_V4: Ipv4Addr = Ipv4Addr::new(100, 100, 100, 200);

/// Resolves names, and keeps back what must not be dialled.
pub(super) struct Guard;

/// A name all of whose addresses were kept back.
#[derive(Debug)]
pub(super) struct Blocked(String);

impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} has only addresses that are never used for registries (link-local, metadata, multicast)", self.0)
    }
}

impl std::error::Error for Blocked {}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let allowed: Vec<SocketAddr> = found.iter().copied().filter(|address| !is_blocked(address.ip())).collect();
            if allowed.is_empty() && !found.is_empty() {
                return Err(Blocked(name.as_str().to_owned()).into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// Refuses a URL whose host is written as an address that must not be dialled.
pub(super) fn check(url: &Url) -> Result<()> {
    let ip = match url.host() {
        Some(Host::Ipv4(ip)) => IpAddr::V4(ip),
        Some(Host::Ipv6(ip)) => IpAddr::V6(ip),
        Some(Host::Domain(_)) => return Ok(()),
        None => return Err(Error::Refused("an address without a host was refused".to_owned())),
    };
    if is_blocked(ip) {
        return Err(Error::Refused(format!(
            "{ip} is never used for registries (link-local, metadata, multicast); give the registry's own address"
        )));
    }
    Ok(())
}

fn is_blocked(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_blocked_v4(ip),
        IpAddr::V6(ip) => is_blocked_v6(ip),
    }
}

fn is_blocked_v4(ip: Ipv4Addr) -> bool {
    ip.octets()[0] == 0 || ip.is_link_local() || ip.is_multicast() || ip.is_broadcast() || ip == METADATA_V4
}

fn is_blocked_v6(ip: Ipv6Addr) -> bool {
    if ip.is_loopback() {
        return false;
    }
    ip.is_unspecified()
        || ip.is_unicast_link_local()
        || ip.is_multicast()
        || ip == METADATA_V6
        || embedded(ip).is_some_and(is_blocked_v4)
}

/// The IPv4 address inside an IPv6 one that leads to it: mapped and compatible (RFC 4291), NAT64 (RFC 6052), 6to4
/// (RFC 3056).
fn embedded(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = ip.segments();
    let join = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match (a, b, c, d, e, f) {
        (0, 0, 0, 0, 0, 0 | 0xffff) | (0x64, 0xff9b, 0, 0, 0, 0) => Some(join(g, h)),
        (0x2002, ..) => Some(join(b, c)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_and_nowhere_are_blocked_in_every_spelling() {
        for url in [
            "http://169.254.169.254/latest",
            "http://2852039166/",
            "http://0xa9.0xfe.0xa9.0xfe/",
            "http://0.0.0.0:5000/",
            "http://224.0.0.1/",
            "http://255.255.255.255/",
            "http://100.100.100.200/",
            "http://[::]/",
            "http://[fe80::1]/",
            "http://[febf::1]/",
            "http://[ff02::1]/",
            "http://[fd00:ec2::254]/",
            "http://[::ffff:169.254.169.254]/",
            "http://[::169.254.169.254]/",
            "http://[64:ff9b::a9fe:a9fe]/",
            "http://[2002:a9fe:a9fe::1]/",
        ] {
            assert!(matches!(check(&Url::parse(url).unwrap()), Err(Error::Refused(_))), "{url}");
        }
    }

    #[test]
    fn private_and_own_addresses_are_fine() {
        for url in [
            "http://127.0.0.1:5000/",
            "http://[::1]/",
            "http://10.1.2.3/",
            "http://192.168.0.9/",
            "http://[fd12::1]/",
            "https://registry.example.org/",
        ] {
            check(&Url::parse(url).unwrap()).unwrap();
        }
    }

    #[tokio::test]
    async fn a_name_is_checked_by_what_it_resolves_to() {
        let error = Guard.resolve("169.254.169.254".parse().unwrap()).await.err().expect("link-local");
        assert!(error.downcast_ref::<Blocked>().is_some(), "{error}");
        assert!(Guard.resolve("localhost".parse().unwrap()).await.unwrap().count() > 0);
    }
}
