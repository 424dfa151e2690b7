//! Behind a proxy, below a prefix, from a browser of another origin; and bodies as proxies and clients send them.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use http::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::app::{TestApp, jobs, text};

/// Headers that a proxy adds that serves SILO at `https://silo.example.org/geo/silo`.
const PROXIED: [(&str, &str); 3] =
    [("host", "silo.example.org"), ("x-forwarded-proto", "https"), ("x-forwarded-prefix", "/geo/silo/")];

/// The URL of a new hook, requested with these headers.
async fn hook(silo: &TestApp, headers: &[(&str, &str)]) -> String {
    let made = silo.admin().send(Method::POST, "/api/v1/registries/1/hook", headers, b"{}".to_vec()).await.expect(201);
    text(&made.json()["url"])
}

async fn behind_a_proxy() -> TestApp {
    let silo = TestApp::with().set("SILO__HTTP__TRUST_FORWARDED_FOR", "true").start().await;
    silo.add_layout("geo", &jobs(&[("a", "1.0.0", "1.0.0")])).await;
    silo
}

#[tokio::test]
async fn addresses_are_made_as_the_proxy_says() {
    let silo = behind_a_proxy().await;
    let url = hook(&silo, &PROXIED).await;
    assert!(url.starts_with("https://silo.example.org/geo/silo/hooks/"), "{url}");
    for (scheme, expected) in
        [("HTTPS", "https"), ("https,http", "https"), ("https , http", "https"), ("http,https", "http")]
    {
        let url = hook(&silo, &[("host", "silo.example.org"), ("x-forwarded-proto", scheme)]).await;
        assert!(url.starts_with(&format!("{expected}://silo.example.org/hooks/")), "{scheme}: {url}");
    }
    let url = hook(&silo, &[("host", "10.0.0.7:9000"), ("x-forwarded-host", "silo.example.org:8443, inner")]).await;
    assert!(url.starts_with("http://silo.example.org:8443/hooks/"), "{url}");

    let scan =
        silo.admin().send(Method::POST, "/api/v1/registries/1/scans", &PROXIED, b"{}".to_vec()).await.expect(202);
    assert!(scan.header("location").starts_with("/geo/silo/api/v1/scans/"), "{}", scan.header("location"));
    let feed = silo.anonymous().send(Method::GET, "/api/v1/feed", &PROXIED, Vec::new()).await.expect(200);
    assert!(feed.text.contains("href=\"/geo/silo/api/v1/feed\""), "{}", feed.text);
}

#[tokio::test]
async fn a_prefix_that_is_configured_counts_whatever_the_proxy_says() {
    let builder = TestApp::with().set("SILO__HTTP__PUBLIC_URL", "https://silo.example.org/geo/");
    let silo = builder.set("SILO__HTTP__TRUST_FORWARDED_FOR", "true").start().await;
    silo.add_layout("geo", &jobs(&[("a", "1.0.0", "1.0.0")])).await;
    let scan =
        silo.admin().send(Method::POST, "/api/v1/registries/1/scans", &PROXIED, b"{}".to_vec()).await.expect(202);
    assert!(scan.header("location").starts_with("/geo/api/v1/scans/"), "{}", scan.header("location"));
}

#[tokio::test]
async fn what_a_stranger_says_of_a_proxy_does_not_count() {
    let silo = TestApp::start().await;
    silo.add_layout("geo", &jobs(&[("a", "1.0.0", "1.0.0")])).await;
    let url = hook(&silo, &[&PROXIED[..], &[("x-forwarded-host", "evil.example")]].concat()).await;
    assert!(url.starts_with("http://silo.example.org/hooks/"), "{url}");
    let scan =
        silo.admin().send(Method::POST, "/api/v1/registries/1/scans", &PROXIED, b"{}".to_vec()).await.expect(202);
    assert!(scan.header("location").starts_with("/api/v1/scans/"), "{}", scan.header("location"));
}

