//! One registry or images on disk, behind the same interface. Must not know the protocol of any of them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::archive::Archive;
use super::content::{self, Origin};
use super::kinds::Remote;
use super::layout::Layout;
use super::{
    Deletion, Endpoint, Error, Fetched, Hosts, ImageConfig, Inside, Limits, Look, Result, SourceListing, Tag, Traffic,
    grammar, kinds,
};
use crate::catalog::{RegistryKind, TagOutcome};

/// One registry. Cheap to clone; clones share tokens, limits and counts.
#[derive(Clone)]
pub struct Source(Kind);

/// Where the images of a source are.
#[derive(Clone)]
enum Kind {
    /// A registry of any kind over HTTP.
    Remote(Arc<Remote>),
    Layout(Arc<Layout>),
    Archive(Arc<Archive>),
}

impl Source {
    /// Parses the address; touches neither network nor disk. State of the host is shared through `hosts`; the
    /// credentials, and whether they were rejected, belong to this source alone.
    ///
    /// # Errors
    /// [`Error::Refused`] for an invalid address, or one that is not allowed.
    pub fn open(endpoint: &Endpoint, limits: &Limits, hosts: &Hosts) -> Result<Self> {
        Ok(Source(match endpoint.kind {
            RegistryKind::Archive => Kind::Archive(Arc::new(Archive::open(&endpoint.url, &limits.layout_roots)?)),
            RegistryKind::Layout => Kind::Layout(Arc::new(Layout::open(&endpoint.url, &limits.layout_roots)?)),
            _ => Kind::Remote(Arc::new(Remote::open(endpoint, limits, hosts)?)),
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
        limits: &Limits,
        within: Duration,
    ) -> Result<()> {
        kinds::reach(url, org, kind, limits, within).await
    }

    /// The kind of the registry at an address: from the address, else from probes.
    ///
    /// # Errors
    /// [`Error::Refused`] for an invalid address. A host that does not respond counts as
    /// [`RegistryKind::Distribution`]; [`Source::ping`] gives the reason.
    pub async fn detect(endpoint: &Endpoint, limits: &Limits, hosts: &Hosts) -> Result<RegistryKind> {
        kinds::detect(endpoint, limits, hosts).await
    }

    /// For requests that an admin waits for: each host is tried once more, even with an open circuit breaker or a long
    /// pause.
    pub fn insist(&self) {
        if let Kind::Remote(registry) = &self.0 {
            registry.distribution.transport().insist();
        }
    }

    /// `host[:port]` for pull references, without scheme; empty for images on disk.
    pub fn host(&self) -> String {
        match &self.0 {
            Kind::Remote(registry) => kinds::pull_host(&registry.distribution.host()).to_owned(),
            Kind::Layout(_) | Kind::Archive(_) => String::new(),
        }
    }

    /// Checks that the registry responds, is a registry, and accepts the credentials.
    ///
    /// # Errors
    /// Any variant of [`Error`].
    pub async fn ping(&self) -> Result<()> {
        match &self.0 {
            Kind::Remote(registry) => registry.ping().await,
            Kind::Layout(layout) => layout.ping().await,
            Kind::Archive(archive) => archive.ping().await,
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
            Kind::Remote(registry) => Ok(registry.repositories().await?.sift(String::as_str, is_misnamed)),
            Kind::Layout(layout) => layout.repositories().await,
            Kind::Archive(archive) => archive.repositories().await,
        }
    }

    /// All tags of a repository; signatures, other attachments and invalid tags are left out. A deleted or empty
    /// repository gives an empty listing.
    ///
    /// # Errors
    /// [`Error::Refused`] for an invalid repository name; else what went wrong.
    pub async fn tags(&self, repository: &str) -> Result<SourceListing<Tag>> {
        grammar::check_repository(repository)?;
        let listing = match &self.0 {
            Kind::Remote(registry) => registry.tags(repository).await,
            Kind::Layout(layout) => layout.tags(repository).await,
            Kind::Archive(archive) => archive.tags(repository).await,
        };
        let why = |name: &str| match grammar::is_tag(name) {
            true => grammar::attachment(name),
            false => Some(TagOutcome::Misnamed),
        };
        Ok(listing?.sift(|tag| tag.name.as_str(), why))
    }

    /// Whether the images are on disk, where repositories exist only as parts of image names.
    pub fn is_on_disk(&self) -> bool {
        !matches!(self.0, Kind::Remote(_))
    }

    /// The digest that a tag (or digest) points to. `None`: no such tag.
    ///
    /// # Errors
    /// [`Error::Refused`] for an invalid repository name or tag; else what went wrong.
    pub async fn digest(&self, repository: &str, tag: &str) -> Result<Option<String>> {
        grammar::check_repository(repository)?;
        grammar::check_reference(tag)?;
        match &self.0 {
            Kind::Remote(registry) => registry.digest(repository, tag).await,
            Kind::Layout(layout) => layout.digest(repository, tag).await,
            Kind::Archive(archive) => archive.digest(repository, tag).await,
        }
    }

    /// As [`Source::digest`], for a new tag: also returns the manifest if that costs no extra request, so that
    /// [`Source::fetch_with`] need not fetch it.
    ///
    /// # Errors
    /// As [`Source::digest`].
    pub async fn look(&self, repository: &str, tag: &str) -> Result<Option<Look>> {
        grammar::check_repository(repository)?;
        grammar::check_reference(tag)?;
        match &self.0 {
            Kind::Remote(registry) => registry.look(repository, tag).await,
            Kind::Layout(_) | Kind::Archive(_) => {
                Ok(self.digest(repository, tag).await?.map(|digest| Look { digest, manifest: None }))
            }
        }
    }

    /// Deletes a tag, or by its digest a manifest with all its tags. Called only at a user's request.
    ///
    /// # Errors
    /// [`Error::Refused`] for images on disk, and for an invalid repository name or reference; else what went wrong.
    pub async fn delete(&self, repository: &str, reference: &str) -> Result<Deletion> {
        grammar::check_repository(repository)?;
        grammar::check_reference(reference)?;
        match &self.0 {
            Kind::Remote(registry) => registry.delete(repository, reference).await,
            Kind::Layout(_) | Kind::Archive(_) => {
                Err(Error::Refused("images on disk are not changed; delete them with what wrote them".to_owned()))
            }
        }
    }

    /// Change marker of a repository from the last listing, such as its time of change: a different value than last
    /// time means that the repository has changed. `None` if the kind's listing has none, or was not fetched.
    pub fn change_signal(&self, repository: &str) -> Option<String> {
        match &self.0 {
            Kind::Remote(registry) => registry.signals.get(repository),
            Kind::Layout(_) | Kind::Archive(_) => None,
        }
    }

    /// Content of a manifest digest. Immutable.
    ///
    /// # Errors
    /// [`Error::NotFound`] if it is gone, [`Error::Malformed`] if the bytes do not match the digest or are not a valid
    /// manifest or config; else what went wrong.
    pub async fn fetch(&self, repository: &str, digest: &str) -> Result<Fetched> {
        self.fetch_with(repository, digest, None).await
    }

    /// As [`Source::fetch`], with the manifest's bytes if a [`Look`] returned them.
    ///
    /// # Errors
    /// As [`Source::fetch`].
    pub async fn fetch_with(&self, repository: &str, digest: &str, manifest: Option<Bytes>) -> Result<Fetched> {
        let configs = match self.inside(repository, digest, manifest).await? {
            Inside::Told(content) => return Ok(content),
            Inside::Other(kind) => return Ok(Fetched::Other(kind)),
            Inside::Image(configs) => configs,
        };
        let mut read = Vec::new();
        for config in configs {
            read.push(config.complete(self.config(repository, &config.digest).await?));
        }
        Ok(Fetched::Image(read))
    }

    /// The first half of [`Source::fetch_with`]: the references of the configs, for callers that have some of them
    /// already.
    ///
    /// # Errors
    /// As [`Source::fetch`].
    pub async fn inside(&self, repository: &str, digest: &str, manifest: Option<Bytes>) -> Result<Inside> {
        grammar::check_repository(repository)?;
        grammar::check_digest(digest)?;
        if let Kind::Remote(registry) = &self.0
            && manifest.is_none()
            && let Some(content) = registry.content(repository, digest).await?
        {
            return Ok(Inside::Told(content));
        }
        content::inside(&self.origin(repository)?, digest, manifest).await
    }

    /// As [`Source::inside`], but always from the manifest, never from the vendor's API.
    ///
    /// # Errors
    /// As [`Source::fetch`].
    pub async fn inside_manifest(&self, repository: &str, digest: &str) -> Result<Inside> {
        grammar::check_repository(repository)?;
        grammar::check_digest(digest)?;
        content::inside(&self.origin(repository)?, digest, None).await
    }

    /// Reads a config, without what its manifest adds: see [`ConfigRef::complete`].
    ///
    /// # Errors
    /// As [`Source::fetch`].
    pub async fn config(&self, repository: &str, digest: &str) -> Result<ImageConfig> {
        grammar::check_repository(repository)?;
        self.origin(repository)?.config(digest).await
    }

    /// Where the blobs of a repository are read from.
    fn origin<'a>(&'a self, repository: &'a str) -> Result<Origin<'a>> {
        Ok(match &self.0 {
            Kind::Remote(registry) => {
                let (registry, name) = registry.at(repository)?;
                Origin::Distribution(registry, name)
            }
            Kind::Layout(layout) => Origin::Layout(layout),
            Kind::Archive(archive) => Origin::Archive(archive),
        })
    }

    /// Traffic so far. Reading from disk counts bytes, but no requests.
    pub fn traffic(&self) -> Traffic {
        match &self.0 {
            Kind::Remote(registry) => registry.distribution.transport().traffic(),
            Kind::Layout(layout) => layout.traffic(),
            Kind::Archive(archive) => archive.traffic(),
        }
    }
}
