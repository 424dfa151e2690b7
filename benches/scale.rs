//! Scans of large and slow registries: speed relative to the registry's limit, memory, and the time until the first
//! image can be found. `cargo bench --bench scale`; see `docs/benchmarks.md`.

#[allow(dead_code, reason = "shared with the other benchmarks")]
mod bare;
#[allow(dead_code, reason = "shared with the other benchmarks")]
mod jobs;
mod made;
mod service;

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Method;
use silo::app::{App, SearchOptions};
use silo::catalog::{RegistryKind, ScanState};

use bare::Ask;
use made::{Registry, Shape, tag};
use service::Service;
use silo_testkit::figures::{self, Times, line, ratio};

const IN_FLIGHT: usize = 32;
const ROUNDS: usize = 3;
const SLOW: Shape = Shape { repositories: 600, tags_each: 10, delay: Duration::from_millis(20) };
const LARGE: Shape = Shape { repositories: 1000, tags_each: 100, delay: Duration::ZERO };

fn main() {
    made::serve_if_asked();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        // First, so that its memory is not that of others.
        let repositories = figures::size(LARGE.repositories);
        large(Shape { repositories, ..LARGE }).await;
        slow(SLOW).await;
    });
}

/// A registry with a delay of 20 ms per reply, as across a network.
async fn slow(shape: Shape) {
    let registry = Registry::start(shape);
    let tags = shape.tags();
    println!(
        "\n{tags} tags in {} repositories, {} ms an answer, {IN_FLIGHT} requests in flight, {ROUNDS} rounds",
        shape.repositories,
        shape.delay.as_millis()
    );
    let (first_asks, again_asks) = asks(shape);
    let [mut ceiling, mut ceiling_again, mut first, mut again] = [(); 4].map(|()| Times::default());
    for _ in 0..ROUNDS {
        ceiling.add(bare::ask_all(&registry.host, &first_asks, IN_FLIGHT).await);
        ceiling_again.add(bare::ask_all(&registry.host, &again_asks, IN_FLIGHT).await);
        let service = Service::start(&registry.url(), RegistryKind::Distribution, IN_FLIGHT).await;
        let (took, scan) = service.scan().await;
        assert_eq!((scan.state, scan.counts.added), (ScanState::Complete, tags as u64), "{:?}", scan.error);
        assert_eq!(scan.counts.requests, first_asks.len() as u64, "the ceiling is measured with what a scan sends");
        first.add(took);
        let (took, scan) = service.scan().await;
        assert_eq!((scan.state, scan.counts.unchanged), (ScanState::Complete, tags as u64), "{:?}", scan.error);
        assert_eq!(scan.counts.requests, again_asks.len() as u64, "the ceiling is measured with what a scan sends");
        again.add(took);
        service.app.close().await;
    }
    line("first scan", first.rate(tags));
    line("the registry's ceiling, same requests", ceiling.rate(tags));
    line("scan again, nothing changed", again.rate(tags));
    line("the registry's ceiling, same requests", ceiling_again.rate(tags));
    line("first scan / ceiling", format!("{:.2}", ratio(first.median(), ceiling.median())));
    line("scan again / ceiling", format!("{:.2}", ratio(again.median(), ceiling_again.median())));
}

/// A large registry whose listings contain digests (zot's search).
async fn large(shape: Shape) {
    let registry = Registry::start(shape);
    let tags = shape.tags();
    println!("{tags} tags in {} repositories, listings with digests", shape.repositories);
    let service = Service::start(&registry.url(), RegistryKind::Zot, IN_FLIGHT).await;
    figures::forget_peak();
    line("memory before", figures::memory());
    let soon = tokio::spawn(first_found(service.app.clone()));
    let (took, scan) = service.scan().await;
    assert_eq!((scan.state, scan.counts.added), (ScanState::Complete, tags as u64), "{:?}", scan.error);
    let first = soon.await.expect("it is found in the end");
    let per_second = |took: Duration| format!("{:.0}/s", tags as f64 / took.as_secs_f64());
    line("first scan", format!("{}, {:.1} s", per_second(took), took.as_secs_f64()));
    line("until the first image is found", format!("{:.1} s", first.as_secs_f64()));
    line("memory", figures::memory());
    let mut again = Times::default();
    let mut requests = 0;
    for _ in 0..ROUNDS {
        let (took, scan) = service.scan().await;
        assert_eq!((scan.state, scan.counts.unchanged), (ScanState::Complete, tags as u64), "{:?}", scan.error);
        requests = scan.counts.requests;
        again.add(took);
    }
    line("scan again, nothing changed", again.rate(tags));
    let pages = shape.repositories.div_ceil(500) + shape.repositories * shape.tags_each.div_ceil(500);
    line(
        "requests: greeting, listing pages, tags",
        format!("{requests} = 1 + {pages} + {}", requests as usize - 1 - pages),
    );
    line("memory", figures::memory());
    service.app.close().await;
}

/// The time until a search finds something.
async fn first_found(app: App) -> Duration {
    let started = Instant::now();
    let page = SearchOptions { limit: 1, ..SearchOptions::ALL };
    loop {
        app.index_bring_up_to_date().await.expect("the index follows");
        if app.search_images(Some(&jobs::name(0)), &page).await.expect("a search").total > 0 {
            return started.elapsed();
        }
        app.signals().catalogue_changed.notified().await;
    }
}

/// The requests of a first scan and of a second one.
fn asks(shape: Shape) -> (Arc<Vec<Ask>>, Arc<Vec<Ask>>) {
    const JSON: &str = "application/json";
    const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    let names: Vec<String> = (0..shape.repositories).map(|number| shape.repository(number)).collect();
    let lists = names.iter().map(|name| (Method::GET, format!("/v2/{name}/tags/list?n=1000"), JSON));
    let head = ["/v2/", "/v2/_catalog?n=1000"].map(|path| (Method::GET, path.to_owned(), JSON));
    let listing: Vec<Ask> = head.into_iter().chain(lists).collect();
    let manifests = |method: Method| {
        let of = |name: &String| {
            (0..shape.tags_each).map(|number| format!("/v2/{name}/manifests/{}", tag(number))).collect()
        };
        names
            .iter()
            .flat_map(|name| -> Vec<String> { of(name) })
            .map(|path| (method.clone(), path, MANIFEST))
            .collect::<Vec<Ask>>()
    };
    let blobs = made::configs(shape).enumerate().map(|(number, digest)| {
        (Method::GET, format!("/v2/{}/blobs/{digest}", names[number / shape.tags_each]), "*/*")
    });
    let first = [listing.clone(), manifests(Method::GET), blobs.collect()].concat();
    (Arc::new(first), Arc::new([listing, manifests(Method::HEAD)].concat()))
}
