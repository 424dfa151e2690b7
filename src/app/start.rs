//! Start-up: keys, database, index and the first admin.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::TimeDelta;
use secrecy::{ExposeSecret, SecretString};

use super::installation::{PASSWORD_FILE, StartError, lock, open_store, refuse_emptied, require_data};
use super::names::{check_password, check_user_name};
use super::runs::remove_parts;
use super::{App, AppState, Error, WakeSignals, keys};
use crate::auth::{
    InstallationKeys, LoginThrottle, PasswordHashing, RateLimiter, SecretSealer, ThrottleRules, TokenIssuer, random_id,
    random_password, write_private,
};
use crate::catalog::UserRole;
use crate::clock::Clock;
use crate::config::ServiceSettings;
use crate::lock::FileLock;
use crate::registry::{PrivateNetworkPolicy, RemoteHosts};
use crate::search::{SearchIndex, SynonymTable};
use crate::store::{self, Store};

/// How the first admin was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FirstAdmin {
    /// Users exist already.
    NotNeeded,
    /// Made with the configured password.
    Given,
    /// Made with this random password, which is also in the file.
    Made { password: String, file: PathBuf },
}

impl App {
    /// Opens everything below the data directory, for this process alone until it ends.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(settings: ServiceSettings, clock: Clock) -> Result<(Self, FirstAdmin), StartError> {
        let data_error = |why| StartError::Data { path: settings.data.clone(), why };
        make_private_folder(&settings.data).map_err(data_error)?;
        let lock = lock(&settings.data)?;
        refuse_emptied(&settings)?;
        let store = open_store(&settings).await?;
        let keys = keys::load(&settings, &store).await?;
        keys::examine(&store, &keys).await?;
        if settings.database.url.expose_secret().is_empty() {
            // No other process scans: the lock is ours.
            warn_if_kept("scans", store.scan_release_all().await.map(drop));
        }
        let host = host_id(&settings.data).map_err(data_error)?;
        // No other process has this silo's runs: the lock is ours.
        warn_if_kept("runs", store.run_release_host(&host).await.map(drop));
        warn_if_kept("upload reservations", store.upload_release_host(&host).await.map(drop));
        let uploads = settings.in_data("uploads");
        tokio::task::spawn_blocking(move || remove_parts(&uploads)).await.expect("removing does not panic");
        let folder = settings.in_data("index");
        let synonyms = read_synonyms(&settings.search.synonyms)?;
        let index =
            tokio::task::spawn_blocking(move || SearchIndex::open(&folder)).await.expect("opening does not panic")?;
        index.set_synonyms(synonyms);
        let app = Self::assemble(settings, clock, &keys, store, index, host, Some(lock))?;
        let images = app.0.whole_store.origin_create_missing(app.0.clock.now()).await?;
        if images > 0 {
            tracing::info!(images, "derived the origins of all jobs");
        }
        app.closed_registries().await?;
        match app.index_start().await {
            Err(why @ Error::StoreAway(_)) => return Err(why.into()),
            // Searches report that the index is being built, or use the old one; the rest works.
            Err(why) => tracing::error!(%why, "the search index could not be updated; retrying"),
            Ok(()) => {}
        }
        let admin = app.first_admin().await?;
        Ok((app, admin))
    }

    /// Opens the database beside a service that may be running, for the account commands. Its index is empty, so it
    /// must not scan.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn beside(settings: ServiceSettings, clock: Clock) -> Result<Self, StartError> {
        require_data(&settings)?;
        let store = open_store(&settings).await?;
        let keys = keys::load(&settings, &store).await?;
        Self::assemble(settings, clock, &keys, store, SearchIndex::in_memory()?, String::new(), None)
    }

    fn assemble(
        settings: ServiceSettings,
        clock: Clock,
        keys: &InstallationKeys,
        store: Store,
        index: SearchIndex,
        host: String,
        lock: Option<FileLock>,
    ) -> Result<Self, StartError> {
        let private = PrivateNetworkPolicy::new(settings.scan.allow_private, &settings.scan.private_hosts)
            .map_err(|why| StartError::Option(format!("scan.private_hosts cannot be used: {why}")))?;
        let inputs_private = PrivateNetworkPolicy::new(true, &settings.runs.private_hosts)
            .map_err(|why| StartError::Option(format!("runs.private_hosts cannot be used: {why}")))?;
        let rules = ThrottleRules {
            free_per_account: settings.auth.free_failures_per_account,
            free_per_address: settings.auth.free_failures_per_address,
            longest_wait: TimeDelta::seconds(i64::from(settings.auth.longest_wait_seconds)),
        };
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let state = Arc::new(AppState {
            private,
            inputs_private,
            started_at: clock.now(),
            load: super::load_history::LoadMeter::default(),
            examination: tokio::sync::Mutex::default(),
            clock,
            whole_store: store.clone(),
            closed_registries: super::visibility::ClosedRegistryCache::default(),
            index,
            passwords: PasswordHashing::new(cores),
            tokens: TokenIssuer::new(&keys.token),
            sealer: SecretSealer::new(&keys.seal),
            hosts: RemoteHosts::default(),
            throttle: LoginThrottle::new(rules),
            hook_pace: RateLimiter::new(settings.hooks.per_minute),
            remote_labels: super::remote_labels::RemoteLabels::new(settings.auth.remote_images_per_minute),
            signals: WakeSignals::default(),
            host,
            going: super::runs::ActiveRuns::default(),
            discarding: tokio::sync::Mutex::default(),
            purging: tokio::sync::Mutex::default(),
            shortage: parking_lot::Mutex::default(),
            machine: tokio::sync::Mutex::default(),
            batches: tokio::sync::Mutex::default(),
            uploads: tokio::sync::Mutex::default(),
            index_sync: tokio::sync::Mutex::default(),
            index_build: tokio::sync::Mutex::default(),
            searches: tokio::sync::Semaphore::new(cores),
            judgements: tokio::sync::Semaphore::new(cores),
            search_rows: super::row_cache::SearchRowCache::default(),
            write_probe: super::ready::WriteProbe::default(),
            interrupted: tokio::sync::Mutex::default(),
            described: parking_lot::Mutex::default(),
            _lock: lock,
            settings,
        });
        Ok(App(state, super::visibility::AppReader::whole(store)))
    }

    /// Creates the first admin if there is no user. After a kill in between, the next start finishes it with the same
    /// password.
    async fn first_admin(&self) -> Result<FirstAdmin, StartError> {
        if !self.0.whole_store.user_list().await?.is_empty() {
            return Ok(FirstAdmin::NotNeeded);
        }
        let given = &self.settings().admin.password;
        let refused = |key: &str, why: Error| StartError::Option(format!("{key} cannot be used: {why}"));
        check_user_name(&self.settings().admin.username, [])
            .map_err(|why| refused("admin.username (SILO_ADMIN)", why))?;
        if !given.expose_secret().is_empty() {
            check_password(given).map_err(|why| refused("admin.password (SILO_ADMIN_PASSWORD)", why))?;
        }
        let file = self.settings().in_data(PASSWORD_FILE);
        let (password, outcome) = if given.expose_secret().is_empty() {
            let password = kept(&file, random_password).map_err(|why| StartError::Data { path: file.clone(), why })?;
            (SecretString::from(password.clone()), FirstAdmin::Made { password, file: file.clone() })
        } else {
            (given.clone(), FirstAdmin::Given)
        };
        let hash = self.0.passwords.hash(&password).await;
        match self
            .0
            .whole_store
            .user_insert(&self.settings().admin.username, &hash, UserRole::Admin, self.0.clock.now())
            .await
        {
            Ok(_) => Ok(outcome),
            // Another process on the same database was faster; its password counts.
            Err(store::Error::Duplicate(_)) => {
                _ = std::fs::remove_file(file);
                Ok(FirstAdmin::NotNeeded)
            }
            Err(why) => Err(why.into()),
        }
    }
}

