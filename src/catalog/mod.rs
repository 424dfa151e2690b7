//! The data model: registries, the images found in them, the jobs derived from the images, scans, runs and users.
//!
//! Pure: no IO, no async, no time of day, no logging. Depends on `seed` only.

mod content;
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
mod visibility;

pub use content::{
    ContentOutcome, ContentProblem, ContentSummary, ContentTrust, DigestContent, KnownConfig, ManifestFacts,
    RevalidatedContent, StaleContent,
};
pub use derive::{DerivationImage, DerivedJob, DerivedVersion, derive_jobs};
pub use diff::{FoundTag, StoredTag, TagChanges, diff};
pub use event::{EventFilter, EventKind, EventQuery, ImageEvent};
pub use image::{CatalogueImage, PastDigest, SearchDoc, split_repository};
pub use job::{CatalogueJob, ImagePlace, JobPackageSummary, JobSize, JobSummary, JobVersion, JobVersionSummary};
pub use list::{ImageFilter, ImageOrder, JobFilter, ListPage, ListPosition, NameOrder, SortKey, UserFilter};
pub use origin::{
    ImageOrigin, JobGroup, JobOrigin, KnownOrigin, MaintainerContact, OriginPlace, maintainer_key, place_origins,
};
pub use outcome::{OutcomeGroup, TagCounts, TagOutcome};
pub use registry::{
    NewRegistry, RegistryKind, RegistryLoss, RegistryRecord, RegistrySize, RepositoryFilter, SecretChange,
    VerifiedMarks, naming_advice,
};
pub use run::{
    BatchErrorCount, BatchSummary, LONGEST_RETRY_WAIT, RunCounts, RunFilter, RunPhase, RunStatus, RunSummary,
    UploadedFile,
};
pub use scan::{
    ChangeHint, NewScanProblem, RepositoryState, SCAN_PROBLEM_CODES, ScanCounts, ScanProblem, ScanProblemCount,
    ScanRecord, ScanState, ScanTrigger, ScannedRepository,
};
pub use user::{SessionKind, SessionRecord, UserAccount, UserOverview, UserRole};
pub use visibility::{
    CatalogueReader, CatalogueView, ClosedRegistry, RegistryMembers, RegistryMembership, RegistryVisibility, UserGroup,
};

/// Declares row ids as distinct types, so that the compiler rejects a registry's id where an image's is expected.
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
    /// Id of a registry.
    RegistryId,
    /// Id of an image: one tag of one repository of one registry. Stays the same while the tag exists, also when it
    /// moves.
    ImageId,
    /// Id of a job: one job name, over all registries.
    JobId,
    /// Id of a job version: one version of one job.
    JobVersionId,
    /// Id of an origin of a job. Stays the same while the origin has images of the job; lower ids were seen earlier.
    OriginId,
    /// Id of a scan.
    ScanId,
    /// Id of a hint.
    HintId,
    /// Id of an event. Events become visible in the order of their ids.
    EventId,
    /// Id of a user.
    UserId,
}
