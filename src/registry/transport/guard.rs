//! Decides which network addresses may be connected to, whatever a registry, a redirect or a name server says.
//!
//! Some addresses never are ([`AddressClass::Never`]). Private ones are allowed for the hosts of a registry that an admin
//! added, and for what the configuration opens ([`PrivateNetworkPolicy`]): a registry must not direct requests to other hosts of its
//! network. Host names are checked when they are resolved, so the checked address is the one connected to; IP addresses
//! in URLs never reach a resolver and are checked by [`AddressGuard::check`].
//!
//! Where the environment names a proxy, the proxy resolves names. Then the guard resolves the name too and refuses
//! addresses that are not allowed; names that only the proxy can resolve, or that change meanwhile, are left to the
//! proxy.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, LazyLock};

use hyper_util::client::proxy::matcher::Matcher;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use super::network::{AddressClass, PrivateNetworkPolicy, canonical, reach};
use crate::registry::{Error, Result};

/// Host names of clouds' metadata services, in case they resolve.
const METADATA: [&str; 6] = [
    "metadata",
    "metadata.google.internal",
    "metadata.goog",
    "metadata.azure.internal",
    "instance-data",
    "instance-data.ec2.internal",
];

/// Proxy settings of the environment, read as reqwest reads them.
static PROXIES: LazyLock<Matcher> = LazyLock::new(Matcher::from_system);

/// The guard of one registry's connections. Cheap to clone.
#[derive(Clone)]
pub(in crate::registry) struct AddressGuard(Arc<GuardRules>);

/// What a guard checks addresses against.
struct GuardRules {
    /// The registry's own hosts, normalized by [`plain`].
    own: Vec<String>,
    /// The registry is on this machine; all loopback addresses count as its own.
    on_loopback: bool,
    private: PrivateNetworkPolicy,
}

/// An address that was refused.
#[derive(Clone, Debug)]
pub(in crate::registry) struct BlockedAddress {
    host: String,
    ip: Option<IpAddr>,
    why: BlockReason,
}

/// Why an address was refused.
#[derive(Clone, Copy, Debug)]
enum BlockReason {
    Never,
    /// It is private, and private addresses are switched off.
    Off,
    /// It is private, and neither the registry's own nor opened by the configuration.
    Private,
}

impl fmt::Display for BlockedAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = &self.host;
        match self.ip.map(|ip| ip.to_string()).filter(|ip| ip != host) {
            Some(ip) => write!(f, "{host} ({ip})")?,
            None => write!(f, "{host}")?,
        }
        match self.why {
            BlockReason::Never => write!(
                f,
                " is never used for registries (metadata, link-local, multicast, reserved); give the registry's own address"
            ),
            BlockReason::Off => write!(
                f,
                " is in a private network, which this service does not use; set scan.allow_private to allow it"
            ),
            BlockReason::Private => write!(
                f,
                " is in a private network and is not the registry's own host, so no request is sent; if the registry \
                 should use it, add {host} to scan.private_hosts"
            ),
        }
    }
}

impl std::error::Error for BlockedAddress {}

