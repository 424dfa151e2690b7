//! Executes queued runs, one at a time.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::BackgroundTask;
use crate::app::{App, Result};

pub(super) struct RunWorker;

impl BackgroundTask for RunWorker {
    const NAME: &'static str = "run_worker";
    /// Detects runs queued by other processes, runs that have become due, and runs whose process died.
    const PERIOD: Duration = Duration::from_secs(5);

    async fn wake(app: &App) {
        app.signals().run_queued.notified().await;
    }

    async fn reconcile(app: &App, stop: &CancellationToken) -> Result<bool> {
        let found_one = app.run_work(stop).await?;
        if found_one {
            // There may be more than this worker can execute.
            app.signals().run_queued.notify_one();
        }
        Ok(found_one)
    }
}
