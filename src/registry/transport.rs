//! Sending requests: one client, and around it everything that keeps a bad peer from costing us more than it may, and us
//! from costing a good one more than it can give.
//!
//! Here is how a request goes out and an answer comes in; when, and how often, is in `manners`.

mod manners;

use std::error::Error as StdError;
use std::io;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, LOCATION};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use reqwest::Response;
use rustls::AlertDescription;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::address::host_of;
use super::client::Clients;
use super::grammar::printable;
use super::guard::Blocked;
use super::hosts::Hosts;
use super::meter::Meter;
use super::wire::Errors;
use super::{Error, Limits, Result, Traffic};
use crate::catalog::RegistryKind;

use manners::Manners;

/// Redirects that one request may take (blobs are often kept in object stores).
const REDIRECTS: usize = 5;
/// What is read of a body that only explains an error.
const ERROR_BODY: usize = 64 << 10;

/// A request to send.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) accept: &'static str,
    /// Marked sensitive, so that no `Debug` shows it.
    pub(super) authorization: Option<HeaderValue>,
    /// Other headers; as credentials, they go no further than their own origin.
    pub(super) headers: HeaderMap,
    /// A JSON body. It may hold a password, so a request that has one goes nowhere else.
    pub(super) json: Option<SecretString>,
    /// Longest body of a success, bytes.
    pub(super) cap: usize,
}

impl Request {
    fn is_for_manifest(&self) -> bool {
        self.url.path().contains("/manifests/")
    }

    /// Whether it counts as a pull where those are counted: manifests that are not only asked for by HEAD.
    fn is_pull(&self) -> bool {
        self.method == Method::GET && self.is_for_manifest()
    }
}

/// A complete answer.
#[derive(Debug)]
pub(super) struct Answer {
    /// `host[:port]` that was asked.
    pub(super) host: String,
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// On whose behalf a [`Transport`] asks.
pub(super) struct Caller {
    pub(super) kind: RegistryKind,
    /// The user name; empty for none.
    pub(super) account: String,
    /// The registry's own hosts (`host[:port]`).
    pub(super) hosts: Vec<String>,
    /// Most requests in flight that one host gets.
    pub(super) ceiling: usize,
}

/// Sends requests to one registry and what belongs to it.
pub(super) struct Transport {
    limits: Limits,
    clients: Clients,
    /// Redirects that one request may take.
    redirects: usize,
    hosts: Hosts,
    /// See [`Caller`].
    account: String,
    ceiling: usize,
    meter: Meter,
    manners: Manners,
}

impl Transport {
    pub(super) fn new(hosts: &Hosts, limits: &Limits, clients: Clients, caller: Caller) -> Self {
        Self {
            limits: limits.clone(),
            clients,
            redirects: REDIRECTS,
            hosts: hosts.clone(),
            account: caller.account,
            ceiling: caller.ceiling,
            meter: Meter::new(caller.kind, caller.hosts),
            manners: Manners::default(),
        }
    }

    /// Follows no redirects: they are refused.
    pub(super) fn staying(self) -> Self {
        Self { redirects: 0, ..self }
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(super) fn hosts(&self) -> &Hosts {
        &self.hosts
    }

    pub(super) fn traffic(&self) -> Traffic {
        self.meter.traffic()
    }

    /// Sends once, and goes where redirects lead. Credentials go no further than their own origin.
    async fn follow(&self, request: &Request, host: &str) -> Result<Answer> {
        let mut url = request.url.clone();
        let mut authorization = request.authorization.clone();
        let mut headers = request.headers.clone();
        for _ in 0..=self.redirects {
            let client = self.clients.get(&url).await?;
            let mut sent = client.request(request.method.clone(), url.clone()).header(ACCEPT, request.accept);
            sent = sent.headers(headers.clone());
            if let Some(json) = &request.json {
                if !headers.contains_key(CONTENT_TYPE) {
                    sent = sent.header(CONTENT_TYPE, "application/json");
                }
                sent = sent.body(json.expose_secret().to_owned());
            }
            if let Some(value) = &authorization {
                sent = sent.header(AUTHORIZATION, value);
            }
            self.meter.count_request();
            let response = sent.send().await.map_err(|why| failure(&why, &host_of(&url)))?;
            let status = response.status();
            tracing::debug!(host = %host_of(&url), path = url.path(), status = status.as_u16(), "asked a registry");
            let Some(next) = redirect(&url, &response)? else {
                return self.read(response, request.cap, host.to_owned()).await;
            };
            if request.json.is_some() {
                return Err(Error::Refused(format!(
                    "{host} redirects a login, which is not followed; check its address"
                )));
            }
            if next.origin() != url.origin() {
                authorization = None;
                headers.clear();
            }
            url = next;
        }
        Err(Error::Refused(format!("{host} redirects more than {} times; check its address", self.redirects)))
    }

    /// Reads a body against its cap, whatever its `Content-Length` says. Of an error only the beginning is read.
    async fn read(&self, mut response: Response, cap: usize, host: String) -> Result<Answer> {
        let status = response.status();
        let cap = if status.is_success() { cap } else { ERROR_BODY };
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|why| failure(&why, &host))? {
            self.meter.count_bytes(chunk.len());
            let fits = cap - body.len();
            body.extend_from_slice(&chunk[..chunk.len().min(fits)]);
            if chunk.len() > fits {
                if status.is_success() {
                    return Err(Error::Malformed(format!("{host} sends more than the {cap} bytes allowed here")));
                }
                break;
            }
        }
        Ok(Answer { host, status, headers: std::mem::take(response.headers_mut()), body: body.into() })
    }
}

impl Answer {
    /// A header's text; `None` where it is missing or no text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The code of the registry's own error, as in `NAME_UNKNOWN`. `None`: the body is not a registry's error.
    pub(super) fn error_code(&self) -> Option<String> {
        let errors: Errors = serde_json::from_slice(&self.body).ok()?;
        errors.errors.into_iter().map(|entry| entry.code).find(|code| !code.is_empty())
    }

