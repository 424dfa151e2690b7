//! A search index that is missing, damaged, incomplete, or of another catalogue: replies meanwhile, and its repair.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use silo::app::{Error, SearchOptions, open_store};
use silo::config::ServiceSettings;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::House;
use crate::support::app::{TestApp, jobs};
use crate::support::judged::TaggedManifest;
use crate::support::process::{PATIENCE, Setup};
use crate::support::stored;

/// More images than are indexed before the start completes.
const MANY: usize = 2_500;
const START: &str = "2024-03-01T00:00:00Z";

fn images(count: usize) -> impl Iterator<Item = TaggedManifest> {
    (0..count).map(|number| TaggedManifest {
        repository: format!("geo/tiler{number}-1.0.0-seed"),
        tag: "1.0.0".to_owned(),
        manifest: json!({"seedVersion": "1.0.0", "job": {
            "name": format!("tiler{number}"), "jobVersion": "1.0.0", "packageVersion": "1.0.0", "title": "Tiles",
            "description": "Makes tiles", "maintainer": {"name": "Ada", "email": "ada@example.org"}, "timeout": 60,
        }})
        .to_string(),
    })
}

/// Adds images to the database directly.
async fn fill(settings: &ServiceSettings, count: usize) {
    let store = open_store(settings).await.expect("the service's database");
    assert_eq!(stored::fill(&store, images(count)).await, count);
    store.close().await;
}

/// A service started with many images and no index, without background tasks.
async fn without_index() -> House {
    let house = House::new(START, &[]).await;
    fill(house.app.settings(), MANY).await;
    fs::remove_dir_all(house.data().join("index")).expect("the index is there");
    house.again(&[]).await
}

async fn found(house: &House, words: &str) -> Result<u64, Error> {
    house.app.search_images(Some(words), &SearchOptions { limit: 1, ..SearchOptions::ALL }).await.map(|page| page.total)
}

/// The number of folders of generations.
fn generations(data: &Path) -> usize {
    fs::read_dir(data.join("index/silo-search")).expect("the index has a folder").count()
}

#[tokio::test]
async fn a_start_does_not_wait_for_a_large_index() {
    let house = without_index().await;
    let refused = found(&house, "tiles").await.expect_err("there is no index yet");
    assert!(matches!(refused, Error::Building(_)), "{refused}");
    assert!(house.app.ready().await.is_err_and(|why| why.contains("being built")));
    assert_eq!(house.app.image_list().await.expect("the catalogue is there").len(), MANY);
    house.app.index_renew().await.expect("it is built");
    house.app.ready().await.expect("ready");
    assert_eq!(found(&house, "tiles").await.expect("found"), MANY as u64);
    assert_eq!(found(&house, "tiler2499").await.expect("found"), 1);
    let house = house.again(&[]).await;
    assert_eq!(found(&house, "tiles").await.expect("the next start finds it"), MANY as u64);
}

#[tokio::test]
async fn a_request_meanwhile_is_told_how_far_it_is_and_when_to_come_back() {
    let house = without_index().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let router = silo::http::routes(house.app.clone()).into_router();
    let limits = silo::http::ListenerLimits::new(&house.app);
    let server = tokio::spawn(silo::http::serve(router, listener, limits, CancellationToken::new(), Duration::ZERO));
    silo::registry::install_tls();
    let http = reqwest::Client::builder().no_proxy().no_gzip().build().expect("a plain client");
    let get = async |path: &str| http.get(format!("{url}{path}")).send().await.expect("an answer");

    for path in
        ["/api/v1/search?q=tiles", "/api/v1/search?q=tiles&kind=image", "/jobs/search/tiles", "/images/search/tiles"]
    {
        let reply = get(path).await;
        assert_eq!(reply.status(), 503, "{path}");
        let wait: u64 = reply.headers()["retry-after"].to_str().expect("digits").parse().expect("seconds");
        assert!((1..=30).contains(&wait), "{path}: {wait}");
        let native = path.starts_with("/api/");
        let kind = if native { "application/problem+json" } else { "application/json" };
        assert_eq!(reply.headers()["content-type"], kind, "{path}");
        let body: Value = reply.json().await.expect("JSON");
        let text = body[if native { "detail" } else { "error" }].as_str().expect("a text").to_owned();
        assert!(text.contains("the search index is being built: 0 of ") && text.contains("try again in"), "{text}");
    }
    assert_eq!(get("/readyz").await.status(), 503);
    assert_eq!(get("/healthz").await.status(), 200);
    assert_eq!(get("/api/v1/images/1").await.status(), 200);
    assert_eq!(get("/api/v1/feed").await.status(), 200, "the newest images need no index");
    assert_eq!(get("/api/v1/feed?q=tiles").await.status(), 503);
    house.app.index_renew().await.expect("it is built");
    for path in ["/api/v1/search?q=tiles", "/jobs/search/tiler7", "/readyz"] {
        assert_eq!(get(path).await.status(), 200, "{path}");
    }
    server.abort();
}

