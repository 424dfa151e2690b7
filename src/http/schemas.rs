//! The Seed standard as JSON Schema, for editors and other programs.

use axum::Json;
use axum::response::IntoResponse;
use http::{Method, header};
use serde::Serialize;

use super::routes::{RouteAccess, RouteTable};
use crate::seed::spec::{PublishedSchema, json_schema};

/// A released version of the standard does not change; our descriptions in it may.
const CACHE: (header::HeaderName, &str) = (header::CACHE_CONTROL, "public, max-age=3600");

pub(super) fn add(routes: RouteTable) -> RouteTable {
    PublishedSchema::ALL.into_iter().fold(
        routes.add(Method::GET, "/schemas", RouteAccess::Anyone, list),
        |routes, document| {
            routes.add(Method::GET, path(document), RouteAccess::Anyone, move || async move { schema(document) })
        },
    )
}

fn path(document: PublishedSchema) -> &'static str {
    match document {
        PublishedSchema::Manifest => "/schemas/seed/1.0.0/manifest.json",
        PublishedSchema::Metadata => "/schemas/seed/1.0.0/metadata.json",
    }
}

/// A schema in the list. Its URL has no host: a proxy may have another name, or add a prefix.
#[derive(Serialize)]
struct SchemaEntry {
    title: &'static str,
    url: &'static str,
}

async fn list() -> impl IntoResponse {
    let entries = PublishedSchema::ALL.map(|document| SchemaEntry { title: document.title(), url: path(document) });
    ([CACHE], Json(entries))
}

fn schema(document: PublishedSchema) -> impl IntoResponse {
    ([CACHE, (header::CONTENT_TYPE, "application/schema+json")], json_schema(document))
}
