//! Client for container registries, and for image layouts and archives on disk. Holds all outgoing HTTP of the service.
//!
//! Every response is hostile input: capped in size, time and count, and checked against its digest. Must never touch
//! the store or interpret the Seed label.
//!
//! | file | content |
//! |---|---|
//! | `address` | parses the address of a registry; URLs below it |
//! | `network`, `guard` | classes of network addresses; which of them may be connected to |
//! | `client`, `tls` | the only factory of outgoing HTTP clients; CA and client certificates of a registry |
//! | `dial` | quick check whether a host accepts connections |
//! | `transport` | sends requests: time-outs, retries, redirects, size caps |
//! | `hosts` | state shared by all requests to one host: concurrency, pauses, quotas, circuit breaker, ETag cache |
//! | `quota`, `meter` | `Retry-After` and quota headers; traffic counts and metrics |
//! | `challenge`, `token` | `WWW-Authenticate`; bearer tokens |
//! | `download` | downloads a file by URL, as an input of a run |
//! | `aws` | requests signed with AWS keys |
//! | `distribution` | the `/v2/` API |
//! | `source` | one registry of any kind: the interface for the rest of SILO |
//! | `kinds` | what differs from the `/v2/` API, one file a registry kind |
//! | `api` | vendors' JSON APIs beside `/v2/` |
//! | `notification` | webhook notifications that registries send |
//! | `header_reader` | parser for header values with parameters |
//! | `listing` | catalogue and tag listings: parsing and pagination |
//! | `disk` | images on disk: which files may be read, and image names |
//! | `layout`, `archive` | OCI image layouts; `docker save` archives |
//! | `blob` | the kinds of blobs, and how large they may be |
//! | `content` | from a manifest digest to image configs, for registries and disk |
//! | `grammar`, `wire` | syntax of names, tags and digests; JSON types |

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use secrecy::SecretString;

use crate::catalog::{RegistryKind, TagOutcome};

mod address;
mod api;
mod blob;
mod content;
mod disk;
mod distribution;
mod grammar;
mod kinds;
mod listing;
mod login;
mod notification;
mod source;
mod transport;
mod wire;

pub use grammar::{check_repository, full_image_name, image_name, printable};
pub use kinds::pull_host;
pub use notification::{NotificationSender, RegistryNotification, hook_advice};
pub use source::RegistrySource;
pub use transport::download::{DownloadError, DownloadReservation, DownloadedFile, FileDownload, download};
pub use transport::hosts::RemoteHosts;
pub use transport::network::PrivateNetworkPolicy;
pub use transport::tls::{TlsSettings, fingerprints, install_tls};

/// Why a request to a registry failed. `Display` is for admins: the thing, the reason, the fix. No text holds a
/// password or a token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The host responds, but there is no registry at this address, or no such repository, tag or digest.
    #[error("{0}")]
    NotFound(String),
    /// The registry requires a login for this, and no credentials were given.
    #[error("{0}")]
    LoginRequired(String),
    /// The registry rejects the credentials. Every later request of the same [`RegistrySource`] fails with this at once: many
    /// registries lock an account after a few wrong passwords.
    #[error("{0}")]
    WrongPassword(String),
    /// The credentials are valid, but lack the right.
    #[error("{0}")]
    Forbidden(String),
    /// TLS failed: an untrusted certificate, or no TLS at all.
    #[error("{0}")]
    Tls(String),
    /// No complete response in time.
    #[error("{0}")]
    Timeout(String),
    /// Connecting failed, or the connection broke.
    #[error("{0}")]
    Unreachable(String),
    /// The host responds, but not as a registry.
    #[error("{0}")]
    NotARegistry(String),
    /// The registry asks for a longer wait than [`RegistryLimits::longest_wait`], or is still overloaded after all tries.
    #[error("{0}")]
    Throttled(String),
    /// The pull quota is down to the reserve. Everything that needs no pull (all but new images) still works.
    #[error("{0}")]
    NoPulls(String),
    /// The registry responds with an unexpected status.
    #[error("{0}")]
    Status(String),
    /// The response breaks the protocol: wrong digest, too large, or not the expected JSON.
    #[error("{0}")]
    Malformed(String),
    /// SILO refuses to send this: an address that is not allowed, or one that would expose credentials.
    #[error("{0}")]
    Refused(String),
}

/// Result of requests to a registry.
pub type Result<T> = std::result::Result<T, Error>;

/// A registry: its address, credentials and TLS settings.
#[derive(Clone, Debug)]
pub struct RegistryEndpoint {
    pub kind: RegistryKind,
    /// As the admin gave it: `https://` where no scheme is written; `file:///…` or an absolute path for images on disk.
    pub url: String,
    /// The namespace, group or project to list; empty for all. Kinds without a catalogue need one.
    pub org: String,
    /// Empty: anonymous.
    pub username: String,
    pub password: Option<SecretString>,
    pub tls: TlsSettings,
}

/// Bounds on what one registry may cost.
#[derive(Clone, Debug)]
pub struct RegistryLimits {
    /// Most requests in flight per host; some kinds lower it.
    pub concurrency: usize,
    pub connect_timeout: Duration,
    /// For one try, from sending to the last byte.
    pub request_timeout: Duration,
    /// Most tries of one request, the first included.
    pub tries: u32,
    /// Longest `Retry-After` that a request waits for.
    pub longest_wait: Duration,
    /// Most pages of one listing; a longer one is truncated.
    pub pages: u32,
    /// Percentage of the pull quota that is left to other clients.
    pub pull_reserve: u32,
    /// Folders from which image layouts and archives may be read.
    pub layout_roots: Vec<PathBuf>,
    /// Which private addresses may be connected to, beside the registry's own.
    pub private: PrivateNetworkPolicy,
}

