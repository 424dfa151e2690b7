//! Bearer tokens: fetched from the token service that a registry names, kept for each scope until shortly before they
//! expire; or, where an interface has a login of its own, had for the credentials. Tokens are opaque; nothing in them is
//! read.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, StatusCode};
use secrecy::SecretString;
use serde_json::Value;
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::Instant;
use url::Url;

use super::address::host_of;
use super::aws::{self, Signer};
use super::transport::{Answer, Request, Transport};
use super::wire::TokenAnswer;
use super::{Error, Result};
use crate::clock::Clock;

/// Longest answer of a token service, bytes.
const TOKEN_BODY: usize = 64 << 10;
/// Life of a token whose answer gives none.
const DEFAULT_LIFE: Duration = Duration::from_secs(60);
const LONGEST_LIFE: Duration = Duration::from_secs(24 * 60 * 60);
/// The operation of ECR that gives tokens.
const ECR_TOKEN: &str = "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken";
/// A token is renewed this long before it ends, so that it does not end under way. One that lives no longer is kept
/// until it is refused: else each request would need one of its own.
const EARLY: Duration = Duration::from_secs(5);

/// The tokens of one registry from one token service.
pub(super) struct Tokens {
    realm: Url,
    asking: Asking,
    /// Life of a token whose answer gives none.
    life: Duration,
    /// One lock a scope: held while its token is fetched, so that those who need it too wait for the same one.
    scopes: Mutex<HashMap<String, Slot>>,
    /// Whether the token service has taken the credentials, or refused them: held while they are shown for the first
    /// time, because services lock accounts after some wrong passwords.
    login: AsyncMutex<LoginState>,
}

/// What the token service has said of the credentials.
enum LoginState {
    Unknown,
    Accepted,
    Refused(Error),
}

/// How tokens are asked for.
enum Asking {
    /// As a challenge says, with the `Authorization` of the token service; `None` asks anonymously.
    Challenged { service: Option<String>, login: Option<HeaderValue> },
    /// By a POST of the credentials as JSON. Such a token is good for everything.
    Exchanged { credentials: SecretString },
    /// By a signed POST to ECR's interface (`GetAuthorizationToken`). Such a token is a name and password, good for
    /// everything.
    Signed(Arc<Signer>),
}

/// A token, or that the password is wrong: then nobody tries it again.
type Slot = Arc<AsyncMutex<Option<Result<Kept>>>>;

struct Kept {
    header: HeaderValue,
    until: Instant,
}

/// An `Authorization` value, and whether it was fetched just now.
pub(super) struct Token {
    pub(super) header: HeaderValue,
    pub(super) fresh: bool,
}

impl Tokens {
    /// From the token service that a challenge names.
    pub(super) fn challenged(realm: Url, service: Option<String>, login: Option<HeaderValue>) -> Self {
        Self::new(realm, Asking::Challenged { service, login }, DEFAULT_LIFE)
    }

    /// From where credentials are exchanged for tokens that live so long, unless the answer says otherwise.
    pub(super) fn exchanged(realm: Url, credentials: SecretString, life: Duration) -> Self {
        Self::new(realm, Asking::Exchanged { credentials }, life)
    }

    /// From ECR's interface, for AWS keys.
    pub(super) fn signed(interface: Url, signer: Arc<Signer>, life: Duration) -> Self {
        Self::new(interface, Asking::Signed(signer), life)
    }

    fn new(realm: Url, asking: Asking, life: Duration) -> Self {
        Self { realm, asking, life, scopes: Mutex::default(), login: AsyncMutex::new(LoginState::Unknown) }
    }

    /// Whether each scope has a token of its own.
    pub(super) fn have_scopes(&self) -> bool {
        matches!(self.asking, Asking::Challenged { .. })
    }

    /// The `service` of the challenge.
    pub(super) fn service(&self) -> Option<&str> {
        match &self.asking {
            Asking::Challenged { service, .. } => service.as_deref(),
            Asking::Exchanged { .. } | Asking::Signed(_) => None,
        }
    }

    /// Where they come from.
    pub(super) fn realm(&self) -> &Url {
        &self.realm
    }

