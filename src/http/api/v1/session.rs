//! `/api/v1/login`, `/api/v1/logout`, `/api/v1/tickets` and `/api/v1/me/password`.

use axum::extract::State;
use http::StatusCode;

use crate::api::sessions::{LoginForm, PasswordForm, TicketReply, TokenReply};
use crate::app::{App, RequestCaller, UserSession};
use crate::http::error::Result;
use crate::http::extract::JsonBody;

pub(super) async fn login(
    State(app): State<App>,
    caller: RequestCaller,
    JsonBody(form): JsonBody<LoginForm>,
) -> Result<axum::Json<TokenReply>> {
    let (token, expires_at) = app.login(&form.username, &form.password, &caller).await?;
    Ok(axum::Json(TokenReply { token: token.into(), expires_at }))
}

pub(super) async fn logout(State(app): State<App>, session: UserSession) -> Result<StatusCode> {
    app.logout(&session).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn ticket(State(app): State<App>, session: UserSession) -> (StatusCode, axum::Json<TicketReply>) {
    let (ticket, expires_at) = app.stream_ticket(&session);
    (StatusCode::CREATED, axum::Json(TicketReply { ticket: ticket.into(), expires_at }))
}

pub(super) async fn change_password(
    State(app): State<App>,
    session: UserSession,
    JsonBody(form): JsonBody<PasswordForm>,
) -> Result<StatusCode> {
    app.password_change(&session, &form.old_password, &form.new_password).await?;
    Ok(StatusCode::NO_CONTENT)
}
