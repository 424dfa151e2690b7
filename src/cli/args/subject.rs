//! The job that a command names, the engine that runs it, and a run from plan to record.

use std::ops::ControlFlow::{self, Break, Continue};
use std::path::Path;
use std::pin::pin;

use anyhow::{Context as _, anyhow, bail};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::engine_at::EngineWithImage;
use super::manifest_file;
use super::manifest_file::{ManifestFile, shown};
use super::run::{Options, image_reference, name_of, usage, valid};
use crate::app::remote_images;
use crate::cli::output::live::{JobOutputMode, StopSignals, TransferBar};
use crate::cli::output::render::tame;
use crate::cli::suggest::nearest_path;
use crate::cli::{ExitStatus, complain};
use crate::clock::Clock;
use crate::engine::away::ENGINE_AWAY;
use crate::engine::docker::{ContainerEngine, DockerClient};
use crate::engine::fetch::{PullPolicy, WantedImage, fetch};
use crate::engine::plan::RunPlan;
use crate::engine::plan::container::RUN;
use crate::engine::plan::request::RunRequest;
use crate::engine::run::logs::DEFAULT_CAP;
use crate::engine::run::orphans::{ContainerOwner, OWNER_LABEL, sweep};
use crate::engine::run::outputs::OutputRules;
use crate::engine::run::record::{RecordedInputs, RunRecord, Status};
use crate::engine::run::removal_guard::KeepContainer;
use crate::engine::run::supervisor::AttemptEvent;
use crate::engine::run::verdict::RunErrorCategory;
use crate::engine::run::{AttemptRequest, run};
use crate::engine::runtime::{self, ContainerRuntime as _, ContainerSignal, EngineImage, RegistryCredentials};
use crate::seed::image_reference::ImageReference;
use crate::seed::model::SeedManifest;
use crate::seed::{LABEL, label};

/// An image with its manifest.
pub(in crate::cli) struct LocalJob {
    /// As typed, or as the manifest names it.
    pub image: ImageReference,
    pub manifest: SeedManifest,
    /// `None` for a dry run of a manifest on disk, which needs no engine.
    pub machine: Option<EngineWithImage>,
}

impl LocalJob {
    /// Finds the job. Wrong usage and problems of the manifest are printed, and returned as the exit code of the
    /// command.
    ///
    /// # Errors
    /// There is no engine, or no such image.
    pub(in crate::cli) async fn find(
        options: &Options,
        stop: &CancellationToken,
    ) -> anyhow::Result<ControlFlow<ExitStatus, Self>> {
        let path = Path::new(&options.image);
        let on_disk = if path.exists() || options.image.starts_with(['.', '/']) {
            match manifest_file::read(path) {
                Ok(file) => Some(file),
                Err(why) => return Ok(Break(usage(&why)?)),
            }
        } else {
            None
        };
        let image = match &on_disk {
            None => match image_reference(&options.image) {
                Ok(image) => image,
                Err(why) => return Ok(Break(usage(&why)?)),
            },
            Some(file) => match valid(options.json, file)? {
                None => return Ok(Break(ExitStatus::Failed)),
                Some(manifest) => {
                    let image = match image_reference(&name_of(&manifest)) {
                        Ok(image) => image,
                        Err(why) => return Ok(Break(usage(&why)?)),
                    };
                    if options.dry_run {
                        return Ok(Continue(Self { image, manifest, machine: None }));
                    }
                    image
                }
            },
        };
        let engine = ContainerEngine::of(options.engine.open().await?).await?;
        let looks_like_a_folder = on_disk.is_none() && !options.pull && !names_an_image(&options.image);
        if looks_like_a_folder && let Err(runtime::Error::NoImage { .. }) = engine.docker.image(&image).await {
            return Ok(Break(usage(&neither(&options.image))?));
        }
        let found = tokio::select! {
            found = find(options, &engine.docker, &image, on_disk.is_some()) => found?,
            () = stop.cancelled() => return Ok(Break(ExitStatus::Interrupted)),
        };
        let Some(manifest) = manifest_of(options, &found, image.as_str(), on_disk.as_ref())? else {
            return Ok(Break(ExitStatus::Failed));
        };
        Ok(Continue(Self { image, manifest, machine: Some(EngineWithImage { engine, image: found }) }))
    }
}

