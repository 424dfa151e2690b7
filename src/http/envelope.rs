//! What every request passes through: a request id, one path spelling, CORS, content codings, a time limit, error
//! bodies, logs, metrics.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, Method, StatusCode, Version, header};
use serde_json::json;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, Predicate as _};
use tower_http::cors::{AllowOrigin, CorsLayer};
use tower_http::decompression::RequestDecompressionLayer;
use tracing::{Instrument as _, field};

use super::admission::{LONGEST_BODY, LONGEST_LOGIN};
use super::error::{HttpFailure, problem_reply};
use super::pages::{self, PageFrame};
use super::proxied::{PublicPrefix, client_address};
use super::{path_spelling, unread_body};
use crate::app::{App, Error};
use crate::auth::random_id;

/// Time limit of requests whose body is read as it arrives. A silent one ends sooner.
const LONGEST_STREAM: Duration = Duration::from_secs(24 * 3600);

static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// State of the envelope's layer.
#[derive(Clone)]
struct EnvelopeState {
    app: App,
    /// Routes whose `POST` requests have the time limit of streamed bodies.
    streamed: Arc<[&'static str]>,
}

/// Puts all layers around a router.
pub(super) fn around(router: Router, app: &App, streamed: Vec<&'static str>) -> Router {
    let around = EnvelopeState { app: app.clone(), streamed: streamed.into() };
    // Files, and ranges of them, are sent uncompressed: their ETag and range refer to the bytes on disk.
    let no_file = |_: StatusCode, _: http::Version, headers: &http::HeaderMap, _: &http::Extensions| {
        !headers.contains_key(header::ACCEPT_RANGES)
    };
    router
        .layer(DefaultBodyLimit::max(LONGEST_BODY))
        // Inside the limit on bodies, so that the limit counts decompressed bytes.
        .layer(RequestDecompressionLayer::new())
        .layer(CatchPanicLayer::custom(|_: Box<dyn std::any::Any + Send>| {
            HttpFailure::from(Error::Internal("a handler panicked".to_owned())).into_response()
        }))
        .layer(middleware::from_fn_with_state(around, envelope))
        .layer(cors(&app.settings().http.cors_origins))
        .layer(middleware::from_fn(answer_options))
        .layer(CompressionLayer::new().compress_when(DefaultPredicate::new().and(no_file)))
        .layer(middleware::from_fn(unread_body::drain))
}

async fn envelope(
    State(EnvelopeState { app, streamed }): State<EnvelopeState>,
    mut request: Request,
    next: Next,
) -> Response {
    let id = random_id();
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    // Labelled by route: the number of paths is unlimited.
    let route = request.extensions().get::<MatchedPath>().map_or_else(|| "none".to_owned(), |m| m.as_str().to_owned());
    let word = method_word(&method);
    let from = client_address(request.headers(), request.extensions(), app.settings().http.trust_forwarded_for);
    let from = from.map(|address| address.to_string()).unwrap_or_default();
    // At the highest level, so that log lines of every level carry it.
    let span = tracing::error_span!("request", id, method = word, path = shown(&path), from, user = field::Empty);
    let started = Instant::now();
    let prefix = PublicPrefix::of(request.headers(), &app);
    let is_streamed = method == Method::POST && streamed.contains(&route.as_str());
    let most = match is_streamed {
        true => LONGEST_STREAM,
        false => Duration::from_secs(u64::from(app.settings().http.request_timeout_seconds)),
    };
    let answered = async {
        if let Err(why) = check_head(&mut request) {
            return why.into_response();
        }
        if let Some(redirect) = path_spelling::redirect(&method, request.uri()) {
            return redirect;
        }
        match tokio::time::timeout(most, next.run(request)).await {
            Ok(response) => response,
            Err(_elapsed) => {
                HttpFailure::from(Error::Unavailable("the request took too long; try again later".to_owned()))
                    .into_response()
            }
        }
    };
    let mut response = with_error_body(answered.instrument(span.clone()).await, &path, &id, &span);
    pages::add_page_headers(&mut response);
    let headers = response.headers_mut();
    prefix.put_before_location(headers);
    headers.insert(&REQUEST_ID, HeaderValue::from_str(&id).expect("an id is hexadecimal digits"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let took = started.elapsed();
    app.count_request();
    let labels = [("method", word.to_owned()), ("route", route), ("status", response.status().as_str().to_owned())];
    metrics::histogram!("silo_http_request_duration_seconds", &labels).record(took.as_secs_f64());
    tell(&span, response.status(), took);
    response
}

/// Checks of headers that apply to all routes.
fn check_head(request: &mut Request) -> Result<(), HttpFailure> {
    // RFC 9112, section 3.2.
    let hosts = request.headers().get_all(header::HOST).iter().count();
    if hosts > 1 || (hosts == 0 && request.version() == Version::HTTP_11) {
        return Err(Error::Invalid("A request needs one Host header".to_owned()).into());
    }
    let codings: Vec<_> = request.headers().get_all(header::CONTENT_ENCODING).iter().collect();
    let known = match codings[..] {
        [] => return Ok(()),
        [coding] => {
            ["gzip", "identity"].into_iter().find(|known| coding.as_bytes().eq_ignore_ascii_case(known.as_bytes()))
        }
        _ => None,
    };
    let known = HeaderValue::from_static(known.ok_or(Error::UnsupportedCoding)?);
    // The layer that decompresses knows this spelling only.
    request.headers_mut().insert(header::CONTENT_ENCODING, known);
    Ok(())
}

/// Writes the body of a failure: `{"error": …}` for the legacy interface, a problem document (RFC 9457) for the native
/// one. The cause of a 5xx goes to the log; the client gets the request id to ask with.
fn with_error_body(response: Response, path: &str, id: &str, span: &tracing::Span) -> Response {
    let Some(HttpFailure(error)) = response.extensions().get::<HttpFailure>().cloned() else { return response };
    let text = match &*error {
        Error::Internal(cause) => {
            tracing::error!(parent: span, cause, "the request failed");
            format!("Internal error. See the log for request id {id}")
        }
        Error::StoreAway(cause) => {
            // The store logs the cause once for all failing requests.
            tracing::debug!(parent: span, cause, "the request could not be answered");
            format!("The service cannot answer this now; try again in a few seconds. See the log for request id {id}")
        }
        other => other.to_string(),
    };
    if let Some(frame) = response.extensions().get::<PageFrame>().cloned() {
        return pages::with_error_page(response, frame, path, &text, id);
    }
    let (mut parts, _) = response.into_parts();
    let body = if is_native(path) {
        if matches!(*error, Error::Duplicate(_)) {
            // The legacy interface keeps the old service's 400.
            parts.status = StatusCode::CONFLICT;
        }
        let status = parts.status;
        parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        let problem = problem_reply(&error, status, text, id);
        serde_json::to_string(&problem).expect("texts and numbers have a JSON form")
    } else if matches!(*error, Error::MethodNotAllowed) {
        // As the old service did.
        return Response::from_parts(parts, Body::empty());
    } else {
        parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        json!({ "error": text }).to_string()
    };
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(body))
}

/// A method as a label: unknown methods are unlimited in number, and each would be a series.
fn method_word(method: &Method) -> &'static str {
    const KNOWN: [&Method; 7] =
        [&Method::GET, &Method::HEAD, &Method::POST, &Method::PUT, &Method::PATCH, &Method::DELETE, &Method::OPTIONS];
    KNOWN.into_iter().find(|known| *known == method).map_or("other", Method::as_str)
}

/// Logs each reply. Failures are logged by default, so that a given request id can be found.
fn tell(span: &tracing::Span, status: StatusCode, took: Duration) {
    let (status, micros) = (status.as_u16(), took.as_micros() as u64);
    match status {
        500.. => tracing::warn!(parent: span, status, micros, "answered"),
        400.. => tracing::info!(parent: span, status, micros, "answered"),
        _ => tracing::debug!(parent: span, status, micros, "answered"),
    }
}

/// A path for the log: cut to the length of a line, and without the token of a hook, which is a secret in every
/// spelling of the path.
fn shown(path: &str) -> String {
    /// In characters.
    const LONGEST: usize = 300;
    let end = path.to_ascii_lowercase().find("hooks/").map_or(path.len(), |at| at + "hooks/".len());
    let shown: String = path[..end].chars().take(LONGEST).collect();
    if shown.len() < path.len() { shown + "…" } else { shown }
}

/// Whether the path belongs to the native interface. Hooks have no legacy format.
fn is_native(path: &str) -> bool {
    path.starts_with("/api/") || path.starts_with("/hooks/")
}

fn cors(origins: &[String]) -> CorsLayer {
    let allowed = if origins.iter().any(|origin| origin == "*") {
        AllowOrigin::any()
    } else {
        AllowOrigin::list(origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()))
    };
    CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::ACCEPT,
            HeaderName::from_static("x-requested-with"),
            HeaderName::from_static("last-event-id"),
            header::CACHE_CONTROL,
            header::CONTENT_ENCODING,
            header::IF_MATCH,
            header::IF_NONE_MATCH,
            header::IF_MODIFIED_SINCE,
            header::IF_RANGE,
            header::RANGE,
        ])
        .expose_headers([
            header::ACCEPT_RANGES,
            header::ALLOW,
            header::CONTENT_DISPOSITION,
            header::CONTENT_RANGE,
            header::ETAG,
            header::LAST_MODIFIED,
            header::LINK,
            header::LOCATION,
            header::RETRY_AFTER,
            header::WWW_AUTHENTICATE,
            REQUEST_ID.clone(),
        ])
        .max_age(Duration::from_secs(1000))
}

