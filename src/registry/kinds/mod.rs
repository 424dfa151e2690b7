//! What differs from the distribution API, one file a registry kind: how repositories and tags are listed, whether the
//! listing carries digests, and what a new digest costs. Scanning is the same for all.
//!
//! Where a kind has nothing of its own, the distribution API is used.

mod acr;
mod artifact_registry;
mod artifactory;
mod container_yard;
mod detect;
mod digests;
mod docker_hub;
mod ecr;
mod ghcr;
mod gitlab;
mod harbor;
mod page_walk;
mod quay;
mod zot;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use parking_lot::Mutex;
use url::Url;

use super::address::{RegistryBaseUrl, host_of};
use super::api::VendorApi;
use super::distribution::{DistributionApi, login};
use super::grammar::is_digest;
use super::transport::client::HttpClients;
use super::transport::dial::dial;
use super::transport::guard::AddressGuard;
use super::transport::{HttpTransport, TransportCaller};
use super::{
    ConfigRef, DeletionOutcome, FetchedContent, ListedTag, RawListing, RegistryEndpoint, RegistryLimits, RemoteHosts,
    ResolvedTag, Result,
};
use crate::catalog::RegistryKind;

use detect::by_address;
pub(super) use detect::detect;
pub use docker_hub::pull_host;

use artifactory::ArtifactoryHost;

/// A registry over HTTP.
pub(super) struct RemoteRegistry {
    kind: RegistryKind,
    /// The namespace, group or project to list; empty for all.
    org: String,
    /// The `/v2/` API.
    pub(super) distribution: Arc<DistributionApi>,
    /// Artifactory only: its Docker repositories.
    artifactory: Option<ArtifactoryHost>,
    /// ECR only: its API, if the credentials are AWS keys.
    ecr: Option<ecr::EcrApi>,
    /// The vendor's API.
    api: VendorApi,
    /// GHCR only: whether the owner of the packages is an organization or a user.
    owner: ghcr::GitHubOwnerKind,
    /// Quay only: digests that its listings mark as single images.
    plain: quay::SingleImageDigests,
    /// The vendor's listing does not exist on this server, so it is not requested again.
    own_is_absent: AtomicBool,
    /// Change markers from the listing of repositories.
    pub(super) signals: ChangeSignals,
}

/// Change markers of repositories from their listing: a different value than last time means that the repository has
/// changed.
#[derive(Default)]
pub(super) struct ChangeSignals(Mutex<HashMap<String, String>>);

impl ChangeSignals {
    pub(super) fn get(&self, repository: &str) -> Option<String> {
        self.0.lock().get(repository).cloned()
    }

    /// Records a marker; an empty one counts as missing.
    fn note(&self, repository: &str, word: Option<String>) {
        if let Some(word) = word.filter(|word| !word.is_empty()) {
            self.0.lock().insert(repository.to_owned(), word);
        }
    }
}

/// Base URL of the `/v2/` API, and root URL of the vendor's API.
fn places(kind: RegistryKind, url: &str) -> Result<(RegistryBaseUrl, Url)> {
    let base = RegistryBaseUrl::parse(url)?;
    match kind {
        RegistryKind::DockerHub => docker_hub::places(base),
        RegistryKind::Ghcr => ghcr::places(base),
        RegistryKind::Ecr => ecr::places(base),
        _ => Ok((base.clone(), base.root())),
    }
}

/// Checks that the host of an address accepts connections. An invalid org is reported first.
///
/// # Errors
/// As [`dial`]; [`Error::Refused`](super::Error::Refused) for an invalid org.
pub(super) async fn reach(
    url: &str,
    org: &str,
    kind: Option<RegistryKind>,
    limits: &RegistryLimits,
    within: Duration,
) -> Result<()> {
    let kind = kind.or_else(|| by_address(url)).unwrap_or(RegistryKind::Distribution);
    match kind {
        RegistryKind::DockerHub => _ = docker_hub::namespace(org)?,
        RegistryKind::Quay => _ = quay::namespace(org)?,
        _ => {}
    }
    if matches!(kind, RegistryKind::Layout | RegistryKind::Archive) {
        return Ok(());
    }
    let (base, root) = places(kind, url)?;
    dial(&base.root(), &AddressGuard::new([&base.root(), &root], &limits.private), base.is_loopback(), within).await
}

