//! Events about Seed images, for clients that follow the catalogue.

use chrono::{DateTime, Utc};

use super::{EventId, ImageId, RegistryId};

/// What happened to an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// The tag now points to a Seed image; before, it did not, or did not exist.
    Added,
    /// The tag of a Seed image now points to another Seed image.
    Changed,
    /// A Seed image was removed: its tag was deleted or points to something else, or its registry was deleted.
    Removed,
}

impl EventKind {
    /// The word used in the API and in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            EventKind::Added => "image.added",
            EventKind::Changed => "image.changed",
            EventKind::Removed => "image.removed",
        }
    }

    /// Parses the word; `None` if it is unknown.
    pub fn parse(word: &str) -> Option<EventKind> {
        use EventKind::{Added, Changed, Removed};
        [Added, Changed, Removed].into_iter().find(|kind| kind.as_str() == word)
    }
}

/// One event. Its names are those at the time of the event: the registry and the image may no longer exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageEvent {
    pub id: EventId,
    pub kind: EventKind,
    pub at: DateTime<Utc>,
    pub registry_id: RegistryId,
    /// The registry's name.
    pub registry: String,
    pub repository: String,
    pub tag: String,
    /// The digest the tag points to now; of a removed image, the one it pointed to.
    pub digest: String,
    pub image_id: ImageId,
    pub job_name: String,
    pub job_version: String,
    pub package_version: String,
    pub title: String,
}

/// Filter of events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventQuery {
    /// Only events of this registry.
    pub registry: Option<RegistryId>,
    /// Only images of the job with this name.
    pub job: Option<String>,
}

/// Filter of the newest events, by what people type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Only events of the registry with this name.
    pub registry: Option<String>,
    /// Only images whose job's name, title or repository contains this text, in any case.
    pub word: Option<String>,
}
