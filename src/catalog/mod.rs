//! What SILO knows: registries, the images found in them, the jobs derived from the images, scans, runs and users.
//!
//! Pure: no IO, no async, no time of day, no logging. Depends on `seed` only.

mod derive;
mod diff;
mod event;
mod image;
mod job;
mod list;
mod origin;
mod outcome;
mod registry;
mod run;
mod scan;
mod user;

pub use derive::{CataloguedImage, DerivedJob, DerivedVersion, derive_jobs};
pub use diff::{Changes, FoundTag, StoredTag, diff};
pub use event::{Event, EventKind, EventQuery};
pub use image::{
    Content, ContentProblem, ContentSummary, Image, Judgement, KnownConfig, ManifestFacts, Outcome, PastDigest,
    SearchDoc, StaleContent, Standing, split_repository,
};
pub use job::{Job, JobSummary, JobVersion, JobVersionSummary};
pub use list::{ImageFilter, ImageOrder, JobFilter, ListPage, ListPosition, NameOrder, SortKey, UserFilter};
pub use origin::{JobGroup, JobOrigin, KnownOrigin, Maintainer, Origin, OriginPlace, maintainer_key, place_origins};
pub use outcome::{OutcomeGroup, TagCounts, TagOutcome};
pub use registry::{NewRegistry, Registry, RegistryKind, RepositoryFilter, VerifiedMarks, naming_advice};
pub use run::{LONGEST_RETRY_WAIT, RunCounts, RunFilter, RunPhase, RunStatus, RunSummary, Upload};
pub use scan::{
    Hint, NewScanProblem, Repository, RepositoryState, Scan, ScanCounts, ScanProblem, ScanState, ScanTrigger,
};
pub use user::{Role, User};

/// Declares row identifiers: distinct types, so that a registry's id is never taken for an image's.
macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    )+};
}

ids! {
    /// A registry's row.
    RegistryId,
    /// An image's row: one tag of one repository of one registry. Stays while the tag exists, also when it moves.
    ImageId,
    /// A job's row: one job name, over all registries.
    JobId,
    /// A job version's row: one version of one job.
    JobVersionId,
    /// A row of a job's origin. Stays while it has images of the job; the lower, the earlier it was seen.
    OriginId,
    /// A scan's row.
    ScanId,
    /// A hint's row.
    HintId,
    /// An event's row. Events become visible in the order of their ids.
    EventId,
    /// A user's row.
    UserId,
}
