//! What each kind of registry does otherwise than the distribution API, one file a kind: how repositories and tags are
//! listed, whether the listing carries digests, and what a new digest costs. The walk is common to all.
//!
//! A kind that has nothing of its own for a question answers it by the distribution API.

mod detect;
mod harbor;
mod pages;
mod quay;

use std::sync::Arc;

use super::address::Base;
use super::api::Api;
use super::distribution::{Distribution, login};
use super::transport::Transport;
use super::{Endpoint, Fetched, Limits, Listing, Look, Result, Tag};
use crate::catalog::RegistryKind;

pub(super) use detect::detect;

/// A registry over HTTP.
pub(super) struct Remote {
    kind: RegistryKind,
    /// The namespace, group or project to list; empty for all.
    org: String,
    /// The `/v2/` API.
    pub(super) distribution: Distribution,
    /// The kind's own interface.
    api: Api,
    /// What Quay's listings say of digests.
    plain: quay::Plain,
}

impl Remote {
    pub(super) fn open(endpoint: &Endpoint, limits: &Limits) -> Result<Self> {
        let base = Base::parse(&endpoint.url)?;
        let transport = Arc::new(Transport::new(limits, base.is_loopback()));
        let (api_login, endpoint) = match endpoint.kind {
            RegistryKind::Quay => quay::logins(endpoint)?,
            _ => (login(endpoint)?, endpoint.clone()),
        };
        let api = Api::new(Arc::clone(&transport), base.root(), api_login);
        let distribution = Distribution::open(&endpoint, base, transport)?;
        Ok(Self { kind: endpoint.kind, org: endpoint.org, distribution, api, plain: quay::Plain::default() })
    }

    pub(super) async fn ping(&self) -> Result<()> {
        match self.kind {
            RegistryKind::Harbor => harbor::ping(&self.api, &self.distribution, &self.org).await,
            RegistryKind::Quay => quay::ping(&self.api, &self.distribution, &self.org).await,
            _ => self.distribution.ping().await,
        }
    }

    pub(super) async fn repositories(&self) -> Result<Listing<String>> {
        match self.kind {
            RegistryKind::Harbor => harbor::repositories(&self.api, &self.org).await,
            RegistryKind::Quay => quay::repositories(&self.api, &self.distribution, &self.org).await,
            _ => self.distribution.repositories().await,
        }
    }

    pub(super) async fn tags(&self, repository: &str) -> Result<Listing<Tag>> {
        match self.kind {
            RegistryKind::Harbor => harbor::tags(&self.api, repository).await,
            RegistryKind::Quay => quay::tags(&self.api, &self.distribution, &self.plain, repository).await,
            _ => self.distribution.tags(repository).await,
        }
    }

    /// Where a tag that was never seen points to. Asked only where the listing carries no digests.
    pub(super) async fn look(&self, repository: &str, tag: &str) -> Result<Option<Look>> {
        self.distribution.look(repository, tag).await
    }

    /// What a digest holds, where the kind's own interface tells it for less than the manifest and the config cost.
    pub(super) async fn content(&self, repository: &str, digest: &str) -> Result<Option<Fetched>> {
        match self.kind {
            RegistryKind::Quay => quay::content(&self.api, &self.plain, repository, digest).await,
            _ => Ok(None),
        }
    }
}
