//! Contents of manifest digests: what images were found to be, and the manifests of Seed images.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::TagOutcome;
use crate::seed::ManifestProblem;

/// The content of one manifest digest. Immutable, because a digest names its bytes: fetched once and kept.
#[derive(Clone, Debug, PartialEq)]
pub struct DigestContent {
    /// Digest of the OCI manifest or index that tags point to, `sha256:…`.
    pub digest: String,
    pub outcome: ContentOutcome,
    /// `os/architecture[/variant]` of each platform, in the order of the index; empty if the image does not name any.
    pub platforms: Vec<String>,
    /// Compressed bytes to pull for the first platform, if the registry gives them.
    pub size: Option<u64>,
    /// Build time of the first platform, if its config gives one.
    pub built_at: Option<DateTime<Utc>>,
    /// Problems of this content, repeated in the report of every scan that finds it.
    pub problems: Vec<ContentProblem>,
    /// The content was taken from the registry's own listing and not checked against the digest. Scans of other
    /// registries that have the digest do not rely on it.
    pub is_hearsay: bool,
    /// The configs read for it, so that they need not be read again.
    pub configs: Vec<KnownConfig>,
}

/// An image config that was read once, by its digest. Only these fields of it are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownConfig {
    pub digest: String,
    /// `os/architecture[/variant]`, as the config states it.
    pub platform: String,
    /// Build time (RFC 3339), as the config states it.
    pub created: String,
    /// The raw Seed label; `None` if there is none.
    pub label: Option<String>,
}

/// How far one registry's scan may rely on the stored content of a digest.
#[derive(Clone, Debug, PartialEq)]
pub enum ContentTrust {
    /// The content is known: checked against the digest, or listed by the scanned registry itself.
    Known(ContentSummary),
    /// Another registry listed this content, and it was not checked against the digest.
    Hearsay,
}

/// The part of a digest's content that a scan needs when it finds the digest again.
#[derive(Clone, Debug, PartialEq)]
pub struct ContentSummary {
    /// The outcome of a tag that points to the digest.
    pub outcome: TagOutcome,
    /// `job.name` of a Seed image, else empty.
    pub job_name: String,
    pub problems: Vec<ContentProblem>,
}

impl DigestContent {
    pub fn summary(&self) -> ContentSummary {
        let (outcome, job_name) = match &self.outcome {
            ContentOutcome::Seed(facts) => (TagOutcome::Seed, facts.job_name.clone()),
            ContentOutcome::Unlabelled => (TagOutcome::Unlabelled, String::new()),
            ContentOutcome::Refused => (TagOutcome::LabelRefused, String::new()),
            ContentOutcome::NotAnImage(what) => (*what, String::new()),
        };
        ContentSummary { outcome, job_name, problems: self.problems.clone() }
    }
}

/// A problem of an image for its admin or author.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContentProblem {
    /// Stable code, as in [`super::NewScanProblem::code`].
    pub code: String,
    pub message: String,
}

/// A stored manifest that was last validated under an older revision of the rules.
#[derive(Clone, Debug, PartialEq)]
pub struct StaleContent {
    pub digest: String,
    pub manifest: String,
    /// As in [`DigestContent::problems`].
    pub problems: Vec<ContentProblem>,
}

/// The result of validating a stored manifest again.
#[derive(Clone, Debug, PartialEq)]
pub struct RevalidatedContent {
    pub digest: String,
    /// As in [`DigestContent::problems`].
    pub problems: Vec<ContentProblem>,
    /// As in [`ManifestFacts::valid`].
    pub valid: bool,
    /// As in [`ManifestFacts::problems`].
    pub manifest_problems: Vec<ManifestProblem>,
}

/// What an image was found to be.
#[derive(Clone, Debug, PartialEq)]
pub enum ContentOutcome {
    /// A Seed image: its label has at least the job name, job version and package version.
    Seed(Box<ManifestFacts>),
    /// A container image without the Seed label.
    Unlabelled,
    /// A labelled image whose label does not identify a job; [`DigestContent::problems`] says why.
    Refused,
    /// Not a container image; the outcome says what it is.
    NotAnImage(TagOutcome),
}

/// The parts of a Seed manifest that the catalogue lists and searches. Absent texts are empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ManifestFacts {
    /// `job.name`
    pub job_name: String,
    /// `job.jobVersion`
    pub job_version: String,
    /// `job.packageVersion`
    pub package_version: String,
    /// `job.title`
    pub title: String,
    /// `job.description`
    pub description: String,
    /// `job.maintainer.name`
    pub maintainer: String,
    /// `job.maintainer.email`
    pub email: String,
    /// `job.maintainer.organization`
    pub maint_org: String,
    /// The manifest's JSON text, as the label holds it after un-escaping.
    pub manifest: String,
    /// Whether the manifest has no errors.
    pub valid: bool,
    /// All findings of the validation.
    pub problems: Vec<ManifestProblem>,
}
