//! How long a search takes in a large catalogue, with and without HTTP, beside the way the first SILO searched.
//! `cargo bench --bench search`; see `docs/benchmarks.md`.

#[allow(dead_code, reason = "only the connection is needed here")]
mod bare;
#[allow(dead_code, reason = "rates are for scans")]
mod figures;
mod jobs;
mod old_method;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::time::{Duration, Instant};

use http::Method;
use secrecy::SecretString;
use silo::app::{App, Page, open_store};
use silo::catalog::{Changes, Content, Image, NewRegistry, Outcome, RegistryKind, ScanState, ScanTrigger};
use silo::clock::Clock;
use silo::config::{Flags, Settings};
use silo::registry::{Fetched, ImageConfig};
use silo::seed::LABEL;
use silo::store::{ScanResult, ScanStep, SealedSecrets, Store};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use bare::Connection;
use figures::{Times, line, ratio};

const JOBS: usize = 2_500;
/// Of each job, with one image each.
const VERSIONS: [&str; 4] = ["1.0.0", "1.2.0", "2.0.0", "10.0.0"];
const WARM_UP: usize = 200;
const REQUESTS: usize = 5_000;
/// Whole answers are large, and the old method is slow.
const FEW: usize = 200;
const VERY_FEW: usize = 12;
const LIMIT: usize = 20;

/// What people ask, by kind.
const QUERIES: [(&str, &[&str]); 7] = [
    ("exact name", &["water-detection-sentinel2", "reef-outline-aster", "methane-anomaly-goes"]),
    ("words of titles", &["glacier mosaic", "Urban change for landsat8", "Cloud mask"]),
    ("one common word", &["water", "detection", "sentinel2"]),
    ("while typing", &["v", "ve", "ves", "vess", "vesse", "vessel d", "vessel dete"]),
    (
        "several words",
        &["snow detection optical hydrology", "forest fire burn radar modis", "crop index tiff statistics"],
    ),
    ("maintainer", &["Okonkwo", "harbour watch", "ingrid.solberg@example.org"]),
    ("tag", &["cryosphere", "machine-learning"]),
];
const NO_HIT: (&str, &[&str]) = ("no hit", &["xylophone", "quantum chromodynamics"]);

fn main() {
    let jobs = figures::size(JOBS).min(JOBS);
    let folder = tempfile::tempdir().expect("a folder for the service");
    let runtime = Runtime::new().expect("a runtime");
    let images = runtime.block_on(fill(&folder, jobs));
    println!("{images} images of {jobs} jobs");

    let app = runtime.block_on(open(&folder));
    let before = figures::memory();
    let started = Instant::now();
    runtime.block_on(app.index_bring_up_to_date()).expect("an index");
    let built = started.elapsed();
    println!("\nindex");
    line("built from the database", format!("{:.0} images/s", images as f64 / built.as_secs_f64()));
    let on_disk = size_of(&app.settings().in_data("index"));
    line("on disk", format!("{} bytes an image", on_disk / images as u64));
    let database = size_of(&app.settings().sqlite_path());
    line("database on disk", format!("{} bytes an image", database / images as u64));
    line("memory before", before);
    line("memory after", figures::memory());

    println!("\nin the process, first {LIMIT} jobs, by kind of query");
    let kinds = QUERIES.iter().chain([&NO_HIT]);
    for (kind, queries) in kinds.clone() {
        line(kind, runtime.block_on(in_process(&app, queries, REQUESTS / 10)));
    }
    let queries: Vec<&str> = kinds.flat_map(|(_, queries)| queries.iter().copied()).collect();
    println!("\nall kinds");
    let here = runtime.block_on(in_process(&app, &queries, REQUESTS));
    line("in the process", &here);
    let server = Server::start(app.clone());
    let paged = |query: &str| format!("/api/v1/search?q={}&limit={LIMIT}", encoded(query));
    line("GET /api/v1/search", runtime.block_on(over_http(&server, &queries, REQUESTS, paged)));
    let whole = |query: &str| format!("/jobs/search/{}", encoded(query));
    line("GET /jobs/search/… (every hit)", runtime.block_on(over_http(&server, &queries, FEW, whole)));
    line("memory", figures::memory());

    println!("\nthe old method on the same images, manifests already in memory");
    let listed = runtime.block_on(listed(&app));
    let bytes: usize = listed.iter().map(|image| image.manifest.len()).sum();
    line("manifests, on average", format!("{} bytes", bytes / listed.len()));
    let mut old = Times::new();
    for query in queries.iter().cycle().take(VERY_FEW) {
        let started = Instant::now();
        std::hint::black_box(old_method::search(&listed, &query.replace(' ', "+")));
        old.add(started.elapsed());
    }
    line("parse everything, find substrings", &old);
    line("SILO in the process is faster by", format!("{:.0} times", ratio(here.median(), old.median())));
    server.stop();
    runtime.block_on(app.close());
}

async fn open(folder: &TempDir) -> App {
    App::start(settings(folder), Clock::system()).await.expect("the service starts").0
}

