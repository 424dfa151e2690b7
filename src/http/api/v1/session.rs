//! `/api/v1/login`, `/api/v1/logout`, `/api/v1/tickets`, `/api/v1/me/password` and `/api/v1/me/sessions`.

use http::StatusCode;

use crate::api::sessions::{LoginForm, PasswordForm, SessionListReply, SessionReply, TicketReply, TokenReply};
use crate::app::{RequestCaller, UserSession};
use crate::catalog::{SessionKind, SessionRecord};
use crate::http::error::Result;
use crate::http::extract::{JsonBody, PathParameters, RequestApp};

pub(super) async fn login(
    RequestApp(app): RequestApp,
    caller: RequestCaller,
    JsonBody(form): JsonBody<LoginForm>,
) -> Result<axum::Json<TokenReply>> {
    let (token, expires_at) =
        app.login(&form.username, &form.password, &caller, SessionKind::Token, &form.name).await?;
    Ok(axum::Json(TokenReply { token: token.into(), expires_at }))
}

pub(super) async fn logout(RequestApp(app): RequestApp, session: UserSession) -> Result<StatusCode> {
    app.logout(&session).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn ticket(RequestApp(app): RequestApp, session: UserSession) -> (StatusCode, axum::Json<TicketReply>) {
    let (ticket, expires_at) = app.stream_ticket(&session);
    (StatusCode::CREATED, axum::Json(TicketReply { ticket: ticket.into(), expires_at }))
}

pub(super) async fn change_password(
    RequestApp(app): RequestApp,
    session: UserSession,
    JsonBody(form): JsonBody<PasswordForm>,
) -> Result<StatusCode> {
    app.password_change(&session, &form.old_password, &form.new_password).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn list(RequestApp(app): RequestApp, session: UserSession) -> Result<axum::Json<SessionListReply>> {
    let sessions = app.session_list(&session).await?;
    Ok(axum::Json(SessionListReply { items: sessions.into_iter().map(|one| view(one, session.id())).collect() }))
}

pub(super) async fn revoke(
    RequestApp(app): RequestApp,
    session: UserSession,
    PathParameters(id): PathParameters<String>,
) -> Result<StatusCode> {
    app.session_revoke(&session, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn revoke_all(RequestApp(app): RequestApp, session: UserSession) -> Result<StatusCode> {
    app.session_revoke_all(&session).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn view(session: SessionRecord, current: &str) -> SessionReply {
    SessionReply {
        is_current: session.id == current,
        id: session.id,
        name: session.name,
        kind: session.kind.as_str().into(),
        created_at: session.created_at,
        last_used_at: session.last_used_at,
        expires_at: session.expires_at,
        address: session.address,
        agent: session.agent,
    }
}
