//! Discarded files: moved aside at once, and removed in the background, one by one.

use std::ffi::OsString;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use super::super::{App, Result};
use crate::auth::random_id;
use crate::engine::file_removal::{AccessPurpose, RemovalError, closed, remove};
use crate::engine::halt::HaltSignal;
use crate::engine::runtime::{ClosedPath, ContainerRuntime as _};

/// Folder of discarded files, in the folder of runs.
const DISCARDED: &str = ".discarded";
/// Suffix of the file that says why a discarded file cannot be removed.
const WHY: &str = ".why";
/// How often an engine is asked to open folders of other users: each time may reveal further ones.
const OPENINGS: u32 = 50;

impl App {
    /// Moves a file or folder aside, to be removed in the background. One that does not exist counts as discarded.
    ///
    /// # Errors
    /// It cannot be moved, and stays where it was.
    pub(super) async fn discard(&self, folder: PathBuf) -> Result<()> {
        let discarded = discarded_in(&self.settings().runs_folder());
        let work = |folder: PathBuf, discarded: PathBuf| spawn_blocking(move || moved(&folder, &discarded));
        let mut done = work(folder.clone(), discarded.clone()).await?;
        if done.as_ref().is_err_and(|why| why.kind() == ErrorKind::PermissionDenied)
            && let Ok(machine) = self.machine().await
        {
            // A job has changed the owner or mode of its output folder.
            let place = folder.clone();
            let found = spawn_blocking(move || closed(&place, AccessPurpose::Remove, &HaltSignal::default())).await?;
            if let Ok(found) = found {
                _ = machine.docker.open_up(&found.root, &found.paths).await;
                done = work(folder.clone(), discarded).await?;
            }
        }
        self.0.signals.files_discarded.notify_one();
        done.map_err(|why| super::super::Error::Internal(format!("{} cannot be removed: {why}", folder.display())))
    }

    /// Removes discarded files. What cannot be removed stays, and is logged and counted.
    pub async fn remove_discarded(&self, stop: &CancellationToken) -> Result<()> {
        let _held = self.0.discarding.lock().await;
        let discarded = discarded_in(&self.settings().runs_folder());
        let place = discarded.clone();
        let stop = stop.child_token();
        let (halt, _dropped) = (HaltSignal::on(&stop), stop.clone().drop_guard());
        let mut stuck = 0;
        for name in spawn_blocking(move || waiting(&place)).await? {
            let why_file = discarded.join(with_why(&name));
            match self.remove_one(&discarded, &name, &halt).await? {
                Ok(()) => _ = tokio::fs::remove_file(why_file).await,
                Err(RemovalError::Halted(_)) => return Ok(()),
                Err(why) => {
                    stuck += 1;
                    tracing::warn!(%why, "a run's files cannot be removed; remove them as root, or check that the \
                                          engine runs");
                    _ = tokio::fs::write(why_file, why.to_string()).await;
                }
            }
        }
        metrics::gauge!("silo_run_files_stuck").set(f64::from(stuck));
        Ok(())
    }

    async fn remove_one(
        &self,
        discarded: &Path,
        name: &OsString,
        halt: &HaltSignal,
    ) -> Result<std::result::Result<(), RemovalError>> {
        for _ in 0..OPENINGS {
            let (folder, its_halt) = (discarded.join(name), halt.clone());
            let (removed, closed) = spawn_blocking(move || {
                let removed = remove(&folder, &its_halt);
                let closed = if removed.is_err() { to_open(&folder, &its_halt) } else { Vec::new() };
                (removed, closed)
            })
            .await?;
            if closed.is_empty() {
                return Ok(removed);
            }
            let opened = match self.machine().await {
                Ok(machine) => machine.docker.open_up(discarded, &closed).await,
                Err(why) => Err(why),
            };
            if let Err(why) = opened {
                tracing::warn!(%why, "the engine cannot open folders of other users");
                return Ok(removed);
            }
        }
        let (folder, halt) = (discarded.join(name), halt.clone());
        Ok(spawn_blocking(move || remove(&folder, &halt)).await?)
    }
}

/// The folder of discarded files.
pub(in crate::app) fn discarded_in(runs: &Path) -> PathBuf {
    runs.join(DISCARDED)
}

/// Discarded files that could not be removed: their paths, and the reasons. Blocking.
pub(in crate::app) fn stuck_in(runs: &Path) -> Vec<(PathBuf, String)> {
    let discarded = discarded_in(runs);
    let why = |name: OsString| {
        let why = fs::read_to_string(discarded.join(with_why(&name))).ok()?;
        Some((discarded.join(name), why))
    };
    waiting(&discarded).into_iter().filter_map(why).collect()
}

fn with_why(name: &OsString) -> OsString {
    let mut name = name.clone();
    name.push(WHY);
    name
}

/// Names of discarded files; those that could not be removed before come last.
fn waiting(discarded: &Path) -> Vec<OsString> {
    let names = fs::read_dir(discarded).into_iter().flatten().flatten().map(|entry| entry.file_name());
    let mut names: Vec<OsString> = names.filter(|name| !name.to_string_lossy().ends_with(WHY)).collect();
    names.sort_by_key(|name| discarded.join(with_why(name)).exists());
    names
}

/// The folders that keep a discarded folder from being removed, relative to the folder of all discarded files, as the
/// engine expects them.
fn to_open(folder: &Path, halt: &HaltSignal) -> Vec<ClosedPath> {
    let Ok(found) = closed(folder, AccessPurpose::Remove, halt) else { return Vec::new() };
    match folder.file_name() {
        Some(name) if found.root == folder => {
            let below = |closed: ClosedPath| ClosedPath { path: Path::new(name).join(&closed.path), ..closed };
            found.paths.into_iter().map(below).collect()
        }
        _ => found.paths,
    }
}

fn moved(folder: &Path, discarded: &Path) -> io::Result<()> {
    fs::create_dir_all(discarded)?;
    fs::set_permissions(discarded, fs::Permissions::from_mode(0o700))?;
    match fs::rename(folder, discarded.join(random_id())) {
        Err(why) if why.kind() == ErrorKind::NotFound => Ok(()),
        // Runs were in another folder in earlier versions.
        Err(why) if why.kind() == ErrorKind::CrossesDevices => {
            remove(folder, &HaltSignal::default()).map_err(io::Error::other)
        }
        other => other,
    }
}
