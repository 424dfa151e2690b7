//! Requests for pages of the catalogue's lists: filter, order, cursor.

use serde::{Deserialize, Serialize};

use super::{RegistryId, UserRole};

/// A cursor in a sorted list: the entry after which a page begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListPosition {
    /// Sort key of the entry.
    pub key: SortKey,
    /// Id of the entry, the tie-breaker.
    pub id: i64,
}

/// A value that a list is sorted by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SortKey {
    Number(i64),
    Text(String),
}

/// Request for one page of a list that is sorted by `T`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListPage<T> {
    pub order: T,
    pub is_descending: bool,
    pub after: Option<ListPosition>,
    pub limit: u32,
}

/// Sort order of jobs and users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameOrder {
    Name,
    Id,
}

/// Sort order of images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageOrder {
    Id,
    /// When the tag appeared or last moved.
    Changed,
}

/// Filter of jobs; `None` does not filter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobFilter {
    pub name: Option<String>,
    pub maintainer: Option<String>,
    pub organization: Option<String>,
    /// Jobs with an image in this registry.
    pub registry: Option<RegistryId>,
    /// Whether the origin that represents the job is verified.
    pub verified: Option<bool>,
}

/// Filter of images; `None` does not filter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageFilter {
    /// Images of the job with this name.
    pub job: Option<String>,
    pub job_version: Option<String>,
    pub registry: Option<RegistryId>,
    pub digest: Option<String>,
    /// Whether the manifest has no errors.
    pub valid: Option<bool>,
}

/// Filter of users; `None` does not filter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserFilter {
    pub role: Option<UserRole>,
}
