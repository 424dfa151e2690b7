//! Tokens: from the token service that a registry names, or from a vendor API's own login. Cached for each scope until
//! shortly before they expire. Tokens are opaque; they are never parsed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, StatusCode};
use parking_lot::Mutex;
use secrecy::SecretString;
use serde_json::Value;
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::Instant;
use url::Url;

use super::aws::{self, AwsSigner};
use crate::clock::Clock;
use crate::registry::address::host_of;
use crate::registry::transport::{HttpTransport, RegistryRequest, RegistryResponse};
use crate::registry::wire::TokenResponse;
use crate::registry::{Error, Result};

/// Size cap of a token service's response, bytes.
const TOKEN_BODY: usize = 64 << 10;
/// Lifetime of a token whose response gives none.
const DEFAULT_LIFE: Duration = Duration::from_secs(60);
/// Upper bound of a lifetime.
const LONGEST_LIFE: Duration = Duration::from_secs(24 * 60 * 60);
/// ECR's operation that issues tokens.
const ECR_TOKEN: &str = "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken";
/// A token is renewed this long before it expires, so that it does not expire in flight. One with a shorter lifetime is
/// used until it is rejected; otherwise each request would need a new one.
const EARLY: Duration = Duration::from_secs(5);

/// Token cache of one registry and one token service.
pub(in crate::registry) struct TokenCache {
    realm: Url,
    asking: TokenRequest,
    /// Lifetime of a token whose response gives none.
    life: Duration,
    /// One lock a scope, held while its token is fetched, so that concurrent requests wait for the same token.
    scopes: Mutex<HashMap<String, TokenSlot>>,
    /// Whether the token service has accepted the credentials. Locked until the first response to them, because token
    /// services lock accounts after a few wrong passwords.
    login: AsyncMutex<LoginState>,
}

/// Verdict of the token service on the credentials.
enum LoginState {
    Unknown,
    Accepted,
    Refused(Error),
}

/// How a token is requested.
enum TokenRequest {
    /// GET as the challenge says, with the `Authorization` for the token service; `None`: anonymous.
    Challenged { service: Option<String>, login: Option<HeaderValue> },
    /// POST of the credentials as JSON. Such a token has no scope.
    Exchanged { credentials: SecretString },
    /// Signed POST to ECR's API (`GetAuthorizationToken`). Such a token is a user name and password without a scope.
    Signed(Arc<AwsSigner>),
}

/// A cached token, or the error after a rejected password, which is never tried again.
type TokenSlot = Arc<AsyncMutex<Option<Result<CachedToken>>>>;

/// A cached token: its `Authorization` value, and when to renew it.
struct CachedToken {
    header: HeaderValue,
    until: Instant,
}

/// An `Authorization` value, and whether it was fetched just now.
pub(in crate::registry) struct AuthorizationToken {
    pub(in crate::registry) header: HeaderValue,
    pub(in crate::registry) fresh: bool,
}

impl TokenCache {
    /// Tokens from the token service of a challenge.
    pub(in crate::registry) fn challenged(realm: Url, service: Option<String>, login: Option<HeaderValue>) -> Self {
        Self::new(realm, TokenRequest::Challenged { service, login }, DEFAULT_LIFE)
    }

    /// Tokens in exchange for credentials at `realm`. `life`: their lifetime unless the response gives one.
    pub(in crate::registry) fn exchanged(realm: Url, credentials: SecretString, life: Duration) -> Self {
        Self::new(realm, TokenRequest::Exchanged { credentials }, life)
    }

    /// Tokens from ECR's API, for AWS keys.
    pub(in crate::registry) fn signed(interface: Url, signer: Arc<AwsSigner>, life: Duration) -> Self {
        Self::new(interface, TokenRequest::Signed(signer), life)
    }

    fn new(realm: Url, asking: TokenRequest, life: Duration) -> Self {
        Self { realm, asking, life, scopes: Mutex::default(), login: AsyncMutex::new(LoginState::Unknown) }
    }

    /// Whether each scope has its own token.
    pub(in crate::registry) fn have_scopes(&self) -> bool {
        matches!(self.asking, TokenRequest::Challenged { .. })
    }