#[tokio::test]
async fn an_index_that_is_deleted_under_a_running_service_is_built_again() {
    let silo = TestApp::with_jobs(&[("ice", "1.0.0", "1.0.0")]).await;
    let folder = silo.app.settings().in_data("index/silo-search");
    fs::remove_dir_all(&folder).expect("the index is there");
    let found = async |words: &str| {
        let reply = silo.anonymous().get(&format!("/api/v1/search?q={words}")).await.expect(200).json();
        reply["total"].as_u64().expect("a number")
    };
    assert_eq!(found("ice").await, 1, "its files are open");
    silo.app.index_renew().await.expect("it is built");
    assert!(folder.is_dir());
    let registry = silo.add_layout("more", &jobs(&[("snow", "1.0.0", "1.0.0")])).await;
    silo.scan(registry).await;
    assert_eq!((found("ice").await, found("snow").await), (1, 1));
}

#[tokio::test]
async fn an_index_that_cannot_be_written_any_more_is_found_out_by_the_next_change() {
    let silo = TestApp::with_jobs(&[("ice", "1.0.0", "1.0.0")]).await;
    let folder = silo.app.settings().in_data("index/silo-search");
    let registry = silo.add_layout("more", &jobs(&[("snow", "1.0.0", "1.0.0")])).await;
    fs::remove_dir_all(&folder).expect("the index is there");
    silo.scan(registry).await;
    silo.app.index_renew().await.expect("it is built, unless it was already");
    silo.app.index_bring_up_to_date().await.expect("it can be written again");
    let reply = silo.anonymous().get("/api/v1/search?q=snow").await.expect(200).json();
    assert_eq!(reply["total"], 1);
}

#[tokio::test]
async fn an_index_of_another_catalogue_is_made_anew() {
    let [one, other] = [House::new(START, &[]).await, House::new(START, &[]).await];
    fill(one.app.settings(), 5).await;
    fill(other.app.settings(), 9).await;
    for house in [&one, &other] {
        house.app.index_bring_up_to_date().await.expect("up to date");
    }
    assert_eq!((found(&one, "tiles").await.expect("found"), found(&other, "tiles").await.expect("found")), (5, 9));
    // The same revision, but other images.
    let (data, theirs) = (one.data().join("index"), other.data().join("index"));
    fs::remove_dir_all(&data).expect("removed");
    copy(&theirs, &data);
    let one = one.again(&[]).await;
    assert_eq!(found(&one, "tiles").await.expect("found"), 5);
}

#[tokio::test]
async fn a_database_that_was_put_back_takes_the_index_along() {
    let house = House::new(START, &[]).await;
    fill(house.app.settings(), 5).await;
    let now = house.app.settings().sqlite_path();
    // SQLite's file is complete when no connection is open.
    let house = house.again(&[]).await;
    house.app.close().await;
    let copy = house.data().join("copy");
    fs::copy(&now, &copy).expect("copied");
    let house = house.again(&[]).await;
    let registry = house.app.registry_list().await.expect("a list")[0].id;
    house.app.registry_delete(registry).await.expect("deleted");
    assert_eq!(found(&house, "tiles").await.expect("answered"), 0);
    house.app.close().await;
    fs::copy(&copy, &now).expect("put back");
    let house = house.again(&[]).await;
    assert_eq!(found(&house, "tiles").await.expect("found"), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_while_it_is_built_costs_only_time() {
    let mut silo = Setup::new().start().await;
    let settings = {
        let environment = [("SILO_DATA".to_owned(), silo.data().display().to_string())].into();
        ServiceSettings::from_layers(&silo::config::ConfigFlags::default(), &environment).expect("settings")
    };
    assert_eq!(silo.terminate().await.code, Some(0));
    fill(&settings, MANY).await;
    for _ in 0..3 {
        fs::remove_dir_all(silo.data().join("index")).expect("the index has a folder");
        silo.start_again().await;
        silo.kill();
    }
    silo.start_again().await;
    let started = Instant::now();
    while silo.get("/readyz").await.status != 200 {
        assert!(started.elapsed() < PATIENCE, "it is not built: {}", silo.log());
        tokio::time::sleep(Duration::from_millis(20)).await; // because HTTP has to be polled
    }
    assert_eq!(silo.images("tiler2499").await.len(), 1);
    assert_eq!(generations(&silo.data()), 1, "what the killed ones left is gone");
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder can be listed") {
        let entry = entry.expect("a folder can be listed");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("copied");
        }
    }
}
