//! Bearer tokens: fetched from the token service that a registry names, kept for each scope until shortly before they
//! expire. Tokens are opaque; nothing in them is read.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{HeaderValue, Method, StatusCode};
use serde_json::Value;
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::Instant;
use url::Url;

use super::address::host_of;
use super::transport::{Answer, Request, Transport};
use super::wire::TokenAnswer;
use super::{Error, Result};

/// Longest answer of a token service, bytes.
const TOKEN_BODY: usize = 64 << 10;
/// Life of a token whose answer gives none.
const DEFAULT_LIFE: Duration = Duration::from_secs(60);
const LONGEST_LIFE: Duration = Duration::from_secs(24 * 60 * 60);
/// A token is renewed this long before it ends, so that it does not end under way.
const EARLY: Duration = Duration::from_secs(5);

/// The tokens of one registry from one token service.
pub(super) struct Tokens {
    realm: Url,
    service: Option<String>,
    /// `Authorization` of the token service; `None` asks anonymously.
    login: Option<HeaderValue>,
    /// One lock a scope: held while its token is fetched, so that those who need it too wait for the same one.
    scopes: Mutex<HashMap<String, Arc<AsyncMutex<Option<Kept>>>>>,
}

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
    pub(super) fn new(realm: Url, service: Option<String>, login: Option<HeaderValue>) -> Self {
        Self { realm, service, login, scopes: Mutex::new(HashMap::new()) }
    }

    /// Where they come from.
    pub(super) fn realm(&self) -> &Url {
        &self.realm
    }

    /// The token for a scope: a kept one, unless it is `rejected` or about to end.
    pub(super) async fn get(
        &self,
        transport: &Transport,
        scope: &str,
        rejected: Option<&HeaderValue>,
    ) -> Result<Token> {
        let slot = {
            let mut scopes = self.scopes.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(scopes.entry(scope.to_owned()).or_default())
        };
        let mut slot = slot.lock().await;
        if let Some(kept) = slot.as_ref()
            && kept.until > Instant::now()
            && rejected != Some(&kept.header)
        {
            return Ok(Token { header: kept.header.clone(), fresh: false });
        }
        let kept = self.fetch(transport, scope).await?;
        let header = kept.header.clone();
        *slot = Some(kept);
        Ok(Token { header, fresh: true })
    }

    async fn fetch(&self, transport: &Transport, scope: &str) -> Result<Kept> {
        let mut url = self.realm.clone();
        {
            let mut query = url.query_pairs_mut();
            if let Some(service) = &self.service {
                query.append_pair("service", service);
            }
            query.append_pair("scope", scope);
        }
        let request = Request {
            method: Method::GET,
            url,
            accept: "application/json",
            authorization: self.login.clone(),
            cap: TOKEN_BODY,
        };
        let asked = Instant::now();
        let answer = transport.send(&request).await?;
        if !answer.status.is_success() {
            return Err(self.refusal(&answer));
        }
        let (token, life) = self.read(&answer)?;
        Ok(Kept { header: token, until: asked + life.saturating_sub(EARLY) })
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
        let token =
            read.token.filter(|token| !token.is_empty()).or(read.access_token).filter(|token| !token.is_empty());
        let token = token.ok_or_else(|| broken("without a token"))?;
        let mut header =
            HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| broken("a token that cannot be sent"))?;
        header.set_sensitive(true);
        Ok((header, life(read.expires_in.as_ref())))
    }

    fn refusal(&self, answer: &Answer) -> Error {
        let host = host_of(&self.realm);
        let reason = answer.reason();
        match answer.status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if self.login.is_none() => Error::LoginRequired(format!(
                "the token service {host} wants a login{reason}; give a username and password"
            )),
            StatusCode::UNAUTHORIZED => Error::WrongPassword(format!(
                "the token service {host} does not accept the username and password{reason}; correct them (some registries want an access token as password)"
            )),
            StatusCode::FORBIDDEN => Error::Forbidden(format!(
                "the token service {host} gives this account no access{reason}; ask who runs the registry"
            )),
            _ => answer.unexpected("a token"),
        }
    }
}

/// The life that an answer gives its token; numbers in strings are seen in the wild.
fn life(expires_in: Option<&Value>) -> Duration {
    let seconds = match expires_in {
        Some(Value::Number(number)) => number.as_f64(),
        Some(Value::String(text)) => text.trim().parse().ok(),
        _ => None,
    };
    seconds
        .and_then(|seconds: f64| Duration::try_from_secs_f64(seconds.max(0.0)).ok())
        .map_or(DEFAULT_LIFE, |life| life.min(LONGEST_LIFE))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lives() {
        let of = |value: Value| life(Some(&value)).as_secs();
        assert_eq!(life(None), DEFAULT_LIFE);
        assert_eq!(of(json!(300)), 300);
        assert_eq!(of(json!("300")), 300);
        assert_eq!(of(json!(1e300)), 60, "no duration");
        assert_eq!(of(json!(1_000_000_000)), LONGEST_LIFE.as_secs());
        assert_eq!(of(json!(-5)), 0);
        assert_eq!(of(json!("soon")), 60);
        assert_eq!(of(json!(null)), 60);
    }
}