    /// The `service` of the challenge.
    pub(in crate::registry) fn service(&self) -> Option<&str> {
        match &self.asking {
            TokenRequest::Challenged { service, .. } => service.as_deref(),
            TokenRequest::Exchanged { .. } | TokenRequest::Signed(_) => None,
        }
    }

    /// URL of the token service.
    pub(in crate::registry) fn realm(&self) -> &Url {
        &self.realm
    }

    /// The token for a scope (`""`: no scope): a cached one, unless it is `rejected` or about to expire.
    ///
    /// # Errors
    /// [`Error::WrongPassword`] only if the token service rejects the credentials themselves; [`Error::Forbidden`] and,
    /// without credentials, [`Error::LoginRequired`] if it denies the scope; else what went wrong.
    pub(in crate::registry) async fn get(
        &self,
        transport: &HttpTransport,
        scope: &str,
        rejected: Option<&HeaderValue>,
    ) -> Result<AuthorizationToken> {
        let scope = if self.have_scopes() { scope } else { "" };
        let slot = {
            let mut scopes = self.scopes.lock();
            Arc::clone(scopes.entry(scope.to_owned()).or_default())
        };
        let mut slot = slot.lock().await;
        match slot.as_ref() {
            Some(Err(why)) => return Err(why.clone()),
            Some(Ok(kept)) if kept.until > Instant::now() && rejected != Some(&kept.header) => {
                return Ok(AuthorizationToken { header: kept.header.clone(), fresh: false });
            }
            _ => {}
        }
        let outcome = self.fetch_checking_login(transport, scope).await;
        let token = outcome.as_ref().map(|kept| AuthorizationToken { header: kept.header.clone(), fresh: true });
        let token = token.map_err(Clone::clone);
        if matches!(outcome, Ok(_) | Err(Error::WrongPassword(_))) {
            *slot = Some(outcome);
        }
        token
    }

    /// Fetches a token and tells a denied scope from a wrong password: some token services answer 401 to both, but
    /// without a scope only to a wrong password.
    async fn fetch_checking_login(&self, transport: &HttpTransport, scope: &str) -> Result<CachedToken> {
        if self.is_anonymous() {
            return self.fetch(transport, scope).await;
        }
        let mut login = self.login.lock().await;
        match &*login {
            LoginState::Refused(why) => return Err(why.clone()),
            LoginState::Accepted => {
                drop(login);
                return match self.fetch(transport, scope).await {
                    Err(Error::WrongPassword(_)) if self.have_scopes() => Err(self.refused_scope(scope, "")),
                    outcome => outcome,
                };
            }
            LoginState::Unknown => {}
        }
        let mut outcome = self.fetch(transport, scope).await;
        if matches!(outcome, Err(Error::WrongPassword(_)))
            && !scope.is_empty()
            && self.fetch(transport, "").await.is_ok()
        {
            *login = LoginState::Accepted;
            outcome = Err(self.refused_scope(scope, ""));
        }
        match &outcome {
            Ok(_) => *login = LoginState::Accepted,
            Err(why @ Error::WrongPassword(_)) => *login = LoginState::Refused(why.clone()),
            Err(_) => {}
        }
        outcome
    }

    async fn fetch(&self, transport: &HttpTransport, scope: &str) -> Result<CachedToken> {
        let asked = Instant::now();
        let answer = transport.send(&self.request(scope)?).await?;
        if !answer.status.is_success() {
            return Err(self.refusal(&answer, scope));
        }
        let (header, life) = self.read(&answer)?;
        let life = if life > EARLY { life - EARLY } else { LONGEST_LIFE };
        Ok(CachedToken { header, until: asked + life })
    }

    fn is_anonymous(&self) -> bool {
        matches!(self.asking, TokenRequest::Challenged { login: None, .. })
    }

