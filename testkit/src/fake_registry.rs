//! An in-memory registry with an HTTP server on loopback and injectable faults.
//!
//! ```ignore
//! let registry = FakeRegistry::start().await;
//! registry.push("geo/a-seed", "1.0.0", &Image::new().label("key", "value"));
//! registry.fault(Seen::is_catalog, 1, Fault::Status(503));
//! // … speak to registry.url() …
//! assert_eq!(registry.count(Seen::is_catalog), 2);
//! ```
//!
//! Clones share one registry. It stops when the last clone is dropped.

#![allow(dead_code, reason = "a kit for all tests; each takes what it needs")]

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::stream;
use parking_lot::{Mutex, MutexGuard};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use url::form_urlencoded;

use super::token_desk::{TokenDesk, TokenHabit};

pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";

/// For [`FakeRegistry::fault`]: no limit.
pub const ALWAYS: usize = usize::MAX;

/// The registry.
#[derive(Clone)]
pub struct FakeRegistry {
    address: SocketAddr,
    shared: Arc<Shared>,
    _server: Arc<Server>,
}

struct Server(JoinHandle<()>);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A fault in place of the correct reply, or added to it.
#[derive(Clone, Debug)]
pub enum Fault {
    /// This status without a body.
    Status(u16),
    /// This status and header, without a body.
    StatusWith(u16, &'static str, String),
    /// An HTML page with this status.
    Html(u16),
    /// This status and JSON, without registry headers.
    Json(u16, Value),
    /// No reply, ever.
    Hang,
    /// The correct reply, delayed until notified.
    Hold(Arc<Notify>),
    /// The connection is closed without a reply.
    Drop,
    /// Half of the correct body, with the `Content-Length` of the whole.
    Truncated,
    /// The correct head, then single bytes at intervals, without end.
    Trickle,
    /// The correct head, then bytes without end, at full speed.
    Endless,
    /// The correct head with another body.
    WrongBytes,
    /// The correct reply without `Docker-Content-Digest`.
    NoDigestHeader,
    /// The correct reply with this header.
    Header(&'static str, String),
    /// The correct reply with this `Link`.
    Link(String),
    /// A listing page with one new name, and a link to the next such page.
    EndlessPages,
    /// A redirect to this URL.
    Redirect(String),
}

/// A received request.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: Method,
    pub path: String,
    /// Empty if absent.
    pub query: String,
    pub authorization: Option<String>,
    pub headers: HeaderMap,
    /// Empty if absent.
    pub body: Bytes,
}

impl Seen {
    pub fn is_any(&self) -> bool {
        true
    }
    pub fn is_ping(&self) -> bool {
        self.path == "/v2/"
    }
    pub fn is_catalog(&self) -> bool {
        self.path == "/v2/_catalog"
    }
    pub fn is_tags(&self) -> bool {
        self.path.ends_with("/tags/list")
    }
    pub fn is_manifest(&self) -> bool {
        self.path.contains("/manifests/")
    }
    pub fn is_head(&self) -> bool {
        self.method == Method::HEAD
    }
    pub fn is_blob(&self) -> bool {
        self.path.contains("/blobs/")
    }
    pub fn is_token(&self) -> bool {
        self.path == "/token" || self.path == "/jwt/auth"
    }
    /// A query parameter.
    pub fn parameter(&self, name: &str) -> Option<String> {
        form_urlencoded::parse(self.query.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }
}

/// An image to push.
#[derive(Clone, Debug)]
pub struct Image {
    labels: Value,
    annotations: Value,
    platform: [String; 2],
    docker: bool,
}

impl Default for Image {
    fn default() -> Self {
        let platform = ["linux".to_owned(), "amd64".to_owned()];
        Self { labels: json!({}), annotations: json!({}), platform, docker: false }
    }
}

impl Image {
    /// An OCI image for linux/amd64 without labels.
    pub fn new() -> Self {
        Self::default()
    }
    pub fn label(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.labels[key] = value.into();
        self
    }
    /// Sets an annotation of the manifest.
    pub fn annotation(mut self, key: &str, value: &str) -> Self {
        self.annotations[key] = value.into();
        self
    }
    pub fn platform(mut self, os: &str, architecture: &str) -> Self {
        self.platform = [os.to_owned(), architecture.to_owned()];
        self
    }
    /// Uses Docker's schema 2 media types instead of OCI.
    pub fn docker(mut self) -> Self {
        self.docker = true;
        self
    }
}

/// Tags and their digests by repository.
pub type Repositories = BTreeMap<String, BTreeMap<String, String>>;

/// A reply that can be cloned.
#[derive(Clone, Debug)]
pub struct Own {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Value,
}

impl Own {
    pub fn new(status: u16, body: Value) -> Self {
        Self { status, headers: Vec::new(), body }
    }
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

impl From<Own> for Response {
    fn from(own: Own) -> Self {
        let response = reply(own.status, own.body.to_string());
        own.headers.iter().fold(response, |response, (name, value)| with(response, name, value))
    }
}

/// A vendor's API: replies to the requests that it knows; `None` passes a request on.
type Interface = dyn FnMut(&Seen, &Repositories) -> Option<Response> + Send;

#[derive(Clone)]
struct Served {
    interface: Arc<Mutex<Interface>>,
    /// Whether it requires the login of `/v2/`.
    to_members: bool,
}

/// A weak reference to the registry, for a vendor's API.
#[derive(Clone)]
pub struct Peek(Weak<Shared>);

impl Peek {
    /// The config digest of an image (not an index).
    pub fn config_of(&self, digest: &str) -> Option<String> {
        let shared = self.0.upgrade()?;
        let inner = shared.inner.lock();
        let manifest: Value = serde_json::from_slice(&inner.manifests.get(digest)?.1).ok()?;
        Some(manifest["config"]["digest"].as_str()?.to_owned())
    }

