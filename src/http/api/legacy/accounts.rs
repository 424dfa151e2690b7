//! `/login` and `/users`.

use axum::Json;
use http::StatusCode;
use secrecy::SecretString;
use serde_json::{Value, json};

use super::success;
use super::views::{LegacyNewUserView, LegacyUserView};
use crate::app::{Error, NewUser, RequestCaller, UserSession};
use crate::catalog::{SessionKind, UserId, UserRole};
use crate::http::error::Result;
use crate::http::extract::{CaseInsensitiveJson, PathParameters, RequestApp, id};

pub(super) async fn login(
    RequestApp(app): RequestApp,
    caller: RequestCaller,
    body: CaseInsensitiveJson,
) -> Result<Json<Value>> {
    let password = SecretString::from(body.text("password")?);
    let (token, _expires_at) = app.login(&body.text("username")?, &password, &caller, SessionKind::Token, "").await?;
    Ok(Json(json!({ "token": token })))
}

pub(super) async fn list(
    RequestApp(app): RequestApp,
    session: Option<UserSession>,
) -> Result<Json<Vec<LegacyUserView>>> {
    if !app.settings().auth.open_user_list {
        let session = session.ok_or(Error::Unauthenticated("Missing authorization token"))?;
        if session.user.role != UserRole::Admin {
            return Err(session.refused(UserRole::Admin).into());
        }
    }
    Ok(Json(app.user_list().await?.into_iter().map(LegacyUserView::from).collect()))
}

pub(super) async fn get(
    RequestApp(app): RequestApp,
    PathParameters(user): PathParameters<String>,
) -> Result<Json<LegacyUserView>> {
    Ok(Json(app.user_get(UserId(id(&user)?)).await?.into()))
}

pub(super) async fn add(
    RequestApp(app): RequestApp,
    body: CaseInsensitiveJson,
) -> Result<(StatusCode, Json<LegacyNewUserView>)> {
    let new = NewUser {
        username: body.text("username")?,
        password: SecretString::from(body.text("password")?),
        role: body.text("role")?,
    };
    Ok((StatusCode::CREATED, Json(app.user_add(&new).await?.into())))
}

pub(super) async fn delete(
    RequestApp(app): RequestApp,
    PathParameters(user): PathParameters<String>,
) -> Result<Json<Value>> {
    app.user_delete(UserId(id(&user)?)).await?;
    Ok(success())
}
