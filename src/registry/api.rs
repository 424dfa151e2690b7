//! JSON interfaces that registries have beside `/v2/`: asked by the same transport, with credentials of their own.

use std::sync::Arc;

use http::{HeaderValue, Method, StatusCode};
use serde::de::DeserializeOwned;
use url::Url;

use super::address::host_of;
use super::transport::{Answer, Request, Transport};
use super::{Error, Result};

/// Longest page of a listing, bytes.
const PAGE_BODY: usize = 32 << 20;

/// One interface.
pub(super) struct Api {
    transport: Arc<Transport>,
    /// Its path ends with a slash.
    base: Url,
    authorization: Option<HeaderValue>,
}

impl Api {
    pub(super) fn new(transport: Arc<Transport>, base: Url, authorization: Option<HeaderValue>) -> Self {
        Self { transport, base, authorization }
    }

    /// The same at another place of the kind's own: its credentials go there.
    pub(super) fn at(&self, base: Url) -> Self {
        Self { transport: Arc::clone(&self.transport), base, authorization: self.authorization.clone() }
    }

    /// Pages of one listing that may be asked for.
    pub(super) fn most_pages(&self) -> u32 {
        self.transport.limits().pages
    }

    /// An address below the base. Each segment becomes one part of the path, slashes in it escaped.
    pub(super) fn url(&self, segments: &[&str], query: &[(&str, &str)]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    /// Asks. Any status is an answer.
    pub(super) async fn ask(&self, url: Url) -> Result<Answer> {
        let request = Request {
            method: Method::GET,
            url,
            accept: "application/json",
            authorization: self.authorization.clone(),
            cap: PAGE_BODY,
        };
        self.transport.send(&request).await
    }

    /// Asks for what there should be: `what`, in words for errors, such as `the repositories of geo`.
    pub(super) async fn get<T: DeserializeOwned>(&self, url: Url, what: &str) -> Result<T> {
        let answer = self.ask(url).await?;
        self.read(&answer, what)
    }

    /// The body of an answer that should be a success.
    pub(super) fn read<T: DeserializeOwned>(&self, answer: &Answer, what: &str) -> Result<T> {
        if !answer.status.is_success() {
            return Err(self.refusal(answer, what));
        }
        serde_json::from_slice(&answer.body).map_err(|why| {
            Error::Malformed(format!(
                "{} answers {what} with something else ({why}); check that the registry is of the kind it was added as",
                host_of(&self.base)
            ))
        })
    }

    /// The error for an answer that is no success.
    pub(super) fn refusal(&self, answer: &Answer, what: &str) -> Error {
        let host = host_of(&self.base);
        let reason = answer.reason();
        match (answer.status, &self.authorization) {
            (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, None) => Error::LoginRequired(format!(
                "{host} gives {what} only to those who log in{reason}; give a username and password"
            )),
            (StatusCode::UNAUTHORIZED, Some(_)) => Error::WrongPassword(format!(
                "{host} does not accept the username and password{reason}; correct them (some registries want an access token as password)"
            )),
            (StatusCode::FORBIDDEN, Some(_)) => {
                Error::Forbidden(format!("{host} does not give this account {what}{reason}; ask who runs it"))
            }
            (StatusCode::NOT_FOUND, _) => Error::NotFound(format!("{host} does not have {what}{reason}")),
            _ => answer.unexpected(what),
        }
    }
}
