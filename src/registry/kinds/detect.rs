//! Which kind of registry answers at an address.

use super::super::address::Base;
use super::super::{Endpoint, Limits, Result};
use super::{docker_hub, ghcr};
use crate::catalog::RegistryKind;

/// See [`Source::detect`](super::super::Source::detect).
pub(in crate::registry) async fn detect(endpoint: &Endpoint, _limits: &Limits) -> Result<RegistryKind> {
    let host = Base::parse(&endpoint.url).map(|base| base.host()).unwrap_or_default();
    if docker_hub::is_here(&host) {
        return Ok(RegistryKind::DockerHub);
    }
    if ghcr::is_here(&host) {
        return Ok(RegistryKind::Ghcr);
    }
    let is_folder = endpoint.url.starts_with("file:") || endpoint.url.starts_with('/');
    Ok(if is_folder { RegistryKind::Layout } else { RegistryKind::Distribution })
}
