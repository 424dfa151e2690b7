//! Client for the registry API below `/v2/`: OCI distribution specification 1.1, with the catalogue of Docker's
//! registry.

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

use super::address::RegistryBaseUrl;
use super::blob::BlobKind;
use super::grammar::{digest_of, is_digest, matches_digest};
use super::listing::{ListingTarget, ListingWalk, next_query};
use super::login::token::TokenCache;
use super::transport::{HttpTransport, RegistryResponse};
use super::wire::MANIFEST_TYPES;
use super::{DeletionOutcome, Error, ListedTag, RawListing, RegistryEndpoint, ResolvedTag, Result};
use access::RegistryAuth;

const JSON: &str = "application/json";
/// Size cap of a listing page, bytes: some registries send everything at once.
const PAGE_BODY: usize = 32 << 20;
const PING_BODY: usize = 64 << 10;
const API_VERSION: &str = "docker-distribution-api-version";
const CONTENT_DIGEST: &str = "docker-content-digest";

/// One registry with the distribution API.
pub(super) struct DistributionApi {
    base: RegistryBaseUrl,
    transport: Arc<HttpTransport>,
    /// `Authorization` of user name and password; `None` without credentials.
    login: Option<HeaderValue>,
    /// Tokens in place of user name and password, for kinds that issue them.
    exchanged: Option<Arc<TokenCache>>,
    /// Result of the ping; `None` before it. Of errors only a rejected password is kept, because retrying it could lock
    /// the account.
    access: Mutex<Option<Result<RegistryAuth>>>,
    /// The token scope that the list of repositories was granted for; empty: a token without a scope.
    catalog_scope: OnceLock<String>,
    /// HEAD responses of this registry have no digest, so GET is used at once.
    head_is_useless: AtomicBool,
}

/// The scope that a request needs.
#[derive(Clone, Copy, Debug)]
pub(super) enum TokenScope<'a> {
    /// Listing repositories. Registries disagree about this scope, so it is taken from the registry's own challenge.
    Catalog,
    /// This scope, such as `repository:geo/ice:pull`.
    Named(&'a str),
}

impl DistributionApi {
    pub(super) fn open(
        endpoint: &RegistryEndpoint,
        base: RegistryBaseUrl,
        transport: Arc<HttpTransport>,
    ) -> Result<Self> {
        let login = login(endpoint)?;
        let head_is_useless = AtomicBool::new(false);
        let (exchanged, access, catalog_scope) = (None, Mutex::default(), OnceLock::new());
        Ok(Self { base, transport, login, exchanged, access, catalog_scope, head_is_useless })
    }

    /// Uses these tokens in place of a user name and password.
    pub(super) fn with_tokens(self, tokens: Option<TokenCache>) -> Self {
        Self { exchanged: tokens.map(Arc::new), ..self }
    }

    pub(super) fn host(&self) -> String {
        self.base.host()
    }

    pub(super) fn transport(&self) -> &Arc<HttpTransport> {
        &self.transport
    }

    pub(super) fn has_login(&self) -> bool {
        self.login.is_some() || self.exchanged.is_some()
    }

    /// Checks that a registry responds and accepts the credentials. A registry with a token service is not pinged
    /// anonymously too: what it grants anonymously shows only in a request for it.
    pub(super) async fn ping(&self) -> Result<()> {
        self.check_login().await
    }

    pub(super) async fn repositories(&self) -> Result<RawListing<String>> {
        self.walk(ListingTarget::Catalog).await
    }

    pub(super) async fn tags(&self, repository: &str) -> Result<RawListing<ListedTag>> {
        let listing = self.walk(ListingTarget::Tags(repository)).await?;
        let items = listing.items.into_iter().map(|name| ListedTag::new(name, None)).collect();
        Ok(RawListing { items, truncated: listing.truncated })
    }

    /// Sends HEAD, which most registries do not count as a pull, and GET if HEAD gives no digest. A failed HEAD proves
    /// nothing: without a body it may come from a proxy, and some registries do not support HEAD.
    pub(super) async fn digest(&self, repository: &str, tag: &str) -> Result<Option<String>> {
        let url = self.below(&format!("{repository}/manifests/{tag}"));
        let scope = pull(repository);
        if !self.head_is_useless.load(Ordering::Relaxed) {
            let cap = BlobKind::Manifest.cap();
            let answer = self.ask(Method::HEAD, &url, MANIFEST_TYPES, TokenScope::Named(&scope), cap).await?;
            let named = answer.header(CONTENT_DIGEST).filter(|digest| is_digest(digest));
            if let (true, Some(digest)) = (answer.status.is_success(), named) {
                return Ok(Some(digest.to_owned()));
            }
            let look = self.look(repository, tag).await?;
            // A missing tag has no digest in HEAD either.
            if look.is_some() {
                self.head_is_useless.store(true, Ordering::Relaxed);
            }
            return Ok(look.map(|look| look.digest));
        }
        Ok(self.look(repository, tag).await?.map(|look| look.digest))
    }

