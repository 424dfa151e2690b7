//! `/images`.

use axum::Json;
use serde_json::Value;

use super::views::{LegacyImageItemView, LegacyImageView};
use crate::app::{RequestCaller, SearchOptions};
use crate::catalog::ImageId;
use crate::http::error::Result;
use crate::http::extract::{PathParameters, RequestApp, id};
use crate::seed::manifest;

/// The query that matches everything.
pub(super) const EVERYTHING: &str = "+";

pub(super) async fn list(RequestApp(app): RequestApp) -> Result<Json<Vec<LegacyImageItemView>>> {
    Ok(Json(app.image_list().await?.into_iter().map(LegacyImageItemView::from).collect()))
}

pub(super) async fn search(
    RequestApp(app): RequestApp,
    PathParameters(query): PathParameters<String>,
) -> Result<Json<Vec<LegacyImageItemView>>> {
    if query == EVERYTHING {
        return list(RequestApp(app)).await;
    }
    let ranked = app.search_images(Some(&query), &SearchOptions::ALL).await?;
    Ok(Json(ranked.items.into_iter().map(|found| found.item.into()).collect()))
}

pub(super) async fn get(
    RequestApp(app): RequestApp,
    PathParameters(image): PathParameters<String>,
) -> Result<Json<LegacyImageView>> {
    Ok(Json(app.image_get(ImageId(id(&image)?)).await?.into()))
}

pub(super) async fn manifest(
    RequestApp(app): RequestApp,
    PathParameters(image): PathParameters<String>,
) -> Result<Json<Value>> {
    let image = app.image_get(ImageId(id(&image)?)).await?;
    Ok(Json(manifest::with_defaults(&image.facts.manifest)))
}

pub(super) async fn remote_manifest(
    RequestApp(app): RequestApp,
    caller: RequestCaller,
    PathParameters((registry, image)): PathParameters<(String, String)>,
) -> Result<Json<Value>> {
    let text = app.remote_manifest(&caller, &registry, &image).await?;
    Ok(Json(manifest::with_defaults(&text)))
}