    pub fn signal(&self, repository: &str) -> Option<String> {
        self.0.upgrade()?.inner.lock().signals.get(repository).cloned()
    }
}

struct Shared {
    inner: Mutex<Inner>,
    arrived: watch::Sender<usize>,
}

#[derive(Default)]
struct Inner {
    repositories: Repositories,
    /// Vendors' APIs beside `/v2/`; the last one that replies wins.
    interfaces: Vec<Served>,
    /// State of repositories in listings, for vendors whose listings contain it.
    signals: HashMap<String, String>,
    /// Other registries below path prefixes.
    mounts: Vec<(String, Arc<Shared>)>,
    manifests: HashMap<String, (String, Bytes)>,
    blobs: HashMap<String, Bytes>,
    auth: Auth,
    /// The token service at `/token`.
    desk: Option<Arc<TokenDesk>>,
    most_names: Option<usize>,
    no_links: bool,
    named: Vec<Named>,
    faults: Vec<Armed>,
    log: Vec<Seen>,
    in_flight: usize,
    peak: usize,
    pages_made: usize,
}

/// Requests whose replies have an `ETag`.
struct Named {
    matches: Box<dyn Fn(&Seen) -> bool + Send>,
    /// Called for each reply with a body.
    sent: Box<dyn Fn() + Send>,
}

struct Armed {
    matches: Box<dyn Fn(&Seen) -> bool + Send>,
    times: usize,
    fault: Fault,
}

#[derive(Clone, Default)]
enum Auth {
    #[default]
    Open,
    Basic(String),
    Bearer {
        realm: String,
        desk: Arc<TokenDesk>,
    },
}

impl FakeRegistry {
    /// An empty registry without authentication on a free port.
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port on loopback");
        let address = listener.local_addr().expect("a bound address");
        let shared = Arc::new(Shared { inner: Mutex::default(), arrived: watch::Sender::new(0) });
        let app = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move { axum::serve(listener, app).await.expect("serving") });
        Self { address, shared, _server: Arc::new(Server(server)) }
    }

    /// `http://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// `127.0.0.1:port`.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.shared.inner.lock()
    }

    // --- content

    /// Adds an image under a tag; returns the manifest's digest.
    pub fn push(&self, repository: &str, tag: &str, image: &Image) -> String {
        let digest = self.add(image);
        self.tag(repository, tag, &digest);
        digest
    }

