//! Accounts: login, authentication, and management of users. What users do with their sessions is in `sessions.rs`,
//! what admins see and change of users in `users.rs`.

use std::net::IpAddr;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret, SecretString};

use super::names::{LONGEST_NAME, LONGEST_PASSWORD, check_password, check_user_name};
use super::{App, Error, PASSWORD_FILE, Result};
use crate::auth::{ClientNetwork, LoginOrigin, TokenClaims, random_id};
use crate::catalog::{SessionKind, SessionRecord, UserAccount, UserId, UserRole};
use crate::store;

/// Form of a new user, as an admin fills it in.
#[derive(Debug)]
pub struct NewUser {
    pub username: String,
    pub password: SecretString,
    /// `admin`, `runner` or `user`; empty means `user`.
    pub role: String,
}

/// An authenticated user, with the id of the session.
#[derive(Clone, Debug)]
pub struct UserSession {
    pub user: UserAccount,
    pub(super) jti: String,
}

/// The role with this name.
///
/// # Errors
/// [`Error::Invalid`] for an unknown name.
pub fn role_named(word: &str) -> Result<UserRole> {
    UserRole::parse(word)
        .ok_or_else(|| Error::Invalid(format!("There is no role '{word}': give admin, runner or user")))
}

/// Longest name of a session, in characters.
const LONGEST_SESSION_NAME: usize = 100;

/// A session of the pages ends after this time without a request; in all it lasts as long as a token.
const PAGE_IDLE: TimeDelta = TimeDelta::hours(12);

/// Uses of a session are noted at most so often, because each note is a write.
const USE_STEP: TimeDelta = TimeDelta::minutes(1);

/// Who sends a request, if authenticated, from where and with what.
#[derive(Clone, Debug, Default)]
pub struct RequestCaller {
    pub session: Option<UserSession>,
    pub network: Option<ClientNetwork>,
    address: Option<IpAddr>,
    agent: String,
}

impl RequestCaller {
    /// `agent` is the `User-Agent`; a long one is cut.
    pub fn new(session: Option<UserSession>, address: Option<IpAddr>, agent: &str) -> Self {
        /// In characters.
        const LONGEST_AGENT: usize = 300;
        let agent = agent.chars().take(LONGEST_AGENT).collect();
        Self { session, network: address.map(ClientNetwork::of), address, agent }
    }
}

impl UserSession {
    /// A session without a token, for work on behalf of a user.
    pub(super) fn of(user: UserAccount) -> Self {
        Self { user, jti: String::new() }
    }

    /// Id of the session, by which its user ends it.
    pub fn id(&self) -> &str {
        &self.jti
    }

    /// The error for a user whose role is too low.
    pub fn refused(&self, needed: UserRole) -> Error {
        Error::Forbidden { user: self.user.username.clone(), role: self.user.role, needed }
    }
}

impl App {
    /// Issues a token for a name and password. `name` is what the client calls the session; it may be empty.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`], after the same amount of work whether or not the name exists; [`Error::Throttled`];
    /// [`Error::Invalid`] for a long name of the session.
    pub async fn login(
        &self,
        username: &str,
        password: &SecretString,
        caller: &RequestCaller,
        kind: SessionKind,
        name: &str,
    ) -> Result<(String, DateTime<Utc>)> {
        let inner = &self.0;
        if name.chars().count() > LONGEST_SESSION_NAME {
            let text = format!("The name of a session may have at most {LONGEST_SESSION_NAME} characters");
            return Err(Error::Invalid(text));
        }
        let network = caller.network.map(|network| network.to_string()).unwrap_or_default();
        let known = match username.chars().count() > LONGEST_NAME {
            true => None,
            // One query whether or not the user exists, so that the response time does not reveal names.
            false => inner.whole_store.login_account(username, &network).await?,
        };
        // Unknown names are not logged: users sometimes type their password there.
        let named = known.as_ref().map_or("unknown", |known| known.user.username.as_str()).to_owned();
        let origin = match (&caller.session, caller.network) {
            (Some(session), _) if session.user.username == username => LoginOrigin::Session(&session.jti),
            (_, Some(network)) if known.as_ref().is_some_and(|known| known.network_is_known) => {
                LoginOrigin::KnownNetwork(network)
            }
            (_, network) => LoginOrigin::Stranger(network),
        };
        let counted = inner.throttle.reserve(username, origin, inner.clock.now()).map_err(|wait| {
            tracing::warn!(account = named, wait = wait.num_seconds(), "login refused: too many failures");
            Error::Throttled { what: "Too many failed logins", wait }
        })?;
        let (user, hash) = known.map_or((None, None), |known| (Some(known.user), Some(known.password_hash)));
        let hash = hash.filter(|_| password.expose_secret().len() <= LONGEST_PASSWORD);
        let is_right = inner.passwords.verify(hash, password).await;
        let Some(user) = user.filter(|_| is_right) else {
            metrics::counter!("silo_login_failures_total").increment(1);
            tracing::warn!(account = named, "login failed");
            return Err(Error::Unauthenticated("Invalid login"));
        };
        inner.throttle.succeeded(counted);
        if !network.is_empty() {
            inner.whole_store.login_network_keep(user.id, &network, inner.clock.now()).await?;
        }
        self.session_begin(user, caller, kind, name).await
    }

