//! Submission of runs: limits, image and inputs; everything is planned before anything is queued.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::super::accounts::UserSession;
use super::super::{App, Error, Result};
use super::resolved_input::ResolvedInput;
use super::run_limits::{PRIORITY, option_problems};
use super::runnable_image::{RunnableImage, reference};
use super::{RequestedImage, RunForm, RunSpec};
use crate::auth::time_ordered_id;
use crate::catalog::{RegistryId, RunSummary, UserAccount};
use crate::config::RunNetwork;
use crate::engine::disk;
use crate::engine::docker::ContainerEngine;
use crate::engine::plan::container::NetworkMode;
use crate::engine::plan::request::{JsonInputValue, ResourceBounds, ResourceDefaults, RunRequest};
use crate::engine::plan::{PlanCode, PlanProblem, RunPlan, plan, request};
use crate::engine::run::folder::RunPaths;
use crate::engine::run::record::{RecordedInputs, RunMetadata, RunRecord};
use crate::seed::environment::variable_name;
use crate::seed::model::SeedManifest;
use crate::store::{self, NewRun};

/// Most problems that are reported.
pub(super) const MOST_PROBLEMS: usize = 100;
const MIB: u64 = 1024 * 1024;

/// The result of a submission.
#[derive(Clone, Debug)]
pub enum SubmitOutcome {
    /// A new run is queued.
    Queued(Box<RunRecord>),
    /// Not queued: an identical run exists (`dedup`).
    Alike(Box<RunSummary>),
}

/// What a run would do.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedRun {
    pub image: String,
    pub digest: Option<String>,
    pub plan: RunPlan,
    /// The same as a shell command, with secrets masked.
    pub docker_run: String,
}

/// A job that can be run.
#[derive(Clone, Debug)]
pub struct RunnableJob {
    /// The image reference.
    pub image: String,
    pub manifest: SeedManifest,
}

/// A run that is ready to be queued.
pub(super) struct PreparedRun {
    id: String,
    now: DateTime<Utc>,
    spec: RunSpec,
    subject: RunnableImage,
    plan: RunPlan,
    folder: RunPaths,
    given: RecordedInputs,
    dedup_key: Option<String>,
}

impl App {
    /// The job of an image, if it can be run.
    ///
    /// # Errors
    /// [`Error::NotFound`] for an unknown image; [`Error::Invalid`] for one that cannot be run, with the reason.
    pub async fn run_job(&self, image: &RequestedImage) -> Result<RunnableJob> {
        let machine = self.machine().await.ok();
        let RunnableImage { name, manifest, .. } = self.run_subject(image, machine.as_ref()).await?;
        Ok(RunnableJob { image: name, manifest })
    }

    /// Plans a run without queueing it.
    ///
    /// # Errors
    /// As [`App::run_submit`], but a missing engine is no error.
    pub async fn run_plan(&self, session: &UserSession, form: &RunForm) -> Result<PlannedRun> {
        let machine = self.machine().await.ok();
        let prepared = self.prepared(&session.user, form, None, machine.as_ref()).await?;
        let PreparedRun { subject, plan, .. } = prepared;
        Ok(PlannedRun { image: subject.name, digest: subject.digest, docker_run: plan.docker_run(), plan })
    }

    /// Queues a run.
    ///
    /// # Errors
    /// [`Error::Unrunnable`] with all problems at once; [`Error::NotFound`] for an unknown image; [`Error::Conflict`]
    /// for a user with too many runs; [`Error::Unavailable`] without a container engine.
    pub async fn run_submit(&self, session: &UserSession, form: &RunForm) -> Result<SubmitOutcome> {
        let machine = self.engine_for_runs().await?;
        let prepared = self.prepared(&session.user, form, None, machine.as_ref()).await?;
        if form.dedup
            && let Some(key) = &prepared.dedup_key
            && let Some(alike) = self.store().run_find_duplicate(session.user.id, key).await?
        {
            return Ok(SubmitOutcome::Alike(Box::new(alike)));
        }
        let rerun_of = form.kept.as_ref().map(|kept| kept.run.clone());
        let ticket = self.ticket(&session.user, form, None, rerun_of);
        let (new, record) = self.new_run(session.user.clone(), form, prepared, ticket, None);
        self.queue(&[new]).await?;
        Ok(SubmitOutcome::Queued(Box::new(record)))
    }

