//! Samples the load of this process for the history of the last hour.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::BackgroundTask;
use crate::app::{App, LOAD_INTERVAL, Result};

pub(super) struct LoadSampling;

impl BackgroundTask for LoadSampling {
    const NAME: &'static str = "load_sampling";
    const PERIOD: Duration = LOAD_INTERVAL;

    async fn wake(_app: &App) {
        std::future::pending().await
    }

    async fn reconcile(app: &App, _stop: &CancellationToken) -> Result<bool> {
        app.load_sample().await;
        Ok(false)
    }
}
