//! User accounts.

use chrono::{DateTime, Utc};

use super::UserId;

/// Role of a user. The old service stored free text here, of which only `admin` had a meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// May change registries and users, and start scans.
    Admin,
    /// May run jobs and read.
    Runner,
    /// May read.
    User,
}

impl Role {
    /// The word used in the API and in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Admin => "admin",
            Role::Runner => "runner",
            Role::User => "user",
        }
    }

    /// Parses the word; `None` if it is unknown.
    pub fn parse(word: &str) -> Option<Role> {
        match word {
            "admin" => Some(Role::Admin),
            "runner" => Some(Role::Runner),
            "user" => Some(Role::User),
            _ => None,
        }
    }
}

/// A user without the password hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub id: UserId,
    pub username: String,
    pub role: Role,
    pub created_at: DateTime<Utc>,
}
