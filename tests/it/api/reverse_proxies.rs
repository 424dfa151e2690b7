//! `deploy/nginx.conf`, and the Caddy example of docs/deploying.md, tested with a real nginx and a real Caddy: at the
//! root of a host and below a path.

use std::fs::{self, File};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use reqwest::Client;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::app::{ADMIN, ADMIN_PASSWORD, TestApp, jobs, text};

/// A proxy process for one test; stopped on drop.
struct Proxy {
    url: String,
    child: Child,
    folder: TempDir,
}

/// Starts a proxy in front of SILO at an address; the flag: below a path.
type Start = fn(&str, bool) -> Proxy;

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port").port()
}

impl Proxy {
    /// nginx with `deploy/nginx.conf`, except for the address, TLS and SILO's address; if `below`, the location below a
    /// path replaces the one at the root, as the file's comment describes.
    fn nginx(silo: &str, below: bool) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let port = free_port();
        let file = include_str!("../../../deploy/nginx.conf");
        let lines = file.lines().filter(|line| !line.trim_start().starts_with("ssl_")).map(|line| {
            let line = line.replace("listen 443 ssl", &format!("listen 127.0.0.1:{port}"));
            line.replace("http://127.0.0.1:9000", silo)
        });
        let server: Vec<String> = match below {
            false => lines.collect(),
            true => lines
                .map(|line| {
                    if line.contains("location / {") { line.replace("location / {", "location /none {") } else { line }
                })
                .map(|line| match line.trim_start().strip_prefix("# ") {
                    Some(rest) if line.starts_with("    # location") || rest.starts_with("    ") || rest == "}" => {
                        rest.to_owned()
                    }
                    _ => line,
                })
                .collect(),
        };
        let here = folder.path().display();
        let temporary =
            ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|kind| format!("{kind}_temp_path {here}/{kind};"));
        let whole = format!(
            "daemon off; pid {here}/pid; error_log {here}/error.log; events {{}}\nhttp {{ access_log off; {}\n{}\n}}\n",
            temporary.join(" "),
            server.join("\n")
        );
        fs::write(folder.path().join("nginx.conf"), whole).expect("written");
        let child = Command::new("nginx")
            .args(["-e", &format!("{here}/error.log"), "-c", &format!("{here}/nginx.conf")])
            .stderr(Stdio::null())
            .spawn()
            .expect("nginx is there: tests/run installs nginx-light");
        Self { url: format!("http://127.0.0.1:{port}"), child, folder }
    }

    /// Caddy with the example of the page, except for the host name and SILO's address. No certificates are requested.
    fn caddy(silo: &str, below: bool) -> Self {
        let page = include_str!("../../../docs/deploying.md");
        let (_, after) = page.split_once("**Caddy**").expect("the page speaks of Caddy");
        let site = after.split("```").nth(if below { 3 } else { 1 }).expect("both ways").trim_start();
        let (folder, url) = (tempfile::tempdir().expect("a folder"), format!("http://127.0.0.1:{}", free_port()));
        let (name, _) = site.split_once(' ').expect("a name of a host");
        let site = site.replacen(name, &url, 1).replace("127.0.0.1:9000", silo.trim_start_matches("http://"));
        let file = folder.path().join("Caddyfile");
        fs::write(&file, format!("{{\n admin off\n auto_https off\n}}\n{site}")).expect("written");
        let child = Command::new("caddy")
            .args(["run", "--adapter", "caddyfile", "--config"])
            .arg(file)
            .env("HOME", folder.path())
            .stderr(File::create(folder.path().join("error.log")).expect("a log"))
            .spawn()
            .expect("caddy is there: tests/run installs it");
        Self { url, child, folder }
    }

    async fn listens(&self) {
        let began = Instant::now();
        while std::net::TcpStream::connect(&self.url["http://".len()..]).is_err() {
            let log = fs::read_to_string(self.folder.path().join("error.log")).unwrap_or_default();
            assert!(began.elapsed() < Duration::from_secs(30), "it does not listen: {log}");
            tokio::time::sleep(Duration::from_millis(20)).await; // because it does not report when it listens
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // nginx stops its workers itself.
        _ = Command::new("kill").arg(self.child.id().to_string()).status();
        _ = self.child.wait();
    }
}

