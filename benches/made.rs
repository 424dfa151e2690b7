//! A registry of generated images in its own process, with a fixed delay of each reply: this delay and the number of
//! concurrent requests give the upper limit of a scan's speed.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use silo::seed::LABEL;

use crate::jobs;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// The argument that makes this program the registry.
const SERVE: &str = "serve-made-up-images";

/// Content and delay of the registry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub repositories: usize,
    pub tags_each: usize,
    /// Delay of a reply, in addition to the time of making it.
    pub delay: Duration,
}

impl Shape {
    pub(crate) fn tags(&self) -> usize {
        self.repositories * self.tags_each
    }

    pub(crate) fn repository(&self, number: usize) -> String {
        jobs::job(number, "1.0.0", "1.0.0").repository()
    }
}

/// The registry's process, killed on drop.
pub(crate) struct Registry {
    process: Child,
    pub host: String,
}

impl Drop for Registry {
    fn drop(&mut self) {
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

impl Registry {
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.host)
    }

    pub(crate) fn start(shape: Shape) -> Self {
        let program = std::env::current_exe().expect("a program knows where it is");
        let numbers = [shape.repositories, shape.tags_each, shape.delay.as_millis() as usize].map(|n| n.to_string());
        let mut process = Command::new(program)
            .arg(SERVE)
            .args(numbers)
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program runs once more");
        let mut host = String::new();
        let out = process.stdout.take().expect("its output is ours");
        BufReader::new(out).read_line(&mut host).expect("it says where it listens");
        Self { process, host: host.trim().to_owned() }
    }
}

/// Serves and never returns, if this process was started for that.
pub(crate) fn serve_if_asked() {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|argument| argument == SERVE) {
        let number = |offset: usize| arguments[at + offset].parse::<usize>().expect("a number");
        let delay = Duration::from_millis(number(3) as u64);
        let shape = Shape { repositories: number(1), tags_each: number(2), delay };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        runtime.expect("a runtime").block_on(serve(shape));
    }
}

struct Held {
    shape: Shape,
    /// Digests of manifest and config, by image number.
    images: Vec<(String, String)>,
    manifests: HashMap<String, usize>,
    configs: HashMap<String, usize>,
    repositories: Vec<String>,
    numbers: HashMap<String, usize>,
}

async fn serve(shape: Shape) {
    let mut held = Held {
        shape,
        images: Vec::new(),
        manifests: HashMap::new(),
        configs: HashMap::new(),
        repositories: (0..shape.repositories).map(|number| shape.repository(number)).collect(),
        numbers: HashMap::new(),
    };
    for number in 0..shape.tags() {
        let config = config(shape, number);
        let (manifest, config) = (digest(manifest(&config).as_bytes()), digest(config.as_bytes()));
        held.manifests.insert(manifest.clone(), number);
        held.configs.insert(config.clone(), number);
        held.images.push((manifest, config));
    }
    held.numbers = held.repositories.iter().cloned().enumerate().map(|(number, name)| (name, number)).collect();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port on loopback");
    println!("{}", listener.local_addr().expect("a bound address"));
    let app = Router::new().fallback(answer).with_state(Arc::new(held));
    axum::serve(listener, app).await.expect("serving");
}

async fn answer(State(held): State<Arc<Held>>, request: Request) -> Response {
    if !held.shape.delay.is_zero() {
        tokio::time::sleep(held.shape.delay).await; // because that is what is measured
    }
    let path = request.uri().path();
    let query: HashMap<_, _> =
        url::form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes()).collect();
    if path == "/v2/" {
        return reply("{}", "application/json");
    }
    if path == "/v2/_catalog" {
        let from = query.get("last").map_or(0, |last| held.numbers[last.as_ref()] + 1);
        let size: usize = query["n"].parse().expect("a number");
        let page = &held.repositories[from..held.repositories.len().min(from + size)];
        return reply(&json!({ "repositories": page }).to_string(), "application/json");
    }
    if path == "/v2/_zot/ext/search" {
        return reply(&held.search(&query["query"]).to_string(), "application/json");
    }
    let path = path.trim_start_matches("/v2/");
    if let Some(name) = path.strip_suffix("/tags/list") {
        let tags: Vec<String> = (0..held.shape.tags_each).map(tag).collect();
        return reply(&json!({ "name": name, "tags": tags }).to_string(), "application/json");
    }
    if let Some((name, reference)) = path.split_once("/manifests/") {
        let number = match held.manifests.get(reference) {
            Some(number) => *number,
            None => held.numbers[name] * held.shape.tags_each + reference[2..].parse::<usize>().expect("a tag"),
        };
        let mut response = reply(&manifest(&config(held.shape, number)), MANIFEST);
        let digest = held.images[number].0.parse().expect("digests are plain");
        response.headers_mut().insert("docker-content-digest", digest);
        return response;
    }
    let (_, blob) = path.split_once("/blobs/").expect("nothing else is asked for");
    reply(&config(held.shape, held.configs[blob]), "application/octet-stream")
}

impl Held {
    /// Replies to the two queries of zot's search that SILO sends.
    fn search(&self, query: &str) -> Value {
        let number = |name: &str| {
            let rest = query.split_once(&format!("{name}:")).expect("each question has a page").1;
            rest.split(|c: char| !c.is_ascii_digit()).next().and_then(|n| n.parse::<usize>().ok()).expect("a number")
        };
        let (limit, offset) = (number("limit"), number("offset"));
        let page = |total: usize, name: &str, row: &dyn Fn(usize) -> Value| {
            let rows: Vec<Value> = (offset..total.min(offset + limit)).map(row).collect();
            json!({ "data": { name: { "Page": { "TotalCount": total }, "Results": rows } } })
        };
        if query.contains("RepoListWithNewestImage") {
            let row = |number: usize| json!({ "Name": self.repositories[number] });
            return page(self.repositories.len(), "RepoListWithNewestImage", &row);
        }
        let name = query.split('"').nth(1).expect("the question names a repository");
        let first = self.numbers[name] * self.shape.tags_each;
        let row = |number: usize| {
            let (digest, config) = &self.images[first + number];
            json!({ "Tag": tag(number), "Digest": digest, "Size": "4711",
                "Manifests": [{ "Digest": digest, "ConfigDigest": config }] })
        };
        page(self.shape.tags_each, "ImageList", &row)
    }
}

pub(crate) fn tag(number: usize) -> String {
    format!("1.{number}")
}

fn config(shape: Shape, number: usize) -> String {
    let (repository, tag) = (number / shape.tags_each, number % shape.tags_each);
    let job = jobs::job(repository, "1.0.0", &format!("1.{tag}.0"));
    json!({ "os": "linux", "architecture": "amd64", "created": "2026-11-01T00:00:00Z",
        "config": { "Labels": { LABEL: job.manifest } }, "rootfs": { "type": "layers", "diff_ids": [] } })
    .to_string()
}

fn manifest(config: &str) -> String {
    let descriptor = json!({ "mediaType": CONFIG, "digest": digest(config.as_bytes()), "size": config.len() });
    json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor, "layers": [] }).to_string()
}

/// Digests of configs in the order of tags, for clients other than scans.
pub(crate) fn configs(shape: Shape) -> impl Iterator<Item = String> {
    (0..shape.tags()).map(move |number| digest(config(shape, number).as_bytes()))
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

fn reply(body: &str, kind: &'static str) -> Response {
    Response::builder().header("content-type", kind).body(Body::from(body.to_owned())).expect("a plain answer")
}
