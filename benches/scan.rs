//! How fast a registry becomes searchable, compared with the registry's limit and with a client that sends one request
//! after the other. `cargo bench --bench scan`; see `docs/benchmarks.md`.

#[allow(dead_code, reason = "shared with the other benchmarks")]
mod bare;
#[allow(dead_code, reason = "shared with the other benchmarks")]
mod jobs;
mod service;

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::{StreamExt as _, stream};
use http::Method;
use serde_json::Value;
use silo::app::SearchOptions;
use silo::catalog::{RegistryKind, ScanState};
use silo::seed::LABEL;

use bare::Ask;
use service::Service;
use silo_testkit::docker_registry::DockerRegistry;
use silo_testkit::figures::{self, Times, line, ratio};
use silo_testkit::layout::LayoutBuilder;

const REPOSITORIES: usize = 200;
const TAGS: usize = 10;
const CONCURRENCY: usize = 16;
const ROUNDS: usize = 3;

const JSON: &str = "application/json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// An image in the registry.
struct Pushed {
    repository: String,
    tag: String,
    config: String,
}

#[tokio::main]
async fn main() {
    let repositories = figures::size(REPOSITORIES);
    let registry = DockerRegistry::open().await;
    let images = fill(&registry, repositories).await;
    let tags = images.len();
    println!("{tags} tags in {repositories} repositories, {CONCURRENCY} requests at once, {ROUNDS} rounds");

    let listing = listing(&images);
    let heads: Vec<Ask> = images.iter().map(|image| by_tag(Method::HEAD, image)).collect();
    let all_again = Arc::new([listing.clone(), heads].concat());
    let all = Arc::new([listing, images.iter().flat_map(by_tag_and_config).collect()].concat());

    let [mut ceiling, mut ceiling_again, mut serial, mut first, mut again] = [(); 5].map(|()| Times::default());
    let (mut memory_before, mut memory, mut requests) = (String::new(), String::new(), (0, 0));
    for _ in 0..ROUNDS {
        ceiling.add(bare::ask_all(&registry.host(), &all, CONCURRENCY).await);
        ceiling_again.add(bare::ask_all(&registry.host(), &all_again, CONCURRENCY).await);
        serial.add(bare::ask_all(&registry.host(), &all, 1).await);

        let service = Service::start(&registry.url(), RegistryKind::Distribution, CONCURRENCY).await;
        figures::forget_peak();
        memory_before = figures::memory();
        let (took, scan) = service.scan().await;
        assert_eq!((scan.state, scan.counts.added), (ScanState::Complete, tags as u64), "{:?}", scan.error);
        assert_eq!(scan.counts.requests, all.len() as u64, "the ceiling is measured with what a scan sends");
        let page = SearchOptions { limit: 1, ..SearchOptions::ALL };
        let found = service.app.search_images(Some(&jobs::name(0)), &page).await.expect("a search");
        assert!(found.total >= TAGS as u64, "what was scanned is found");
        first.add(took);
        requests.0 = scan.counts.requests;
        let (took, scan) = service.scan().await;
        assert_eq!((scan.state, scan.counts.unchanged), (ScanState::Complete, tags as u64), "{:?}", scan.error);
        assert_eq!(scan.counts.requests, all_again.len() as u64, "the ceiling is measured with what a scan sends");
        again.add(took);
        requests.1 = scan.counts.requests;
        memory = figures::memory();
        service.app.close().await;
    }

    let per_tag = |requests: u64| requests as f64 / tags as f64;
    println!("\nfirst scan, from the request until it can be searched");
    line("the registry's ceiling, same requests", ceiling.rate(tags));
    line("one request after another, as the old service", serial.rate(tags));
    line("SILO", format!("{}, {:.2} requests a tag", first.rate(tags), per_tag(requests.0)));
    println!("\nscan again, nothing changed");
    line("the registry's ceiling, same requests", ceiling_again.rate(tags));
    line("SILO", format!("{}, {:.2} requests a tag", again.rate(tags), per_tag(requests.1)));
    println!("\nratios");
    line("first scan / ceiling", format!("{:.2}", ratio(first.median(), ceiling.median())));
    line("scan again / ceiling", format!("{:.2}", ratio(again.median(), ceiling_again.median())));
    line("first scan / one after another", format!("{:.2}", ratio(first.median(), serial.median())));
    line("scan again / one after another", format!("{:.2}", ratio(again.median(), serial.median())));
    println!("\nmemory of the whole program, service and clients");
    line("before the first scan", memory_before);
    line("after both", memory);
}

/// Pushes the generated images.
async fn fill(registry: &DockerRegistry, repositories: usize) -> Vec<Pushed> {
    let mut layout = LayoutBuilder::oci();
    let mut references = Vec::new();
    for number in 0..repositories {
        for tag in 0..TAGS {
            let job = jobs::job(number, "1.0.0", &format!("1.{tag}.0"));
            let reference = format!("{}:{}", job.repository(), job.package_version);
            layout.image(&reference, &[(LABEL, &job.manifest)]);
            references.push(reference);
        }
    }
    let (registry, layout) = (&registry, &layout);
    stream::iter(references)
        .map(|reference| async move {
            let manifest = registry.put(layout, &reference).await;
            let bytes = layout.bytes(&manifest).expect("a layout holds what was put from it");
            let parsed: Value = serde_json::from_slice(bytes).expect("manifests are JSON");
            let config = parsed["config"]["digest"].as_str().expect("an image has a config").to_owned();
            let (repository, tag) = reference.split_once(':').expect("references are repository:tag");
            Pushed { repository: repository.to_owned(), tag: tag.to_owned(), config }
        })
        .buffered(CONCURRENCY)
        .collect()
        .await
}

/// Requests for `/v2/`, the catalogue, and the tags of each repository.
fn listing(images: &[Pushed]) -> Vec<Ask> {
    let tags = images.iter().map(|image| (&image.repository, ())).collect::<HashMap<_, _>>();
    let tags = tags.keys().map(|repository| (Method::GET, format!("/v2/{repository}/tags/list?n=1000"), JSON));
    let head = ["/v2/", "/v2/_catalog?n=1000"].map(|path| (Method::GET, path.to_owned(), JSON));
    head.into_iter().chain(tags).collect()
}

fn by_tag(method: Method, image: &Pushed) -> Ask {
    (method, format!("/v2/{}/manifests/{}", image.repository, image.tag), MANIFEST)
}

fn by_tag_and_config(image: &Pushed) -> [Ask; 2] {
    [by_tag(Method::GET, image), config(image)]
}

fn config(image: &Pushed) -> Ask {
    (Method::GET, format!("/v2/{}/blobs/{}", image.repository, image.config), "*/*")
}
