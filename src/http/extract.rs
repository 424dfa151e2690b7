//! Extractors of bodies, ids and parameters.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, OptionalFromRequest, OptionalFromRequestParts, Request};
use http::header;
use http::request::Parts;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::error::HttpFailure;
use super::proxied::client_address;
use crate::app::{App, Error, RequestCaller, UserSession};

/// A JSON object whose keys match in any case, as Go decoded them; the `Content-Type` is ignored. Unknown keys are
/// ignored, missing ones are empty.
pub(super) struct CaseInsensitiveJson(Map<String, Value>);

impl CaseInsensitiveJson {
    /// A text; empty if missing or null.
    pub(super) fn text(&self, key: &str) -> Result<String, HttpFailure> {
        // The last of several keys wins, as in the old service.
        match self.0.iter().rev().find(|(name, _)| name.eq_ignore_ascii_case(key)) {
            None | Some((_, Value::Null)) => Ok(String::new()),
            Some((_, Value::String(text))) if text.contains('\0') => {
                Err(Error::Unprocessable(format!("\"{key}\" contains a NUL character")).into())
            }
            Some((_, Value::String(text))) => Ok(text.clone()),
            Some(_) => Err(Error::Unprocessable(format!("\"{key}\" must be a text")).into()),
        }
    }
}

/// The keys that the legacy interface knows, in any case.
const LEGACY_KEYS: [&str; 6] = ["username", "password", "role", "name", "url", "org"];

/// Keeps a member with a known key. A value that is no text is reduced to a marker.
fn kept(key: String, value: Value) -> Option<(String, Value)> {
    let is_known = LEGACY_KEYS.iter().any(|known| known.eq_ignore_ascii_case(&key));
    let value = if value.is_string() || value.is_null() { value } else { Value::Bool(true) };
    is_known.then_some((key, value))
}

impl<S: Send + Sync> FromRequest<S> for CaseInsensitiveJson {
    type Rejection = HttpFailure;

    async fn from_request(request: Request, state: &S) -> Result<Self, HttpFailure> {
        match parse_json(&Bytes::from_request(request, state).await?)? {
            // A megabyte of other values would take several in memory while the password is checked.
            Value::Object(object) => Ok(Self(object.into_iter().filter_map(|(key, value)| kept(key, value)).collect())),
            _ => Err(not_an_object()),
        }
    }
}

/// A JSON object of the native interface: typed, unknown keys are refused.
pub(super) struct JsonBody<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = HttpFailure;

    async fn from_request(request: Request, state: &S) -> Result<Self, HttpFailure> {
        read_json(&Bytes::from_request(request, state).await?)
    }
}

/// `None` for an empty body.
impl<S: Send + Sync, T: DeserializeOwned> OptionalFromRequest<S> for JsonBody<T> {
    type Rejection = HttpFailure;

    async fn from_request(request: Request, state: &S) -> Result<Option<Self>, HttpFailure> {
        let body = Bytes::from_request(request, state).await?;
        if body.is_empty() { Ok(None) } else { read_json(&body).map(Some) }
    }
}

fn read_json<T: DeserializeOwned>(body: &[u8]) -> Result<JsonBody<T>, HttpFailure> {
    let body = parse_json(body)?;
    if has_nul(&body) {
        return Err(Error::Unprocessable("the body contains a NUL character".to_owned()).into());
    }
    // Otherwise serde would accept an array as the fields in order.
    if !body.is_object() {
        return Err(not_an_object());
    }
    serde_json::from_value(body).map(JsonBody).map_err(|why| unreadable(&why))
}

/// Whether any text contains NUL, which PostgreSQL cannot store.
fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(entries) => entries.values().any(has_nul),
        _ => false,
    }
}

fn not_an_object() -> HttpFailure {
    Error::Unprocessable("the body must be a JSON object".to_owned()).into()
}

fn parse_json(bytes: &[u8]) -> Result<Value, HttpFailure> {
    serde_json::from_slice(bytes).map_err(|why| unreadable(&why))
}

fn unreadable(why: &serde_json::Error) -> HttpFailure {
    // Go's message for a truncated body; scripts match it.
    let text = if why.is_eof() {
        "unexpected end of JSON input".to_owned()
    } else {
        format!("the body cannot be read: {why}")
    };
    Error::Unprocessable(text).into()
}

/// Parses an id in a path.
pub(super) fn id(text: &str) -> Result<i64, HttpFailure> {
    text.parse().map_err(|_| Error::Invalid("Invalid ID".to_owned()).into())
}