    /// The token for a scope (`""`: one without a scope): a kept one, unless it is `rejected` or about to end.
    ///
    /// # Errors
    /// [`Error::WrongPassword`] only where the token service refuses the credentials themselves; [`Error::Forbidden`]
    /// and, without credentials, [`Error::LoginRequired`] where it refuses the scope; else what went wrong.
    pub(super) async fn get(
        &self,
        transport: &Transport,
        scope: &str,
        rejected: Option<&HeaderValue>,
    ) -> Result<Token> {
        let scope = if self.have_scopes() { scope } else { "" };
        let slot = {
            let mut scopes = self.scopes.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(scopes.entry(scope.to_owned()).or_default())
        };
        let mut slot = slot.lock().await;
        match slot.as_ref() {
            Some(Err(why)) => return Err(why.clone()),
            Some(Ok(kept)) if kept.until > Instant::now() && rejected != Some(&kept.header) => {
                return Ok(Token { header: kept.header.clone(), fresh: false });
            }
            _ => {}
        }
        let outcome = self.fetch_as_known(transport, scope).await;
        let token = outcome.as_ref().map(|kept| Token { header: kept.header.clone(), fresh: true });
        let token = token.map_err(Clone::clone);
        if matches!(outcome, Ok(_) | Err(Error::WrongPassword(_))) {
            *slot = Some(outcome);
        }
        token
    }

    /// Fetches a token, with regard to what is known of the credentials. Some services refuse a scope in the same words
    /// as a password (401); without a scope, only the password is judged.
    async fn fetch_as_known(&self, transport: &Transport, scope: &str) -> Result<Kept> {
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

    async fn fetch(&self, transport: &Transport, scope: &str) -> Result<Kept> {
        let asked = Instant::now();
        let answer = transport.send(&self.request(scope)?).await?;
        if !answer.status.is_success() {
            return Err(self.refusal(&answer, scope));
        }
        let (header, life) = self.read(&answer)?;
        let life = if life > EARLY { life - EARLY } else { LONGEST_LIFE };
        Ok(Kept { header, until: asked + life })
    }

    fn is_anonymous(&self) -> bool {
        matches!(self.asking, Asking::Challenged { login: None, .. })
    }

    fn request(&self, scope: &str) -> Result<Request> {
        let mut request = Request {
            method: Method::GET,
            url: self.realm.clone(),
            accept: "application/json",
            authorization: None,
            headers: HeaderMap::new(),
            json: None,
            cap: TOKEN_BODY,
        };
        match &self.asking {
            Asking::Challenged { service, login } => {
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
            Asking::Exchanged { credentials } => {
                request.method = Method::POST;
                request.json = Some(credentials.clone());
            }
            Asking::Signed(signer) => return signer.request(&self.realm, ECR_TOKEN, "{}".to_owned(), TOKEN_BODY),
        }
        Ok(request)
    }

    fn read(&self, answer: &Answer) -> Result<(HeaderValue, Duration)> {
        let broken = |what: &str| {
            Error::Malformed(format!(
                "the token service {} answered {what}; check that the registry names the right one",
                host_of(&self.realm)
            ))
        };
        let read: TokenAnswer =
            serde_json::from_slice(&answer.body).map_err(|_| broken("something that is no token"))?;
        let (scheme, token, ends_in) = match self.asking {
            Asking::Signed(_) => {
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

    fn refusal(&self, answer: &Answer, scope: &str) -> Error {
        let host = host_of(&self.realm);
        if let Asking::Signed(_) = &self.asking
            && let Some(error) = aws::refusal(answer)
        {
            return error;
        }
        let reason = answer.reason();
        match answer.status {
            StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if self.is_anonymous() => {
                Error::LoginRequired(format!(
                    "the token service {host} wants a login{reason}; give a username and password"
                ))
            }
            StatusCode::UNAUTHORIZED => Error::WrongPassword(format!(
                "the token service {host} does not accept the username and password{reason}; correct them (some registries want an access token as password), or give an account that may list repositories"
            )),
            StatusCode::BAD_REQUEST | StatusCode::FORBIDDEN => self.refused_scope(scope, &reason),
            _ => answer.unexpected("a token"),
        }
    }

    /// The error for credentials that are right, but not for this; `reason` in brackets, as the service says it.
    fn refused_scope(&self, scope: &str, reason: &str) -> Error {
        let right = if scope.is_empty() { "any access" } else { scope };
        Error::Forbidden(format!(
            "the token service {} does not give this account {right}{reason}; ask who runs the registry for that right",
            host_of(&self.realm)
        ))
    }
}

/// The life that an answer gives its token; numbers in strings are seen in the wild.
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
