//! The token service of [`super::fake_registry::FakeRegistry`], with the behaviour of real vendors, taken from their
//! sources or observed.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use serde_json::{Value, json};

/// Which tokens a vendor's service issues, and where the registry accepts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TokenHabit {
    /// Issues tokens for any scope; each is valid for that scope only, and all of them at `/v2/`.
    #[default]
    Docker,
    /// 400 for scopes other than `repository:…`, 401 for anonymous requests without a scope; the catalogue needs no
    /// scope.
    Quay,
    /// `/v2/` accepts only tokens without access entries.
    Pulp,
    /// Issues tokens to anonymous clients, but `/v2/` refuses them.
    Harbor,
    /// 403 for requests for the catalogue, or without a scope, unless by an administrator.
    GitLab,
    /// This status for all scopes but this one.
    OneScope(u16, &'static str),
    /// This status for this scope.
    AllBut(u16, &'static str),
}

/// The scope of an issued token, and whether it was issued to the known account.
struct Grant {
    scope: String,
    is_known: bool,
}

/// Issues and remembers tokens.
pub struct TokenDesk {
    /// The required `Authorization`; `None`: no authentication.
    login: Option<String>,
    /// Additional keys of its replies; `"access_token": true` returns the token under that key.
    answer: Value,
    pub habit: Mutex<TokenHabit>,
    given: Mutex<HashMap<String, Grant>>,
    /// Tokens issued so far: each has a name of its own, also those of requests at the same time.
    issued: AtomicUsize,
}

impl TokenDesk {
    pub fn new(login: Option<String>, answer: Value) -> Self {
        Self { login, answer, habit: Mutex::default(), given: Mutex::default(), issued: AtomicUsize::new(0) }
    }

    fn habit(&self) -> TokenHabit {
        *self.habit.lock()
    }

    /// Revokes all issued tokens.
    pub fn revoke(&self) {
        self.given.lock().clear();
    }

    /// A token, or the status of a refusal.
    pub fn give(&self, authorization: Option<&str>, scope: Option<String>) -> Result<Value, u16> {
        let is_known = self.login.is_none() || authorization == self.login.as_deref();
        let habit = self.habit();
        // Vendors with public images issue tokens to anonymous clients, too.
        let serves_strangers = matches!(habit, TokenHabit::Quay | TokenHabit::Harbor | TokenHabit::GitLab);
        if !is_known && (authorization.is_some() || !serves_strangers) {
            return Err(401);
        }
        let scope = scope.unwrap_or_default();
        match habit {
            TokenHabit::Quay if scope.is_empty() && authorization.is_none() => return Err(401),
            TokenHabit::Quay if !scope.is_empty() && !scope.starts_with("repository:") => return Err(400),
            TokenHabit::GitLab if !scope.starts_with("repository:") => return Err(403),
            TokenHabit::OneScope(status, only) if scope != only => return Err(status),
            TokenHabit::AllBut(status, but) if scope == but => return Err(status),
            _ => {}
        }
        let token = format!("token-{}", self.issued.fetch_add(1, Ordering::Relaxed));
        let mut answer = self.answer.clone();
        let name = if answer["access_token"] == json!(true) { "access_token" } else { "token" };
        answer[name] = token.as_str().into();
        self.given.lock().insert(token, Grant { scope, is_known: authorization.is_some() });
        Ok(answer)
    }

    /// Whether a token is valid for a path below `/v2/`, which by Docker's rules needs the scope `wanted`.
    pub fn opens(&self, token: &str, path: &str, wanted: &str) -> bool {
        let given = self.given.lock();
        let Some(grant) = given.get(token) else { return false };
        match self.habit() {
            TokenHabit::Pulp if path.is_empty() => grant.scope.is_empty(),
            TokenHabit::Harbor if path.is_empty() => grant.is_known,
            _ if path.is_empty() => true,
            TokenHabit::Quay if path == "_catalog" => grant.scope.is_empty(),
            _ => grant.scope == wanted,
        }
    }

    /// The `service` of its challenges.
    pub fn service(&self) -> &'static str {
        if self.habit() == TokenHabit::Harbor { "harbor-registry" } else { "fake" }
    }

    /// The scope in a path's challenge. For repositories it is a placeholder, as on GHCR.
    pub fn challenge(&self, path: &str, wanted: &str) -> Option<String> {
        match self.habit() {
            TokenHabit::Quay => None,
            TokenHabit::Pulp if path == "_catalog" => Some(wanted.to_owned()),
            TokenHabit::Docker => Some("repository:placeholder:pull".to_owned()),
            _ => Some(wanted.to_owned()),
        }
    }
}
