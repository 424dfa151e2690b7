//! Checks of what the machine gives the service: the data directory, its files, and disk space.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use secrecy::ExposeSecret as _;

use super::super::disk_reserve::{is_kept, try_to_write};
use super::super::runs::{RunDiskShortage, reserve, stuck_in};
use super::{DiagnosticFinding, bad, good, notice};
use crate::config::ServiceSettings;
use crate::engine::disk::space;

const MIB: u64 = 1024 * 1024;

/// Permission bits of a file for group and others.
fn others(path: &Path) -> u32 {
    fs::metadata(path).map_or(0, |about| about.permissions().mode() & 0o077)
}

pub(super) fn data_folder(settings: &ServiceSettings) -> DiagnosticFinding {
    const ABOUT: &str = "data directory";
    let data = &settings.data;
    let shown = data.display();
    match fs::metadata(data) {
        Ok(about) if about.is_dir() => {}
        Ok(_) => return bad(ABOUT, format!("{shown} is not a folder"), "give another folder with --data or SILO_DATA"),
        Err(why) if why.kind() == ErrorKind::NotFound => {
            return notice(ABOUT, format!("{shown} does not exist yet"), "the service creates it at its first start");
        }
        Err(why) => return bad(ABOUT, format!("{shown}: {why}"), "give another folder with --data or SILO_DATA"),
    }
    if let Err(why) = try_to_write(data) {
        return bad(
            ABOUT,
            format!("{shown} cannot be written: {why}"),
            "give the service's user write permission, and free some space",
        );
    }
    let mode = others(data);
    let open = open_files(settings);
    match (&open[..], mode) {
        ([], 0) => good(ABOUT, format!("{shown}: only its owner can read it and its files")),
        ([], _) => {
            let text = format!("other users can list {shown} (mode {:o})", 0o700 | mode);
            notice(ABOUT, text, "chmod 700 it: it holds keys and password hashes")
        }
        (open, 0) => {
            let text = format!("{} would be readable by other users, if the folder were", listed(open));
            notice(ABOUT, text, "chmod 600 them: copies keep this mode")
        }
        (open, _) => {
            let text = format!("other users can list {shown} (mode {:o}) and read {}", 0o700 | mode, listed(open));
            bad(ABOUT, text, "chmod 700 the folder and 600 the files in it: they hold password hashes")
        }
    }
}

/// Files of the data directory and of the database that others may read or write; key files have a check of their own.
fn open_files(settings: &ServiceSettings) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(&settings.data).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    if settings.database.url.expose_secret().is_empty() {
        let database = settings.sqlite_path();
        files.extend(["-wal", "-shm"].map(|end| PathBuf::from(format!("{}{end}", database.display()))));
        files.push(database);
    }
    files.retain(|path| path.is_file() && path.extension().is_none_or(|it| it != "key") && others(path) != 0);
    files.sort();
    files.dedup();
    files
}

fn listed(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// Free space for the database and for runs, once the data directory exists; and files of runs that cannot be removed.
pub(super) fn disks(settings: &ServiceSettings) -> Vec<DiagnosticFinding> {
    let mut findings = Vec::new();
    if settings.data.is_dir() {
        findings.push(data_disk(settings));
        findings.push(disk_of_runs(settings));
    }
    let stuck = stuck_in(&settings.runs_folder());
    if let Some((first, why)) = stuck.first() {
        let text =
            format!("{} folders of ended runs cannot be removed, such as {}: {why}", stuck.len(), first.display());
        findings.push(notice("removals", text, "remove them as root; the service tries again every ten minutes"));
    }
    findings
}

fn data_disk(settings: &ServiceSettings) -> DiagnosticFinding {
    const ABOUT: &str = "disk";
    const LITTLE: u64 = 64 * MIB;
    let Some(free) = space(&settings.data).map(|space| space.free) else {
        return notice(ABOUT, "the free space is unknown", "");
    };
    let text = format!("{} MiB are free in {}", free / MIB, settings.data.display());
    let database = settings.sqlite_path();
    let is_sqlite = settings.database.url.expose_secret().is_empty() && database.exists();
    if is_sqlite && database.parent().is_some_and(|folder| !is_kept(folder)) {
        let text = format!("{text}, and the reserve for a start on a full disk is used up");
        return notice(ABOUT, text, "free some space: the service is not ready until it can restore the reserve");
    }
    match free < LITTLE {
        true => notice(ABOUT, text, "free some space before the disk is full"),
        false => good(ABOUT, text),
    }
}

fn disk_of_runs(settings: &ServiceSettings) -> DiagnosticFinding {
    const ABOUT: &str = "disk of runs";
    let folder = settings.runs_folder();
    let Some(space) = space(&folder) else { return notice(ABOUT, "the free space is unknown", "") };
    let reserve = reserve(settings.runs.reserve_mib, space);
    if space.free < reserve {
        let shortage = RunDiskShortage { free: space.free, reserve };
        return bad(ABOUT, shortage.to_string(), "runs wait for free space: remove files, or lower runs.reserve_mib");
    }
    let (free, kept) = (space.free / MIB, reserve / MIB);
    good(ABOUT, format!("{free} MiB are free in {}, of which {kept} are reserved (runs.reserve_mib)", folder.display()))
}
