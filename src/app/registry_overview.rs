//! What an admin looks at of one registry.

use super::{App, RegistryStatus, Result};
use crate::catalog::{RegistryId, ScanId, ScanProblemCount, ScanRecord, ScanTrigger, ScannedRepository};

/// A registry with its history and what is wrong with it.
#[derive(Clone, Debug)]
pub struct RegistryOverview {
    pub status: RegistryStatus,
    /// The newest scans, newest first; at most 30.
    pub scans: Vec<ScanRecord>,
    /// The newest of these that has ended and covered the whole registry.
    pub last_ended: Option<ScanId>,
    /// The number of its problems by code, the most frequent first.
    pub problems: Vec<ScanProblemCount>,
    /// Repositories whose last scan failed, by name; at most 20.
    pub failing: Vec<ScannedRepository>,
}

impl App {
    /// One registry with its history and what is wrong with it.
    ///
    /// # Errors
    /// [`super::Error::NotFound`].
    pub async fn registry_overview(&self, id: RegistryId) -> Result<RegistryOverview> {
        const MOST_SCANS: u32 = 30;
        const MOST_FAILING: u32 = 20;
        let status = self.registry_status(id).await?;
        let scans = self.scan_list(Some(id), None, MOST_SCANS).await?;
        let is_whole = |scan: &&ScanRecord| !scan.state.is_active() && scan.trigger != ScanTrigger::Hook;
        let last_ended = scans.iter().find(is_whole).map(|scan| scan.id);
        let problems = match last_ended {
            Some(scan) => self.scan_problem_counts(scan).await?,
            None => Vec::new(),
        };
        let failing = self.registry_repositories(id, true, "", MOST_FAILING).await?;
        Ok(RegistryOverview { status, scans, last_ended, problems, failing })
    }
}
