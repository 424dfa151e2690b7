//! Metadata that jobs write about their input files (`INPUT.metadata.json`): stored with the file, for its owner, and
//! passed to later runs, as in Scale.

use super::super::accounts::UserSession;
use super::super::{App, Error, Result};
use crate::catalog::UserId;
use crate::engine::run::outputs::RunOutputs;
use crate::engine::run::record::{GivenInput, RunRecord, Status};
use crate::seed::metadata::SeedMetadata;

impl App {
    /// Stores the metadata that a run wrote about its inputs. For an input with several files it is unknown which one
    /// is meant.
    pub(super) async fn metadata_keep(&self, record: &RunRecord) -> Result<()> {
        let Some(outputs) = record.outputs.as_ref().filter(|_| record.status == Status::Successful) else {
            return Ok(());
        };
        if outputs.input_metadata.is_empty() {
            return Ok(());
        }
        let Some(run) = self.store().run_get(&record.id).await? else { return Ok(()) };
        let owner = run.summary.owner_id;
        for (name, metadata) in &outputs.input_metadata {
            let given = record.given.files.iter().find(|input| input.name == *name);
            if let Some([file]) = given.map(|input| input.files.as_slice()) {
                let text = serde_json::to_string(metadata).map_err(|why| Error::Internal(why.to_string()))?;
                self.store().file_metadata_put(owner, &file.sha256, &text, self.0.clock.now()).await?;
            }
        }
        Ok(())
    }

    /// Adds stored metadata to inputs. It is newer than what came with them.
    pub(super) async fn metadata_add(&self, owner: UserId, given: &mut [GivenInput]) -> Result<()> {
        for file in given.iter_mut().flat_map(|input| &mut input.files) {
            let kept = self.store().file_metadata_use(owner, &file.sha256, self.0.clock.now()).await?;
            if let Some(metadata) = kept.as_deref().and_then(read) {
                file.facts.metadata = Some(metadata);
            }
        }
        Ok(())
    }

    /// The outputs of a run, with metadata that later runs wrote about the files.
    ///
    /// # Errors
    /// As [`App::run_folder`].
    pub async fn run_outputs(&self, session: &UserSession, id: &str) -> Result<RunOutputs> {
        let mut outputs = self.run_folder(session, id).await?.record.outputs.unwrap_or_default();
        let owner = self.run_summary(session, id).await?.owner_id;
        let files = outputs.files.iter_mut().flat_map(|output| &mut output.files);
        for file in files.chain(&mut outputs.extra) {
            let Some(sha256) = &file.sha256 else { continue };
            let kept = self.store().file_metadata_get(owner, sha256).await?;
            if let Some(metadata) = kept.as_deref().and_then(read) {
                file.metadata = Some(metadata);
            }
        }
        Ok(outputs)
    }
}

fn read(text: &str) -> Option<SeedMetadata> {
    serde_json::from_str(text).ok()
}
