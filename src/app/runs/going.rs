//! The runs that this process is at.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use crate::store::ClaimedRun;

#[derive(Default)]
pub(in crate::app) struct Going {
    /// By id, how each is told to stop.
    runs: Mutex<HashMap<String, CancellationToken>>,
    /// Those that an error has ended here, though their leases are ours.
    left: Mutex<Vec<ClaimedRun>>,
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
        self.left.lock().unwrap_or_else(PoisonError::into_inner).push(claim);
    }

    /// One of those that were left.
    pub(super) fn left(&self) -> Option<ClaimedRun> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner).pop()
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
