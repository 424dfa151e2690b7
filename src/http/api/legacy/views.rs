//! Wire types of the legacy interface. The order of fields is part of the contract; texts and lists are never null.

use serde::Serialize;
use serde_json::Value;

use crate::app::JobDetail;
use crate::catalog::{CatalogueImage, RegistryRecord, UserAccount};
use crate::seed::manifest;
use crate::store::JobVersionWithImages;

/// A registry in a list.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct LegacyRegistryView {
    #[serde(rename = "ID")]
    id: i64,
    name: String,
    url: String,
    org: String,
}

impl From<RegistryRecord> for LegacyRegistryView {
    fn from(registry: RegistryRecord) -> Self {
        Self { id: registry.id.0, name: registry.name, url: registry.url, org: registry.org }
    }
}

/// A single registry. The key `Password` remains for old clients, always empty.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct LegacyRegistryDetailView {
    #[serde(flatten)]
    registry: LegacyRegistryView,
    username: String,
    password: &'static str,
}

impl LegacyRegistryDetailView {
    pub(super) fn new(registry: RegistryRecord, show_username: bool) -> Self {
        let username = if show_username { registry.username.clone() } else { String::new() };
        Self { registry: registry.into(), username, password: "" }
    }
}

/// A user.
#[derive(Serialize)]
pub(super) struct LegacyUserView {
    #[serde(rename = "ID")]
    id: i64,
    username: String,
    role: &'static str,
}

impl From<UserAccount> for LegacyUserView {
    fn from(user: UserAccount) -> Self {
        Self { id: user.id.0, username: user.username, role: user.role.as_str() }
    }
}

/// A user just added. The key `password` remains for old clients, always empty.
#[derive(Serialize)]
pub(super) struct LegacyNewUserView {
    #[serde(rename = "ID")]
    id: i64,
    username: String,
    password: &'static str,
    role: &'static str,
}

impl From<UserAccount> for LegacyNewUserView {
    fn from(user: UserAccount) -> Self {
        Self { id: user.id.0, username: user.username, password: "", role: user.role.as_str() }
    }
}

/// An image in a list.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct LegacyImageItemView {
    #[serde(rename = "ID")]
    id: i64,
    registry_id: i64,
    name: String,
    registry: String,
    org: String,
    job_name: String,
    title: String,
    maintainer: String,
    email: String,
    maint_org: String,
    description: String,
    job_version: String,
    package_version: String,
}

impl From<CatalogueImage> for LegacyImageItemView {
    fn from(image: CatalogueImage) -> Self {
        Self {
            id: image.id.0,
            registry_id: image.registry_id.0,
            name: image.name,
            registry: image.registry,
            org: image.org,
            job_name: image.facts.job_name,
            title: image.facts.title,
            maintainer: image.facts.maintainer,
            email: image.facts.email,
            maint_org: image.facts.maint_org,
            description: image.facts.description,
            job_version: image.facts.job_version,
            package_version: image.facts.package_version,
        }
    }
}

/// A single image; some keys differ from those in a list.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct LegacyImageView {
    #[serde(rename = "ID")]
    id: i64,
    registry_id: i64,
    job_id: i64,
    job_version_id: i64,
    full_name: String,
    short_name: String,
    title: String,
    maintainer: String,
    email: String,
    maint_org: String,
    job_version: String,
    package_version: String,
    description: String,
    registry: String,
    org: String,
    /// The label's text after unescaping, byte for byte.
    manifest: String,
    /// The parsed manifest, with the standard's defaults.
    seed: Value,
}

impl From<CatalogueImage> for LegacyImageView {
    fn from(image: CatalogueImage) -> Self {
        Self {
            id: image.id.0,
            registry_id: image.registry_id.0,
            job_id: image.job_id.0,
            job_version_id: image.job_version_id.0,
            full_name: image.name,
            short_name: image.facts.job_name,
            title: image.facts.title,
            maintainer: image.facts.maintainer,
            email: image.facts.email,
            maint_org: image.facts.maint_org,
            job_version: image.facts.job_version,
            package_version: image.facts.package_version,
            description: image.facts.description,
            registry: image.registry,
            org: image.org,
            seed: manifest::with_defaults(&image.facts.manifest),
            manifest: image.facts.manifest,
        }
    }
}

/// A job.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct LegacyJobView {
    #[serde(rename = "ID")]
    pub(super) id: i64,
    name: String,
    latest_job_version: String,
    latest_package_version: String,
    title: String,
    maintainer: String,
    email: String,
    maint_org: String,
    description: String,
    #[serde(rename = "ImageIDs")]
    image_ids: Vec<i64>,
    job_versions: Vec<LegacyJobVersionView>,
}

impl From<JobDetail> for LegacyJobView {
    fn from(detail: JobDetail) -> Self {
        let JobDetail { job, versions } = detail;
        Self {
            id: job.id.0,
            name: job.name,
            latest_job_version: job.latest_job_version,
            latest_package_version: job.latest_package_version,
            title: job.title,
            maintainer: job.maintainer,
            email: job.email,
            maint_org: job.maint_org,
            description: job.description,
            image_ids: versions.iter().flat_map(|version| &version.images).map(|image| image.id.0).collect(),
            job_versions: versions.into_iter().map(LegacyJobVersionView::from).collect(),
        }
    }
}

/// A job version.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct LegacyJobVersionView {
    #[serde(rename = "ID")]
    id: i64,
    job_name: String,
    job_id: i64,
    job_version: String,
    latest_package_version: String,
    images: Vec<LegacyImageItemView>,
}

impl From<JobVersionWithImages> for LegacyJobVersionView {
    fn from(version: JobVersionWithImages) -> Self {
        let JobVersionWithImages { job_version, images } = version;
        Self {
            id: job_version.id.0,
            job_name: job_version.job_name,
            job_id: job_version.job_id.0,
            job_version: job_version.job_version,
            latest_package_version: job_version.latest_package_version,
            images: images.into_iter().map(LegacyImageItemView::from).collect(),
        }
    }
}
