//! `/hooks/{token}`: notifications of registries.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use http::{HeaderMap, Method, StatusCode};
use serde::Serialize;

use super::error::{HttpFailure, Result};
use super::extract::{PathParameters, RequestApp};
use super::routes::{RouteAccess, RouteTable};
use crate::app::{Error, HookNotification, LONGEST_NOTIFICATION};

pub(super) fn add(routes: RouteTable) -> RouteTable {
    // The token in the path is the credential.
    routes.add_capped(Method::POST, "/hooks/{token}", RouteAccess::Anyone, receive, LONGEST_NOTIFICATION)
}

#[derive(Serialize)]
struct AcceptedNotificationView {
    /// Repositories that will be listed again; empty if the notification concerns none of ours.
    repositories: Vec<String>,
}

async fn receive(
    RequestApp(app): RequestApp,
    PathParameters(token): PathParameters<String>,
    headers: HeaderMap,
    body: std::result::Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<impl Serialize>)> {
    let body = body.map_err(|why| match why.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            Error::TooLarge(format!("The notification is longer than {LONGEST_NOTIFICATION} bytes")).into()
        }
        _ => HttpFailure::from(why),
    })?;
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let notification =
        HookNotification { body: &body, cloud_event: header("ce-type"), signature: header("x-hub-signature-256") };
    let repositories = app.hook_receive(&token, notification).await?;
    Ok((StatusCode::ACCEPTED, Json(AcceptedNotificationView { repositories })))
}
