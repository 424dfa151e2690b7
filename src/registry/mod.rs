//! Speaking to registries: the only outgoing HTTP.
//!
//! Everything that comes back is hostile: capped in size, time and count, and checked against its digest. Must never
//! touch the store or interpret the Seed label.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use crate::catalog::RegistryKind;

/// Why a registry did not give what was asked. `Display` is for admins: the thing, the reason, the fix.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    #[error("TODO")]
    NotFound(String),
    #[error("TODO")]
    LoginRequired(String),
    #[error("TODO")]
    WrongPassword(String),
    #[error("TODO")]
    Forbidden(String),
    #[error("TODO")]
    Tls(String),
    #[error("TODO")]
    Timeout(String),
    #[error("TODO")]
    Unreachable(String),
    #[error("TODO")]
    NotARegistry(String),
    #[error("TODO")]
    Throttled(String),
    #[error("TODO")]
    Status(String),
    #[error("TODO")]
    Malformed(String),
    #[error("TODO")]
    Refused(String),
}

pub type Result<T> = std::result::Result<T, Error>;

/// A registry to speak to.
#[derive(Clone, Debug)]
pub struct Endpoint {
    pub kind: RegistryKind,
    /// As the admin gave it: `https://` is meant where it has no scheme; `file:///…` or a path for a layout.
    pub url: String,
    pub username: String,
    pub password: Option<SecretString>,
}

/// Bounds on what one registry may cost us.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Requests in flight.
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
    /// Folders that image layouts may lie in.
    pub layout_roots: Vec<PathBuf>,
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
}

/// What a manifest digest holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// A container image: one entry a distinct config, in the index's order.
    Image(Vec<ImageConfig>),
    /// Something else: the media type or artifact type.
    Other(String),
}

/// One image config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageConfig {
    pub digest: String,
    /// `os/architecture[/variant]`; empty where neither index nor config says.
    pub platform: String,
    pub labels: BTreeMap<String, String>,
}

/// Requests sent and body bytes read so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    pub requests: u64,
    pub bytes: u64,
}

/// An open connection to one registry. Cheap to clone; clones share tokens, limits and counts.
#[derive(Clone)]
pub struct Source {}

impl Source {
    /// Reads the address. Touches neither network nor disk.
    pub fn open(_endpoint: &Endpoint, _limits: &Limits, _clock: &crate::clock::Clock) -> Result<Self> {
        todo!()
    }
    /// `host[:port]` for pull references, without scheme; empty for a layout.
    pub fn host(&self) -> String {
        todo!()
    }
    /// Whether the registry answers, is one, and the credentials work.
    pub async fn ping(&self) -> Result<()> {
        todo!()
    }
    /// All repositories.
    pub async fn repositories(&self) -> Result<Listing<String>> {
        todo!()
    }
    /// All tags of a repository. A repository that is gone, or has no tags, gives an empty listing.
    pub async fn tags(&self, _repository: &str) -> Result<Listing<Tag>> {
        todo!()
    }
    /// The digest that a tag (or digest) points to. `None`: no such tag.
    pub async fn digest(&self, _repository: &str, _tag: &str) -> Result<Option<String>> {
        todo!()
    }
    /// What a manifest digest holds.
    pub async fn fetch(&self, _repository: &str, _digest: &str) -> Result<Fetched> {
        todo!()
    }
    /// What it cost so far.
    pub fn traffic(&self) -> Traffic {
        todo!()
    }
}
