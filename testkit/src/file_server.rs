//! A file server with scripted replies, byte by byte.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A scripted reply.
#[derive(Clone, Debug)]
pub struct Answer {
    bytes: Vec<u8>,
    then: Then,
    /// Delay before the reply.
    late: Duration,
}

#[derive(Clone, Copy, Debug)]
enum Then {
    Close,
    /// The connection is reset, as when a machine fails.
    Reset,
    /// Nothing more is sent, and the connection stays open.
    Silence,
    /// The last piece is repeated forever, one chunk each.
    Endless,
}

impl Answer {
    /// With `Content-Length` and additional headers, each ending with a line break.
    pub fn new(status: &str, headers: &str, body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{headers}Connection: close\r\n\r\n", body.len());
        Self { bytes: [head.as_bytes(), body].concat(), then: Then::Close, late: Duration::ZERO }
    }

    pub fn file(body: impl AsRef<[u8]>) -> Self {
        Self::new("200 OK", "", body)
    }

    pub fn redirect(to: &str) -> Self {
        Self::new("302 Found", &format!("Location: {to}\r\n"), "")
    }

    /// Exactly these bytes.
    pub fn raw(bytes: impl AsRef<[u8]>) -> Self {
        Self { bytes: bytes.as_ref().to_vec(), then: Then::Close, late: Duration::ZERO }
    }

    /// An endless chunked body.
    pub fn endless() -> Self {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        Self { then: Then::Endless, ..Self::raw(head) }
    }

    /// Resets the connection after the bytes.
    pub fn and_reset(self) -> Self {
        Self { then: Then::Reset, ..self }
    }

    /// Delays the reply.
    pub fn and_late(self, late: Duration) -> Self {
        Self { late, ..self }
    }

    /// Keeps the connection open after the bytes.
    pub fn and_silence(self) -> Self {
        Self { then: Then::Silence, ..self }
    }
}

/// A server on its own port; stopped on drop.
pub struct FileServer {
    address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
    server: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    /// Next replies by path with query; the last one is repeated.
    answers: HashMap<String, Vec<Answer>>,
    /// Heads of all requests.
    seen: Vec<String>,
}

impl Drop for FileServer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl FileServer {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let shared = Arc::<Mutex<Shared>>::default();
        let state = shared.clone();
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // Errors are ignored: a client may disconnect at any time.
                tokio::spawn(serve(stream, state.clone()));
            }
        });
        Self { address, shared, server }
    }

    /// Scripts the replies for a path: one for each request; the last one is repeated.
    pub fn put(&self, path: &str, answers: impl IntoIterator<Item = Answer>) {
        let answers = answers.into_iter().collect();
        self.shared.lock().answers.insert(path.to_owned(), answers);
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Heads of the requests so far.
    pub fn seen(&self) -> Vec<String> {
        self.shared.lock().seen.clone()
    }
}

async fn serve(mut stream: TcpStream, shared: Arc<Mutex<Shared>>) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let answer = {
        let mut shared = shared.lock();
        shared.seen.push(head);
        let answers = shared.answers.entry(path).or_default();
        if answers.len() > 1 { Some(answers.remove(0)) } else { answers.first().cloned() }
    };
    let answer = answer.unwrap_or_else(|| Answer::new("404 Not Found", "", "nothing here"));
    tokio::time::sleep(answer.late).await; // because the delay is scripted
    stream.write_all(&answer.bytes).await?;
    match answer.then {
        Then::Close => stream.shutdown().await,
        Then::Reset => stream.set_zero_linger(),
        // Until the client disconnects.
        Then::Silence => stream.read_u8().await.map(drop),
        Then::Endless => loop {
            stream.write_all(format!("400\r\n{}\r\n", "x".repeat(0x400)).as_bytes()).await?;
        },
    }
}
