//! Speaking to a SILO server, for the command line. Not for registries: those are hostile, and have a room of their own.

use std::time::Duration;

use reqwest::{Method, StatusCode, Url};
use serde_json::Value;

/// A server, and the token to ask with.
pub struct Client {
    http: reqwest::Client,
    base: Url,
    token: Option<String>,
}

/// Why the server did not do what was asked; the text is for the person at the terminal.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("'{0}' is not the address of a server: give http://HOST:PORT with --server or SILO_URL")]
    Address(String),
    #[error("{server} cannot be reached: {why}. Is it running? Give its address with --server or SILO_URL")]
    Unreachable { server: String, why: String },
    #[error("{0}. Get a token with: export SILO_TOKEN=$(silo login)")]
    Unauthenticated(String),
    #[error("{0}")]
    Refused(String),
    #[error("{server} answers, but not as a SILO server: {why}")]
    NotSilo { server: String, why: String },
}

impl Client {
    /// Touches no network yet.
    ///
    /// # Errors
    /// [`Error::Address`].
    pub fn new(server: &str, token: Option<String>) -> Result<Self, Error> {
        let address = || Error::Address(server.to_owned());
        let base = Url::parse(server).map_err(|_| address())?;
        if !matches!(base.scheme(), "http" | "https") || base.host_str().is_none() {
            return Err(address());
        }
        crate::registry::install_tls();
        let http = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(5))
            .timeout(Duration::from_secs(120))
            .build()
            .map_err(|why| Error::Unreachable { server: base.to_string(), why: why.to_string() })?;
        Ok(Self { http, base, token: token.filter(|token| !token.is_empty()) })
    }

    /// Asks, and gives the reply's JSON; null for an empty one.
    ///
    /// # Errors
    /// [`Error`], with the server's own words where it has some.
    pub async fn ask(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Value, Error> {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        let mut request = self.http.request(method, url).query(query);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let unreachable = |why: reqwest::Error| {
            // Only the innermost text says what happened; the others repeat the address.
            let causes = std::iter::successors(Some(&why as &dyn std::error::Error), |outer| outer.source());
            let why = causes.last().map_or_else(String::new, ToString::to_string);
            Error::Unreachable { server: self.base.to_string(), why }
        };
        let reply = request.send().await.map_err(unreachable)?;
        let status = reply.status();
        let text = reply.text().await.map_err(unreachable)?;
        self.read(status, &text)
    }

    fn read(&self, status: StatusCode, text: &str) -> Result<Value, Error> {
        let value: Option<Value> = if text.is_empty() { Some(Value::Null) } else { serde_json::from_str(text).ok() };
        let not_silo = |why: String| Error::NotSilo { server: self.base.to_string(), why };
        if status.is_success() {
            return value.ok_or_else(|| not_silo("its reply is not JSON".to_owned()));
        }
        let said = value.as_ref().and_then(|value| value["detail"].as_str()).map(str::to_owned);
        match (status, said) {
            (StatusCode::UNAUTHORIZED, Some(said)) => Err(Error::Unauthenticated(said)),
            (_, Some(said)) => Err(Error::Refused(said)),
            (status, None) => Err(not_silo(format!("status {status}"))),
        }
    }
}
