//! Pulling an image, with progress.

use std::time::Duration;

use bollard::models::CreateImageInfo;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures_util::StreamExt as _;

use super::images::for_engine;
use super::{DockerClient, failure};
use crate::engine::runtime::{PullProgress, RegistryCredentials, Result};
use crate::seed::image_reference::ImageReference;

/// Time limit between two events: then the registry is taken for unreachable.
const SILENCE: Duration = Duration::from_secs(300);

pub(super) async fn pull(
    docker: &DockerClient,
    reference: &ImageReference,
    platform: Option<&str>,
    credentials: Option<&RegistryCredentials>,
    mut progress: impl FnMut(PullProgress) + Send,
) -> Result<()> {
    // Without a tag the engine would pull all tags.
    let name = reference.with_default_tag();
    let options =
        CreateImageOptionsBuilder::default().from_image(name.as_str()).platform(platform.unwrap_or_default()).build();
    let host = name.as_str().split_once('/').map_or("", |(host, _)| host);
    let credentials = credentials.map(|login| for_engine(login, host));
    let mut events = docker.client.create_image(Some(options), None, credentials);
    loop {
        match tokio::time::timeout(SILENCE, events.next()).await {
            Ok(Some(Ok(event))) => progress(told(event)),
            Ok(Some(Err(why))) => return Err(docker.failure(why).pull(reference.as_str())),
            Ok(None) => return Ok(()),
            Err(_) => {
                let reason = format!("nothing happened for {} seconds", SILENCE.as_secs());
                return Err(failure::unreachable(reference.as_str(), reason));
            }
        }
    }
}

fn told(event: CreateImageInfo) -> PullProgress {
    let bytes = event
        .progress_detail
        .and_then(|detail| Some((detail.current?.try_into().ok()?, detail.total.unwrap_or_default().try_into().ok()?)));
    PullProgress { layer: event.id, status: event.status.unwrap_or_default(), bytes }
}
