//! What each kind of registry does otherwise than the distribution API, one file a kind: how repositories and tags are
//! listed, whether the listing carries digests, and what a new digest costs. The walk is common to all.
//!
//! A kind that has nothing of its own for a question answers it by the distribution API.

mod acr;
mod artifact_registry;
mod artifactory;
mod container_yard;
mod detect;
mod digests;
mod ecr;
mod harbor;

use std::sync::Arc;

use super::address::Base;
use super::api::Api;
use super::distribution::{Distribution, login};
use super::transport::Transport;
use super::{Endpoint, Fetched, Limits, Listing, Look, Result, Tag};
use crate::catalog::RegistryKind;

pub(super) use detect::detect;

use artifactory::Artifactory;

/// A registry over HTTP.
pub(super) struct Remote {
    kind: RegistryKind,
    /// The namespace, group or project to list; empty for all.
    org: String,
    /// The `/v2/` API.
    pub(super) distribution: Arc<Distribution>,
    /// The registries of an Artifactory.
    artifactory: Option<Artifactory>,
    /// The kind's own interface.
    api: Api,
}

impl Remote {
    pub(super) fn open(endpoint: &Endpoint, limits: &Limits) -> Result<Self> {
        let base = Base::parse(&endpoint.url)?;
        let transport = Arc::new(Transport::new(limits, base.is_loopback()));
        let api = Api::new(Arc::clone(&transport), base.root(), login(endpoint)?);
        let artifactory = match endpoint.kind {
            RegistryKind::Artifactory => Some(Artifactory::open(endpoint, &base, Arc::clone(&transport))?),
            _ => None,
        };
        let distribution = Arc::new(Distribution::open(endpoint, base, transport)?);
        Ok(Self { kind: endpoint.kind, org: endpoint.org.clone(), distribution, artifactory, api })
    }

    /// The `/v2/` API that a repository is at, and its name there.
    pub(super) fn at<'a>(&self, repository: &'a str) -> Result<(Arc<Distribution>, &'a str)> {
        match &self.artifactory {
            Some(artifactory) => artifactory.at(repository),
            None => Ok((Arc::clone(&self.distribution), repository)),
        }
    }

    pub(super) async fn ping(&self) -> Result<()> {
        if let Some(artifactory) = &self.artifactory {
            return artifactory.ping(&self.api).await;
        }
        match self.kind {
            RegistryKind::Ecr => ecr::explain(self.distribution.ping().await),
            _ => self.distribution.ping().await,
        }
    }

    pub(super) async fn repositories(&self) -> Result<Listing<String>> {
        if let Some(artifactory) = &self.artifactory {
            return artifactory.repositories(&self.api).await;
        }
        match self.kind {
            RegistryKind::Acr => acr::repositories(&self.distribution).await,
            RegistryKind::ArtifactRegistry => artifact_registry::repositories(&self.distribution, &self.org).await,
            RegistryKind::ContainerYard => container_yard::repositories(&self.distribution, &self.api).await,
            RegistryKind::Ecr => ecr::explain(self.distribution.repositories().await),
            RegistryKind::Harbor => harbor::repositories(&self.api, &self.org).await,
            _ => self.distribution.repositories().await,
        }
    }

    pub(super) async fn tags(&self, repository: &str) -> Result<Listing<Tag>> {
        match self.kind {
            RegistryKind::Acr => acr::tags(&self.distribution, repository).await,
            RegistryKind::ArtifactRegistry => artifact_registry::tags(&self.distribution, repository).await,
            RegistryKind::Ecr => ecr::explain(self.distribution.tags(repository).await),
            RegistryKind::Harbor => harbor::tags(&self.api, repository).await,
            _ => {
                let (registry, name) = self.at(repository)?;
                registry.tags(name).await
            }
        }
    }

    /// The digest that a tag points to.
    pub(super) async fn digest(&self, repository: &str, tag: &str) -> Result<Option<String>> {
        let (registry, name) = self.at(repository)?;
        registry.digest(name, tag).await
    }

    /// Where a tag that was never seen points to. Asked only where the listing carries no digests.
    pub(super) async fn look(&self, repository: &str, tag: &str) -> Result<Option<Look>> {
        let (registry, name) = self.at(repository)?;
        registry.look(name, tag).await
    }

    /// What a digest holds, where the kind's own interface tells it for less than the manifest and the config cost.
    pub(super) async fn content(&self, _repository: &str, _digest: &str) -> Result<Option<Fetched>> {
        Ok(None)
    }
}
