//! Batches: one job with many rows, queued all or none. Rows are prepared one after the other, so that shared values
//! are in memory once; the total size stored for them is limited.

use serde_json::{Map, Value};

use super::super::accounts::UserSession;
use super::super::{App, Error, Result};
use super::batch_table::{BatchRowOutcome, BatchRows};
use super::runnable_image::RunnableImage;
use super::submit::{MOST_PROBLEMS, read_manifest, unrunnable};
use super::{RunChange, RunForm, may_see, own, read_record};
use crate::auth::time_ordered_id;
use crate::catalog::{BatchSummary, RunFilter, RunStatus, RunSummary};
use crate::engine::docker::ContainerEngine;
use crate::engine::plan::{PlanCode, PlanProblem};
use crate::seed::model::SeedManifest;
use crate::store::{NewRun, StoredRun};

/// Most rows of a batch.
pub const MOST_ROWS: usize = 10_000;
/// Most MiB stored for all rows of a batch.
const MOST_STORED_MIB: usize = 128;

/// What a batch would do.
#[derive(Clone, Debug)]
pub struct PlannedBatch {
    /// The image reference.
    pub image: String,
    pub digest: Option<String>,
    /// Number of rows.
    pub rows: usize,
    /// The first rows, as they were read.
    pub first: Vec<RunChange>,
}

/// The values that runs of a batch gave.
#[derive(Clone, Debug)]
pub struct BatchOutputPage {
    /// Names of the job's JSON outputs.
    pub names: Vec<String>,
    pub rows: Vec<BatchRowOutputs>,
}

/// The values that one run of a batch gave.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchRowOutputs {
    /// From 1.
    pub row: i64,
    /// Id of the run.
    pub run: String,
    pub status: RunStatus,
    /// Name of the error.
    pub error: Option<String>,
    /// By the name of the output.
    pub json: Map<String, Value>,
}

/// A batch while its rows are prepared.
struct BatchBuilder<'a> {
    app: &'a App,
    session: &'a UserSession,
    machine: Option<ContainerEngine>,
    id: String,
    row: u32,
    runs: Vec<NewRun>,
    stored_bytes: usize,
    problems: Vec<PlanProblem>,
}

impl App {
    /// Queues the rows of a batch, all or none; returns the batch's id. `all`: values that all rows share.
    ///
    /// # Errors
    /// As [`App::run_submit`], for all rows at once; [`Error::TooLarge`] if too much would have to be stored.
    pub async fn run_submit_batch(&self, session: &UserSession, all: &RunForm, rows: BatchRows) -> Result<String> {
        let machine = self.engine_for_runs().await?;
        let subject = self.run_subject(&all.image, machine.as_ref()).await?;
        let rows = self.batch_rows(session, rows, &subject).await?;
        let _held = self.0.batches.lock().await;
        let mut batch = BatchBuilder::new(self, session, machine);
        batch.add_rows(all, &subject, rows).await?;
        batch.queue().await
    }

    /// Plans the rows of a batch without queueing them.
    ///
    /// # Errors
    /// As [`App::run_submit_batch`], but a missing engine is no error.
    pub async fn run_plan_batch(&self, session: &UserSession, all: &RunForm, rows: BatchRows) -> Result<PlannedBatch> {
        /// Rows that are shown.
        const SHOWN: usize = 10;
        let machine = self.machine().await.ok();
        let subject = self.run_subject(&all.image, machine.as_ref()).await?;
        let rows = self.batch_rows(session, rows, &subject).await?;
        let (count, first) = (rows.len(), rows.iter().flatten().take(SHOWN).cloned().collect());
        let _held = self.0.batches.lock().await;
        let mut batch = BatchBuilder::new(self, session, machine);
        batch.add_rows(all, &subject, rows).await?;
        batch.checked()?;
        Ok(PlannedBatch { image: subject.name, digest: subject.digest, rows: count, first })
    }

