//! Asking for runs: who may, of what, with what; planned before anything is queued.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde_json::Value;

use super::super::accounts::Session;
use super::super::engine::Machine;
use super::super::{App, Error, Result};
use super::inputs::{FileSpec, Resolved, allowed};
use super::subject::Subject;
use super::{ImageAsked, RunChange, RunForm, RunSpec, SpecFile, read_record};
use crate::auth::time_ordered_id;
use crate::catalog::{RunFilter, RunStatus, RunSummary, User};
use crate::config::RunNetwork;
use crate::engine::container::{MASK, Network};
use crate::engine::disk;
use crate::engine::folder::Folder;
use crate::engine::plan::{Plan, PlanCode, PlanProblem, plan};
use crate::engine::record::{Given, Record, Ticket};
use crate::engine::request::{self, Defaults, JsonValue, Request};
use crate::seed::environment::variable_name;
use crate::seed::model::Manifest;
use crate::store::{self, NewRun};

/// The most characters of a label, and of a tag; the most tags of a run.
const LONGEST_LABEL: usize = 200;
const LONGEST_TAG: usize = 100;
const MOST_TAGS: usize = 20;
/// The most attempts that anybody can ask for.
const MOST_TRIES: u32 = 10;
/// The highest priority.
const HIGHEST: u8 = 9;
/// What a run has that does not say.
const PRIORITY: u8 = 4;
/// The most rows of a batch.
const MOST_ROWS: usize = 10_000;
const MIB: u64 = 1024 * 1024;

/// What became of asking.
#[derive(Clone, Debug)]
pub enum Submitted {
    /// A new run is queued.
    Queued(Box<Record>),
    /// There is one that is alike: this one.
    Alike(Box<RunSummary>),
}

/// What would be run.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Planned {
    pub image: String,
    pub digest: Option<String>,
    pub plan: Plan,
    /// The same for a shell, secrets masked.
    pub docker_run: String,
}

/// A run that can be queued.
struct Prepared {
    id: String,
    now: DateTime<Utc>,
    spec: RunSpec,
    secrets: Secrets,
    subject: Subject,
    plan: Plan,
    folder: Folder,
    given: Given,
    dedup_key: Option<String>,
}

/// A row of a batch.
struct Row {
    form: RunForm,
    /// `None`: the form says which.
    subject: Option<Subject>,
    rerun_of: Option<String>,
}

/// Values of secret settings by their names.
pub(super) type Secrets = BTreeMap<String, SecretString>;

impl App {
    /// Says what would be run.
    ///
    /// # Errors
    /// As [`App::run_submit`], but that nothing is said of an engine that is not there.
    pub async fn run_plan(&self, session: &Session, form: &RunForm) -> Result<Planned> {
        let machine = self.machine().await.ok();
        let prepared = self.prepared(&session.user, form, None, machine.as_ref()).await?;
        let Prepared { subject, plan, .. } = prepared;
        Ok(Planned { image: subject.name, digest: subject.digest, docker_run: plan.docker_run(), plan })
    }

    /// Queues a run.
    ///
    /// # Errors
    /// [`Error::Unrunnable`] for everything that is in the way, at once; [`Error::NotFound`] for an image that nobody knows;
    /// [`Error::Throttled`] for a user who has too many; [`Error::Unavailable`] without a container engine.
    pub async fn run_submit(&self, session: &Session, form: &RunForm) -> Result<Submitted> {
        let machine = self.machine_for_runs().await?;
        let prepared = self.prepared(&session.user, form, None, machine.as_ref()).await?;
        if form.dedup
            && let Some(key) = &prepared.dedup_key
            && let Some(alike) = self.0.store.run_alike(session.user.id, key).await?
        {
            return Ok(Submitted::Alike(Box::new(alike)));
        }
        let ticket = self.ticket(&session.user, form, None, None);
        let (new, record) = self.new_run(session.user.clone(), form, prepared, ticket, None);
        self.queue(&[new]).await?;
        Ok(Submitted::Queued(Box::new(record)))
    }

