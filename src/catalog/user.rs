//! People who log in.

use chrono::{DateTime, Utc};

use super::UserId;

/// What a user may do. The old service kept free text here; only `admin` ever meant anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// May change registries, users and start scans.
    Admin,
    /// May run jobs, and read.
    Runner,
    /// May read.
    User,
}

impl Role {
    /// The word on the wire and in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Admin => "admin",
            Role::Runner => "runner",
            Role::User => "user",
        }
    }

    /// Reads the word; `None` for any other.
    pub fn parse(word: &str) -> Option<Role> {
        match word {
            "admin" => Some(Role::Admin),
            "runner" => Some(Role::Runner),
            "user" => Some(Role::User),
            _ => None,
        }
    }
}

/// A user as everybody inside may see one: without the password hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub id: UserId,
    pub username: String,
    pub role: Role,
    pub created_at: DateTime<Utc>,
}