    /// The rows of a batch as they are given, if it may have so many.
    async fn batch_rows(
        &self,
        session: &UserSession,
        rows: BatchRows,
        subject: &RunnableImage,
    ) -> Result<Vec<BatchRowOutcome>> {
        let rows = rows.read(&subject.manifest, MOST_ROWS).map_err(|problem| unrunnable(vec![problem]))?;
        if rows.is_empty() {
            return Err(Error::Invalid("The batch has no rows, so there is nothing to run".to_owned()));
        }
        if rows.len() > MOST_ROWS {
            return Err(Error::Invalid(format!("The batch has more than {MOST_ROWS} rows: split it")));
        }
        self.check_room(session, rows.len()).await?;
        Ok(rows)
    }

    /// Batches that the user may see, newest first, with ids below `before`.
    pub async fn batch_list(
        &self,
        session: &UserSession,
        before: Option<&str>,
        limit: u32,
    ) -> Result<Vec<BatchSummary>> {
        Ok(self.store().batch_list(&own(session, RunFilter::default()), before, limit).await?)
    }

    /// A batch that the user may see.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn batch_get(&self, session: &UserSession, id: &str) -> Result<BatchSummary> {
        let filter = RunFilter { batch: Some(id.to_owned()), ..RunFilter::default() };
        let found = self.store().batch_list(&own(session, filter), None, 1).await?.pop();
        found.ok_or_else(|| Error::NotFound("No batch found with that ID".to_owned()))
    }

    /// The values that the runs of a batch gave, by row; of the rows after `after`.
    pub async fn batch_outputs(
        &self,
        session: &UserSession,
        batch: &str,
        after: i64,
        limit: u32,
    ) -> Result<BatchOutputPage> {
        let mut runs = self.store().run_get_batch(batch, after, limit).await?;
        runs.retain(|run| may_see(session, &run.summary));
        let names = match runs.first() {
            Some(run) => output_names(&read_manifest(&read_record(run)?)?),
            None => Vec::new(),
        };
        let row = |run: StoredRun| -> Result<BatchRowOutputs> {
            let json = read_record(&run)?.outputs.map(|outputs| outputs.json).unwrap_or_default();
            let RunSummary { id, batch_row, status, error_name, .. } = run.summary;
            Ok(BatchRowOutputs { row: batch_row.unwrap_or_default(), run: id, status, error: error_name, json })
        };
        Ok(BatchOutputPage { names, rows: runs.into_iter().map(row).collect::<Result<_>>()? })
    }

    /// Queues the rows of a batch that have this status again; returns the new batch's id.
    ///
    /// # Errors
    /// [`Error::Conflict`] if no row has it; as [`App::run_rerun`] and [`App::run_submit_batch`].
    pub async fn run_rerun_batch(&self, session: &UserSession, batch: &str, status: RunStatus) -> Result<String> {
        let filter = RunFilter { batch: Some(batch.to_owned()), status: vec![status], ..RunFilter::default() };
        let mut found = self.run_list(session, filter, None, MOST_ROWS as u32).await?;
        if found.is_empty() {
            let word = status.as_str();
            return Err(Error::Conflict(format!("No row of batch {batch} is {word}, so there is nothing to rerun")));
        }
        self.check_room(session, found.len()).await?;
        found.sort_by_key(|run| run.batch_row);
        let machine = self.engine_for_runs().await?;
        let _held = self.0.batches.lock().await;
        let mut batch = BatchBuilder::new(self, session, machine);
        for run in found {
            let (form, subject) = self.rerun_form(session, &run.id, &RunChange::default()).await?;
            batch.add(&form, subject, Some(run.id)).await?;
        }
        batch.queue().await
    }

    /// Checks that the user may have so many more runs. The insert counts again; this fails before anything is
    /// prepared.
    async fn check_room(&self, session: &UserSession, more: usize) -> Result<()> {
        let filter = RunFilter { owner: Some(session.user.id), ..RunFilter::default() };
        let counts = self.store().run_counts(&filter).await?;
        let (there, most) = (counts.accepted + counts.running, u64::from(self.settings().runs.per_user_active));
        if there + more as u64 > most { Err(super::submit::too_many(there, most)) } else { Ok(()) }
    }
}

