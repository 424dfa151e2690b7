//! The state of this installation, for admins: what `silo doctor` and `silo config` tell, from inside the service.

use std::time::Duration;

use chrono::{DateTime, Utc};
use secrecy::ExposeSecret as _;
use tokio::task::spawn_blocking;

use super::doctor::{DiagnosticFinding, examine};
use super::{App, Result};
use crate::catalog::RunCounts;
use crate::config::ConfiguredOption;
use crate::engine::disk::{DiskSpace, space};
use crate::engine::runtime::EngineFacts;

/// Time limit for opening the container engine.
const ENGINE_LIMIT: Duration = Duration::from_secs(5);

/// State of the service.
#[derive(Clone, Debug)]
pub struct SystemStatus {
    pub started_at: DateTime<Utc>,
    /// `SQLite` or `PostgreSQL`.
    pub database: &'static str,
    /// Revision of the catalogue in the database.
    pub catalogue_revision: i64,
    /// Revision of the catalogue that searches see.
    pub index_revision: i64,
    pub index_is_ready: bool,
    pub scans_queued: u64,
    pub scans_running: u64,
    /// Active runs.
    pub runs: RunCounts,
    pub disks: Vec<SystemDisk>,
    /// The container engine, or why there is none.
    pub engine: std::result::Result<EngineFacts, String>,
}

/// The disk of a folder.
#[derive(Clone, Debug)]
pub struct SystemDisk {
    /// `data` or `runs`.
    pub name: &'static str,
    pub folder: String,
    pub space: DiskSpace,
}

impl App {
    /// The state of the service.
    pub async fn system_status(&self) -> Result<SystemStatus> {
        let (settings, store) = (self.settings(), self.store());
        // The index is read first, so that it never appears ahead of the catalogue.
        let index_revision = self.0.index.revision();
        let catalogue_revision = store.catalogue_revision().await?;
        let (scans_queued, scans_running) = store.scan_queue().await?;
        let folders = [("data", settings.data.clone()), ("runs", settings.runs_folder())];
        let disks = spawn_blocking(move || {
            let disk = |(name, folder): (&'static str, std::path::PathBuf)| {
                Some(SystemDisk { name, space: space(&folder)?, folder: folder.display().to_string() })
            };
            folders.into_iter().filter_map(disk).collect::<Vec<_>>()
        });
        Ok(SystemStatus {
            started_at: self.0.started_at,
            database: if settings.database.url.expose_secret().is_empty() { "SQLite" } else { "PostgreSQL" },
            catalogue_revision,
            index_revision,
            index_is_ready: self.0.index.serving().is_ok(),
            scans_queued,
            scans_running,
            runs: store.run_counts_active().await?,
            disks: disks.await?,
            engine: match tokio::time::timeout(ENGINE_LIMIT, self.machine()).await {
                Ok(Ok(machine)) => Ok(machine.facts),
                Ok(Err(why)) => Err(why.to_string()),
                Err(_elapsed) => Err("the container engine does not answer".to_owned()),
            },
        })
    }

    /// The findings of `silo doctor`; one examination at a time.
    pub async fn system_findings(&self) -> Vec<DiagnosticFinding> {
        let _one = self.0.examination.lock().await;
        examine(self.settings(), None).await
    }

    /// All options with their values, secrets masked, and where each is from.
    pub fn configuration(&self) -> Vec<ConfiguredOption> {
        self.settings().options()
    }
}