    /// The engine; required only if this process has workers.
    pub(super) async fn engine_for_runs(&self) -> Result<Option<ContainerEngine>> {
        match self.settings().runs.workers {
            0 => Ok(self.machine().await.ok()),
            _ => self.engine_require().await.map(Some),
        }
    }

    pub(super) async fn queue(&self, runs: &[NewRun]) -> Result<()> {
        match self.store().run_insert(runs, u64::from(self.settings().runs.per_user_active)).await {
            Err(store::Error::TooMany { there, most }) => Err(too_many(there, most)),
            other => {
                other?;
                self.0.signals.run_queued.notify_one();
                Ok(())
            }
        }
    }

    pub(super) async fn prepared(
        &self,
        user: &UserAccount,
        form: &RunForm,
        subject: Option<RunnableImage>,
        machine: Option<&ContainerEngine>,
    ) -> Result<PreparedRun> {
        let subject = match subject {
            Some(subject) => subject,
            None => self.run_subject(&form.image, machine).await?,
        };
        let form = self.with_kept(user, form, &subject.manifest.job.name).await?;
        let now = self.0.clock.now();
        let id = time_ordered_id(now);
        let day = now.date_naive();
        let folder = RunPaths::of(&self.settings().runs_folder(), &subject.manifest, None, day, &id);
        let mut problems = option_problems(&form.options);
        let resolved = self.run_files(user, &form.inputs.files, None).await?.unwrap_or_else(|troubles| {
            problems.extend(troubles.into_iter().map(PlanProblem::from));
            Vec::new()
        });
        let mut inputs = form.inputs.clone();
        inputs.mark_secrets(&subject.manifest);
        inputs.mounts = self.mount_paths(inputs.mounts, machine, &mut problems);
        let spec = RunSpec {
            image: subject.name.clone(),
            pinned: subject.pinned.to_string(),
            registry: subject.registry,
            inputs,
            timeout_seconds: form.options.timeout_seconds,
            layout: form.layout,
            platform: form.platform.clone(),
        };
        let network = self.run_network(spec.registry).await?;
        let mut request = self.request(&spec, &resolved, &folder, network, machine)?;
        request.attempt = Some(request::AttemptId { run: id.clone(), number: 1, host: self.0.host.clone() });
        let planned = match plan(&subject.manifest, &request) {
            Ok(planned) if problems.is_empty() => planned,
            Ok(_) => return Err(unrunnable(problems)),
            Err(found) => {
                // A file that is not available is not reported as missing, too.
                let known: Vec<String> = problems.iter().map(|problem| variable_name(&problem.subject)).collect();
                problems.extend(found.into_iter().filter(|it| !known.contains(&variable_name(&it.subject))));
                return Err(unrunnable(problems));
            }
        };
        let given = RecordedInputs::of(&subject.manifest, &request, &planned, Vec::new());
        let dedup_key = self.dedup_key(&spec, &resolved);
        Ok(PreparedRun { id, now, spec, subject, plan: planned, folder, given, dedup_key })
    }

    /// The mounts that can be used, with their real paths.
    fn mount_paths(
        &self,
        mounts: BTreeMap<String, PathBuf>,
        machine: Option<&ContainerEngine>,
        problems: &mut Vec<PlanProblem>,
    ) -> BTreeMap<String, PathBuf> {
        let real = |(name, path): (String, PathBuf)| match self.mount_path(&path, machine) {
            Ok(host) => Some((name, host.path)),
            Err(message) => {
                let help = "Give a folder below one of the folders in runs.mount_roots.".to_owned();
                problems.push(PlanProblem { code: PlanCode::BadValue, subject: name, message, help });
                None
            }
        };
        mounts.into_iter().filter_map(real).collect()
    }

