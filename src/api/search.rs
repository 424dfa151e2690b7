//! `/api/v1/search` and `/api/v1/suggest`.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::WireWord;
use super::jobs::{JobGroupReply, OriginReply};

/// One page of results, best first unless sorted otherwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SearchReply {
    /// Number on all pages.
    pub total: u64,
    pub items: Vec<SearchItemReply>,
    /// Cursor of the next page; null on the last.
    pub next: Option<String>,
    /// A better spelling of the query.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub did_you_mean: Option<String>,
    /// Counts by facet; only if requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub facets: Option<BTreeMap<WireWord, Vec<FacetCountReply>>>,
}

/// How many results have a value of a facet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FacetCountReply {
    pub value: String,
    pub count: u64,
}

/// A job or an image, with the fields of a result list.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SearchItemReply {
    /// `job` or `image`.
    pub kind: WireWord,
    pub id: i64,
    /// Larger is better; comparable within one search.
    pub score: f32,
    pub name: String,
    pub title: String,
    pub description: String,
    pub job_version: String,
    pub package_version: String,
    pub maintainer: String,
    pub organization: String,
    /// What `docker pull` takes: the image itself, or the job's latest one.
    pub image: String,
    pub image_id: i64,
    /// Whether that image's manifest has no errors.
    pub valid: bool,
    /// Registry and namespace of that image.
    pub origin: OriginReply,
    /// Of a job with several groups (by maintainer): the first few, the one that represents the job first. A single one
    /// would repeat the result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<JobGroupReply>>,
    /// Of a job: number of all groups.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_count: Option<u64>,
    /// Of a job: the matching image, if no image matches that represents the job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub matched: Option<MatchedImageReply>,
    /// Highlighted fields; only if requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub highlights: Option<Vec<HighlightReply>>,
    /// Only if requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<SearchDetailsReply>,
}

/// What a result takes, gives and needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SearchDetailsReply {
    pub tags: Vec<String>,
    pub inputs: Vec<JobPortReply>,
    pub outputs: Vec<JobPortReply>,
    pub resources: Vec<ResourceReply>,
    /// When the image's tag appeared or last moved.
    pub changed_at: DateTime<Utc>,
    /// Number of versions of the job.
    pub versions: u64,
    /// Number of images of the job, in all registries.
    pub images: u64,
}

/// An input or an output of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobPortReply {
    pub name: String,
    /// `file` or `json`.
    pub kind: WireWord,
    /// Of a file; empty if the manifest names none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub media_types: Option<Vec<String>>,
    /// Of a JSON value: its type, such as `number`.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub json_type: Option<String>,
    /// Whether a run needs the input, or always has the output.
    pub required: bool,
    /// Whether it may be several files.
    pub multiple: bool,
}

/// A resource that a job asks for: `value` + `inputMultiplier` × the size of its input files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceReply {
    pub name: String,
    /// Cores for `cpus`; MiB for `mem`, `disk` and `sharedMem`.
    pub value: f64,
    pub input_multiplier: f64,
}

/// The image by which a job was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MatchedImageReply {
    pub title: String,
    pub maintainer: String,
    pub organization: String,
    pub job_version: String,
    pub package_version: String,
    /// What `docker pull` takes.
    pub image: String,
    pub image_id: i64,
    pub origin: OriginReply,
}

/// A field of a result, or a fragment of it, with what matches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HighlightReply {
    /// Name of the field.
    pub field: WireWord,
    pub text: String,
    /// In characters: index of the first one, and of the one after the last.
    pub ranges: Vec<[usize; 2]>,
}

/// What a query that is being typed may become.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SuggestReply {
    /// Completions of the whole query.
    pub completions: Vec<String>,
    /// Jobs that match the text so far, best first.
    pub jobs: Vec<SuggestedJobReply>,
    /// A better spelling of the query.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub did_you_mean: Option<String>,
}

/// A job that matches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SuggestedJobReply {
    pub id: i64,
    pub name: String,
    /// Path of the job's page, to append to the address of the server.
    pub page: String,
    pub title: String,
    pub maintainer: String,
    /// Of the image that represents the job.
    pub origin: OriginReply,
    /// How many groups of origins have a job of this name.
    pub group_count: u64,
}
