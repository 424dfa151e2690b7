//! Sends requests to a registry, with limits that protect SILO from a hostile server, and a server from too many
//! requests.
//!
//! This file sends one request and reads its response; retries and their timing are in `retry`.

pub(super) mod client;
pub(super) mod dial;
pub(super) mod download;
pub(super) mod guard;
pub(super) mod hosts;
pub(super) mod meter;
pub(super) mod network;
pub(super) mod quota;
pub(super) mod tls;

mod retry;

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
use super::grammar::printable;
use super::wire::RegistryErrors;
use super::{Error, RegistryLimits, RegistryTraffic, Result};
use crate::catalog::RegistryKind;
use client::HttpClients;
use guard::BlockedAddress;
use hosts::RemoteHosts;
use meter::TrafficMeter;

use retry::RetryState;

/// Most redirects of one request (many registries redirect blobs to an object store).
const REDIRECTS: usize = 5;
/// Most bytes read of an error body.
const ERROR_BODY: usize = 64 << 10;

/// A request.
#[derive(Clone, Debug)]
pub(super) struct RegistryRequest {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) accept: &'static str,
    /// Marked sensitive, so that `Debug` does not show it.
    pub(super) authorization: Option<HeaderValue>,
    /// Other headers. Like credentials, they are not sent to another origin.
    pub(super) headers: HeaderMap,
    /// A JSON body. It may hold a password, so redirects of such a request are refused.
    pub(super) json: Option<SecretString>,
    /// Size cap of the body of a success, bytes.
    pub(super) cap: usize,
}

impl RegistryRequest {
    fn is_for_manifest(&self) -> bool {
        self.url.path().contains("/manifests/")
    }

    /// Whether the request counts against a pull quota: any manifest request but HEAD.
    fn is_pull(&self) -> bool {
        self.method == Method::GET && self.is_for_manifest()
    }
}

/// A complete response.
#[derive(Debug)]
pub(super) struct RegistryResponse {
    /// `host[:port]` that the request was sent to.
    pub(super) host: String,
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Identity and limits of the client of a [`HttpTransport`].
pub(super) struct TransportCaller {
    pub(super) kind: RegistryKind,
    /// The user name; empty: anonymous.
    pub(super) account: String,
    /// The registry's own hosts (`host[:port]`), which are named in metrics.
    pub(super) hosts: Vec<String>,
    /// Most requests in flight per host.
    pub(super) ceiling: usize,
}

/// Sends requests to one registry and the hosts it refers to.
pub(super) struct HttpTransport {
    limits: RegistryLimits,
    clients: HttpClients,
    /// Most redirects of one request.
    redirects: usize,
    hosts: RemoteHosts,
    /// See [`TransportCaller`].
    account: String,
    ceiling: usize,
    meter: TrafficMeter,
    manners: RetryState,
}

impl HttpTransport {
    pub(super) fn new(
        hosts: &RemoteHosts,
        limits: &RegistryLimits,
        clients: HttpClients,
        caller: TransportCaller,
    ) -> Self {
        Self {
            limits: limits.clone(),
            clients,
            redirects: REDIRECTS,
            hosts: hosts.clone(),
            account: caller.account,
            ceiling: caller.ceiling,
            meter: TrafficMeter::new(caller.kind, caller.hosts),
            manners: RetryState::default(),
        }
    }

    /// Refuses redirects instead of following them.
    pub(super) fn without_redirects(self) -> Self {
        Self { redirects: 0, ..self }
    }

    pub(super) fn limits(&self) -> &RegistryLimits {
        &self.limits
    }

    pub(super) fn hosts(&self) -> &RemoteHosts {
        &self.hosts
    }

    pub(super) fn traffic(&self) -> RegistryTraffic {
        self.meter.traffic()
    }

    /// Sends a request once and follows redirects. Credentials are not sent to another origin.
    async fn follow(&self, request: &RegistryRequest, host: &str) -> Result<RegistryResponse> {
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
            self.hosts.count_request();
            let response = sent.send().await.map_err(|why| failure(&why, &host_of(&url)))?;
            let status = response.status();
            tracing::debug!(host = %host_of(&url), path = url.path(), status = status.as_u16(), "registry request");
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

    /// Reads a body up to its cap, regardless of `Content-Length`. An error body is truncated instead.
    async fn read(&self, mut response: Response, cap: usize, host: String) -> Result<RegistryResponse> {
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
        Ok(RegistryResponse { host, status, headers: std::mem::take(response.headers_mut()), body: body.into() })
    }
}

impl RegistryResponse {
    /// A header's text; `None` if it is missing or not text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The first error code of a registry's error body, such as `NAME_UNKNOWN`. `None`: the body is not such an error.
    pub(super) fn error_code(&self) -> Option<String> {
        let errors: RegistryErrors = serde_json::from_slice(&self.body).ok()?;
        errors.errors.into_iter().map(|entry| entry.code).find(|code| !code.is_empty())
    }

