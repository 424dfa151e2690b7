//! Latency of searches over HTTP in a service with one core, compared with the first SILO's method; indexing speed,
//! index size, and the time until a change is found. `cargo bench --bench search` with 10,000 images, or with the given
//! number, in a folder that is kept if it is given, too; see `docs/benchmarks.md`.

mod bare;
mod jobs;
mod old_method;
#[allow(dead_code, reason = "the service has a process of its own here")]
mod served;
#[allow(dead_code, reason = "shared with the other benchmarks")]
mod stored;

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Method;
use silo::app::open_store;
use silo::catalog::ImageId;
use silo::store::Store;

use bare::{Ask, Connection};
use served::encoded;
use silo_testkit::figures::{self, Times, line};
use silo_testkit::judged::TaggedManifest;

const IMAGES: usize = 10_000;
/// Versions of each job, with one image each.
const VERSIONS: [&str; 4] = ["1.0.0", "1.2.0", "2.0.0", "10.0.0"];
/// Number of images for the old method, which would take hours with more.
const OLD_IMAGES: usize = 10_000;
const OLD_REQUESTS: usize = 12;
const WARM_UP: usize = 200;
const LIMIT: usize = 20;
/// Connections for the measurement of the rate: enough to keep one core busy.
const CONNECTIONS: usize = 4;
/// The argument that makes this program the service.
const SERVE: &str = "serve-a-filled-folder";
/// Duration of each measurement.
const TURN: Duration = Duration::from_secs(8);

/// Queries by kind.
const QUERIES: [(&str, &[&str]); 8] = [
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
    ("no hit", &["xylophone", "quantum chromodynamics"]),
];
const TYPOS: &[&str] =
    &["watre detection", "glaicer mosaic", "sentinal2", "chlorophyl index", "landslde inventory", "okonwko"];

fn main() {
    serve_if_asked();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let passing = tempfile::tempdir().expect("a folder for the service");
    let folder = named_folder();
    runtime.block_on(measure(figures::size(IMAGES), folder.as_deref().unwrap_or(passing.path())));
}

async fn measure(wanted: usize, folder: &Path) {
    let settings = served::settings(folder);
    let is_filled = settings.sqlite_path().exists();
    let store = open_store(&settings).await.expect("a database");
    let started = Instant::now();
    let images = if is_filled {
        _ = std::fs::remove_dir_all(settings.in_data("index"));
        store.catalogue_state().await.expect("a filled database").images as usize
    } else {
        stored::fill(&store, images(wanted)).await
    };
    println!("{images} images of {} jobs", images / VERSIONS.len());
    if !is_filled {
        line("stored", format!("{:.0} images/s", images as f64 / started.elapsed().as_secs_f64()));
    }
    let service = Service::start(folder);
    let started = Instant::now();
    bare::until_ready(&service.host, "/readyz").await;
    let built = started.elapsed();
    println!("\nindex, the service on one core");
    line(
        "built from the database",
        format!("{:.0} images/s, {:.1} s", images as f64 / built.as_secs_f64(), built.as_secs_f64()),
    );
    let bytes = |path: &Path| size_of(path) / images as u64;
    line("on disk", format!("{} bytes an image", bytes(&settings.in_data("index"))));
    line("database on disk", format!("{} bytes an image", bytes(&settings.sqlite_path())));
    line("memory", service.memory());

    let everything: Vec<&str> = QUERIES.iter().flat_map(|(_, queries)| queries.iter().copied()).collect();
    println!("\nGET /api/v1/search, first {LIMIT} jobs, one request after another");
    for (kind, queries) in QUERIES {
        line(kind, times(&service, queries, plain).await);
    }
    let exact = times(&service, &everything, plain).await;
    line("all of these", &exact);
    line("the same with facets", times(&service, &everything, with_facets).await);
    line("the same with highlights", times(&service, &everything, with_highlights).await);
    line("typos", times(&service, TYPOS, plain).await);
    line("typos with facets", times(&service, TYPOS, with_facets).await);
    line("suggestions while typing", times(&service, QUERIES[3].1, suggestions).await);
    let rate = rate(&service, &everything, plain).await;
    line("over several connections", format!("{rate:.0} queries/s"));
    line("memory", service.memory());
    freshness(&service, &store, images).await;
    drop(service);
    old(&store, &everything, rate).await;
    store.close().await;
}

/// A given folder, for data that take long to generate.
fn named_folder() -> Option<PathBuf> {
    std::env::args().skip(1).map(PathBuf::from).find(|argument| argument.is_dir())
}

fn plain(query: &str) -> Ask {
    (Method::GET, format!("/api/v1/search?limit={LIMIT}&q={}", encoded(query)), "application/json")
}

fn with_facets(query: &str) -> Ask {
    let (method, path, accept) = plain(query);
    (method, path + "&facets=true", accept)
}

fn with_highlights(query: &str) -> Ask {
    let (method, path, accept) = plain(query);
    (method, path + "&highlight=true", accept)
}

fn suggestions(query: &str) -> Ask {
    (Method::GET, format!("/api/v1/suggest?q={}", encoded(query)), "application/json")
}

/// Images as in a registry.
fn images(count: usize) -> impl Iterator<Item = TaggedManifest> {
    let jobs = count / VERSIONS.len();
    (0..jobs).flat_map(|number| VERSIONS.map(|version| jobs::job(number, version, "1.0.0"))).map(|job| TaggedManifest {
        repository: job.repository(),
        tag: job.package_version,
        manifest: job.manifest,
    })
}

