//! The registry API under `/v2/`: OCI distribution specification 1.1, with the catalogue of Docker's registry.

mod access;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode};
use secrecy::ExposeSecret;
use tokio::sync::Mutex;
use url::Url;

use super::address::Base;
use super::content::Blob;
use super::grammar::{digest_of, is_digest, matches_digest};
use super::listing::{Directory, Walk, next_query};
use super::token::Tokens;
use super::transport::{Answer, Transport};
use super::wire::MANIFEST_TYPES;
use super::{Deletion, Endpoint, Error, Listing, Look, Result, Tag};
use access::Access;

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
    /// The scope of tokens that the list of repositories was given for; empty for tokens without a scope.
    catalog_scope: OnceLock<String>,
    /// The registry does not answer HEAD with a digest, so that GET is asked at once.
    head_is_useless: AtomicBool,
}

/// What a bearer token has to be good for.
#[derive(Clone, Copy, Debug)]
pub(super) enum TokenScope<'a> {
    /// Listing repositories. Registries disagree about the scope of this, so it is the one that the registry's own
    /// challenge names.
    Catalog,
    /// This scope, as in `repository:geo/ice:pull`.
    Named(&'a str),
}

impl Distribution {
    pub(super) fn open(endpoint: &Endpoint, base: Base, transport: Arc<Transport>) -> Result<Self> {
        let login = login(endpoint)?;
        let head_is_useless = AtomicBool::new(false);
        let (exchanged, access, catalog_scope) = (None, Mutex::default(), OnceLock::new());
        Ok(Self { base, transport, login, exchanged, access, catalog_scope, head_is_useless })
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

    /// Whether a registry answers, and takes the credentials. A registry that gives tokens is not asked a second time
    /// without credentials: what strangers may read there, only a request for it shows.
    pub(super) async fn ping(&self) -> Result<()> {
        self.greet_logged_in().await
    }

    pub(super) async fn repositories(&self) -> Result<Listing<String>> {
        self.walk(Directory::Catalog).await
    }

    pub(super) async fn tags(&self, repository: &str) -> Result<Listing<Tag>> {
        let listing = self.walk(Directory::Tags(repository)).await?;
        let items = listing.items.into_iter().map(|name| Tag::new(name, None)).collect();
        Ok(Listing { items, truncated: listing.truncated })
    }

    /// Asks by HEAD, which most registries do not count as a pull; by GET where HEAD does not tell. A refusal of HEAD
    /// tells nothing: it has no body, so that it may be a proxy's, and some registries do not take HEAD at all.
    pub(super) async fn digest(&self, repository: &str, tag: &str) -> Result<Option<String>> {
        let url = self.below(&format!("{repository}/manifests/{tag}"));
        let scope = pull(repository);
        if !self.head_is_useless.load(Ordering::Relaxed) {
            let cap = Blob::Manifest.cap();
            let answer = self.ask(Method::HEAD, &url, MANIFEST_TYPES, TokenScope::Named(&scope), cap).await?;
            let named = answer.header(CONTENT_DIGEST).filter(|digest| is_digest(digest));
            if let (true, Some(digest)) = (answer.status.is_success(), named) {
                return Ok(Some(digest.to_owned()));
            }
            let look = self.look(repository, tag).await?;
            // Of a tag that is gone, HEAD rightly knows nothing.
            if look.is_some() {
                self.head_is_useless.store(true, Ordering::Relaxed);
            }
            return Ok(look.map(|look| look.digest));
        }
        Ok(self.look(repository, tag).await?.map(|look| look.digest))
    }

    /// Asks by GET, which brings the manifest along.
    pub(super) async fn look(&self, repository: &str, tag: &str) -> Result<Option<Look>> {
        let url = self.below(&format!("{repository}/manifests/{tag}"));
        let scope = pull(repository);
        let cap = Blob::Manifest.cap();
        let answer = self.ask(Method::GET, &url, MANIFEST_TYPES, TokenScope::Named(&scope), cap).await?;
        let what = || format!("{repository}:{tag}");
        match answer.status {
            StatusCode::NOT_FOUND if is_unknown(&answer) => Ok(None),
            StatusCode::NOT_FOUND => Err(self.not_its_own(&what())),
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
        let answer = self.ask(Method::DELETE, &url, MANIFEST_TYPES, TokenScope::Named(&scope), PAGE_BODY).await?;
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
        let scope = pull(repository);
        let answer = self.ask(Method::GET, &self.below(&path), accept, TokenScope::Named(&scope), blob.cap()).await?;
        if answer.status == StatusCode::NOT_FOUND && !is_unknown(&answer) {
            return Err(self.not_its_own(&format!("{repository}@{digest}")));
        }
        if !answer.status.is_success() {
            return Err(self.refusal(&answer, &format!("{repository}@{digest}")));
        }
        Ok(answer.body)
    }

    async fn walk(&self, directory: Directory<'_>) -> Result<Listing<String>> {
        let url = self.below(&directory.path());
        match directory {
            Directory::Catalog => self.list(directory, url, TokenScope::Catalog, |body| directory.read(body)).await,
            Directory::Tags(repository) => {
                let scope = pull(repository);
                self.list(directory, url, TokenScope::Named(&scope), |body| directory.read(body)).await
            }
        }
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
        scope: TokenScope<'_>,
        mut read: impl FnMut(&[u8]) -> Option<Vec<String>> + Send,
    ) -> Result<Listing<String>> {
        let mut walk = Walk::new(self.transport.limits().pages);
        loop {
            url.set_query(Some(&walk.query()));
            let answer = self.ask(Method::GET, &url, JSON, scope, PAGE_BODY).await?;
            if matches!(answer.status.as_u16(), 400 | 405 | 504) && walk.shrink() {
                continue;
            }
            if !answer.status.is_success() {
                return match directory {
                    Directory::Catalog => Err(self.catalog_refusal(&answer).await),
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
    pub(super) async fn ask_own(&self, url: Url, scope: TokenScope<'_>) -> Result<Answer> {
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
                "{host} does not give this account {what}{}; give it the right to pull from that repository",
                answer.reason()
            )),
            StatusCode::NOT_FOUND => Error::NotFound(format!("{host} does not have {what}{}", answer.reason())),
            // After all tries. Other requests would fare no better, so this is not about what was asked for.
            StatusCode::SERVICE_UNAVAILABLE => Error::Throttled(answer.unexpected(what).to_string()),
            _ => answer.unexpected(what),
        }
    }

    async fn catalog_refusal(&self, answer: &Answer) -> Error {
        let reason = answer.reason();
        match answer.status.as_u16() {
            401 | 403 => match self.greeted(false).await {
                Ok(access) => self.no_catalog(&access, &reason),
                Err(why) => why,
            },
            404 | 405 => Error::NotFound(format!(
                "{} does not let anybody list its repositories (it has no catalogue at {}){reason}; ask who runs it to switch the catalogue on",
                self.host(),
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

    /// The error for a 404 without a registry's error code: a proxy's, or of a path that leads elsewhere. That nothing
    /// is there, only the registry can say.
    fn not_its_own(&self, what: &str) -> Error {
        Error::Status(format!(
            "{} answers 404 for {what}, but not as a registry does (there is no error code); look at proxies before it",
            self.host()
        ))
    }

    fn html(&self, what: &str) -> Error {
        Error::NotARegistry(format!("{} answers with a web page for {what}; check the address", self.host()))
    }

    fn no_listing(&self, path: &str) -> Error {
        Error::Malformed(format!("{} answers {path} with something that is no listing; ask who runs it", self.host()))
    }
}

/// Whether the registry itself says that there is no such repository. A 404 that is not a registry's (a proxy's, a
/// wrong path) must not pass for an empty repository.
pub(super) fn is_unknown(answer: &Answer) -> bool {
    answer.status == StatusCode::NOT_FOUND && answer.error_code().is_some()
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