    /// Begins a session of a user who has proved who they are: its token, and the time after which no use prolongs it.
    async fn session_begin(
        &self,
        user: UserAccount,
        caller: &RequestCaller,
        kind: SessionKind,
        name: &str,
    ) -> Result<(String, DateTime<Utc>)> {
        let inner = &self.0;
        let now = inner.clock.now();
        let ends_at = now + TimeDelta::hours(i64::from(inner.settings.auth.token_hours));
        let session = SessionRecord {
            id: random_id(),
            name: name.to_owned(),
            kind,
            created_at: now,
            last_used_at: now,
            expires_at: if kind == SessionKind::Page { ends_at.min(now + PAGE_IDLE) } else { ends_at },
            address: caller.address.map(|address| address.to_string()).unwrap_or_default(),
            agent: caller.agent.clone(),
        };
        inner.whole_store.session_insert(user.id, &session).await?;
        tracing::info!(account = user.username, kind = kind.as_str(), "logged in");
        let claims = TokenClaims {
            jti: session.id,
            username: user.username,
            iat: now.timestamp(),
            exp: ends_at.timestamp(),
            ticket: false,
        };
        Ok((inner.tokens.issue(&claims), ends_at))
    }

    /// The session of an `Authorization` header. Any scheme word is accepted (`Token`, `token:`, `Bearer`), as in the
    /// old service.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] for a missing, malformed, forged, expired or revoked token.
    pub async fn authenticate(&self, header: Option<&str>) -> Result<UserSession> {
        let header = header.ok_or(Error::Unauthenticated("Missing authorization token"))?;
        let mut parts = header.split(' ');
        let (Some(_word), Some(token), None) = (parts.next(), parts.next(), parts.next()) else {
            return Err(Error::Unauthenticated("Invalid authorization token format: expected 'token <token>'"));
        };
        self.session_of(token, false).await
    }

    /// The session of a token that a browser keeps in its cookie.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] for a forged, expired or revoked token.
    pub async fn authenticate_cookie(&self, token: &str) -> Result<UserSession> {
        self.session_of(token, false).await
    }

    /// The session of a ticket that [`App::stream_ticket`] issued.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] for a forged or expired ticket, or one whose session is over.
    pub async fn authenticate_ticket(&self, ticket: &str) -> Result<UserSession> {
        self.session_of(ticket, true).await
    }

    async fn session_of(&self, token: &str, is_ticket: bool) -> Result<UserSession> {
        const INVALID: Error = Error::Unauthenticated("Invalid authorization token");
        let now = self.0.clock.now();
        let claims = self.0.tokens.verify(token, now).filter(|claims| claims.ticket == is_ticket).ok_or(INVALID)?;
        let found = self.0.whole_store.session_user(&claims.jti, now).await?.ok_or(INVALID)?;
        // A ticket is for one stream, and expires before its session.
        if !is_ticket && now - found.last_used_at >= USE_STEP {
            self.session_used(&claims, found.kind, now).await;
        }
        Ok(UserSession { user: found.user, jti: claims.jti })
    }

    /// Notes that a session was used; for the pages, this prolongs it. A database that cannot be written now does not
    /// fail or delay the request.
    async fn session_used(&self, claims: &TokenClaims, kind: SessionKind, now: DateTime<Utc>) {
        const LONGEST: Duration = Duration::from_secs(1);
        let ends_at = DateTime::from_timestamp(claims.exp, 0).filter(|_| kind == SessionKind::Page);
        let expires_at = ends_at.map(|ends_at| ends_at.min(now + PAGE_IDLE));
        let note = self.0.whole_store.session_touch(&claims.jti, now, expires_at);
        match tokio::time::timeout(LONGEST, note).await {
            Ok(Ok(())) => {}
            Ok(Err(why)) => tracing::debug!(%why, "the use of a session is not noted"),
            Err(_elapsed) => tracing::debug!("the use of a session is not noted: the database is busy"),
        }
    }

    /// Issues a ticket with which a stream can be opened by URL alone, for clients that cannot send headers
    /// (`EventSource` of browsers); and its expiry. It is short-lived, since URLs end up in logs.
    pub fn stream_ticket(&self, session: &UserSession) -> (String, DateTime<Utc>) {
        const SECONDS: i64 = 60;
        let now = self.0.clock.now();
        let expires_at = now + TimeDelta::seconds(SECONDS);
        let claims = TokenClaims {
            jti: session.jti.clone(),
            username: session.user.username.clone(),
            iat: now.timestamp(),
            exp: expires_at.timestamp(),
            ticket: true,
        };
        (self.0.tokens.issue(&claims), expires_at)
    }