    /// Adds an image without a tag, as a child of an index.
    pub fn add(&self, image: &Image) -> String {
        let config = json!({
            "os": image.platform[0], "architecture": image.platform[1],
            "config": {"Labels": image.labels}, "rootfs": {"type": "layers", "diff_ids": []},
        });
        let digest = self.add_blob(config.to_string().as_bytes());
        let (manifest, config) =
            if image.docker { (DOCKER_MANIFEST, DOCKER_CONFIG) } else { (OCI_MANIFEST, OCI_CONFIG) };
        self.add_manifest(&json!({
            "schemaVersion": 2, "mediaType": manifest, "annotations": image.annotations, "layers": [],
            "config": {"mediaType": config, "digest": digest, "size": 1},
        }))
    }

    /// Adds an index over children made with [`child`].
    pub fn push_index(&self, repository: &str, tag: &str, children: &[Value]) -> String {
        let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": children});
        self.push_manifest(repository, tag, &index)
    }

    /// Adds an artifact: a manifest with this config type.
    pub fn push_artifact(&self, repository: &str, tag: &str, config_type: &str) -> String {
        let config = json!({"mediaType": config_type, "digest": self.add_blob(b"{}"), "size": 2});
        let manifest = json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": []});
        self.push_manifest(repository, tag, &manifest)
    }

    pub fn push_manifest(&self, repository: &str, tag: &str, manifest: &Value) -> String {
        let digest = self.add_manifest(manifest);
        self.tag(repository, tag, &digest);
        digest
    }

    /// Adds a manifest without a tag; manifests are found in every repository.
    pub fn add_manifest(&self, manifest: &Value) -> String {
        let kind = manifest["mediaType"].as_str().unwrap_or(OCI_MANIFEST).to_owned();
        let bytes = Bytes::from(manifest.to_string());
        let digest = digest_of(&bytes);
        self.inner().manifests.insert(digest.clone(), (kind, bytes));
        digest
    }

    pub fn add_blob(&self, bytes: &[u8]) -> String {
        let digest = digest_of(bytes);
        self.inner().blobs.insert(digest.clone(), Bytes::copy_from_slice(bytes));
        digest
    }

    /// A manifest, parsed.
    pub fn manifest_of(&self, digest: &str) -> Value {
        serde_json::from_slice(&self.inner().manifests[digest].1).expect("a manifest is JSON")
    }

    /// A blob, parsed as JSON.
    pub fn blob_of(&self, digest: &str) -> Value {
        serde_json::from_slice(&self.inner().blobs[digest]).expect("a blob that is JSON")
    }

    /// Points a tag at a digest, which need not exist.
    pub fn tag(&self, repository: &str, tag: &str, digest: &str) {
        self.inner().repositories.entry(repository.to_owned()).or_default().insert(tag.to_owned(), digest.to_owned());
    }

    /// Adds a repository without tags, under any name.
    pub fn add_repository(&self, repository: &str) {
        self.inner().repositories.entry(repository.to_owned()).or_default();
    }

    pub fn delete_repository(&self, repository: &str) {
        self.inner().repositories.remove(repository);
    }

    pub fn delete_tag(&self, repository: &str, tag: &str) {
        if let Some(tags) = self.inner().repositories.get_mut(repository) {
            tags.remove(tag);
        }
    }

    pub fn delete_manifest(&self, digest: &str) {
        self.inner().manifests.remove(digest);
    }

    /// Adds a vendor's API beside and before `/v2/`, without authentication.
    pub fn serve<R: Into<Response>>(&self, interface: impl FnMut(&Seen, &Repositories) -> Option<R> + Send + 'static) {
        self.serve_interface(interface, false);
    }

    /// The same, with the login of `/v2/`.
    pub fn serve_to_members<R: Into<Response>>(
        &self,
        interface: impl FnMut(&Seen, &Repositories) -> Option<R> + Send + 'static,
    ) {
        self.serve_interface(interface, true);
    }

