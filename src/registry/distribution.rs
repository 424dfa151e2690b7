//! The registry API under `/v2/`: OCI distribution specification 1.1, with the catalogue of Docker's registry.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::WWW_AUTHENTICATE;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use secrecy::ExposeSecret;
use tokio::sync::Mutex;
use url::Url;

use super::address::Base;
use super::challenge;
use super::content::Blob;
use super::grammar::{digest_of, is_digest, matches_digest};
use super::listing::{Directory, Walk, next_query};
use super::token::Tokens;
use super::transport::{Answer, Request, Transport};
use super::wire::MANIFEST_TYPES;
use super::{Deletion, Endpoint, Error, Listing, Look, Result, Tag};
use crate::catalog::RegistryKind;

/// The scope of listing repositories.
pub(super) const CATALOG_SCOPE: &str = "registry:catalog:*";
const JSON: &str = "application/json";
/// Longest page of a listing, bytes: some registries give everything at once.
const PAGE_BODY: usize = 32 << 20;
const PING_BODY: usize = 64 << 10;
const API_VERSION: &str = "docker-distribution-api-version";
const CONTENT_DIGEST: &str = "docker-content-digest";

/// One registry that speaks the distribution API.
pub(super) struct Distribution {
    base: Base,
    transport: Arc<Transport>,
    /// `Authorization` by name and password; `None` without credentials.
    login: Option<HeaderValue>,
    /// Tokens that stand for name and password, where the kind has such.
    exchanged: Option<Arc<Tokens>>,
    /// What the ping found out: `None` before it. An error stays only if trying again would do harm.
    access: Mutex<Option<Result<Access>>>,
    /// Whether the kind has a catalogue. Where it has none, some token services give no token for it, so that no
    /// greeting may ask for one.
    has_catalog: bool,
    /// The registry does not answer HEAD with a digest, so that GET is asked at once.
    head_is_useless: AtomicBool,
}

/// How the registry wants its requests.
#[derive(Clone)]
enum Access {
    Open,
    Basic(HeaderValue),
    /// By tokens: bearer ones, or those that stand for name and password.
    Bearer(Arc<Tokens>),
}

impl Distribution {
    pub(super) fn open(endpoint: &Endpoint, base: Base, transport: Arc<Transport>) -> Result<Self> {
        let login = login(endpoint)?;
        let has_catalog = !matches!(endpoint.kind, RegistryKind::DockerHub | RegistryKind::Ghcr);
        let head_is_useless = AtomicBool::new(false);
        let (exchanged, access) = (None, Mutex::default());
        Ok(Self { base, transport, login, exchanged, access, has_catalog, head_is_useless })
    }

    /// Logged in with these tokens in place of a name and password.
    pub(super) fn with_tokens(self, tokens: Option<Tokens>) -> Self {
        Self { exchanged: tokens.map(Arc::new), ..self }
    }

    pub(super) fn host(&self) -> String {
        self.base.host()
    }

    pub(super) fn transport(&self) -> &Arc<Transport> {
        &self.transport
    }

    pub(super) fn has_login(&self) -> bool {
        self.login.is_some() || self.exchanged.is_some()
    }

    pub(super) async fn ping(&self) -> Result<()> {
        self.greeted(true).await.map(drop)
    }

    pub(super) async fn repositories(&self) -> Result<Listing<String>> {
        self.walk(Directory::Catalog).await
    }

    pub(super) async fn tags(&self, repository: &str) -> Result<Listing<Tag>> {
        let listing = self.walk(Directory::Tags(repository)).await?;
        let items = listing.items.into_iter().map(|name| Tag::new(name, None)).collect();
        Ok(Listing { items, truncated: listing.truncated })
    }

