//! Client for vendors' JSON APIs beside `/v2/`: the same transport, credentials of their own.

use std::sync::{Arc, OnceLock};

use http::header::IF_NONE_MATCH;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde::de::{DeserializeOwned, IgnoredAny};
use url::Url;

use super::address::host_of;
use super::listing::next_query;
use super::login::token::{AuthorizationToken, TokenCache};
use super::transport::hosts::{CachedResponse, EtagCacheKey};
use super::transport::{HttpTransport, RegistryRequest, RegistryResponse};
use super::{Error, Result};

/// Size cap of a listing page, bytes.
const PAGE_BODY: usize = 32 << 20;

/// One vendor API.
pub(super) struct VendorApi {
    transport: Arc<HttpTransport>,
    /// Its path ends with a slash.
    base: Url,
    login: Option<Arc<ApiLogin>>,
    /// Sent with every request.
    headers: HeaderMap,
    /// Items on a full page; `Some` switches on the ETag cache for pages.
    keeps_pages: Option<usize>,
    /// The error after a rejected password: no later request tries it again.
    wrong_password: Arc<OnceLock<Error>>,
}

/// How requests to a vendor's API are authenticated.
enum ApiLogin {
    Header(HeaderValue),
    Tokens(Box<TokenCache>),
}

impl VendorApi {
    pub(super) fn new(transport: Arc<HttpTransport>, base: Url, authorization: Option<HeaderValue>) -> Self {
        let login = authorization.map(|header| Arc::new(ApiLogin::Header(header)));
        Self { transport, base, login, headers: HeaderMap::new(), keeps_pages: None, wrong_password: Arc::default() }
    }

    /// Uses tokens instead of a fixed `Authorization` header.
    pub(super) fn with_tokens(mut self, tokens: TokenCache) -> Self {
        self.login = Some(Arc::new(ApiLogin::Tokens(Box::new(tokens))));
        self
    }

