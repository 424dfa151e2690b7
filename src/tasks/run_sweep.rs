//! Removes containers without a run: their SILO process died between two steps, or another process took its runs over.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::BackgroundTask;
use crate::app::{App, Result};

pub(super) struct RunSweep;

impl BackgroundTask for RunSweep {
    const NAME: &'static str = "run_sweep";
    const PERIOD: Duration = Duration::from_secs(60);

    async fn wake(_app: &App) {
        std::future::pending().await
    }

    async fn reconcile(app: &App, _stop: &CancellationToken) -> Result<bool> {
        app.run_sweep().await.map(|()| false)
    }
}
