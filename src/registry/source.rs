//! One registry, or images on disk: the same questions to each. Must not know how any of them is spoken to.

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

/// An open connection to one registry. Cheap to clone; clones share tokens, limits and counts.
#[derive(Clone)]
pub struct Source(Kind);

#[derive(Clone)]
enum Kind {
    /// Over HTTP, whatever its kind.
    Remote(Arc<Remote>),
    Layout(Arc<Layout>),
    Archive(Arc<Archive>),
}

impl Source {
    /// Reads the address. Touches neither network nor disk. What is known of its host is shared with all others who have
    /// the same `hosts`; the credentials, and that they are wrong, are its own.
    ///
    /// # Errors
    /// [`Error::Refused`] for an address that is none, or that we do not use.
    pub fn open(endpoint: &Endpoint, limits: &Limits, hosts: &Hosts) -> Result<Self> {
        Ok(Source(match endpoint.kind {
            RegistryKind::Archive => Kind::Archive(Arc::new(Archive::open(&endpoint.url, &limits.layout_roots)?)),
            RegistryKind::Layout => Kind::Layout(Arc::new(Layout::open(&endpoint.url, &limits.layout_roots)?)),
            _ => Kind::Remote(Arc::new(Remote::open(endpoint, limits, hosts)?)),
        }))
    }

    /// Whether the host at an address can be connected to, which is found out sooner than by asking it something.
    ///
    /// # Errors
    /// [`Error::Refused`] for an address that is none, or that we do not use; [`Error::Unreachable`], also after `within`.
    pub async fn reach(
        url: &str,
        org: &str,
        kind: Option<RegistryKind>,
        limits: &Limits,
        within: Duration,
    ) -> Result<()> {
        kinds::reach(url, org, kind, limits, within).await
    }

    /// Which kind of registry answers at an address: told by the address, or by what answers there.
    ///
    /// # Errors
    /// [`Error::Refused`] for an address that is none. What does not answer counts as [`RegistryKind::Distribution`]:
    /// why it does not is for [`Source::ping`] to say.
    pub async fn detect(endpoint: &Endpoint, limits: &Limits, hosts: &Hosts) -> Result<RegistryKind> {
        kinds::detect(endpoint, limits, hosts).await
    }

    /// An admin asked for this: each host is tried once, also one that is left alone because it did not answer, or wants
    /// no requests for a long time.
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

    /// Whether the registry answers, is one, and the credentials work.
    ///
    /// # Errors
    /// Every variant of [`Error`]: which of the many things is wrong is the point of asking.
    pub async fn ping(&self) -> Result<()> {
        match &self.0 {
            Kind::Remote(registry) => registry.ping().await,
            Kind::Layout(layout) => layout.ping().await,
            Kind::Archive(archive) => archive.ping().await,
        }
    }

    /// All repositories. Names that the distribution specification does not allow are left out, and so are images on
    /// disk whose names are none.
    ///
    /// # Errors
    /// [`Error::Forbidden`], [`Error::LoginRequired`] or [`Error::NotFound`] where the registry does not let this
    /// account list repositories; else what went wrong. Never a listing that is silently short.
    pub async fn repositories(&self) -> Result<SourceListing<String>> {
        let is_misnamed = |name: &str| (!grammar::is_repository(name)).then_some(TagOutcome::Misnamed);
        match &self.0 {
            Kind::Remote(registry) => Ok(registry.repositories().await?.sift(String::as_str, is_misnamed)),
            Kind::Layout(layout) => layout.repositories().await,
            Kind::Archive(archive) => archive.repositories().await,
        }
    }

    /// All tags of a repository; signatures and other attachments, and what cannot be a tag, are left out. A repository
    /// that is gone, or has no tags, gives an empty listing.
    ///
    /// # Errors
    /// What went wrong; [`Error::Refused`] for a name that no repository can have.
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

    /// Whether it is images on disk, whose repositories are only what their names say.
    pub fn is_on_disk(&self) -> bool {
        !matches!(self.0, Kind::Remote(_))
    }

    /// The digest that a tag (or digest) points to. `None`: no such tag.
    ///
    /// # Errors
    /// What went wrong; [`Error::Refused`] for a name that no repository or tag can have.
    pub async fn digest(&self, repository: &str, tag: &str) -> Result<Option<String>> {
        grammar::check_repository(repository)?;
        grammar::check_reference(tag)?;
        match &self.0 {
            Kind::Remote(registry) => registry.digest(repository, tag).await,
            Kind::Layout(layout) => layout.digest(repository, tag).await,
            Kind::Archive(archive) => archive.digest(repository, tag).await,
        }
    }

    /// As [`Source::digest`], for a tag that was never seen: where it costs no more, its manifest comes along, so that
    /// [`Source::fetch_with`] need not ask for it.
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

    /// Deletes a tag, or by its digest a manifest with all tags that point to it. Only a person's wish leads here.
    ///
    /// # Errors
    /// What went wrong; [`Error::Refused`] for images on disk, and for a name that no repository or tag can have.
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

    /// What the listing of repositories said of one's state: another word than the last time means that something has
    /// changed in it. `None` where the kind's listing says nothing of the sort, or has not been asked.
    pub fn change_signal(&self, repository: &str) -> Option<String> {
        match &self.0 {
            Kind::Remote(registry) => registry.signals.get(repository),
            Kind::Layout(_) | Kind::Archive(_) => None,
        }
    }

    /// What a manifest digest holds. The answer for a digest never changes.
    ///
    /// # Errors
    /// [`Error::NotFound`] where it is gone, [`Error::Malformed`] where the bytes are not what the digest says or not
    /// what they should be; else what went wrong.
    pub async fn fetch(&self, repository: &str, digest: &str) -> Result<Fetched> {
        self.fetch_with(repository, digest, None).await
    }

    /// As [`Source::fetch`], with the manifest's bytes if a [`Look`] brought them.
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

    /// The first half of [`Source::fetch_with`]: which configs there are, for those who know some already.
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

    /// What the manifest of a digest says, whatever the registry's own interface tells of it.
    ///
    /// # Errors
    /// As [`Source::fetch`].
    pub async fn inside_manifest(&self, repository: &str, digest: &str) -> Result<Inside> {
        grammar::check_repository(repository)?;
        grammar::check_digest(digest)?;
        content::inside(&self.origin(repository)?, digest, None).await
    }

    /// Reads a config: what it says by itself. See [`ConfigRef::complete`].
    ///
    /// # Errors
    /// As [`Source::fetch`].
    pub async fn config(&self, repository: &str, digest: &str) -> Result<ImageConfig> {
        grammar::check_repository(repository)?;
        self.origin(repository)?.config(digest).await
    }

    /// Where the blobs of a repository come from.
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

    /// What it cost so far. Images on disk cost bytes, but no requests.
    pub fn traffic(&self) -> Traffic {
        match &self.0 {
            Kind::Remote(registry) => registry.distribution.transport().traffic(),
            Kind::Layout(layout) => layout.traffic(),
            Kind::Archive(archive) => archive.traffic(),
        }
    }
}
