//! Symbolic links of a job that use paths in the container, and so are dangling on the host. Links to its own outputs
//! are rewritten as relative ones, links to its inputs are replaced by copies. Other links are left alone.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, fstat, openat, readlinkat, renameat, symlinkat, unlinkat};
use rustix::io::Errno;

use super::MAX_ENTRIES;
use crate::engine::disk::{FileReadError, copy_to};
use crate::engine::file_removal::closed_path;
use crate::engine::halt::{HaltReason, HaltSignal};
use crate::engine::plan::{PlannedFile, RunPlan};
use crate::engine::runtime::ClosedPath;
use crate::engine::walk::{FOLDER, FolderWalkEvent, WalkBounds, WalkError, WalkReach, open, walk};
use crate::seed::environment::OUTPUT_DIR;

/// Temporary name of a new link or copy.
const NEW: &str = ".silo-link";

/// Rewrites the links of an output directory with a limit of `bytes`. Returns the folders that this process cannot
/// write to, whose links are unchanged.
///
/// # Errors
/// It was halted.
pub(in crate::engine) fn mend_links(
    plan: &RunPlan,
    output: &Path,
    bytes: Option<u64>,
    halt: &HaltSignal,
) -> Result<Vec<ClosedPath>, HaltReason> {
    let environment = &plan.container.environment;
    let Some(place) = environment.iter().find(|it| it.name == OUTPUT_DIR).map(|it| it.value.expose().to_owned()) else {
        return Ok(Vec::new());
    };
    let Ok(root) = open(output) else { return Ok(Vec::new()) };
    let mut links = Vec::new();
    let mut meet = |met: FolderWalkEvent<'_>| {
        if let FolderWalkEvent::Entry { prefix, name, about, .. } = met
            && FileType::from_raw_mode(about.st_mode) == FileType::Symlink
            && let (Ok(prefix), Ok(name)) = (str::from_utf8(prefix), name.to_str())
        {
            links.push((prefix.to_owned(), name.to_owned()));
        }
    };
    let bounds = WalkBounds { entries: MAX_ENTRIES, bytes };
    let walked = root.try_clone().map_err(WalkError::Root).and_then(|root| walk(root, bounds, halt, &mut meet));
    let used = match walked {
        Ok((usage, WalkReach::Whole)) => usage.on_disk,
        Err(WalkError::Halted(why)) => return Err(why),
        // Other errors are reported when the outputs are captured.
        _ => return Ok(Vec::new()),
    };
    let files = plan.inputs.iter().flat_map(|input| &input.files).map(|file| (file.path.as_str(), file)).collect();
    let mut mending =
        LinkRewriter { root, place, files, left: bytes.map(|most| most.saturating_sub(used)), closed: Vec::new() };
    for (prefix, name) in links {
        halt.check()?;
        match mending.mend(&prefix, &name, halt) {
            Err(LinkRewriteError::Halted(why)) => return Err(why),
            // The link is unchanged, and reported when the outputs are captured.
            Err(LinkRewriteError::Disk(_)) | Ok(()) => {}
        }
    }
    Ok(mending.closed)
}

struct LinkRewriter<'a> {
    root: OwnedFd,
    /// The output directory in the container.
    place: String,
    /// Input files by path in the container.
    files: HashMap<&'a str, &'a PlannedFile>,
    /// Bytes left for copies; `None`: no limit.
    left: Option<u64>,
    closed: Vec<ClosedPath>,
}

enum LinkRewriteError {
    Halted(HaltReason),
    Disk(io::Error),
}

impl From<Errno> for LinkRewriteError {
    fn from(why: Errno) -> Self {
        Self::Disk(why.into())
    }
}

