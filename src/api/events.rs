//! `/api/v1/events`.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::WireWord;

/// An image was added, changed or removed; also the data of the stream's events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventReply {
    pub id: i64,
    /// See [`crate::catalog::EventKind`].
    pub kind: WireWord,
    pub at: DateTime<Utc>,
    pub registry_id: i64,
    /// The registry's name.
    pub registry: String,
    pub repository: String,
    pub tag: String,
    pub digest: String,
    /// `/api/v1/images/{id}` of an image that was removed since answers 404.
    pub image_id: i64,
    pub job_name: String,
    pub job_version: String,
    pub package_version: String,
    pub title: String,
}

/// One page of events. Unlike other lists, it always has a next one, as there will be more events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventPageReply {
    pub items: Vec<EventReply>,
    /// Cursor to pass as `after`.
    pub next: String,
    /// Whether events after the requested one are lost.
    pub missed: bool,
}
