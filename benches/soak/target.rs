//! The service under test: the real program with a fresh data folder, a registry, users and a hook.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use reqwest::Client;
use serde_json::{Value, json};
use tempfile::TempDir;

const PASSWORD: &str = "correct horse battery staple";

pub(crate) struct Target {
    /// `http://ADDRESS:PORT`
    pub url: String,
    /// `ADDRESS:PORT`
    pub host: String,
    pub token: String,
    pub registry: i64,
    /// Path of the registry's hook.
    pub hook: String,
    /// Image for runs, if there is an engine.
    pub image: Option<String>,
    child: Child,
    _folder: TempDir,
}

impl Target {
    pub(crate) async fn start(registry: &str) -> Self {
        silo::registry::install_tls();
        let folder = tempfile::tempdir().expect("a folder");
        let (child, url) = launch(folder.path());
        let host = url.trim_start_matches("http://").to_owned();
        let mut target = Self {
            url,
            host,
            token: String::new(),
            registry: 0,
            hook: String::new(),
            image: variable("SILO_SOAK_IMAGE").and_then(|image| image.into_string().ok()),
            child,
            _folder: folder,
        };
        let http = client();
        let ask = async |path: &str, token: &str, body: Value| -> Value {
            let asked = http.post(format!("{}{path}", target.url)).bearer_auth(token).json(&body).send().await;
            let answer = asked.expect("it answers");
            assert!(answer.status().is_success(), "{path}: {answer:?}");
            answer.json().await.unwrap_or_default()
        };
        let login = ask("/api/v1/login", "", json!({"username": "admin", "password": PASSWORD})).await;
        let token = login["token"].as_str().expect("a token").to_owned();
        let added = ask("/api/v1/registries", &token, json!({"name": "soak", "url": registry})).await;
        let number = added["id"].as_i64().expect("a number");
        let hook = ask(&format!("/api/v1/registries/{number}/hook"), &token, json!({})).await;
        let address = hook["url"].as_str().expect("an address");
        let hook = address[address.find("/hooks/").expect("the path of hooks")..].to_owned();
        ask(&format!("/api/v1/registries/{number}/scans"), &token, json!({})).await;
        (target.token, target.registry, target.hook) = (token, number, hook);
        target.wait_for_images(&http).await;
        target
    }

    async fn wait_for_images(&self, http: &Client) {
        let began = Instant::now();
        loop {
            let found = http.get(format!("{}/api/v1/search?q=cloud", self.url)).send().await.expect("it answers");
            let found: Value = found.json().await.expect("JSON");
            if found["total"].as_u64().is_some_and(|total| total > 0) {
                return;
            }
            assert!(began.elapsed() < Duration::from_secs(120), "the first scan does not find anything: {found}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// The login of honest clients.
    pub(crate) fn credentials(&self) -> Value {
        json!({"username": "admin", "password": PASSWORD})
    }

    /// After the test, the service still stops on SIGTERM.
    pub(crate) async fn ends_in_good_order(self: std::sync::Arc<Self>) {
        let began = Instant::now();
        let process = self.child.id();
        _ = Command::new("kill").args(["-TERM", &process.to_string()]).status();
        let ended =
            || std::fs::read_to_string(format!("/proc/{process}/stat")).map_or(true, |stat| stat.contains(") Z "));
        while !ended() && began.elapsed() < Duration::from_secs(60) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        super::line(
            "from TERM to the end",
            format!("{:.1} s{}", began.elapsed().as_secs_f64(), if ended() { "" } else { ": it did not end" }),
        );
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// A client with one keep-alive connection.
pub(crate) fn client() -> Client {
    let builder = Client::builder().no_proxy().pool_max_idle_per_host(1).timeout(Duration::from_secs(60));
    builder.build().expect("a plain client can be built")
}

#[expect(clippy::disallowed_methods, reason = "how this program is told what to use")]
fn variable(name: &str) -> Option<std::ffi::OsString> {
    std::env::var_os(name)
}

fn launch(folder: &Path) -> (Child, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_silo"));
    command.args(["serve", "--listen", "127.0.0.1:0"]).stdout(Stdio::piped());
    match variable("SILO_SOAK_LOG") {
        Some(path) => command.stderr(std::fs::File::create(path).expect("a file for the log")),
        None => command.stderr(Stdio::null()),
    };
    command
        .env("SILO_DATA", folder.join("data"))
        .env("SILO_ADMIN_PASSWORD", PASSWORD)
        .env("SILO__SCAN__SCHEDULE", "off");
    command.env("SILO__RUNS__NETWORK", "none");
    if let Some(engine) = variable("SILO_SOAK_ENGINE") {
        command.env("SILO__RUNS__ENGINE", engine);
    }
    let mut child = command.spawn().expect("cargo built it");
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines().map_while(Result::ok);
    let welcome = lines.find_map(|line| Some(line.split_once("http://")?.1.to_owned()));
    let url = format!("http://{}", welcome.expect("it says where it listens").trim());
    std::thread::spawn(move || lines.for_each(drop));
    (child, url)
}