async fn is_well_served(start: Start, below: bool, prefix: &str) {
    let silo = TestApp::with().set("SILO__HTTP__TRUST_FORWARDED_FOR", "true").start().await;
    silo.add_layout("geo", &jobs(&[("ice", "1.0.0", "1.0.0")])).await;
    silo.scan(1).await;
    let proxy = start(&silo.url, below);
    proxy.listens().await;
    let http = Client::builder().no_proxy().build().expect("a client");
    let url = |path: &str| format!("{}{prefix}{path}", proxy.url);
    for path in ["/jobs", "/jobs/", "/api/v1/search/?q=ice"] {
        let reply = http.get(url(path)).send().await.expect("a reply");
        assert_eq!(reply.status(), 200, "{path} ends at {}", reply.url());
        assert!(reply.text().await.expect("a text").contains("ice"), "{path}");
    }
    // The redirect preserves method and body.
    let form = json!({"username": ADMIN, "password": ADMIN_PASSWORD});
    let login: Value = http.post(url("/login/")).json(&form).send().await.expect("a reply").json().await.expect("JSON");
    let ask = http.post(url("/api/v1/registries/1/scans")).bearer_auth(text(&login["token"])).json(&json!({}));
    let scan = ask.send().await.expect("a reply");
    assert_eq!(scan.status(), 202);
    let location = scan.headers()["location"].to_str().expect("a text").to_owned();
    assert!(location.starts_with(&format!("{prefix}/api/v1/scans/")), "{location}");
    // Proxy headers set by the client are ignored.
    let ask = http.post(url("/api/v1/registries/1/hook")).bearer_auth(text(&login["token"])).json(&json!({}));
    let ask = ask.header("x-forwarded-host", "evil.example").header("x-forwarded-prefix", "/evil");
    let hook: Value =
        ask.header("x-forwarded-proto", "https").send().await.expect("a reply").json().await.expect("JSON");
    assert!(text(&hook["url"]).starts_with(&format!("{}{prefix}/hooks/", proxy.url)), "{hook}");
    // A stream is not buffered.
    let events = http.get(url("/api/v1/events?after=0")).header("accept", "text/event-stream");
    let mut events = events.send().await.expect("a reply");
    let first = events.chunk().await.expect("a piece").expect("not its end");
    assert!(!first.is_empty());
    // Larger than nginx's default limit.
    let long = http.post(url("/users/add")).body(vec![b' '; 4 << 20]).send().await.expect("a reply");
    assert_eq!(long.status(), 401, "{}", long.text().await.unwrap_or_default());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nginx_at_the_root_of_a_host() {
    is_well_served(Proxy::nginx, false, "").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nginx_below_a_path() {
    is_well_served(Proxy::nginx, true, "/silo").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caddy_at_the_root_of_a_host() {
    is_well_served(Proxy::caddy, false, "").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caddy_below_a_path() {
    is_well_served(Proxy::caddy, true, "/silo").await;
}

/// systemd verifies the unit, except for the program, which is not installed here.
#[test]
fn the_unit_of_systemd_has_no_fault() {
    let folder = tempfile::tempdir().expect("a folder");
    let unit = include_str!("../../../deploy/silo.service").replace("/usr/local/bin/silo", env!("CARGO_BIN_EXE_silo"));
    let file = folder.path().join("silo.service");
    let verify = |text: &str| {
        fs::write(&file, text).expect("written");
        let output = Command::new("systemd-analyze").arg("verify").arg(&file).output();
        let output = output.expect("systemd-analyze is there: tests/run installs systemd");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        // Messages about other units of the machine are ignored.
        let ours: Vec<String> = said.lines().filter(|line| line.contains("silo.service")).map(str::to_owned).collect();
        (output.status.success(), ours)
    };
    assert_eq!(verify(&unit), (true, Vec::new()));
    let (_, faults) = verify(&unit.replace("ProtectSystem=strict", "ProtectSystem=very"));
    assert_eq!(faults.len(), 1, "{faults:?}");
}
