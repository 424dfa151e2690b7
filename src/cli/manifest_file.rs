//! Manifests on disk and on standard input: read with a bound, written whole or not at all.

use std::fs::{File, Permissions};
use std::io::{self, ErrorKind, Read, Write as _, stdin};
use std::path::{Path, PathBuf};

use anyhow::anyhow;

use super::render::tame;
use crate::seed::validate::MAX_BYTES;

/// What a manifest is called in its folder.
pub(super) const FILE_NAME: &str = "seed.manifest.json";
/// Stands for standard input among paths.
pub(super) const STANDARD_INPUT: &str = "-";

/// The bytes that somebody calls a manifest.
pub(super) struct ManifestFile {
    /// As people are told: the path, harmless for a terminal.
    pub name: String,
    /// Where it is; `None` for standard input.
    pub path: Option<PathBuf>,
    /// One more than [`MAX_BYTES`] at most: enough to see that there are too many.
    pub bytes: Vec<u8>,
}

/// Reads a file, the manifest of a folder, or standard input (`-`).
///
/// # Errors
/// Says which path cannot be read, why, and what to do.
pub(super) fn read(given: &Path) -> anyhow::Result<ManifestFile> {
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

/// The manifest's path in a folder; just its name in the present one.
fn in_folder(folder: &Path) -> PathBuf {
    if folder == Path::new(".") { PathBuf::from(FILE_NAME) } else { folder.join(FILE_NAME) }
}

/// A path for people.
pub(super) fn shown(path: &Path) -> String {
    tame(&path.to_string_lossy())
}

/// Writes a file that must not be there. Who looks sees the whole file or none, also when this process is killed.
///
/// # Errors
/// `AlreadyExists`, and whatever the disk refuses.
pub(super) fn create(path: &Path, bytes: &[u8], permissions: Option<Permissions>) -> io::Result<()> {
    beside(path, bytes, permissions)?.persist_noclobber(path).map(drop).map_err(|why| why.error)
}

/// Writes over a file, in the same way.
///
/// # Errors
/// Whatever the disk refuses; the file is then as it was.
pub(super) fn replace(path: &Path, bytes: &[u8], permissions: Permissions) -> io::Result<()> {
    beside(path, bytes, Some(permissions))?.persist(path).map(drop).map_err(|why| why.error)
}

/// A file in the same folder, which goes away by itself unless it gets its name. Without permissions: those of any new
/// file.
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
