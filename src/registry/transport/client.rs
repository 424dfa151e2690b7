//! The only factory of outgoing HTTP clients; each checks addresses with the guard.

use std::sync::OnceLock;
use std::time::Duration;

use http::header::ACCEPT_ENCODING;
use http::{HeaderMap, HeaderValue};
use reqwest::Client;
use reqwest::dns::Resolve;
use url::{Origin, Url};

use super::guard::AddressGuard;
use super::root_cause;
use super::tls::{TlsMaterial, TlsSettings, install_tls};
use crate::registry::address::RegistryBaseUrl;
use crate::registry::{Error, RegistryLimits, Result};

/// The HTTP clients of one registry; refused addresses get none.
pub(in crate::registry) struct HttpClients {
    guard: AddressGuard,
    trust: TlsMaterial,
    /// The only origin that the client certificate is presented to.
    origin: Origin,
    /// Whether the registry is on this machine, so that no proxy is used.
    direct: bool,
    connect_timeout: Duration,
    most_idle: usize,
    /// Client for the registry's own origin, if there is a client certificate.
    own: OnceLock<Client>,
    /// Client for all other origins; for all origins if there is no client certificate.
    others: OnceLock<Client>,
}

impl HttpClients {
    /// For a registry whose `/v2/` API is at `base`, and its vendor API at `interface`.
    ///
    /// # Errors
    /// [`Error::Refused`] for invalid certificates.
    pub(in crate::registry) fn new(
        base: &RegistryBaseUrl,
        interface: &Url,
        tls: &TlsSettings,
        limits: &RegistryLimits,
    ) -> Result<Self> {
        let root = base.root();
        Ok(Self {
            guard: AddressGuard::new([&root, interface], &limits.private),
            trust: tls.read()?,
            origin: root.origin(),
            direct: base.is_loopback(),
            connect_timeout: limits.connect_timeout,
            most_idle: limits.concurrency,
            own: OnceLock::new(),
            others: OnceLock::new(),
        })
    }

    /// The client for a URL.
    ///
    /// # Errors
    /// [`Error::Refused`] for an address that is not allowed.
    pub(in crate::registry) async fn get(&self, url: &Url) -> Result<&Client> {
        self.guard.check(url)?;
        if !self.direct {
            self.guard.check_proxied(url).await?;
        }
        let shows_itself = self.trust.identity.is_some() && url.origin() == self.origin;
        let place = if shows_itself { &self.own } else { &self.others };
        if let Some(client) = place.get() {
            return Ok(client);
        }
        // Created at the first request: reading the system's certificates takes a while.
        let made = self.make(self.guard.clone(), shows_itself)?;
        Ok(place.get_or_init(|| made))
    }

    fn make(&self, resolver: impl Resolve + 'static, shows_itself: bool) -> Result<Client> {
        install_tls();
        let mut builder = Client::builder()
            .user_agent(concat!("silo/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(self.connect_timeout)
            .pool_max_idle_per_host(self.most_idle)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            // Asks for uncompressed bodies; compressed ones are decoded all the same, since some proxies compress
            // regardless.
            .default_headers(HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static("identity"))]))
            .tls_certs_merge(self.trust.roots.iter().cloned())
            .dns_resolver(resolver);
        if self.direct {
            builder = builder.no_proxy();
        }
        if let Some(identity) = self.trust.identity.clone().filter(|_| shows_itself) {
            builder = builder.identity(identity);
        }
        builder.build().map_err(|why| {
            Error::Tls(format!(
                "TLS cannot be used on this machine: {}; install its CA certificates (package ca-certificates)",
                root_cause(&why)
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use reqwest::dns::{Name, Resolving};

    use super::*;
    use crate::registry::transport::failure;
    use crate::registry::transport::tests::limits;

    /// Uses the guard's answer for this one name for every name; `None`: resolves nothing.
    struct Everything(AddressGuard, Option<&'static str>);

    impl Resolve for Everything {
        fn resolve(&self, _: Name) -> Resolving {
            match self.1.and_then(|name| name.parse().ok()) {
                Some(name) => self.0.resolve(name),
                None => Box::pin(async { Err(io::Error::other("no such name").into()) }),
            }
        }
    }

    #[tokio::test]
    async fn what_a_name_server_says_is_told_in_words() {
        for (name, part) in [
            (Some("169.254.169.254"), "never used for registries"),
            (Some("127.0.0.1"), "scan.private_hosts"),
            (None, "no such name"),
        ] {
            let base = RegistryBaseUrl::parse("http://registry.example.org").unwrap();
            let clients = HttpClients::new(&base, &base.root(), &TlsSettings::default(), &limits()).unwrap();
            let client = clients.make(Everything(clients.guard.clone(), name), false).unwrap();
            let error = client.get("http://registry.example.org/v2/").send().await.unwrap_err();
            let error = failure(&error, "registry.example.org");
            assert!(error.to_string().contains(part), "{error}");
            assert_eq!(matches!(error, Error::Refused(_)), name.is_some(), "{error:?}");
        }
    }
}
