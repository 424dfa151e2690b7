//! Throws away what nobody needs: expired sessions, old scans, contents without images.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Reconcile;
use crate::app::{App, Result};

pub(super) struct Cleanup {
    app: App,
}

impl Cleanup {
    pub(super) fn new(app: &App) -> Self {
        Self { app: app.clone() }
    }
}

impl Reconcile for Cleanup {
    const NAME: &'static str = "cleanup";
    const PERIOD: Duration = Duration::from_secs(3600);

    async fn wake(&self) {
        std::future::pending().await
    }

    async fn reconcile(&self, _stop: &CancellationToken) -> Result<bool> {
        self.app.clean_up().await.map(|()| false)
    }
}
