//! Pulling an image, with the engine's progress.

use std::time::Duration;

use bollard::auth::DockerCredentials;
use bollard::models::CreateImageInfo;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures_util::StreamExt as _;
use secrecy::ExposeSecret as _;

use super::{Docker, failure};
use crate::engine::runtime::{Credentials, PullProgress, Result};

/// How long the engine may say nothing: then its registry has gone to sleep.
const SILENCE: Duration = Duration::from_secs(300);

pub(super) async fn pull(
    docker: &Docker,
    reference: &str,
    platform: Option<&str>,
    credentials: Option<&Credentials>,
    mut progress: impl FnMut(PullProgress) + Send,
) -> Result<()> {
    // Without a tag the engine would pull all of them.
    let name = if has_tag(reference) { reference.to_owned() } else { format!("{reference}:latest") };
    let options = CreateImageOptionsBuilder::default().from_image(&name).platform(platform.unwrap_or_default()).build();
    let credentials = credentials.map(|credentials| DockerCredentials {
        username: Some(credentials.username.clone()),
        password: Some(credentials.password.expose_secret().to_owned()),
        serveraddress: name.split_once('/').map(|(host, _)| host.to_owned()),
        ..DockerCredentials::default()
    });
    let mut events = docker.client.create_image(Some(options), None, credentials);
    loop {
        match tokio::time::timeout(SILENCE, events.next()).await {
            Ok(Some(Ok(event))) => progress(told(event)),
            Ok(Some(Err(why))) => return Err(docker.failure(why).pull(reference)),
            Ok(None) => return Ok(()),
            Err(_) => {
                let reason = format!("nothing happened for {} seconds", SILENCE.as_secs());
                return Err(failure::unreachable(reference, reason));
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

/// Whether a reference says which image of its repository.
fn has_tag(reference: &str) -> bool {
    let last = reference.rsplit('/').next().unwrap_or(reference);
    last.contains(':') || last.contains('@')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_no_tag() {
        assert!(has_tag("a:1") && has_tag("host:5000/a:1") && has_tag("a@sha256:00"));
        assert!(!has_tag("a") && !has_tag("host:5000/a"));
    }
}
