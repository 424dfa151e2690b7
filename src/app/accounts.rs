//! Accounts: log in, know who asks, keep users.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret, SecretString};

use super::{App, Error, Result};
use crate::auth::{Claims, random_id};
use crate::catalog::{Role, User, UserId};
use crate::store;

/// Longest name of a user or registry, and longest password, in characters.
const LONGEST_NAME: usize = 255;
const LONGEST_PASSWORD: usize = 1024;

/// What an admin gives to add a user.
#[derive(Debug)]
pub struct NewUser {
    pub username: String,
    pub password: SecretString,
    /// `admin`, `runner` or `user`; empty means `user`.
    pub role: String,
}

/// Somebody who proved who they are.
#[derive(Clone, Debug)]
pub struct Session {
    pub user: User,
    jti: String,
}

impl Session {
    /// A user as somebody who proved it: for what is done on their behalf.
    pub(super) fn of(user: User) -> Self {
        Self { user, jti: String::new() }
    }
}

impl App {
    /// A token for a name and password.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`], after the same work whether the name exists or not; [`Error::Throttled`].
    pub async fn login(
        &self,
        username: &str,
        password: &SecretString,
        address: &str,
    ) -> Result<(String, DateTime<Utc>)> {
        let inner = &self.0;
        if let Some(wait) = inner.throttle.wait(username, address, inner.clock.now()) {
            return Err(Error::Throttled { what: "Too many failed logins", wait });
        }
        let known = if password.expose_secret().len() > LONGEST_PASSWORD {
            None
        } else {
            inner.store.user_by_name(username).await?
        };
        let (user, hash) = known.map_or((None, None), |(user, hash)| (Some(user), Some(hash)));
        let is_right = inner.passwords.verify(hash, password).await;
        let now = inner.clock.now();
        let Some(user) = user.filter(|_| is_right) else {
            inner.throttle.failed(username, address, now);
            metrics::counter!("silo_login_failures_total").increment(1);
            return Err(Error::Unauthenticated("Invalid login"));
        };
        inner.throttle.succeeded(username);
        let expires_at = now + TimeDelta::hours(i64::from(inner.settings.auth.token_hours));
        let jti = random_id();
        inner.store.session_insert(&jti, user.id, expires_at).await?;
        let claims = Claims { jti, username: user.username, iat: now.timestamp(), exp: expires_at.timestamp() };
        Ok((inner.tokens.issue(&claims), expires_at))
    }

    /// Who an `Authorization` header speaks for. Any first word is taken (`Token`, `token:`, `Bearer`), as the old
    /// service did.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] for a missing, malformed, forged, expired or revoked token.
    pub async fn authenticate(&self, header: Option<&str>) -> Result<Session> {
        let header = header.ok_or(Error::Unauthenticated("Missing authorization token"))?;
        let mut parts = header.split(' ');
        let (Some(_word), Some(token), None) = (parts.next(), parts.next(), parts.next()) else {
            return Err(Error::Unauthenticated("Invalid authorization token format: expected 'token <token>'"));
        };
        const INVALID: Error = Error::Unauthenticated("Invalid authorization token");
        let now = self.0.clock.now();
        let claims = self.0.tokens.verify(token, now).ok_or(INVALID)?;
        let user = self.0.store.session_user(&claims.jti, now).await?.ok_or(INVALID)?;
        Ok(Session { user, jti: claims.jti })
    }

    /// Makes the session's token worthless.
    pub async fn logout(&self, session: &Session) -> Result<()> {
        self.0.store.session_delete(&session.jti).await?;
        self.0.signals.users_changed.send_modify(|count| *count += 1);
        Ok(())
    }

    /// Comes back when the session is over: it ran out, its user logged out or was deleted, or has another role.
    pub async fn session_end(&self, session: &Session) {
        /// How often to look for what other processes did.
        const LOOK: Duration = Duration::from_secs(5);
        let mut changed = self.0.signals.users_changed.subscribe();
        loop {
            _ = tokio::time::timeout(LOOK, changed.changed()).await;
            match self.0.store.session_user(&session.jti, self.0.clock.now()).await {
                Ok(Some(user)) if user.role == session.user.role => {}
                Ok(_) => return,
                Err(why) => tracing::warn!(%why, "whether a session is over cannot be read"),
            }
        }
    }

    /// Adds a user.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an unusable name, password or role; [`Error::Duplicate`].
    pub async fn user_add(&self, new: &NewUser) -> Result<User> {
        let role = match new.role.as_str() {
            "" => Role::User,
            word => Role::parse(word)
                .ok_or_else(|| Error::Invalid(format!("There is no role '{word}': give admin, runner or user")))?,
        };
        check_name("user name", &new.username)?;
        check_password(&new.password)?;
        let hash = self.0.passwords.hash(&new.password).await;
        match self.0.store.user_insert(&new.username, &hash, role, self.0.clock.now()).await {
            Err(store::Error::Duplicate(_)) => {
                Err(Error::Duplicate(format!("User already exists with name {}", new.username)))
            }
            other => Ok(other?),
        }
    }

    /// All users, by id.
    pub async fn user_list(&self) -> Result<Vec<User>> {
        Ok(self.0.store.user_list().await?)
    }

    /// One user.
    pub async fn user_get(&self, id: UserId) -> Result<User> {
        self.0.store.user_get(id).await?.ok_or_else(|| Error::NotFound("No user found with that ID".to_owned()))
    }

    /// A user by name.
    pub async fn user_by_name(&self, username: &str) -> Result<User> {
        let known = self.0.store.user_by_name(username).await?;
        known.map(|(user, _)| user).ok_or_else(|| Error::NotFound(format!("There is no user named '{username}'")))
    }

    /// Deletes a user, whose tokens stop working. An unknown id is fine: it is gone.
    ///
    /// # Errors
    /// [`Error::Conflict`] for the last admin.
    pub async fn user_delete(&self, id: UserId) -> Result<()> {
        self.0.store.user_delete(id).await?;
        self.0.signals.users_changed.send_modify(|count| *count += 1);
        Ok(())
    }

    /// Gives a user another password; tokens handed out before stop working.
    pub async fn user_set_password(&self, id: UserId, password: &SecretString) -> Result<()> {
        check_password(password)?;
        let hash = self.0.passwords.hash(password).await;
        match self.0.store.user_set_password(id, &hash, true).await? {
            true => Ok(()),
            false => Err(Error::NotFound("No user found with that ID".to_owned())),
        }
    }
}

/// A name that can be listed, typed and stored.
pub(super) fn check_name(what: &str, name: &str) -> Result<()> {
    if name.trim().is_empty() {
        return Err(Error::Invalid(format!("The {what} is empty")));
    }
    if name.chars().count() > LONGEST_NAME {
        return Err(Error::Invalid(format!("The {what} is longer than {LONGEST_NAME} characters")));
    }
    if name.chars().any(char::is_control) {
        return Err(Error::Invalid(format!("The {what} contains control characters")));
    }
    Ok(())
}

fn check_password(password: &SecretString) -> Result<()> {
    match password.expose_secret() {
        "" => Err(Error::Invalid("The password is empty".to_owned())),
        text if text.len() > LONGEST_PASSWORD => {
            Err(Error::Invalid(format!("The password is longer than {LONGEST_PASSWORD} bytes")))
        }
        _ => Ok(()),
    }
}
