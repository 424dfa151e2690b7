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
//! | `source` | one registry, whatever it is: what the rest of SILO calls |
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
use std::time::Duration;

use bytes::Bytes;
use secrecy::SecretString;

use crate::catalog::{RegistryKind, TagOutcome};

mod address;
mod api;
mod archive;
mod aws;
mod challenge;
mod client;
mod content;
mod dial;
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
mod source;
mod tls;
mod token;
mod transport;
mod wire;

pub use download::{Download, DownloadError, DownloadRoom, Downloaded, download};
pub use grammar::{check_repository, full_image_name, image_name, printable};
pub use hook::{Notice, Sender, hook_advice};
pub use hosts::Hosts;
pub use kinds::pull_host;
pub use network::Private;
pub use source::Source;
pub use tls::{Tls, fingerprints, install_tls};

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
    /// It asks to wait longer than we do, or has too much to do after all tries.
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

/// A listing as the registry gave it, and whether it is all.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Listing<T> {
    items: Vec<T>,
    /// Why it was cut; `None`: complete.
    truncated: Option<String>,
}

/// A listing as [`Source`] gives it: what can be asked for further, and what cannot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceListing<T> {
    pub items: Vec<T>,
    /// Why it was cut; `None`: complete.
    pub truncated: Option<String>,
    /// What else it has.
    pub left_out: Vec<LeftOut>,
}

/// Something in a listing that is not asked for further.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// As the registry names it; of what has no name, the digest.
    pub name: String,
    pub why: TagOutcome,
}

impl<T> Listing<T> {
    /// Takes out what `why` gives a reason for. `name`: what an item is called.
    fn sift(self, name: impl Fn(&T) -> &str, why: impl Fn(&str) -> Option<TagOutcome>) -> SourceListing<T> {
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
    /// Something else: the media type or artifact type, or [`DEEP_INDEX`].
    Other(String),
}

/// What an index is said to be whose images lie deeper in other indexes than is followed.
pub const DEEP_INDEX: &str = "an index of indexes of indexes";

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
    /// Something else, as in [`Fetched::Other`].
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
