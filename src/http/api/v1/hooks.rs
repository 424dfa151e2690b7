//! `/api/v1/registries/{id}/hook`: creates and removes the URL that a registry sends notifications to.

use axum::extract::State;
use http::StatusCode;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize, Serializer};

use crate::app::App;
use crate::catalog::RegistryId;
use crate::http::error::Result;
use crate::http::extract::{JsonBody, PathParameters, id};
use crate::http::proxied::PublicUrl;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HookForm {
    /// Secret with which notifications must be signed, as GitHub does; empty for none.
    #[serde(default)]
    secret: SecretString,
}

#[derive(Serialize)]
pub(super) struct NewHookView {
    #[serde(serialize_with = "told_once")]
    url: SecretString,
    /// How to set it up at the registry.
    #[serde(serialize_with = "told_once")]
    advice: SecretString,
}

/// Only this reply contains the URL; it cannot be read again.
fn told_once<S: Serializer>(secret: &SecretString, to: S) -> std::result::Result<S::Ok, S::Error> {
    to.serialize_str(secret.expose_secret())
}

pub(super) async fn make(
    State(app): State<App>,
    PathParameters(registry): PathParameters<String>,
    PublicUrl(base): PublicUrl,
    form: Option<JsonBody<HookForm>>,
) -> Result<(StatusCode, axum::Json<NewHookView>)> {
    let form = form.map(|JsonBody(form)| form).unwrap_or_default();
    let hook = app.hook_make(RegistryId(id(&registry)?), &base, Some(&form.secret)).await?;
    Ok((StatusCode::CREATED, axum::Json(NewHookView { url: hook.url, advice: hook.advice })))
}

pub(super) async fn remove(
    State(app): State<App>,
    PathParameters(registry): PathParameters<String>,
) -> Result<StatusCode> {
    app.hook_remove(RegistryId(id(&registry)?)).await?;
    Ok(StatusCode::NO_CONTENT)
}
