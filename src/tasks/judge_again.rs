//! Judges manifests again that an older SILO judged: its rules were others.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Reconcile;
use crate::app::{App, Result};

pub(super) struct JudgeAgain;

impl Reconcile for JudgeAgain {
    const NAME: &'static str = "judge_again";
    /// Finds what an older process on the same database stores; asking costs one look into an index.
    const PERIOD: Duration = Duration::from_secs(3600);

    async fn wake(_app: &App) {
        std::future::pending().await
    }

    async fn reconcile(app: &App, _stop: &CancellationToken) -> Result<bool> {
        app.judge_again().await
    }
}
