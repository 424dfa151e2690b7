//! Quick check whether a host accepts connections, for requests that a user waits for.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::select_ok;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use url::{Host, Url};

use super::guard::{AddressGuard, BlockedAddress, is_proxied};
use crate::registry::address::host_of;
use crate::registry::{Error, Result};

/// The addresses of a name, or why it was not resolved.
type ResolveResult = std::result::Result<Vec<SocketAddr>, Box<dyn std::error::Error + Send + Sync>>;

/// Connects to a host and closes the connection. Behind a proxy it does nothing, since the proxy connects.
///
/// # Errors
/// [`Error::Refused`] for an address that is not allowed; [`Error::Unreachable`] if the name does not resolve, or
/// nothing responds in time. A refused connection is no error here: the host exists, and the request will report it.
pub(in crate::registry) async fn dial(
    url: &Url,
    guard: &AddressGuard,
    is_direct: bool,
    within: Duration,
) -> Result<()> {
    guard.check(url)?;
    if !is_direct && is_proxied(url) {
        return Ok(());
    }
    let port = url.port_or_known_default().unwrap_or_default();
    let found = async {
        match url.host() {
            Some(Host::Domain(name)) => guard.resolve_allowed(name).await,
            Some(Host::Ipv4(ip)) => Ok(vec![SocketAddr::new(ip.into(), 0)]),
            Some(Host::Ipv6(ip)) => Ok(vec![SocketAddr::new(ip.into(), 0)]),
            None => Ok(Vec::new()),
        }
    };
    connect(&host_of(url), port, found, within).await
}

async fn connect(host: &str, port: u16, found: impl Future<Output = ResolveResult>, within: Duration) -> Result<()> {
    let (until, seconds) = (Instant::now() + within, within.as_secs_f64());
    let found = timeout_at(until, found).await.map_err(|_| {
        Error::Unreachable(format!(
            "no name server has resolved {host} within {seconds} seconds; check its spelling, and this machine's name \
             servers"
        ))
    })?;
    let mut addresses = found.map_err(|why| match why.downcast_ref::<BlockedAddress>() {
        Some(blocked) => Error::Refused(blocked.to_string()),
        None => Error::Unreachable(format!(
            "{host} cannot be reached: {why}; check the spelling of its name, and this machine's name servers"
        )),
    })?;
    addresses.iter_mut().for_each(|address| address.set_port(port));
    if addresses.is_empty() {
        return Err(Error::Unreachable(format!(
            "{host} cannot be reached: its name has no address; check its spelling"
        )));
    }
    let attempts = addresses.into_iter().map(|address| Box::pin(TcpStream::connect(address)));
    match timeout_at(until, select_ok(attempts)).await {
        Ok(_connected_or_refused) => Ok(()),
        Err(_) => Err(Error::Unreachable(format!(
            "{host} cannot be reached: no answer within {seconds} seconds; check host and port, that it is up, and \
             that no firewall drops the packets"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    const WITHIN: Duration = Duration::from_millis(200);

    async fn error(found: impl Future<Output = ResolveResult>) -> String {
        connect("registry.example.org:5000", 5000, found, WITHIN).await.unwrap_err().to_string()
    }

    #[tokio::test]
    async fn a_name_that_leads_nowhere_is_told() {
        let silent = error(std::future::pending()).await;
        assert!(
            silent.contains("no name server has resolved registry.example.org:5000 within 0.2 seconds"),
            "{silent}"
        );
        let unknown = error(async { Err(io::Error::other("no such name").into()) }).await;
        assert!(unknown.contains("cannot be reached: no such name; check the spelling"), "{unknown}");
        let empty = error(async { Ok(Vec::new()) }).await;
        assert!(empty.contains("no address"), "{empty}");
    }

    #[tokio::test]
    async fn one_address_that_answers_will_do() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        // Nothing listens at the first address.
        let found = async { Ok(vec!["127.0.0.2:0".parse().unwrap(), "127.0.0.1:0".parse().unwrap()]) };
        connect("localhost", port, found, WITHIN).await.unwrap();
        drop(listener);
        connect("localhost", port, async { Ok(vec!["127.0.0.1:0".parse().unwrap()]) }, WITHIN).await.unwrap();
    }
}