    /// The message (or code) of a registry's error body.
    fn said(&self) -> Option<String> {
        let errors: RegistryErrors = serde_json::from_slice(&self.body).ok()?;
        let entry = errors.errors.into_iter().next()?;
        Some(if entry.message.is_empty() { entry.code } else { entry.message }).filter(|said| !said.is_empty())
    }

    /// The error message in brackets with a leading space, or an empty string.
    pub(super) fn reason(&self) -> String {
        self.said().map(|said| format!(" ({})", printable(&said))).unwrap_or_default()
    }

    /// Whether the body is a web page.
    pub(super) fn is_html(&self) -> bool {
        self.header(CONTENT_TYPE.as_str()).is_some_and(|kind| kind.to_ascii_lowercase().starts_with("text/html"))
            || self.body.trim_ascii_start().first() == Some(&b'<')
    }

    /// The error for any other unexpected status.
    pub(super) fn unexpected(&self, what: &str) -> Error {
        Error::Status(format!(
            "{} answered {} for {what}{}; try again later, or ask the registry's operator",
            self.host,
            self.status,
            self.reason()
        ))
    }
}

/// The target of a redirect. `None`: the response is no redirect.
fn redirect(from: &Url, response: &Response) -> Result<Option<Url>> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let host = host_of(from);
    let next = response.headers().get(LOCATION).and_then(|to| to.to_str().ok()).and_then(|to| from.join(to).ok());
    let Some(next) = next else {
        return Err(Error::Malformed(format!("{host} redirects without an address; check the registry's address")));
    };
    let why = match (from.scheme(), next.scheme()) {
        ("https", "http") => "from https to plain http",
        (_, "http" | "https") if next.username().is_empty() && next.password().is_none() => return Ok(Some(next)),
        (_, "http" | "https") => "to an address with a user name",
        _ => "to something that is not http",
    };
    Err(Error::Refused(format!("{host} redirects {why}, which is not followed; check its address")))
}

/// The error for a request without a response. The URL is left out: redirect targets may carry signatures.
pub(super) fn failure(error: &reqwest::Error, host: &str) -> Error {
    if let Some(blocked) = cause::<BlockedAddress>(error) {
        return Error::Refused(blocked.to_string());
    }
    if let Some(tls) = cause::<rustls::Error>(error) {
        let why = match tls {
            rustls::Error::InvalidCertificate(_) => format!(
                "{tls}; give the CA certificate with the registry (ca) or add it to this machine's CA certificates, \
                 or renew the certificate"
            ),
            rustls::Error::AlertReceived(alert) if is_about_us(*alert) => {
                format!("{tls}; it requires a client certificate from a CA that it trusts: give one with the registry")
            }
            rustls::Error::InvalidMessage(_) => {
                "the server does not speak TLS; if it uses plain http, write http:// before the address".to_owned()
            }
            _ => format!("{tls}; ask its operator"),
        };
        return Error::Tls(format!("no secure connection to {host}: {why}"));
    }
    if error.is_timeout() {
        return Error::Timeout(format!(
            "{host} could not be reached in time; check the address, and that no firewall is in between"
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

/// Whether the peer closed the connection because of our certificate or the lack of one (RFC 8446 §6.2; TLS 1.2 reports
/// the latter only as a failed handshake).
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

/// Finds a cause of an error by type, also inside an [`io::Error`] (whose `source` skips the wrapped error).
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

    use super::network::PrivateNetworkPolicy;

    use super::*;

    pub(in crate::registry) fn limits() -> RegistryLimits {
        let second = Duration::from_secs(1);
        RegistryLimits {
            concurrency: 1,
            connect_timeout: second * 20,
            request_timeout: second * 20,
            tries: 1,
            longest_wait: second * 2,
            pages: 1,
            pull_reserve: 0,
            layout_roots: Vec::new(),
            private: PrivateNetworkPolicy::default(),
        }
    }
}
