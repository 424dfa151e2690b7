//! The runs that this process performs.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use tokio_util::sync::CancellationToken;

use crate::store::ClaimedRun;

#[derive(Default)]
pub(in crate::app) struct ActiveRuns {
    /// Cancellation token of each run, by id.
    runs: Mutex<HashMap<String, CancellationToken>>,
    /// Claims whose leases are ours though an error interrupted them here, and since when.
    left: Mutex<Vec<(Instant, ClaimedRun)>>,
}

/// An active run, until it is dropped.
pub(super) struct ActiveRun<'a> {
    going: &'a ActiveRuns,
    id: String,
    pub cancel: CancellationToken,
}

impl ActiveRuns {
    pub(super) fn enter(&self, id: &str) -> ActiveRun<'_> {
        let cancel = CancellationToken::new();
        self.lock().insert(id.to_owned(), cancel.clone());
        ActiveRun { going: self, id: id.to_owned(), cancel }
    }

    pub(super) fn ids(&self) -> Vec<String> {
        self.lock().keys().cloned().collect()
    }

    /// Cancels a run, if it is active in this process.
    pub(super) fn cancel(&self, id: &str) {
        if let Some(token) = self.lock().get(id) {
            token.cancel();
        }
    }

    /// Keeps a claim, to be resumed later.
    pub(super) fn leave(&self, claim: ClaimedRun) {
        self.left.lock().push((Instant::now(), claim));
    }

    /// The claims that were interrupted no longer than `most` ago. They stay in the list.
    pub(super) fn interrupted_claims(&self, most: Duration) -> Vec<ClaimedRun> {
        let left = self.left.lock();
        left.iter().filter(|(since, _)| since.elapsed() < most).map(|(_, claim)| claim.clone()).collect()
    }

    /// Takes one of the interrupted claims.
    pub(super) fn left(&self) -> Option<ClaimedRun> {
        self.left.lock().pop().map(|(_, claim)| claim)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, CancellationToken>> {
        self.runs.lock()
    }
}

impl Drop for ActiveRun<'_> {
    fn drop(&mut self) {
        self.going.lock().remove(&self.id);
    }
}
