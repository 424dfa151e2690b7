//! Updates the search index to the catalogue's revision.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::BackgroundTask;
use crate::app::{App, Result};

pub(super) struct IndexSync;

impl BackgroundTask for IndexSync {
    const NAME: &'static str = "index_sync";
    /// Detects changes by other processes; costs one row.
    const PERIOD: Duration = Duration::from_millis(500);

    async fn wake(app: &App) {
        app.signals().catalogue_changed.notified().await;
    }

    async fn reconcile(app: &App, stop: &CancellationToken) -> Result<bool> {
        stop.run_until_cancelled(app.index_bring_up_to_date()).await.unwrap_or(Ok(())).map(|()| false)
    }
}
