//! `/api/v1/users`.

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::{WireWord, exposed, exposed_if_given};

/// Of `POST /api/v1/users`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserAddForm {
    pub username: String,
    #[serde(serialize_with = "exposed")]
    pub password: SecretString,
    /// See [`crate::catalog::UserRole`]; empty for `user`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub role: String,
}

/// Of `PATCH /api/v1/users/{id}`: absent members keep their values.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserChangeForm {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "exposed_if_given")]
    pub password: Option<SecretString>,
}

/// A user, as admins see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UserOverviewReply {
    pub id: i64,
    pub username: String,
    /// See [`crate::catalog::UserRole`].
    pub role: WireWord,
    pub created_at: DateTime<Utc>,
    /// Null if there was none in the last 90 days.
    pub last_login_at: Option<DateTime<Utc>>,
    /// Number of sessions that have not ended.
    pub sessions: u64,
}

/// Users under a name, to make them members of registries together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupReply {
    pub name: String,
    /// Names of users, in order.
    pub users: Vec<String>,
}

/// Of `PUT /api/v1/groups/{name}`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupForm {
    /// Names of users.
    pub users: Vec<String>,
}
