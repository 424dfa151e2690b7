//! Images and what is inside them.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{ImageId, JobId, JobVersionId, Origin, OriginId, RegistryId, TagOutcome};
use crate::seed::Problem;

/// What one manifest digest holds. Immutable: a digest names its bytes, so this is fetched once and kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Content {
    /// Digest of the OCI manifest or index that tags point to, `sha256:…`.
    pub digest: String,
    pub outcome: Outcome,
    /// `os/architecture[/variant]` of each platform, in the index's order; empty where the image does not say.
    pub platforms: Vec<String>,
    /// Bytes to pull (compressed) for the first platform, where the registry says.
    pub size: Option<u64>,
    /// When the first platform was built, where its config says.
    pub built_at: Option<DateTime<Utc>>,
    /// What is worth telling about this content in the report of every scan that sees it.
    pub problems: Vec<ContentProblem>,
    /// It is only the word of the registry that was scanned: nothing was checked against the digest. Another registry
    /// that has the same digest does not take its word.
    pub is_hearsay: bool,
    /// The configs that were read for it, to be known again.
    pub configs: Vec<KnownConfig>,
}

/// An image config that was read once, by its digest. What else it held was nothing to us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownConfig {
    pub digest: String,
    /// `os/architecture[/variant]`, as the config itself says.
    pub platform: String,
    /// When it was built (RFC 3339), as the config says.
    pub created: String,
    /// Its raw Seed label; `None`: it has none.
    pub label: Option<String>,
}

/// How far the store's knowledge of a digest goes, for one registry.
#[derive(Clone, Debug, PartialEq)]
pub enum Standing {
    /// What it holds is known.
    Known(ContentSummary),
    /// Another registry said what it holds, and nobody has checked it.
    Hearsay,
}

/// What a scan needs to know of a digest that it meets again.
#[derive(Clone, Debug, PartialEq)]
pub struct ContentSummary {
    /// What a tag that points there comes to.
    pub outcome: TagOutcome,
    /// `job.name` of a Seed image, else empty.
    pub job_name: String,
    pub problems: Vec<ContentProblem>,
}

impl Content {
    pub fn summary(&self) -> ContentSummary {
        let (outcome, job_name) = match &self.outcome {
            Outcome::Seed(facts) => (TagOutcome::Seed, facts.job_name.clone()),
            Outcome::Unlabelled => (TagOutcome::Unlabelled, String::new()),
            Outcome::Refused => (TagOutcome::LabelRefused, String::new()),
            Outcome::NotAnImage(what) => (*what, String::new()),
        };
        ContentSummary { outcome, job_name, problems: self.problems.clone() }
    }
}

/// Something wrong with an image that an admin or its author should know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContentProblem {
    /// Stable word, as in [`super::ScanProblem::code`].
    pub code: String,
    pub message: String,
}

/// Where a tag pointed before it moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastDigest {
    pub digest: String,
    /// When a scan first saw it there.
    pub since: DateTime<Utc>,
    /// When a scan saw the tag somewhere else.
    pub until: DateTime<Utc>,
}

/// A stored manifest that older rules judged.
#[derive(Clone, Debug, PartialEq)]
pub struct StaleContent {
    pub digest: String,
    pub manifest: String,
    /// As in [`Content::problems`].
    pub problems: Vec<ContentProblem>,
}

/// What judging it again gave.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    pub digest: String,
    /// As in [`Content::problems`].
    pub problems: Vec<ContentProblem>,
    /// As in [`ManifestFacts::valid`].
    pub valid: bool,
    /// As in [`ManifestFacts::problems`].
    pub manifest_problems: Vec<Problem>,
}

/// What looking into an image gave.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// A Seed image: its label gives at least job name, job version and package version.
    Seed(Box<ManifestFacts>),
    /// A container image without the Seed label.
    Unlabelled,
    /// A labelled image whose label does not identify a job; [`Content::problems`] says why.
    Refused,
    /// Not a container image at all: which of the outcomes of such tags.
    NotAnImage(TagOutcome),
}

/// The parts of a Seed manifest that the catalogue lists and searches. Texts are never null.
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
    /// Everything that validation found.
    pub problems: Vec<Problem>,
}

/// A catalogued image: a tag whose content is a Seed image.
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    pub id: ImageId,
    pub registry_id: RegistryId,
    pub job_id: JobId,
    pub job_version_id: JobVersionId,
    /// Of its job: its registry and `org`.
    pub origin_id: OriginId,
    /// The registry's name, as its admin gave it.
    pub registry_name: String,
    /// As in [`Origin::is_verified`].
    pub is_verified: bool,
    /// As in [`Origin::represents`].
    pub represents: bool,
    /// Host and port for `docker pull`, without scheme; empty for an image layout on disk.
    pub registry: String,
    /// First path parts of the pull reference; `registry` + `org` + `name` concatenate to it. May be empty.
    pub org: String,
    /// `repository:tag` below `org`.
    pub name: String,
    pub digest: String,
    pub platforms: Vec<String>,
    /// As in [`Content::size`].
    pub size: Option<u64>,
    /// As in [`Content::built_at`].
    pub built_at: Option<DateTime<Utc>>,
    pub facts: ManifestFacts,
    /// When a scan first saw this tag.
    pub first_seen_at: DateTime<Utc>,
    /// When a scan last saw this tag point to another digest.
    pub changed_at: DateTime<Utc>,
}

impl Image {
    pub fn origin(&self) -> Origin {
        Origin {
            registry_id: self.registry_id,
            registry: self.registry_name.clone(),
            host: self.registry.clone(),
            namespace: self.org.clone(),
            is_verified: self.is_verified,
            represents: self.represents,
        }
    }

    /// What `docker pull` takes: `registry/org/name`, without empty parts.
    pub fn pull_reference(&self) -> String {
        [&self.registry, &self.org, &self.name]
            .into_iter()
            .filter(|part| !part.is_empty())
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join("/")
    }
}

/// What the search index is made from: one document an image.
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
    /// Name and e-mail address.
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
    /// It asks for a GPU.
    pub gpu: bool,
    /// Its manifest has no errors.
    pub valid: bool,
    /// As in [`Origin::is_verified`].
    pub is_verified: bool,
    /// Other origins represent its job.
    pub is_secondary: bool,
    /// When its tag came or last moved, in milliseconds since 1970.
    pub changed_at: i64,
}

/// Splits a repository into the pull reference's `org` (everything before the last slash, may be empty) and the rest.
pub fn split_repository(repository: &str) -> (&str, &str) {
    repository.rsplit_once('/').unwrap_or(("", repository))
}
