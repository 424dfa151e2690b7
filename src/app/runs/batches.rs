//! Batches: one job with many rows, queued all or none. Rows are prepared one after the other, so that shared values
//! are in memory once; the total size stored for them is limited.

use super::super::accounts::UserSession;
use super::super::{App, Error, Result};
use super::runnable_image::RunnableImage;
use super::submit::{MOST_PROBLEMS, unrunnable};
use super::{RunChange, RunForm};
use crate::auth::time_ordered_id;
use crate::catalog::{RunFilter, RunStatus};
use crate::engine::docker::ContainerEngine;
use crate::engine::plan::{PlanCode, PlanProblem};
use crate::store::NewRun;

/// Most rows of a batch.
pub const MOST_ROWS: usize = 10_000;
/// Most MiB stored for all rows of a batch.
const MOST_STORED_MIB: usize = 128;

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
    pub async fn run_submit_batch(&self, session: &UserSession, all: &RunForm, rows: Vec<RunChange>) -> Result<String> {
        if rows.is_empty() {
            return Err(Error::Invalid("The batch has no rows, so there is nothing to run".to_owned()));
        }
        if rows.len() > MOST_ROWS {
            return Err(Error::Invalid(format!("The batch has more than {MOST_ROWS} rows: split it")));
        }
        self.check_room(session, rows.len()).await?;
        let machine = self.engine_for_runs().await?;
        let subject = self.run_subject(&all.image, machine.as_ref()).await?;
        let _held = self.0.batches.lock().await;
        let mut batch = BatchBuilder::new(self, session, machine);
        for row in rows {
            batch.add(&form_of(all, &row), subject.clone(), None).await?;
        }
        batch.queue().await
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
        let counts = self.0.store.run_counts(&filter).await?;
        let (there, most) = (counts.accepted + counts.running, u64::from(self.settings().runs.per_user_active));
        if there + more as u64 > most { Err(super::submit::too_many(there, most)) } else { Ok(()) }
    }
}

impl<'a> BatchBuilder<'a> {
    fn new(app: &'a App, session: &'a UserSession, machine: Option<ContainerEngine>) -> Self {
        let id = time_ordered_id(app.0.clock.now());
        Self { app, session, machine, id, row: 0, runs: Vec::new(), stored_bytes: 0, problems: Vec::new() }
    }

    /// Prepares the next row.
    async fn add(&mut self, form: &RunForm, subject: RunnableImage, rerun_of: Option<String>) -> Result<()> {
        self.row += 1;
        let (app, user, row) = (self.app, &self.session.user, self.row);
        match app.prepared(user, form, Some(subject), self.machine.as_ref()).await {
            // One row with a problem keeps the whole batch from being queued.
            Ok(_) if !self.problems.is_empty() => {}
            Ok(prepared) => {
                let ticket = app.ticket(user, form, Some(self.id.clone()), rerun_of);
                let (new, _) = app.new_run(user.clone(), form, prepared, ticket, Some(row));
                self.keep(new)?;
            }
            Err(Error::Unrunnable(found)) => {
                self.problems.extend(found.into_iter().map(|problem| in_row(problem, row)))
            }
            Err(why @ (Error::Invalid(_) | Error::NotFound(_))) => {
                let subject = format!("row {row}");
                let (message, help) = (why.to_string(), String::new());
                self.problems.push(PlanProblem { code: PlanCode::BadValue, subject, message, help });
            }
            Err(why) => return Err(why),
        }
        if self.problems.len() < MOST_PROBLEMS { Ok(()) } else { Err(unrunnable(std::mem::take(&mut self.problems))) }
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

    async fn queue(self) -> Result<String> {
        if !self.problems.is_empty() {
            return Err(unrunnable(self.problems));
        }
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

fn in_row(mut problem: PlanProblem, row: u32) -> PlanProblem {
    problem.subject = format!("row {row}, {}", problem.subject);
    problem
}