/// Times of sequential requests over one connection, after a warm-up.
async fn times(service: &Service, queries: &[&str], ask: impl Fn(&str) -> Ask) -> Times {
    let mut connection = Connection::open(&service.host).await;
    let mut times = Times::default();
    let begin = Instant::now();
    for (count, query) in queries.iter().cycle().enumerate() {
        let is_warm = count >= WARM_UP.min(queries.len() * 2);
        if is_warm && begin.elapsed() > TURN {
            break;
        }
        let ask = ask(query);
        let started = Instant::now();
        std::hint::black_box(connection.ask(&ask).await);
        if is_warm {
            times.add(started.elapsed());
        }
    }
    times
}

/// Queries per second over several connections.
async fn rate(service: &Service, queries: &[&str], ask: impl Fn(&str) -> Ask) -> f64 {
    let one = times(service, queries, &ask).await.median().max(Duration::from_micros(200));
    let count = (TURN.as_secs_f64() / one.as_secs_f64()) as usize;
    let asks: Vec<Ask> = queries.iter().cycle().take(count.max(queries.len())).map(|query| ask(query)).collect();
    let count = asks.len() as f64;
    count / bare::ask_all(&service.host, &Arc::new(asks), CONNECTIONS).await.as_secs_f64()
}

/// Time until a change committed by another process is found.
async fn freshness(service: &Service, store: &Store, images: usize) {
    const CHANGES: usize = 5;
    println!("\nuntil a change in the database, by another process, is found");
    let mut connection = Connection::open(&service.host).await;
    let [mut came, mut moved] = [Times::default(), Times::default()];
    for change in 0..CHANGES {
        let name = format!("novelty{images}x{change}");
        let job = jobs::renamed(jobs::job(change, "1.0.0", "1.0.0"), &name);
        stored::add(
            store,
            TaggedManifest { repository: job.repository(), tag: "1".to_owned(), manifest: job.manifest },
            10 * images + 2 * change,
        )
        .await;
        came.add(until_found(&mut connection, &name).await);
        let image = stored::newest(store).await;
        let name = format!("turned{images}x{change}");
        let job = jobs::renamed(jobs::job(change, "1.0.0", "1.0.0"), &name);
        stored::point(store, image, job.manifest, 10 * images + 2 * change + 1).await;
        moved.add(until_found(&mut connection, &name).await);
    }
    line("an image that came", &came);
    line("an image whose tag moved", &moved);
}

async fn until_found(connection: &mut Connection, name: &str) -> Duration {
    let started = Instant::now();
    loop {
        let reply = connection.ask(&plain(name)).await;
        let reply: serde_json::Value = serde_json::from_slice(&reply).expect("JSON");
        if reply["items"][0]["name"] == name {
            return started.elapsed();
        }
        tokio::time::sleep(Duration::from_millis(10)).await; // so that asking does not hold it up
    }
}

/// The old method in this process, on a limited number of images.
async fn old(store: &Store, queries: &[&str], rate: f64) {
    let images = store.image_changes(0, ImageId(0), OLD_IMAGES as u32).await.expect("images");
    let one = |image: silo::catalog::CatalogueImage| old_method::Listed {
        org: image.org,
        full_name: image.name,
        manifest: image.facts.manifest,
    };
    let listed: Vec<_> = images.into_iter().map(one).collect();
    println!("\nthe old method on {} of these images, manifests already in memory", listed.len());
    let mut old = Times::default();
    for query in queries.iter().cycle().take(OLD_REQUESTS) {
        let started = Instant::now();
        std::hint::black_box(old_method::search(&listed, &query.replace(' ', "+")));
        old.add(started.elapsed());
    }
    line("parse everything, find substrings", &old);
    let old_rate = 1.0 / old.mean().as_secs_f64();
    line("queries a second", format!("{old_rate:.2}"));
    line("SILO over HTTP answers more by", format!("{:.0} times", rate / old_rate));
}

/// The service in its own process on one core, killed on drop.
struct Service {
    process: Child,
    host: String,
}

impl Service {
    fn start(folder: &Path) -> Self {
        let program = std::env::current_exe().expect("a program knows where it is");
        let mut process = Command::new("taskset")
            .args(["-c", "0"])
            .arg(program)
            .arg(SERVE)
            .arg(folder)
            .stdout(Stdio::piped())
            .spawn()
            .expect("util-linux is installed");
        let mut host = String::new();
        let out = process.stdout.take().expect("its output is ours");
        BufReader::new(out).read_line(&mut host).expect("it says where it listens");
        Self { process, host: host.trim().to_owned() }
    }

    fn memory(&self) -> String {
        figures::memory_of(self.process.id())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

/// Serves and never returns, if this process was started for that.
fn serve_if_asked() {
    let arguments: Vec<String> = std::env::args().collect();
    let Some(at) = arguments.iter().position(|argument| argument == SERVE) else { return };
    let folder = Path::new(&arguments[at + 1]);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let app = served::open(folder).await;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        println!("{}", listener.local_addr().expect("a bound socket has an address"));
        let stop = tokio_util::sync::CancellationToken::new();
        let _tasks = silo::tasks::start(&app, &stop).await.expect("the tasks start");
        let limits = silo::http::ListenerLimits::new(&app);
        let router = silo::http::routes(app).into_router();
        silo::http::serve(router, listener, limits, stop, Duration::from_secs(1)).await;
    });
    std::process::exit(0);
}

/// Size of a file, or of all files below a folder, in bytes.
fn size_of(path: &Path) -> u64 {
    let about = path.metadata().expect("what was just written can be looked at");
    if about.is_file() {
        return about.len();
    }
    let entries = path.read_dir().expect("a folder can be listed");
    entries.map(|entry| size_of(&entry.expect("a folder can be listed").path())).sum()
}