    /// Queues the rows of a batch, all or none: the batch's id.
    ///
    /// # Errors
    /// As [`App::run_submit`], for all rows at once.
    pub async fn run_submit_batch(&self, session: &Session, forms: &[RunForm]) -> Result<String> {
        if forms.is_empty() {
            return Err(Error::Invalid("The batch has no rows, so there is nothing to run".to_owned()));
        }
        if forms.len() > MOST_ROWS {
            return Err(Error::Invalid(format!("The batch has more than {MOST_ROWS} rows: split it")));
        }
        let machine = self.machine_for_runs().await?;
        let rows = forms.iter().map(|form| Row { form: form.clone(), subject: None, rerun_of: None }).collect();
        self.queue_batch(session, rows, machine).await
    }

    /// Queues the rows of a batch again that stand so: the new batch's id.
    ///
    /// # Errors
    /// [`Error::Conflict`] when none stands so; as [`App::run_again`].
    pub async fn run_again_batch(&self, session: &Session, batch: &str, status: RunStatus) -> Result<String> {
        let filter = RunFilter { batch: Some(batch.to_owned()), status: vec![status], ..RunFilter::default() };
        let mut found = self.run_list(session, filter, None, MOST_ROWS as u32).await?;
        if found.is_empty() {
            let word = status.as_str();
            return Err(Error::Conflict(format!("No row of batch {batch} is {word}, so there is nothing to do again")));
        }
        found.sort_by_key(|run| run.batch_row);
        let machine = self.machine_for_runs().await?;
        let mut rows = Vec::new();
        for run in found {
            let (form, subject) = self.form_again(session, &run.id, &RunChange::default()).await?;
            rows.push(Row { form, subject: Some(subject), rerun_of: Some(run.id) });
        }
        self.queue_batch(session, rows, machine).await
    }

    async fn queue_batch(&self, session: &Session, rows: Vec<Row>, machine: Option<Machine>) -> Result<String> {
        let batch = time_ordered_id(self.0.clock.now());
        let (mut runs, mut problems) = (Vec::new(), Vec::new());
        for (row, Row { form, subject, rerun_of }) in (1_u32..).zip(rows) {
            let form = &form;
            match self.prepared(&session.user, form, subject, machine.as_ref()).await {
                Ok(prepared) => {
                    let ticket = self.ticket(&session.user, form, Some(batch.clone()), rerun_of);
                    let new = self.new_run(session.user.clone(), form, prepared, ticket, Some(row));
                    runs.push(new.0);
                }
                Err(Error::Unrunnable(found)) => problems.extend(found.into_iter().map(|problem| in_row(problem, row))),
                Err(why @ (Error::Invalid(_) | Error::NotFound(_))) => {
                    let subject = format!("row {row}");
                    let (message, help) = (why.to_string(), String::new());
                    problems.push(PlanProblem { code: PlanCode::BadValue, subject, message, help });
                }
                Err(why) => return Err(why),
            }
        }
        if !problems.is_empty() {
            return Err(Error::Unrunnable(problems));
        }
        self.queue(&runs).await?;
        Ok(batch)
    }

    /// Queues a run again, with what is to be different.
    ///
    /// # Errors
    /// As [`App::run_submit`]; [`Error::NotFound`] for a run that the user may not see.
    pub async fn run_again(&self, session: &Session, id: &str, change: &RunChange) -> Result<Record> {
        let (form, subject) = self.form_again(session, id, change).await?;
        let machine = self.machine_for_runs().await?;
        let prepared = self.prepared(&session.user, &form, Some(subject), machine.as_ref()).await?;
        let ticket = self.ticket(&session.user, &form, None, Some(id.to_owned()));
        let (new, record) = self.new_run(session.user.clone(), &form, prepared, ticket, None);
        self.queue(&[new]).await?;
        Ok(record)
    }

