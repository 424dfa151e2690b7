//! `/api/v1/users` and `/api/v1/me`.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;

use super::lists::{AskedPage, SortWords};
use crate::api::PageReply;
use crate::api::sessions::UserReply;
use crate::app::{App, UserSession, role_named};
use crate::catalog::{NameOrder, SortKey, UserAccount, UserFilter};
use crate::http::error::Result;
use crate::http::extract::QueryParameters;

impl From<UserAccount> for UserReply {
    fn from(UserAccount { id, username, role, created_at }: UserAccount) -> Self {
        Self { id: id.0, username, role: role.as_str().into(), created_at }
    }
}

const SORTS: &SortWords<NameOrder> = &[("name", NameOrder::Name), ("id", NameOrder::Id)];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UserListQuery {
    role: Option<String>,
    sort: Option<String>,
    limit: Option<u32>,
    cursor: Option<String>,
}

pub(super) async fn list(
    State(app): State<App>,
    QueryParameters(asked): QueryParameters<UserListQuery>,
) -> Result<Json<PageReply<UserReply>>> {
    let UserListQuery { role, sort, limit, cursor } = asked;
    let asked = AskedPage::read(SORTS, sort.as_deref(), limit, cursor.as_deref())?;
    let role = role.map(|word| role_named(&word)).transpose()?;
    let filter = UserFilter { role };
    let users = app.user_page(&filter, &asked.page).await?;
    let place = |user: &UserAccount| match asked.page.order {
        NameOrder::Name => (SortKey::Text(user.username.clone()), user.id.0),
        NameOrder::Id => (SortKey::Number(user.id.0), user.id.0),
    };
    Ok(Json(asked.view(users, place, UserReply::from)))
}

pub(super) async fn me(session: UserSession) -> Json<UserReply> {
    Json(session.user.into())
}
