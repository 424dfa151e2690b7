//! User accounts.

use chrono::{DateTime, Utc};

use super::UserId;

/// Role of a user. The old service stored free text here, of which only `admin` had a meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserRole {
    /// May change registries and users, and start scans.
    Admin,
    /// May run jobs and read.
    Runner,
    /// May read.
    User,
}

impl UserRole {
    /// The word used in the API and in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            UserRole::Admin => "admin",
            UserRole::Runner => "runner",
            UserRole::User => "user",
        }
    }

    /// Parses the word; `None` if it is unknown.
    pub fn parse(word: &str) -> Option<UserRole> {
        match word {
            "admin" => Some(UserRole::Admin),
            "runner" => Some(UserRole::Runner),
            "user" => Some(UserRole::User),
            _ => None,
        }
    }
}

/// A user without the password hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserAccount {
    pub id: UserId,
    pub username: String,
    pub role: UserRole,
    pub created_at: DateTime<Utc>,
}

/// A user, and what is known of the logins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserOverview {
    pub user: UserAccount,
    /// `None` if there was no login, or none for so long that it is forgotten.
    pub last_login_at: Option<DateTime<Utc>>,
    /// Number of sessions that have not ended.
    pub sessions: u64,
}

/// How a client keeps the token of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionKind {
    /// A browser, in the cookie of the pages.
    Page,
    /// A program, which sends it in a header.
    Token,
}

impl SessionKind {
    /// The word used in the API and in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            SessionKind::Page => "page",
            SessionKind::Token => "token",
        }
    }

    /// Parses the word; `None` if it is unknown.
    pub fn parse(word: &str) -> Option<SessionKind> {
        match word {
            "page" => Some(SessionKind::Page),
            "token" => Some(SessionKind::Token),
            _ => None,
        }
    }
}

/// A session of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRecord {
    /// The `jti` of its token. It is worth nothing without the signature.
    pub id: String,
    /// What the client called it; may be empty.
    pub name: String,
    pub kind: SessionKind,
    pub created_at: DateTime<Utc>,
    /// To the minute.
    pub last_used_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    /// Of the login; empty if unknown.
    pub address: String,
    /// `User-Agent` of the login; may be empty.
    pub agent: String,
}