    /// What was asked for, with what is to be different; and the very image that was run before, whatever became of its tag.
    async fn form_again(&self, session: &Session, id: &str, change: &RunChange) -> Result<(RunForm, Subject)> {
        let stored = self.run_stored(session, id).await?;
        let spec: RunSpec = read_spec(&stored.spec)?;
        let secrets = self.secrets_of(id, stored.sealed.as_deref())?;
        let old = read_record(&stored)?;
        let (pinned, registry) = (spec.pinned.clone(), spec.registry);
        let form = changed(spec, secrets, &old, change)?;
        let subject = Subject {
            name: old.image.reference.clone(),
            pinned,
            registry,
            digest: old.image.digest.clone(),
            manifest: read_manifest(&old)?,
        };
        Ok((form, subject))
    }

    /// The engine, if this process is to run what is asked for.
    async fn machine_for_runs(&self) -> Result<Option<Machine>> {
        match self.settings().runs.workers {
            0 => Ok(self.machine().await.ok()),
            _ => self.machine_that_answers().await.map(Some),
        }
    }

    async fn queue(&self, runs: &[NewRun]) -> Result<()> {
        match self.0.store.run_insert(runs, u64::from(self.settings().runs.per_user_active)).await {
            Err(store::Error::TooMany { there, most }) => Err(Error::Conflict(format!(
                "You have {there} runs that wait or go on, and nobody may have more than {most}; wait for some to end, or cancel some"
            ))),
            other => {
                other?;
                self.0.signals.run_queued.notify_one();
                Ok(())
            }
        }
    }

    async fn prepared(
        &self,
        user: &User,
        form: &RunForm,
        subject: Option<Subject>,
        machine: Option<&Machine>,
    ) -> Result<Prepared> {
        check_form(form)?;
        let subject = match subject {
            Some(subject) => subject,
            None => self.run_subject(&form.image, machine).await?,
        };
        let now = self.0.clock.now();
        let id = time_ordered_id(now);
        let day = now.date_naive();
        let folder = Folder::of(&self.runs_folder(), &subject.manifest, None, day, &id);
        let mut problems = Vec::new();
        let mut files: Vec<SpecFile> = form
            .files
            .iter()
            .map(|(input, source)| SpecFile { input: input.clone(), source: source.clone() })
            .collect();
        let resolved = self.run_files(user, &files, None).await?.unwrap_or_else(|troubles| {
            problems.extend(troubles.into_iter().map(|trouble| PlanProblem {
                code: PlanCode::BadValue,
                subject: trouble.input,
                message: trouble.message,
                help: trouble.help,
            }));
            Vec::new()
        });
        let mut mounts = Vec::new();
        for (name, path) in &form.mounts {
            match allowed(path, &self.settings().runs.mount_roots) {
                Ok(real) => mounts.push((name.clone(), real)),
                Err(message) => problems.push(PlanProblem {
                    code: PlanCode::BadValue,
                    subject: name.clone(),
                    message,
                    help: "Give a folder below one of those in runs.mount_roots.".to_owned(),
                }),
            }
        }
        let (settings, mut secrets) = split(&subject.manifest, &form.settings);
        hide_queries(&mut files, &mut secrets);
        let spec = RunSpec {
            image: subject.name.clone(),
            pinned: subject.pinned.clone(),
            registry: subject.registry,
            files,
            json: form.json.iter().cloned().collect(),
            settings,
            mounts: mounts.into_iter().collect(),
            timeout_seconds: form.timeout_seconds,
            layout: form.layout,
            platform: form.platform.clone(),
        };
        let mut request = self.request(&spec, &secrets, &resolved, &folder, machine);
        request.attempt = Some(request::Attempt { run: id.clone(), number: 1, host: self.0.host.clone() });
        let planned = match plan(&subject.manifest, &request) {
            Ok(planned) if problems.is_empty() => planned,
            Ok(_) => return Err(Error::Unrunnable(problems)),
            Err(found) => {
                // A file that cannot be had is not missing besides.
                let known: Vec<String> = problems.iter().map(|problem| variable_name(&problem.subject)).collect();
                problems.extend(found.into_iter().filter(|it| !known.contains(&variable_name(&it.subject))));
                return Err(Error::Unrunnable(problems));
            }
        };
        let given = Given::of(&subject.manifest, &request, &planned, Vec::new());
        let dedup_key = self.dedup_key(&spec, &secrets, &resolved);
        Ok(Prepared { id, now, spec, secrets, subject, plan: planned, folder, given, dedup_key })
    }

