//! The token service of [`super::fake_registry::FakeRegistry`], with the habits of real makes. What each refuses was
//! read in its own source, or seen when it ran.

use std::collections::HashMap;
use std::sync::Mutex;

use serde_json::{Value, json};

/// Which tokens a make of registry gives, and where it takes them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TokenHabit {
    /// Gives a token for any scope; each is good for that scope alone, and any of them at `/v2/`.
    #[default]
    Docker,
    /// 400 for scopes other than `repository:…`, 401 for strangers without a scope; the catalogue wants no scope.
    Quay,
    /// `/v2/` is open to tokens without access only.
    Pulp,
    /// Gives strangers tokens, but does not greet them.
    Harbor,
    /// 403 for who asks for the catalogue, or for no scope, without being an administrator.
    GitLab,
    /// This status for all scopes but this one.
    OneScope(u16, &'static str),
    /// This status for this scope.
    AllBut(u16, &'static str),
}

/// What a token was asked for, and whether by the account that is known.
struct Grant {
    scope: String,
    is_known: bool,
}

/// Gives tokens, and remembers them.
pub struct TokenDesk {
    /// `Authorization` it wants; `None` serves everybody.
    login: Option<String>,
    /// More keys of its answers; `"access_token": true` gives the token under its other name.
    answer: Value,
    pub habit: Mutex<TokenHabit>,
    given: Mutex<HashMap<String, Grant>>,
}

impl TokenDesk {
    pub fn new(login: Option<String>, answer: Value) -> Self {
        Self { login, answer, habit: Mutex::default(), given: Mutex::default() }
    }

    fn habit(&self) -> TokenHabit {
        *self.habit.lock().expect("no panic")
    }

    /// Makes all tokens given so far worthless.
    pub fn revoke(&self) {
        self.given.lock().expect("no panic").clear();
    }

    /// A token, or the status of a refusal. `serial`: different each time.
    pub fn give(&self, authorization: Option<&str>, scope: Option<String>, serial: usize) -> Result<Value, u16> {
        let is_known = self.login.is_none() || authorization == self.login.as_deref();
        let habit = self.habit();
        // Makes with public images give strangers tokens as well.
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
        let token = format!("token-{serial}");
        let mut answer = self.answer.clone();
        let name = if answer["access_token"] == json!(true) { "access_token" } else { "token" };
        answer[name] = token.as_str().into();
        self.given.lock().expect("no panic").insert(token, Grant { scope, is_known: authorization.is_some() });
        Ok(answer)
    }

    /// Whether a token opens a path below `/v2/`, which by Docker's rules wants this scope.
    pub fn opens(&self, token: &str, path: &str, wanted: &str) -> bool {
        let given = self.given.lock().expect("no panic");
        let Some(grant) = given.get(token) else { return false };
        match self.habit() {
            TokenHabit::Pulp if path.is_empty() => grant.scope.is_empty(),
            TokenHabit::Harbor if path.is_empty() => grant.is_known,
            _ if path.is_empty() => true,
            TokenHabit::Quay if path == "_catalog" => grant.scope.is_empty(),
            _ => grant.scope == wanted,
        }
    }

    /// What its challenges call it.
    pub fn service(&self) -> &'static str {
        if self.habit() == TokenHabit::Harbor { "harbor-registry" } else { "fake" }
    }

    /// The scope that the challenge of a path names. For repositories it is a placeholder, as on GHCR.
    pub fn challenge(&self, path: &str, wanted: &str) -> Option<String> {
        match self.habit() {
            TokenHabit::Quay => None,
            TokenHabit::Pulp if path == "_catalog" => Some(wanted.to_owned()),
            TokenHabit::Docker => Some("repository:placeholder:pull".to_owned()),
            _ => Some(wanted.to_owned()),
        }
    }
}
