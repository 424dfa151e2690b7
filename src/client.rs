//! HTTP client of a SILO server, for the command line. Not for registries: those are hostile, and have a room of their
//! own.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use reqwest::redirect::{Action, Attempt, Policy};
use reqwest::{Certificate, Method, RequestBuilder, Response, StatusCode, Url, header};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio_util::io::ReaderStream;

use crate::api::problem::ProblemReply;

/// A stream without data for this long is cut; the server sends heartbeats more often.
const SILENCE: Duration = Duration::from_secs(120);
/// The longest duration of a stream or transfer.
const LONGEST_STREAM: Duration = Duration::from_secs(7 * 24 * 3600);
/// The most bytes of one event.
const LONGEST_EVENT: usize = 1024 * 1024;
/// Size of the pieces in which a file is read, in bytes.
const PIECE: usize = 64 * 1024;

/// A server, and the token for its requests.
pub struct Client {
    http: reqwest::Client,
    base: Url,
    token: Option<String>,
}

/// Why the server did not do what was asked; the text is for the user at the terminal.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("'{0}' is not the address of a server: give http://HOST:PORT with --server or SILO_URL")]
    Address(String),
    #[error("{server} cannot be reached: {why}. Is it running? Give its address with --server or SILO_URL")]
    Unreachable { server: String, why: String },
    #[error("{0}. Log in with: silo login (SILO_TOKEN and --token take precedence over the stored login)")]
    Unauthenticated(String),
    #[error("{file} cannot be used as CA certificates: {why}; give a file in PEM form with --ca")]
    Authorities { file: String, why: String },
    #[error("{server} redirects to {to}, which is another server: give that address with --server or SILO_URL")]
    LeadsElsewhere { server: String, to: String },
    #[error("{0}")]
    Refused(String),
    #[error("{server} answers, but not as a SILO server: {why}")]
    NotSilo { server: String, why: String },
    #[error(
        "{server} answers, but not as silo {} understands: {why}. Use the version that the server has: GET /api/v1/version",
        env!("CARGO_PKG_VERSION")
    )]
    OtherVersion { server: String, why: String },
}

/// A server's reply: its JSON as it was sent, for printing, which [`ServerReply::read`] gives a type.
#[derive(Clone, Debug)]
pub struct ServerReply {
    json: Value,
    server: String,
}

impl ServerReply {
    /// The JSON as it was sent, with fields that this program does not know; null for an empty reply.
    pub fn json(&self) -> &Value {
        &self.json
    }

    /// Reads the reply as one of the types of [`crate::api`].
    ///
    /// # Errors
    /// [`Error::OtherVersion`] if it lacks a field, or has one of another type.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Error> {
        T::deserialize(&self.json)
            .map_err(|why| Error::OtherVersion { server: self.server.clone(), why: why.to_string() })
    }
}

impl fmt::Display for ServerReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.json.fmt(f)
    }
}

/// Reads the certificates of authorities in a PEM file.
fn authorities(file: &Path) -> Result<Vec<Certificate>, Error> {
    let unusable = |why: String| Error::Authorities { file: file.display().to_string(), why };
    let pem = std::fs::read(file).map_err(|why| unusable(why.to_string()))?;
    match Certificate::from_pem_bundle(&pem) {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(unusable("it contains no certificate".to_owned())),
        Err(why) => Err(unusable(why.to_string())),
    }
}

/// Follows redirects on the same origin only, because the token must not reach another server.
fn within_origin(attempt: Attempt<'_>) -> Action {
    /// The most redirects in a row.
    const MOST: usize = 10;
    let first = attempt.previous().first().map(Url::origin);
    if first == Some(attempt.url().origin()) && attempt.previous().len() <= MOST {
        attempt.follow()
    } else {
        attempt.stop()
    }
}

impl Client {
    /// Creates the client without any network access.
    ///
    /// # Errors
    /// [`Error::Address`].
    pub fn new(server: &str, token: Option<String>, ca: Option<&Path>) -> Result<Self, Error> {
        let address = || Error::Address(server.to_owned());
        let base = Url::parse(server).map_err(|_| address())?;
        if !matches!(base.scheme(), "http" | "https") || base.host_str().is_none() {
            return Err(address());
        }
        crate::registry::install_tls();
        let authorities = ca.map(authorities).transpose()?.unwrap_or_default();
        let http = reqwest::Client::builder()
            .tls_certs_merge(authorities)
            .redirect(Policy::custom(within_origin))
            // Logs and outputs are written to disk as they arrive.
            .no_gzip()
            .connect_timeout(Duration::from_secs(5))
            .timeout(Duration::from_secs(120))
            .build()
            .map_err(|why| Error::Unreachable { server: base.to_string(), why: why.to_string() })?;
        Ok(Self { http, base, token: token.filter(|token| !token.is_empty()) })
    }

