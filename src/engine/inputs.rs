//! Input files on the disk: looked at before planning, made ready after it. Blocking.

use std::fs::{self, DirEntry, Metadata};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::request::{File, Source};

/// The most files of one folder.
const MAX_FILES: usize = 100_000;

/// Why a path cannot be given to an input.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    #[error("there is no file or folder {}", .0.display())]
    Missing(PathBuf),
    #[error("{} cannot be read: {why}", path.display())]
    Unreadable { path: PathBuf, why: io::Error },
    #[error("{} is neither a file nor a folder", .0.display())]
    Special(PathBuf),
    #[error("the name of {} is not UTF-8: rename it", .0.display())]
    NotUtf8(PathBuf),
    #[error("{} is a link that leads out of its folder: give the file itself", .0.display())]
    LeadsOut(PathBuf),
    #[error("{} holds more than {MAX_FILES} entries", .0.display())]
    TooMany(PathBuf),
}

/// What a path is. Whoever names a link means what it leads to; links inside of a folder must stay in it.
///
/// # Errors
/// It is nothing that an input can be given.
pub fn survey(path: &Path) -> Result<Source, InputError> {
    let unreadable = |why: io::Error| match why.kind() {
        ErrorKind::NotFound => InputError::Missing(path.to_owned()),
        _ => InputError::Unreadable { path: path.to_owned(), why },
    };
    let real = path.canonicalize().map_err(unreadable)?;
    let metadata = real.metadata().map_err(unreadable)?;
    if metadata.is_dir() {
        return folder(real);
    }
    let name = path.file_name().or(real.file_name()).and_then(|name| name.to_str());
    let name = name.ok_or_else(|| InputError::NotUtf8(path.to_owned()))?.to_owned();
    file(name, real, &metadata).map(Source::File)
}

fn file(name: String, path: PathBuf, metadata: &Metadata) -> Result<File, InputError> {
    if metadata.is_file() { Ok(File { name, path, size: metadata.len() }) } else { Err(InputError::Special(path)) }
}

fn folder(path: PathBuf) -> Result<Source, InputError> {
    let unreadable = |why| InputError::Unreadable { path: path.clone(), why };
    let mut files = Vec::new();
    let mut is_flat = true;
    for (count, entry) in fs::read_dir(&path).map_err(unreadable)?.enumerate() {
        if count == MAX_FILES {
            return Err(InputError::TooMany(path));
        }
        match inside(&path, &entry.map_err(unreadable)?)? {
            Inside::File(file) => files.push(file),
            Inside::Linked(file) => {
                is_flat = false;
                files.push(file);
            }
            Inside::Other => is_flat = false,
        }
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Source::Folder { path, files, is_flat })
}

enum Inside {
    File(File),
    Linked(File),
    /// A folder, or something special: nothing that belongs to the input.
    Other,
}

fn inside(folder: &Path, entry: &DirEntry) -> Result<Inside, InputError> {
    let path = entry.path();
    let unreadable = |why| InputError::Unreadable { path: path.clone(), why };
    let metadata = entry.metadata().map_err(unreadable)?;
    let name = || entry.file_name().into_string().map_err(|_| InputError::NotUtf8(path.clone()));
    if metadata.is_file() {
        return Ok(Inside::File(file(name()?, path.clone(), &metadata)?));
    }
    if !metadata.is_symlink() {
        return Ok(Inside::Other);
    }
    let real = path.canonicalize().map_err(unreadable)?;
    if !real.starts_with(folder) {
        return Err(InputError::LeadsOut(path));
    }
    let metadata = real.metadata().map_err(unreadable)?;
    if metadata.is_file() { Ok(Inside::Linked(file(name()?, real, &metadata)?)) } else { Ok(Inside::Other) }
}
