//! A placeholder file beside the SQLite database, deleted when the disk is full: SQLite cannot even open a database
//! where nothing can be written, and nobody could log in to free space.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use crate::engine::disk::space;

const FILE: &str = "disk-reserve";
const SIZE: usize = 1024 * 1024;

/// Deletes the reserve if nothing can be written beside it. False: that freed too little to open a database. Blocking.
pub(super) fn make_room(folder: &Path) -> bool {
    match try_to_write(folder) {
        Err(why) if is_full(&why) => {
            tracing::error!("the disk of {} is full: free some space there", folder.display());
            _ = fs::remove_file(folder.join(FILE));
            try_to_write(folder).is_ok()
        }
        // Opening the database reports other errors.
        Err(_) => true,
        Ok(()) => {
            // Without the reserve the service is not ready, and says so.
            _ = keep(folder);
            true
        }
    }
}

/// Whether the reserve exists.
pub(super) fn is_kept(folder: &Path) -> bool {
    folder.join(FILE).exists()
}

/// Creates the reserve if it is missing, provided that as much space again stays free. Blocking.
///
/// # Errors
/// Usually that the disk is full.
pub(super) fn keep(folder: &Path) -> io::Result<()> {
    if is_kept(folder) {
        return Ok(());
    }
    let file = folder.join(FILE);
    if space(folder).is_some_and(|space| space.free < 2 * SIZE as u64) {
        return Err(ErrorKind::StorageFull.into());
    }
    let written = write(&file, &vec![0; SIZE]);
    if written.is_err() {
        // A partial file takes space that others need more.
        _ = fs::remove_file(file);
    }
    written
}

/// Writes a block to a temporary file, and removes it. Blocking.
///
/// # Errors
/// Any I/O error.
pub(super) fn try_to_write(folder: &Path) -> io::Result<()> {
    let file = folder.join(format!(".try-{}-{}", std::process::id(), crate::auth::random_id()));
    let written = write(&file, &[0; 4096]);
    let removed = fs::remove_file(&file);
    written.and(removed)
}

fn write(file: &Path, bytes: &[u8]) -> io::Result<()> {
    File::options().write(true).create_new(true).mode(0o600).open(file)?.write_all(bytes)
}

fn is_full(why: &io::Error) -> bool {
    matches!(why.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}
