//! Images and their content.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{ImageId, ImageOrigin, JobId, JobVersionId, OriginId, RegistryId, TagOutcome};
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

/// A digest that a tag pointed to before it moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastDigest {
    pub digest: String,
    /// When a scan first found it there.
    pub since: DateTime<Utc>,
    /// When a scan found that the tag had moved.
    pub until: DateTime<Utc>,
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

/// A catalogued image: a tag whose content is a Seed image.
#[derive(Clone, Debug, PartialEq)]
pub struct CatalogueImage {
    pub id: ImageId,
    pub registry_id: RegistryId,
    pub job_id: JobId,
    pub job_version_id: JobVersionId,
    /// The origin within its job: its registry and `org`.
    pub origin_id: OriginId,
    /// The registry's name, given by its admin.
    pub registry_name: String,
    /// As in [`ImageOrigin::is_verified`].
    pub is_verified: bool,
    /// As in [`ImageOrigin::represents`].
    pub represents: bool,
    /// Host and port for `docker pull`, without scheme; empty for an image layout on disk.
    pub registry: String,
    /// First path parts of the pull reference: `registry`, `org` and `name`, joined with slashes, are the reference.
    /// May be empty.
    pub org: String,
    /// `repository:tag` below `org`.
    pub name: String,
    pub digest: String,
    pub platforms: Vec<String>,
    /// As in [`DigestContent::size`].
    pub size: Option<u64>,
    /// As in [`DigestContent::built_at`].
    pub built_at: Option<DateTime<Utc>>,
    pub facts: ManifestFacts,
    /// When a scan first saw this tag.
    pub first_seen_at: DateTime<Utc>,
    /// When a scan last found that this tag had moved to another digest.
    pub changed_at: DateTime<Utc>,
}

impl CatalogueImage {
    pub fn origin(&self) -> ImageOrigin {
        ImageOrigin {
            registry_id: self.registry_id,
            registry: self.registry_name.clone(),
            host: self.registry.clone(),
            namespace: self.org.clone(),
            is_verified: self.is_verified,
            represents: self.represents,
        }
    }

    /// The reference for `docker pull`: `registry/org/name`, without empty parts.
    pub fn pull_reference(&self) -> String {
        [&self.registry, &self.org, &self.name]
            .into_iter()
            .filter(|part| !part.is_empty())
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join("/")
    }
}

/// The fields of one image that the search index is built from, one document an image.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SearchDoc {
    pub image_id: i64,
    pub job_id: i64,
    pub job_name: String,
    /// `repository:tag` below `org`.
    pub name: String,
    /// First path parts of the pull reference.
    pub org: String,
    pub title: String,
    pub description: String,
    pub tags: Vec<String>,
    /// Name and email address.
    pub maintainer: String,
    pub maint_org: String,
    /// Names of inputs, and their media types.
    pub inputs: Vec<String>,
    pub input_types: Vec<String>,
    /// Names of outputs, and their media types.
    pub outputs: Vec<String>,
    pub output_types: Vec<String>,
    /// Host and port of the registry.
    pub registry: String,
    pub job_version: String,
    pub package_version: String,
    pub seed_version: String,
    pub platforms: Vec<String>,
    /// Whether it requests a GPU.
    pub gpu: bool,
    /// Whether its manifest has no errors.
    pub valid: bool,
    /// As in [`ImageOrigin::is_verified`].
    pub is_verified: bool,
    /// Whether other origins represent its job.
    pub is_secondary: bool,
    /// When its tag appeared or last moved, in milliseconds since 1970.
    pub changed_at: i64,
}

/// Splits a repository into the `org` of the pull reference (all before the last slash, may be empty) and the rest.
pub fn split_repository(repository: &str) -> (&str, &str) {
    repository.rsplit_once('/').unwrap_or(("", repository))
}
