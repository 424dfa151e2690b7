//! Removes the files of runs whose files were discarded.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::BackgroundTask;
use crate::app::{App, Result};

pub(super) struct FileRemoval;

impl BackgroundTask for FileRemoval {
    const NAME: &'static str = "file_removal";
    /// Retries removals that failed.
    const PERIOD: Duration = Duration::from_secs(600);

    async fn wake(app: &App) {
        app.signals().files_discarded.notified().await;
    }

    async fn reconcile(app: &App, stop: &CancellationToken) -> Result<bool> {
        app.remove_discarded(stop).await.map(|()| false)
    }
}