#[tokio::test]
async fn browsers_may_send_and_read_what_streams_files_and_conditions_need() {
    let silo = TestApp::start().await;
    for name in
        ["authorization", "content-type", "last-event-id", "range", "if-none-match", "if-match", "cache-control"]
    {
        let preflight = [
            ("origin", "https://ui.example"),
            ("access-control-request-method", "GET"),
            ("access-control-request-headers", name),
        ];
        let reply = silo.anonymous().send(Method::OPTIONS, "/api/v1/events", &preflight, Vec::new()).await.expect(200);
        assert!(reply.header("access-control-allow-headers").split(',').any(|allowed| allowed == name), "{name}");
    }
    let origin = [("origin", "https://ui.example")];
    let reply = silo.anonymous().send(Method::GET, "/api/v1/search?q=x", &origin, Vec::new()).await.expect(200);
    let exposed = reply.header("access-control-expose-headers").to_owned();
    for name in ["etag", "content-range", "content-disposition", "location", "retry-after", "www-authenticate", "link"]
    {
        assert!(exposed.split(',').any(|header| header == name), "{name}: {exposed}");
    }
}

#[tokio::test]
async fn a_request_has_one_host() {
    let silo = TestApp::start().await;
    for (head, status) in [
        ("HTTP/1.1\r\n", "400"),
        ("HTTP/1.1\r\nHost: a\r\nHost: b\r\n", "400"),
        ("HTTP/1.1\r\nHost: a\r\n", "200"),
        ("HTTP/1.0\r\n", "200"),
    ] {
        let reply = silo.raw(format!("GET /jobs {head}Connection: close\r\n\r\n").as_bytes()).await;
        assert_eq!(reply.split(' ').nth(1), Some(status), "{head:?}: {reply}");
    }
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}

#[tokio::test]
async fn a_compressed_body_is_undone_and_bounded_by_what_it_becomes() {
    let silo = TestApp::start().await;
    let ask = async |coding: &str, body: Vec<u8>| {
        silo.anonymous().send(Method::POST, "/api/v1/validate", &[("content-encoding", coding)], body).await
    };
    let manifest = json!({"manifest": {"seedVersion": "1.0.0"}}).to_string();
    let plain = ask("identity", manifest.clone().into_bytes()).await.expect(200).json();
    assert_eq!(ask("gzip", gzipped(manifest.as_bytes())).await.expect(200).json(), plain);
    assert_eq!(ask("GZIP", gzipped(manifest.as_bytes())).await.expect(200).json(), plain);

    let bomb = gzipped(&vec![b' '; 16 << 20]);
    assert!(bomb.len() < 1 << 20);
    ask("gzip", bomb).await.expect(413);
    ask("gzip", manifest.clone().into_bytes()).await.expect(400);
    let cut = gzipped(manifest.as_bytes());
    ask("gzip", cut[..cut.len() - 9].to_vec()).await.expect(400);
    for coding in ["br", "zstd", "deflate", "gzip, gzip", "x"] {
        let reply = ask(coding, manifest.clone().into_bytes()).await.expect(415);
        assert_eq!(reply.header("accept-encoding"), "gzip, identity");
    }
}

/// Sends the whole body before it reads, as most clients do; returns the reply.
async fn send_first(silo: &TestApp, path: &str, length: usize) -> String {
    let mut stream = TcpStream::connect(&silo.url["http://".len()..]).await.expect("a connection");
    let head = format!("POST {path} HTTP/1.1\r\nHost: silo\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.expect("the head goes out");
    let piece = [b' '; 64 * 1024];
    for _ in 0..length / piece.len() {
        stream.write_all(&piece).await.expect("the server takes what it has refused");
    }
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).await.expect("the reply comes in");
    String::from_utf8_lossy(&reply).into_owned()
}

#[tokio::test]
async fn a_refusal_reaches_whoever_sends_first() {
    let silo = TestApp::start().await;
    for (path, status) in [("/login", "413"), ("/api/v1/validate", "413"), ("/users/add", "401"), ("/unknown", "404")] {
        let reply = send_first(&silo, path, 64 << 20).await;
        assert_eq!(reply.split(' ').nth(1), Some(status), "{path}: {reply}");
    }
    // A client that expects `100 Continue` need not send the body at all.
    let waits = "POST /users/add HTTP/1.1\r\nHost: silo\r\nExpect: 100-continue\r\nConnection: close\r\nContent-Length: 9\r\n\r\n";
    let reply = silo.raw(waits.as_bytes()).await;
    assert!(reply.starts_with("HTTP/1.1 401"), "{reply}");
    silo.anonymous().post("/login", Value::Null).await.expect(422);
}
