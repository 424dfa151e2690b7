//! One registry or images on disk, behind the same interface. Must not know the protocol of any of them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::content::{self, BlobSource};
use super::disk::archive::ImageArchive;
use super::disk::layout::ImageLayout;
use super::kinds::RemoteRegistry;
use super::{
    DeletionOutcome, Error, FetchedContent, ImageConfig, ListedTag, ManifestTarget, RegistryEndpoint, RegistryLimits,
    RegistryTraffic, RemoteHosts, ResolvedTag, Result, SourceListing, grammar, kinds,
};
use crate::catalog::{RegistryKind, TagOutcome};

/// One registry. Cheap to clone; clones share tokens, limits and counts.
#[derive(Clone)]
pub struct RegistrySource(SourceBackend);

/// Where the images of a source are.
#[derive(Clone)]
enum SourceBackend {
    /// A registry of any kind over HTTP.
    Remote(Arc<RemoteRegistry>),
    Layout(Arc<ImageLayout>),
    Archive(Arc<ImageArchive>),
}

impl RegistrySource {
    /// Parses the address; touches neither network nor disk. State of the host is shared through `hosts`; the
    /// credentials, and whether they were rejected, belong to this source alone.
    ///
    /// # Errors
    /// [`Error::Refused`] for an invalid address, or one that is not allowed.
    pub fn open(endpoint: &RegistryEndpoint, limits: &RegistryLimits, hosts: &RemoteHosts) -> Result<Self> {
        Ok(RegistrySource(match endpoint.kind {
            RegistryKind::Archive => {
                SourceBackend::Archive(Arc::new(ImageArchive::open(&endpoint.url, &limits.layout_roots)?))
            }
            RegistryKind::Layout => {
                SourceBackend::Layout(Arc::new(ImageLayout::open(&endpoint.url, &limits.layout_roots)?))
            }
            _ => SourceBackend::Remote(Arc::new(RemoteRegistry::open(endpoint, limits, hosts)?)),
        }))
    }

    /// Checks that the host of an address accepts connections: faster than a request.
    ///
    /// # Errors
    /// [`Error::Refused`] for an invalid address, or one that is not allowed; [`Error::Unreachable`], also after
    /// `within`.
    pub async fn reach(
        url: &str,
        org: &str,
        kind: Option<RegistryKind>,
        limits: &RegistryLimits,
        within: Duration,
    ) -> Result<()> {
        kinds::reach(url, org, kind, limits, within).await
    }

    /// The kind of the registry at an address: from the address, else from probes.
    ///
    /// # Errors
    /// [`Error::Refused`] for an invalid address. A host that does not respond counts as
    /// [`RegistryKind::Distribution`]; [`RegistrySource::ping`] gives the reason.
    pub async fn detect(
        endpoint: &RegistryEndpoint,
        limits: &RegistryLimits,
        hosts: &RemoteHosts,
    ) -> Result<RegistryKind> {
        kinds::detect(endpoint, limits, hosts).await
    }

    /// For requests that an admin waits for: each host is tried once more, even with an open circuit breaker or a long
    /// pause.
    pub fn insist(&self) {
        if let SourceBackend::Remote(registry) = &self.0 {
            registry.distribution.transport().insist();
        }
    }

    /// `host[:port]` for pull references, without scheme; empty for images on disk.
    pub fn host(&self) -> String {
        match &self.0 {
            SourceBackend::Remote(registry) => kinds::pull_host(&registry.distribution.host()).to_owned(),
            SourceBackend::Layout(_) | SourceBackend::Archive(_) => String::new(),
        }
    }

    /// Checks that the registry responds, is a registry, and accepts the credentials.
    ///
    /// # Errors
    /// Any variant of [`Error`].
    pub async fn ping(&self) -> Result<()> {
        match &self.0 {
            SourceBackend::Remote(registry) => registry.ping().await,
            SourceBackend::Layout(layout) => layout.ping().await,
            SourceBackend::Archive(archive) => archive.ping().await,
        }
    }

