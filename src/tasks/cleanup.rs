//! Deletes what has expired: sessions, known networks of users, events, old scans, contents without images, kept ids,
//! runs.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::BackgroundTask;
use crate::app::{App, Result};

pub(super) struct StoreCleanup;

impl BackgroundTask for StoreCleanup {
    const NAME: &'static str = "cleanup";
    const PERIOD: Duration = Duration::from_secs(3600);

    async fn wake(_app: &App) {
        std::future::pending().await
    }

    async fn reconcile(app: &App, _stop: &CancellationToken) -> Result<bool> {
        app.clean_up().await.map(|()| false)
    }
}
