//! `/api/v1/login` and `/api/v1/logout`.

use axum::extract::State;
use chrono::{DateTime, Utc};
use http::StatusCode;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::app::{App, Session};
use crate::http::error::Result;
use crate::http::extract::{ClientAddress, Json};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LoginForm {
    username: String,
    password: SecretString,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TokenView {
    token: String,
    expires_at: DateTime<Utc>,
}

pub(super) async fn login(
    State(app): State<App>,
    ClientAddress(address): ClientAddress,
    Json(form): Json<LoginForm>,
) -> Result<axum::Json<TokenView>> {
    let (token, expires_at) = app.login(&form.username, &form.password, &address).await?;
    Ok(axum::Json(TokenView { token, expires_at }))
}

pub(super) async fn logout(State(app): State<App>, session: Session) -> Result<StatusCode> {
    app.logout(&session).await?;
    Ok(StatusCode::NO_CONTENT)
}
