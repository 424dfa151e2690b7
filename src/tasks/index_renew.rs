//! Rebuilds the search index if it is missing, damaged or of an older revision of its rules.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::BackgroundTask;
use crate::app::{App, Result};

pub(super) struct IndexRenew;

impl BackgroundTask for IndexRenew {
    const NAME: &'static str = "index_renew";
    /// Detects that the folder was deleted; costs one file lookup.
    const PERIOD: Duration = Duration::from_secs(2);

    async fn wake(app: &App) {
        app.signals().index_broken.notified().await;
    }

    async fn reconcile(app: &App, stop: &CancellationToken) -> Result<bool> {
        // A shutdown does not wait for a half-built index.
        stop.run_until_cancelled(app.index_renew()).await.unwrap_or(Ok(())).map(|()| false)
    }
}