    /// The request that the engine's plan is made from.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the pinned reference cannot be parsed.
    pub(super) fn request(
        &self,
        spec: &RunSpec,
        resolved: &[ResolvedInput],
        folder: &RunPaths,
        network: NetworkMode,
        machine: Option<&ContainerEngine>,
    ) -> Result<RunRequest> {
        let (settings, inputs) = (&self.settings().runs, &spec.inputs);
        let mut request = RunRequest::new(reference(&spec.pinned)?, folder.clone());
        request.files = resolved.iter().map(|it| (it.input.clone(), it.source.clone())).collect();
        request.json =
            inputs.json.iter().map(|(name, value)| (name.clone(), JsonInputValue::Value(value.clone()))).collect();
        request.settings = inputs.settings.iter().map(|(name, value)| (name.clone(), value.expose().into())).collect();
        request.mounts = inputs.mounts.iter().map(|(name, path)| (name.clone(), path.clone())).collect();
        request.layout = spec.layout;
        request.platform.clone_from(&spec.platform);
        request.network = network;
        request.folders_apart = machine.is_some_and(|machine| !machine.holds_paths);
        request.timeout = Some(self.run_time_limit(spec));
        request.grace = Duration::from_secs(u64::from(settings.grace_seconds));
        request.host.disk = disk::free(&folder.root);
        if let Some(ContainerEngine { facts, .. }) = machine {
            request.host.cpus = Some(f64::from(facts.cpus));
            request.host.memory = Some(facts.memory);
            request.host.gpus = if facts.gpus { u32::MAX } else { 0 };
        }
        request.defaults = ResourceDefaults {
            cpus: Some(settings.default_cpus).filter(|cpus| *cpus > 0.0),
            memory: Some(u64::from(settings.default_memory_mib) * MIB).filter(|bytes| *bytes > 0),
            processes: Some(settings.processes).filter(|most| *most > 0),
        };
        request.bounds = ResourceBounds {
            cpus: Some(settings.most_cpus).filter(|cpus| *cpus > 0.0),
            memory: Some(u64::from(settings.most_memory_mib) * MIB).filter(|bytes| *bytes > 0),
            disk: Some(u64::from(settings.output_mib) * MIB).filter(|bytes| *bytes > 0),
            gpus: Some(settings.most_gpus),
        };
        Ok(request)
    }

    /// How long an attempt may take, from fetching its inputs to the end of its job.
    pub(super) fn run_time_limit(&self, spec: &RunSpec) -> Duration {
        let longest = u64::from(self.settings().runs.longest_hours) * 3600;
        Duration::from_secs(spec.timeout_seconds.unwrap_or(longest).min(longest))
    }

    /// The network of a run, by its image's registry; `None`: an image that the engine has.
    pub(super) async fn run_network(&self, registry: Option<i64>) -> Result<NetworkMode> {
        let settings = &self.settings().runs;
        Ok(match (settings.network, registry) {
            (RunNetwork::Host, _) => NetworkMode::Host,
            (RunNetwork::Bridge, _) => NetworkMode::Bridge,
            (RunNetwork::None, Some(id)) if !settings.bridge_registries.is_empty() => {
                let registry = self.store().registry_get(RegistryId(id)).await?;
                let is_allowed = registry.is_some_and(|registry| settings.bridge_registries.contains(&registry.name));
                if is_allowed { NetworkMode::Bridge } else { NetworkMode::None }
            }
            (RunNetwork::None, _) => NetworkMode::None,
        })
    }