fn settings(folder: &TempDir) -> Settings {
    let flags = Flags { data: Some(folder.path().join("data")), ..Flags::default() };
    let mut settings = Settings::from_layers(&flags, &HashMap::new()).expect("the defaults are fine");
    settings.admin.password = SecretString::from("for benchmarks only");
    settings
}

/// Stores the made-up images as the result of one scan; how many.
async fn fill(folder: &TempDir, jobs: usize) -> usize {
    let store = open_store(&settings(folder)).await.expect("a fresh database");
    let (changes, contents) = found(jobs);
    let images = changes.add.len();
    let result = ScanResult {
        state: ScanState::Complete,
        step: ScanStep { changes, contents, ..ScanStep::default() },
        settled: Vec::new(),
        gone: Vec::new(),
        error: None,
    };
    let started = Instant::now();
    finish_scan(&store, &result).await;
    println!("stored by one scan in {:.2} s", started.elapsed().as_secs_f64());
    store.close().await;
    images
}

/// What a scan would have found.
fn found(jobs: usize) -> (Changes, Vec<Content>) {
    let (mut changes, mut contents) = (Changes::default(), Vec::new());
    for number in 0..jobs {
        for version in VERSIONS {
            let job = jobs::job(number, version, "1.0.0");
            let digest = format!("sha256:{:064x}", contents.len());
            let labels = BTreeMap::from([(LABEL.to_owned(), job.manifest.clone())]);
            let config = ImageConfig {
                digest: digest.clone(),
                platform: "linux/amd64".to_owned(),
                labels,
                ..ImageConfig::default()
            };
            let content = silo::scan::content_of(&digest, Fetched::Image(vec![config]));
            assert!(
                matches!(&content.outcome, Outcome::Seed(facts) if facts.valid && facts.problems.is_empty()),
                "made-up manifests are good ones: {content:?}"
            );
            changes.add.push((job.repository(), job.package_version, digest));
            contents.push(content);
        }
    }
    (changes, contents)
}

async fn finish_scan(store: &Store, result: &ScanResult) {
    let now = Clock::system().now();
    let registry = NewRegistry {
        name: "bench".to_owned(),
        url: "https://registry.example".to_owned(),
        host: "registry.example".to_owned(),
        org: String::new(),
        kind: RegistryKind::Distribution,
        username: String::new(),
        ca: String::new(),
        client_certificate: String::new(),
        include: Vec::new(),
        exclude: Vec::new(),
        schedule: "off".to_owned(),
    };
    let registry = store.registry_insert(&registry, &SealedSecrets::default(), now).await.expect("a registry");
    store.scan_request(registry.id, ScanTrigger::Manual, now).await.expect("a scan is asked for");
    let claim = store.scan_claim("bench", now, now + Duration::from_secs(3600)).await.expect("a claim");
    store.scan_finish(&claim.expect("the scan waits"), result, now).await.expect("the result is stored");
}

async fn in_process(app: &App, queries: &[&str], requests: usize) -> Times {
    let mut times = Times::new();
    let page = Page { limit: LIMIT, cursor: None };
    for (count, query) in queries.iter().cycle().take(WARM_UP + requests).enumerate() {
        let started = Instant::now();
        std::hint::black_box(app.search_jobs(query, &page).await.expect("a search"));
        if count >= WARM_UP {
            times.add(started.elapsed());
        }
    }
    times
}

/// One request after another over one connection.
async fn over_http(server: &Server, queries: &[&str], requests: usize, path: impl Fn(&str) -> String) -> Times {
    let mut connection = Connection::open(&server.host).await;
    let mut times = Times::new();
    let warm_up = WARM_UP.min(requests);
    for (count, query) in queries.iter().cycle().take(warm_up + requests).enumerate() {
        let ask = (Method::GET, path(query), "application/json");
        let started = Instant::now();
        std::hint::black_box(connection.ask(&ask).await);
        if count >= warm_up {
            times.add(started.elapsed());
        }
    }
    times
}

/// The service's own listener, on its own threads.
struct Server {
    host: String,
    stop: CancellationToken,
    runtime: Runtime,
}

impl Server {
    fn start(app: App) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let host = listener.local_addr().expect("a bound socket has an address").to_string();
        let stop = CancellationToken::new();
        let router = silo::http::routes(app).into_router();
        runtime.spawn(silo::http::serve(router, listener, stop.clone(), Duration::from_secs(1)));
        Self { host, stop, runtime }
    }

    fn stop(self) {
        self.stop.cancel();
        self.runtime.shutdown_timeout(Duration::from_secs(2));
    }
}

async fn listed(app: &App) -> Vec<old_method::Listed> {
    let images = app.image_list().await.expect("all images");
    let one =
        |image: Image| old_method::Listed { org: image.org, full_name: image.name, manifest: image.facts.manifest };
    images.into_iter().map(one).collect()
}

fn encoded(query: &str) -> String {
    percent_encoding::utf8_percent_encode(query, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// Bytes of a file, or of all files below a folder.
fn size_of(path: &Path) -> u64 {
    let about = path.metadata().expect("what was just written can be looked at");
    if about.is_file() {
        return about.len();
    }
    let entries = path.read_dir().expect("a folder can be listed");
    entries.map(|entry| size_of(&entry.expect("a folder can be listed").path())).sum()
}
