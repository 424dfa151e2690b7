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
