//! The pages of a job: one of its versions, and two of them compared.

mod commands;
mod comparison;
mod get;
mod manifest_view;
mod view;

use axum::response::Response;
use serde::Deserialize;

pub(super) use self::commands::{assigned, joined};
use self::view::JobPage;
pub(super) use self::view::{TimeView, bytes};
use super::{PageFrame, reply, see_other};
use crate::app::{JobKey, JobVersionChoice};
use crate::catalog::ImageId;
use crate::http::error::Result;
use crate::http::extract::{PathParameters, QueryParameters, RequestApp, id};
use crate::http::path_part::{job_version_path, read_part, version_choice};
use crate::http::proxied::PublicUrl;
use crate::http::routes::{RouteAccess, RouteTable};

pub(super) fn add(routes: RouteTable) -> RouteTable {
    use RouteAccess::Anyone;
    routes
        .add_page("/job/{name}", Anyone, job)
        .add_page("/job/{name}/{job_version}/{package_version}", Anyone, version)
        .add_page("/job/{name}/compare", Anyone, comparison::choose)
        .add_page("/job/{name}/compare/{versions}", Anyone, comparison::show)
        .add_page("/image/{id}", Anyone, image)
}

#[derive(Deserialize)]
struct JobQuery {
    /// A version to go to, as the form of the page sends it.
    version: Option<String>,
    /// One of several images with the same versions.
    image: Option<i64>,
}

/// The job in its latest version.
async fn job(
    RequestApp(app): RequestApp,
    frame: PageFrame,
    PublicUrl(public_url): PublicUrl,
    PathParameters(name): PathParameters<String>,
    QueryParameters(JobQuery { version, image }): QueryParameters<JobQuery>,
) -> Result<Response> {
    let key = JobKey::Name(read_part(&name));
    let Some(version) = version else {
        let detail = app.job_image(&key, None, image.map(ImageId)).await?;
        return reply(&JobPage::new(frame, &public_url, detail));
    };
    let facts = app.job_image(&key, Some(&version_choice(&version)), None).await?.image.facts;
    Ok(see_other(&job_version_path(&facts.job_name, &facts.job_version, &facts.package_version)))
}

/// The job in one version.
async fn version(
    RequestApp(app): RequestApp,
    frame: PageFrame,
    PublicUrl(public_url): PublicUrl,
    PathParameters((name, job_version, package_version)): PathParameters<(String, String, String)>,
    QueryParameters(JobQuery { image, .. }): QueryParameters<JobQuery>,
) -> Result<Response> {
    let choice =
        JobVersionChoice { job_version: read_part(&job_version), package_version: Some(read_part(&package_version)) };
    let key = JobKey::Name(read_part(&name));
    let detail = app.job_image(&key, Some(&choice), image.map(ImageId)).await?;
    reply(&JobPage::new(frame, &public_url, detail))
}

/// Redirects to the page of the image's job in its version.
async fn image(RequestApp(app): RequestApp, PathParameters(image): PathParameters<String>) -> Result<Response> {
    let (image, is_first) = app.image_and_rank(ImageId(id(&image)?)).await?;
    let path = job_version_path(&image.facts.job_name, &image.facts.job_version, &image.facts.package_version);
    let query = if is_first { String::new() } else { format!("?image={}", image.id) };
    Ok(see_other(&format!("{path}{query}")))
}