    /// What the engine's plan is made from.
    pub(super) fn request(
        &self,
        spec: &RunSpec,
        secrets: &Secrets,
        resolved: &[Resolved],
        folder: &Folder,
        machine: Option<&Machine>,
    ) -> Request {
        let settings = &self.settings().runs;
        let mut request = Request::new(spec.pinned.clone(), folder.clone());
        request.files = resolved.iter().map(|it| (it.input.clone(), it.source.clone())).collect();
        request.json = spec.json.iter().map(|(name, value)| (name.clone(), JsonValue::Value(value.clone()))).collect();
        let value = |(name, shown): (&String, &String)| {
            let value = secrets.get(name).cloned().unwrap_or_else(|| SecretString::from(shown.clone()));
            (name.clone(), value)
        };
        request.settings = spec.settings.iter().map(value).collect();
        request.mounts = spec.mounts.iter().map(|(name, path)| (name.clone(), path.clone())).collect();
        request.layout = spec.layout;
        request.platform.clone_from(&spec.platform);
        request.network = match settings.network {
            RunNetwork::None => Network::None,
            RunNetwork::Host => Network::Host,
            RunNetwork::Bridge => Network::Bridge,
        };
        let longest = u64::from(settings.longest_hours) * 3600;
        request.timeout = Some(Duration::from_secs(spec.timeout_seconds.unwrap_or(longest).min(longest)));
        request.grace = Duration::from_secs(u64::from(settings.grace_seconds));
        request.host.disk = disk::free(&folder.root);
        if let Some(Machine { engine, .. }) = machine {
            request.host.cpus = Some(f64::from(engine.cpus));
            request.host.memory = Some(engine.memory);
            request.host.gpus = if engine.gpus { u32::MAX } else { 0 };
        }
        request.defaults = Defaults {
            cpus: Some(settings.default_cpus).filter(|cpus| *cpus > 0.0),
            memory: Some(u64::from(settings.default_memory_mib) * MIB).filter(|bytes| *bytes > 0),
            processes: Some(settings.processes).filter(|most| *most > 0),
        };
        request
    }

    /// Where runs live.
    pub(super) fn runs_folder(&self) -> PathBuf {
        let folder = &self.settings().runs.folder;
        let folder = if folder.as_os_str().is_empty() { self.settings().in_data("runs") } else { folder.clone() };
        // Engines want absolute paths.
        std::path::absolute(&folder).unwrap_or(folder)
    }

    fn ticket(&self, user: &User, form: &RunForm, batch: Option<String>, rerun_of: Option<String>) -> Ticket {
        Ticket {
            owner: Some(user.username.clone()),
            label: Some(form.label.clone()).filter(|label| !label.is_empty()),
            tags: once(&form.tags),
            priority: Some(form.priority.unwrap_or(PRIORITY)),
            batch,
            rerun_of,
        }
    }

