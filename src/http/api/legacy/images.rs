//! `/images`.

use axum::Json;
use axum::extract::State;
use serde_json::Value;

use super::views::{ImageView, SimpleImageView};
use crate::app::{App, RequestCaller, SearchOptions};
use crate::catalog::ImageId;
use crate::http::error::Result;
use crate::http::extract::{Path, id};
use crate::seed::manifest;

/// The query that matches everything.
pub(super) const EVERYTHING: &str = "+";

pub(super) async fn list(State(app): State<App>) -> Result<Json<Vec<SimpleImageView>>> {
    Ok(Json(app.image_list().await?.into_iter().map(SimpleImageView::from).collect()))
}

pub(super) async fn search(State(app): State<App>, Path(query): Path<String>) -> Result<Json<Vec<SimpleImageView>>> {
    if query == EVERYTHING {
        return list(State(app)).await;
    }
    let ranked = app.search_images(Some(&query), &SearchOptions::ALL).await?;
    Ok(Json(ranked.items.into_iter().map(|found| found.item.into()).collect()))
}

pub(super) async fn get(State(app): State<App>, Path(image): Path<String>) -> Result<Json<ImageView>> {
    Ok(Json(app.image_get(ImageId(id(&image)?)).await?.into()))
}

pub(super) async fn manifest(State(app): State<App>, Path(image): Path<String>) -> Result<Json<Value>> {
    let image = app.image_get(ImageId(id(&image)?)).await?;
    Ok(Json(manifest::with_defaults(&image.facts.manifest)))
}

pub(super) async fn remote_manifest(
    State(app): State<App>,
    caller: RequestCaller,
    Path((registry, image)): Path<(String, String)>,
) -> Result<Json<Value>> {
    let text = app.remote_manifest(&caller, &registry, &image).await?;
    Ok(Json(manifest::with_defaults(&text)))
}
