//! Logins and sessions: `/api/v1/login`, `/api/v1/tickets` and `/api/v1/me`. What admins see of users is in `users.rs`.

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::{WireWord, exposed};

/// Of `POST /api/v1/login`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoginForm {
    pub username: String,
    #[serde(serialize_with = "exposed")]
    pub password: SecretString,
    /// What the client calls the session.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
}

/// Of `PUT /api/v1/me/password`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct PasswordForm {
    #[serde(serialize_with = "exposed")]
    pub old_password: SecretString,
    #[serde(serialize_with = "exposed")]
    pub new_password: SecretString,
}

/// A new session.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenReply {
    /// What requests send as `Authorization: Bearer …`.
    #[serde(serialize_with = "exposed")]
    pub token: SecretString,
    pub expires_at: DateTime<Utc>,
}

/// A ticket for streams that a browser opens, which cannot send a token.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TicketReply {
    /// Value of the parameter `ticket` of a stream's URL.
    #[serde(serialize_with = "exposed")]
    pub ticket: SecretString,
    pub expires_at: DateTime<Utc>,
}

/// A user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UserReply {
    pub id: i64,
    pub username: String,
    /// See [`crate::catalog::UserRole`].
    pub role: WireWord,
    pub created_at: DateTime<Utc>,
}

/// The sessions of a user: `GET /api/v1/me/sessions`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionListReply {
    pub items: Vec<SessionReply>,
}

/// A session of the user who asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionReply {
    pub id: String,
    /// What its client called it; may be empty.
    pub name: String,
    /// See [`crate::catalog::SessionKind`].
    pub kind: WireWord,
    /// Whether it is the session of the request.
    pub is_current: bool,
    pub created_at: DateTime<Utc>,
    /// To the minute.
    pub last_used_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    /// Of the login; empty if unknown.
    pub address: String,
    /// `User-Agent` of the login; may be empty.
    pub agent: String,
}
