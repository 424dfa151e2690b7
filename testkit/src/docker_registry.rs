//! The reference registry (Debian's package `docker-registry`, 2.8) as a child process.
//!
//! It implements the real protocol, so these tests do not depend on a mock's assumptions. Every registry has its own
//! port and folder; dropping it ends the process and removes the folder.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, header};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::OnceCell;

use super::{layout::LayoutBuilder, needs, output, token_server::TokenServer};

/// Timeout for the start, which usually takes a tenth of a second.
const START_LIMIT: Duration = Duration::from_secs(20);

/// A running registry, or a stopped one after [`stop`](Self::stop).
pub struct DockerRegistry {
    folder: TempDir,
    port: u16,
    child: Option<Child>,
    /// User and password, if it requires authentication.
    account: Option<(String, String)>,
    /// The token server; without one the registry uses HTTP Basic.
    tokens: Option<TokenServer>,
    /// Target of its notifications.
    notified: Option<String>,
    /// Trusts what the registry shows, and has no credentials.
    pub http: Client,
    /// The blobs that [`put`](Self::put) uploaded, each only once: during a second upload of the same blob, this
    /// registry rewrites its link file and reports the blob as missing.
    sent: Mutex<HashMap<String, Arc<OnceCell<()>>>>,
}

impl DockerRegistry {
    /// A registry that allows anonymous reads and writes.
    pub async fn open() -> Self {
        Self::new().launch().await
    }

    /// A registry that requires this user and password (HTTP Basic, realm `test`).
    pub async fn htpasswd(user: &str, password: &str) -> Self {
        let mut registry = Self::new();
        let file = output(Command::new("htpasswd").args(["-Bbn", user, password]));
        fs::write(registry.folder.path().join("htpasswd"), file).expect("write htpasswd");
        registry.account = Some((user.to_owned(), password.to_owned()));
        registry.launch().await
    }

    /// A registry that requires tokens of [`TokenServer`].
    pub async fn token(user: &str, password: &str) -> Self {
        let mut registry = Self::new();
        registry.tokens = Some(TokenServer::start(registry.folder.path(), user, password).await);
        registry.account = Some((user.to_owned(), password.to_owned()));
        registry.launch().await
    }

    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder for the registry");
        Self {
            folder,
            port: 0,
            child: None,
            account: None,
            tokens: None,
            notified: None,
            http: client(),
            sent: Mutex::default(),
        }
    }

    async fn launch(mut self) -> Self {
        self.start().await;
        self
    }

    /// Starts it again after [`stop`](Self::stop), on the same port and with the same content. Returns when it replies.
    pub async fn start(&mut self) {
        needs::check("registry");
        assert!(self.child.is_none(), "the registry at {} is running", self.host());
        fs::write(self.folder.path().join("config.yml"), self.config()).expect("write config.yml");
        let (child, port) = spawn(self.folder.path());
        self.child = Some(child);
        self.port = port;
        let status = self.get("").await.status();
        assert!(status.is_success(), "GET /v2/ answers {status}");
    }

    /// Kills it: connections are refused until [`start`](Self::start).
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("a child that was not waited for can be killed");
            child.wait().expect("a killed child ends");
            self.http = client(); // the old one keeps connections to the killed process
        }
    }

    /// Makes it send notifications to a URL; it is restarted with another configuration.
    pub async fn notify(&mut self, url: &str) {
        self.stop();
        self.notified = Some(url.to_owned());
        self.start().await;
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.host())
    }

    /// `127.0.0.1:PORT`, as in image references.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The token server of a registry made with [`token`](Self::token).
    pub fn tokens(&self) -> &TokenServer {
        self.tokens.as_ref().expect("only a registry made with `token` has a token server")
    }

    /// Configuration for `docker-registry serve` as JSON, which is YAML. With port 0 the kernel chooses a free port,
    /// without a race.
    fn config(&self) -> String {
        let mut config = json!({
            "version": "0.1",
            "log": {"level": "info", "accesslog": {"disabled": true}},
            "storage": {
                "filesystem": {"rootdirectory": self.folder.path().join("storage")},
                "delete": {"enabled": true},
            },
            "http": {"addr": self.host(), "secret": "only for tests"},
        });
        if let Some(tokens) = &self.tokens {
            config["auth"] = json!({"token": tokens.config()});
        } else if self.account.is_some() {
            config["auth"] = json!({"htpasswd": {"realm": "test", "path": self.folder.path().join("htpasswd")}});
        }
        if let Some(url) = &self.notified {
            let endpoint = json!({"name": "silo", "url": url, "timeout": "5s", "threshold": 5, "backoff": "1s"});
            config["notifications"] = json!({"endpoints": [endpoint]});
        }
        config.to_string()
    }

    /// Copies an image or a whole index from a layout folder with skopeo, preserving digests. `reference` is its name
    /// in the layout, and its repository and tag here.
    pub async fn push(&self, layout: &Path, reference: &str) {
        let mut skopeo = Command::new("skopeo");
        skopeo.args(["--insecure-policy", "copy", "--quiet", "--all", "--preserve-digests", "--dest-tls-verify=false"]);
        if let Some((user, password)) = &self.account {
            skopeo.arg(format!("--dest-creds={user}:{password}"));
        }
        skopeo.arg(format!("oci:{}:{reference}", layout.display()));
        skopeo.arg(format!("docker://{}/{reference}", self.host()));
        tokio::task::spawn_blocking(move || output(&mut skopeo)).await.expect("skopeo succeeds");
    }

    /// Uploads an image, an index or an artifact of a layout by plain HTTP: with any media type, and fast enough for
    /// thousands. Calls may run concurrently. `reference` is its name in the layout; returns its digest.
    pub async fn put(&self, layout: &LayoutBuilder, reference: &str) -> String {
        let (repository, tag) = reference.rsplit_once(':').expect("references are repository:tag");
        let digest = layout.digest(reference).unwrap_or_else(|| panic!("{reference} is not in the layout"));
        let manifest = parse(layout, digest);
        let children: Vec<&str> = digests(&manifest["manifests"]).collect();
        for &child in &children {
            self.put_content(layout, repository, &parse(layout, child)).await;
            self.put_manifest(layout, repository, child, child).await;
        }
        if children.is_empty() {
            self.put_content(layout, repository, &manifest).await;
        }
        self.put_manifest(layout, repository, tag, digest).await;
        digest.to_owned()
    }

    /// Uploads the config and the layers of a manifest.
    async fn put_content(&self, layout: &LayoutBuilder, repository: &str, manifest: &Value) {
        for digest in digests(&manifest["layers"]).chain(manifest["config"]["digest"].as_str()) {
            let blob = format!("{repository}/{digest}");
            let sent = self.sent.lock().entry(blob).or_default().clone();
            let bytes = layout.bytes(digest).expect("a layout is complete");
            sent.get_or_init(|| self.put_blob(repository, digest, bytes)).await;
        }
    }

    async fn put_blob(&self, repository: &str, digest: &str, bytes: &[u8]) {
        let upload = self.send(self.request(Method::POST, &format!("{repository}/blobs/uploads/"))).await;
        let upload = expect(upload, StatusCode::ACCEPTED).await;
        let location = upload.headers()[header::LOCATION].to_str().expect("a Location is ASCII");
        let path = location.strip_prefix(&format!("{}/v2/", self.url())).expect("uploads stay on this registry");
        let put = self.request(Method::PUT, path).query(&[("digest", digest)]).body(bytes.to_vec());
        expect(self.send(put).await, StatusCode::CREATED).await;
    }

    async fn put_manifest(&self, layout: &LayoutBuilder, repository: &str, name: &str, digest: &str) {
        let manifest = parse(layout, digest);
        let media_type = manifest["mediaType"].as_str().expect("the layout's manifests name their media type");
        let bytes = layout.bytes(digest).expect("a layout is complete").to_vec();
        let put = self.request(Method::PUT, &format!("{repository}/manifests/{name}"));
        let answer = self.send(put.header(header::CONTENT_TYPE, media_type).body(bytes)).await;
        expect(answer, StatusCode::CREATED).await;
    }

    /// Deletes a manifest, and with it every tag that points to it.
    pub async fn delete(&self, repository: &str, digest: &str) {
        let answer = self.send(self.request(Method::DELETE, &format!("{repository}/manifests/{digest}"))).await;
        expect(answer, StatusCode::ACCEPTED).await;
    }

    /// `GET /v2/<path>` with the registry's credentials.
    pub async fn get(&self, path: &str) -> Response {
        self.send(self.request(Method::GET, path)).await
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}/v2/{path}", self.url()));
        match (&self.tokens, &self.account) {
            (Some(tokens), _) => request.bearer_auth(tokens.token_for(path)),
            (None, Some((user, password))) => request.basic_auth(user, Some(password)),
            (None, None) => request,
        }
    }

    pub async fn send(&self, request: RequestBuilder) -> Response {
        request.send().await.unwrap_or_else(|error| panic!("the registry at {} is gone: {error:?}", self.host()))
    }
}

