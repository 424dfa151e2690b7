//! An installation: its data directory with the lock, its database, and why it cannot be opened.

use std::path::{Path, PathBuf};

use secrecy::ExposeSecret as _;

use super::disk_reserve::make_room;
use crate::auth::KeyFileError;
use crate::config::ServiceSettings;
use crate::lock::FileLock;
use crate::search;
use crate::store::{self, DatabaseAddress, Store};

/// File of the first admin's random password.
pub const PASSWORD_FILE: &str = "initial-admin-password";

/// Why the service cannot start; the text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("the data directory {path} cannot be used: {why}. Give another with SILO_DATA")]
    Data { path: PathBuf, why: std::io::Error },
    #[error(
        "there is no SILO data in {path}: give the folder with --data or SILO_DATA, or start there with: silo serve"
    )]
    NoData { path: PathBuf },
    #[error(
        "another silo process already uses the data directory {0}: stop it, or give this one its own directory with \
         SILO_DATA"
    )]
    Locked(PathBuf),
    #[error(
        "the database file {path} is empty, but {other} shows that there was a catalogue: the disk may have been \
         full, or the file truncated. Restore the file from a backup, or remove it to start with an empty catalogue"
    )]
    Emptied { path: PathBuf, other: PathBuf },
    #[error("the disk of {folder} is full, so the database cannot be opened: free some space there ({why})")]
    Full { folder: PathBuf, why: store::Error },
    #[error("the option {0}")]
    Option(String),
    #[error("the secrets were not sealed again: {0}")]
    Seal(String),
    #[error(transparent)]
    Keys(#[from] KeyFileError),
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Search(#[from] search::Error),
    #[error("the search index cannot be created: {0}")]
    Index(#[from] super::Error),
}

pub(super) fn lock(data: &Path) -> Result<FileLock, StartError> {
    let path = data.join("lock");
    let lock = FileLock::take(&path).map_err(|why| StartError::Data { path, why })?;
    lock.ok_or_else(|| StartError::Locked(data.to_owned()))
}

/// Refuses a database file that has lost its content: a new catalogue in its place would hide the loss.
pub(super) fn refuse_emptied(settings: &ServiceSettings) -> Result<(), StartError> {
    let path = settings.sqlite_path();
    let is_emptied = settings.database.url.expose_secret().is_empty()
        && std::fs::metadata(&path).is_ok_and(|about| about.len() == 0);
    let others = ["index", "host.id", "token.key", "seal.key", PASSWORD_FILE];
    match others.into_iter().find(|name| settings.in_data(name).exists()) {
        Some(other) if is_emptied => Err(StartError::Emptied { path, other: settings.in_data(other) }),
        _ => Ok(()),
    }
}

/// Refuses a folder without SILO's data: commands that inspect an installation must not create one.
pub(super) fn require_data(settings: &ServiceSettings) -> Result<(), StartError> {
    let is_ours = settings.database.url.expose_secret().is_empty();
    if !settings.data.is_dir() || is_ours && !settings.sqlite_path().exists() {
        let path = std::path::absolute(&settings.data).unwrap_or_else(|_| settings.data.clone());
        return Err(StartError::NoData { path });
    }
    Ok(())
}

/// Opens the configured database.
///
/// # Errors
/// [`StartError`], with advice.
pub async fn open_store(settings: &ServiceSettings) -> Result<Store, StartError> {
    let address = address(settings);
    let folder = match &address {
        DatabaseAddress::Sqlite(path) => path.parent().map(Path::to_owned).unwrap_or_default(),
        DatabaseAddress::Postgres(_) => return Ok(Store::connect(&address).await?),
    };
    let place = folder.clone();
    let has_room = tokio::task::spawn_blocking(move || make_room(&place)).await.expect("writing does not panic");
    Store::connect(&address).await.map_err(|why| if has_room { why.into() } else { StartError::Full { folder, why } })
}

pub(super) fn address(settings: &ServiceSettings) -> DatabaseAddress {
    let url = &settings.database.url;
    match url.expose_secret() {
        "" => DatabaseAddress::Sqlite(settings.sqlite_path()),
        _ => DatabaseAddress::Postgres(url.clone()),
    }
}