    /// Whether requests carry a token.
    pub fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// Sends a request.
    ///
    /// # Errors
    /// [`Error`], with the server's own text if it has one.
    pub async fn ask(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<ServerReply, Error> {
        let mut request = self.request(method, path).query(query);
        if let Some(body) = body {
            request = request.json(body);
        }
        let reply = request.send().await.map_err(|why| self.unreachable(&why))?;
        tracing::debug!(url = %reply.url(), status = reply.status().as_u16(), "the server answers");
        if let Some(to) = reply.headers().get(header::LOCATION).filter(|_| reply.status().is_redirection()) {
            let (server, to) = (self.base.to_string(), String::from_utf8_lossy(to.as_bytes()).into_owned());
            return Err(Error::LeadsElsewhere { server, to });
        }
        let status = reply.status();
        let text = reply.text().await.map_err(|why| self.unreachable(&why))?;
        self.read(status, &text)
    }

    /// Opens a stream of server-sent events.
    ///
    /// # Errors
    /// [`Error`], also if the reply is not an event stream.
    pub async fn follow(&self, path: &str) -> Result<ServerEventStream<'_>, Error> {
        self.follow_from(path, &[], None).await
    }

    /// As [`Client::follow`], starting after the event with the id `last`.
    ///
    /// # Errors
    /// As [`Client::follow`].
    pub async fn follow_from(
        &self,
        path: &str,
        query: &[(&str, String)],
        last: Option<&str>,
    ) -> Result<ServerEventStream<'_>, Error> {
        let mut request = self.request(Method::GET, path).query(query).header(header::ACCEPT, "text/event-stream");
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let reply = request.timeout(LONGEST_STREAM).send().await.map_err(|why| self.unreachable(&why))?;
        let kind = reply.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if reply.status().is_success() && kind.starts_with("text/event-stream") {
            return Ok(ServerEventStream { client: self, reply, buffer: Vec::new(), last: None });
        }
        let status = reply.status();
        let text = reply.text().await.map_err(|why| self.unreachable(&why))?;
        self.read(status, &text)?;
        Err(Error::NotSilo { server: self.base.to_string(), why: "its reply is not a stream of events".to_owned() })
    }

    /// Uploads a file while reading it; `sent` is called with the size of each piece.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn send_file(
        &self,
        path: &str,
        name: &str,
        file: tokio::fs::File,
        sent: impl Fn(u64) + Send + 'static,
    ) -> Result<ServerReply, Error> {
        let pieces = ReaderStream::with_capacity(file, PIECE).inspect_ok(move |piece| sent(piece.len() as u64));
        // As long as needed: the server cuts stalled transfers.
        let request = self.request(Method::POST, path).query(&[("name", name)]).timeout(LONGEST_STREAM);
        let reply = request.body(reqwest::Body::wrap_stream(pieces)).send().await;
        let reply = reply.map_err(|why| self.unreachable(&why))?;
        let status = reply.status();
        let text = reply.text().await.map_err(|why| self.unreachable(&why))?;
        self.read(status, &text)
    }

    /// Downloads a file; `take` is called with each piece.
    ///
    /// # Errors
    /// [`Error`], and the errors of `take`.
    pub async fn download(
        &self,
        path: &str,
        query: &[(&str, String)],
        mut take: impl AsyncFnMut(Bytes) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let request = self.request(Method::GET, path).query(query).timeout(LONGEST_STREAM);
        let mut reply = request.send().await.map_err(|why| self.unreachable(&why))?;
        if !reply.status().is_success() {
            let status = reply.status();
            let text = reply.text().await.map_err(|why| self.unreachable(&why))?;
            self.read(status, &text)?;
            return Ok(());
        }
        while let Some(piece) = reply.chunk().await.map_err(|why| self.unreachable(&why))? {
            take(piece).await?;
        }
        Ok(())
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        let request = self.http.request(method, url);
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    fn unreachable(&self, why: &reqwest::Error) -> Error {
        // Only the innermost text says what happened; the outer ones repeat the address.
        let causes = std::iter::successors(Some(why as &dyn std::error::Error), |outer| outer.source());
        let why = causes.last().map_or_else(String::new, ToString::to_string);
        Error::Unreachable { server: self.base.to_string(), why }
    }

    fn read(&self, status: StatusCode, text: &str) -> Result<ServerReply, Error> {
        let server = self.base.to_string();
        if status.is_success() {
            let json = if text.is_empty() { Ok(Value::Null) } else { serde_json::from_str(text) };
            return match json {
                Ok(json) => Ok(ServerReply { json, server }),
                Err(_) => Err(Error::NotSilo { server, why: "its reply is not JSON".to_owned() }),
            };
        }
        match (status, serde_json::from_str::<ProblemReply>(text)) {
            (StatusCode::UNAUTHORIZED, Ok(problem)) => Err(Error::Unauthenticated(problem.detail)),
            (_, Ok(problem)) => Err(Error::Refused(problem.detail)),
            (status, Err(_)) => Err(Error::NotSilo { server, why: format!("status {status}") }),
        }
    }
}

