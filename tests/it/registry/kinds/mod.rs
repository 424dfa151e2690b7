//! Deviations of each kind of registry from the distribution API, and the number of requests.

mod acr;
mod archive;
mod artifact_registry;
mod artifactory;
mod container_yard;
mod detect;
mod docker_hub;
mod ecr;
mod ghcr;
mod gitlab;
mod harbor;
mod nexus;
mod quay;
mod zot;

use serde_json::{Value, json};
use silo::catalog::RegistryKind;
use silo::registry::{
    FetchedContent, ImageConfig, ListedTag, RegistryEndpoint, RegistryLimits, RegistrySource, RemoteHosts,
    SourceListing,
};

use super::{assert_fails, limits};
use crate::support::app::{TestApp, manifest, text};
use crate::support::fake_registry::{FakeRegistry, Image, Seen};

/// An endpoint of a kind, with an org and maybe a login.
fn endpoint(registry: &FakeRegistry, kind: RegistryKind, org: &str, login: Option<(&str, &str)>) -> RegistryEndpoint {
    RegistryEndpoint { kind, org: org.to_owned(), ..super::endpoint(&registry.url(), login) }
}

fn open(kind: RegistryKind, url: &str, org: &str, login: Option<(&str, &str)>) -> RegistrySource {
    let endpoint = RegistryEndpoint { kind, org: org.to_owned(), ..super::endpoint(url, login) };
    RegistrySource::open(&endpoint, &limits(), &RemoteHosts::default()).unwrap()
}

async fn detected(url: &str) -> RegistryKind {
    RegistrySource::detect(&super::endpoint(url, None), &limits(), &RemoteHosts::default()).await.unwrap()
}

/// A client of the registry as this kind.
fn open_kind(kind: RegistryKind, registry: &FakeRegistry) -> RegistrySource {
    open_org(kind, registry, "", None)
}

fn open_org(kind: RegistryKind, registry: &FakeRegistry, org: &str, login: Option<(&str, &str)>) -> RegistrySource {
    RegistrySource::open(
        &RegistryEndpoint { kind, org: org.to_owned(), ..super::endpoint(&registry.url(), login) },
        &limits(),
        &RemoteHosts::default(),
    )
    .unwrap()
}

fn open_limited(kind: RegistryKind, registry: &FakeRegistry, pages: u32) -> RegistrySource {
    let limits = RegistryLimits { pages, ..limits() };
    RegistrySource::open(
        &RegistryEndpoint { kind, ..super::endpoint(&registry.url(), None) },
        &limits,
        &RemoteHosts::default(),
    )
    .unwrap()
}

/// An image of a job.
fn seed(name: &str) -> Image {
    Image::new().label(silo::seed::LABEL, manifest(name, "1.0.0", "1.0.0").to_string())
}

fn names(tags: &[ListedTag]) -> Vec<&str> {
    tags.iter().map(|tag| tag.name.as_str()).collect()
}

/// The config of an image.
#[track_caller]
fn config(content: Option<&FetchedContent>) -> &ImageConfig {
    match content {
        Some(FetchedContent::Image(configs)) if configs.len() == 1 => &configs[0],
        other => panic!("no image of one platform: {other:?}"),
    }
}

/// Adds a registry of a kind, all of whose repositories are scanned; returns its id.
async fn add(silo: &TestApp, kind: &str, url: &str, org: &str, mut form: Value) -> i64 {
    for (key, value) in [("name", kind), ("kind", kind), ("url", url), ("org", org)] {
        form[key] = json!(value);
    }
    form["include"] = json!(["*"]);
    silo.admin().post("/api/v1/registries", form).await.expect(201).json()["id"].as_i64().expect("an id")
}

/// The state of the last scan, and the images of the catalogue.
async fn outcome(silo: &TestApp, registry: i64) -> (String, Vec<String>) {
    let scans = silo.admin().get(&format!("/api/v1/scans?registry={registry}")).await.expect(200).json();
    let images = silo.anonymous().get("/images").await.expect(200).json();
    let name = |image: &Value| text(&image["Name"]);
    let mut images: Vec<String> = images.as_array().expect("a list").iter().map(name).collect();
    images.sort();
    (scans["items"][0]["state"].as_str().unwrap_or_else(|| panic!("{scans:#}")).to_owned(), images)
}

/// Names and digests.
fn pairs(listing: &SourceListing<ListedTag>) -> Vec<(&str, Option<&str>)> {
    listing.items.iter().map(|tag| (tag.name.as_str(), tag.digest.as_deref())).collect()
}

/// Adds it to a service as a registry of a kind; returns its id.
async fn add_mine(silo: &TestApp, kind: &str, url: &str, org: &str) -> i64 {
    let form = json!({"name": "mine", "url": url, "org": org, "kind": kind});
    silo.admin().post("/api/v1/registries", form).await.expect(201).json()["id"].as_i64().expect("a number")
}

/// References of all images in the catalogue.
async fn images(silo: &TestApp) -> Vec<String> {
    let found = silo.anonymous().get("/api/v1/search?q=example&kind=image&limit=100").await.expect(200).json();
    let mut images: Vec<_> = found["items"].as_array().expect("a list").iter().map(reference).collect();
    images.sort();
    images
}

fn reference(image: &Value) -> String {
    image["image"].as_str().expect("a text").to_owned()
}

/// Numbers of requests for manifests by tag, for manifests by digest, and for blobs.
fn cost(registry: &FakeRegistry) -> [usize; 3] {
    let by_digest = |seen: &Seen| seen.path.contains("/manifests/sha256:");
    [
        registry.count(|seen| seen.is_manifest() && !by_digest(seen)),
        registry.count(by_digest),
        registry.count(Seen::is_blob),
    ]
}