    fn new_run(
        &self,
        user: User,
        form: &RunForm,
        prepared: Prepared,
        ticket: Ticket,
        row: Option<u32>,
    ) -> (NewRun, Record) {
        let Prepared { id, now, spec, secrets, subject, plan, folder, given, dedup_key } = prepared;
        let mut record = Record::new(&id, &subject.manifest, &plan, given, now);
        record.image.reference.clone_from(&subject.name);
        record.image.digest = subject.digest;
        record.max_tries = form.max_tries.unwrap_or(self.settings().runs.tries);
        record.asked = serde_json::to_value(&spec).expect("texts, numbers and lists are JSON");
        record.folder = Some(folder.root);
        record.ticket = ticket.clone();
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

    /// Alike for runs of which one is enough; `None` where nobody can tell without reading files.
    fn dedup_key(&self, spec: &RunSpec, secrets: &Secrets, resolved: &[Resolved]) -> Option<String> {
        let mut files = Vec::new();
        for file in resolved {
            files.push((variable_name(&file.input), file.source.name().to_owned(), file.sha256.clone()?));
        }
        let secrets: BTreeMap<&String, &str> =
            secrets.iter().map(|(name, value)| (name, value.expose_secret())).collect();
        let mut spec = spec.clone();
        spec.files.clear();
        let text = serde_json::to_string(&(spec, files, secrets)).expect("texts, numbers and lists are JSON");
        Some(self.0.sealer.fingerprint("runs/dedup", &text))
    }

    fn seal_secrets(&self, id: &str, secrets: &Secrets) -> String {
        let plain: BTreeMap<&String, &str> =
            secrets.iter().map(|(name, value)| (name, value.expose_secret())).collect();
        let text = serde_json::to_string(&plain).expect("texts are JSON");
        self.0.sealer.seal(&place(id), &SecretString::from(text))
    }

    /// The secret settings of a run.
    ///
    /// # Errors
    /// [`Error::Invalid`] when they cannot be opened.
    pub(super) fn secrets_of(&self, id: &str, sealed: Option<&str>) -> Result<Secrets> {
        let Some(sealed) = sealed else { return Ok(Secrets::new()) };
        let unreadable = |why: &dyn std::fmt::Display| {
            Error::Invalid(format!("the secret settings of run {id} cannot be read: {why}"))
        };
        let text = self.0.sealer.open(&place(id), sealed).map_err(|why| unreadable(&why))?;
        let plain: BTreeMap<String, String> =
            serde_json::from_str(text.expose_secret()).map_err(|_| unreadable(&"it is no object"))?;
        Ok(plain.into_iter().map(|(name, value)| (name, SecretString::from(value))).collect())
    }
}

/// What a run's secrets are bound to.
fn place(id: &str) -> String {
    format!("runs/{id}/settings")
}

pub(super) fn read_spec(text: &str) -> Result<RunSpec> {
    serde_json::from_str(text).map_err(|why| Error::Internal(format!("what a run was asked for: {why}")))
}

/// The manifest that a run goes by.
pub(super) fn read_manifest(record: &Record) -> Result<Manifest> {
    let id = &record.id;
    serde_json::from_value(record.manifest.clone())
        .map_err(|why| Error::Internal(format!("the manifest of run {id}: {why}")))
}

fn check_form(form: &RunForm) -> Result<()> {
    let invalid = |text: String| Err(Error::Invalid(text));
    if form.label.chars().count() > LONGEST_LABEL || form.label.chars().any(char::is_control) {
        return invalid(format!("label: at most {LONGEST_LABEL} characters, and no control characters"));
    }
    let is_tag = |tag: &String| {
        !tag.trim().is_empty() && tag.chars().count() <= LONGEST_TAG && !tag.chars().any(char::is_control)
    };
    if form.tags.len() > MOST_TAGS || !form.tags.iter().all(is_tag) {
        return invalid(format!("tags: at most {MOST_TAGS}, each of 1 to {LONGEST_TAG} characters"));
    }
    if form.priority.is_some_and(|priority| priority > HIGHEST) {
        return invalid(format!("priority: 0 to {HIGHEST}"));
    }
    if form.max_tries.is_some_and(|tries| !(1..=MOST_TRIES).contains(&tries)) {
        return invalid(format!("maxTries: 1 to {MOST_TRIES}"));
    }
    if form.timeout_seconds == Some(0) {
        return invalid("timeoutSeconds: at least 1".to_owned());
    }
    Ok(())
}

/// Settings as they are stored: those that the manifest calls secret are masked, and kept apart. So are those that it does
/// not know, because nobody can say that they are none.
fn split(manifest: &Manifest, given: &[(String, SecretString)]) -> (BTreeMap<String, String>, Secrets) {
    let (mut shown, mut secrets) = (BTreeMap::new(), Secrets::new());
    for (name, value) in given {
        let variable = variable_name(name);
        let settings = &manifest.job.interface.settings;
        let known = settings.iter().find(|setting| setting.name == *name || variable_name(&setting.name) == variable);
        if known.is_some_and(|setting| !setting.secret) {
            shown.insert(name.clone(), value.expose_secret().to_owned());
        } else {
            shown.insert(name.clone(), MASK.to_owned());
            secrets.insert(name.clone(), value.clone());
        }
    }
    (shown, secrets)
}

/// Puts addresses with a query, which may be signed, among the secrets: what is stored and shown of them has none.
fn hide_queries(files: &mut [SpecFile], secrets: &mut Secrets) {
    for (number, file) in files.iter_mut().enumerate() {
        if let Some(whole) = file.source.url.take_if(|url| url.contains('?')) {
            let shown = whole.split('?').next().unwrap_or_default();
            file.source.url = Some(format!("{shown}?{MASK}"));
            secrets.insert(place_of_query(number), SecretString::from(whole));
        }
    }
}

/// The files with their addresses as they were given.
pub(super) fn with_queries(files: &[SpecFile], secrets: &Secrets) -> Vec<SpecFile> {
    let whole = |(number, file): (usize, &SpecFile)| {
        let mut file = file.clone();
        if let Some(url) = secrets.get(&place_of_query(number)) {
            file.source.url = Some(url.expose_secret().to_owned());
        }
        file
    };
    files.iter().enumerate().map(whole).collect()
}

/// No setting has a space in its name.
fn place_of_query(number: usize) -> String {
    format!("file {number}")
}

/// With the files of a run its secrets are thrown away: what stands in their place must not be taken for them.
fn check_secrets(files: &[(String, FileSpec)], settings: &[(String, SecretString)]) -> Result<()> {
    let settings = settings.iter().filter(|(_, value)| value.expose_secret() == MASK).map(|(name, _)| name);
    let is_masked = |url: &String| url.split_once('?').is_some_and(|(_, query)| query == MASK);
    let files = files.iter().filter(|(_, file)| file.url.as_ref().is_some_and(is_masked)).map(|(name, _)| name);
    let gone: Vec<&str> = settings.chain(files).map(String::as_str).collect();
    if gone.is_empty() {
        return Ok(());
    }
    Err(Error::Invalid(format!(
        "The run's secrets were thrown away with its files: give these again: {}",
        gone.join(", ")
    )))
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

fn in_row(mut problem: PlanProblem, row: u32) -> PlanProblem {
    problem.subject = format!("row {row}, {}", problem.subject);
    problem
}

/// What was asked for, with what is to be different.
fn changed(spec: RunSpec, secrets: Secrets, old: &Record, change: &RunChange) -> Result<RunForm> {
    let files = with_queries(&spec.files, &secrets);
    let is_same = |a: &str, b: &str| variable_name(a) == variable_name(b);
    fn replaced<T: Clone>(
        old: impl Iterator<Item = (String, T)>,
        new: &[(String, T)],
        is_same: impl Fn(&str, &str) -> bool,
    ) -> Vec<(String, T)> {
        let kept = old.filter(|(name, _)| !new.iter().any(|(other, _)| is_same(name, other)));
        kept.chain(new.iter().cloned()).collect()
    }
    let settings = spec.settings.into_iter().map(|(name, shown)| {
        let value = secrets.get(&name).cloned().unwrap_or_else(|| SecretString::from(shown));
        (name, value)
    });
    let settings = replaced(settings, &change.settings, is_same);
    let files = replaced(files.into_iter().map(|file| (file.input, file.source)), &change.files, is_same);
    check_secrets(&files, &settings)?;
    let ticket = &old.ticket;
    let json: Vec<(String, Value)> = spec.json.into_iter().collect();
    Ok(RunForm {
        image: ImageAsked::Reference(spec.image),
        files,
        json: replaced(json.into_iter(), &change.json, is_same),
        settings,
        mounts: replaced(spec.mounts.into_iter(), &change.mounts, is_same),
        timeout_seconds: change.timeout_seconds.or(spec.timeout_seconds),
        max_tries: change.max_tries.or(Some(old.max_tries)),
        priority: change.priority.or(ticket.priority),
        label: change.label.clone().or_else(|| ticket.label.clone()).unwrap_or_default(),
        tags: change.tags.clone().unwrap_or_else(|| ticket.tags.clone()),
        layout: spec.layout,
        platform: spec.platform,
        dedup: false,
    })
}