    fn serve_interface<R: Into<Response>>(
        &self,
        mut interface: impl FnMut(&Seen, &Repositories) -> Option<R> + Send + 'static,
        to_members: bool,
    ) {
        let interface = Arc::new(Mutex::new(move |seen: &Seen, all: &Repositories| interface(seen, all).map(R::into)));
        self.inner().interfaces.push(Served { interface, to_members });
    }

    /// Adds an `ETag` to replies to matching requests, and replies 304 to `If-None-Match`. Calls `sent` for each reply
    /// with a body.
    pub fn serve_named(&self, matches: impl Fn(&Seen) -> bool + Send + 'static, sent: impl Fn() + Send + 'static) {
        self.inner().named.push(Named { matches: Box::new(matches), sent: Box::new(sent) });
    }

    /// Sets the state of a repository in listings, for vendors whose listings contain it.
    pub fn signal(&self, repository: &str, word: &str) {
        self.inner().signals.insert(repository.to_owned(), word.to_owned());
    }

    /// For vendors' APIs that need more than tags and digests.
    pub fn peek(&self) -> Peek {
        Peek(Arc::downgrade(&self.shared))
    }

    pub fn repositories(&self) -> Repositories {
        self.inner().repositories.clone()
    }

    // --- logging in

    pub fn require_basic(&self, username: &str, password: &str) {
        self.inner().auth = Auth::Basic(basic(username, password));
    }

    /// Requires tokens of `service` (this or another registry); issued to everybody, or for a name and password. Each
    /// token is valid for one scope, and the challenge's own scope is a placeholder.
    pub fn require_bearer(&self, service: &FakeRegistry, login: Option<(&str, &str)>) {
        self.require_bearer_with(&format!("{}/token", service.url()), service, login, json!({}));
    }

    /// Like [`FakeRegistry::require_bearer`], with this realm in the challenge, and additional keys in the service's
    /// replies (`expires_in`, or `"access_token": true` for the token under that key).
    pub fn require_bearer_with(&self, realm: &str, service: &FakeRegistry, login: Option<(&str, &str)>, answer: Value) {
        let login = login.map(|(username, password)| basic(username, password));
        let desk = Arc::new(TokenDesk::new(login, answer));
        service.inner().desk = Some(Arc::clone(&desk));
        self.inner().auth = Auth::Bearer { realm: realm.to_owned(), desk };
    }

    /// Revokes all issued tokens.
    pub fn revoke_tokens(&self) {
        if let Auth::Bearer { desk, .. } = &self.inner().auth {
            desk.revoke();
        }
    }

    /// Makes the token service behave like this vendor's; call [`FakeRegistry::require_bearer`] first.
    pub fn tokens_as(&self, habit: TokenHabit) {
        match &self.inner().auth {
            Auth::Bearer { desk, .. } => *desk.habit.lock() = habit,
            _ => panic!("it wants no tokens"),
        }
    }

    // --- listings

    /// Replies 400 to requests for more names per page.
    pub fn cap_pages(&self, names: usize) {
        self.inner().most_names = Some(names);
    }

    /// Omits `Link`, as some registries do.
    pub fn leave_out_links(&self) {
        self.inner().no_links = true;
    }

    // --- more than `/v2/`

    /// Serves another registry below a path; its links lack the path.
    pub fn mount(&self, path: &str, other: &FakeRegistry) {
        self.inner().mounts.push((path.to_owned(), Arc::clone(&other.shared)));
    }

    // --- faults and what was seen

    /// Replaces the reply to the next `times` matching requests. The first matching fault wins.
    pub fn fault(&self, matches: impl Fn(&Seen) -> bool + Send + 'static, times: usize, fault: Fault) {
        self.inner().faults.push(Armed { matches: Box::new(matches), times, fault });
    }

    pub fn clear_faults(&self) {
        self.inner().faults.clear();
    }

    /// All requests so far, in order of arrival.
    pub fn log(&self) -> Vec<Seen> {
        self.inner().log.clone()
    }

    pub fn clear_log(&self) {
        self.inner().log.clear();
    }

    /// Number of logged requests that match.
    pub fn count(&self, matches: impl Fn(&Seen) -> bool) -> usize {
        self.inner().log.iter().filter(|seen| matches(seen)).count()
    }

