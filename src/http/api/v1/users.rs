//! `/api/v1/users` and `/api/v1/me`.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::PageView;
use super::lists::{AskedPage, SortWords};
use crate::app::{App, UserSession, role_named};
use crate::catalog::{NameOrder, SortKey, UserAccount, UserFilter};
use crate::http::error::Result;
use crate::http::extract::QueryParameters;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct UserView {
    id: i64,
    username: String,
    role: &'static str,
    created_at: DateTime<Utc>,
}

impl From<UserAccount> for UserView {
    fn from(UserAccount { id, username, role, created_at }: UserAccount) -> Self {
        Self { id: id.0, username, role: role.as_str(), created_at }
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
) -> Result<Json<PageView<UserView>>> {
    let UserListQuery { role, sort, limit, cursor } = asked;
    let asked = AskedPage::read(SORTS, sort.as_deref(), limit, cursor.as_deref())?;
    let role = role.map(|word| role_named(&word)).transpose()?;
    let filter = UserFilter { role };
    let users = app.user_page(&filter, &asked.page).await?;
    let place = |user: &UserAccount| match asked.page.order {
        NameOrder::Name => (SortKey::Text(user.username.clone()), user.id.0),
        NameOrder::Id => (SortKey::Number(user.id.0), user.id.0),
    };
    Ok(Json(asked.view(users, place, UserView::from)))
}

pub(super) async fn me(session: UserSession) -> Json<UserView> {
    Json(session.user.into())
}
