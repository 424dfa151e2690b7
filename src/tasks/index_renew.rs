//! Makes the search index anew where it is missing, damaged or of older rules.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Reconcile;
use crate::app::{App, Result};

pub(super) struct IndexRenew;

impl Reconcile for IndexRenew {
    const NAME: &'static str = "index_renew";
    /// Finds that the folder was deleted; asking costs one look at a file.
    const PERIOD: Duration = Duration::from_secs(2);

    async fn wake(app: &App) {
        app.signals().index_broken.notified().await;
    }

    async fn reconcile(app: &App, stop: &CancellationToken) -> Result<bool> {
        // Half an index is nothing to wait for.
        stop.run_until_cancelled(app.index_renew()).await.unwrap_or(Ok(())).map(|()| false)
    }
}
