//! The steps of an attempt: pull, staging, job, capture.

use tokio_util::sync::CancellationToken;

use super::AttemptRequest;
use super::attempt_error::{Error, written};
use super::folder::RunPaths;
use super::inputs;
use super::inputs::InputError;
use super::job_exit::JobExit;
use super::outputs::{RunOutputs, capture, mend_links};
use super::record::{GivenInput, Phase};
use super::start_point::StartPoint;
use super::supervisor::AttemptSupervisor;
use crate::engine::access::{self, JobUser, MadeAccess};
use crate::engine::disk::FileReadError;
use crate::engine::disk_quota::DiskQuota;
use crate::engine::file_removal::{AccessPurpose, closed};
use crate::engine::halt::HaltSignal;
use crate::engine::plan::RunPlan;
use crate::engine::plan::container::ContainerSpec;
use crate::engine::runtime;
use crate::engine::runtime::{ContainerRuntime, EngineImage};
use crate::seed::model::SeedManifest;
use crate::seed::{LABEL, label};

/// Limit for rounds of opening files of other users: each round may reveal more below.
const OPENINGS: u32 = 50;

/// What is known of the attempt so far.
#[derive(Default)]
pub(super) struct AttemptState {
    pub image: Option<EngineImage>,
    pub given: Vec<GivenInput>,
    pub warnings: Vec<String>,
    pub outputs: Option<RunOutputs>,
    pub made: MadeAccess,
}

impl AttemptState {
    /// Makes the attempt from its start point to the capture of its outputs.
    pub(super) async fn steps<R: ContainerRuntime>(
        &mut self,
        attempt: &mut AttemptSupervisor<R>,
        job: AttemptRequest<'_>,
        start: StartPoint,
        stop: &CancellationToken,
    ) -> Result<JobExit, Error> {
        let room = DiskQuota { output: &job.folder.output, output_limit: job.rules.bytes, keep_free: job.keep_free };
        let container = &job.plan.container;
        let is_resumed = !matches!(start, StartPoint::Anew);
        let main = match start {
            StartPoint::Anew => {
                let container = self.begin(attempt, job, stop).await?;
                attempt.main(&container, room, stop).await?
            }
            StartPoint::Adopt(found) => attempt.adopt(&found, container, room, stop).await?,
            StartPoint::Ended(end) => end.main,
            StartPoint::Lost(container) => {
                let reason = format!("container {container} is gone, and nobody saw how it ended");
                return Err(runtime::Error::Interrupted { reason }.into());
            }
        };
        self.open_up(attempt, job, stop).await?;
        self.mend_links(attempt, job, stop).await?;
        let (manifest, plan) = (job.manifest.clone(), job.plan.clone());
        let (output, rules) = (job.folder.output.clone(), job.rules);
        let work = move |halt: &HaltSignal| {
            let given = match is_resumed.then(|| inputs::read(&manifest, &plan, halt)) {
                Some(Err(InputError::Halted(why))) => return Err(why.into()),
                // The inputs may be gone by now.
                given => given.and_then(Result::ok).unwrap_or_default(),
            };
            Ok((capture(&manifest, &output, rules, halt)?, given))
        };
        let (outputs, given) = attempt.phase(Phase::Capture, stop, job.capture_limit, work).await?;
        if is_resumed {
            (self.given, self.warnings) = given;
        }
        self.outputs = Some(outputs);
        Ok(main)
    }

    /// Makes files of other users in the output directory readable, with the engine's permissions. What stays closed
    /// is reported when the outputs are captured.
    async fn open_up<R: ContainerRuntime>(
        &self,
        attempt: &mut AttemptSupervisor<R>,
        job: AttemptRequest<'_>,
        stop: &CancellationToken,
    ) -> Result<(), Error> {
        for _ in 0..OPENINGS {
            let output = job.folder.output.clone();
            let stop = stop.child_token();
            let (halt, _dropped) = (HaltSignal::on(&stop), stop.drop_guard());
            let found = tokio::task::spawn_blocking(move || closed(&output, AccessPurpose::Read, &halt)).await;
            let Some(found) = found.ok().and_then(Result::ok).filter(|found| !found.paths.is_empty()) else { break };
            if let Err(why) = attempt.open_up(&found.root, &found.paths).await {
                if why.is_silence() {
                    return Err(why);
                }
                attempt.note(&format!("files of other users cannot be read: {why}")).await?;
                break;
            }
        }
        Ok(())
    }