impl RemoteRegistry {
    pub(super) fn open(endpoint: &RegistryEndpoint, limits: &RegistryLimits, hosts: &RemoteHosts) -> Result<Self> {
        let (base, root) = places(endpoint.kind, &endpoint.url)?;
        let caller = TransportCaller {
            kind: endpoint.kind,
            account: endpoint.username.clone(),
            hosts: vec![base.host(), host_of(&root)],
            ceiling: ceiling(endpoint.kind, limits),
        };
        let clients = HttpClients::new(&base, &root, &endpoint.tls, limits)?;
        let transport = Arc::new(HttpTransport::new(hosts, limits, clients, caller));
        let ecr = match endpoint.kind {
            RegistryKind::Ecr => ecr::EcrApi::open(endpoint, &base, root.clone(), Arc::clone(&transport))?,
            _ => None,
        };
        let (api_login, for_v2) = match endpoint.kind {
            RegistryKind::Quay => quay::logins(endpoint)?,
            RegistryKind::Ecr if ecr.is_some() => (None, ecr::without_keys(endpoint)),
            _ => (login(endpoint)?, endpoint.clone()),
        };
        let api = match endpoint.kind {
            RegistryKind::GitLab => VendorApi::new(Arc::clone(&transport), root, gitlab::authorization(endpoint)?),
            RegistryKind::DockerHub => docker_hub::api(Arc::clone(&transport), root, endpoint)?,
            RegistryKind::Ghcr => ghcr::api(Arc::clone(&transport), root, endpoint)?,
            _ => VendorApi::new(Arc::clone(&transport), root, api_login),
        };
        let artifactory = match endpoint.kind {
            RegistryKind::Artifactory => Some(ArtifactoryHost::open(endpoint, &base, Arc::clone(&transport))?),
            _ => None,
        };
        let tokens = ecr.as_ref().map(ecr::EcrApi::tokens);
        let distribution = Arc::new(DistributionApi::open(&for_v2, base, transport)?.with_tokens(tokens));
        let (owner, plain) = (ghcr::GitHubOwnerKind::default(), quay::SingleImageDigests::default());
        let (kind, org, own_is_absent) = (endpoint.kind, endpoint.org.clone(), AtomicBool::new(false));
        let signals = ChangeSignals::default();
        Ok(Self { kind, org, distribution, artifactory, ecr, api, owner, plain, own_is_absent, signals })
    }

