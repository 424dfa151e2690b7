//! Validates again the manifests that an older SILO validated under other rules.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::BackgroundTask;
use crate::app::{App, Result};

pub(super) struct ManifestRevalidation;

impl BackgroundTask for ManifestRevalidation {
    const NAME: &'static str = "judge_again";
    /// Detects what an older process on the same database stores; costs one index lookup.
    const PERIOD: Duration = Duration::from_secs(3600);

    async fn wake(_app: &App) {
        std::future::pending().await
    }

    async fn reconcile(app: &App, _stop: &CancellationToken) -> Result<bool> {
        app.judge_again().await
    }
}
