//! Readiness: the database answers, searches have an index, and files and database can be written.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use secrecy::ExposeSecret as _;
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::disk_reserve::{keep, try_to_write};
use super::{App, Error};

/// How long a result is cached, so that frequent probes cause few writes.
const FRESH: Duration = Duration::from_secs(2);
/// Time limit for the disk, and for the database.
const PATIENCE: Duration = Duration::from_secs(2);

/// The write probe of the readiness check, and its cached result.
#[derive(Default)]
pub(super) struct WriteProbe {
    /// When the last probe was, and its result.
    last: Mutex<Option<(Duration, Result<(), String>)>>,
    /// Held while writing: a disk that does not answer blocks one thread, not one per probe.
    writing: Arc<Mutex<()>>,
}

impl App {
    /// Checks whether the service can do its work.
    ///
    /// # Errors
    /// What cannot be reached or written, for operators.
    pub async fn ready(&self) -> Result<(), String> {
        self.store().ping().await.map_err(|why| {
            tracing::error!(%why, "the database does not answer");
            "the database does not answer".to_owned()
        })?;
        self.0.index.serving().map(drop).map_err(|why| Error::from(why).to_string())?;
        let mut last = self.0.write_probe.last.lock().await;
        let now = self.0.clock.elapsed();
        if let Some((at, found)) = &*last
            && now.saturating_sub(*at) < FRESH
        {
            return found.clone();
        }
        let found = match self.files_writable().await {
            Ok(()) => self.database_writable().await,
            Err(why) => Err(why),
        };
        if let Err(why) = &found {
            tracing::error!(why, "the service is not ready");
        }
        *last = Some((now, found.clone()));
        found
    }

    async fn files_writable(&self) -> Result<(), String> {
        let silent = || "the disk of the data directory does not answer".to_owned();
        let Ok(writing) = Arc::clone(&self.0.write_probe.writing).try_lock_owned() else { return Err(silent()) };
        let settings = self.settings();
        let data = settings.data.clone();
        let is_sqlite = settings.database.url.expose_secret().is_empty();
        let database = settings.sqlite_path().parent().filter(|_| is_sqlite).map(Path::to_owned);
        let looked = spawn_blocking(move || {
            let _writing = writing;
            write_everywhere(&data, database)
        });
        timeout(PATIENCE, looked).await.ok().and_then(Result::ok).unwrap_or_else(|| Err(silent()))
    }

    async fn database_writable(&self) -> Result<(), String> {
        match timeout(PATIENCE, self.store().write_check()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(why)) => {
                tracing::error!(%why, "the database cannot be written");
                Err("the database cannot be written".to_owned())
            }
            Err(_elapsed) => Err("the database does not answer".to_owned()),
        }
    }
}

fn write_everywhere(data: &Path, database: Option<PathBuf>) -> Result<(), String> {
    try_to_write(data).map_err(|why| format!("the data directory cannot be written: {why}"))?;
    match database {
        Some(folder) => keep(&folder).map_err(|why| format!("the disk of the database is full: {why}")),
        None => Ok(()),
    }
}