/// A listing as the registry gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct RawListing<T> {
    items: Vec<T>,
    /// Why it was cut; `None`: complete.
    truncated: Option<String>,
}

/// A listing as [`RegistrySource`] gives it, split into usable and skipped entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceListing<T> {
    pub items: Vec<T>,
    /// Why it was cut; `None`: complete.
    pub truncated: Option<String>,
    /// Entries that are skipped.
    pub left_out: Vec<LeftOut>,
}

/// A listing entry that is skipped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// Its name in the registry; the digest of an unnamed image.
    pub name: String,
    pub why: TagOutcome,
}

impl<T> RawListing<T> {
    /// Moves the items for which `why` gives a reason to `left_out`. `name`: the name of an item.
    fn partition_skipped(
        self,
        name: impl Fn(&T) -> &str,
        why: impl Fn(&str) -> Option<TagOutcome>,
    ) -> SourceListing<T> {
        let (mut items, mut left_out) = (Vec::new(), Vec::new());
        for item in self.items {
            match why(name(&item)) {
                Some(why) => left_out.push(LeftOut { name: name(&item).to_owned(), why }),
                None => items.push(item),
            }
        }
        SourceListing { items, truncated: self.truncated, left_out }
    }
}

/// A tag in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedTag {
    pub name: String,
    /// Digest of its manifest, if the listing carries it.
    pub digest: Option<String>,
    /// Content of that digest, if the listing carries it, so that nothing need be fetched. Asserted by the registry,
    /// not checked against the digest.
    pub content: Option<FetchedContent>,
    /// Its only config, if the listing names it, so that the manifest need not be read. Unchecked like `content`.
    pub config: Option<ConfigRef>,
}

impl ListedTag {
    /// A tag with its name and maybe its digest, as most listings give it.
    fn new(name: String, digest: Option<String>) -> Self {
        Self { name, digest, content: None, config: None }
    }
}

/// The manifest that a tag points to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedTag {
    pub digest: String,
    /// Bytes of the manifest, if the response had them.
    pub manifest: Option<Bytes>,
}

/// Content of a manifest digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchedContent {
    /// A container image: one entry for each distinct config, in the order of the index.
    Image(Vec<ImageConfig>),
    /// Not an image: its media type or artifact type, or [`DEEP_INDEX`].
    Other(String),
}

/// Stands for an index whose images are nested deeper than indexes are followed.
pub const DEEP_INDEX: &str = "an index of indexes of indexes";

impl FetchedContent {
    /// Bytes of its labels: the memory that keeping it costs.
    pub fn size(&self) -> usize {
        match self {
            FetchedContent::Image(configs) => {
                configs.iter().flat_map(|config| &config.labels).map(|(key, value)| key.len() + value.len()).sum()
            }
            FetchedContent::Other(kind) => kind.len(),
        }
    }
}

/// Outcome of a deletion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeletionOutcome {
    /// Deleted, or accepted for deletion.
    Done,
    /// It did not exist.
    NotThere,
    /// The registry cannot delete this reference, or anything; its own words.
    Unsupported(String),
}

/// What a manifest digest leads to, before configs are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ManifestTarget {
    /// The configs of a container image, not yet read: each once, in the order of the index.
    Image(Vec<ConfigRef>),
    /// Not an image, as in [`FetchedContent::Other`].
    Other(String),
    /// Content as the vendor's API gives it, not checked against the digest.
    Told(FetchedContent),
}

/// Reference to an image config, with what its manifest adds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigRef {
    pub digest: String,
    /// Platform from the index; empty: the config's own counts.
    pub platform: String,
    /// Annotations of the manifest: defaults for labels that the config lacks.
    pub annotations: BTreeMap<String, String>,
    /// Compressed size of config and layers, bytes.
    pub size: Option<u64>,
}

impl ConfigRef {
    /// The config, completed with the manifest's platform, annotations and size.
    pub fn complete(&self, config: ImageConfig) -> ImageConfig {
        let mut labels = config.labels;
        for (key, value) in &self.annotations {
            labels.entry(key.clone()).or_insert_with(|| value.clone());
        }
        let platform = if self.platform.is_empty() { config.platform } else { self.platform.clone() };
        ImageConfig { platform, labels, size: self.size, ..config }
    }
}

/// An image config.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageConfig {
    /// Empty if the vendor's API gave the labels without it.
    pub digest: String,
    /// `os/architecture[/variant]`; empty if neither index nor config has it. Some vendors' APIs omit the variant.
    pub platform: String,
    /// The config's labels; manifest annotations fill in missing keys.
    pub labels: BTreeMap<String, String>,
    /// When the image was built (RFC 3339), from the config; empty if missing.
    pub created: String,
    /// Compressed size of config and layers in bytes, if the manifest or the listing has it.
    pub size: Option<u64>,
}

/// Requests sent and body bytes read so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RegistryTraffic {
    pub requests: u64,
    pub bytes: u64,
    /// Time in which at least one request was paused because its host asked for it or had failed. Waiting for other
    /// requests does not count.
    pub throttled: Duration,
}
