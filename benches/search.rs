//! How long a search takes in a large catalogue, with and without HTTP, beside the way the first SILO searched.
//! `cargo bench --bench search`; see `docs/benchmarks.md`.

#[allow(dead_code, reason = "only the connection is needed here")]
mod bare;
mod draw;
#[allow(dead_code, reason = "rates are for scans")]
mod figures;
mod jobs;
mod old_method;
mod served;
mod stored;

use std::path::Path;
use std::time::Instant;

use http::Method;
use silo::app::{App, Page, open_store};
use silo::catalog::Image;
use tokio::runtime::Runtime;

use bare::Connection;
use figures::{Times, line, ratio};
use served::{Server, encoded};
use stored::Tagged;

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
    let store = runtime.block_on(open_store(&served::settings(folder.path()))).expect("a fresh database");
    let started = Instant::now();
    let images = runtime.block_on(stored::fill(&store, images(jobs)));
    println!("{images} images of {jobs} jobs, stored in {:.2} s", started.elapsed().as_secs_f64());
    runtime.block_on(store.close());

    let app = runtime.block_on(served::open(folder.path()));
    let before = figures::memory();
    let started = Instant::now();
    runtime.block_on(app.index_renew()).expect("an index");
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
    let server = Server::start(app.clone(), 2);
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

/// What a registry would have.
fn images(jobs: usize) -> impl Iterator<Item = Tagged> {
    (0..jobs).flat_map(|number| VERSIONS.map(|version| jobs::job(number, version, "1.0.0"))).map(|job| Tagged {
        repository: job.repository(),
        tag: job.package_version,
        manifest: job.manifest,
    })
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

async fn listed(app: &App) -> Vec<old_method::Listed> {
    let images = app.image_list().await.expect("all images");
    let one =
        |image: Image| old_method::Listed { org: image.org, full_name: image.name, manifest: image.facts.manifest };
    images.into_iter().map(one).collect()
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