impl Drop for DockerRegistry {
    fn drop(&mut self) {
        self.stop();
    }
}

fn client() -> Client {
    // Fails if a provider is installed already, which is fine.
    rustls::crypto::ring::default_provider().install_default().ok();
    Client::builder().no_proxy().no_gzip().build().expect("a client without options can be built")
}

/// Starts the program, and waits until its log names the port. The log is also written to the file `log` in the folder.
fn spawn(folder: &Path) -> (Child, u16) {
    let mut child = Command::new("docker-registry")
        .args(["serve", "config.yml"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("docker-registry is not installed: run tests/run, which installs what is needed");
    let lines = BufReader::new(child.stderr.take().expect("stderr is piped")).lines();
    let mut log = File::options().create(true).append(true).open(folder.join("log")).expect("open the registry's log");
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            writeln!(log, "{line}").ok(); // the folder may be gone
            if let Some(port) = listening_port(&line) {
                sender.send(port).ok();
            }
        }
    });
    // The thread ends with the program, and drops its sender.
    match receiver.recv_timeout(START_LIMIT) {
        Ok(port) => (child, port),
        Err(reason) => {
            child.kill().ok();
            child.wait().ok();
            let log = fs::read_to_string(folder.join("log")).unwrap_or_default();
            panic!("docker-registry does not listen ({reason}):\n{log}")
        }
    }
}

/// The port in `… msg="listening on 127.0.0.1:42151" …`.
fn listening_port(line: &str) -> Option<u16> {
    let (_, rest) = line.split_once("listening on 127.0.0.1:")?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

fn parse(layout: &LayoutBuilder, digest: &str) -> Value {
    serde_json::from_slice(layout.bytes(digest).expect("a layout is complete")).expect("manifests are JSON")
}

/// The digests of an array of descriptors; none if it is no array.
fn digests(descriptors: &Value) -> impl Iterator<Item = &str> {
    descriptors.as_array().into_iter().flatten().filter_map(|descriptor| descriptor["digest"].as_str())
}

async fn expect(answer: Response, status: StatusCode) -> Response {
    if answer.status() != status {
        let (url, found) = (answer.url().clone(), answer.status());
        panic!("{url}: {found} instead of {status}: {}", answer.text().await.unwrap_or_default());
    }
    answer
}