    /// Asks by HEAD, which most registries do not count as a pull; by GET where HEAD does not tell.
    pub(super) async fn digest(&self, repository: &str, tag: &str) -> Result<Option<String>> {
        let url = self.below(&format!("{repository}/manifests/{tag}"));
        let scope = pull(repository);
        let ask = |method| self.ask(method, &url, MANIFEST_TYPES, &scope, Blob::Manifest.cap());
        let what = || format!("{repository}:{tag}");
        if !self.head_is_useless.load(Ordering::Relaxed) {
            let answer = ask(Method::HEAD).await?;
            match answer.status {
                StatusCode::NOT_FOUND => return Ok(None),
                StatusCode::METHOD_NOT_ALLOWED => {}
                status if status.is_success() => {
                    if let Some(digest) = answer.header(CONTENT_DIGEST).filter(|digest| is_digest(digest)) {
                        return Ok(Some(digest.to_owned()));
                    }
                }
                _ => return Err(self.refusal(&answer, &what())),
            }
        }
        let answer = ask(Method::GET).await?;
        match answer.status {
            StatusCode::NOT_FOUND => Ok(None),
            status if status.is_success() && answer.is_html() => Err(self.html(&what())),
            status if status.is_success() => {
                self.head_is_useless.store(true, Ordering::Relaxed);
                Ok(Some(digest_of(&answer.body)))
            }
            _ => Err(self.refusal(&answer, &what())),
        }
    }

    /// Asks by GET, which brings the manifest along.
    pub(super) async fn look(&self, repository: &str, tag: &str) -> Result<Option<Look>> {
        let url = self.below(&format!("{repository}/manifests/{tag}"));
        let answer = self.ask(Method::GET, &url, MANIFEST_TYPES, &pull(repository), Blob::Manifest.cap()).await?;
        let what = || format!("{repository}:{tag}");
        match answer.status {
            StatusCode::NOT_FOUND => Ok(None),
            status if status.is_success() && answer.is_html() => Err(self.html(&what())),
            status if status.is_success() => {
                let named = answer.header(CONTENT_DIGEST).filter(|digest| is_digest(digest));
                // A manifest that does not match its name is left out: who fetches by the name finds that out.
                Ok(Some(match named {
                    Some(digest) if !matches_digest(digest, &answer.body) => {
                        Look { digest: digest.to_owned(), manifest: None }
                    }
                    Some(digest) => Look { digest: digest.to_owned(), manifest: Some(answer.body.clone()) },
                    None => Look { digest: digest_of(&answer.body), manifest: Some(answer.body.clone()) },
                }))
            }
            _ => Err(self.refusal(&answer, &what())),
        }
    }

