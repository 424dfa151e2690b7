//! What each kind of registry does otherwise than the distribution API.

mod acr;
mod artifact_registry;
mod artifactory;
mod container_yard;
mod ecr;
mod nexus;

use serde_json::{Value, json};
use silo::catalog::RegistryKind;
use silo::registry::{Endpoint, Limits, Source};

use super::{endpoint, limits};
use crate::support::app::{TestApp, manifest};
use crate::support::fake_registry::{FakeRegistry, Image, Seen};

/// A connection to it as a registry of this kind.
fn open_kind(kind: RegistryKind, registry: &FakeRegistry) -> Source {
    open_org(kind, registry, "", None)
}

fn open_org(kind: RegistryKind, registry: &FakeRegistry, org: &str, login: Option<(&str, &str)>) -> Source {
    Source::open(&Endpoint { kind, org: org.to_owned(), ..endpoint(&registry.url(), login) }, &limits()).unwrap()
}

fn open_limited(kind: RegistryKind, registry: &FakeRegistry, pages: u32) -> Source {
    let limits = Limits { pages, ..limits() };
    Source::open(&Endpoint { kind, ..endpoint(&registry.url(), None) }, &limits).unwrap()
}

/// An image of a job.
fn seed(name: &str) -> Image {
    Image::new().label(silo::seed::LABEL, manifest(name, "1.0.0", "1.0.0").to_string())
}

/// Adds it to a service as a registry of a kind.
async fn add(silo: &TestApp, kind: &str, url: &str, org: &str) -> i64 {
    let form = json!({"name": "mine", "url": url, "org": org, "kind": kind});
    silo.admin().post("/api/v1/registries", form).await.expect(201).json()["id"].as_i64().expect("a number")
}

/// The references of all images in the catalogue.
async fn images(silo: &TestApp) -> Vec<String> {
    let found = silo.anonymous().get("/api/v1/search?q=example&kind=image&limit=100").await.expect(200).json();
    let mut images: Vec<_> = found["items"].as_array().expect("a list").iter().map(reference).collect();
    images.sort();
    images
}

fn reference(image: &Value) -> String {
    image["image"].as_str().expect("a text").to_owned()
}

/// Requests for manifests by tag, by digest, and for blobs.
fn cost(registry: &FakeRegistry) -> [usize; 3] {
    let by_digest = |seen: &Seen| seen.path.contains("/manifests/sha256:");
    [
        registry.count(|seen| seen.is_manifest() && !by_digest(seen)),
        registry.count(by_digest),
        registry.count(Seen::is_blob),
    ]
}
