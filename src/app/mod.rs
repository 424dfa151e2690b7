//! Use cases: one file a resource. The only place that combines rooms; the front ends (REST, command line) call nothing
//! else. Knows no axum, no clap, no SQL.

mod accounts;
mod catalogue;
mod container_engine;
mod demo;
mod disk_reserve;
mod doctor;
mod error;
mod events;
mod hooks;
mod index;
mod installation;
mod job_detail;
mod keys;
mod load_history;
mod metrics;
mod names;
mod ready;
mod registries;
mod registry_access;
mod registry_check;
mod registry_overview;
pub mod remote_images;
mod remote_labels;
mod row_cache;
mod runs;
mod scans;
mod search;
mod sessions;
mod start;
mod system;
mod users;
mod validate;
mod visibility;

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::{Mutex, Notify, watch};

use crate::auth::{LoginThrottle, PasswordHashing, RateLimiter, SecretSealer, TokenIssuer};
use crate::catalog::RegistryId;
use crate::clock::Clock;
use crate::config::ServiceSettings;
use crate::registry::{PrivateNetworkPolicy, RemoteHosts};
use crate::search::SearchIndex;
use crate::store::{ClaimedScan, Store};

pub use crate::config::ConfiguredOption;
pub use crate::engine::export::ExportedJob;
pub use crate::search::{FacetCount, SearchFacet, SearchOrder, TextHighlight, folded};
pub use accounts::{NewUser, RequestCaller, UserSession, role_named};
pub use catalogue::JobDetail;
pub use demo::DEMO_REGISTRY;
pub use doctor::{DiagnosticFinding, DiagnosticVerdict, examine};
pub use error::{Error, Result};
pub use events::{EventStart, RecentEvents};
pub use hooks::{HookNotification, LONGEST_NOTIFICATION, NewHook};
pub use installation::{PASSWORD_FILE, StartError, open_store};
pub use job_detail::{ExportFormat, JobComparison, JobImageDetail, JobKey, JobOverview, JobVersionChoice};
pub use keys::{KeyRotation, rotate_seal_key};
pub use load_history::{LOAD_INTERVAL, LoadSample};
pub use registries::{CheckedRegistry, RegistryChange, RegistryStatus, ca_fingerprints};
pub use registry_check::{RegistryCheck, RegistryFieldProblem, RegistryForm, registry_field_problems};
pub use registry_overview::RegistryOverview;
pub use runs::{
    ArchiveFormat, AttemptLog, BatchOutputPage, BatchRowOutputs, BatchRows, EarlierOutput, EarlierOutputPage,
    EarlierRun, FileAddress, FileSpec, InputFile, KeptInputs, LONGEST_LOG_LINE, LogFollower, LogLine, LogLines,
    LogPlace, LogSelection, MOST_ROWS, PlannedBatch, PlannedRun, RequestedImage, RunChange, RunDetail, RunFolder,
    RunForm, RunInputs, RunLimits, RunOptions, RunOutputFile, RunnableJob, SettingValue, SubmitOutcome, UploadPosition,
};
pub use scans::{RegistryScan, ScanOutcome};
pub use search::{MatchDetails, SearchMatch, SearchOptions, SearchPage, SearchSuggestions};
pub use start::FirstAdmin;
pub use system::{SystemDisk, SystemStatus};
pub use users::UserChange;
pub use validate::ManifestSource;
pub use visibility::{RegistryAccessChange, visibility_named};

/// How long a network stays known after its last login.
const KNOWN_NETWORK_AGE: TimeDelta = TimeDelta::days(90);

/// The application, as one reader sees it. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct App(Arc<AppState>, visibility::AppReader);