    /// The `/v2/` API that serves a repository, and the repository's name there.
    pub(super) fn at<'a>(&self, repository: &'a str) -> Result<(Arc<DistributionApi>, &'a str)> {
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
            RegistryKind::Ecr => return ecr::explain(self.distribution.ping().await),
            RegistryKind::Harbor => return harbor::ping(&self.api, &self.distribution, &self.org).await,
            RegistryKind::Quay => return quay::ping(&self.api, &self.distribution, &self.org).await,
            RegistryKind::DockerHub => docker_hub::ping(&self.api, &self.org).await?,
            RegistryKind::Ghcr => ghcr::ping(&self.api, &self.org).await?,
            _ => {}
        }
        self.distribution.ping().await
    }

    pub(super) async fn repositories(&self) -> Result<RawListing<String>> {
        if let Some(artifactory) = &self.artifactory {
            return artifactory.repositories(&self.api).await;
        }
        match self.kind {
            RegistryKind::DockerHub => docker_hub::repositories(&self.api, &self.org, &self.signals).await,
            RegistryKind::Ghcr => ghcr::repositories(&self.api, &self.org, &self.owner).await,
            RegistryKind::Acr => acr::repositories(&self.distribution).await,
            RegistryKind::ArtifactRegistry => artifact_registry::repositories(&self.distribution, &self.org).await,
            RegistryKind::ContainerYard => container_yard::repositories(&self.distribution, &self.api).await,
            RegistryKind::Ecr => ecr::repositories(self.ecr.as_ref(), &self.distribution).await,
            RegistryKind::Harbor => harbor::repositories(&self.api, &self.org, &self.signals).await,
            RegistryKind::Quay => quay::repositories(&self.api, &self.distribution, &self.org, &self.signals).await,
            RegistryKind::GitLab => gitlab::repositories(&self.api, &self.distribution, &self.org).await,
            RegistryKind::Zot => zot::repositories(&self.distribution, &self.own_is_absent, &self.signals).await,
            _ => self.distribution.repositories().await,
        }
    }

    pub(super) async fn tags(&self, repository: &str) -> Result<RawListing<ListedTag>> {
        match self.kind {
            RegistryKind::DockerHub => docker_hub::tags(&self.api, repository).await,
            RegistryKind::Ghcr => ghcr::tags(&self.api, &self.distribution, repository, &self.owner).await,
            RegistryKind::Harbor => harbor::tags(&self.api, repository).await,
            RegistryKind::Quay => quay::tags(&self.api, &self.distribution, &self.plain, repository).await,
            RegistryKind::GitLab => gitlab::tags(&self.distribution, &self.own_is_absent, repository).await,
            RegistryKind::Zot => zot::tags(&self.distribution, &self.own_is_absent, repository).await,
            RegistryKind::Acr => acr::tags(&self.distribution, repository).await,
            RegistryKind::ArtifactRegistry => artifact_registry::tags(&self.distribution, repository).await,
            RegistryKind::Ecr => ecr::tags(self.ecr.as_ref(), &self.distribution, repository).await,
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

    /// Deletes a tag, or a manifest with its tags.
    pub(super) async fn delete(&self, repository: &str, reference: &str) -> Result<DeletionOutcome> {
        let (registry, name) = self.at(repository)?;
        registry.delete(name, reference).await
    }

    /// The manifest of a new tag. Called only if the listing carries no digests.
    pub(super) async fn look(&self, repository: &str, tag: &str) -> Result<Option<ResolvedTag>> {
        let (registry, name) = self.at(repository)?;
        match self.kind {
            // A GET would count as a pull, and Docker Hub's pull quota is small.
            RegistryKind::DockerHub => {
                let digest = registry.digest(name, tag).await?;
                Ok(digest.map(|digest| ResolvedTag { digest, manifest: None }))
            }
            _ => registry.look(name, tag).await,
        }
    }

    /// Content of a digest, if the vendor's API gives it for less than the manifest and the config cost.
    pub(super) async fn content(&self, repository: &str, digest: &str) -> Result<Option<FetchedContent>> {
        match self.kind {
            RegistryKind::Quay => quay::content(&self.api, &self.plain, repository, digest).await,
            _ => Ok(None),
        }
    }
}

/// Most requests in flight per host for this kind.
fn ceiling(kind: RegistryKind, limits: &RegistryLimits) -> usize {
    match kind {
        RegistryKind::Harbor => limits.concurrency.min(harbor::MOST_IN_FLIGHT),
        _ => limits.concurrency,
    }
}

/// What a listing has of a tag beside its name.
struct ListedDigest {
    digest: String,
    /// The digest of its only config.
    config: Option<String>,
    /// Compressed size of config and layers, bytes.
    size: Option<u64>,
}

/// Adds to tags what a listing has of them. An invalid digest is dropped, so that it is requested later.
fn tagged(names: RawListing<String>, mut told: HashMap<String, ListedDigest>) -> RawListing<ListedTag> {
    let tag = |name: String| {
        let Some(told) = told.remove(&name).filter(|told| is_digest(&told.digest)) else {
            return ListedTag::new(name, None);
        };
        let config = told.config.filter(|config| is_digest(config));
        let config = config.map(|digest| ConfigRef { digest, size: told.size, ..ConfigRef::default() });
        ListedTag { config, ..ListedTag::new(name, Some(told.digest)) }
    };
    RawListing { items: names.items.into_iter().map(tag).collect(), truncated: names.truncated }
}