impl LinkRewriter<'_> {
    fn mend(&mut self, prefix: &str, name: &str, halt: &HaltSignal) -> Result<(), LinkRewriteError> {
        let mut folder = self.root.try_clone().map_err(LinkRewriteError::Disk)?;
        for part in prefix.split_terminator('/') {
            folder = openat(&folder, part, FOLDER, Mode::empty())?;
        }
        let text = readlinkat(&folder, name, Vec::new())?;
        let Ok(text) = text.to_str() else { return Ok(()) };
        let leads_to = joined(&format!("{}/{prefix}", self.place), text);
        let made = if let Some(file) = self.files.get(leads_to.as_str()) {
            self.copy(&folder, file, halt)
        } else if let (true, Some(rest)) = (text.starts_with('/'), below(&self.place, &leads_to)) {
            let up = "../".repeat(prefix.split_terminator('/').count());
            let text = format!("{up}{rest}");
            symlinkat(if text.is_empty() { "." } else { &text }, &folder, NEW).map_err(LinkRewriteError::from)
        } else {
            return Ok(());
        };
        let renamed = made.and_then(|()| {
            let renamed = renameat(&folder, NEW, &folder, name);
            if renamed.is_err() {
                _ = unlinkat(&folder, NEW, AtFlags::empty());
            }
            Ok(renamed?)
        });
        match renamed {
            Err(LinkRewriteError::Disk(why)) if why.kind() == io::ErrorKind::PermissionDenied => {
                let path = PathBuf::from(prefix.trim_end_matches('/'));
                // The output directory itself belongs to this process, so the engine need not open it.
                if !path.as_os_str().is_empty() && self.closed.iter().all(|closed| closed.path != path) {
                    self.closed.push(closed_path(path, &fstat(&folder)?));
                }
                Ok(())
            }
            other => other,
        }
    }

    /// A copy, not a hard link: a change of the output must not change the input.
    fn copy(&mut self, folder: &OwnedFd, file: &PlannedFile, halt: &HaltSignal) -> Result<(), LinkRewriteError> {
        let from = file.open().map_err(LinkRewriteError::Disk)?;
        let size = from.metadata().map_err(LinkRewriteError::Disk)?.len();
        let too_large = || LinkRewriteError::Disk(io::ErrorKind::QuotaExceeded.into());
        let left = self.left.map(|left| left.checked_sub(size).ok_or_else(too_large)).transpose()?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let to = openat(folder, NEW, flags, Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::ROTH)?;
        copy_to(&from, &mut File::from(to), halt).map_err(|why| {
            _ = unlinkat(folder, NEW, AtFlags::empty());
            match why {
                FileReadError::Halted(why) => LinkRewriteError::Halted(why),
                FileReadError::Disk(why) => LinkRewriteError::Disk(why),
            }
        })?;
        self.left = left;
        Ok(())
    }
}

/// The target of a link in a folder, resolved without file access.
fn joined(folder: &str, text: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let both = if text.starts_with('/') { [text, ""] } else { [folder, text] };
    for part in both.iter().flat_map(|path| path.split('/')) {
        match part {
            "" | "." => {}
            ".." => _ = parts.pop(),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// The part of a path below a folder; empty for the folder itself.
fn below<'a>(folder: &str, path: &'a str) -> Option<&'a str> {
    let rest = path.strip_prefix(folder.trim_end_matches('/'))?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix('/') }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_where_they_led_in_the_container() {
        for (folder, text, path) in [
            ("/seed/out/", "/seed/in/A/x", "/seed/in/A/x"),
            ("/seed/out/a/b/", "../c", "/seed/out/a/c"),
            ("/seed/out/", "../in/A/x", "/seed/in/A/x"),
            ("/seed/out/", "../../../../etc/passwd", "/etc/passwd"),
            ("/seed/out/", "/seed//out/./a/../b", "/seed/out/b"),
        ] {
            assert_eq!(joined(folder, text), path, "{text}");
        }
        assert_eq!(below("/seed/out", "/seed/out/a"), Some("a"));
        assert_eq!(below("/seed/out", "/seed/out"), Some(""));
        assert_eq!(below("/seed/out", "/seed/outside"), None);
    }
}
