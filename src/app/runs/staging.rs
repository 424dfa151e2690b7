//! Staging of an attempt, before its image and container: inputs, plan, and held host paths.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::super::{App, Result};
use super::InputFile;
use super::attempt::AttemptTask;
use super::fetched_inputs::{FetchedInputs, fetched_in};
use super::inputs::with_facts;
use super::resolved_input::{InputProblem, ResolvedInput};
use crate::catalog::UserAccount;
use crate::engine::docker::ContainerEngine;
use crate::engine::halt::HaltSignal;
use crate::engine::held_paths::HeldPaths;
use crate::engine::plan::request::RunRequest;
use crate::engine::plan::{RunPlan, plan, request};
use crate::engine::run::inputs::{InputError, read};
use crate::engine::run::record::{AttemptRecord, GivenInput, RecordedInputs};
use crate::engine::run::verdict::{RunError, RunVerdict, SystemFailure};
use crate::store::ClaimedRun;

/// What an attempt needs.
pub(super) struct StagedAttempt {
    pub request: RunRequest,
    pub plan: RunPlan,
    /// The inputs.
    pub given: Vec<GivenInput>,
    /// What the record shows of them.
    pub shown: RecordedInputs,
    pub warnings: Vec<String>,
    /// Host paths that the plan names, held until this is dropped.
    _held: Option<HeldPaths>,
}

/// `Err`: the verdict with which the attempt ends here.
type StagingResult<T> = Result<std::result::Result<T, RunVerdict>>;

fn ends<T>(error: RunError) -> StagingResult<T> {
    Ok(Err(RunVerdict::Failed(error)))
}

impl App {
    /// Stages an attempt. The time that it takes counts towards the time limit of the run.
    pub(super) async fn run_stage_within_limit(
        &self,
        machine: &ContainerEngine,
        claim: &ClaimedRun,
        task: &AttemptTask,
        cancel: &CancellationToken,
    ) -> StagingResult<StagedAttempt> {
        let limit = self.run_time_limit(&task.spec);
        let before = task.resumed.as_ref().map(|resumed| staging_time(resumed, self.0.clock.now()));
        let begun = Instant::now();
        let staging = self.run_stage_inputs(machine, claim, task, cancel);
        let (staged, taken) = match before {
            // Staging was complete before, and is only checked again.
            Some((taken, true)) => (staging.await?, taken),
            other => {
                let before = other.unwrap_or_default().0;
                let Ok(staged) = timeout(limit.saturating_sub(before), staging).await else {
                    return ends(SystemFailure::TimeLimit.error(format!(
                        "Its inputs were not ready within this run's time limit of {} seconds, which includes \
                         fetching them. The limit is the requested one (timeoutSeconds), or the server's maximum \
                         (runs.longest_hours).",
                        limit.as_secs()
                    )));
                };
                (staged?, before + begun.elapsed())
            }
        };
        Ok(staged.map(|mut staged| {
            // Limits are in whole seconds.
            let left = limit.saturating_sub(Duration::from_secs(taken.as_secs()));
            staged.plan.container.timeout = staged.plan.container.timeout.map(|timeout| timeout.min(left));
            staged
        }))
    }

    async fn run_stage_inputs(
        &self,
        machine: &ContainerEngine,
        claim: &ClaimedRun,
        task: &AttemptTask,
        cancel: &CancellationToken,
    ) -> StagingResult<StagedAttempt> {
        // Its files are those of this user.
        let Some(owner) = self.store().user_get(task.stored.summary.owner_id).await? else {
            let why = format!("The user {} who requested the run no longer exists.", task.stored.summary.owner);
            return ends(SystemFailure::Unknown.permanent_error(why));
        };
        if task.resumed.is_none() {
            for folder in [task.folder.output.clone(), fetched_in(&task.folder.root)] {
                if let Err(why) = self.discard(folder).await {
                    return ends(SystemFailure::Disk.error(why.to_string()));
                }
            }
        }
        let secrets = match self.secrets_of(&task.record.id, task.stored.sealed.as_deref()) {
            Ok(secrets) => secrets,
            Err(why) => return ends(SystemFailure::MissingSetting.permanent_error(why.to_string())),
        };
        let mut spec = task.spec.clone();
        spec.inputs.unmask(&secrets);
        let resolved = tokio::select! {
            resolved = self.run_resolve_inputs(claim, task, &owner, &spec.inputs.files) => match resolved? {
                Ok(resolved) => resolved,
                Err(error) => return ends(error),
            },
            // If an earlier process began the attempt, there is a container to stop.
            () = cancel.cancelled(), if task.resumed.is_none() => return Ok(Err(RunVerdict::Dismissed)),
        };
        let network = self.run_network(task.spec.registry).await?;
        let request = self.request(&spec, &resolved, &task.folder, network, Some(machine));
        let mut request = match request {
            Ok(request) => request,
            Err(why) => return ends(SystemFailure::Launch.permanent_error(why.to_string())),
        };
        let (run, host) = (task.record.id.clone(), self.0.host.clone());
        request.attempt = Some(request::AttemptId { run, number: task.number, host });
        match plan(&task.manifest, &request) {
            Ok(plan) => self.run_read_inputs(machine, task, request, plan, &resolved, cancel).await,
            Err(problems) => {
                let why: Vec<String> = problems.iter().map(ToString::to_string).collect();
                ends(SystemFailure::Launch.permanent_error(why.join(" ")))
            }
        }
    }

