//! Lists of the catalogue, page by page: what is asked for.

use serde::{Deserialize, Serialize};

use super::{RegistryId, Role};

/// A place in a sorted list: the entry after which a page begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListPosition {
    /// What the list is sorted by.
    pub key: SortKey,
    /// Decides among equals.
    pub id: i64,
}

/// What an entry of a list is sorted by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SortKey {
    Number(i64),
    Text(String),
}

/// One page of a list that is sorted by `T`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListPage<T> {
    pub order: T,
    pub is_descending: bool,
    pub after: Option<ListPosition>,
    pub limit: u32,
}

/// What jobs and users are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameOrder {
    Name,
    Id,
}

/// What images are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageOrder {
    Id,
    /// When the tag came or moved last.
    Changed,
}

/// Which jobs; `None`: whatever it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobFilter {
    pub name: Option<String>,
    pub maintainer: Option<String>,
    pub organization: Option<String>,
    /// With an image in this registry.
    pub registry: Option<RegistryId>,
    /// Whether what represents it is verified.
    pub verified: Option<bool>,
}

/// Which images; `None`: whatever it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageFilter {
    /// Of the job with this name.
    pub job: Option<String>,
    pub job_version: Option<String>,
    pub registry: Option<RegistryId>,
    pub digest: Option<String>,
    /// Whether the manifest has no errors.
    pub valid: Option<bool>,
}

/// Which users; `None`: all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserFilter {
    pub role: Option<Role>,
}
