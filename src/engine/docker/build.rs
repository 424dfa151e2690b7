//! Building an image, with progress. Success is decided by the engine's last answer and by the image that it then
//! has, not by progress messages.

use std::collections::{HashMap, HashSet};

use bollard::auth::DockerCredentials;
use bollard::models::{BuildInfo, BuildInfoAux};
use bollard::query_parameters::{BuildImageOptionsBuilder, BuilderVersion};
use futures_util::StreamExt as _;

use super::images::for_engine;
use super::{DockerClient, failure};
use crate::engine::build::BuildContext;
use crate::engine::build::instructions::{bases, needs_build_kit, with_labels};
use crate::engine::build::older_dockerfile::older;
use crate::engine::runtime::{ContainerRuntime as _, EngineImage, Error, RegistryCredentials, Result};
use crate::seed::image_reference::ImageReference;

/// Parts of an engine's error message about an unknown instruction or flag.
const UNKNOWN: [&str; 5] =
    ["unknown instruction", "unknown flag", "only supports the", "copier: stat", "requires buildkit"];

/// An image to build.
#[derive(Clone, Debug)]
pub struct ImageBuild<'a> {
    /// Its name.
    pub name: &'a ImageReference,
    pub labels: HashMap<String, String>,
    /// Images whose layers may be reused as build cache.
    pub cache_from: Vec<String>,
    /// Build arguments: values for the `ARG`s of the Dockerfile.
    pub arguments: HashMap<String, String>,
    /// As in `linux/arm64`; `None`: the engine's default.
    pub platform: Option<&'a str>,
    /// Network mode of `RUN` steps, as in `docker build --network`; `None`: the engine's default.
    pub network: Option<&'a str>,
    /// By registry host, for the base images of the Dockerfile.
    pub credentials: HashMap<String, RegistryCredentials>,
}

impl DockerClient {
    /// Builds an image; `progress` receives the engine's output. If the engine does not know a part of the
    /// Dockerfile, it is rewritten for older engines and built again, if possible.
    ///
    /// # Errors
    /// [`Error::Build`], also if the image lacks a requested label.
    pub async fn build(
        &self,
        what: &ImageBuild<'_>,
        context: BuildContext,
        mut progress: impl FnMut(&str),
    ) -> Result<EngineImage> {
        let is_unknown = |why: &Error| matches!(why, Error::Build { reason } if failure::says(reason, &UNKNOWN));
        let needs = needs_build_kit(&context.instructions);
        let mut built = self.build_once(what, context.clone(), &mut progress).await;
        if let (true, Some(older)) = (built.as_ref().is_err_and(is_unknown), older(&context.instructions)) {
            progress("The engine does not support all of this Dockerfile, so it is rewritten.\n");
            let mut context = context;
            older.files.iter().for_each(|(name, text)| context.add(name, text));
            context.set_instructions(older.text);
            built = self.build_once(what, context, &mut progress).await;
        }
        built.map_err(|why| if is_unknown(&why) { add_remedy(why, needs.as_deref(), self.is_podman) } else { why })
    }

