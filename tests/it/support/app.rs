//! The whole service in this process: database, tasks, and the HTTP server on its own port.
//!
//! ```ignore
//! let silo = TestApp::start().await; // SQLite; TestApp::on_postgres().await; TestApp::with().manual_clock().start().await
//! let registry = silo.add_layout("geo", &jobs(&[("my-job", "1.0.0", "0.1.0")])).await;
//! silo.scan(registry).await;
//! let jobs = silo.anonymous().get("/jobs").await.expect(200).json();
//! ```
//!
//! Every reply received by a [`Client`] is validated against `openapi.yaml`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, Utc};
use http::{HeaderMap, Method};
use secrecy::SecretString;
use serde_json::{Value, json};
use silo::app::{App, NewUser};
use silo::clock::Clock;
use silo::config::{ConfigFlags, ServiceSettings};
use silo::http::RouteEntry;
use silo::seed::LABEL;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::OnceCell;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use super::contract;
use super::layout::LayoutBuilder;
use super::postgres::{self, TestDatabase};
use super::sse::EventStream;

pub(crate) const ADMIN: &str = "admin";
pub(crate) const ADMIN_PASSWORD: &str = "correct horse battery staple";
pub(crate) const USER: &str = "uma";
pub(crate) const USER_PASSWORD: &str = "umas very own secret";

/// A running service; stopped on drop.
pub(crate) struct TestApp {
    pub app: App,
    pub clock: Clock,
    /// `http://127.0.0.1:PORT`, without a trailing slash.
    pub url: String,
    routes: Vec<RouteEntry>,
    http: reqwest::Client,
    admin: OnceCell<String>,
    user: OnceCell<String>,
    stop: CancellationToken,
    server: JoinHandle<()>,
    /// The background tasks, aborted on drop.
    _tasks: JoinSet<()>,
    folder: TempDir,
    database: Option<TestDatabase>,
}

/// Configuration of a [`TestApp`].
pub(crate) struct Builder {
    clock: Clock,
    postgres: bool,
    environment: HashMap<String, String>,
    grace: Duration,
}

impl Builder {
    /// Uses a fresh PostgreSQL database.
    pub(crate) fn postgres(mut self) -> Self {
        self.postgres = true;
        self
    }

    /// Uses a clock that only the test advances.
    pub(crate) fn manual_clock(mut self) -> Self {
        self.clock = Clock::manual(beginning());
        self
    }

    /// Sets the grace period of open requests at shutdown.
    pub(crate) fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Sets an option by its environment variable: `("SILO__SCAN__WAIT_SECONDS", "0")`.
    pub(crate) fn set(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    pub(crate) async fn start(mut self) -> TestApp {
        let folder = tempfile::tempdir().expect("a folder for the data");
        let database = if self.postgres { Some(postgres::database().await) } else { None };
        let mut set = |name: &str, value: String| _ = self.environment.entry(name.to_owned()).or_insert(value);
        set("SILO_DATA", folder.path().join("data").display().to_string());
        set("DATABASE_URL", database.as_ref().map(TestDatabase::url).unwrap_or_default());
        set("SILO_ADMIN_PASSWORD", ADMIN_PASSWORD.to_owned());
        set("SILO__SCAN__LAYOUT_ROOTS", folder.path().display().to_string());
        // Scans run only on request.
        set("SILO__SCAN__SCHEDULE", "off".to_owned());
        set("SILO__SCAN__JITTER_MINUTES", "0".to_owned());
        // Long enough for a scan of a few images on the slowest machine.
        set("SILO__SCAN__WAIT_SECONDS", "50".to_owned());
        // No retries, so that missing replies fail soon.
        set("SILO__SCAN__TRIES", "1".to_owned());
        let settings =
            ServiceSettings::from_layers(&ConfigFlags::default(), &self.environment).expect("usable settings");

        silo::telemetry::metrics();
        let (app, _) = App::start(settings, self.clock.clone()).await.expect("the service starts");
        let stop = CancellationToken::new();
        let tasks = silo::tasks::start(&app, &stop).await.expect("the tasks start");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("a bound socket has an address"));
        let routes = silo::http::routes(app.clone());
        let table = routes.table().to_vec();
        let limits = silo::http::ListenerLimits::new(&app);
        let served = silo::http::serve(routes.into_router(), listener, limits, stop.clone(), self.grace);
        let server = tokio::spawn(served);
        TestApp {
            app,
            clock: self.clock,
            url,
            routes: table,
            http: http_client(),
            admin: OnceCell::new(),
            user: OnceCell::new(),
            stop,
            server,
            _tasks: tasks,
            folder,
            database,
        }
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.stop.cancel();
        self.server.abort();
    }
}

