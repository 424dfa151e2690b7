//! Manifests on disk and on standard input: size-limited reads, atomic writes.

use std::fs::{File, Permissions};
use std::io::{self, ErrorKind, Read, Write as _, stdin};
use std::path::{Path, PathBuf};

use anyhow::anyhow;

use crate::cli::output::render::tame;
use crate::seed::validate::MAX_BYTES;

/// File name of a manifest in its folder.
pub(in crate::cli) const FILE_NAME: &str = "seed.manifest.json";
/// The path that means standard input.
pub(in crate::cli) const STANDARD_INPUT: &str = "-";

/// An unvalidated manifest.
pub(in crate::cli) struct ManifestFile {
    /// The path, escaped for messages.
    pub name: String,
    /// `None` for standard input.
    pub path: Option<PathBuf>,
    /// Up to [`MAX_BYTES`] + 1 bytes, so that the validator sees that it is too large.
    pub bytes: Vec<u8>,
}

/// Reads a file, the manifest of a folder, or standard input (`-`).
///
/// # Errors
/// Names the path, the reason, and what to do.
pub(in crate::cli) fn read(given: &Path) -> anyhow::Result<ManifestFile> {
    if given == Path::new(STANDARD_INPUT) {
        let bytes = read_capped(stdin().lock()).map_err(|why| anyhow!("standard input cannot be read: {why}"))?;
        return Ok(ManifestFile { name: "<stdin>".to_owned(), path: None, bytes });
    }
    let path = if given.is_dir() { in_folder(given) } else { given.to_owned() };
    let name = shown(&path);
    match File::open(&path).and_then(read_capped) {
        Ok(bytes) => Ok(ManifestFile { name, path: Some(path), bytes }),
        Err(why) if why.kind() == ErrorKind::NotFound && path != given => {
            let folder = shown(given);
            Err(anyhow!("there is no {FILE_NAME} in {folder}; make one with: silo init {folder}"))
        }
        Err(why) => Err(anyhow!(
            "{name} cannot be read: {why}; give a manifest, a folder with a {FILE_NAME}, or - for standard input"
        )),
    }
}

fn read_capped(source: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Path of the manifest in a folder; just the file name for `.`.
fn in_folder(folder: &Path) -> PathBuf {
    if folder == Path::new(".") { PathBuf::from(FILE_NAME) } else { folder.join(FILE_NAME) }
}

/// A path escaped for terminals.
pub(in crate::cli) fn shown(path: &Path) -> String {
    tame(&path.to_string_lossy())
}

/// Writes a new file atomically: readers see the whole file or none, even if this process is killed.
///
/// # Errors
/// `AlreadyExists`, or an I/O error.
pub(in crate::cli) fn create(path: &Path, bytes: &[u8], permissions: Option<Permissions>) -> io::Result<()> {
    beside(path, bytes, permissions)?.persist_noclobber(path).map(drop).map_err(|why| why.error)
}

/// Replaces a file atomically.
///
/// # Errors
/// An I/O error; the file is then unchanged.
pub(in crate::cli) fn replace(path: &Path, bytes: &[u8], permissions: Permissions) -> io::Result<()> {
    beside(path, bytes, Some(permissions))?.persist(path).map(drop).map_err(|why| why.error)
}

/// A temporary file in the same folder, removed unless it is renamed. Without `permissions`: those of any new file.
fn beside(path: &Path, bytes: &[u8], permissions: Option<Permissions>) -> io::Result<tempfile::NamedTempFile> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.prefix(".silo-").tempfile_in(folder)?;
    file.write_all(bytes)?;
    if let Some(permissions) = permissions {
        file.as_file().set_permissions(permissions)?;
    }
    file.as_file().sync_all()?;
    Ok(file)
}
