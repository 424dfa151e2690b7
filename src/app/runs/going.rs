//! The runs that this process is at.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::store::ClaimedRun;

#[derive(Default)]
pub(in crate::app) struct Going {
    /// By id, how each is told to stop.
    runs: Mutex<HashMap<String, CancellationToken>>,
    /// Those that an error has ended here, though their leases are ours.
    left: Mutex<Vec<(Instant, ClaimedRun)>>,
}

/// One of them, until it is dropped.
pub(super) struct Entered<'a> {
    going: &'a Going,
    id: String,
    pub cancel: CancellationToken,
}

impl Going {
    pub(super) fn enter(&self, id: &str) -> Entered<'_> {
        let cancel = CancellationToken::new();
        self.lock().insert(id.to_owned(), cancel.clone());
        Entered { going: self, id: id.to_owned(), cancel }
    }

    pub(super) fn ids(&self) -> Vec<String> {
        self.lock().keys().cloned().collect()
    }

    /// Tells a run to stop, if it is here.
    pub(super) fn cancel(&self, id: &str) {
        if let Some(token) = self.lock().get(id) {
            token.cancel();
        }
    }

    /// To be gone on with later.
    pub(super) fn leave(&self, claim: ClaimedRun) {
        self.left.lock().unwrap_or_else(PoisonError::into_inner).push((Instant::now(), claim));
    }

    /// Those that were left, not longer ago than that. They stay.
    pub(super) fn all_left(&self, most: Duration) -> Vec<ClaimedRun> {
        let left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        left.iter().filter(|(since, _)| since.elapsed() < most).map(|(_, claim)| claim.clone()).collect()
    }

    /// One of those that were left.
    pub(super) fn left(&self) -> Option<ClaimedRun> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner).pop().map(|(_, claim)| claim)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, CancellationToken>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.going.lock().remove(&self.id);
    }
}
