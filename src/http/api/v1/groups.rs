//! `/api/v1/groups`: groups of users, which registries have as members.

use axum::Json;
use http::StatusCode;

use crate::api::users::{GroupForm, GroupReply};
use crate::catalog::UserGroup;
use crate::http::error::Result;
use crate::http::extract::{JsonBody, PathParameters, RequestApp};

fn group_reply(UserGroup { name, users }: UserGroup) -> GroupReply {
    GroupReply { name, users }
}

pub(super) async fn list(RequestApp(app): RequestApp) -> Result<Json<Vec<GroupReply>>> {
    Ok(Json(app.group_list().await?.into_iter().map(group_reply).collect()))
}

pub(super) async fn put(
    RequestApp(app): RequestApp,
    PathParameters(name): PathParameters<String>,
    JsonBody(GroupForm { users }): JsonBody<GroupForm>,
) -> Result<Json<GroupReply>> {
    let group = UserGroup { name, users };
    app.group_put(&group).await?;
    Ok(Json(group_reply(group)))
}

pub(super) async fn delete(
    RequestApp(app): RequestApp,
    PathParameters(name): PathParameters<String>,
) -> Result<StatusCode> {
    app.group_delete(&name).await?;
    Ok(StatusCode::NO_CONTENT)
}