/// The id in a path that has one parameter.
pub(super) struct PathId<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for PathId<T> {
    type Rejection = HttpFailure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, HttpFailure> {
        match <axum::extract::Path<T> as FromRequestParts<S>>::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(id)) => Ok(Self(id)),
            Err(_) => Err(Error::Invalid("Invalid ID".to_owned()).into()),
        }
    }
}

/// The application as the request's user sees it. Handlers have no other: what the user may not see does not exist.
pub(super) struct RequestApp(pub App);

impl FromRequestParts<App> for RequestApp {
    type Rejection = HttpFailure;

    async fn from_request_parts(parts: &mut Parts, _app: &App) -> Result<Self, HttpFailure> {
        let seen = parts.extensions.get::<App>().cloned();
        let seen = seen.ok_or_else(|| Error::Internal("a request was not checked".to_owned()))?;
        Ok(Self(seen))
    }
}

/// The parameters of a path.
pub(super) struct PathParameters<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for PathParameters<T> {
    type Rejection = HttpFailure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, HttpFailure> {
        match <axum::extract::Path<T> as FromRequestParts<S>>::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(parameters)) => Ok(Self(parameters)),
            Err(_) => Err(Error::Invalid("This address cannot be read: it is not UTF-8".to_owned()).into()),
        }
    }
}

/// Query parameters of the native interface: at most [`MOST_PARAMETERS`], each of at most [`LONGEST_PARAMETER`] bytes.
pub(super) struct QueryParameters<T>(pub T);

/// Longest value of a query parameter, in bytes.
const LONGEST_PARAMETER: usize = 4096;

/// Most query parameters, repeated ones included.
const MOST_PARAMETERS: usize = 64;

/// Most words of a list: in one parameter with commas, or of a repeated parameter.
pub(super) const MOST_WORDS: usize = 32;

/// The words of a list with commas, without empty ones.
///
/// # Errors
/// [`Error::Invalid`] for more than [`MOST_WORDS`].
pub(super) fn words<'a>(name: &str, list: &'a str) -> Result<Vec<&'a str>, HttpFailure> {
    let words: Vec<&str> =
        list.split(',').map(str::trim).filter(|word| !word.is_empty()).take(MOST_WORDS + 1).collect();
    if words.len() > MOST_WORDS {
        return Err(Error::Invalid(format!("{name} has more than {MOST_WORDS} words; ask for fewer")).into());
    }
    Ok(words)
}

fn check_parameters(query: &str) -> Result<(), Error> {
    for (index, (name, value)) in url::form_urlencoded::parse(query.as_bytes()).enumerate() {
        if index == MOST_PARAMETERS {
            return Err(Error::Invalid(format!("The address has more than {MOST_PARAMETERS} parameters")));
        }
        // `q` has a limit of its own.
        if name != "q" && name.len().max(value.len()) > LONGEST_PARAMETER {
            return Err(Error::Invalid(format!(
                "A parameter of the address may have at most {LONGEST_PARAMETER} bytes"
            )));
        }
    }
    Ok(())
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for QueryParameters<T> {
    type Rejection = HttpFailure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, HttpFailure> {
        check_parameters(parts.uri.query().unwrap_or_default())?;
        match axum::extract::Query::from_request_parts(parts, state).await {
            Ok(axum::extract::Query(parameters)) => Ok(Self(parameters)),
            Err(why) => Err(Error::Invalid(why.body_text()).into()),
        }
    }
}

/// Why it is unknown whether the request has a session: the database is unreachable. For people.
#[derive(Clone, Debug)]
pub(super) struct UnknownSession(pub(super) String);

/// The session, if there is one. An error while that is unknown.
impl<S: Send + Sync> OptionalFromRequestParts<S> for UserSession {
    type Rejection = HttpFailure;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Option<Self>, HttpFailure> {
        if let Some(UnknownSession(why)) = parts.extensions.get() {
            return Err(Error::StoreAway(why.clone()).into());
        }
        Ok(parts.extensions.get::<UserSession>().cloned())
    }
}

/// The session, on routes that require one.
impl<S: Send + Sync> FromRequestParts<S> for UserSession {
    type Rejection = HttpFailure;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, HttpFailure> {
        let known = parts.extensions.get::<UserSession>().cloned();
        known.ok_or_else(|| Error::Unauthenticated("Missing authorization token").into())
    }
}

impl FromRequestParts<App> for RequestCaller {
    type Rejection = HttpFailure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, HttpFailure> {
        let address = client_address(&parts.headers, &parts.extensions, app.settings().http.trust_forwarded_for);
        let agent = parts.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        Ok(Self::new(parts.extensions.get().cloned(), address, agent))
    }
}
