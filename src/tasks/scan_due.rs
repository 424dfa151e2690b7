//! Queues the scans that the schedule wants.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Reconcile;
use crate::app::{App, Result};

pub(super) struct ScanDue {
    app: App,
}

impl ScanDue {
    pub(super) fn new(app: &App) -> Self {
        Self { app: app.clone() }
    }
}

impl Reconcile for ScanDue {
    const NAME: &'static str = "scan_due";
    const PERIOD: Duration = Duration::from_secs(300);

    async fn wake(&self) {
        self.app.signals().minute.notified().await;
    }

    async fn reconcile(&self, _stop: &CancellationToken) -> Result<bool> {
        self.app.scan_due().await.map(|()| false)
    }
}
