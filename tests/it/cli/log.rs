//! What the service's log contains, and what it must not.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;

use crate::scan::registry_of;
use crate::support::process::{PASSWORD, PATIENCE, Setup, Silo};

/// The log lines that contain all of these words.
fn lines(silo: &Silo, words: &[&str]) -> Vec<String> {
    let has_all = |line: &&str| words.iter().all(|word| line.contains(word));
    silo.log().lines().filter(has_all).map(str::to_owned).collect()
}

/// Log lines may come a moment after the reply: another thread writes them.
#[track_caller]
fn assert_told(silo: &Silo, words: &[&str]) {
    let began = Instant::now();
    while lines(silo, words).is_empty() {
        assert!(began.elapsed() < PATIENCE, "no line has {words:?}:\n{}", silo.log());
        std::thread::sleep(Duration::from_millis(20)); // because a file does not report that it has grown
    }
}

/// At the default level, each with the request id and the client's address.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_says_who_did_what_from_where() {
    let registry = registry_of(&["ice"]).await;
    let mut silo = Setup::new().start().await;
    let id = silo.add("mine", &registry.url()).await;
    silo.scan(id).await;
    let ask = async |method: Method, path: &str, token: &str, body: serde_json::Value| {
        let request = reqwest::Client::builder()
            .no_proxy()
            .no_gzip()
            .build()
            .unwrap()
            .request(method, format!("{}{path}", silo.url()));
        let request = request.header("authorization", format!("Token {token}")).body(body.to_string());
        let reply = request.send().await.expect("a reply");
        let id = reply.headers()["x-request-id"].to_str().expect("digits").to_owned();
        (reply.status().as_u16(), id, reply.text().await.expect("a text"))
    };
    let token = silo.login("admin", PASSWORD).await;
    let bob = json!({"username": "bob", "password": "bobs secret"});
    let (status, added, _) = ask(Method::POST, "/users/add", &token, bob).await;
    assert_eq!(status, 201);
    let (_, failed, _) = ask(Method::POST, "/login", "", json!({"username": "bob", "password": "hunter2"})).await;
    let (_, unknown, _) = ask(Method::POST, "/login", "", json!({"username": "hunter2", "password": "x"})).await;
    let (_, hook, _) = ask(Method::POST, &format!("/api/v1/registries/{id}/hook"), &token, json!({})).await;
    let (status, missing, _) = ask(Method::GET, "/jobs/999", &token, json!(null)).await;
    assert_eq!(status, 404);
    let (status, deleted, _) = ask(Method::DELETE, "/users/delete/2", &token, json!(null)).await;
    assert_eq!(status, 200);

    let (admin, from) = ("user=\"admin\"", "from=\"127.0.0.1\"");
    assert_told(&silo, &["account added", "bob", &added, admin, from]);
    assert_told(&silo, &["WARN", "login failed", "account=\"bob\"", &failed, from]);
    assert_told(&silo, &["WARN", "login failed", "account=\"unknown\"", &unknown, from]);
    assert_told(&silo, &["hook created", "mine", &hook, admin, from]);
    assert_told(&silo, &["answered", "status=404", &missing, admin, from]);
    assert_told(&silo, &["answered", "status=401", &failed, from]);
    assert_told(&silo, &["account deleted", &deleted, admin]);
    assert_told(&silo, &["registry added", "mine", admin, from]);
    assert_told(&silo, &["scan requested", admin, from]);
    assert_told(&silo, &["logged in", "account=\"admin\"", from]);
    assert_told(&silo, &["INFO", "scan ended", "complete"]);
    silo.terminate().await;
    assert!(!silo.log().contains("hunter2") && !silo.log().contains(PASSWORD), "{}", silo.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_scan_is_an_error() {
    let registry = registry_of(&["ice"]).await;
    let silo = Setup::new().impatient().start().await;
    let id = silo.add("mine", &registry.url()).await;
    drop(registry);
    silo.post(&format!("/registries/{id}/scan"), json!({})).await;
    assert_told(&silo, &["ERROR", "scan ended", "failed", "mine"]);
}

/// Input cannot inject log lines.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_forges_lines() {
    let mut silo = Setup::new().start().await;
    let forged = "x\n2026-01-01T00:00:00Z  INFO forged\r\n\u{2028}forged";
    silo.post("/login", json!({"username": forged, "password": forged})).await;
    silo.post("/users/add", json!({"username": forged, "password": "long enough"})).await;
    silo.post("/registries/add", json!({"name": "mine", "url": format!("http://127.0.0.1:1/{forged}")})).await;
    silo.get("/jobs/x%0A2026%20forged%0D").await;
    silo.get("//hooks/0123456789abcdef0123456789abcdef").await;
    silo.get("/a/../hooks/0123456789abcdef0123456789abcdef").await;
    silo.terminate().await;
    let log = silo.log();
    for line in log.lines() {
        assert!(line.starts_with("20") && line.as_bytes().get(10) == Some(&b'T'), "{line:?} in\n{log}");
        assert!(!line.contains("INFO forged"), "{line:?}");
    }
    assert!(!log.contains("0123456789abcdef0123456789abcdef"), "the address of a hook is a secret: {log}");
}