    fn request(&self, scope: &str) -> Result<RegistryRequest> {
        let mut request = RegistryRequest {
            method: Method::GET,
            url: self.realm.clone(),
            accept: "application/json",
            authorization: None,
            headers: HeaderMap::new(),
            json: None,
            cap: TOKEN_BODY,
        };
        match &self.asking {
            TokenRequest::Challenged { service, login } => {
                let mut query = request.url.query_pairs_mut();
                if let Some(service) = service {
                    query.append_pair("service", service);
                }
                if !scope.is_empty() {
                    query.append_pair("scope", scope);
                }
                drop(query);
                request.authorization.clone_from(login);
            }
            TokenRequest::Exchanged { credentials } => {
                request.method = Method::POST;
                request.json = Some(credentials.clone());
            }
            TokenRequest::Signed(signer) => return signer.request(&self.realm, ECR_TOKEN, "{}".to_owned(), TOKEN_BODY),
        }
        Ok(request)
    }

    fn read(&self, answer: &RegistryResponse) -> Result<(HeaderValue, Duration)> {
        let broken = |what: &str| {
            Error::Malformed(format!(
                "the token service {} answered {what}; check that the registry names the right one",
                host_of(&self.realm)
            ))
        };
        let read: TokenResponse =
            serde_json::from_slice(&answer.body).map_err(|_| broken("something that is not a token"))?;
        let (scheme, token, ends_in) = match self.asking {
            TokenRequest::Signed(_) => {
                let entry = read.authorization_data.into_iter().next();
                let ends_in = entry.as_ref().and_then(|entry| entry.expires_at);
                let ends_in = ends_in.map(|at| Value::from(at - Clock::system().now().timestamp() as f64));
                ("Basic", entry.map(|entry| entry.authorization_token), ends_in)
            }
            _ => {
                let token = read.token.filter(|token| !token.is_empty()).or(read.access_token);
                ("Bearer", token, read.expires_in)
            }
        };
        let token = token.filter(|token| !token.is_empty()).ok_or_else(|| broken("without a token"))?;
        let mut header =
            HeaderValue::try_from(format!("{scheme} {token}")).map_err(|_| broken("a token that cannot be sent"))?;
        header.set_sensitive(true);
        Ok((header, life(ends_in.as_ref(), self.life)))
    }

    fn refusal(&self, answer: &RegistryResponse, scope: &str) -> Error {
        let host = host_of(&self.realm);
        if let TokenRequest::Signed(_) = &self.asking
            && let Some(error) = aws::refusal(answer)
        {
            return error;
        }
        let reason = answer.reason();
        match answer.status {
            StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if self.is_anonymous() => {
                Error::LoginRequired(format!(
                    "the token service {host} requires a login{reason}; give a username and password"
                ))
            }
            StatusCode::UNAUTHORIZED => Error::WrongPassword(format!(
                "the token service {host} does not accept the username and password{reason}; correct them (some registries want an access token as password), or give an account that may list repositories"
            )),
            StatusCode::BAD_REQUEST | StatusCode::FORBIDDEN => self.refused_scope(scope, &reason),
            _ => answer.unexpected("a token"),
        }
    }

    /// The error for valid credentials without the right; `reason` in brackets, from the token service.
    fn refused_scope(&self, scope: &str, reason: &str) -> Error {
        let right = if scope.is_empty() { "any access" } else { scope };
        Error::Forbidden(format!(
            "the token service {} denies this account {right}{reason}; ask the registry's operator for that right",
            host_of(&self.realm)
        ))
    }
}

/// The lifetime in a response; some servers send the number as a string.
fn life(expires_in: Option<&Value>, default: Duration) -> Duration {
    let seconds = match expires_in {
        Some(Value::Number(number)) => number.as_f64(),
        Some(Value::String(text)) => text.trim().parse().ok(),
        _ => None,
    };
    seconds
        .and_then(|seconds: f64| Duration::try_from_secs_f64(seconds.max(0.0)).ok())
        .map_or(default, |life| life.min(LONGEST_LIFE))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lives() {
        let of = |value: Value| life(Some(&value), DEFAULT_LIFE).as_secs();
        assert_eq!(life(None, Duration::from_secs(600)).as_secs(), 600);
        assert_eq!(of(json!(300)), 300);
        assert_eq!(of(json!("300")), 300);
        assert_eq!(of(json!(1e300)), 60, "no duration");
        assert_eq!(of(json!(1_000_000_000)), LONGEST_LIFE.as_secs());
        assert_eq!(of(json!(-5)), 0);
        assert_eq!(of(json!("soon")), 60);
        assert_eq!(of(json!(null)), 60);
    }
}