    /// Revokes the session's token.
    pub async fn logout(&self, session: &UserSession) -> Result<()> {
        self.0.whole_store.session_delete(&session.jti).await?;
        self.0.signals.users_changed.send_modify(|count| *count += 1);
        tracing::info!("logged out");
        Ok(())
    }

    /// Returns when the session is over: it expired, or its user logged out, was deleted or got another role.
    pub async fn session_end(&self, session: &UserSession) {
        /// Poll interval for changes made by other processes.
        const LOOK: Duration = Duration::from_secs(5);
        let mut changed = self.0.signals.users_changed.subscribe();
        loop {
            _ = tokio::time::timeout(LOOK, changed.changed()).await;
            match self.0.whole_store.session_user(&session.jti, self.0.clock.now()).await {
                Ok(Some(found)) if found.user.role == session.user.role => {}
                Ok(_) => return,
                Err(why) => tracing::warn!(%why, "whether a session is over cannot be read"),
            }
        }
    }

    /// Adds a user.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an unusable name, password or role; [`Error::Duplicate`].
    pub async fn user_add(&self, new: &NewUser) -> Result<UserAccount> {
        let role = match new.role.as_str() {
            "" => UserRole::User,
            word => role_named(word)?,
        };
        let others = self.0.whole_store.user_list().await?;
        check_user_name(&new.username, others.iter().map(|user| user.username.as_str()))?;
        check_password(&new.password)?;
        let hash = self.0.passwords.hash(&new.password).await;
        match self.0.whole_store.user_insert(&new.username, &hash, role, self.0.clock.now()).await {
            Err(store::Error::Duplicate(_)) => {
                Err(Error::Duplicate(format!("User already exists with name {}", new.username)))
            }
            other => {
                let user = other?;
                tracing::info!(account = user.username, role = role.as_str(), "account added");
                Ok(user)
            }
        }
    }

    /// All users, by id.
    pub async fn user_list(&self) -> Result<Vec<UserAccount>> {
        Ok(self.0.whole_store.user_list().await?)
    }

    /// One user.
    pub async fn user_get(&self, id: UserId) -> Result<UserAccount> {
        self.0.whole_store.user_get(id).await?.ok_or_else(|| Error::NotFound("No user found with that ID".to_owned()))
    }

    /// A user by name.
    pub async fn user_by_name(&self, username: &str) -> Result<UserAccount> {
        let known = self.0.whole_store.user_by_name(username).await?;
        known.map(|(user, _)| user).ok_or_else(|| Error::NotFound(format!("There is no user named '{username}'")))
    }

    /// Deletes a user; their tokens stop working. An unknown id is no error.
    ///
    /// # Errors
    /// [`Error::Conflict`] for the last admin.
    pub async fn user_delete(&self, id: UserId) -> Result<()> {
        if self.0.whole_store.user_delete(id).await? {
            tracing::info!(account = %id, "account deleted");
        }
        self.0.signals.users_changed.send_modify(|count| *count += 1);
        Ok(())
    }

    /// Changes the password of the session's user; their other tokens stop working.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a wrong old password or an unusable new one; [`Error::Throttled`].
    pub async fn password_change(&self, session: &UserSession, old: &SecretString, new: &SecretString) -> Result<()> {
        check_password(new)?;
        let (inner, user) = (&self.0, &session.user);
        // Throttled like logins: the holder of a stolen token must not be able to guess the password here.
        let origin = LoginOrigin::Session(&session.jti);
        let counted = inner
            .throttle
            .reserve(&user.username, origin, inner.clock.now())
            .map_err(|wait| Error::Throttled { what: "Too many wrong passwords", wait })?;
        let hash = inner.whole_store.user_by_name(&user.username).await?.map(|(_, hash)| hash);
        if !inner.passwords.verify(hash, old).await {
            tracing::warn!(account = user.username, "password not changed: the old one was wrong");
            return Err(Error::Invalid("The old password is wrong".to_owned()));
        }
        inner.throttle.succeeded(counted);
        self.set_password(user, new, Some(&session.jti)).await
    }

    pub(super) async fn set_password(
        &self,
        user: &UserAccount,
        password: &SecretString,
        spared: Option<&str>,
    ) -> Result<()> {
        let hash = self.0.passwords.hash(password).await;
        if !self.0.whole_store.user_set_password(user.id, &hash, spared).await? {
            return Err(Error::NotFound("No user found with that ID".to_owned()));
        }
        if user.username == self.settings().admin.username {
            // The initial password in the file is no longer valid.
            _ = std::fs::remove_file(self.settings().in_data(PASSWORD_FILE));
        }
        self.0.signals.users_changed.send_modify(|count| *count += 1);
        tracing::info!(account = user.username, "password changed");
        Ok(())
    }
}
