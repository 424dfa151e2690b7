//! What each kind of registry does otherwise than the distribution API, one file a kind: how repositories and tags are
//! listed, whether the listing carries digests, and what a new digest costs. The walk is common to all.
//!
//! A kind that has nothing of its own for a question answers it by the distribution API.

mod detect;
mod gitlab;
mod harbor;
mod zot;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::address::Base;
use super::api::Api;
use super::distribution::{Distribution, login};
use super::grammar::is_digest;
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
    /// The kind's own listing is not there, so that it is not asked for again.
    own_is_absent: AtomicBool,
}

impl Remote {
    pub(super) fn open(endpoint: &Endpoint, limits: &Limits) -> Result<Self> {
        let base = Base::parse(&endpoint.url)?;
        let transport = Arc::new(Transport::new(limits, base.is_loopback()));
        let authorization = match endpoint.kind {
            RegistryKind::GitLab => gitlab::authorization(endpoint)?,
            _ => login(endpoint)?,
        };
        let api = Api::new(Arc::clone(&transport), base.root(), authorization);
        let distribution = Distribution::open(endpoint, base, transport)?;
        let (kind, org) = (endpoint.kind, endpoint.org.clone());
        Ok(Self { kind, org, distribution, api, own_is_absent: AtomicBool::new(false) })
    }

    pub(super) async fn ping(&self) -> Result<()> {
        self.distribution.ping().await
    }

    pub(super) async fn repositories(&self) -> Result<Listing<String>> {
        match self.kind {
            RegistryKind::GitLab => gitlab::repositories(&self.api, &self.distribution, &self.org).await,
            RegistryKind::Harbor => harbor::repositories(&self.api, &self.org).await,
            RegistryKind::Zot => zot::repositories(&self.distribution, &self.own_is_absent).await,
            _ => self.distribution.repositories().await,
        }
    }

    pub(super) async fn tags(&self, repository: &str) -> Result<Listing<Tag>> {
        match self.kind {
            RegistryKind::GitLab => gitlab::tags(&self.distribution, &self.own_is_absent, repository).await,
            RegistryKind::Harbor => harbor::tags(&self.api, repository).await,
            RegistryKind::Zot => zot::tags(&self.distribution, &self.own_is_absent, repository).await,
            _ => self.distribution.tags(repository).await,
        }
    }

    /// Where a tag that was never seen points to. Asked only where the listing carries no digests.
    pub(super) async fn look(&self, repository: &str, tag: &str) -> Result<Option<Look>> {
        self.distribution.look(repository, tag).await
    }

    /// What a digest holds, where the kind's own interface tells it for less than the manifest and the config cost.
    pub(super) async fn content(&self, _repository: &str, _digest: &str) -> Result<Option<Fetched>> {
        Ok(None)
    }
}

/// Tags with the digests that a listing gave them; one that is none is left out, so that it is asked for.
fn tagged(names: Listing<String>, mut digests: HashMap<String, String>) -> Listing<Tag> {
    let tag = |name: String| {
        let digest = digests.remove(&name).filter(|digest| is_digest(digest));
        Tag { name, digest, content: None }
    };
    Listing { items: names.items.into_iter().map(tag).collect(), truncated: names.truncated }
}
