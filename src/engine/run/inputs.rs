//! Input files on disk: inspected before planning, read and staged after it. Blocking.

use std::fs::{self, DirEntry};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use chrono::DateTime;

use super::folder::{RunPaths, pretty, replace, set_mode};
use super::input_metadata;
use super::record::{FileFacts, GivenFile, GivenInput};
use crate::engine::disk;
use crate::engine::halt::{HaltReason, HaltSignal};
use crate::engine::held_paths::link_or_copy;
use crate::engine::plan::request::{HostFile, InputSource};
use crate::engine::plan::{PlannedFile, RunPlan, docker_run};
use crate::seed::model::SeedManifest;

/// Limit for the entries of a folder.
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
    #[error("the inputs were not read: {0}")]
    Halted(HaltReason),
}

/// Inspects a path given to an input. A link stands for its target; links inside a folder must not leave it.
///
/// # Errors
/// It cannot be given to an input.
pub fn survey(path: &Path) -> Result<InputSource, InputError> {
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
    file(name, real, &metadata).map(InputSource::File)
}

fn file(name: String, path: PathBuf, metadata: &fs::Metadata) -> Result<HostFile, InputError> {
    if metadata.is_file() { Ok(HostFile { name, path, size: metadata.len() }) } else { Err(InputError::Special(path)) }
}

fn folder(path: PathBuf) -> Result<InputSource, InputError> {
    let unreadable = |why| InputError::Unreadable { path: path.clone(), why };
    let mut files = Vec::new();
    let mut is_flat = true;
    for (count, entry) in fs::read_dir(&path).map_err(unreadable)?.enumerate() {
        if count == MAX_FILES {
            return Err(InputError::TooMany(path));
        }
        match inside(&path, &entry.map_err(unreadable)?)? {
            FolderEntry::File(file) => files.push(file),
            FolderEntry::Linked(file) => {
                is_flat = false;
                files.push(file);
            }
            FolderEntry::Other => is_flat = false,
        }
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(InputSource::Folder { path, files, is_flat })
}

enum FolderEntry {
    File(HostFile),
    Linked(HostFile),
    /// A folder or a special file, which is not part of the input.
    Other,
}

fn inside(folder: &Path, entry: &DirEntry) -> Result<FolderEntry, InputError> {
    let path = entry.path();
    let unreadable = |why| InputError::Unreadable { path: path.clone(), why };
    let metadata = entry.metadata().map_err(unreadable)?;
    let name = || entry.file_name().into_string().map_err(|_| InputError::NotUtf8(path.clone()));
    if metadata.is_file() {
        return Ok(FolderEntry::File(file(name()?, path.clone(), &metadata)?));
    }
    if !metadata.is_symlink() {
        return Ok(FolderEntry::Other);
    }
    let real = path.canonicalize().map_err(unreadable)?;
    if !real.starts_with(folder) {
        return Err(InputError::LeadsOut(path));
    }
    let metadata = real.metadata().map_err(unreadable)?;
    if metadata.is_file() { Ok(FolderEntry::Linked(file(name()?, real, &metadata)?)) } else { Ok(FolderEntry::Other) }
}

/// Reads all input files of a plan: size, digest and media type. Also returns warnings about media types that the
/// manifest does not list, a sentence each.
///
/// # Errors
/// A file is gone or unreadable, or it was halted.
pub fn read(
    manifest: &SeedManifest,
    plan: &RunPlan,
    halt: &HaltSignal,
) -> Result<(Vec<GivenInput>, Vec<String>), InputError> {
    let mut warnings = Vec::new();
    let mut inputs = Vec::new();
    for input in &plan.inputs {
        let declared = manifest.job.interface.inputs.files.iter().find(|it| it.name == input.name);
        let wanted = declared.map(|declared| declared.media_types.as_slice()).unwrap_or_default();
        let mut files = Vec::with_capacity(input.files.len());
        for file in &input.files {
            files.push(read_file(file, halt)?);
            if !disk::may_be(&file.name, wanted.iter().map(String::as_str)) {
                let (name, wanted) = (&input.name, wanted.join(", "));
                warnings.push(format!("{name}: {} does not look like {wanted}, which the job can read.", file.name));
            }
        }
        inputs.push(GivenInput { name: input.name.clone(), files });
    }
    Ok((inputs, warnings))
}

fn read_file(file: &PlannedFile, halt: &HaltSignal) -> Result<GivenFile, InputError> {
    let failed = |why: io::Error| match why.kind() {
        ErrorKind::NotFound => InputError::Missing(file.source.clone()),
        _ => InputError::Unreadable { path: file.source.clone(), why },
    };
    let opened = file.open().map_err(failed)?;
    let metadata = opened.metadata().map_err(failed)?;
    let sha256 = disk::sha256_of(opened, halt).map_err(|why| match why {
        disk::FileReadError::Disk(why) => failed(why),
        disk::FileReadError::Halted(why) => InputError::Halted(why),
    })?;
    Ok(GivenFile {
        name: file.name.clone(),
        path: file.path.clone(),
        source: file.source.clone(),
        size: metadata.len(),
        sha256,
        media_type: disk::media_type(&file.name).map(str::to_owned),
        modified: metadata.modified().ok().map(DateTime::from),
        facts: FileFacts::default(),
    })
}

/// Prepares a run's folder for the container: folders, the `INPUT_METADATA` file, and hard links for inputs with many
/// files. Files on another disk are copied.
///
/// # Errors
/// The disk fails, or it was halted.
pub fn stage(
    manifest: &SeedManifest,
    plan: &RunPlan,
    given: &[GivenInput],
    folder: &RunPaths,
    halt: &HaltSignal,
) -> Result<(), disk::FileReadError> {
    folder.create()?;
    replace(&folder.context(), &pretty(&input_metadata::document(manifest, given, &plan.json)))?;
    set_mode(&folder.context(), 0o644)?;
    for input in &plan.inputs {
        let Some(staged) = &input.staged else { continue };
        match fs::remove_dir_all(staged) {
            Err(why) if why.kind() != ErrorKind::NotFound => return Err(why.into()),
            _ => fs::create_dir_all(staged)?,
        }
        set_mode(staged, 0o755)?;
        for file in &input.files {
            let target = staged.join(&file.name);
            halt.check()?;
            link_or_copy(&file.open()?, &target, halt)?;
        }
    }
    Ok(())
}

/// A plan as a command line for a POSIX shell, which creates folders and files and calls `docker run`. It holds no
/// secrets.
///
/// # Errors
/// An input cannot be read.
pub fn script(manifest: &SeedManifest, plan: &RunPlan, folder: &RunPaths) -> Result<String, InputError> {
    let (given, _) = read(manifest, plan, &HaltSignal::default())?;
    let context = input_metadata::document(manifest, &given, &plan.json).to_string();
    let word = |text: &str| docker_run::quoted(text).into_owned();
    let path = |path: &Path| word(&path.to_string_lossy());
    let mut steps = vec![
        format!("mkdir -p {} {}", path(&folder.output), path(&folder.root)),
        format!("printf %s {} >{}", word(&context), path(&folder.context())),
    ];
    for input in &plan.inputs {
        let Some(staged) = &input.staged else { continue };
        steps.push(format!("mkdir -p {}", path(staged)));
        steps.extend(
            input.files.iter().map(|file| format!("cp {} {}", path(&file.source), path(&staged.join(&file.name)))),
        );
    }
    steps.push(plan.docker_run());
    Ok(steps.join(" && "))
}

#[cfg(test)]
mod tests;
