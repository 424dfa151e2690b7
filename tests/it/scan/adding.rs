//! A registry that cannot be used is refused when it is added, with a clear message.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::fake_registry::{ALWAYS, FakeRegistry, Fault, Seen};
use crate::support::process::{Setup, Silo};

async fn refusal(silo: &Silo, url: &str) -> String {
    let reply = silo.post("/api/v1/registries", json!({"name": "mine", "url": url})).await;
    let words = reply.expect(400)["detail"].as_str().expect("a problem document").to_owned();
    let legacy = silo.post("/registries/add", json!({"name": "mine", "url": url})).await.expect(400);
    assert_eq!(legacy, json!({"error": words}), "both interfaces say the same");
    words
}

async fn misbehaving(fault: Fault) -> FakeRegistry {
    let registry = FakeRegistry::start().await;
    registry.fault(Seen::is_any, ALWAYS, fault);
    registry
}

/// A loopback port without a listener.
fn dead_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("a bound address").port()
}

#[tokio::test]
async fn what_is_no_registry_is_refused_in_words() {
    let silo = Setup::new().impatient().start().await;
    let dead = format!("127.0.0.1:{}", dead_port());
    let page = misbehaving(Fault::Html(200)).await;
    let nothing = misbehaving(Fault::Status(404)).await;
    let silent = misbehaving(Fault::Hang).await;
    let broken = misbehaving(Fault::Status(503)).await;
    let stranger = misbehaving(Fault::Json(200, json!({"hello": "world"}))).await;
    for (url, expected) in [
        (format!("http://{dead}"), format!("{dead} cannot be reached")),
        (page.url(), format!("{} answers with a web page", page.host())),
        (nothing.url(), format!("{} answers, but there is no registry at", nothing.host())),
        (silent.url(), format!("{} gave no complete answer within 3 s", silent.host())),
        (broken.url(), format!("{} answered 503", broken.host())),
        (stranger.url(), format!("{} answers at /v2/, but not as a registry does", stranger.host())),
        (silo.url().to_owned(), "answers, but there is no registry at".to_owned()),
        (format!("https://{}", page.host()), "no secure connection".to_owned()),
        ("ftp://example.org".to_owned(), "must start with https://".to_owned()),
        ("http://robot:s3cret@example.org".to_owned(), "use the username and password fields".to_owned()),
        ("/etc".to_owned(), "scan.layout_roots".to_owned()),
    ] {
        let words = refusal(&silo, &url).await;
        assert!(words.contains(&expected), "{url}: {words}");
        assert!(!words.contains("s3cret"), "{words}");
    }
    assert_eq!(silo.get("/api/v1/registries").await.expect(200), json!([]));
}

/// Unreachable addresses: an unknown host name, and a host that drops packets.
#[tokio::test]
async fn what_cannot_be_reached_is_told_soon() {
    let silo = Setup::new().start().await;
    // If the backlog of a listener is full and nothing accepts, the kernel drops further connections.
    let full = tokio::net::TcpSocket::new_v4().expect("a socket");
    full.bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
    let full = full.listen(1).expect("it listens");
    let address = full.local_addr().expect("a bound address");
    let mut waiting = Vec::new();
    while let Ok(Ok(one)) = timeout(Duration::from_millis(300), TcpStream::connect(address)).await {
        waiting.push(one);
    }
    let dropping = format!("http://{address}");
    for (url, kind, expected) in [
        (&*dropping, "", "no answer within 2.5 seconds; check host and port"),
        (&*dropping, "harbor", "no firewall drops the packets"),
        ("https://registry.example.invalid", "", "this machine's name servers"),
        ("registry.example.invalid:5000", "gitlab", "registry.example.invalid:5000"),
    ] {
        let form = match kind {
            "" => json!({"name": "mine", "url": url}),
            kind => json!({"name": "mine", "url": url, "kind": kind}),
        };
        let began = Instant::now();
        let reply = silo.post("/api/v1/registries", form).await;
        let took = began.elapsed();
        let words = reply.expect(400)["detail"].as_str().expect("a problem document").to_owned();
        assert!(words.contains(expected), "{url}: {words}");
        assert!(took < Duration::from_secs(5), "{url}: {took:?}");
    }
    let added = silo.cli(&["registry", "add", "mine", &dropping]).await;
    assert!(added.code != Some(0) && added.stderr.contains("cannot be reached"), "{added:?}");
    drop(waiting);
}

#[tokio::test]
async fn a_name_is_given_once() {
    let silo = Setup::new().start().await;
    let registry = FakeRegistry::start().await;
    silo.add("mine", &registry.url()).await;
    let (form, words) = (json!({"name": "mine", "url": registry.url()}), "Registry already exists with name mine");
    assert_eq!(silo.post("/api/v1/registries", form.clone()).await.expect(409)["detail"], words);
    assert_eq!(silo.post("/registries/add", form).await.expect(400), json!({"error": words}));
}