impl EngineWithImage {
    /// Removes containers left by killed processes. A failure is only reported.
    pub(in crate::cli) async fn sweep(&self) {
        let swept = match sweep(&self.engine.docker).await {
            Ok(swept) => swept,
            Err(why) => {
                _ = complain(&anyhow::Error::new(why).context("cannot look for leftover containers"));
                return;
            }
        };
        if swept.removed > 0 {
            stderrln!("Removed leftovers of a killed silo process; containers: {}", swept.removed);
        }
        for (container, why) in swept.failed {
            let context = format!("the container {container} of a killed silo process cannot be removed");
            _ = complain(&anyhow::Error::new(why).context(context));
        }
    }

    /// Kills all containers of an owner. Those that cannot be killed now end at their timeout.
    async fn kill(&self, owner: &ContainerOwner) {
        let label = format!("{OWNER_LABEL}={}", owner.label());
        for container in self.engine.docker.containers(&label).await.unwrap_or_default() {
            _ = self.engine.docker.signal(&container.id, ContainerSignal::Kill).await;
        }
    }

    /// Runs a plan, and writes its record to the run's folder.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub(in crate::cli) async fn run(
        &self,
        planned: LocalRun<'_>,
        tell: mpsc::Sender<AttemptEvent>,
        stop: &StopSignals,
    ) -> anyhow::Result<RunRecord> {
        let LocalRun { id, owner, manifest, request, mut plan } = planned;
        let clock = Clock::system();
        owner.mark(&mut plan.container.labels);
        // The label by which the container is found again after the engine was away.
        plan.container.labels.insert(RUN.to_owned(), id.clone());
        let job = AttemptRequest {
            manifest,
            plan: &plan,
            wanted: WantedImage {
                image: &request.image,
                platform: request.platform.as_deref(),
                policy: PullPolicy::Never,
                credentials: None,
            },
            given: None,
            rules: OutputRules { bytes: plan.disk, ..OutputRules::default() },
            folder: &request.folder,
            engine: &self.engine,
            number: 1,
            log_cap: DEFAULT_CAP,
            capture_limit: None,
            keep_free: 0,
            engine_away: Some(ENGINE_AWAY),
            must_match: false,
            resumed: None,
            leave: &KeepContainer::when_lost(),
        };
        let begun = clock.now();
        let given = RecordedInputs::of(manifest, request, &plan, Vec::new());
        let mut record = RunRecord::new(id, manifest, &plan, given, begun);
        record.folder = Some(request.folder.root.clone());
        record.begin_attempt(job.number, begun);
        let mut running = pin!(run(job, record, &clock, tell, stop));
        let record = tokio::select! {
            record = &mut running => record?,
            () = stop.killed(plan.container.grace) => {
                self.kill(owner).await;
                running.await?
            }
        };
        if let Err(why) = request.folder.write_record(&record) {
            _ = complain(&anyhow::Error::new(why).context("the record cannot be written"));
        }
        Ok(record)
    }
}

/// A planned run of this process.
pub(in crate::cli) struct LocalRun<'a> {
    pub id: String,
    /// Owner of its container.
    pub owner: &'a ContainerOwner,
    pub manifest: &'a SeedManifest,
    pub request: &'a RunRequest,
    pub plan: RunPlan,
}

/// Whether a name has a registry, a tag or a digest, as only image references do. Other names may be mistyped folders,
/// and are not looked up on Docker Hub.
fn names_an_image(name: &str) -> bool {
    let host = name.split_once('/').map(|(host, _)| host);
    host.is_some_and(|host| host.contains(['.', ':']) || host == "localhost") || name.contains([':', '@'])
}