    /// The files of a run, fetched where necessary.
    async fn run_resolve_inputs(
        &self,
        claim: &ClaimedRun,
        task: &AttemptTask,
        owner: &UserAccount,
        files: &[InputFile],
    ) -> Result<std::result::Result<Vec<ResolvedInput>, RunError>> {
        let most = self.settings().runs.fetch_seconds;
        let folder = fetched_in(&task.folder.root);
        let fetched = FetchedInputs::new(&folder, claim, owner.id);
        let found = self.run_files(owner, files, Some(&fetched));
        let Ok(found) = timeout(Duration::from_secs(u64::from(most)), found).await else {
            let why = format!("The inputs were not fetched within {most} seconds, the maximum (runs.fetch_seconds).");
            return Ok(Err(SystemFailure::InputFetch.error(why)));
        };
        Ok(found?.map_err(|troubles| {
            let is_passing = troubles.iter().all(|trouble| trouble.is_passing);
            let failure = if is_passing { SystemFailure::InputFetch } else { SystemFailure::MissingFile };
            let say = |it: &InputProblem| format!("{}: {} {}", it.input, it.message, it.help).trim_end().to_owned();
            failure.error(troubles.iter().map(say).collect::<Vec<_>>().join(" "))
        }))
    }

    /// Opens the host paths that the plan names, so that they cannot be exchanged, and reads the inputs.
    async fn run_read_inputs(
        &self,
        machine: &ContainerEngine,
        task: &AttemptTask,
        request: RunRequest,
        plan: RunPlan,
        resolved: &[ResolvedInput],
        cancel: &CancellationToken,
    ) -> StagingResult<StagedAttempt> {
        // The paths that were checked may be replaced from now on.
        let reading = cancel.child_token();
        let (halt, _dropped) = (HaltSignal::on(&reading), reading.clone().drop_guard());
        let (plan, held) = match self.hold_host_paths(machine, task, plan, resolved, halt.clone()).await? {
            Ok(held) => held,
            Err(_) if cancel.is_cancelled() && task.resumed.is_none() => return Ok(Err(RunVerdict::Dismissed)),
            Err(error) => return ends(error),
        };
        let (manifest, planned) = (task.manifest.clone(), plan.clone());
        let (given, warnings) = match tokio::task::spawn_blocking(move || read(&manifest, &planned, &halt)).await? {
            Ok((given, warnings)) => {
                let mut given = with_facts(given, resolved);
                self.metadata_add(task.stored.summary.owner_id, &mut given).await?;
                (given, warnings)
            }
            Err(InputError::Halted(_)) if task.resumed.is_none() => return Ok(Err(RunVerdict::Dismissed)),
            // There is a container to stop.
            Err(InputError::Halted(_)) => Default::default(),
            Err(why) => return ends(SystemFailure::MissingFile.error(why.to_string())),
        };
        let shown = RecordedInputs::of(&task.manifest, &request, &plan, given.clone());
        Ok(Ok(StagedAttempt { request, plan, given, shown, warnings, _held: held }))
    }
}

/// How long staging of an attempt took that an earlier process began, and whether it was complete.
fn staging_time(attempt: &AttemptRecord, now: DateTime<Utc>) -> (Duration, bool) {
    let over = attempt.phases.get(1).map(|next| next.started);
    let taken = over.unwrap_or(now) - attempt.started;
    (taken.to_std().unwrap_or_default(), over.is_some())
}
