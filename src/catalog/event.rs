//! Events: what became of Seed images, for those who follow the catalogue.

use chrono::{DateTime, Utc};

use super::{EventId, ImageId, RegistryId};

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// A tag is a Seed image, and was none or did not exist.
    Added,
    /// The tag of a Seed image points to another one.
    Changed,
    /// A Seed image is gone: its tag is, or points to something else, or its registry was deleted.
    Removed,
}

impl EventKind {
    /// The word on the wire and in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            EventKind::Added => "image.added",
            EventKind::Changed => "image.changed",
            EventKind::Removed => "image.removed",
        }
    }

    /// Reads the word; `None` for any other.
    pub fn parse(word: &str) -> Option<EventKind> {
        use EventKind::{Added, Changed, Removed};
        [Added, Changed, Removed].into_iter().find(|kind| kind.as_str() == word)
    }
}

/// One event. Names are as they were then: the registry and the image may be gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub id: EventId,
    pub kind: EventKind,
    pub at: DateTime<Utc>,
    pub registry_id: RegistryId,
    /// The registry's name.
    pub registry: String,
    pub repository: String,
    pub tag: String,
    /// Where the tag points now; of a removed image, where it pointed.
    pub digest: String,
    pub image_id: ImageId,
    pub job_name: String,
    pub job_version: String,
    pub package_version: String,
    pub title: String,
}

/// Which events are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventQuery {
    /// Of one registry only.
    pub registry: Option<RegistryId>,
    /// Of images of the job with this name only.
    pub job: Option<String>,
}