    /// Deletes a tag, or by its digest a manifest. Many registries delete by digest only, or not at all.
    pub(super) async fn delete(&self, repository: &str, reference: &str) -> Result<Deletion> {
        let url = self.below(&format!("{repository}/manifests/{reference}"));
        let scope = format!("repository:{repository}:pull,delete");
        let answer = self.ask(Method::DELETE, &url, MANIFEST_TYPES, &scope, PAGE_BODY).await?;
        match answer.status {
            status if status.is_success() => Ok(Deletion::Done),
            StatusCode::NOT_FOUND => Ok(Deletion::NotThere),
            StatusCode::BAD_REQUEST | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => {
                Ok(Deletion::Unsupported(format!("{}{}", answer.status, answer.reason())))
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if self.has_login() => Err(Error::Forbidden(format!(
                "{} does not let this account delete {repository}:{reference}{}; give it the right to delete",
                self.host(),
                answer.reason()
            ))),
            _ => Err(self.refusal(&answer, &format!("the deletion of {repository}:{reference}"))),
        }
    }

    /// The bytes of a digest, not yet checked against it.
    pub(super) async fn blob(&self, repository: &str, blob: Blob, digest: &str) -> Result<Bytes> {
        let (path, accept) = match blob {
            Blob::Manifest => (format!("{repository}/manifests/{digest}"), MANIFEST_TYPES),
            Blob::Config => (format!("{repository}/blobs/{digest}"), "*/*"),
        };
        let answer = self.ask(Method::GET, &self.below(&path), accept, &pull(repository), blob.cap()).await?;
        if !answer.status.is_success() {
            return Err(self.refusal(&answer, &format!("{repository}@{digest}")));
        }
        Ok(answer.body)
    }

    async fn walk(&self, directory: Directory<'_>) -> Result<Listing<String>> {
        self.list(directory, self.below(&directory.path()), &scope_of(directory), |body| directory.read(body)).await
    }

    /// The URL of something below `/v2/`. `path` must be made of checked names.
    pub(super) fn below(&self, path: &str) -> Url {
        self.base.url(path, None)
    }

    /// The URL of something beside `/v2/`, from the root of the host. `path` must be made of checked names.
    pub(super) fn beside(&self, path: &str) -> Url {
        let mut url = self.base.root();
        url.set_path(path);
        url
    }

    /// Walks over the pages of a listing at any `url` of this registry, for those that have one of their own, or say
    /// more in the usual one. `read` gives the names on a page; `None`: the body is not such a page.
    pub(super) async fn list(
        &self,
        directory: Directory<'_>,
        mut url: Url,
        scope: &str,
        mut read: impl FnMut(&[u8]) -> Option<Vec<String>> + Send,
    ) -> Result<Listing<String>> {
        let mut walk = Walk::new(directory, self.transport.limits().pages);
        loop {
            url.set_query(Some(&walk.query()));
            let answer = self.ask(Method::GET, &url, JSON, scope, PAGE_BODY).await?;
            if matches!(answer.status.as_u16(), 400 | 405 | 504) && walk.shrink() {
                continue;
            }
            if !answer.status.is_success() {
                return match directory {
                    Directory::Catalog => Err(self.catalog_refusal(&answer)),
                    Directory::Tags(_) if walk.is_at_start() && is_unknown(&answer) => {
                        Ok(Listing { items: Vec::new(), truncated: None })
                    }
                    Directory::Tags(repository) => Err(self.refusal(&answer, &format!("the tags of {repository}"))),
                };
            }
            let Some(names) = read(&answer.body) else {
                return Err(if answer.is_html() { self.html(url.path()) } else { self.no_listing(url.path()) });
            };
            if let Some(listing) = walk.take(names, next_query(&answer.headers)) {
                return Ok(listing);
            }
        }
    }

    /// Asks for JSON that a kind of registry has on its own host, logged in as `/v2/` wants it. Any status is an answer.
    pub(super) async fn ask_own(&self, url: Url, scope: &str) -> Result<Answer> {
        self.ask(Method::GET, &url, JSON, scope, PAGE_BODY).await
    }

    pub(super) fn base(&self) -> &Base {
        &self.base
    }

    /// The token service that the registry names; `None` where it names none.
    pub(super) async fn realm(&self) -> Result<Option<Url>> {
        Ok(match self.greeted(false).await? {
            Access::Bearer(tokens) => Some(tokens.realm().clone()),
            Access::Open | Access::Basic(_) => None,
        })
    }

    /// Asks for something of this registry, logged in as the registry wants it. Where it wants another login than before
    /// (a token that ended early, a path that is not open), that is tried once.
    async fn ask(&self, method: Method, url: &Url, accept: &'static str, scope: &str, cap: usize) -> Result<Answer> {
        let access = self.greeted(false).await?;
        let (authorization, fresh) = self.authorization(&access, scope, None).await?;
        let (url, headers) = (url.clone(), HeaderMap::new());
        let mut request = Request { method, url, accept, authorization, headers, json: None, cap };
        let answer = self.transport.send(&request).await?;
        if answer.status != StatusCode::UNAUTHORIZED || fresh || challenged(&answer).is_none() {
            return Ok(answer);
        }
        let access = match access {
            Access::Open => self.learn(&answer)?,
            known => known,
        };
        let (authorization, _) = self.authorization(&access, scope, request.authorization.as_ref()).await?;
        request.authorization = authorization;
        let answer = self.transport.send(&request).await?;
        match access {
            Access::Basic(_) if answer.status == StatusCode::UNAUTHORIZED => {
                let error = self.wrong_password(&answer);
                self.keep(&Err(error.clone())).await;
                Err(error)
            }
            access => {
                self.keep(&Ok(access)).await;
                Ok(answer)
            }
        }
    }

    /// The header for a request, and whether it is as new as can be.
    async fn authorization(
        &self,
        access: &Access,
        scope: &str,
        rejected: Option<&HeaderValue>,
    ) -> Result<(Option<HeaderValue>, bool)> {
        match access {
            Access::Open => Ok((None, false)),
            Access::Basic(login) => Ok((Some(login.clone()), rejected.is_none())),
            Access::Bearer(tokens) => match tokens.get(&self.transport, scope, rejected).await {
                Ok(token) => Ok((Some(token.header), token.fresh)),
                Err(why) => {
                    self.keep(&Err(why.clone())).await;
                    Err(why)
                }
            },
        }
    }

    /// How the registry wants its requests: known, or found out by a ping, one at a time. `anew` pings in any case,
    /// except after a wrong password.
    async fn greeted(&self, anew: bool) -> Result<Access> {
        let mut access = self.access.lock().await;
        match &*access {
            Some(Err(why)) => return Err(why.clone()),
            Some(Ok(known)) if !anew => return Ok(known.clone()),
            _ => {}
        }
        let outcome = self.greet().await;
        if is_kept(&outcome) {
            *access = Some(outcome.clone());
        }
        outcome
    }

    async fn keep(&self, outcome: &Result<Access>) {
        if is_kept(outcome) {
            *self.access.lock().await = Some(outcome.clone());
        }
    }

    async fn greet(&self) -> Result<Access> {
        let ping = |authorization| {
            let url = self.base.url("", None);
            let headers = HeaderMap::new();
            Request { method: Method::GET, url, accept: JSON, authorization, headers, json: None, cap: PING_BODY }
        };
        let answer = self.transport.send(&ping(None)).await?;
        if answer.status != StatusCode::UNAUTHORIZED {
            return self.check_registry(&answer).map(|()| Access::Open);
        }
        let access = self.learn(&answer)?;
        let authorization = match &access {
            Access::Open => None,
            Access::Basic(login) => Some(login.clone()),
            Access::Bearer(_) if !self.has_catalog => return Ok(access),
            Access::Bearer(tokens) => Some(tokens.get(&self.transport, CATALOG_SCOPE, None).await?.header),
        };
        let answer = self.transport.send(&ping(authorization)).await?;
        if answer.status == StatusCode::UNAUTHORIZED {
            return Err(if self.has_login() { self.wrong_password(&answer) } else { self.login_required("anything") });
        }
        self.check_registry(&answer).map(|()| access)
    }

    /// Reads how to log in from a refusal.
    fn learn(&self, answer: &Answer) -> Result<Access> {
        if let (Some(challenge::Method::Basic), Some(tokens)) = (challenged(answer), &self.exchanged) {
            return Ok(Access::Bearer(Arc::clone(tokens)));
        }
        match (challenged(answer), &self.login) {
            (Some(challenge::Method::Basic), Some(login)) => Ok(Access::Basic(login.clone())),
            (Some(challenge::Method::Basic), None) => Err(self.login_required("anything")),
            (Some(challenge::Method::Bearer { realm, service }), login) => {
                let tokens = Tokens::challenged(self.base.realm(&realm)?, service, login.clone());
                Ok(Access::Bearer(Arc::new(tokens)))
            }
            (None, _) => Err(Error::NotARegistry(format!(
                "{} wants a login, but of no kind that registries use (Basic or Bearer); check the address",
                self.host()
            ))),
        }
    }

    /// Whether the answer to a ping is that of a registry.
    fn check_registry(&self, answer: &Answer) -> Result<()> {
        let host = self.host();
        let status = answer.status;
        match status.as_u16() {
            404 => Err(Error::NotFound(format!(
                "{host} answers, but there is no registry at {}; check the address, some registries live below a path",
                self.base.url("", None)
            ))),
            403 => Err(Error::Forbidden(format!(
                "{host} answers, but forbids this account its registry{}; ask who runs it",
                answer.reason()
            ))),
            400..500 => Err(Error::NotARegistry(format!(
                "{host} answers {status} where a registry would greet; check the address"
            ))),
            _ if !status.is_success() => Err(answer.unexpected("a greeting")),
            _ if answer.headers.contains_key(API_VERSION) => Ok(()),
            _ if matches!(compact(&answer.body).as_slice(), b"" | b"{}") => Ok(()),
            _ if answer.is_html() => Err(self.html("/v2/")),
            _ => Err(Error::NotARegistry(format!(
                "{host} answers at /v2/, but not as a registry does; check the address"
            ))),
        }
    }

    /// The error for a request that the registry does not grant.
    pub(super) fn refusal(&self, answer: &Answer, what: &str) -> Error {
        let host = self.host();
        match answer.status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if !self.has_login() => self.login_required(what),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Error::Forbidden(format!(
                "{host} does not give this account {what}{}; give it the right to pull",
                answer.reason()
            )),
            StatusCode::NOT_FOUND => Error::NotFound(format!("{host} does not have {what}{}", answer.reason())),
            _ => answer.unexpected(what),
        }
    }