    pub(super) fn ticket(
        &self,
        user: &UserAccount,
        form: &RunForm,
        batch: Option<String>,
        rerun_of: Option<String>,
    ) -> RunMetadata {
        RunMetadata {
            owner: Some(user.username.clone()),
            label: form.options.label.clone().filter(|label| !label.is_empty()),
            tags: once(form.options.tags.as_deref().unwrap_or_default()),
            priority: Some(form.options.priority.unwrap_or(PRIORITY)),
            batch,
            rerun_of,
        }
    }

    pub(super) fn new_run(
        &self,
        user: UserAccount,
        form: &RunForm,
        prepared: PreparedRun,
        ticket: RunMetadata,
        row: Option<u32>,
    ) -> (NewRun, RunRecord) {
        let PreparedRun { id, now, spec, subject, plan, folder, given, dedup_key } = prepared;
        let mut record = RunRecord::new(&id, &subject.manifest, &plan, given, now);
        record.image.reference.clone_from(&subject.name);
        record.image.digest = subject.digest;
        record.max_tries = form.options.max_tries.unwrap_or(self.settings().runs.tries);
        record.asked = serde_json::to_value(&spec).expect("texts, numbers and lists are JSON");
        record.folder = Some(folder.root);
        record.ticket = ticket.clone();
        let secrets = spec.inputs.secrets();
        let sealed = (!secrets.is_empty()).then(|| self.seal_secrets(&id, &secrets));
        let new = NewRun {
            owner_id: user.id,
            owner: user.username,
            batch_id: ticket.batch,
            batch_row: row.map(i64::from),
            rerun_of: ticket.rerun_of,
            label: ticket.label.unwrap_or_default(),
            tags: ticket.tags,
            job_name: record.job.name.clone(),
            job_version: record.job.job_version.clone(),
            package_version: record.job.package_version.clone(),
            image: subject.name,
            priority: i64::from(ticket.priority.unwrap_or(PRIORITY)),
            max_tries: i64::from(record.max_tries),
            created_at: now,
            dedup_key,
            spec: record.asked.to_string(),
            sealed,
            record: serde_json::to_string(&record).expect("a record is JSON"),
            id,
        };
        (new, record)
    }

    /// Equal for identical runs; `None` if that cannot be determined without reading files.
    fn dedup_key(&self, spec: &RunSpec, resolved: &[ResolvedInput]) -> Option<String> {
        let mut files = Vec::new();
        for file in resolved {
            files.push((variable_name(&file.input), file.source.name().to_owned(), file.sha256.clone()?));
        }
        let secrets = spec.inputs.secrets();
        let mut spec = spec.clone();
        spec.inputs.files.clear();
        let text = serde_json::to_string(&(spec, files, secrets.at_rest())).expect("texts, numbers and lists are JSON");
        Some(self.0.sealer.fingerprint("runs/dedup", &text))
    }
}

pub(super) fn read_spec(text: &str) -> Result<RunSpec> {
    serde_json::from_str(text).map_err(|why| Error::Internal(format!("the request of a run: {why}")))
}

/// The manifest in a run's record.
pub(super) fn read_manifest(record: &RunRecord) -> Result<SeedManifest> {
    let id = &record.id;
    serde_json::from_value(record.manifest.clone())
        .map_err(|why| Error::Internal(format!("the manifest of run {id}: {why}")))
}

pub(super) fn too_many(there: u64, most: u64) -> Error {
    Error::Conflict(format!(
        "You have {there} runs that are queued or running, and the limit is {most}; wait for some to end, or cancel some"
    ))
}

/// The error for problems, limited in number: after fixing the first hundred a user can submit again.
pub(super) fn unrunnable(mut problems: Vec<PlanProblem>) -> Error {
    problems.truncate(MOST_PROBLEMS);
    Error::Unrunnable(problems)
}

fn once(tags: &[String]) -> Vec<String> {
    let mut once: Vec<String> = Vec::new();
    for tag in tags {
        if !once.contains(tag) {
            once.push(tag.clone());
        }
    }
    once
}