/// A stream of server-sent events.
pub struct ServerEventStream<'c> {
    client: &'c Client,
    reply: Response,
    buffer: Vec<u8>,
    /// The id of the last event that had one.
    last: Option<String>,
}

impl ServerEventStream<'_> {
    /// The id of the last event, from which a broken stream can be continued.
    pub fn last_id(&self) -> Option<&str> {
        self.last.as_deref()
    }

    /// The data of the next event; `None` at the end of the stream.
    ///
    /// # Errors
    /// [`Error`] if the stream breaks, falls silent, or contains something that is not an event of SILO.
    pub async fn next(&mut self) -> Result<Option<ServerReply>, Error> {
        let cut = |why: &str| Error::Unreachable { server: self.client.base.to_string(), why: why.to_owned() };
        loop {
            if let Some((id, data)) = next_event(&mut self.buffer) {
                self.last = id.or(self.last.take());
                let json = serde_json::from_str(&data).map_err(|_| cut("an event is not JSON"))?;
                return Ok(Some(ServerReply { json, server: self.client.base.to_string() }));
            }
            if self.buffer.len() > LONGEST_EVENT {
                return Err(cut("an event is too long"));
            }
            match tokio::time::timeout(SILENCE, self.reply.chunk()).await {
                Ok(Ok(Some(bytes))) => self.buffer.extend_from_slice(&bytes),
                Ok(Ok(None)) => return Ok(None),
                Ok(Err(why)) => return Err(self.client.unreachable(&why)),
                Err(_elapsed) => return Err(cut("it sends nothing any more")),
            }
        }
    }
}

/// Removes the first complete event with data from the buffer; returns its id and data. Assumes line feeds as line
/// ends, which our server sends.
fn next_event(buffer: &mut Vec<u8>) -> Option<(Option<String>, String)> {
    while let Some(end) = buffer.windows(2).position(|two| two == b"\n\n") {
        let event: Vec<u8> = buffer.drain(..end + 2).collect();
        let text = String::from_utf8_lossy(&event);
        let data: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("data:")).map(str::trim_start).collect();
        if !data.is_empty() {
            let id = text.lines().find_map(|line| line.strip_prefix("id:"));
            return Some((id.map(|id| id.trim_start().to_owned()), data.join("\n")));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn events_are_taken_whole_and_signs_of_life_passed_over() {
        let next_event = |buffer: &mut Vec<u8>| next_event(buffer).map(|(id, data)| (id.unwrap_or_default(), data));
        let mut buffer = b":\n\nid: 1\nevent: x\ndata: {\"a\"".to_vec();
        assert_eq!(next_event(&mut buffer), None);
        buffer.extend_from_slice(b":1}\n\n: alive\n\ndata: 1\ndata: 2\n\nda");
        let event = |id: &str, data: &str| Some((id.to_owned(), data.to_owned()));
        assert_eq!(next_event(&mut buffer), event("1", "{\"a\":1}"));
        assert_eq!(next_event(&mut buffer), event("", "1\n2"));
        assert_eq!(next_event(&mut buffer), None);
        assert_eq!(buffer, b"da");
    }

    #[test]
    fn replies_of_other_versions_are_read_as_far_as_they_go() {
        use crate::api::sessions::UserReply;
        let reply = |json| ServerReply { json, server: "http://silo.example.org/".to_owned() };
        let newer = json!({"id": 1, "username": "ada", "role": "auditor", "createdAt": "2026-03-01T06:14:38Z", "x": 1});
        let user: UserReply = reply(newer.clone()).read().expect("words and fields that are unknown do no harm");
        assert_eq!(user.role, "auditor");
        assert_eq!(reply(newer.clone()).to_string(), newer.to_string(), "what is printed is what was sent");
        for (odd, why) in [
            (json!({"id": 1, "username": "ada", "createdAt": "2026-03-01T06:14:38Z"}), "missing field `role`"),
            (json!({"id": "1", "username": "ada", "role": "user", "createdAt": ""}), "expected i64"),
            (Value::Null, "invalid type: null"),
        ] {
            let error = reply(odd).read::<UserReply>().expect_err(why).to_string();
            assert!(error.contains(why) && error.contains("Use the version that the server has"), "{error}");
        }
    }
}
