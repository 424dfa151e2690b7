//! What each kind of registry does otherwise than the distribution API, and what it costs.

mod docker_hub;
mod ghcr;

use silo::catalog::RegistryKind;
use silo::registry::{Endpoint, Source};

use super::{assert_fails, limits};
use crate::support::fake_registry::FakeRegistry;

/// A registry of a kind, with an org and maybe a login.
fn endpoint(registry: &FakeRegistry, kind: RegistryKind, org: &str, login: Option<(&str, &str)>) -> Endpoint {
    Endpoint { kind, org: org.to_owned(), ..super::endpoint(&registry.url(), login) }
}

async fn detected(url: &str) -> RegistryKind {
    Source::detect(&super::endpoint(url, None), &limits()).await.unwrap()
}
