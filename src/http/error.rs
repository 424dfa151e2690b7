//! Maps errors of use cases to statuses, in one place. The envelope writes the body, since it knows which interface was
//! called.

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

use crate::api::WireWord;
use crate::api::problem::{PlanProblemReply, ProblemReply};
use crate::app::Error;

/// Seconds after which to retry when something is unavailable.
const SOON: u64 = 5;

/// A failure on its way out: a response without a body, carrying the error for the envelope.
#[derive(Clone, Debug)]
pub struct HttpFailure(pub Arc<Error>);

/// The result of a handler.
pub(super) type Result<T> = std::result::Result<T, HttpFailure>;

impl<E: Into<Error>> From<E> for HttpFailure {
    fn from(why: E) -> Self {
        HttpFailure(Arc::new(why.into()))
    }
}

impl IntoResponse for HttpFailure {
    fn into_response(self) -> Response {
        let mut response = status_of(&self.0).into_response();
        match &*self.0 {
            Error::Unauthenticated(_) => {
                let challenge = HeaderValue::from_static("Bearer realm=\"silo\"");
                response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
            }
            Error::Throttled { wait, .. } => {
                let seconds = wait.num_seconds().max(1);
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            }
            Error::Building(progress) => {
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(progress.wait()));
            }
            Error::Unavailable(_) | Error::StoreAway(_) => {
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(SOON));
            }
            Error::UnsupportedCoding => {
                response.headers_mut().insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip, identity"));
            }
            _ => {}
        }
        response.extensions_mut().insert(self);
        response
    }
}

fn status_of(error: &Error) -> StatusCode {
    match error {
        Error::Invalid(_) | Error::Duplicate(_) | Error::Unrunnable(_) => StatusCode::BAD_REQUEST,
        Error::Unprocessable(_) => StatusCode::UNPROCESSABLE_ENTITY,
        Error::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
        Error::UnsupportedCoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Error::NotFound(_) => StatusCode::NOT_FOUND,
        Error::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        Error::Unauthenticated(_) => StatusCode::UNAUTHORIZED,
        Error::Forbidden { .. } | Error::ForeignOrigin(_) => StatusCode::FORBIDDEN,
        Error::Throttled { .. } => StatusCode::TOO_MANY_REQUESTS,
        Error::Conflict(_) | Error::LeaseLost => StatusCode::CONFLICT,
        Error::Registry(_) => StatusCode::BAD_GATEWAY,
        Error::Unavailable(_) | Error::StoreAway(_) | Error::Building(_) => StatusCode::SERVICE_UNAVAILABLE,
        Error::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The problem document of an error; `text` is what people are told, `id` the request's.
pub(super) fn problem_reply(error: &Error, status: StatusCode, text: String, id: &str) -> ProblemReply {
    let detail = match error {
        Error::Forbidden { user, role, needed } => {
            let [role, needed] = [role, needed].map(|role| role.as_str());
            format!("{text}: it needs the role {needed}, and {user} has the role {role}")
        }
        _ => text,
    };
    let problems = match error {
        Error::Unrunnable(problems) => Some(problems.iter().map(|problem| PlanProblemReply {
            code: word_of(&problem.code),
            subject: problem.subject.clone(),
            message: problem.message.clone(),
            help: problem.help.clone(),
        })),
        _ => None,
    };
    ProblemReply {
        kind: "about:blank".into(),
        title: status.canonical_reason().unwrap_or("Error").into(),
        status: status.as_u16(),
        detail,
        request_id: id.to_owned(),
        problems: problems.map(Iterator::collect),
    }
}

/// The word that an enum without data is written as.
pub(super) fn word_of(value: &impl Serialize) -> WireWord {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word.into(),
        _ => unreachable!("only enums without data are written as words"),
    }
}
