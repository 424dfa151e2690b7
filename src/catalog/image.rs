//! Images as the catalogue and the search index have them.

use chrono::{DateTime, Utc};

use super::{ImageId, ImageOrigin, JobId, JobVersionId, ManifestFacts, OriginId, RegistryId};

/// A digest that a tag pointed to before it moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastDigest {
    pub digest: String,
    /// When a scan first found it there.
    pub since: DateTime<Utc>,
    /// When a scan found that the tag had moved.
    pub until: DateTime<Utc>,
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
    /// As in [`super::OriginPlace::group_id`].
    pub group_id: OriginId,
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
    /// As in [`super::DigestContent::size`].
    pub size: Option<u64>,
    /// As in [`super::DigestContent::built_at`].
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

    /// The reference with the digest in place of the tag; of an image on disk, which has no registry to ask, the one
    /// with the tag.
    pub fn pinned_reference(&self) -> String {
        let reference = self.pull_reference();
        match reference.rsplit_once(':') {
            Some((repository, _tag)) if !self.registry.is_empty() => format!("{repository}@{}", self.digest),
            _ => reference,
        }
    }
}

/// The fields of one image that the search index is built from, one document an image.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SearchDoc {
    pub image_id: i64,
    pub job_id: i64,
    pub registry_id: i64,
    /// Its origin within its job, and the origin's group.
    pub origin_id: i64,
    pub group_id: i64,
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
