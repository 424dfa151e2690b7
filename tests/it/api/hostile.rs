//! Malicious and malformed input: never a 5xx, never a closed connection.

use http::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::app::{ADMIN, ADMIN_PASSWORD, TestApp, USER_PASSWORD, jobs, text};
use crate::support::contract::{DOCUMENT, documented, resolve};
use crate::support::process::PATIENCE;

/// Routes that read a body.
const BODIES: [&str; 5] = ["/login", "/registries/add", "/users/add", "/api/v1/login", "/api/v1/registries"];

#[tokio::test]
async fn bad_bodies_are_refused_in_words() {
    let silo = TestApp::start().await;
    let deep_list = "[".repeat(100_000);
    let deep_object = r#"{"name":"#.repeat(100_000);
    let closed = format!(r#"{{"name":{}{}}}"#, "[".repeat(5000), "]".repeat(5000));
    let texts = [
        "null",
        "true",
        "[]",
        "{]",
        "{\"name\"}",
        "{\"name\":}",
        "\u{feff}{}",
        "<xml/>",
        "name=x",
        "{\"a\":1e999999}",
        "{\"name\":\"\\ud800\"}",
        "{\"name\":\"a\u{1}\"}",
        &deep_list,
        &deep_object,
        &closed,
        r#"{"name":"a\u0000b","username":"a\u0000b","url":"x","password":"x"}"#,
        r#"{"name":{"$gt":""},"username":{"$gt":""},"password":["x"],"url":1}"#,
    ];
    for path in BODIES {
        for body in
            texts.iter().map(|text| text.as_bytes()).chain([&b"{\"name\":\"\xff\xfe\"}"[..], b"\0", b"\x1f\x8b\x08"])
        {
            let reply = silo.admin().post_text(path, body).await;
            let sample = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
            let is_too_long = path.ends_with("/login") && body.len() > 64 << 10;
            assert_eq!(reply.status, if is_too_long { 413 } else { 422 }, "{path} {sample}: {}", reply.text);
            assert!(reply.error().len() < 1000, "{path} {sample}");
        }
    }
    silo.anonymous().get("/readyz").await.expect(200);
}

#[tokio::test]
async fn long_bodies_are_413_and_the_reply_arrives() {
    let silo = TestApp::start().await;
    let long = json!({"name": "x".repeat(2 << 20)}).to_string();
    for path in BODIES {
        let reply = silo.admin().post_text(path, long.clone()).await.expect(413);
        assert!(reply.error().contains("1048576"));
    }
    // Without a `Content-Length`.
    let token = silo.admin_token().await;
    let mut request = format!(
        "POST /users/add HTTP/1.1\r\nHost: silo\r\nAuthorization: Token {token}\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    )
    .into_bytes();
    for _ in 0..32 {
        request.extend_from_slice(b"10000\r\n");
        request.extend_from_slice(&[b' '; 0x10000]);
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"0\r\n\r\n");
    let reply = silo.raw(&request).await;
    assert!(reply.starts_with("HTTP/1.1 413"), "{}", &reply[..reply.len().min(200)]);
    // A body just below the limit is read.
    let blank = |length: usize| format!("{{{}}}", " ".repeat(length - 2));
    silo.admin().post_text("/users/add", blank(1 << 20)).await.expect(400);
    for path in ["/login", "/api/v1/login"] {
        silo.anonymous().post_text(path, blank((64 << 10) + 1)).await.expect(413);
    }
    silo.anonymous().post_text("/login", blank(64 << 10)).await.expect(401);
}

#[tokio::test]
async fn bad_addresses_of_registries_are_refused() {
    let silo = TestApp::start().await;
    for url in [
        "",
        " ",
        "http://",
        "https://",
        "://x",
        "ftp://registry.example",
        "gopher://x",
        "http://[::1",
        "http://a b/",
        "http://user:s3cret@registry.example",
        "https://s3cret@registry.example",
        "registry.example?x=s3cret",
        "registry.example#s3cret",
        "file:///etc",
        "/etc",
        "/nonexistent",
        "file://host/etc",
        "/proc/self/environ",
        "../../etc",
        "a\nb",
        "http://registry.example:99999",
        "javascript:alert(1)",
        "http://127.0.0.1:1",
    ] {
        for path in ["/registries/add", "/api/v1/registries"] {
            let reply = silo.admin().post(path, json!({"name": "x", "url": url})).await.expect(400);
            assert!(!reply.text.contains("s3cret"), "{url:?}: {}", reply.text);
            assert!(reply.error().len() > 10, "{url:?}: {}", reply.text);
        }
    }
    let inside = silo.folder().join("layouts/../..").display().to_string();
    silo.admin().post("/registries/add", json!({"name": "x", "url": inside})).await.expect(400);
    assert_eq!(silo.anonymous().get("/registries").await.text, "[]");
}

#[tokio::test]
async fn bad_names_are_refused() {
    let silo = TestApp::start().await;
    let url = silo.write_layout("geo", &jobs(&[])).display().to_string();
    for name in ["", " ", "a\u{7f}b", "a\nb", "\u{85}", "x ", "\u{202e}x", &"x".repeat(256)] {
        silo.admin().post("/registries/add", json!({"name": name, "url": url})).await.expect(400);
        silo.admin().post("/users/add", json!({"username": name, "password": "long enough"})).await.expect(400);
    }
    // Unusual but valid names; they are returned unchanged.
    for name in [
        "'; DROP TABLE registries; --",
        "<script>alert(1)</script>",
        "Ünï ✓ 🛰",
        "../../etc/passwd",
        "%00",
        "null",
        "\\u0000 as text",
    ] {
        let added = silo.admin().post("/registries/add", json!({"name": name, "url": url})).await.expect(201).json();
        let seen = silo.anonymous().get(&format!("/registries/{}", added["ID"])).await.expect(200).json();
        assert_eq!(seen["Name"], name);
    }
    // An escaped backslash, not an escaped NUL.
    let named = json!({"name": "again: \\u0000 as text", "url": url});
    silo.admin().post("/api/v1/registries", named).await.expect(201);
}

#[tokio::test]
async fn paths_that_cannot_be_read_are_refused() {
    let silo = TestApp::start().await;
    for path in [
        "/jobs/%FF",
        "/images/search/%FF",
        "/jobs/search/a%C3",
        "/registries/%80",
        "/users/%FE",
        "/registries/%FF/scan",
        "/images/manifest/%FF/a",
        "/api/v1/images/%FF",
        "/api/v1/scans/%FF",
        "/api/v1/registries/%C0%80",
    ] {
        assert!(silo.admin().get(path).await.expect(400).error().contains("UTF-8"), "{path}");
    }
    for path in [
        "/images/search/%",
        "/images/search/%zz",
        "/images/search/%00",
        "/jobs/search/%00%01",
        "/jobs/search/%E2%80%AE",
    ] {
        silo.anonymous().get(path).await.expect(200);
    }
    for path in ["/jobs/%00", "/registries/1%00", "/images/%0d%0aX:1"] {
        silo.anonymous().get(path).await.expect(400);
    }
}

#[tokio::test]
async fn long_queries_are_refused() {
    let silo = TestApp::with_jobs(&[("my-job", "1.0.0", "0.1.0")]).await;
    let words = (0..33).map(|n| format!("w{n}")).collect::<Vec<_>>().join("+");
    for query in ["x".repeat(1001), "x".repeat(50_000), "%20".repeat(2000), words] {
        for path in ["/jobs/search/", "/images/search/", "/api/v1/search?q="] {
            let why = silo.anonymous().get(&format!("{path}{query}")).await;
            if path.ends_with('=') && query.contains('+') {
                continue; // In a query, `+` means a blank.
            }
            assert!(why.expect(400).error().contains("at most"));
        }
    }
    for odd in ["\"", "(", "a%20AND%20", "name:x", "*", "~~", "[a%20TO%20b]", "%22unclosed", "a%5E9999999"] {
        silo.anonymous().get(&format!("/jobs/search/{odd}")).await.expect(200);
        silo.anonymous().get(&format!("/api/v1/search?q={odd}")).await.expect(200);
    }
    // Longer than hyper accepts a request line: it replies itself.
    let reply = silo.raw_get(&format!("/jobs/search/{}", "x".repeat(600_000))).await;
    assert!(["414", "431"].iter().any(|status| reply.starts_with(&format!("HTTP/1.1 {status}"))), "{reply:.100}");
    silo.anonymous().get("/readyz").await.expect(200);
}

#[tokio::test]
async fn odd_headers_do_no_harm() {
    let silo = TestApp::start().await;
    for header in
        ["Token \u{e9}", "Token ..", "Token a.b.c", "Token ", "T o k e n", &format!("Token {}", "a".repeat(8000))]
    {
        silo.authorized(header).get("/jobs").await.expect(200);
        silo.authorized(header).get("/users").await.expect(401);
    }
}

/// Every reply that might contain a secret.
#[tokio::test]
async fn secrets_are_in_no_reply() {
    const SECRET: &str = "hunter2-hunter2";
    let silo = TestApp::start().await;
    let registry = crate::support::fake_registry::FakeRegistry::start().await;
    registry.require_basic("reader", SECRET);
    let mut replies = Vec::new();
    for (path, url) in [
        ("/registries/add", registry.url()),
        ("/api/v1/registries", registry.url()),
        ("/registries/add", "http://127.0.0.1:1".into()),
    ] {
        let body = json!({"name": format!("r{}", replies.len()), "url": url, "username": "reader", "password": SECRET});
        replies.push(silo.admin().post(path, body.clone()).await);
        replies.push(silo.admin().post(path, body).await);
    }
    assert_eq!(replies[0].status, 201, "{}", replies[0].text);
    let bob = json!({"username": "bob", "password": SECRET});
    replies.push(silo.admin().post("/users/add", bob.clone()).await.expect(201));
    replies.push(silo.admin().post("/users/add", bob.clone()).await.expect(400));
    replies.push(silo.anonymous().post("/login", json!({"username": ADMIN, "password": SECRET})).await.expect(401));
    replies.push(silo.anonymous().post("/login", json!({"username": SECRET, "password": SECRET})).await.expect(401));
    for bad in [format!(r#"{{"password":"{SECRET}","#), format!(r#"{{"password":["{SECRET}"]}}"#)] {
        for path in BODIES {
            replies.push(silo.admin().post_text(path, bad.clone()).await.expect(422));
        }
    }
    replies.push(silo.admin().get("/registries/scan").await.expect(202));
    for path in [
        "/registries",
        "/registries/1",
        "/users",
        "/users/1",
        "/users/2",
        "/api/v1/registries",
        "/api/v1/registries/1",
        "/api/v1/scans",
        "/api/v1/scans/1",
        "/api/v1/scans/1/problems",
        "/metrics",
        "/openapi.yaml",
        "/",
    ] {
        replies.push(silo.admin().get(path).await.expect(200));
    }
    silo.user_token().await;
    for reply in replies {
        let everything = format!("{:?} {}", reply.headers, reply.text);
        for secret in [SECRET, USER_PASSWORD, "$argon2"] {
            assert!(!everything.contains(secret), "{} tells {secret}: {everything}", reply.asked);
        }
    }
}

/// The path of a route with all its parameters replaced.
fn filled(path: &str, word: &str) -> String {
    let parts = path.split('/').map(|part| if part.starts_with('{') { word } else { part });
    parts.collect::<Vec<_>>().join("/")
}

async fn no_query_is_too_much(silo: &TestApp) {
    for route in silo.routes().iter().filter(|route| route.method == Method::GET) {
        let parameters = &DOCUMENT["paths"][documented(route.path)]["get"]["parameters"];
        let parameters = parameters.as_array().into_iter().flatten().map(resolve);
        let names = parameters.filter(|one| one["in"] == "query").map(|one| text(&one["name"]));
        let path = filled(route.path, "1");
        for name in names {
            let queries = [
                vec![format!("{name}=x"); 3000].join("&"),
                format!("{name}={}", "x".repeat(5000)),
                format!("{name}={}", vec!["x"; 3000].join(",")),
            ];
            for query in queries {
                silo.admin().get(&format!("{path}?{query}")).await.expect(400);
            }
            let reply = silo.admin().get(&format!("{path}?{name}=a%00b")).await;
            assert!(reply.status < 500, "{}: {}", reply.asked, reply.text);
        }
        let reply = silo.admin().get(&filled(route.path, "a%00b")).await;
        assert!(reply.status < 500, "{}: {}", reply.asked, reply.text);
    }
    let many = |count: usize| (0..count).map(|n| format!("t{n}")).collect::<Vec<_>>().join(",");
    silo.admin().get(&format!("/api/v1/runs?tag={}", many(32))).await.expect(200);
    silo.admin().get(&format!("/api/v1/runs?tag={}", many(33))).await.expect(400);
}

#[tokio::test]
async fn long_and_many_parameters_are_refused_everywhere() {
    no_query_is_too_much(&TestApp::start().await).await;
}

#[tokio::test]
async fn long_and_many_parameters_are_refused_everywhere_on_postgres() {
    no_query_is_too_much(&TestApp::on_postgres().await).await;
}

#[tokio::test]
async fn half_sent_bodies_take_so_much_memory_and_keep_no_login_out() {
    let silo = TestApp::start().await;
    silo.admin_token().await;
    let address = silo.url["http://".len()..].to_owned();
    let body = "x".repeat(1_000_000);
    let half = format!("POST /api/v1/validate HTTP/1.1\r\nHost: silo\r\nContent-Length: 1048576\r\n\r\n{body}");
    let mut senders = tokio::task::JoinSet::new();
    for _ in 0..40 {
        let (address, half) = (address.clone(), half.clone());
        senders.spawn(async move {
            let mut stream = TcpStream::connect(address).await.expect("a connection");
            // The server may refuse before everything is sent.
            _ = stream.write_all(half.as_bytes()).await;
            let mut reply = vec![0; 1024];
            let length = stream.read(&mut reply).await.unwrap_or_default();
            String::from_utf8_lossy(&reply[..length]).into_owned()
        });
    }
    // The share of one address holds sixteen bodies; the others wait for memory.
    let reply = tokio::time::timeout(PATIENCE, senders.join_next()).await.expect("somebody is refused");
    let reply = reply.expect("a sender").expect("no panic");
    assert!(reply.starts_with("HTTP/1.1 503") && reply.contains("retry-after"), "{reply}");
    silo.login(ADMIN, ADMIN_PASSWORD).await;
    let large = format!("{{\"seedVersion\": \"1.0.0\", \"x\": \"{}\"}}", "x".repeat(500_000));
    silo.anonymous().post_text("/api/v1/validate", large.clone()).await.expect(503);
    silo.admin().post_text("/api/v1/validate", large).await.expect(200);
}
