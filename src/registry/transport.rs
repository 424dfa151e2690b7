//! Sending requests, and around that everything that keeps a bad peer from costing us more than it may.
//!
//! A request is tried again after what passes by itself (408, 429, 500, 502, 503, 504, a connection that failed or
//! broke); never after a time-out, which has already cost what one request may cost, and never after a refusal.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use chrono::DateTime;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, DATE, LOCATION, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use reqwest::Response;
use rustls::AlertDescription;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use url::Url;

use super::address::host_of;
use super::client::Clients;
use super::grammar::printable;
use super::guard::Blocked;
use super::wire::Errors;
use super::{Error, Limits, Result, Traffic};

/// Redirects that one request may take (blobs are often kept in object stores).
const REDIRECTS: usize = 5;
/// What is read of a body that only explains an error.
const ERROR_BODY: usize = 64 << 10;
/// Wait before the second try; doubles with each further one.
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
/// Longest wait that nobody asked for.
const LONGEST_BACKOFF: Duration = Duration::from_secs(30);

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
    /// Whether it counts as a pull where those are counted: manifests that are not only asked for by HEAD.
    fn is_pull(&self) -> bool {
        self.method == Method::GET && self.url.path().contains("/manifests/")
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

/// Sends requests to one registry and what belongs to it.
pub(super) struct Transport {
    limits: Limits,
    clients: Clients,
    /// Redirects that one request may take.
    redirects: usize,
    permits: Semaphore,
    /// Nothing of what a key names (see [`Spent::key`]) is sent before: the registry asked for a pause.
    paused_until: Mutex<HashMap<String, Instant>>,
    requests: AtomicU64,
    bytes: AtomicU64,
}

impl Transport {
    pub(super) fn new(limits: &Limits, clients: Clients) -> Self {
        Self {
            permits: Semaphore::new(limits.concurrency.clamp(1, Semaphore::MAX_PERMITS)),
            limits: limits.clone(),
            clients,
            redirects: REDIRECTS,
            paused_until: Mutex::default(),
            requests: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        }
    }

    /// Follows no redirects: they are refused.
    pub(super) fn staying(self) -> Self {
        Self { redirects: 0, ..self }
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(super) fn traffic(&self) -> Traffic {
        Traffic { requests: self.requests.load(Ordering::Relaxed), bytes: self.bytes.load(Ordering::Relaxed) }
    }

    /// Sends a request until it has an answer that trying again would not change. Any status is an answer.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::Tls`], [`Error::Timeout`], [`Error::Throttled`], [`Error::Refused`], and
    /// [`Error::Malformed`] for a body above the cap.
    pub(super) async fn send(&self, request: &Request) -> Result<Answer> {
        let host = host_of(&request.url);
        let mut tries = 0;
        loop {
            tries += 1;
            let last = tries >= self.limits.tries;
            let asked_wait = match self.attempt(request, &host).await {
                Err(Error::Unreachable(why)) if !last => {
                    tracing::debug!(%host, tries, why, "trying again");
                    None
                }
                Ok(answer) if is_passing(&answer) => {
                    let asked = retry_after(&answer.headers).or_else(|| Some(spent(&answer.headers)?.wait));
                    if asked.is_some_and(|wait| wait > self.limits.longest_wait)
                        || (last && matches!(answer.status.as_u16(), 403 | 429))
                    {
                        return Err(throttled(&host, answer.status, asked));
                    }
                    if last {
                        return Ok(answer);
                    }
                    asked
                }
                Ok(answer) => {
                    // The last that it grants for now: who asks next waits, or hears that it takes too long.
                    if let Some(spent) = spent(&answer.headers) {
                        self.pause(spent.key(&host), spent.wait);
                    }
                    return Ok(answer);
                }
                outcome => return outcome,
            };
            match asked_wait {
                Some(wait) => self.pause(host.clone(), wait),
                None => tokio::time::sleep(self.backoff(tries)).await, // because a busy registry needs it
            }
        }
    }

    /// One try: waits for a permit and for the end of a pause, then has `request_timeout` to the last byte.
    async fn attempt(&self, request: &Request, host: &str) -> Result<Answer> {
        let _permit = self.permits.acquire().await.map_err(|_| Error::Unreachable(format!("{host}: closed")))?;
        self.until_pause_is_over(host).await?;
        if request.is_pull() {
            self.until_pause_is_over(&pulls(host)).await?;
        }
        let limit = self.limits.request_timeout;
        tokio::time::timeout(limit, self.follow(request, host)).await.unwrap_or_else(|_| {
            Err(Error::Timeout(format!(
                "{host} gave no complete answer within {}; try again later, or raise the request time-out",
                seconds(limit)
            )))
        })
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
            self.requests.fetch_add(1, Ordering::Relaxed);
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
            self.bytes.fetch_add(chunk.len() as u64, Ordering::Relaxed);
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

    fn pause(&self, key: String, wait: Duration) {
        let until = Instant::now() + wait;
        let mut paused = self.paused_until.lock().unwrap_or_else(PoisonError::into_inner);
        let set = paused.entry(key).or_insert(until);
        *set = until.max(*set);
    }

    async fn until_pause_is_over(&self, key: &str) -> Result<()> {
        loop {
            let until = self.paused_until.lock().unwrap_or_else(PoisonError::into_inner).get(key).copied();
            let now = Instant::now();
            match until.filter(|until| *until > now) {
                Some(until) if until - now > self.limits.longest_wait => {
                    return Err(Error::Throttled(format!(
                        "{key} grants no more requests for {} s; scan it later or less often",
                        (until - now).as_secs()
                    )));
                }
                // What the registry asked for; another answer may have made it longer meanwhile, so look again.
                Some(until) => tokio::time::sleep_until(until).await,
                None => return Ok(()),
            }
        }
    }

    /// Between half and all of 0.1 s · 2ⁿ, so that many clients do not come back at once.
    fn backoff(&self, tries: u32) -> Duration {
        let longest = LONGEST_BACKOFF.min(self.limits.longest_wait);
        let wait = FIRST_BACKOFF.saturating_mul(1 << (tries - 1).min(16)).min(longest);
        wait.mul_f64(0.5 + rand::random::<f64>() / 2.0)
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

    /// ` (what the registry says about it)`, or nothing.
    pub(super) fn reason(&self) -> String {
        let errors: Option<Errors> = serde_json::from_slice(&self.body).ok();
        let said = errors.and_then(|errors| {
            let entry = errors.errors.into_iter().next()?;
            Some(if entry.message.is_empty() { entry.code } else { entry.message })
        });
        said.filter(|said| !said.is_empty()).map(|said| format!(" ({})", printable(&said))).unwrap_or_default()
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

/// Whether the status may be another one later. GitHub says 403 to who asks too often.
fn is_passing(answer: &Answer) -> bool {
    match answer.status.as_u16() {
        403 => answer.headers.contains_key(RETRY_AFTER) || spent(&answer.headers).is_some(),
        status => matches!(status, 408 | 429 | 500 | 502 | 503 | 504),
    }
}

fn throttled(host: &str, status: StatusCode, asked: Option<Duration>) -> Error {
    let wait = asked.map(|wait| format!(" and asks to wait {}", seconds(wait))).unwrap_or_default();
    Error::Throttled(format!("{host} answered {status}{wait}; scan it later or less often"))
}

/// How long a registry asks us to wait: RFC 9110 §10.2.3. A date counts from the answer's own `Date`, so that it does
/// not matter whether its clock is right.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if text.bytes().all(|b| b.is_ascii_digit()) && !text.is_empty() {
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::from(u32::MAX))));
    }
    let until = DateTime::parse_from_rfc2822(text).ok()?;
    let now = DateTime::parse_from_rfc2822(headers.get(DATE)?.to_str().ok()?).ok()?;
    Some((until - now).to_std().unwrap_or_default())
}

/// A quota that is used up.
struct Spent {
    wait: Duration,
    /// It is one of pulls only.
    pulls: bool,
}

impl Spent {
    /// What is not sent meanwhile: anything to the host, or only what counts as a pull.
    fn key(&self, host: &str) -> String {
        if self.pulls { pulls(host) } else { host.to_owned() }
    }
}

fn pulls(host: &str) -> String {
    format!("{host} (pulls)")
}

/// Whether a quota is used up: `X-RateLimit-Remaining` with `X-RateLimit-Reset` (Docker Hub's interface, GitHub), or
/// `RateLimit-Remaining: 0;w=21600` (pulls from Docker Hub), whose window may end earlier, but nobody says when.
fn spent(headers: &HeaderMap) -> Option<Spent> {
    let text = |name: &str| headers.get(name)?.to_str().ok();
    ["x-ratelimit", "ratelimit"].iter().find_map(|family| {
        let mut remaining = text(&format!("{family}-remaining"))?.split(';').map(str::trim);
        if remaining.next()?.parse() != Ok(0u64) {
            return None;
        }
        let window = remaining.find_map(|part| part.strip_prefix("w=")?.parse().ok());
        let reset = text(&format!("{family}-reset")).and_then(|reset| reset.trim().parse().ok());
        let seconds: u64 = reset.map_or(window, |reset| until_reset(reset, headers))?;
        Some(Spent { wait: Duration::from_secs(seconds.min(u64::from(u32::MAX))), pulls: reset.is_none() })
    })
}

/// Seconds until a reset, which some give as a time of Unix and some as seconds from now. A time counts from the
/// answer's own `Date`.
fn until_reset(reset: u64, headers: &HeaderMap) -> Option<u64> {
    const LONG_AGO: u64 = 1_000_000_000;
    if reset < LONG_AGO {
        return Some(reset);
    }
    let now = DateTime::parse_from_rfc2822(headers.get(DATE)?.to_str().ok()?).ok()?;
    Some(reset.saturating_sub(u64::try_from(now.timestamp()).ok()?))
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
fn cause<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
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

fn seconds(time: Duration) -> String {
    format!("{} s", time.as_secs_f64())
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::address::Base;
    use super::super::network::Private;
    use super::super::tls::Tls;
    use super::*;

    fn headers(pairs: &[(http::HeaderName, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_lasts_as_long_as_the_longest_that_was_asked_for() {
        let transport = transport(&Limits { longest_wait: Duration::from_secs(30), ..limits() });
        let before = Instant::now();
        transport.pause("a".to_owned(), Duration::from_secs(30));
        transport.pause("a".to_owned(), Duration::from_secs(10));
        transport.until_pause_is_over("b").await.unwrap();
        assert_eq!(before.elapsed(), Duration::ZERO, "another host");
        transport.until_pause_is_over("a").await.unwrap();
        assert_eq!(before.elapsed(), Duration::from_secs(30), "on the test's own clock");
        transport.until_pause_is_over("a").await.unwrap();
        assert_eq!(before.elapsed(), Duration::from_secs(30));
        transport.pause("a".to_owned(), Duration::from_secs(31));
        let told = transport.until_pause_is_over("a").await;
        assert!(matches!(&told, Err(Error::Throttled(why)) if why.contains("31 s")), "{told:?}");
    }

    #[test]
    fn waits_double_up_to_a_limit() {
        let transport = transport(&limits());
        for (tries, longest) in [(1, 100), (2, 200), (4, 800), (9, 2000), (u32::MAX, 2000)] {
            let wait = transport.backoff(tries).as_millis();
            assert!((longest / 2..=longest).contains(&wait), "{tries}: {wait}");
        }
    }

    fn transport(limits: &Limits) -> Transport {
        let base = Base::parse("http://registry.example.org").unwrap();
        Transport::new(limits, Clients::new(&base, &base.root(), &Tls::default(), limits).unwrap())
    }

    pub(in crate::registry) fn limits() -> Limits {
        let second = Duration::from_secs(1);
        Limits {
            concurrency: 1,
            connect_timeout: second * 20,
            request_timeout: second * 20,
            tries: 1,
            longest_wait: second * 2,
            pages: 1,
            layout_roots: Vec::new(),
            private: Private::default(),
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let date = (DATE, "Sun, 06 Nov 1994 08:49:30 GMT");
        let wait = |pairs: &[_]| retry_after(&headers(pairs));
        assert_eq!(wait(&[]), None);
        assert_eq!(wait(&[(RETRY_AFTER, "7")]), Some(Duration::from_secs(7)));
        assert_eq!(wait(&[(RETRY_AFTER, "Sun, 06 Nov 1994 08:49:37 GMT"), date.clone()]), Some(Duration::from_secs(7)));
        assert_eq!(wait(&[(RETRY_AFTER, "Sun, 06 Nov 1994 08:00:00 GMT"), date]), Some(Duration::ZERO), "past");
        assert_eq!(wait(&[(RETRY_AFTER, "Sun, 06 Nov 1994 08:49:37 GMT")]), None, "no clock to compare with");
        for nonsense in ["", "-1", "soon", "1.5"] {
            assert_eq!(wait(&[(RETRY_AFTER, nonsense)]), None, "{nonsense}");
        }
        let huge = wait(&[(RETRY_AFTER, "99999999999999999999999")]);
        assert!(huge.is_some_and(|wait| wait > Duration::from_secs(1 << 31)));
    }

    #[test]
    fn a_quota_that_is_used_up() {
        let map = |pairs: &[(&'static str, &'static str)]| {
            let pairs: Vec<_> =
                pairs.iter().map(|(name, value)| (http::HeaderName::from_static(name), *value)).collect();
            spent(&headers(&pairs)).map(|spent| spent.wait.as_secs())
        };
        let (none, date) = (("x-ratelimit-remaining", "0"), ("date", "Sun, 06 Nov 1994 08:49:30 GMT"));
        assert_eq!(map(&[none, ("x-ratelimit-reset", "40")]), Some(40));
        assert_eq!(map(&[none, ("x-ratelimit-reset", "1700000000"), date]), Some(1_700_000_000 - 784_111_770));
        assert_eq!(map(&[none, ("x-ratelimit-reset", "1700000000")]), None, "no clock to compare with");
        assert_eq!(map(&[none]), None, "until when, it does not say");
        assert_eq!(map(&[("ratelimit-remaining", "0;w=21600")]), Some(21600));
        for some in ["1", "100;w=21600", "", "-0", "none"] {
            assert_eq!(map(&[("ratelimit-remaining", some), ("ratelimit-reset", "9")]), None, "{some}");
        }
        assert_eq!(map(&[("ratelimit-remaining", "0;w=99999999999999")]), Some(u64::from(u32::MAX)));
    }
}
