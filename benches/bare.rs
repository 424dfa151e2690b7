//! A minimal HTTP client: it sends given requests over keep-alive connections, reads each reply to its end, and checks
//! only the status. Its rate is the upper limit of what the server can deliver.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{ACCEPT, HOST};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// A request: method, path with query, accepted types.
pub(crate) type Ask = (Method, String, &'static str);

/// An open connection.
pub(crate) struct Connection {
    host: String,
    sender: SendRequest<Empty<Bytes>>,
}

impl Connection {
    pub(crate) async fn open(host: &str) -> Self {
        let stream = TcpStream::connect(host).await.expect("the server listens");
        stream.set_nodelay(true).expect("a socket has this option");
        let (sender, connection) = handshake(TokioIo::new(stream)).await.expect("a fresh connection");
        tokio::spawn(connection);
        Self { host: host.to_owned(), sender }
    }

    /// Sends one request, and reads the reply.
    ///
    /// # Panics
    /// If the status is not 200.
    pub(crate) async fn ask(&mut self, (method, path, accept): &Ask) -> Bytes {
        let request = Request::builder().method(method).uri(path).header(HOST, &self.host).header(ACCEPT, *accept);
        let request = request.body(Empty::new()).expect("method and path are valid");
        self.sender.ready().await.expect("the connection stays open");
        let answer = self.sender.send_request(request).await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::OK, "{method} {path}");
        answer.into_body().collect().await.expect("a whole answer").to_bytes()
    }
}

/// Repeats a request until the status is 200, which the last reply's time includes.
pub(crate) async fn until_ready(host: &str, path: &str) {
    loop {
        let mut connection = Connection::open(host).await;
        let request = Request::builder().uri(path).header(HOST, host).body(Empty::new()).expect("a valid path");
        let answer = connection.sender.send_request(request).await.expect("an answer");
        if answer.status() == StatusCode::OK {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await; // because HTTP only answers when asked
    }
}

/// Sends all requests in order over this many connections; returns the total time.
pub(crate) async fn ask_all(host: &str, asks: &Arc<Vec<Ask>>, connections: usize) -> Duration {
    let next = Arc::new(AtomicUsize::new(0));
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..connections {
        let (host, asks, next) = (host.to_owned(), Arc::clone(asks), Arc::clone(&next));
        tasks.spawn(async move {
            let mut connection = Connection::open(&host).await;
            while let Some(ask) = asks.get(next.fetch_add(1, Ordering::Relaxed)) {
                connection.ask(ask).await;
            }
        });
    }
    tasks.join_all().await;
    started.elapsed()
}
