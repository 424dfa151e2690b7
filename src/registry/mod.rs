//! Speaking to registries: the only outgoing HTTP.
//!
//! Everything that comes back is hostile: capped in size, time and count, and checked against its digest. Must never
//! touch the store or interpret the Seed label.
//!
//! | file | what it knows |
//! |---|---|
//! | `address` | which addresses an admin may give, and the URLs made from them |
//! | `network`, `guard` | which network addresses are what, and which are dialled |
//! | `client`, `tls` | the one factory of outgoing clients, and certificates of a registry's own |
//! | `transport` | sending: time-outs, retries, redirects, size caps |
//! | `hosts` | what all work for one host shares: pace, pauses, quotas, kept pages |
//! | `quota`, `meter` | what answers say of waiting and quotas; counts and series |
//! | `challenge`, `token` | `WWW-Authenticate` and bearer tokens |
//! | `aws` | requests signed with AWS keys |
//! | `distribution` | the `/v2/` API |
//! | `kinds` | what each kind of registry does otherwise, one file a kind |
//! | `api` | JSON interfaces beside `/v2/` |
//! | `hook` | the notifications that registries send |
//! | `header` | the shape of header values with parameters |
//! | `listing` | catalogue and tag listings: what a page says and which page is next |
//! | `disk` | images on disk: which files may be read, and names |
//! | `layout`, `archive` | OCI image layouts, and what `docker save` writes |
//! | `content` | from a manifest digest to image configs, for both |
//! | `grammar`, `wire` | names, tags, digests; JSON |

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use secrecy::SecretString;

use crate::catalog::RegistryKind;

mod address;
mod api;
mod archive;
mod aws;
mod challenge;
mod client;
mod content;
mod disk;
mod distribution;
mod download;
mod grammar;
mod guard;
mod header;
mod hook;
mod hosts;
mod kinds;
mod layout;
mod listing;
mod meter;
mod network;
mod quota;
mod tls;
mod token;
mod transport;
mod wire;

pub use download::{Download, DownloadError, Downloaded, download};
pub use grammar::{full_image_name, image_name};
pub use hook::{Notice, Sender, hook_advice};
pub use hosts::Hosts;
pub use kinds::pull_host;
pub use network::Private;
pub use tls::{Tls, fingerprints, install_tls};

use archive::Archive;
use content::Origin;
use kinds::Remote;
use layout::Layout;

/// Why a registry did not give what was asked. `Display` is for admins: the thing, the reason, the fix. No text holds
/// a password or a token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The host answers, but has no registry (or no such thing) there.
    #[error("{0}")]
    NotFound(String),
    /// It gives this only to those who log in, and no credentials were given.
    #[error("{0}")]
    LoginRequired(String),
    /// It does not accept the credentials. Every later request of the same [`Source`] ends with this at once: many
    /// registries lock an account after a few wrong passwords.
    #[error("{0}")]
    WrongPassword(String),
    /// The credentials are fine, but do not allow this.
    #[error("{0}")]
    Forbidden(String),
    /// No secure connection: a certificate that is not trusted, or no TLS at all.
    #[error("{0}")]
    Tls(String),
    /// No complete answer in time.
    #[error("{0}")]
    Timeout(String),
    /// No connection, or one that broke off.
    #[error("{0}")]
    Unreachable(String),
    /// Something answers that is no registry.
    #[error("{0}")]
    NotARegistry(String),
    /// It asks to wait longer than we do.
    #[error("{0}")]
    Throttled(String),
    /// It grants few pulls, and those that are left are for others. Everything but new images can still be had.
    #[error("{0}")]
    NoPulls(String),
    /// It answers with a status that says no more.
    #[error("{0}")]
    Status(String),
    /// It breaks the protocol: wrong digest, too large, not the JSON that belongs there.
    #[error("{0}")]
    Malformed(String),
    /// We do not do that: an address that is not allowed, or one that would give credentials away.
    #[error("{0}")]
    Refused(String),
}

pub type Result<T> = std::result::Result<T, Error>;

/// A registry to speak to.
#[derive(Clone, Debug)]
pub struct Endpoint {
    pub kind: RegistryKind,
    /// As the admin gave it: `https://` is meant where it has no scheme; `file:///…` or a path for images on disk.
    pub url: String,
    /// The namespace, group or project to list; kinds without a catalogue need one. Empty for all.
    pub org: String,
    /// Empty for none.
    pub username: String,
    pub password: Option<SecretString>,
    pub tls: Tls,
}

/// Bounds on what one registry may cost us.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Requests in flight that one host gets at most; some kinds get fewer.
    pub concurrency: usize,
    pub connect_timeout: Duration,
    /// For one request, from sending to the last byte.
    pub request_timeout: Duration,
    /// Tries of one request in all.
    pub tries: u32,
    /// Longest `Retry-After` that is waited for.
    pub longest_wait: Duration,
    /// Pages of one listing; a longer one is truncated.
    pub pages: u32,
    /// Of the pulls that a registry grants, so many percent are left to others.
    pub pull_reserve: u32,
    /// Folders that image layouts and archives may lie in.
    pub layout_roots: Vec<PathBuf>,
    /// Which private addresses may be reached beside the registry's own.
    pub private: Private,
}

