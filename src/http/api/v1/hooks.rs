//! `/api/v1/registries/{id}/hook`: creates and removes the URL that a registry sends notifications to.

use http::StatusCode;

use crate::api::registries::{HookForm, HookReply};
use crate::catalog::RegistryId;
use crate::http::error::Result;
use crate::http::extract::{JsonBody, PathParameters, RequestApp, id};
use crate::http::proxied::PublicUrl;

pub(super) async fn make(
    RequestApp(app): RequestApp,
    PathParameters(registry): PathParameters<String>,
    PublicUrl(base): PublicUrl,
    form: Option<JsonBody<HookForm>>,
) -> Result<(StatusCode, axum::Json<HookReply>)> {
    let form = form.map(|JsonBody(form)| form).unwrap_or_default();
    let hook = app.hook_make(RegistryId(id(&registry)?), &base, Some(&form.secret)).await?;
    Ok((StatusCode::CREATED, axum::Json(HookReply { url: hook.url, advice: hook.advice })))
}

pub(super) async fn remove(
    RequestApp(app): RequestApp,
    PathParameters(registry): PathParameters<String>,
) -> Result<StatusCode> {
    app.hook_remove(RegistryId(id(&registry)?)).await?;
    Ok(StatusCode::NO_CONTENT)
}
