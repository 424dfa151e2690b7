//! Registry clients, with correct and faulty registries.

mod content;
mod download;
mod guard;
mod kinds;
mod layout;
mod listing;
mod login;
mod pace;
mod ping;
mod proxy;
mod scopes;
mod tls;
mod transport;

use std::time::Duration;

use silo::catalog::RegistryKind;
use silo::registry::{
    PrivateNetworkPolicy, RegistryEndpoint, RegistryLimits, RegistrySource, RemoteHosts, TlsSettings,
};

use crate::support::fake_registry::FakeRegistry;

/// Generous limits for a busy machine; tests of limits set their own.
fn limits() -> RegistryLimits {
    RegistryLimits {
        concurrency: 4,
        connect_timeout: Duration::from_secs(20),
        request_timeout: Duration::from_secs(20),
        tries: 3,
        longest_wait: Duration::from_secs(2),
        pages: 20,
        pull_reserve: 0,
        layout_roots: Vec::new(),
        private: PrivateNetworkPolicy::default(),
    }
}

fn endpoint(url: &str, login: Option<(&str, &str)>) -> RegistryEndpoint {
    RegistryEndpoint {
        kind: RegistryKind::Distribution,
        org: String::new(),
        url: url.to_owned(),
        username: login.map(|(name, _)| name.to_owned()).unwrap_or_default(),
        password: login.map(|(_, password)| password.into()),
        tls: TlsSettings::default(),
    }
}

fn open(registry: &FakeRegistry) -> RegistrySource {
    RegistrySource::open(&endpoint(&registry.url(), None), &limits(), &RemoteHosts::default()).unwrap()
}

fn open_as(registry: &FakeRegistry, username: &str, password: &str) -> RegistrySource {
    RegistrySource::open(&endpoint(&registry.url(), Some((username, password))), &limits(), &RemoteHosts::default())
        .unwrap()
}

fn open_with(registry: &FakeRegistry, limits: &RegistryLimits) -> RegistrySource {
    RegistrySource::open(&endpoint(&registry.url(), None), limits, &RemoteHosts::default()).unwrap()
}

/// Asserts the variant of an error, and that its message contains all of these.
macro_rules! assert_fails {
    ($result:expr, $variant:ident, $($part:expr),+ $(,)?) => {
        match $result {
            Err(error @ silo::registry::Error::$variant(_)) => {
                let text = error.to_string();
                $(assert!(text.contains(AsRef::<str>::as_ref(&$part)), "'{}' is not in: {text}", $part);)+
            }
            other => panic!("expected {}, got {other:?}", stringify!($variant)),
        }
    };
}
use assert_fails;