    fn catalog_refusal(&self, answer: &Answer) -> Error {
        let host = self.host();
        let reason = answer.reason();
        match answer.status.as_u16() {
            401 | 403 if !self.has_login() => Error::LoginRequired(format!(
                "{host} lists its repositories only to those who log in{reason}; give a username and password"
            )),
            401 | 403 => Error::Forbidden(format!(
                "{host} does not let this account list its repositories{reason}; on many registries only an administrator may, give such an account"
            )),
            404 | 405 => Error::NotFound(format!(
                "{host} does not let anybody list its repositories (it has no catalogue at {}){reason}; ask who runs it to switch the catalogue on",
                self.base.url(&Directory::Catalog.path(), None)
            )),
            _ => answer.unexpected("the list of repositories"),
        }
    }

    fn login_required(&self, what: &str) -> Error {
        Error::LoginRequired(format!(
            "{} gives {what} only to those who log in; give a username and password",
            self.host()
        ))
    }

    fn wrong_password(&self, answer: &Answer) -> Error {
        Error::WrongPassword(format!(
            "{} does not accept the username and password{}; correct them (some registries want an access token as password)",
            self.host(),
            answer.reason()
        ))
    }

    fn html(&self, what: &str) -> Error {
        Error::NotARegistry(format!("{} answers with a web page for {what}; check the address", self.host()))
    }

