//! Output files of a user's earlier runs, to choose inputs from.

use chrono::{DateTime, Utc};

use super::super::accounts::UserSession;
use super::super::{App, Error, Result};
use crate::engine::run::outputs::CapturedFile;
use crate::engine::run::record::RunRecord;
use crate::seed::media_type;

/// Number of runs whose outputs are on one page.
const RUNS: u32 = 20;
/// Most files of one run.
const MOST_FILES: usize = 100;

/// An output file of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct EarlierOutput {
    /// Id of the run.
    pub run: String,
    /// Name of the job.
    pub job: String,
    pub job_version: String,
    /// Label that the owner chose.
    pub label: Option<String>,
    pub finished: Option<DateTime<Utc>>,
    /// Name of the output.
    pub output: String,
    pub file: CapturedFile,
}

/// Outputs of some runs, newest run first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EarlierOutputPage {
    pub items: Vec<EarlierOutput>,
    /// Id of the last of these runs; `None` if there are no older ones.
    pub next: Option<String>,
}

impl App {
    /// The outputs of the user's own successful runs with ids below `before`, newest first: of 20 runs, at most 100 files
    /// of each. Only those of these media types. Runs with very large records are left out.
    pub async fn run_earlier_outputs(
        &self,
        session: &UserSession,
        media_types: &[String],
        before: Option<&str>,
    ) -> Result<EarlierOutputPage> {
        let records = self.store().run_list_records_with_outputs(session.user.id, before, RUNS).await?;
        let is_full = records.len() == RUNS as usize;
        let mut page = EarlierOutputPage::default();
        for (id, record) in records {
            let record: RunRecord = serde_json::from_str(&record)
                .map_err(|why| Error::Internal(format!("the record of run {id}: {why}")))?;
            page.items.extend(outputs_of(record, media_types));
            page.next = Some(id).filter(|_| is_full);
        }
        Ok(page)
    }
}

fn outputs_of(record: RunRecord, media_types: &[String]) -> impl Iterator<Item = EarlierOutput> {
    let outputs = record.outputs.into_iter().flat_map(|outputs| outputs.files);
    let files = outputs.flat_map(|output| output.files.into_iter().map(move |file| (output.name.clone(), file)));
    let fitting = files.filter(|(_, file)| media_type::fits(file.media_type.as_deref(), media_types));
    fitting.take(MOST_FILES).map(move |(output, file)| EarlierOutput {
        run: record.id.clone(),
        job: record.job.name.clone(),
        job_version: record.job.job_version.clone(),
        label: record.ticket.label.clone(),
        finished: record.finished,
        output,
        file,
    })
}
