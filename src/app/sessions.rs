//! What users do with their own sessions: list and end them; and the tokens of forms, which belong to a session.

use super::{App, Error, Result, UserSession};
use crate::catalog::SessionRecord;

/// The most sessions that are listed.
const MOST_LISTED: u32 = 100;

impl App {
    /// The sessions of this session's user that have not ended, the last used ones first; 100 at most.
    pub async fn session_list(&self, session: &UserSession) -> Result<Vec<SessionRecord>> {
        Ok(self.store().session_list(session.user.id, self.0.clock.now(), MOST_LISTED).await?)
    }

    /// Ends a session of this session's user; it may be this one.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the user has no such session.
    pub async fn session_revoke(&self, session: &UserSession, id: &str) -> Result<()> {
        if !self.store().session_delete_own(session.user.id, id).await? {
            return Err(Error::NotFound("You have no session with that id; it may have ended already".to_owned()));
        }
        self.0.signals.users_changed.send_modify(|count| *count += 1);
        tracing::info!(account = session.user.username, "session ended");
        Ok(())
    }

    /// Ends all sessions of this session's user, this one too.
    pub async fn session_revoke_all(&self, session: &UserSession) -> Result<()> {
        let ended = self.store().session_delete_all(session.user.id).await?;
        self.0.signals.users_changed.send_modify(|count| *count += 1);
        tracing::info!(account = session.user.username, ended, "all sessions ended");
        Ok(())
    }

    /// The token that forms of this session carry. It proves that a page of ours made the form, and grants nothing else.
    pub fn form_token(&self, session: &UserSession) -> String {
        self.0.tokens.form_token(&session.jti)
    }

    /// Whether a form of this session carried its token.
    pub fn is_form_token(&self, session: &UserSession, token: &str) -> bool {
        self.0.tokens.is_form_token(&session.jti, token)
    }
}
