//! Which kind of registry answers at an address.

use super::super::{Endpoint, Limits, Result};
use crate::catalog::RegistryKind;

/// See [`Source::detect`](super::super::Source::detect).
pub(in crate::registry) async fn detect(endpoint: &Endpoint, _limits: &Limits) -> Result<RegistryKind> {
    let is_folder = endpoint.url.starts_with("file:") || endpoint.url.starts_with('/');
    Ok(if is_folder { RegistryKind::Layout } else { RegistryKind::Distribution })
}