impl TestApp {
    /// Starts with the defaults: SQLite and the system clock.
    pub(crate) async fn start() -> Self {
        Self::with().start().await
    }

    /// Starts with the defaults on PostgreSQL.
    pub(crate) async fn on_postgres() -> Self {
        Self::with().postgres().start().await
    }

    /// A builder, to change defaults first.
    pub(crate) fn with() -> Builder {
        Builder { clock: Clock::system(), postgres: false, environment: HashMap::new(), grace: Duration::ZERO }
    }

    /// All routes of the service.
    pub(crate) fn routes(&self) -> &[RouteEntry] {
        &self.routes
    }

    /// A temporary folder, removed with the service. Layouts may be in it; the data directory is its subfolder `data`.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The PostgreSQL database, for direct access.
    pub(crate) fn database(&self) -> &TestDatabase {
        self.database.as_ref().expect("this service runs on PostgreSQL")
    }

    pub(crate) fn anonymous(&self) -> Client<'_> {
        Client { silo: self, who: Who::Nobody }
    }

    /// A client with the role `user`.
    pub(crate) fn user(&self) -> Client<'_> {
        Client { silo: self, who: Who::User }
    }

    pub(crate) fn admin(&self) -> Client<'_> {
        Client { silo: self, who: Who::Admin }
    }

    /// A client with this `Authorization` header.
    pub(crate) fn authorized(&self, header: &str) -> Client<'_> {
        Client { silo: self, who: Who::Header(header.to_owned()) }
    }

    /// Logs in, and returns the token.
    pub(crate) async fn login(&self, username: &str, password: &str) -> String {
        let body = json!({"username": username, "password": password}).to_string();
        text(&self.ask(Method::POST, "/login", &[], body.into()).await.expect(200).json()["token"])
    }

    /// The admin's token, cached.
    pub(crate) async fn admin_token(&self) -> &str {
        self.admin.get_or_init(|| self.login(ADMIN, ADMIN_PASSWORD)).await
    }

    /// A user's token, cached; the user is added by the first call.
    pub(crate) async fn user_token(&self) -> &str {
        let add = async || {
            let password = SecretString::from(USER_PASSWORD);
            let new = NewUser { username: USER.into(), password, role: "user".into() };
            self.app.user_add(&new).await.expect("a user");
            self.login(USER, USER_PASSWORD).await
        };
        self.user.get_or_init(add).await
    }

    /// Writes a layout to disk, in place of an earlier one with this name.
    pub(crate) fn write_layout(&self, name: &str, layout: &LayoutBuilder) -> PathBuf {
        let folder = self.folder().join("layouts").join(name);
        layout.write(&folder).expect("a layout on disk");
        folder
    }

    /// Writes a layout to disk and adds it as a registry; returns the registry's id.
    pub(crate) async fn add_layout(&self, name: &str, layout: &LayoutBuilder) -> i64 {
        let url = self.write_layout(name, layout).display().to_string();
        let added = self.admin().post("/registries/add", json!({"name": name, "url": url})).await.expect(201);
        added.json()["ID"].as_i64().expect("a number")
    }

    /// Scans a registry, and waits for the end.
    pub(crate) async fn scan(&self, registry: i64) {
        let reply = self.admin().post(&format!("/registries/{registry}/scan"), json!({})).await.expect(202);
        assert_eq!(reply.text, "", "the scan is not over in time");
    }

    /// A service whose catalogue has these jobs (see [`jobs`]), from one registry with id 1.
    pub(crate) async fn with_jobs(list: &[(&str, &str, &str)]) -> Self {
        let silo = Self::start().await;
        let registry = silo.add_layout("geo", &jobs(list)).await;
        silo.scan(registry).await;
        silo
    }

    /// Stops the service as a signal does.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Reply {
        let mut request = self.http.request(method.clone(), format!("{}{path}", self.url)).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.unwrap_or_else(|why| panic!("{method} {path}: no reply: {why:?}"));
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.unwrap_or_else(|why| panic!("{method} {path}: no whole reply: {why:?}"));
        let reply = Reply { asked: format!("{method} {path}"), status, headers, text };
        contract::check(&self.routes, &method, path, &reply);
        reply
    }

    /// Sends raw bytes over a new connection, and returns the reply up to its close. The request should contain
    /// `Connection: close`.
    pub(crate) async fn raw(&self, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(&self.url["http://".len()..]).await.expect("a connection");
        stream.write_all(request).await.expect("the request goes out");
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply).await.expect("the reply comes in");
        String::from_utf8_lossy(&reply).into_owned()
    }

    /// A GET with the path sent unnormalized.
    pub(crate) async fn raw_get(&self, path: &str) -> String {
        self.raw(format!("GET {path} HTTP/1.1\r\nHost: silo\r\nConnection: close\r\n\r\n").as_bytes()).await
    }
}