impl<'a> BatchBuilder<'a> {
    fn new(app: &'a App, session: &'a UserSession, machine: Option<ContainerEngine>) -> Self {
        let id = time_ordered_id(app.0.clock.now());
        Self { app, session, machine, id, row: 0, runs: Vec::new(), stored_bytes: 0, problems: Vec::new() }
    }

    /// Prepares all rows.
    async fn add_rows(&mut self, all: &RunForm, subject: &RunnableImage, rows: Vec<BatchRowOutcome>) -> Result<()> {
        for row in rows {
            match row {
                Ok(row) => self.add(&form_of(all, &row), subject.clone(), None).await?,
                Err(problems) => {
                    self.row += 1;
                    self.refuse(problems)?;
                }
            }
        }
        Ok(())
    }

    /// Adds problems of the current row.
    ///
    /// # Errors
    /// [`Error::Unrunnable`] if there are enough of them.
    fn refuse(&mut self, problems: Vec<PlanProblem>) -> Result<()> {
        let row = self.row;
        self.problems.extend(problems.into_iter().map(|problem| in_row(problem, row)));
        if self.problems.len() < MOST_PROBLEMS { Ok(()) } else { self.checked() }
    }

    /// Prepares the next row.
    async fn add(&mut self, form: &RunForm, subject: RunnableImage, rerun_of: Option<String>) -> Result<()> {
        self.row += 1;
        let (app, user, row) = (self.app, &self.session.user, self.row);
        match app.prepared(user, form, Some(subject), self.machine.as_ref()).await {
            // One row with a problem keeps the whole batch from being queued.
            Ok(_) if !self.problems.is_empty() => Ok(()),
            Ok(prepared) => {
                let ticket = app.ticket(user, form, Some(self.id.clone()), rerun_of);
                let (new, _) = app.new_run(user.clone(), form, prepared, ticket, Some(row));
                self.keep(new)
            }
            Err(Error::Unrunnable(found)) => self.refuse(found),
            Err(why @ (Error::Invalid(_) | Error::NotFound(_))) => {
                let (message, help) = (why.to_string(), String::new());
                self.refuse(vec![PlanProblem { code: PlanCode::BadValue, subject: String::new(), message, help }])
            }
            Err(why) => Err(why),
        }
    }

    fn keep(&mut self, new: NewRun) -> Result<()> {
        self.stored_bytes += new.spec.len() + new.record.len() + new.sealed.as_ref().map_or(0, String::len);
        if self.stored_bytes > MOST_STORED_MIB * 1024 * 1024 {
            let before = self.row - 1;
            return Err(Error::TooLarge(format!(
                "A batch may have {MOST_STORED_MIB} MiB of stored values, which row {} exceeds: send batches of \
                 {before} rows, or send large values as files",
                self.row
            )));
        }
        self.runs.push(new);
        Ok(())
    }

    /// # Errors
    /// [`Error::Unrunnable`] with the problems of all rows.
    fn checked(&mut self) -> Result<()> {
        match std::mem::take(&mut self.problems) {
            problems if problems.is_empty() => Ok(()),
            problems => Err(unrunnable(problems)),
        }
    }

    async fn queue(mut self) -> Result<String> {
        self.checked()?;
        self.app.queue(&self.runs).await?;
        Ok(self.id)
    }
}

/// The form of a row as a run of its own. Its values go before the shared ones.
fn form_of(all: &RunForm, row: &RunChange) -> RunForm {
    let all = all.clone();
    RunForm {
        inputs: all.inputs.changed(&row.inputs, |a, b| a == b),
        options: all.options.changed(&row.options),
        ..all
    }
}

fn in_row(problem: PlanProblem, row: u32) -> PlanProblem {
    let subject = match problem.subject.as_str() {
        "" => format!("row {row}"),
        subject => format!("row {row}, {subject}"),
    };
    PlanProblem { subject, ..problem }
}

fn output_names(manifest: &SeedManifest) -> Vec<String> {
    manifest.job.interface.outputs.json.iter().map(|output| output.name.clone()).collect()
}