impl AddressGuard {
    /// A guard for a registry with these own URLs.
    pub(in crate::registry) fn new<'a>(own: impl IntoIterator<Item = &'a Url>, private: &PrivateNetworkPolicy) -> Self {
        let own: Vec<String> = own.into_iter().filter_map(|url| Some(plain(&url.host()?))).collect();
        let on_loopback = own.iter().any(|host| is_loopback(host));
        Self(Arc::new(GuardRules { own, on_loopback, private: private.clone() }))
    }

    /// Refuses a URL whose host must not be connected to, as far as its text shows.
    pub(in crate::registry) fn check(&self, url: &Url) -> Result<()> {
        let Some(host) = url.host() else {
            return Err(Error::Refused("an address without a host was refused".to_owned()));
        };
        let name = plain(&host);
        let verdict = match host {
            Host::Ipv4(ip) => self.judge(&name, IpAddr::V4(ip)),
            Host::Ipv6(ip) => self.judge(&name, IpAddr::V6(ip)),
            // The proxy's own address may be private, since requests go through it; but it must not be used as a
            // registry.
            Host::Domain(_) if is_proxy(&name) && !self.is_own(&name) => {
                Err(BlockedAddress { host: name, ip: None, why: BlockReason::Private })
            }
            Host::Domain(_) => check_name(&name),
        };
        verdict.map_err(|blocked| Error::Refused(blocked.to_string()))
    }

    /// Refuses a URL that would be requested through a proxy, if its name resolves here to an address that is not
    /// allowed.
    pub(in crate::registry) async fn check_proxied(&self, url: &Url) -> Result<()> {
        let Some(Host::Domain(name)) = url.host() else { return Ok(()) };
        if is_proxied(url)
            && let Ok(mut found) = tokio::net::lookup_host((name, 0)).await
        {
            let name = plain(&Host::Domain(name));
            let verdict = found.try_for_each(|address| self.judge(&name, address.ip()));
            verdict.map_err(|blocked| Error::Refused(blocked.to_string()))?;
        }
        Ok(())
    }

    fn is_own(&self, host: &str) -> bool {
        self.0.own.iter().any(|own| own == host)
    }

    /// Checks one IP address of a host.
    fn judge(&self, host: &str, ip: IpAddr) -> std::result::Result<(), BlockedAddress> {
        let blocked = |why| Err(BlockedAddress { host: host.to_owned(), ip: Some(ip), why });
        match reach(ip) {
            AddressClass::Public => Ok(()),
            AddressClass::Never => blocked(BlockReason::Never),
            AddressClass::Private if !self.0.private.is_allowed() => blocked(BlockReason::Off),
            AddressClass::Private if self.is_own(host) || self.0.private.admits(host, ip) => Ok(()),
            AddressClass::Private if self.0.on_loopback && canonical(ip).is_loopback() => Ok(()),
            AddressClass::Private => blocked(BlockReason::Private),
        }
    }

    /// Resolves a name and returns its allowed addresses.
    ///
    /// # Errors
    /// The refusal if no address is allowed, or the resolver's error.
    pub(in crate::registry) async fn resolve_allowed(
        &self,
        name: &str,
    ) -> std::result::Result<Vec<SocketAddr>, Box<dyn std::error::Error + Send + Sync>> {
        let host = plain(&Host::Domain(name));
        check_name(&host)?;
        let found: Vec<SocketAddr> = tokio::net::lookup_host((name, 0)).await?.collect();
        if is_proxy(&host) && !self.is_own(&host) {
            return Ok(found);
        }
        let mut refusal = None;
        let mut is_allowed = |address: &SocketAddr| match self.judge(&host, address.ip()) {
            Ok(()) => true,
            Err(blocked) => {
                refusal = Some(blocked);
                false
            }
        };
        let allowed: Vec<SocketAddr> = found.into_iter().filter(|address| is_allowed(address)).collect();
        match refusal {
            Some(blocked) if allowed.is_empty() => Err(blocked.into()),
            _ => Ok(allowed),
        }
    }
}

impl Resolve for AddressGuard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let allowed = guard.resolve_allowed(name.as_str()).await?;
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

fn check_name(name: &str) -> std::result::Result<(), BlockedAddress> {
    if METADATA.contains(&name) {
        return Err(BlockedAddress { host: name.to_owned(), ip: None, why: BlockReason::Never });
    }
    Ok(())
}

/// Normalized spelling of a host.
fn plain<T: AsRef<str>>(host: &Host<T>) -> String {
    match host {
        Host::Domain(name) => name.as_ref().trim_end_matches('.').to_ascii_lowercase(),
        Host::Ipv4(ip) => ip.to_string(),
        Host::Ipv6(ip) => canonical(IpAddr::V6(*ip)).to_string(),
    }
}

/// Whether a host, normalized by [`plain`], is this machine.
fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

/// Whether this URL is requested through a proxy.
pub(in crate::registry) fn is_proxied(url: &Url) -> bool {
    url.as_str().parse().is_ok_and(|uri| PROXIES.intercept(&uri).is_some())
}

