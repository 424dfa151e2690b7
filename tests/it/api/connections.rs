//! Connections: idle ones, ones that do not read, and too many.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::support::app::{Builder, TestApp};
use crate::support::process::PATIENCE;

/// A request whose body never ends, so that its connection stays active.
const HALF: &str = "POST /login HTTP/1.1\r\nHost: silo\r\nContent-Length: 1000\r\n\r\n{";

fn address(silo: &TestApp) -> SocketAddr {
    silo.url["http://".len()..].parse().expect("an address")
}

/// A connection from a loopback address, with this text sent.
async fn connected(silo: &TestApp, from: [u8; 4], text: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind((from, 0).into()).expect("an address of this machine");
    let mut stream = socket.connect(address(silo)).await.expect("a connection");
    stream.write_all(text.as_bytes()).await.expect("it goes out");
    stream
}

/// Reads until the server closes the connection.
async fn rest(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    // A reset is a close, too.
    _ = timeout(PATIENCE, stream.read_to_end(&mut text)).await.expect("the connection is never closed");
    String::from_utf8_lossy(&text).into_owned()
}

async fn get(silo: &TestApp, from: [u8; 4], path: &str, token: &str) -> String {
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: silo\r\nAuthorization: Token {token}\r\nConnection: close\r\n\r\n");
    let reply = rest(&mut connected(silo, from, &request).await).await;
    reply.split(' ').nth(1).unwrap_or_default().to_owned()
}

const ONE: [u8; 4] = [127, 0, 0, 1];
const OTHER: [u8; 4] = [127, 0, 0, 2];

fn with_bounds(most: &str, per_address: &str) -> Builder {
    TestApp::with().set("SILO__HTTP__CONNECTIONS", most).set("SILO__HTTP__CONNECTIONS_PER_ADDRESS", per_address)
}

#[tokio::test]
async fn connections_without_a_whole_head_are_closed() {
    let silo = TestApp::with().set("SILO__HTTP__IDLE_SECONDS", "1").start().await;
    let kinds = [
        "",
        "G",
        "PR",
        "GET / HTTP/1.1\r\nHost: silo\r\nX: ",
        "PRI * HTTP/2.0\r\n\r\nSM",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        // SETTINGS, and nothing after it.
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
        "GET /healthz HTTP/1.1\r\nHost: silo\r\n\r\n",
    ];
    let mut open = Vec::new();
    for kind in kinds {
        open.push(connected(&silo, ONE, kind).await);
    }
    for stream in &mut open {
        rest(stream).await;
    }
    // A client that sends slowly gets no more time.
    let mut slow = connected(&silo, ONE, "GET / HTTP/1.1\r\n").await;
    let drip = async {
        while slow.write_all(b"X: y\r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(100)).await; // because the client is slow
        }
    };
    timeout(PATIENCE, drip).await.expect("a head that never ends");
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_cut_off() {
    let silo = TestApp::with().set("SILO__HTTP__STALLED_SECONDS", "1").start().await;
    let mut stream = connected(&silo, ONE, "").await;
    let request = "GET /openapi.yaml HTTP/1.1\r\nHost: silo\r\n\r\n".repeat(100);
    // Sends requests without reading the replies, until its writes block.
    let ask = async { while stream.write_all(request.as_bytes()).await.is_ok() {} };
    timeout(PATIENCE, ask).await.expect("a connection that is never cut off");
}

#[tokio::test]
async fn silent_connections_keep_nobody_out() {
    let silo = with_bounds("8", "8").start().await;
    let mut silent = Vec::new();
    for _ in 0..50 {
        silent.push(connected(&silo, ONE, "").await);
    }
    assert_eq!(get(&silo, ONE, "/jobs", "").await, "200");
    rest(&mut silent[0]).await;
}

#[tokio::test]
async fn where_all_connections_are_at_work_probes_and_admins_are_served() {
    let silo = with_bounds("8", "8").start().await;
    let (admin, user) = (silo.admin_token().await, silo.user_token().await);
    let mut busy = Vec::new();
    for _ in 0..8 {
        busy.push(connected(&silo, ONE, HALF).await);
    }
    let full = async || get(&silo, OTHER, "/jobs", "").await == "503";
    let wait = async {
        while !full().await {
            tokio::time::sleep(Duration::from_millis(20)).await; // because HTTP has to be polled
        }
    };
    timeout(PATIENCE, wait).await.expect("eight requests under way are all that there may be");
    for (path, token, status) in [
        ("/healthz", "", "200"),
        ("/readyz", "", "200"),
        ("/metrics", "", "200"),
        ("/registries", "", "503"),
        ("/registries", user, "503"),
        ("/registries", admin, "200"),
        ("/users", admin, "200"),
    ] {
        assert_eq!(get(&silo, OTHER, path, token).await, status, "{path}");
    }
    drop(busy);
}

#[tokio::test]
async fn one_address_leaves_room_for_others() {
    let silo = with_bounds("16", "4").start().await;
    let mut busy = Vec::new();
    for _ in 0..4 {
        busy.push(connected(&silo, ONE, HALF).await);
    }
    let wait = async {
        while get(&silo, ONE, "/jobs", "").await != "503" {
            tokio::time::sleep(Duration::from_millis(20)).await; // because HTTP has to be polled
        }
    };
    timeout(PATIENCE, wait).await.expect("its share is taken");
    assert_eq!(get(&silo, OTHER, "/jobs", "").await, "200");
    drop(busy);
}

/// Replies of hyper, before our code sees the request.
#[tokio::test]
async fn requests_that_cannot_be_read_are_answered_with_words() {
    let silo = TestApp::start().await;
    for (request, status) in [
        ("nonsense\r\n\r\n".to_owned(), "400"),
        ("GET /\r\n\r\n".to_owned(), "400"),
        ("GET / HTTP/3.7\r\n\r\n".to_owned(), "400"),
        ("GET / HTTP/1.1\r\nno colon\r\n\r\n".to_owned(), "400"),
        ("GET /a b HTTP/1.1\r\n\r\n".to_owned(), "400"),
        ("POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n".to_owned(), "400"),
        ("POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n".to_owned(), "400"),
        (format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(200)), "431"),
        (format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(100_000)), "431"),
    ] {
        let reply = silo.raw(request.as_bytes()).await;
        let reply = reply.strip_prefix("HTTP/1.1 ").unwrap_or_default();
        let (head, body) = reply.split_once("\r\n\r\n").unwrap_or_default();
        assert!(head.starts_with(status) && head.contains("x-content-type-options: nosniff"), "{request:.40}: {reply}");
        assert!(body.starts_with(r#"{"error":"The "#), "{request:.40}: {reply}");
    }
}
