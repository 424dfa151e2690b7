//! What admins see of users, and change.

use std::collections::HashMap;

use secrecy::SecretString;

use super::names::check_password;
use super::{App, Error, Result};
use crate::catalog::{ListPage, NameOrder, UserAccount, UserFilter, UserId, UserOverview, UserRole};
use crate::store;

/// A change of a user: `None` keeps a value.
#[derive(Debug, Default)]
pub struct UserChange {
    pub role: Option<UserRole>,
    pub password: Option<SecretString>,
}

impl App {
    /// A page of users, with what is known of their logins.
    pub async fn user_page(&self, filter: &UserFilter, page: &ListPage<NameOrder>) -> Result<Vec<UserOverview>> {
        let users = self.store().user_page(filter, page).await?;
        self.with_logins(users).await
    }

    /// All users, with what is known of their logins.
    pub async fn user_overviews(&self) -> Result<Vec<UserOverview>> {
        self.with_logins(self.user_list().await?).await
    }

    /// One user, with what is known of the logins.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn user_overview(&self, id: UserId) -> Result<UserOverview> {
        let found = self.with_logins(vec![self.user_get(id).await?]).await?;
        found.into_iter().next().ok_or_else(|| Error::NotFound("No user found with that ID".to_owned()))
    }

    /// In the order of the list; users that were deleted meanwhile are left out.
    async fn with_logins(&self, users: Vec<UserAccount>) -> Result<Vec<UserOverview>> {
        let ids: Vec<UserId> = users.iter().map(|user| user.id).collect();
        let found = self.store().user_overviews(&ids, self.0.clock.now()).await?;
        let mut found: HashMap<i64, UserOverview> =
            found.into_iter().map(|overview| (overview.user.id.0, overview)).collect();
        Ok(ids.iter().filter_map(|id| found.remove(&id.0)).collect())
    }

    /// Changes a user's role and password. Either ends all sessions of the user.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Invalid`] for an unusable password; [`Error::Conflict`] for the last admin.
    pub async fn user_change(&self, id: UserId, change: &UserChange) -> Result<()> {
        let user = self.user_get(id).await?;
        if let Some(password) = &change.password {
            check_password(password)?;
        }
        if let Some(role) = change.role.filter(|role| *role != user.role) {
            self.set_role(&user, role).await?;
        }
        match &change.password {
            Some(password) => self.set_password(&user, password, None).await,
            None => Ok(()),
        }
    }

    async fn set_role(&self, user: &UserAccount, role: UserRole) -> Result<()> {
        match self.store().user_set_role(user.id, role).await {
            Ok(true) => {}
            Ok(false) => return Err(Error::NotFound("No user found with that ID".to_owned())),
            Err(store::Error::LastAdmin) => {
                let text = "The last admin must stay one; make another user an admin first";
                return Err(Error::Conflict(text.to_owned()));
            }
            Err(why) => return Err(why.into()),
        }
        self.0.signals.users_changed.send_modify(|count| *count += 1);
        tracing::info!(account = user.username, role = role.as_str(), "role changed");
        Ok(())
    }
}
