//! `/api/v1/users` and `/api/v1/me`.

use axum::Json;
use axum::response::IntoResponse;
use http::{StatusCode, header};
use serde::Deserialize;

use super::lists::{AskedPage, SortWords};
use crate::api::PageReply;
use crate::api::sessions::UserReply;
use crate::api::users::{UserAddForm, UserChangeForm, UserOverviewReply};
use crate::app::{App, NewUser, UserChange, UserSession, role_named};
use crate::catalog::{NameOrder, SortKey, UserAccount, UserFilter, UserId, UserOverview};
use crate::http::error::Result;
use crate::http::extract::{JsonBody, PathParameters, QueryParameters, RequestApp, id};

impl From<UserAccount> for UserReply {
    fn from(UserAccount { id, username, role, created_at }: UserAccount) -> Self {
        Self { id: id.0, username, role: role.as_str().into(), created_at }
    }
}

impl From<UserOverview> for UserOverviewReply {
    fn from(UserOverview { user, last_login_at, sessions }: UserOverview) -> Self {
        let UserAccount { id, username, role, created_at } = user;
        Self { id: id.0, username, role: role.as_str().into(), created_at, last_login_at, sessions }
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
    RequestApp(app): RequestApp,
    QueryParameters(asked): QueryParameters<UserListQuery>,
) -> Result<Json<PageReply<UserOverviewReply>>> {
    let UserListQuery { role, sort, limit, cursor } = asked;
    let asked = AskedPage::read(SORTS, sort.as_deref(), limit, cursor.as_deref())?;
    let role = role.map(|word| role_named(&word)).transpose()?;
    let users = app.user_page(&UserFilter { role }, &asked.page).await?;
    let place = |UserOverview { user, .. }: &UserOverview| match asked.page.order {
        NameOrder::Name => (SortKey::Text(user.username.clone()), user.id.0),
        NameOrder::Id => (SortKey::Number(user.id.0), user.id.0),
    };
    Ok(Json(asked.view(users, place, UserOverviewReply::from)))
}

pub(super) async fn add(
    RequestApp(app): RequestApp,
    JsonBody(form): JsonBody<UserAddForm>,
) -> Result<impl IntoResponse> {
    let UserAddForm { username, password, role } = form;
    let user = app.user_add(&NewUser { username, password, role }).await?;
    let location = [(header::LOCATION, format!("/api/v1/users/{}", user.id))];
    Ok((StatusCode::CREATED, location, Json(overview(&app, user.id).await?)))
}

pub(super) async fn get(
    RequestApp(app): RequestApp,
    PathParameters(user): PathParameters<String>,
) -> Result<Json<UserOverviewReply>> {
    Ok(Json(overview(&app, UserId(id(&user)?)).await?))
}

pub(super) async fn change(
    RequestApp(app): RequestApp,
    PathParameters(user): PathParameters<String>,
    JsonBody(form): JsonBody<UserChangeForm>,
) -> Result<Json<UserOverviewReply>> {
    let id = UserId(id(&user)?);
    let role = form.role.map(|word| role_named(&word)).transpose()?;
    app.user_change(id, &UserChange { role, password: form.password }).await?;
    Ok(Json(overview(&app, id).await?))
}

pub(super) async fn delete(
    RequestApp(app): RequestApp,
    PathParameters(user): PathParameters<String>,
) -> Result<StatusCode> {
    let id = UserId(id(&user)?);
    app.user_get(id).await?;
    app.user_delete(id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn overview(app: &App, id: UserId) -> Result<UserOverviewReply> {
    Ok(app.user_overview(id).await?.into())
}

pub(super) async fn me(session: UserSession) -> Json<UserReply> {
    Json(session.user.into())
}
