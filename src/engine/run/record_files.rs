//! The files of a run's folder that tell what is run, and what came of it. Blocking.

use std::io;

use super::folder::{RunPaths, pretty, replace};
use super::record::RunRecord;
use crate::engine::plan::RunPlan;

impl RunPaths {
    /// Writes `run.sh`, without secrets.
    ///
    /// # Errors
    /// The disk fails or permission is denied.
    pub fn write_plan(&self, plan: &RunPlan) -> io::Result<()> {
        let secrets: Vec<&str> = plan.secrets().collect();
        let note = match secrets.is_empty() {
            true => String::new(),
            false => {
                format!("# Set and export first: {}. Replace the masked values in the command.\n", secrets.join(" "))
            }
        };
        replace(&self.root.join("run.sh"), format!("#!/bin/sh\n{note}exec {}\n", plan.docker_run()).as_bytes())
    }

    /// Writes the record to `job.json`, and the inputs alone to `inputs.json`.
    ///
    /// # Errors
    /// The disk fails or permission is denied.
    pub fn write_record(&self, record: &RunRecord) -> io::Result<()> {
        replace(&self.root.join("inputs.json"), &pretty(&record.given))?;
        replace(&self.root.join("job.json"), &pretty(record))
    }
}