    /// Rewrites links to paths in the container, so that they work on the host.
    async fn mend_links<R: ContainerRuntime>(
        &self,
        attempt: &mut AttemptSupervisor<R>,
        job: AttemptRequest<'_>,
        stop: &CancellationToken,
    ) -> Result<(), Error> {
        // A second time after the engine has opened folders that only their owner could write to.
        for _ in 0..2 {
            let (plan, output, bytes) = (job.plan.clone(), job.folder.output.clone(), job.rules.bytes);
            let stop = stop.child_token();
            let (halt, _dropped) = (HaltSignal::on(&stop), stop.drop_guard());
            let mended = tokio::task::spawn_blocking(move || mend_links(&plan, &output, bytes, &halt)).await;
            let closed = mended.ok().and_then(Result::ok).unwrap_or_default();
            if closed.is_empty() {
                break;
            }
            match attempt.open_up(&job.folder.output, &closed).await {
                Err(why) if why.is_silence() => return Err(why),
                Err(_) => break,
                Ok(()) => {}
            }
        }
        Ok(())
    }

    /// Pull and staging. Returns the container, adapted to the user that the image sets.
    async fn begin<R: ContainerRuntime>(
        &mut self,
        attempt: &mut AttemptSupervisor<R>,
        job: AttemptRequest<'_>,
        stop: &CancellationToken,
    ) -> Result<ContainerSpec, Error> {
        let image = attempt.pull(&job.wanted, stop).await?;
        let differs = job.must_match && !has_manifest_in_label(&image, job.manifest);
        let user = job.plan.container.user.as_ref().unwrap_or(&image.config.user);
        let user = JobUser::new(user, job.engine.facts.maps_users);
        self.image = Some(image);
        if differs {
            return Err(Error::OtherManifest { image: job.wanted.image.to_string() });
        }
        let (manifest, plan, folder) = (job.manifest.clone(), job.plan.clone(), job.folder.clone());
        let given = job.given.map(<[GivenInput]>::to_vec);
        let work = move |halt: &HaltSignal| {
            let (given, mut warnings) = stage(&manifest, &plan, given, &folder, halt)?;
            let mut container = plan.container.clone();
            let Some(user) = user else { return Ok((given, warnings, container, MadeAccess::default())) };
            let (made, told) = access::give(&plan, &mut container, &user, &folder, halt)?;
            warnings.extend(told);
            Ok((given, warnings, container, made))
        };
        let (given, warnings, container, made) = attempt.phase(Phase::Stage, stop, None, work).await?;
        for warning in &warnings {
            attempt.note(warning).await?;
        }
        (self.given, self.warnings, self.made) = (given, warnings, made);
        Ok(container)
    }
}

/// Whether the image's label holds this manifest.
fn has_manifest_in_label(image: &EngineImage, manifest: &SeedManifest) -> bool {
    let text = image.labels.get(LABEL).and_then(|raw| label::read(raw).ok());
    text.and_then(|text| SeedManifest::parse(&text).ok()).is_some_and(|labelled| labelled == *manifest)
}

fn stage(
    manifest: &SeedManifest,
    plan: &RunPlan,
    given: Option<Vec<GivenInput>>,
    folder: &RunPaths,
    halt: &HaltSignal,
) -> Result<(Vec<GivenInput>, Vec<String>), Error> {
    let (given, warnings) = match given {
        Some(given) => (given, Vec::new()),
        None => inputs::read(manifest, plan, halt).map_err(|why| match why {
            InputError::Halted(why) => why.into(),
            why => Error::Input(why.to_string()),
        })?,
    };
    inputs::stage(manifest, plan, &given, folder, halt).map_err(|why| match why {
        FileReadError::Halted(why) => why.into(),
        FileReadError::Disk(why) => written(&folder.root, &why),
    })?;
    Ok((given, warnings))
}