/// Logs that leases of the last process could not be released, as on a full disk. They expire by themselves, which is
/// no reason not to start.
fn warn_if_kept(what: &str, released: store::Result<()>) {
    if let Err(why) = released {
        tracing::warn!(%why, "leases of {what} could not be released; they expire on their own");
    }
}

/// Id of this silo among all on the same database, kept in the data directory.
fn host_id(data: &Path) -> std::io::Result<String> {
    kept(&data.join("host.id"), random_id)
}

/// Reads a file; creates it if it is missing.
fn kept(file: &Path, make: impl FnOnce() -> String) -> std::io::Result<String> {
    match std::fs::read_to_string(file) {
        Ok(text) => Ok(text.trim().to_owned()),
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => {
            let text = make();
            write_private(file, &format!("{text}\n"))?;
            Ok(text)
        }
        Err(why) => Err(why),
    }
}

/// The built-in synonyms, and those of a file, if configured.
fn read_synonyms(path: &Path) -> Result<SynonymTable, StartError> {
    if path.as_os_str().is_empty() {
        return Ok(SynonymTable::default());
    }
    let text = std::fs::read_to_string(path).map_err(|why| why.to_string());
    let synonyms = text.and_then(|text| SynonymTable::with(&text));
    synonyms.map_err(|why| StartError::Option(format!("search.synonyms cannot be used: {}: {why}", path.display())))
}

fn make_private_folder(path: &Path) -> std::io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}