    /// Maximum of concurrent requests.
    pub fn peak(&self) -> usize {
        self.inner().peak
    }

    /// Waits until this many requests have arrived since the start.
    pub async fn arrived(&self, count: usize) {
        let mut arrived = self.shared.arrived.subscribe();
        arrived.wait_for(|so_far| *so_far >= count).await.expect("the registry lives");
    }
}

/// A child of an index. `platform` is `os/architecture`, or empty for none.
pub fn child(digest: &str, platform: &str) -> Value {
    let mut child = json!({"mediaType": OCI_MANIFEST, "digest": digest, "size": 1});
    if let Some((os, architecture)) = platform.split_once('/') {
        child["platform"] = json!({"os": os, "architecture": architecture});
    }
    child
}

pub fn digest_of(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

pub fn basic(username: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{username}:{password}")))
}

/// Counts a request as active until it is dropped.
struct Flight(Arc<Shared>);

impl Drop for Flight {
    fn drop(&mut self) {
        self.0.inner.lock().in_flight -= 1;
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request<Body>) -> Response {
    let (head, body) = request.into_parts();
    let header = head.headers.get("authorization");
    let seen = Seen {
        method: head.method,
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        authorization: header.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()),
        headers: head.headers,
        body: axum::body::to_bytes(body, 1 << 20).await.expect("a small body"),
    };
    let fault = {
        let mut inner = shared.inner.lock();
        inner.log.push(seen.clone());
        inner.in_flight += 1;
        inner.peak = inner.peak.max(inner.in_flight);
        inner.faults.iter_mut().find(|armed| armed.times > 0 && (armed.matches)(&seen)).map(|armed| {
            armed.times -= usize::from(armed.times != ALWAYS);
            armed.fault.clone()
        })
    };
    let _flight = Flight(Arc::clone(&shared));
    shared.arrived.send_modify(|count| *count += 1);
    let right = || special(&shared, &seen).unwrap_or_else(|| shared.inner.lock().serve(&seen));
    let response = match fault {
        None => right(),
        Some(fault) => misbehave(fault, &shared, right).await,
    };
    let is_named = shared.inner.lock().named.iter().any(|named| (named.matches)(&seen));
    if is_named && response.status().is_success() { name(&shared, &seen, response).await } else { response }
}

async fn name(shared: &Shared, seen: &Seen, response: Response) -> Response {
    let (head, body) = response.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.expect("a body in memory");
    let etag = format!("\"{}\"", digest_of(format!("{:?}{body:?}", head.headers.get("link")).as_bytes()));
    if seen.headers.get("if-none-match").is_some_and(|known| known.as_bytes() == etag.as_bytes()) {
        return with(empty(304), "etag", &etag);
    }
    for named in shared.inner.lock().named.iter().filter(|named| (named.matches)(seen)) {
        (named.sent)();
    }
    with(Response::from_parts(head, Body::from(body)), "etag", &etag)
}

/// The reply of a vendor's API. Called without the lock, so that it can access the registry.
fn special(shared: &Shared, seen: &Seen) -> Option<Response> {
    let (interfaces, repositories) = {
        let inner = shared.inner.lock();
        (inner.interfaces.clone(), inner.repositories.clone())
    };
    let answer = |served: &Served| (served.interface.lock())(seen, &repositories);
    let (answer, to_members) = interfaces.iter().rev().find_map(|served| Some((answer(served)?, served.to_members)))?;
    let path =
        seen.path.trim_start_matches('/').trim_start_matches("v2/").trim_start_matches("gitlab/v1/repositories/");
    let refusal = to_members.then(|| shared.inner.lock().refuse(seen, path)).flatten();
    Some(refusal.unwrap_or(answer))
}

async fn misbehave(fault: Fault, shared: &Shared, right: impl Fn() -> Response) -> Response {
    match fault {
        Fault::Status(status) => empty(status),
        Fault::StatusWith(status, name, value) => with(empty(status), name, &value),
        Fault::Html(status) => with(reply(status, "<!doctype html><h1>Hello</h1>"), "content-type", "text/html"),
        Fault::Json(status, body) => reply(status, body.to_string()),
        Fault::Hang => std::future::pending().await,
        Fault::Hold(gate) => {
            gate.notified().await;
            right()
        }
        Fault::Drop => broken(with(empty(200), "content-length", "10"), Bytes::new()),
        Fault::Truncated => {
            let (parts, body) = right().into_parts();
            let bytes = axum::body::to_bytes(body, usize::MAX).await.expect("a body in memory");
            let head = with(Response::from_parts(parts, Body::empty()), "content-length", &bytes.len().to_string());
            broken(head, bytes.slice(..bytes.len() / 2))
        }
        Fault::Trickle => streaming(right(), Duration::from_millis(20), 1),
        Fault::Endless => streaming(right(), Duration::ZERO, 64 << 10),
        Fault::WrongBytes => {
            let (parts, _) = right().into_parts();
            Response::from_parts(parts, Body::from(r#"{"schemaVersion":2}"#))
        }
        Fault::NoDigestHeader => {
            let mut response = right();
            response.headers_mut().remove("docker-content-digest");
            response
        }
        Fault::Header(name, value) => with(right(), name, &value),
        Fault::Link(link) => with(right(), "link", &link),
        Fault::EndlessPages => {
            let mut inner = shared.inner.lock();
            inner.pages_made += 1;
            let page = inner.pages_made;
            let body = json!({"repositories": [format!("r{page}")], "name": "r", "tags": [format!("t{page}")]});
            with(reply(200, body.to_string()), "link", &format!("</v2/next?page={page}>; rel=\"next\""))
        }
        Fault::Redirect(to) => with(empty(307), "location", &to),
    }
}

impl Inner {
    fn serve(&mut self, seen: &Seen) -> Response {
        if seen.is_token() {
            return self.serve_token(seen);
        }
        for (mount, other) in &self.mounts {
            if let Some(path) = seen.path.strip_prefix(mount) {
                let seen = Seen { path: path.to_owned(), ..seen.clone() };
                return other.inner.lock().serve(&seen);
            }
        }
        let Some(path) = seen.path.strip_prefix("/v2/") else { return empty(404) };
        if let Some(refusal) = self.refuse(seen, path) {
            return refusal;
        }
        let response = if path.is_empty() {
            reply(200, "{}")
        } else if path == "_catalog" {
            let names: Vec<String> = self.repositories.keys().cloned().collect();
            self.page(seen, &names, |page| json!({"repositories": page}))
        } else if let Some(repository) = path.strip_suffix("/tags/list") {
            match self.repositories.get(repository) {
                None => error(404, "NAME_UNKNOWN"),
                Some(tags) if tags.is_empty() => reply(200, json!({"name": repository, "tags": null}).to_string()),
                Some(tags) => {
                    let names: Vec<String> = tags.keys().cloned().collect();
                    self.page(seen, &names, |page| json!({"name": repository, "tags": page}))
                }
            }
        } else if let Some((repository, reference)) = path.split_once("/manifests/") {
            self.manifest(repository, reference)
        } else if let Some((_, digest)) = path.split_once("/blobs/") {
            self.blobs.get(digest).map_or_else(|| error(404, "BLOB_UNKNOWN"), |bytes| reply(200, bytes.clone()))
        } else {
            error(404, "UNSUPPORTED")
        };
        with(response, "docker-distribution-api-version", "registry/2.0")
    }

    fn manifest(&self, repository: &str, reference: &str) -> Response {
        let tagged = self.repositories.get(repository).and_then(|tags| tags.get(reference));
        let digest = tagged.map_or(reference, String::as_str);
        match self.manifests.get(digest) {
            None => error(404, "MANIFEST_UNKNOWN"),
            Some((kind, bytes)) => {
                let response = with(reply(200, bytes.clone()), "content-type", kind);
                with(response, "docker-content-digest", digest)
            }
        }
    }

    fn page(&self, seen: &Seen, names: &[String], body: impl Fn(&[String]) -> Value) -> Response {
        let wanted = seen.parameter("n").and_then(|n| n.parse().ok()).unwrap_or(100);
        if self.most_names.is_some_and(|most| wanted > most) {
            return error(400, "PAGINATION_NUMBER_INVALID");
        }
        let last = seen.parameter("last").unwrap_or_default();
        let rest: Vec<String> = names.iter().filter(|name| **name > last).cloned().collect();
        let page = &rest[..rest.len().min(wanted)];
        let response = reply(200, body(page).to_string());
        match page.last() {
            Some(last) if page.len() < rest.len() && !self.no_links => {
                let query = form_urlencoded::Serializer::new(String::new())
                    .append_pair("last", last)
                    .append_pair("n", &wanted.to_string())
                    .finish();
                with(response, "link", &format!("<{}?{query}>; rel=\"next\"", seen.path))
            }
            _ => response,
        }
    }

    /// The 401 if credentials or token are missing or wrong.
    fn refuse(&self, seen: &Seen, path: &str) -> Option<Response> {
        let shown = seen.authorization.as_deref();
        let challenge = match &self.auth {
            Auth::Open => return None,
            Auth::Basic(wanted) if shown == Some(wanted) => return None,
            Auth::Basic(_) => "Basic realm=\"fake, registry\"".to_owned(),
            Auth::Bearer { realm, desk } => {
                let wanted = scope_of(path);
                let token = shown.and_then(|value| value.strip_prefix("Bearer "));
                if token.is_some_and(|token| desk.opens(token, path, &wanted)) {
                    return None;
                }
                let scope =
                    desk.challenge(path, &wanted).map(|scope| format!(",scope=\"{scope}\"")).unwrap_or_default();
                format!("Bearer realm=\"{realm}\",service=\"{}\"{scope}", desk.service())
            }
        };
        Some(with(error(401, "UNAUTHORIZED"), "www-authenticate", &challenge))
    }

    fn serve_token(&self, seen: &Seen) -> Response {
        let Some(desk) = &self.desk else { return empty(404) };
        match desk.give(seen.authorization.as_deref(), seen.parameter("scope")) {
            Ok(answer) => reply(200, answer.to_string()),
            Err(status) => error(status, "UNAUTHORIZED"),
        }
    }
}

fn scope_of(path: &str) -> String {
    // Repository names never begin so, and are never empty.
    if path.starts_with('_') || path.ends_with("_catalog") || path == "tags/list" {
        return "registry:catalog:*".to_owned();
    }
    if let Some(repository) = path.strip_prefix("acr/v1/").and_then(|path| path.strip_suffix("/_tags")) {
        return format!("repository:{repository}:metadata_read");
    }
    let end = ["/tags/list", "/manifests/", "/blobs/"].iter().find_map(|part| path.find(part)).unwrap_or(path.len());
    format!("repository:{}:pull", &path[..end])
}

fn empty(status: u16) -> Response {
    reply(status, "")
}

pub fn error(status: u16, code: &str) -> Response {
    reply(status, json!({"errors": [{"code": code, "message": format!("fake says {code}")}]}).to_string())
}

pub fn reply(status: u16, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
    response
}

pub fn with(mut response: Response, name: &'static str, value: &str) -> Response {
    let headers: &mut HeaderMap = response.headers_mut();
    headers.insert(name, HeaderValue::from_str(value).expect("a header value"));
    response
}

/// Sends these bytes of the body, then breaks the connection.
fn broken(response: Response, bytes: Bytes) -> Response {
    let (parts, _) = response.into_parts();
    let body = stream::iter([Ok(bytes), Err(std::io::Error::other("broken on purpose"))]);
    Response::from_parts(parts, Body::from_stream(body))
}

fn streaming(response: Response, pace: Duration, size: usize) -> Response {
    let (mut parts, _) = response.into_parts();
    parts.headers.remove("content-length");
    let body = stream::unfold((), move |()| async move {
        tokio::time::sleep(pace).await; // because slowness is the fault
        Some((Ok::<_, Infallible>(Bytes::from(vec![b' '; size])), ()))
    });
    Response::from_parts(parts, Body::from_stream(body))
}
