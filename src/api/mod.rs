//! The JSON of `/api/v1` as types: replies, which `http` fills and `client` and `cli` read, and plain forms. Pure.
//!
//! - A type is what the wire has, no more: conversions from the catalogue's and the engine's types are in `http`.
//! - Words of closed lists (states, kinds, roles) are [`WireWord`]s: a newer server may send words that this program does
//!   not know, and that must not make a whole reply unreadable. The catalogue's types parse them.
//! - A field that is missing makes a reply unreadable, unless it may be null. So a field that is added after a release
//!   needs `#[serde(default)]`: older servers do not send it. Unknown fields are ignored.
//! - Times are RFC 3339 in UTC.

pub mod batches;
pub mod events;
pub mod images;
pub mod jobs;
pub mod problem;
pub mod registries;
pub mod runs;
pub mod samples;
pub mod scans;
pub mod search;
pub mod sessions;
pub mod system;
pub mod users;

use std::borrow::Cow;

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize, Serializer};

/// A word of a closed list, such as `running`. Its type in the catalogue has `as_str` and `parse`.
pub type WireWord = Cow<'static, str>;

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PageReply<T> {
    pub items: Vec<T>,
    /// Cursor of the next page; null on the last.
    pub next: Option<String>,
}

/// A list that is sent whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WholeListReply<T> {
    pub items: Vec<T>,
}

/// Versions of the program and of the standard: `GET /api/v1/version`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VersionReply {
    /// Version of the server's program.
    pub version: WireWord,
    /// Version of the Seed standard that manifests are validated against.
    pub seed_version: WireWord,
}

/// Writes a secret into the one reply or form that carries it.
fn exposed<S: Serializer>(secret: &SecretString, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(secret.expose_secret())
}

fn exposed_if_given<S: Serializer>(secret: &Option<SecretString>, to: S) -> Result<S::Ok, S::Error> {
    match secret {
        Some(secret) => exposed(secret, to),
        None => to.serialize_none(),
    }
}
