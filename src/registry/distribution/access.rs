//! Finds out how a registry authenticates, and sends authenticated requests.
//!
//! Registries disagree about which token scope grants what (each was read in its own source, or tried): Quay's token
//! service denies every scope but `repository:…`; Pulp answers `/v2/` only with a token without access; Harbor denies
//! `/v2/` to anonymous clients, although they may pull from its public projects. So the login is checked with a token
//! without a scope, as `docker login` does; a repository is requested with its own scope; and the list of repositories
//! with the scope that its own challenge names.

use std::sync::Arc;

use http::header::WWW_AUTHENTICATE;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use url::Url;

use super::super::transport::{RegistryRequest, RegistryResponse};
use super::super::{Error, Result};
use super::{DistributionApi, JSON, PING_BODY, TokenScope};
use crate::registry::login::challenge;
use crate::registry::login::token::TokenCache;

/// The scope for listing repositories if no challenge names another.
const CATALOG_SCOPE: &str = "registry:catalog:*";
/// The `service` in Harbor's challenges.
const HARBOR: &str = "harbor-registry";
/// Requests a token without a scope.
const NO_SCOPE: &str = "";

/// How requests are authenticated.
#[derive(Clone)]
pub(super) enum RegistryAuth {
    Open,
    Basic(HeaderValue),
    /// With tokens: bearer tokens, or tokens that replace user name and password.
    Bearer(Arc<TokenCache>),
}

impl DistributionApi {
    /// Checks that a registry responds and accepts the credentials, as far as it shows: a token service that issues no
    /// token without a scope says nothing about them.
    pub(super) async fn check_login(&self) -> Result<()> {
        let access = self.greeted(true).await?;
        if !matches!(access, RegistryAuth::Bearer(_)) || !self.has_login() {
            return Ok(());
        }
        let token = match self.authorization(&access, NO_SCOPE, None).await {
            Ok((token, _)) => token,
            Err(Error::Forbidden(_)) => return Ok(()),
            Err(why) => return Err(why),
        };
        let answer = self.transport.send(&self.greeting(token)).await?;
        // The token service accepted the credentials, so a 401 here does not disprove them.
        if answer.status == StatusCode::UNAUTHORIZED { Ok(()) } else { self.check_registry(&answer) }
    }

    /// Sends an authenticated request to this registry.
    pub(super) async fn ask(
        &self,
        method: Method,
        url: &Url,
        accept: &'static str,
        scope: TokenScope<'_>,
        cap: usize,
    ) -> Result<RegistryResponse> {
        let (url, headers) = (url.clone(), HeaderMap::new());
        let request = RegistryRequest { method, url, accept, authorization: None, headers, json: None, cap };
        let access = self.greeted(false).await?;
        match (scope, &access) {
            (TokenScope::Named(scope), _) => self.ask_scoped(request, access, scope).await,
            (TokenScope::Catalog, RegistryAuth::Bearer(tokens)) if tokens.have_scopes() => {
                self.ask_catalog(request, access).await
            }
            (TokenScope::Catalog, _) => self.ask_scoped(request, access, CATALOG_SCOPE).await,
        }
    }