    async fn build_once(
        &self,
        what: &ImageBuild<'_>,
        mut context: BuildContext,
        progress: &mut impl FnMut(&str),
    ) -> Result<EngineImage> {
        // Podman has one builder only.
        let needs = needs_build_kit(&context.instructions);
        let version = match &needs {
            Some(_) if !self.is_podman => BuilderVersion::BuilderBuildKit,
            _ => BuilderVersion::BuilderV1,
        };
        if version == BuilderVersion::BuilderBuildKit {
            self.pull_bases(what, &context, progress).await?;
        }
        let mut options = BuildImageOptionsBuilder::default()
            .version(version)
            .dockerfile(&context.dockerfile)
            .t(what.name.as_str())
            .buildargs(&what.arguments)
            .rm(true)
            .forcerm(true);
        if self.is_podman {
            // Podman treats labels as lines of the Dockerfile and expands variables in them.
            context.set_instructions(with_labels(&context.instructions, &what.labels));
        } else {
            options = options.labels(&what.labels);
        }
        if !what.cache_from.is_empty() {
            options = options.cachefrom(&what.cache_from);
        }
        if let Some(platform) = what.platform {
            options = options.platform(platform);
        }
        if let Some(network) = what.network {
            options = options.networkmode(network);
        }
        let credentials: HashMap<String, DockerCredentials> =
            what.credentials.iter().map(|(host, login)| (host.clone(), for_engine(login, host))).collect();
        let mut pieces = context.send();
        let (unsent, mut why_unsent) = tokio::sync::oneshot::channel();
        let mut unsent = Some(unsent);
        let body = futures_util::stream::poll_fn(move |task| {
            pieces.poll_recv(task).map(|piece| match piece? {
                Ok(bytes) => Some(Ok(bytes)),
                Err(why) => {
                    if let Some(unsent) = unsent.take() {
                        _ = unsent.send(why.to_string());
                    }
                    Some(Err(why))
                }
            })
        });
        let body = bollard::body_try_stream(body);
        let mut events = self.client.build_image(options.build(), Some(credentials), Some(body));
        let mut told = HashSet::new();
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => tell(event, &mut told, progress),
                // Our own read error is more useful than the engine's about a truncated stream.
                Err(why) => {
                    return Err(match why_unsent.try_recv() {
                        Ok(reason) => Error::Build { reason },
                        Err(_) => self.failure(why).build(),
                    });
                }
            }
        }
        let built = self.image(what.name).await?;
        match what.labels.iter().find(|(label, value)| built.labels.get(*label) != Some(value)) {
            Some((label, _)) => Err(Error::Build {
                reason: format!(
                    "the engine has changed the value of the label {label}; build it with Docker's own engine"
                ),
            }),
            None => Ok(built),
        }
    }
}

impl DockerClient {
    /// Pulls missing base images that need credentials. BuildKit asks for credentials over a session, which is not
    /// opened here, but uses images that the engine has.
    async fn pull_bases(
        &self,
        what: &ImageBuild<'_>,
        context: &BuildContext,
        progress: &mut impl FnMut(&str),
    ) -> Result<()> {
        for base in bases(&context.instructions) {
            // The engine reports an invalid name.
            let Ok(base) = base.parse::<ImageReference>() else { continue };
            let host = base.as_str().split_once('/').map(|(host, _)| host);
            let login = host.and_then(|host| what.credentials.get(host));
            if let (Some(login), Err(Error::NoImage { .. })) = (login, self.image(&base).await) {
                progress(&format!("Pulling {base}\n"));
                self.pull(&base, what.platform, Some(login), |_| {}).await?;
            }
        }
        Ok(())
    }
}

/// Adds to the error what the user can do about it.
fn add_remedy(why: Error, needs: Option<&str>, is_podman: bool) -> Error {
    match (why, needs) {
        (Error::Build { reason }, Some(needs)) => {
            let way_out = if is_podman {
                "this Podman does not support it, so rewrite it, or build with a newer Podman or with Docker"
            } else {
                "this engine's BuildKit does not support it, so rewrite it, use a newer engine, or begin the \
                 Dockerfile with `# syntax=docker/dockerfile:1`, which is fetched from Docker Hub"
            };
            Error::Build { reason: format!("{reason} (the Dockerfile has {needs}: {way_out})") }
        }
        (why, _) => why,
    }
}

/// Reports a build event. `told`: digests of the BuildKit steps that were reported.
fn tell(event: BuildInfo, told: &mut HashSet<String>, progress: &mut impl FnMut(&str)) {
    if let Some(BuildInfoAux::BuildKit(status)) = event.aux {
        for step in status.vertexes.iter().filter(|step| step.started.is_some()) {
            if told.insert(step.digest.clone()) {
                progress(&format!("{}\n", step.name));
            }
        }
        return status.logs.iter().for_each(|log| progress(&String::from_utf8_lossy(&log.msg)));
    }
    if let Some(text) = event.stream {
        return progress(&text);
    }
    // Pull events without byte counts: the start and end of a layer.
    if let (Some(status), None) = (event.status, event.progress_detail.and_then(|detail| detail.current)) {
        let layer = event.id.map(|id| format!("{id}: ")).unwrap_or_default();
        progress(&format!("{layer}{status}\n"));
    }
}

impl failure::EngineFailure<'_> {
    /// Error of a build.
    fn build(self) -> Error {
        use bollard::errors::Error as BollardError;
        let reason = failure::words(&self.why);
        match self.why {
            BollardError::DockerStreamError { .. } | BollardError::DockerResponseServerError { .. }
                if !failure::is_disk_full(&reason) =>
            {
                Error::Build { reason }
            }
            _ => self.other(),
        }
    }
}