    fn no_listing(&self, path: &str) -> Error {
        Error::Malformed(format!("{} answers {path} with something that is no listing; ask who runs it", self.host()))
    }
}

/// Wrong passwords are remembered, so that no second request repeats them; other failures may pass.
fn is_kept(outcome: &Result<Access>) -> bool {
    matches!(outcome, Ok(_) | Err(Error::WrongPassword(_)))
}

fn challenged(answer: &Answer) -> Option<challenge::Method> {
    challenge::method(answer.headers.get_all(WWW_AUTHENTICATE).iter().map(HeaderValue::as_bytes))
}

/// Whether the registry itself says that there is no such repository. A 404 that is not a registry's (a proxy's, a
/// wrong path) must not pass for an empty repository.
pub(super) fn is_unknown(answer: &Answer) -> bool {
    answer.status == StatusCode::NOT_FOUND && answer.error_code().is_some()
}

fn scope_of(directory: Directory<'_>) -> String {
    match directory {
        Directory::Catalog => CATALOG_SCOPE.to_owned(),
        Directory::Tags(repository) => pull(repository),
    }
}

/// The scope of reading a repository.
pub(super) fn pull(repository: &str) -> String {
    format!("repository:{repository}:pull")
}

fn compact(body: &[u8]) -> Vec<u8> {
    body.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect()
}

/// `Authorization` by name and password; `None` without credentials.
pub(super) fn login(endpoint: &Endpoint) -> Result<Option<HeaderValue>> {
    let password = endpoint.password.as_ref().map(ExposeSecret::expose_secret).unwrap_or_default();
    if endpoint.username.is_empty() && password.is_empty() {
        return Ok(None);
    }
    let pair = STANDARD.encode(format!("{}:{password}", endpoint.username));
    let mut header = HeaderValue::try_from(format!("Basic {pair}"))
        .map_err(|_| Error::Refused("the username or password cannot be sent".to_owned()))?;
    header.set_sensitive(true);
    Ok(Some(header))
}