    /// Sends a request with a token of this scope. After a 401 (a token that expired early, a path that needs a login)
    /// it is authenticated anew, once.
    async fn ask_scoped(
        &self,
        mut request: RegistryRequest,
        access: RegistryAuth,
        scope: &str,
    ) -> Result<RegistryResponse> {
        let (authorization, fresh) = self.authorization(&access, scope, None).await?;
        request.authorization = authorization;
        let answer = self.transport.send(&request).await?;
        if answer.status != StatusCode::UNAUTHORIZED || fresh || challenged(&answer).is_none() {
            return Ok(answer);
        }
        let access = match access {
            RegistryAuth::Open => self.learn(&answer)?,
            known => known,
        };
        let (authorization, _) = self.authorization(&access, scope, request.authorization.as_ref()).await?;
        request.authorization = authorization;
        let answer = self.transport.send(&request).await?;
        match access {
            RegistryAuth::Basic(_) if answer.status == StatusCode::UNAUTHORIZED => {
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

    /// Requests the list of repositories. The first time with a token without a scope (anonymous: no token); if that is
    /// denied, with the scope that the challenge names.
    async fn ask_catalog(&self, mut request: RegistryRequest, access: RegistryAuth) -> Result<RegistryResponse> {
        if let Some(scope) = self.catalog_scope.get() {
            return self.ask_scoped(request, access, scope).await;
        }
        if self.has_login() {
            match self.authorization(&access, NO_SCOPE, None).await {
                Ok((token, _)) => request.authorization = token,
                Err(Error::Forbidden(_)) => {}
                Err(why) => return Err(why),
            }
        }
        let answer = self.transport.send(&request).await?;
        if !is_refused(&answer) {
            if request.authorization.is_some() {
                self.catalog_scope.get_or_init(|| NO_SCOPE.to_owned());
            }
            return Ok(answer);
        }
        let was_scopeless = request.authorization.is_some();
        let scopes = match challenge::scope(challenges(&answer)).filter(|scope| scope.starts_with("registry:")) {
            Some(named) => vec![named],
            None if was_scopeless => vec![CATALOG_SCOPE.to_owned()],
            None => vec![NO_SCOPE.to_owned(), CATALOG_SCOPE.to_owned()],
        };
        let mut last = Ok(answer);
        for scope in scopes {
            match self.authorization(&access, &scope, None).await {
                Ok((token, _)) => request.authorization = token,
                Err(Error::LoginRequired(_) | Error::Forbidden(_)) => {
                    last = Err(self.no_catalog(&access, ""));
                    continue;
                }
                Err(why) => return Err(why),
            }
            let answer = self.transport.send(&request).await?;
            if !is_refused(&answer) {
                self.catalog_scope.get_or_init(|| scope);
                return Ok(answer);
            }
            last = Ok(answer);
        }
        last
    }

    /// The `Authorization` header of a request, and whether renewing it would be pointless.
    async fn authorization(
        &self,
        access: &RegistryAuth,
        scope: &str,
        rejected: Option<&HeaderValue>,
    ) -> Result<(Option<HeaderValue>, bool)> {
        match access {
            RegistryAuth::Open => Ok((None, false)),
            RegistryAuth::Basic(login) => Ok((Some(login.clone()), rejected.is_none())),
            RegistryAuth::Bearer(tokens) => match tokens.get(&self.transport, scope, rejected).await {
                Ok(token) => Ok((Some(token.header), token.fresh)),
                Err(why) => {
                    self.keep(&Err(why.clone())).await;
                    Err(why)
                }
            },
        }
    }

    /// How requests are authenticated: cached, or found out by a ping, one at a time. `anew` always pings, except after
    /// a rejected password.
    pub(super) async fn greeted(&self, anew: bool) -> Result<RegistryAuth> {
        let mut access = self.access.lock().await;
        match &*access {
            Some(Err(why)) => return Err(why.clone()),
            Some(Ok(known)) if !anew => return Ok(known.clone()),
            _ => {}
        }
        let outcome = self.negotiate_auth().await;
        if is_kept(&outcome) {
            *access = Some(outcome.clone());
        }
        outcome
    }

    async fn keep(&self, outcome: &Result<RegistryAuth>) {
        if is_kept(outcome) {
            *self.access.lock().await = Some(outcome.clone());
        }
    }

    /// Pings anonymously, and learns from a 401 how to log in. Basic credentials are then tried by one ping before any
    /// other request: registries lock accounts after a few wrong passwords.
    async fn negotiate_auth(&self) -> Result<RegistryAuth> {
        let answer = self.transport.send(&self.greeting(None)).await?;
        if answer.status != StatusCode::UNAUTHORIZED {
            return self.check_registry(&answer).map(|()| RegistryAuth::Open);
        }
        let access = self.learn(&answer)?;
        let authorization = match &access {
            RegistryAuth::Bearer(tokens) if !tokens.have_scopes() => {
                Some(tokens.get(&self.transport, NO_SCOPE, None).await?.header)
            }
            RegistryAuth::Open | RegistryAuth::Bearer(_) => return Ok(access),
            RegistryAuth::Basic(login) => Some(login.clone()),
        };
        let answer = self.transport.send(&self.greeting(authorization)).await?;
        if answer.status == StatusCode::UNAUTHORIZED {
            return Err(self.wrong_password(&answer));
        }
        self.check_registry(&answer).map(|()| access)
    }

    fn greeting(&self, authorization: Option<HeaderValue>) -> RegistryRequest {
        let (url, headers) = (self.base.url("", None), HeaderMap::new());
        RegistryRequest { method: Method::GET, url, accept: JSON, authorization, headers, json: None, cap: PING_BODY }
    }

    /// Learns from a 401 how to log in.
    fn learn(&self, answer: &RegistryResponse) -> Result<RegistryAuth> {
        if let (Some(challenge::LoginMethod::Basic), Some(tokens)) = (challenged(answer), &self.exchanged) {
            return Ok(RegistryAuth::Bearer(Arc::clone(tokens)));
        }
        match (challenged(answer), &self.login) {
            (Some(challenge::LoginMethod::Basic), Some(login)) => Ok(RegistryAuth::Basic(login.clone())),
            (Some(challenge::LoginMethod::Basic), None) => Err(self.login_required("anything")),
            (Some(challenge::LoginMethod::Bearer { realm, service }), login) => {
                let tokens = TokenCache::challenged(self.base.realm(&realm)?, service, login.clone());
                Ok(RegistryAuth::Bearer(Arc::new(tokens)))
            }
            (None, _) => Err(Error::NotARegistry(format!(
                "{} requires a login of a kind that registries do not use (not Basic or Bearer); check the address",
                self.host()
            ))),
        }
    }

    /// The error for a denied list of repositories, with advice; `reason` in brackets, from the registry.
    pub(super) fn no_catalog(&self, access: &RegistryAuth, reason: &str) -> Error {
        let is_harbor = matches!(access, RegistryAuth::Bearer(tokens) if tokens.service() == Some(HARBOR));
        let advice = match (is_harbor, self.has_login()) {
            (true, _) => {
                "this is a Harbor, which shows its catalogue only to administrators: add it with the kind harbor"
            }
            (false, true) => {
                "many registries allow this only to administrators: give such an account, or one with the right \
                 registry:catalog:*"
            }
            (false, false) => "give a username and password",
        };
        match self.has_login() {
            true => Error::Forbidden(format!(
                "{} does not let this account list its repositories{reason}; {advice}",
                self.host()
            )),
            false => Error::LoginRequired(format!(
                "{} requires a login to list its repositories{reason}; {advice}",
                self.host()
            )),
        }
    }
}

/// A rejected password is remembered, so that no second request repeats it; other failures may pass.
fn is_kept(outcome: &Result<RegistryAuth>) -> bool {
    matches!(outcome, Ok(_) | Err(Error::WrongPassword(_)))
}

fn is_refused(answer: &RegistryResponse) -> bool {
    matches!(answer.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
}

fn challenges(answer: &RegistryResponse) -> impl Iterator<Item = &[u8]> {
    answer.headers.get_all(WWW_AUTHENTICATE).iter().map(HeaderValue::as_bytes)
}

fn challenged(answer: &RegistryResponse) -> Option<challenge::LoginMethod> {
    challenge::method(challenges(answer))
}
