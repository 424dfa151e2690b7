//! `GET /`: the list of routes, which Marathon and Scale use as a health probe. Needs no database.

use axum::Json;
use serde::Serialize;

/// Name, method and pattern of each route, as the old service listed them, in its order of matching.
pub const INDEX: [(&str, &str, &str); 24] = [
    ("Index", "GET", "/"),
    ("AddRegistry", "POST", "/registries/add"),
    ("DeleteRegistry", "DELETE", "/registries/delete/{id}"),
    ("ListRegistries", "GET", "/registries"),
    ("ScanRegistries", "GET", "/registries/scan"),
    ("Registry", "GET", "/registries/{id}"),
    ("ScanRegistry", "GET", "/registries/{id}/scan"),
    ("ListImages", "GET", "/images"),
    ("SearchImages", "GET", "/images/search/{query}"),
    ("SearchJobs", "GET", "/jobs/search/{query}"),
    ("Image", "GET", "/images/{id}"),
    ("ImageManifest", "GET", "/images/{id:[0-9]+}/manifest"),
    ("JITImageManifest", "GET", "/images/manifest/{registry}/{image:.+}"),
    ("ListJobs", "GET", "/jobs"),
    ("Job", "GET", "/jobs/{id}"),
    ("JobVersions", "GET", "/jobs/{id}/job-versions"),
    ("ListJobVersions", "GET", "/job-versions"),
    ("JobVersion", "GET", "/job-versions/{id}"),
    ("Login", "POST", "/login"),
    ("User", "GET", "/users/{id}"),
    ("AddUser", "POST", "/users/add"),
    ("DeleteUser", "DELETE", "/users/delete/{id}"),
    ("ListUsers", "GET", "/users"),
    ("PreflightOptions", "OPTIONS", "/*"),
];

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct LegacyRouteEntry {
    name: &'static str,
    method: &'static str,
    pattern: &'static str,
}

pub(crate) fn list() -> Json<Vec<LegacyRouteEntry>> {
    Json(INDEX.iter().map(|&(name, method, pattern)| LegacyRouteEntry { name, method, pattern }).collect())
}