    /// Sends GET, which returns the manifest too.
    pub(super) async fn look(&self, repository: &str, tag: &str) -> Result<Option<ResolvedTag>> {
        let url = self.below(&format!("{repository}/manifests/{tag}"));
        let scope = pull(repository);
        let cap = BlobKind::Manifest.cap();
        let answer = self.ask(Method::GET, &url, MANIFEST_TYPES, TokenScope::Named(&scope), cap).await?;
        let what = || format!("{repository}:{tag}");
        match answer.status {
            StatusCode::NOT_FOUND if is_unknown(&answer) => Ok(None),
            StatusCode::NOT_FOUND => Err(self.foreign_not_found(&what())),
            status if status.is_success() && answer.is_html() => Err(self.html(&what())),
            status if status.is_success() => {
                let named = answer.header(CONTENT_DIGEST).filter(|digest| is_digest(digest));
                // A manifest that does not match its digest is left out; fetching it by that digest reports the
                // mismatch.
                Ok(Some(match named {
                    Some(digest) if !matches_digest(digest, &answer.body) => {
                        ResolvedTag { digest: digest.to_owned(), manifest: None }
                    }
                    Some(digest) => ResolvedTag { digest: digest.to_owned(), manifest: Some(answer.body.clone()) },
                    None => ResolvedTag { digest: digest_of(&answer.body), manifest: Some(answer.body.clone()) },
                }))
            }
            _ => Err(self.refusal(&answer, &what())),
        }
    }