/// A listing, and whether it is all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing<T> {
    pub items: Vec<T>,
    /// Why it was cut; `None`: complete.
    pub truncated: Option<String>,
}

/// A tag in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    pub name: String,
    /// Digest of its manifest, where the listing carries it.
    pub digest: Option<String>,
    /// What that digest holds, where the listing says it too, so that nothing need be fetched. The registry's word: it
    /// was checked against no digest.
    pub content: Option<Fetched>,
    /// Its one config, where the listing names that, so that the manifest need not be read. As much worth as `content`.
    pub config: Option<ConfigRef>,
}

impl Tag {
    /// As most listings tell it.
    fn new(name: String, digest: Option<String>) -> Self {
        Self { name, digest, content: None, config: None }
    }
}

/// Where a tag points to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    pub digest: String,
    /// The manifest, when the answer held it.
    pub manifest: Option<Bytes>,
}

/// What a manifest digest holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// A container image: one entry a distinct config, in the index's order.
    Image(Vec<ImageConfig>),
    /// Something else: the media type or artifact type.
    Other(String),
}

impl Fetched {
    /// Bytes of its labels: what keeping it costs.
    pub fn size(&self) -> usize {
        match self {
            Fetched::Image(configs) => {
                configs.iter().flat_map(|config| &config.labels).map(|(key, value)| key.len() + value.len()).sum()
            }
            Fetched::Other(kind) => kind.len(),
        }
    }
}

/// What became of a wish to delete something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// It is gone, or will be in a moment.
    Done,
    /// There was no such thing.
    NotThere,
    /// The registry deletes nothing, or not what is named so; in its own words.
    Unsupported(String),
}

/// What a manifest digest leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inside {
    /// The configs of a container image, still to be read: each once, in the index's order.
    Image(Vec<ConfigRef>),
    /// Something else: the media type or artifact type.
    Other(String),
    /// What the registry's own interface says of it; checked against no digest.
    Told(Fetched),
}

/// An image config that can be read, with what its manifest says beside it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigRef {
    pub digest: String,
    /// As the index has it; empty where the config itself says.
    pub platform: String,
    /// Of the manifest; they stand in for labels that the config lacks.
    pub annotations: BTreeMap<String, String>,
    /// Bytes to pull, compressed.
    pub size: Option<u64>,
}

impl ConfigRef {
    /// What this manifest says beside its config, put to what the config says.
    pub fn complete(&self, config: ImageConfig) -> ImageConfig {
        let mut labels = config.labels;
        for (key, value) in &self.annotations {
            labels.entry(key.clone()).or_insert_with(|| value.clone());
        }
        let platform = if self.platform.is_empty() { config.platform } else { self.platform.clone() };
        ImageConfig { platform, labels, size: self.size, ..config }
    }
}

/// One image config.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageConfig {
    /// Empty where the kind's own interface told the labels without it.
    pub digest: String,
    /// `os/architecture[/variant]`; empty where neither index nor config says. Some interfaces leave the variant out.
    pub platform: String,
    /// The config's labels; manifest annotations stand in for keys that it lacks.
    pub labels: BTreeMap<String, String>,
    /// When the image was built (RFC 3339), as the config says; empty where it does not.
    pub created: String,
    /// Bytes to pull, compressed, where the manifest or the listing says.
    pub size: Option<u64>,
}

/// Requests sent and body bytes read so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    pub requests: u64,
    pub bytes: u64,
    /// Time in which requests stood still because a host asked for it, or had failed. Not that in which they waited for
    /// each other.
    pub throttled: Duration,
}

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

    /// All repositories. Names that the distribution specification does not allow are left out.
    ///
    /// # Errors
    /// [`Error::Forbidden`], [`Error::LoginRequired`] or [`Error::NotFound`] where the registry does not let this
    /// account list repositories; else what went wrong. Never a listing that is silently short.
    pub async fn repositories(&self) -> Result<Listing<String>> {
        match &self.0 {
            Kind::Remote(registry) => registry.repositories().await,
            Kind::Layout(layout) => layout.repositories().await,
            Kind::Archive(archive) => archive.repositories().await,
        }
    }

    /// All tags of a repository, without signatures and other attachments. A repository that is gone, or has no tags,
    /// gives an empty listing.
    ///
    /// # Errors
    /// What went wrong; [`Error::Refused`] for a name that no repository can have.
    pub async fn tags(&self, repository: &str) -> Result<Listing<Tag>> {
        grammar::check_repository(repository)?;
        match &self.0 {
            Kind::Remote(registry) => registry.tags(repository).await,
            Kind::Layout(layout) => layout.tags(repository).await,
            Kind::Archive(archive) => archive.tags(repository).await,
        }
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
