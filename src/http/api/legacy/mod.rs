//! The legacy interface, on which Scale, Scale UI, seed-vault and curl scripts rely. Field names, case and order are
//! the old service's, and are used nowhere else.

mod accounts;
mod images;
mod index;
mod jobs;
mod registries;
mod views;

use axum::Json;
use http::Method;
use serde_json::{Value, json};

use crate::http::admission::LONGEST_LOGIN;
use crate::http::routes::{RouteAccess, RouteTable};

pub use index::INDEX;
pub(crate) use index::list as route_list;

pub(crate) fn add(routes: RouteTable) -> RouteTable {
    use RouteAccess::{Admin, Anyone};
    const DELETE: Method = Method::DELETE;
    const GET: Method = Method::GET;
    const POST: Method = Method::POST;
    // The old service scanned on GET, although a scan changes data; POST does the same.
    routes
        .add_capped(POST, "/login", Anyone, accounts::login, LONGEST_LOGIN)
        .add(POST, "/registries/add", Admin, registries::add)
        .add(DELETE, "/registries/delete/{id}", Admin, registries::delete)
        .add(GET, "/registries", Anyone, registries::list)
        .add(GET, "/registries/scan", Admin, registries::scan_all)
        .add(POST, "/registries/scan", Admin, registries::scan_all)
        .add(GET, "/registries/{id}", Anyone, registries::get)
        .add(GET, "/registries/{id}/scan", Admin, registries::scan_one)
        .add(POST, "/registries/{id}/scan", Admin, registries::scan_one)
        .add(GET, "/images", Anyone, images::list)
        .add(GET, "/images/search/{*query}", Anyone, images::search)
        .add(GET, "/images/{id}", Anyone, images::get)
        .add(GET, "/images/{id}/manifest", Anyone, images::manifest)
        .add(GET, "/images/manifest/{registry}/{*image}", Anyone, images::remote_manifest)
        .add(GET, "/jobs", Anyone, jobs::list)
        .add(GET, "/jobs/search/{*query}", Anyone, jobs::search)
        .add(GET, "/jobs/{id}", Anyone, jobs::get)
        .add(GET, "/jobs/{id}/job-versions", Anyone, jobs::versions)
        .add(GET, "/job-versions", Anyone, jobs::version_list)
        .add(GET, "/job-versions/{id}", Anyone, jobs::version_get)
        // Whether the list is open is configured, so the handler checks access.
        .add(GET, "/users", Anyone, accounts::list)
        .add(GET, "/users/{id}", Admin, accounts::get)
        .add(POST, "/users/add", Admin, accounts::add)
        .add(DELETE, "/users/delete/{id}", Admin, accounts::delete)
}

/// The reply to deletions, also if there was nothing to delete.
fn success() -> Json<Value> {
    Json(json!({ "result": "success" }))
}