/// Answers `OPTIONS` on any path with success and a body, as the old service did.
async fn answer_options(request: Request, next: Next) -> Response {
    let is_options = request.method() == Method::OPTIONS;
    let response = next.run(request).await;
    if !is_options {
        return response;
    }
    let (mut parts, _) = response.into_parts();
    parts.status = StatusCode::OK;
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(r#"{"result":"success"}"#))
}

impl From<axum::extract::rejection::BytesRejection> for HttpFailure {
    fn from(why: axum::extract::rejection::BytesRejection) -> Self {
        unread(why.status(), "The body ended early")
    }
}

impl From<axum::extract::multipart::MultipartError> for HttpFailure {
    fn from(why: axum::extract::multipart::MultipartError) -> Self {
        unread(why.status(), "The form cannot be read: it is truncated, or does not match its Content-Type")
    }
}

/// The error for a body that was not read to its end.
fn unread(status: StatusCode, otherwise: &str) -> HttpFailure {
    HttpFailure(Arc::new(match status {
        StatusCode::PAYLOAD_TOO_LARGE => Error::TooLarge(format!(
            "The body is too long; the maximum is {LONGEST_BODY} bytes, for a login {LONGEST_LOGIN}"
        )),
        _ => Error::Invalid(otherwise.to_owned()),
    }))
}