    pub(super) fn with_header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        self
    }

    /// Caches pages by `ETag` between scans, for servers that do not count a 304 against the quota. `full`: items on a
    /// full page.
    pub(super) fn with_etag_cache(mut self, full: usize) -> Self {
        self.keeps_pages = Some(full);
        self
    }

    /// Whether requests carry credentials.
    pub(super) fn has_login(&self) -> bool {
        self.login.is_some()
    }

    /// `host[:port]` for messages.
    pub(super) fn host(&self) -> String {
        host_of(&self.base)
    }

    /// The same client at another base URL, with the same credentials.
    pub(super) fn at(&self, base: Url) -> Self {
        let (transport, login, headers) = (Arc::clone(&self.transport), self.login.clone(), self.headers.clone());
        let wrong_password = Arc::clone(&self.wrong_password);
        Self { transport, base, login, headers, keeps_pages: self.keeps_pages, wrong_password }
    }

    /// Most pages of one listing.
    pub(super) fn most_pages(&self) -> u32 {
        self.transport.limits().pages
    }

    /// A URL below the base. Each segment becomes one path segment, with slashes in it escaped.
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

    /// Sends a GET. Any status is a response; after a rejected password nothing is sent any more.
    pub(super) async fn ask(&self, url: Url) -> Result<RegistryResponse> {
        if let Some(why) = self.wrong_password.get() {
            return Err(why.clone());
        }
        let (authorization, renewable) = self.authorization(None).await?;
        let mut request = RegistryRequest {
            method: Method::GET,
            url,
            accept: "application/json",
            authorization,
            headers: self.headers.clone(),
            json: None,
            cap: PAGE_BODY,
        };
        let answer = self.send(&request).await?;
        if answer.status != StatusCode::UNAUTHORIZED || !renewable {
            return Ok(answer);
        }
        request.authorization = self.authorization(request.authorization.as_ref()).await?.0;
        self.send(&request).await
    }

    /// Sends a request, conditional (`If-None-Match`) if a page is cached; a 304 yields the cached page.
    async fn send(&self, request: &RegistryRequest) -> Result<RegistryResponse> {
        let Some(full) = self.keeps_pages else { return self.transport.send(request).await };
        let hosts = self.transport.hosts();
        let asked = EtagCacheKey::new(&request.url, request.authorization.as_ref());
        let Some(page) = hosts.kept(asked) else {
            let answer = self.transport.send(request).await?;
            self.keep(asked, &answer, full);
            return Ok(answer);
        };
        let mut conditional = request.clone();
        conditional.headers.insert(IF_NONE_MATCH, page.etag);
        let answer = self.transport.send(&conditional).await?;
        if answer.status == StatusCode::NOT_MODIFIED {
            return Ok(RegistryResponse { status: StatusCode::OK, headers: page.headers, body: page.body, ..answer });
        }
        self.keep(asked, &answer, full);
        Ok(answer)
    }

    /// A full last page is not cached: its body, and so its `ETag`, can stay the same when a next page is added.
    fn keep(&self, asked: EtagCacheKey, answer: &RegistryResponse, full: usize) {
        let items = || serde_json::from_slice::<Vec<IgnoredAny>>(&answer.body).map_or(full, |items| items.len());
        if answer.status == StatusCode::OK
            && (next_query(&answer.headers).is_some() || items() < full)
            && let Some(page) = CachedResponse::of(&answer.headers, &answer.body)
        {
            self.transport.hosts().keep(asked, page);
        }
    }

    /// The `Authorization` header of a request, and whether it can be renewed after a rejection.
    async fn authorization(&self, rejected: Option<&HeaderValue>) -> Result<(Option<HeaderValue>, bool)> {
        match self.login.as_deref() {
            None => Ok((None, false)),
            Some(ApiLogin::Header(header)) => Ok((Some(header.clone()), false)),
            Some(ApiLogin::Tokens(tokens)) => {
                let AuthorizationToken { header, fresh } = tokens.get(&self.transport, "", rejected).await?;
                Ok((Some(header), !fresh))
            }
        }
    }

    /// Sends a GET that should succeed. `what` names the resource in errors, such as `the repositories of geo`.
    pub(super) async fn get<T: DeserializeOwned>(&self, url: Url, what: &str) -> Result<T> {
        let answer = self.ask(url).await?;
        self.read(&answer, what)
    }

    /// Parses the body of a response that should be a success.
    pub(super) fn read<T: DeserializeOwned>(&self, answer: &RegistryResponse, what: &str) -> Result<T> {
        if !answer.status.is_success() {
            return Err(self.refusal(answer, what));
        }
        serde_json::from_slice(&answer.body).map_err(|why| {
            Error::Malformed(format!(
                "{} answers the request for {what} in an unknown form ({why}); check the registry's kind",
                host_of(&self.base)
            ))
        })
    }

    /// The error for a response that is no success.
    pub(super) fn refusal(&self, answer: &RegistryResponse, what: &str) -> Error {
        let host = host_of(&self.base);
        let reason = answer.reason();
        let error = match (answer.status, &self.login) {
            (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, None) => Error::LoginRequired(format!(
                "{host} requires a login for {what}{reason}; give a username and password"
            )),
            (StatusCode::UNAUTHORIZED, Some(_)) => Error::WrongPassword(format!(
                "{host} does not accept the username and password{reason}; correct them (some registries want an access token as password)"
            )),
            (StatusCode::FORBIDDEN, Some(_)) => {
                Error::Forbidden(format!("{host} denies this account {what}{reason}; grant it the right to read that"))
            }
            (StatusCode::NOT_FOUND, _) => Error::NotFound(format!("{host} does not have {what}{reason}")),
            _ => answer.unexpected(what),
        };
        if let Error::WrongPassword(_) = error {
            self.wrong_password.get_or_init(|| error.clone());
        }
        error
    }
}