struct AppState {
    settings: ServiceSettings,
    /// Private addresses that registries may have.
    private: PrivateNetworkPolicy,
    /// Private addresses that inputs may be fetched from.
    inputs_private: PrivateNetworkPolicy,
    clock: Clock,
    /// With everything; use cases read [`App::store`].
    whole_store: Store,
    closed_registries: visibility::ClosedRegistryCache,
    index: SearchIndex,
    passwords: PasswordHashing,
    tokens: TokenIssuer,
    sealer: SecretSealer,
    /// State that all outgoing requests share, by host.
    hosts: RemoteHosts,
    throttle: LoginThrottle,
    /// Rate limit of notifications, by registry.
    hook_pace: RateLimiter<RegistryId>,
    remote_labels: remote_labels::RemoteLabels,
    signals: WakeSignals,
    /// Id of this silo among all on the same database: containers and files of runs are local to it.
    host: String,
    /// The runs that this process works on.
    going: runs::ActiveRuns,
    /// Held while an upload is moved into place, and while unused uploads are removed.
    uploads: Mutex<()>,
    /// Held while discarded files are removed.
    discarding: Mutex<()>,
    /// Held while files of ended runs are purged for space; the time of the next attempt, after one that freed too
    /// little.
    purging: Mutex<Option<std::time::Instant>>,
    /// Space that the disk of runs lacked at a worker's last check.
    shortage: parking_lot::Mutex<Option<runs::RunDiskShortage>>,
    /// Serialises the preparation of batches, because each takes memory for all of its rows.
    batches: Mutex<()>,
    /// The container engine, once opened.
    machine: Mutex<Option<crate::engine::docker::ContainerEngine>>,
    /// Serialises updates of the index.
    index_sync: Mutex<()>,
    /// Serialises builds of the index.
    index_build: Mutex<()>,
    /// One permit per core: searches are CPU-bound, and each takes memory for the whole catalogue.
    searches: tokio::sync::Semaphore,
    /// The same for validating manifests that clients send: each takes several times the memory of its text.
    judgements: tokio::sync::Semaphore,
    search_rows: row_cache::SearchRowCache,
    write_probe: ready::WriteProbe,
    /// Scans that an error ended and that are still to be released; true if the error was the database's.
    interrupted: Mutex<Vec<(ClaimedScan, bool)>>,
    /// When this process began to serve.
    started_at: DateTime<Utc>,
    load: load_history::LoadMeter,
    /// Held while the installation is examined.
    examination: Mutex<()>,
    /// Labels of the registries that `/metrics` showed last.
    described: parking_lot::Mutex<Vec<metrics::RegistryLabels>>,
    /// Lock of the data directory, held while this process serves.
    _lock: Option<crate::lock::FileLock>,
}

/// Wake-ups between parts of this process. What there is to do is in the store.
#[derive(Default)]
pub struct WakeSignals {
    /// A scan was requested.
    pub scan_queued: Notify,
    /// A scan has committed changes to the catalogue.
    pub catalogue_changed: Notify,
    /// A minute has passed on the clock.
    pub minute: Notify,
    /// Incremented with each scan that ended in this process.
    pub scan_ended: watch::Sender<u64>,
    /// A run was submitted.
    pub run_queued: Notify,
    /// Files of runs were discarded.
    pub files_discarded: Notify,
    /// Incremented with each change of a run in this process.
    pub run_changed: watch::Sender<u64>,
    /// Incremented when a session ends, or a user is changed or deleted, in this process.
    pub users_changed: watch::Sender<u64>,
    /// The index cannot be written any more, and must be rebuilt.
    pub index_broken: Notify,
    /// Catalogue revision that searches see, whichever process changed it.
    pub revision: watch::Sender<i64>,
}

impl App {
    /// The configuration of this process.
    pub fn settings(&self) -> &ServiceSettings {
        &self.0.settings
    }

    /// The application's clock.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// The wake-ups of this process.
    pub fn signals(&self) -> &WakeSignals {
        &self.0.signals
    }

    /// Deletes expired sessions and known networks, old scans and events, unreferenced contents, tombstones, and
    /// expired data of runs. A failure of one does not stop the others.
    ///
    /// # Errors
    /// The first failure, after all were tried.
    pub async fn clean_up(&self) -> Result<()> {
        let (now, events) = (self.0.clock.now(), &self.settings().events);
        let store = self.store().in_background();
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

    /// Closes the database. Nothing may be called afterwards.
    pub async fn close(&self) {
        self.store().close().await;
    }
}