/// Whether a configured proxy has this host name, so that it is resolved for proxy connections too.
fn is_proxy(host: &str) -> bool {
    /// Reserved names (RFC 6761), which match no `NO_PROXY` entry.
    const SOMEWHERE: [&str; 2] = ["http://somewhere.invalid", "https://somewhere.invalid"];
    SOMEWHERE.iter().any(|uri| {
        let proxy = PROXIES.intercept(&http::Uri::from_static(uri));
        proxy.is_some_and(|proxy| proxy.uri().host().is_some_and(|name| name.eq_ignore_ascii_case(host)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(own: &str, private: PrivateNetworkPolicy) -> AddressGuard {
        AddressGuard::new([&Url::parse(own).unwrap()], &private)
    }

    #[track_caller]
    fn refused(guard: &AddressGuard, url: &str, part: &str) {
        match guard.check(&Url::parse(url).unwrap()) {
            Err(Error::Refused(why)) => assert!(why.contains(part), "{url}: {why}"),
            other => panic!("{url}: {other:?}"),
        }
    }

    #[test]
    fn metadata_and_nowhere_are_blocked_in_every_spelling() {
        // Even for a registry added at such an address, and with all private addresses opened.
        let open =
            PrivateNetworkPolicy::new(true, &["*".to_owned(), "0.0.0.0/0".to_owned(), "::/0".to_owned()]).unwrap();
        for url in [
            "http://169.254.169.254/latest",
            "http://2852039166/",
            "http://0xa9.0xfe.0xa9.0xfe/",
            "http://0251.0376.0251.0376/",
            "http://169.254.43518/",
            "http://0.0.0.0:5000/",
            "http://224.0.0.1/",
            "http://255.255.255.255/",
            "http://100.100.100.200/",
            "http://[::]/",
            "http://[fe80::1]/",
            "http://[fd00:ec2::254]/",
            "http://[::ffff:169.254.169.254]/",
            "http://[::169.254.169.254]/",
            "http://[64:ff9b::a9fe:a9fe]/",
            "http://[2002:a9fe:a9fe::1]/",
            "http://metadata.google.internal/",
            "http://METADATA.google.internal./",
        ] {
            refused(&guard(url, open.clone()), url, "never used for registries");
        }
    }

    #[test]
    fn private_addresses_are_for_the_registry_itself() {
        let (public, here) = ("https://registry.example.org", "http://10.1.2.3:5000");
        for url in
            ["http://10.1.2.3/", "http://127.0.0.1:5000/", "http://[::1]/", "http://[fd12::1]/", "http://2130706433"]
        {
            refused(&guard(public, PrivateNetworkPolicy::default()), url, "scan.private_hosts");
        }
        let check = |own: &str, url: &str| guard(own, PrivateNetworkPolicy::default()).check(&Url::parse(url).unwrap());
        for url in ["http://10.1.2.3/", "https://10.1.2.3:8443/", "http://[::ffff:10.1.2.3]/", "http://167838211/"] {
            check(here, url).unwrap();
        }
        refused(
            &guard(here, PrivateNetworkPolicy::default()),
            "http://10.1.2.4:5000/",
            "add 10.1.2.4 to scan.private_hosts",
        );
        refused(&guard(here, PrivateNetworkPolicy::default()), "http://127.0.0.1:5000/", "scan.private_hosts");
        check(public, "https://blobs.example.net/").unwrap();
        check(public, "https://1.1.1.1/").unwrap();
        // All loopback names and addresses count as one host.
        for own in ["http://localhost:5000", "http://127.0.0.1:5000", "http://[::1]:5000"] {
            for url in ["http://127.0.0.1/", "http://[::1]:99/", "http://127.8.8.8/", "http://localhost/"] {
                check(own, url).unwrap();
            }
        }
    }

    #[test]
    fn the_configuration_opens_and_closes() {
        let opened = PrivateNetworkPolicy::new(true, &["10.0.0.0/8".to_owned()]).unwrap();
        let opened = guard("https://registry.example.org", opened);
        opened.check(&Url::parse("http://[::ffff:10.9.9.9]/").unwrap()).unwrap();
        refused(&opened, "http://192.168.0.1/", "scan.private_hosts");
        let closed = PrivateNetworkPolicy::new(false, &["10.0.0.0/8".to_owned()]).unwrap();
        for url in ["http://10.1.2.3/", "http://127.0.0.1/"] {
            refused(&guard(url, closed.clone()), url, "scan.allow_private");
        }
    }

    #[tokio::test]
    async fn a_name_is_checked_by_what_it_resolves_to() {
        let resolve = async |own: &str, private: PrivateNetworkPolicy, name: &str| {
            let found = guard(own, private).resolve(name.parse().unwrap()).await;
            found.map(Iterator::count).map_err(|why| why.downcast::<BlockedAddress>().expect("a refusal").to_string())
        };
        let public = "https://registry.example.org";
        let error = resolve(public, PrivateNetworkPolicy::default(), "169.254.169.254").await.unwrap_err();
        assert!(error.contains("never used"), "{error}");
        let error = resolve(public, PrivateNetworkPolicy::default(), "localhost").await.unwrap_err();
        assert!(error.contains("localhost (") && error.contains("add localhost to scan.private_hosts"), "{error}");
        let error = resolve(public, PrivateNetworkPolicy::default(), "metadata.google.internal").await.unwrap_err();
        assert!(error.contains("never used"), "{error}");
        let error =
            resolve("http://localhost", PrivateNetworkPolicy::new(false, &[]).unwrap(), "localhost").await.unwrap_err();
        assert!(error.contains("scan.allow_private"), "{error}");
        assert!(resolve("http://localhost:5000", PrivateNetworkPolicy::default(), "localhost").await.unwrap() > 0);
        assert!(resolve("http://localhost:5000", PrivateNetworkPolicy::default(), "LOCALHOST").await.unwrap() > 0);
        assert!(
            resolve(public, PrivateNetworkPolicy::new(true, &["local*".to_owned()]).unwrap(), "localhost")
                .await
                .unwrap()
                > 0
        );
    }
}