/// The start time of manual clocks.
pub(crate) fn beginning() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).expect("a moment in this century")
}

/// An HTTP client with its credentials.
#[derive(Clone)]
pub(crate) struct Client<'a> {
    silo: &'a TestApp,
    who: Who,
}

#[derive(Clone)]
enum Who {
    Nobody,
    User,
    Admin,
    Header(String),
}

impl Client<'_> {
    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send(Method::GET, path, &[], Vec::new()).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Reply {
        self.post_text(path, body.to_string()).await
    }

    /// Posts any text as the body.
    pub(crate) async fn post_text(&self, path: &str, body: impl Into<Vec<u8>>) -> Reply {
        self.send(Method::POST, path, &[("content-type", "application/json")], body.into()).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Reply {
        self.send(Method::DELETE, path, &[], Vec::new()).await
    }

    /// Sends any request. Panics if the reply does not conform to `openapi.yaml`.
    pub(crate) async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Reply {
        let authorization = self.authorization().await;
        let authorization = authorization.as_deref().map(|value| ("authorization", value));
        let headers: Vec<(&str, &str)> = headers.iter().copied().chain(authorization).collect();
        self.silo.ask(method, path, &headers, body).await
    }
}

impl Client<'_> {
    /// Opens a stream of server-sent events.
    pub(crate) async fn follow(&self, path: &str, headers: &[(&str, &str)]) -> EventStream {
        let request = self.silo.http.get(format!("{}{path}", self.silo.url)).header("accept", "text/event-stream");
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let request = match self.authorization().await {
            Some(value) => request.header("authorization", value),
            None => request,
        };
        EventStream::new(request.send().await.expect("a reply"))
    }

    async fn authorization(&self) -> Option<String> {
        match &self.who {
            Who::Nobody => None,
            Who::User => Some(format!("Token {}", self.silo.user_token().await)),
            Who::Admin => Some(format!("Token {}", self.silo.admin_token().await)),
            Who::Header(header) => Some(header.clone()),
        }
    }
}

/// A reply.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    /// The request, for messages.
    pub asked: String,
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Reply {
    /// Returns the reply if it has this status; else panics.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}: {}", self.asked, self.text);
        self
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|why| panic!("{}: {why}: {}", self.asked, self.text))
    }

    /// A header's value; empty if it is missing.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("headers are ASCII"))
    }

    /// The error message, in the format of either API.
    #[track_caller]
    pub(crate) fn error(&self) -> String {
        let body = self.json();
        text(body.get("error").or_else(|| body.get("detail")).expect("an error's text"))
    }
}

/// A minimal Seed manifest with this name, job version and package version.
pub(crate) fn manifest(name: &str, job_version: &str, package_version: &str) -> Value {
    json!({
        "seedVersion": "1.0.0",
        "job": {
            "name": name,
            "jobVersion": job_version,
            "packageVersion": package_version,
            "title": format!("The job {name}"),
            "description": "Does what it says",
            "tags": ["example"],
            "maintainer": {"name": "Ada", "email": "ada@example.org", "organization": "Example"},
            "timeout": 60,
            "resources": {"scalar": [{"name": "cpus", "value": 1.0}, {"name": "mem", "value": 64.0}, {"name": "disk", "value": 1.0}]},
            "interface": {"command": "run"},
        },
    })
}

/// A layout with one image for each (name, job version, package version), named by the Seed standard:
/// `geo/NAME-JOBVERSION-seed:PACKAGEVERSION`.
pub(crate) fn jobs(list: &[(&str, &str, &str)]) -> LayoutBuilder {
    let mut layout = LayoutBuilder::oci();
    for (name, job_version, package_version) in list {
        let label = manifest(name, job_version, package_version).to_string();
        layout.image(&format!("geo/{name}-{job_version}-seed:{package_version}"), &[(LABEL, &label)]);
    }
    layout
}

/// The text of a JSON string; panics on other values.
#[track_caller]
pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is not a text")).to_owned()
}

/// Follows no redirects, so that tests see them.
fn http_client() -> reqwest::Client {
    silo::registry::install_tls();
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().no_gzip();
    client.build().expect("a client")
}