fn neither(name: &str) -> anyhow::Error {
    let help = match nearest_path(Path::new(name)) {
        Some(near) => format!("did you mean {}?", shown(&near)),
        None => "an image in a registry needs a tag, as in my-job-1.0.0-seed:1.0.0".to_owned(),
    };
    anyhow!("there is no folder {name}, and the engine has no image of that name; {help}")
}

/// Exit code for an ended run.
pub(in crate::cli) fn exit(record: &RunRecord) -> ExitStatus {
    match (record.status, &record.error) {
        (Status::Successful, _) => ExitStatus::Done,
        (Status::Failed, Some(error)) if error.category != RunErrorCategory::System => ExitStatus::JobFailed,
        (Status::Dismissed, _) => ExitStatus::Interrupted,
        _ => ExitStatus::Failed,
    }
}

async fn find(
    options: &Options,
    docker: &DockerClient,
    image: &ImageReference,
    is_built_here: bool,
) -> anyhow::Result<EngineImage> {
    let policy = match (options.pull, is_built_here) {
        (true, _) => PullPolicy::Always,
        (false, true) => PullPolicy::Never,
        (false, false) => PullPolicy::Missing,
    };
    // No password is needed for an image that is present.
    let is_here = policy == PullPolicy::Missing && docker.image(image).await.is_ok();
    let credentials = if is_here || policy == PullPolicy::Never { None } else { login(options, image)? };
    let wanted =
        WantedImage { image, platform: options.platform.as_deref(), policy, credentials: credentials.as_ref() };
    let mut bar = TransferBar::new("Pulling", image.as_str(), show(options));
    let found = fetch(docker, &wanted, |progress| bar.show(progress)).await;
    bar.finish();
    match found {
        Err(runtime::Error::NoImage { .. }) if is_built_here => bail!(
            "the engine has no image {image}: build it in the manifest's folder with silo build, or pull it with --pull"
        ),
        found => Ok(found?),
    }
}

/// Credentials for the pull. The engine refuses references that are invalid.
fn login(options: &Options, image: &ImageReference) -> anyhow::Result<Option<RegistryCredentials>> {
    match remote_images::reference(image.with_default_tag().as_str()) {
        Ok((place, ..)) => options.account.credentials(&place.host),
        Err(_) => Ok(None),
    }
}

/// The image's own manifest, from its label: a cluster uses that one too. Without a label, the folder's manifest.
fn manifest_of(
    options: &Options,
    image: &EngineImage,
    name: &str,
    on_disk: Option<&ManifestFile>,
) -> anyhow::Result<Option<SeedManifest>> {
    let labelled = image.labels.get(LABEL).map(|text| label::read(text)).transpose();
    let labelled = labelled.with_context(|| format!("{} is no Seed image", tame(name)))?;
    match (labelled, on_disk) {
        (Some(text), on_disk) => {
            if on_disk.is_some_and(|file| parsed(&file.bytes) != parsed(text.as_bytes())) {
                stderrln!(
                    "warning: {} was built with another manifest than the folder's; the image's manifest is used",
                    tame(name)
                );
            }
            valid(options.json, &ManifestFile { name: tame(name), path: None, bytes: text.into_bytes() })
        }
        (None, Some(file)) => {
            stderrln!("warning: {} has no label {LABEL}; the folder's manifest is used", tame(name));
            valid(options.json, file)
        }
        (None, None) => bail!(
            "{} is no Seed image: it has no label {LABEL}. Give the folder of its manifest instead, or build it with the label",
            tame(name)
        ),
    }
}

fn parsed(manifest: &[u8]) -> Option<Value> {
    serde_json::from_slice(manifest).ok()
}

pub(in crate::cli) fn show(options: &Options) -> JobOutputMode {
    match options {
        Options { quiet: true, .. } => JobOutputMode::Nothing,
        Options { json: true, .. } => JobOutputMode::OnStderr,
        _ => JobOutputMode::Both,
    }
}