    /// All repositories. Names that the distribution specification does not allow are left out, and so are images on
    /// disk without a valid name.
    ///
    /// # Errors
    /// [`Error::Forbidden`], [`Error::LoginRequired`] or [`Error::NotFound`] if this account may not list repositories;
    /// else what went wrong. Never an incomplete listing without `truncated`.
    pub async fn repositories(&self) -> Result<SourceListing<String>> {
        let is_misnamed = |name: &str| (!grammar::is_repository(name)).then_some(TagOutcome::Misnamed);
        match &self.0 {
            SourceBackend::Remote(registry) => {
                Ok(registry.repositories().await?.partition_skipped(String::as_str, is_misnamed))
            }
            SourceBackend::Layout(layout) => layout.repositories().await,
            SourceBackend::Archive(archive) => archive.repositories().await,
        }
    }

    /// All tags of a repository; signatures, other attachments and invalid tags are left out. A deleted or empty
    /// repository gives an empty listing.
    ///
    /// # Errors
    /// [`Error::Refused`] for an invalid repository name; else what went wrong.
    pub async fn tags(&self, repository: &str) -> Result<SourceListing<ListedTag>> {
        grammar::check_repository(repository)?;
        let listing = match &self.0 {
            SourceBackend::Remote(registry) => registry.tags(repository).await,
            SourceBackend::Layout(layout) => layout.tags(repository).await,
            SourceBackend::Archive(archive) => archive.tags(repository).await,
        };
        let why = |name: &str| match grammar::is_tag(name) {
            true => grammar::attachment(name),
            false => Some(TagOutcome::Misnamed),
        };
        Ok(listing?.partition_skipped(|tag| tag.name.as_str(), why))
    }

    /// Whether the images are on disk, where repositories exist only as parts of image names.
    pub fn is_on_disk(&self) -> bool {
        !matches!(self.0, SourceBackend::Remote(_))
    }

    /// The digest that a tag (or digest) points to. `None`: no such tag.
    ///
    /// # Errors
    /// [`Error::Refused`] for an invalid repository name or tag; else what went wrong.
    pub async fn digest(&self, repository: &str, tag: &str) -> Result<Option<String>> {
        grammar::check_repository(repository)?;
        grammar::check_reference(tag)?;
        match &self.0 {
            SourceBackend::Remote(registry) => registry.digest(repository, tag).await,
            SourceBackend::Layout(layout) => layout.digest(repository, tag).await,
            SourceBackend::Archive(archive) => archive.digest(repository, tag).await,
        }
    }

    /// As [`RegistrySource::digest`], for a new tag: also returns the manifest if that costs no extra request, so that
    /// [`RegistrySource::fetch_with`] need not fetch it.
    ///
    /// # Errors
    /// As [`RegistrySource::digest`].
    pub async fn look(&self, repository: &str, tag: &str) -> Result<Option<ResolvedTag>> {
        grammar::check_repository(repository)?;
        grammar::check_reference(tag)?;
        match &self.0 {
            SourceBackend::Remote(registry) => registry.look(repository, tag).await,
            SourceBackend::Layout(_) | SourceBackend::Archive(_) => {
                Ok(self.digest(repository, tag).await?.map(|digest| ResolvedTag { digest, manifest: None }))
            }
        }
    }

    /// Deletes a tag, or by its digest a manifest with all its tags. Called only at a user's request.
    ///
    /// # Errors
    /// [`Error::Refused`] for images on disk, and for an invalid repository name or reference; else what went wrong.
    pub async fn delete(&self, repository: &str, reference: &str) -> Result<DeletionOutcome> {
        grammar::check_repository(repository)?;
        grammar::check_reference(reference)?;
        match &self.0 {
            SourceBackend::Remote(registry) => registry.delete(repository, reference).await,
            SourceBackend::Layout(_) | SourceBackend::Archive(_) => Err(Error::Refused(
                "SILO does not change images on disk; delete them with the tool that wrote them".to_owned(),
            )),
        }
    }