    /// Deletes a tag, or by its digest a manifest. Many registries delete only by digest, or not at all.
    pub(super) async fn delete(&self, repository: &str, reference: &str) -> Result<DeletionOutcome> {
        let url = self.below(&format!("{repository}/manifests/{reference}"));
        let scope = format!("repository:{repository}:pull,delete");
        let answer = self.ask(Method::DELETE, &url, MANIFEST_TYPES, TokenScope::Named(&scope), PAGE_BODY).await?;
        match answer.status {
            status if status.is_success() => Ok(DeletionOutcome::Done),
            StatusCode::NOT_FOUND => Ok(DeletionOutcome::NotThere),
            StatusCode::BAD_REQUEST | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => {
                Ok(DeletionOutcome::Unsupported(format!("{}{}", answer.status, answer.reason())))
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if self.has_login() => Err(Error::Forbidden(format!(
                "{} does not let this account delete {repository}:{reference}{}; give it the right to delete",
                self.host(),
                answer.reason()
            ))),
            _ => Err(self.refusal(&answer, &format!("the deletion of {repository}:{reference}"))),
        }
    }

    /// The bytes of a digest, not yet verified against it.
    pub(super) async fn blob(&self, repository: &str, blob: BlobKind, digest: &str) -> Result<Bytes> {
        let (path, accept) = match blob {
            BlobKind::Manifest => (format!("{repository}/manifests/{digest}"), MANIFEST_TYPES),
            BlobKind::Config => (format!("{repository}/blobs/{digest}"), "*/*"),
        };
        let scope = pull(repository);
        let answer = self.ask(Method::GET, &self.below(&path), accept, TokenScope::Named(&scope), blob.cap()).await?;
        if answer.status == StatusCode::NOT_FOUND && !is_unknown(&answer) {
            return Err(self.foreign_not_found(&format!("{repository}@{digest}")));
        }
        if !answer.status.is_success() {
            return Err(self.refusal(&answer, &format!("{repository}@{digest}")));
        }
        Ok(answer.body)
    }

    async fn walk(&self, directory: ListingTarget<'_>) -> Result<RawListing<String>> {
        let url = self.below(&directory.path());
        match directory {
            ListingTarget::Catalog => self.list(directory, url, TokenScope::Catalog, |body| directory.read(body)).await,
            ListingTarget::Tags(repository) => {
                let scope = pull(repository);
                self.list(directory, url, TokenScope::Named(&scope), |body| directory.read(body)).await
            }
        }
    }

    /// A URL below `/v2/`. `path` must consist of checked names.
    pub(super) fn below(&self, path: &str) -> Url {
        self.base.url(path, None)
    }

    /// A URL beside `/v2/`, from the root of the host. `path` must consist of checked names.
    pub(super) fn beside(&self, path: &str) -> Url {
        let mut url = self.base.root();
        url.set_path(path);
        url
    }

    /// Reads all pages of a listing at `url`, for vendors with a listing of their own, or with more fields in the
    /// standard one. `read` extracts the names from a page; `None`: the body is not such a page.
    pub(super) async fn list(
        &self,
        directory: ListingTarget<'_>,
        mut url: Url,
        scope: TokenScope<'_>,
        mut read: impl FnMut(&[u8]) -> Option<Vec<String>> + Send,
    ) -> Result<RawListing<String>> {
        let mut walk = ListingWalk::new(self.transport.limits().pages);
        loop {
            url.set_query(Some(&walk.query()));
            let answer = self.ask(Method::GET, &url, JSON, scope, PAGE_BODY).await?;
            if matches!(answer.status.as_u16(), 400 | 405 | 504) && walk.shrink() {
                continue;
            }
            if !answer.status.is_success() {
                return match directory {
                    ListingTarget::Catalog => Err(self.catalog_refusal(&answer).await),
                    ListingTarget::Tags(_) if walk.is_at_start() && is_unknown(&answer) => {
                        Ok(RawListing { items: Vec::new(), truncated: None })
                    }
                    ListingTarget::Tags(repository) => Err(self.refusal(&answer, &format!("the tags of {repository}"))),
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

    /// GET for a vendor's JSON on the registry's own host, with the login of `/v2/`. Any status is a response.
    pub(super) async fn ask_own(&self, url: Url, scope: TokenScope<'_>) -> Result<RegistryResponse> {
        self.ask(Method::GET, &url, JSON, scope, PAGE_BODY).await
    }

    pub(super) fn base(&self) -> &RegistryBaseUrl {
        &self.base
    }

    /// The token service that the registry names; `None`: it names none.
    pub(super) async fn realm(&self) -> Result<Option<Url>> {
        Ok(match self.greeted(false).await? {
            RegistryAuth::Bearer(tokens) => Some(tokens.realm().clone()),
            RegistryAuth::Open | RegistryAuth::Basic(_) => None,
        })
    }

    /// Checks that the response to a ping comes from a registry.
    fn check_registry(&self, answer: &RegistryResponse) -> Result<()> {
        let host = self.host();
        let status = answer.status;
        match status.as_u16() {
            404 => Err(Error::NotFound(format!(
                "{host} answers, but there is no registry at {}; check the address, some registries live below a path",
                self.base.url("", None)
            ))),
            403 => Err(Error::Forbidden(format!(
                "{host} answers, but denies this account access to its registry{}; ask its operator",
                answer.reason()
            ))),
            400..500 => Err(Error::NotARegistry(format!(
                "{host} answers {status} at /v2/, unlike a registry; check the address"
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

    /// The error for a request that the registry denies.
    pub(super) fn refusal(&self, answer: &RegistryResponse, what: &str) -> Error {
        let host = self.host();
        match answer.status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if !self.has_login() => self.login_required(what),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Error::Forbidden(format!(
                "{host} denies this account {what}{}; grant it the right to pull from that repository",
                answer.reason()
            )),
            StatusCode::NOT_FOUND => Error::NotFound(format!("{host} does not have {what}{}", answer.reason())),
            // After all retries. Other requests would fail too, so the error is not about the requested resource.
            StatusCode::SERVICE_UNAVAILABLE => Error::Throttled(answer.unexpected(what).to_string()),
            _ => answer.unexpected(what),
        }
    }

    async fn catalog_refusal(&self, answer: &RegistryResponse) -> Error {
        let reason = answer.reason();
        match answer.status.as_u16() {
            401 | 403 => match self.greeted(false).await {
                Ok(access) => self.no_catalog(&access, &reason),
                Err(why) => why,
            },
            404 | 405 => Error::NotFound(format!(
                "{} cannot list its repositories (it has no catalogue at {}){reason}; ask its operator to enable the \
                 catalogue",
                self.host(),
                self.base.url(&ListingTarget::Catalog.path(), None)
            )),
            _ => answer.unexpected("the list of repositories"),
        }
    }

    fn login_required(&self, what: &str) -> Error {
        Error::LoginRequired(format!("{} requires a login for {what}; give a username and password", self.host()))
    }

    fn wrong_password(&self, answer: &RegistryResponse) -> Error {
        Error::WrongPassword(format!(
            "{} does not accept the username and password{}; correct them (some registries want an access token as password)",
            self.host(),
            answer.reason()
        ))
    }

    /// The error for a 404 without a registry's error code: from a proxy, or a wrong path. Only the registry itself can
    /// say that a resource does not exist.
    fn foreign_not_found(&self, what: &str) -> Error {
        Error::Status(format!(
            "{} answers 404 for {what}, but without a registry's error code; check the proxies before it",
            self.host()
        ))
    }

    fn html(&self, what: &str) -> Error {
        Error::NotARegistry(format!("{} answers with a web page for {what}; check the address", self.host()))
    }

    fn no_listing(&self, path: &str) -> Error {
        Error::Malformed(format!("{} answers {path} with something that is not a list; ask its operator", self.host()))
    }
}

/// Whether the registry itself says that the repository does not exist. A 404 from elsewhere (a proxy, a wrong path)
/// must not count as an empty repository.
pub(super) fn is_unknown(answer: &RegistryResponse) -> bool {
    answer.status == StatusCode::NOT_FOUND && answer.error_code().is_some()
}

/// The scope for pulling from a repository.
pub(super) fn pull(repository: &str) -> String {
    format!("repository:{repository}:pull")
}

fn compact(body: &[u8]) -> Vec<u8> {
    body.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect()
}

/// `Authorization` of user name and password; `None` without credentials.
pub(super) fn login(endpoint: &RegistryEndpoint) -> Result<Option<HeaderValue>> {
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