    /// What the registry says about an error.
    fn said(&self) -> Option<String> {
        let errors: Errors = serde_json::from_slice(&self.body).ok()?;
        let entry = errors.errors.into_iter().next()?;
        Some(if entry.message.is_empty() { entry.code } else { entry.message }).filter(|said| !said.is_empty())
    }

    /// ` (what the registry says about it)`, or nothing.
    pub(super) fn reason(&self) -> String {
        self.said().map(|said| format!(" ({})", printable(&said))).unwrap_or_default()
    }

    /// Whether this is a page for people.
    pub(super) fn is_html(&self) -> bool {
        self.header(CONTENT_TYPE.as_str()).is_some_and(|kind| kind.to_ascii_lowercase().starts_with("text/html"))
            || self.body.trim_ascii_start().first() == Some(&b'<')
    }

    /// The error for a status that nothing more can be said about.
    pub(super) fn unexpected(&self, what: &str) -> Error {
        Error::Status(format!(
            "{} answered {} for {what}{}; try again later, or ask who runs the registry",
            self.host,
            self.status,
            self.reason()
        ))
    }
}

/// Where an answer leads. `None`: it is the answer.
fn redirect(from: &Url, response: &Response) -> Result<Option<Url>> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let host = host_of(from);
    let next = response.headers().get(LOCATION).and_then(|to| to.to_str().ok()).and_then(|to| from.join(to).ok());
    let Some(next) = next else {
        return Err(Error::Malformed(format!("{host} redirects to nowhere; check its address")));
    };
    let why = match (from.scheme(), next.scheme()) {
        ("https", "http") => "from https to plain http",
        (_, "http" | "https") if next.username().is_empty() && next.password().is_none() => return Ok(Some(next)),
        (_, "http" | "https") => "to an address with a user name",
        _ => "to something that is not http",
    };
    Err(Error::Refused(format!("{host} redirects {why}, which is not followed; check its address")))
}

/// Says in words why there is no answer. The URL is left out: redirects carry signatures in theirs.
pub(super) fn failure(error: &reqwest::Error, host: &str) -> Error {
    if let Some(blocked) = cause::<Blocked>(error) {
        return Error::Refused(blocked.to_string());
    }
    if let Some(tls) = cause::<rustls::Error>(error) {
        let why = match tls {
            rustls::Error::InvalidCertificate(_) => format!(
                "{tls}; give the authority that signed the certificate with the registry (ca) or add it to this machine's CA certificates, or renew the certificate"
            ),
            rustls::Error::AlertReceived(alert) if is_about_us(*alert) => {
                format!(
                    "{tls}; it wants a client certificate, and of an authority that it trusts: give one with the registry"
                )
            }
            rustls::Error::InvalidMessage(_) => {
                "what answers there does not speak TLS; if it is plain http, write http:// before the address"
                    .to_owned()
            }
            _ => format!("{tls}; ask who runs it"),
        };
        return Error::Tls(format!("no secure connection to {host}: {why}"));
    }
    if error.is_timeout() {
        return Error::Timeout(format!(
            "{host} could not be reached in time; check the address, and that no firewall stands between"
        ));
    }
    let cause = root_cause(error);
    if error.is_connect() {
        return Error::Unreachable(format!(
            "{host} cannot be reached: {cause}; check host and port, and that it is up"
        ));
    }
    Error::Unreachable(format!("the connection to {host} broke off: {cause}; try again later"))
}

/// Whether a peer ends a connection because of our certificate, or for want of one (RFC 8446 §6.2; TLS 1.2 has no word
/// for the latter but a failed handshake).
fn is_about_us(alert: AlertDescription) -> bool {
    use AlertDescription as Alert;
    matches!(
        alert,
        Alert::CertificateRequired
            | Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::AccessDenied
            | Alert::HandshakeFailure
    )
}

/// Looks through the causes of an error, also those that an [`io::Error`] wraps (its `source` skips them).
pub(super) fn cause<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner as &(dyn StdError + 'static)),
            None => error.source(),
        };
    }
    None
}

pub(super) fn root_cause(error: &(dyn StdError + 'static)) -> String {
    let mut deepest = error;
    while let Some(next) = deepest.source() {
        deepest = next;
    }
    printable(&deepest.to_string())
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use super::super::network::Private;

    use super::*;

    pub(in crate::registry) fn limits() -> Limits {
        let second = Duration::from_secs(1);
        Limits {
            concurrency: 1,
            connect_timeout: second * 20,
            request_timeout: second * 20,
            tries: 1,
            longest_wait: second * 2,
            pages: 1,
            pull_reserve: 0,
            layout_roots: Vec::new(),
            private: Private::default(),
        }
    }
}
