//! Use cases: one file a resource. The only place that combines rooms; the three doors (REST, pages, command line) call
//! nothing else. Knows no axum, no clap, no SQL.

mod accounts;
mod catalogue;
mod demo;
mod disk_reserve;
mod doctor;
mod engine;
mod error;
mod events;
mod hooks;
mod index;
mod keys;
mod metrics;
mod names;
pub mod outside;
mod ready;
mod registries;
mod remote;
mod runs;
mod scans;
mod search;
mod start;
mod summaries;
mod validate;

use std::sync::Arc;

use chrono::TimeDelta;
use tokio::sync::{Mutex, Notify, watch};

use crate::auth::{Allowance, Passwords, Sealer, Throttle, Tokens};
use crate::catalog::RegistryId;
use crate::clock::Clock;
use crate::config::Settings;
use crate::registry::{Hosts, Private};
use crate::search::Index;
use crate::store::{ClaimedScan, Store};

pub use crate::search::{Count, Facet, Highlight, Order, folded};
pub use accounts::{Caller, NewUser, Session, role_named};
pub use catalogue::{JobDetail, JobOverview};
pub use demo::DEMO_REGISTRY;
pub use doctor::{Finding, Verdict, examine};
pub use error::{Error, Result};
pub use events::EventStart;
pub use hooks::{LONGEST_NOTIFICATION, NewHook, Notification};
pub use keys::{KeyRotation, rotate_seal_key};
pub use registries::{CheckedRegistry, RegistryChange, RegistryForm, RegistryStatus, ca_fingerprints};
pub use runs::{
    ArchiveForm, BatchRow, FileSpec, ImageAsked, Log, MOST_ROWS, OutputFile, Planned, RunChange, RunFolder, RunForm,
    Submitted,
};
pub use scans::{RegistryScan, ScanOutcome};
pub use search::{Match, Page, Ranked, Suggestions};
pub use start::{FirstAdmin, PASSWORD_FILE, StartError, open_store};
pub use validate::Subject;

/// How long a network is remembered from which nobody has logged in again.
const KNOWN_NETWORK_AGE: TimeDelta = TimeDelta::days(90);

/// The application. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct App(Arc<Inner>);

struct Inner {
    settings: Settings,
    /// Which private addresses registries may lead to.
    private: Private,
    /// Which private addresses inputs may be fetched from.
    inputs_private: Private,
    clock: Clock,
    store: Store,
    index: Index,
    passwords: Passwords,
    tokens: Tokens,
    sealer: Sealer,
    /// What all outgoing work shares of each host.
    hosts: Hosts,
    throttle: Throttle,
    /// How many notifications each hook may get.
    hook_pace: Allowance<RegistryId>,
    remote_labels: remote::RemoteLabels,
    signals: Signals,
    /// This silo, among all on the same database: containers and files of runs are where it is.
    host: String,
    /// The runs that this process is at.
    going: runs::Going,
    /// Held while a file that was sent is put in its place, and while those that nobody uses are removed.
    uploads: Mutex<()>,
    /// Held while files that were thrown away are removed.
    discarding: Mutex<()>,
    /// Held while room is made on the disk of runs. Until when nobody tries again, after that was in vain.
    purging: Mutex<Option<std::time::Instant>>,
    /// How much room the disk of runs lacked when a worker looked last.
    shortage: std::sync::Mutex<Option<runs::RunDiskShortage>>,
    /// Batches are prepared one after the other, because each takes memory for all of its rows.
    batches: Mutex<()>,
    /// The container engine, once it was needed.
    machine: Mutex<Option<engine::Machine>>,
    /// One writer brings the index up to date at a time.
    index_sync: Mutex<()>,
    /// One builder makes the next one at a time.
    index_build: Mutex<()>,
    /// One for each core: searches are all work, and each takes memory for the whole catalogue.
    searches: tokio::sync::Semaphore,
    /// The same of judging manifests that are sent: one takes some times the memory that its text has.
    judgements: tokio::sync::Semaphore,
    summaries: summaries::Summaries,
    write_probe: ready::WriteProbe,
    /// Scans that an error ended and that are still to be given back, and whether the error was the database's.
    interrupted: Mutex<Vec<(ClaimedScan, bool)>>,
    /// The registries whose numbers `/metrics` showed last.
    described: std::sync::Mutex<Vec<metrics::Labels>>,
    /// Held while this process serves: the data directory is ours.
    _lock: Option<crate::lock::FileLock>,
}

/// How parts of this process wake each other. Only wake-ups: what there is to do stands in the store.
#[derive(Default)]
pub struct Signals {
    /// A scan was asked for.
    pub scan_queued: Notify,
    /// A scan has put something into the catalogue.
    pub catalogue_changed: Notify,
    /// A minute has passed on the clock.
    pub minute: Notify,
    /// Rises with each scan that ended in this process.
    pub scan_ended: watch::Sender<u64>,
    /// A run was asked for.
    pub run_queued: Notify,
    /// Files of runs were thrown away.
    pub files_discarded: Notify,
    /// Rises with each change of a run in this process.
    pub run_changed: watch::Sender<u64>,
    /// Rises when a session ends, or a user is deleted, in this process.
    pub users_changed: watch::Sender<u64>,
    /// The index cannot be written any more.
    pub index_broken: Notify,
    /// The revision of the catalogue that searches see, whoever changed it.
    pub revision: watch::Sender<i64>,
}

impl App {
    /// What this process was told.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// The application's clock.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// The wake-ups of this process.
    pub fn signals(&self) -> &Signals {
        &self.0.signals
    }

    /// Deletes expired sessions, old scans and events, contents that no image points to, ids of what went, and what was kept
    /// of runs for long enough. Each on its own.
    ///
    /// # Errors
    /// The first, after all were tried.
    pub async fn clean_up(&self) -> Result<()> {
        let (now, events) = (self.0.clock.now(), &self.settings().events);
        let store = self.0.store.in_background();
        let latest = now + TimeDelta::hours(i64::from(self.settings().auth.token_hours));
        let sessions = store.session_prune(now, latest).await.map(drop).map_err(Error::from);
        let networks = store.login_network_prune(now - KNOWN_NETWORK_AGE).await.map(drop).map_err(Error::from);
        let events = store.event_prune(events.keep, now - TimeDelta::days(i64::from(events.keep_days))).await;
        let scans = store.scan_prune(self.settings().scan.keep).await.map(drop).map_err(Error::from);
        let contents = store.content_prune().await.map(drop).map_err(Error::from);
        let tombstones = store.tombstone_prune(now).await.map(drop).map_err(Error::from);
        let runs = self.run_clean_up().await;
        sessions
            .and(tombstones)
            .and(networks)
            .and(events.map(drop).map_err(Error::from))
            .and(scans)
            .and(contents)
            .and(runs)
    }

    /// Ends what is open. Nothing may be asked afterwards.
    pub async fn close(&self) {
        self.0.store.close().await;
    }
}
