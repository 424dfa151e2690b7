//! Malicious clients. Their replies do not matter; what matters is that other clients are unaffected.

use std::sync::Arc;
use std::time::Duration;

use rand::RngExt as _;
use reqwest::Client;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::target::{Target, client};

/// Starts one client of each kind, and more of those that cost the attacker nothing.
pub(crate) fn start(target: &Arc<Target>, stop: &CancellationToken) -> Vec<JoinHandle<()>> {
    let mut started = Vec::new();
    let mut go = |times: usize, attack: fn(Arc<Target>) -> Attack| {
        for _ in 0..times {
            let (target, stop) = (target.clone(), stop.clone());
            started.push(tokio::spawn(async move {
                loop {
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = attack(target.clone()) => {}
                    }
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }));
        }
    };
    go(100, |target| Box::pin(silent(target, b"")));
    go(50, |target| Box::pin(silent(target, b"GET / HT")));
    go(50, |target| Box::pin(silent(target, b"PRI * HTTP/2.0\r\n\r\nSM")));
    go(50, |target| Box::pin(half_body(target)));
    go(10, |target| Box::pin(stalled_reader(target)));
    go(4, |target| Box::pin(login_burst(target)));
    go(2, |target| Box::pin(big_batch(target)));
    go(4, |target| Box::pin(big_validation(target)));
    go(4, |target| Box::pin(random_method(target)));
    go(2, |target| Box::pin(many_parameters(target)));
    started
}

type Attack = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

async fn connect(target: &Target) -> Option<TcpStream> {
    TcpStream::connect(&target.host).await.ok()
}

/// Waits for the server to close the connection.
async fn wait(mut stream: TcpStream) {
    let mut buffer = [0; 1024];
    while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
}

/// Sends only this.
async fn silent(target: Arc<Target>, said: &'static [u8]) {
    if let Some(mut stream) = connect(&target).await {
        _ = stream.write_all(said).await;
        wait(stream).await;
    }
}

/// Announces a megabyte, and sends half of it.
async fn half_body(target: Arc<Target>) {
    if let Some(mut stream) = connect(&target).await {
        let head =
            format!("POST /api/v1/validate HTTP/1.1\r\nHost: {}\r\nContent-Length: 1000000\r\n\r\n", target.host);
        _ = stream.write_all(head.as_bytes()).await;
        _ = stream.write_all(&[b' '; 500_000]).await;
        wait(stream).await;
    }
}

/// Sends many requests, and reads no replies.
async fn stalled_reader(target: Arc<Target>) {
    if let Some(mut stream) = connect(&target).await {
        let ask = format!("GET /openapi.yaml HTTP/1.1\r\nHost: {}\r\n\r\n", target.host).repeat(50);
        _ = stream.write_all(ask.as_bytes()).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
}

/// Guesses passwords of an account that honest clients do not use.
async fn login_burst(target: Arc<Target>) {
    let http = client();
    for number in 0..20 {
        let form = json!({"username": format!("victim-{}", number % 3), "password": "a guess of mine"});
        _ = http.post(format!("{}/api/v1/login", target.url)).json(&form).send().await;
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
}

/// A batch of empty rows.
async fn big_batch(target: Arc<Target>) {
    let rows: Vec<_> = (0..3000).map(|_| json!({})).collect();
    let body = json!({"image": "no/such-1.0.0-seed:1.0.0", "rows": rows});
    let asked = client().post(format!("{}/api/v1/batches", target.url)).bearer_auth(&target.token);
    _ = asked.json(&body).send().await;
}

/// A manifest with many problems.
async fn big_validation(target: Arc<Target>) {
    let body = json!({"manifest": {"seedVersion": "1.0.0", "job": {"interface": {"inputs": {"json": vec![json!({"name": 1}); 5000]}}}}});
    _ = client().post(format!("{}/api/v1/validate", target.url)).json(&body).send().await;
}

/// Random methods, paths and hosts.
async fn random_method(target: Arc<Target>) {
    let word = || -> String { (0..8).map(|_| char::from(rand::rng().random_range(b'A'..=b'Z'))).collect() };
    let client: Client = client();
    let method = reqwest::Method::from_bytes(word().as_bytes()).expect("letters are a method");
    let asked = client.request(method, format!("{}/{}/{}", target.url, word(), word()));
    _ = asked.header("host", format!("{}.example", word())).send().await;
}

/// A very long query.
async fn many_parameters(target: Arc<Target>) {
    _ = client().get(format!("{}/api/v1/images?{}", target.url, "tag=x&".repeat(3000))).send().await;
}