    /// Change marker of a repository from the last listing, such as its time of change: a different value than last
    /// time means that the repository has changed. `None` if the kind's listing has none, or was not fetched.
    pub fn change_signal(&self, repository: &str) -> Option<String> {
        match &self.0 {
            SourceBackend::Remote(registry) => registry.signals.get(repository),
            SourceBackend::Layout(_) | SourceBackend::Archive(_) => None,
        }
    }

    /// Content of a manifest digest. Immutable.
    ///
    /// # Errors
    /// [`Error::NotFound`] if it is gone, [`Error::Malformed`] if the bytes do not match the digest or are not a valid
    /// manifest or config; else what went wrong.
    pub async fn fetch(&self, repository: &str, digest: &str) -> Result<FetchedContent> {
        self.fetch_with(repository, digest, None).await
    }

    /// As [`RegistrySource::fetch`], with the manifest's bytes if a [`ResolvedTag`] returned them.
    ///
    /// # Errors
    /// As [`RegistrySource::fetch`].
    pub async fn fetch_with(&self, repository: &str, digest: &str, manifest: Option<Bytes>) -> Result<FetchedContent> {
        let configs = match self.inside(repository, digest, manifest).await? {
            ManifestTarget::Told(content) => return Ok(content),
            ManifestTarget::Other(kind) => return Ok(FetchedContent::Other(kind)),
            ManifestTarget::Image(configs) => configs,
        };
        let mut read = Vec::new();
        for config in configs {
            read.push(config.complete(self.config(repository, &config.digest).await?));
        }
        Ok(FetchedContent::Image(read))
    }

    /// The first half of [`RegistrySource::fetch_with`]: the references of the configs, for callers that have some of them
    /// already.
    ///
    /// # Errors
    /// As [`RegistrySource::fetch`].
    pub async fn inside(&self, repository: &str, digest: &str, manifest: Option<Bytes>) -> Result<ManifestTarget> {
        grammar::check_repository(repository)?;
        grammar::check_digest(digest)?;
        if let SourceBackend::Remote(registry) = &self.0
            && manifest.is_none()
            && let Some(content) = registry.content(repository, digest).await?
        {
            return Ok(ManifestTarget::Told(content));
        }
        content::inside(&self.origin(repository)?, digest, manifest).await
    }

    /// As [`RegistrySource::inside`], but always from the manifest, never from the vendor's API.
    ///
    /// # Errors
    /// As [`RegistrySource::fetch`].
    pub async fn inside_manifest(&self, repository: &str, digest: &str) -> Result<ManifestTarget> {
        grammar::check_repository(repository)?;
        grammar::check_digest(digest)?;
        content::inside(&self.origin(repository)?, digest, None).await
    }

    /// Reads a config, without what its manifest adds: see [`super::ConfigRef::complete`].
    ///
    /// # Errors
    /// As [`RegistrySource::fetch`].
    pub async fn config(&self, repository: &str, digest: &str) -> Result<ImageConfig> {
        grammar::check_repository(repository)?;
        self.origin(repository)?.config(digest).await
    }

    /// Where the blobs of a repository are read from.
    fn origin<'a>(&'a self, repository: &'a str) -> Result<BlobSource<'a>> {
        Ok(match &self.0 {
            SourceBackend::Remote(registry) => {
                let (registry, name) = registry.at(repository)?;
                BlobSource::Distribution(registry, name)
            }
            SourceBackend::Layout(layout) => BlobSource::Layout(layout),
            SourceBackend::Archive(archive) => BlobSource::Archive(archive),
        })
    }

    /// Traffic so far. Reading from disk counts bytes, but no requests.
    pub fn traffic(&self) -> RegistryTraffic {
        match &self.0 {
            SourceBackend::Remote(registry) => registry.distribution.transport().traffic(),
            SourceBackend::Layout(layout) => layout.traffic(),
            SourceBackend::Archive(archive) => archive.traffic(),
        }
    }
}
