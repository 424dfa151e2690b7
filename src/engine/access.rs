//! File permissions of a job's container user. Where the user cannot read an input or write to the output directory,
//! the input is copied and the directory is made writable for as long as the job runs. Blocking.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::disk::{self, FileReadError};
use super::halt::HaltSignal;
use super::held_paths::link_or_copy;
use super::plan::container::{BindMount, ContainerSpec};
use super::plan::{PlannedFile, PlannedInput, RunPlan};
use super::run::attempt_error::{Error, written};
use super::run::folder::{RunPaths, set_mode};

/// Folder of the copies, below the run's folder.
const COPIES: &str = "readable";
/// Permission bits for "others" to read a folder, and to write to it.
const READ: u32 = 0o005;
const WRITE: u32 = 0o007;

/// The user that a job's container runs as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct JobUser {
    /// Name or number, as in the image's USER or in the request.
    name: String,
    /// UID on the host; `None` if it is unknown or the engine maps UIDs.
    number: Option<u32>,
}

impl JobUser {
    /// `None` for root, which can access everything. `is_mapped`: the engine uses a user namespace, so UIDs differ on
    /// the host.
    pub(super) fn new(user: &str, is_mapped: bool) -> Option<Self> {
        let name = user.split(':').next().unwrap_or_default();
        let number = name.parse().ok();
        if matches!(name, "" | "root") || number == Some(0) {
            return None;
        }
        Some(Self { name: name.to_owned(), number: number.filter(|_| !is_mapped) })
    }

    /// Whether the user has the permission `bits` (given as for "others"), as owner or as other; groups are not
    /// considered.
    fn may(&self, about: &Metadata, bits: u32) -> bool {
        let mode = about.permissions().mode();
        let is_owner = self.number == Some(about.uid());
        if is_owner { mode >> 6 & bits == bits } else { mode & bits == bits }
    }
}

/// Changes to undo when the job has ended.
#[derive(Debug, Default)]
pub(super) struct MadeAccess {
    /// The output directory and its original mode.
    output: Option<(PathBuf, u32)>,
}

impl MadeAccess {
    /// Removes the copies, also those of an earlier `silo` process, and restores the mode of the output directory.
    pub(super) fn undo(self, folder: &RunPaths) {
        _ = fs::remove_dir_all(folder.root.join(COPIES));
        if let Some((output, mode)) = self.output {
            _ = set_mode(&output, mode);
        }
    }
}

/// Gives this user read access to all inputs and write access to the output directory; call it after staging. Returns
/// what to undo, and warnings (a sentence each) about copies and about mounts that the user cannot access.
///
/// # Errors
/// The user cannot write to the output directory and this process may not change its mode; a copy fails; or it was
/// halted.
pub(super) fn give(
    plan: &RunPlan,
    container: &mut ContainerSpec,
    user: &JobUser,
    folder: &RunPaths,
    halt: &HaltSignal,
) -> Result<(MadeAccess, Vec<String>), Error> {
    let mut giving =
        AccessGrant { user, place: folder.root.join(COPIES), made: MadeAccess::default(), warnings: Vec::new() };
    let failed = |why: FileReadError| match why {
        FileReadError::Halted(why) => why.into(),
        FileReadError::Disk(why) => written(&folder.root, &why),
    };
    // Copies of a killed run.
    match fs::remove_dir_all(&giving.place) {
        Err(why) if why.kind() != io::ErrorKind::NotFound => return Err(written(&giving.place, &why)),
        _ => {}
    }
    for input in &plan.inputs {
        giving.input(input, &mut container.binds, halt).map_err(failed)?;
    }
    let is_input = |bind: &BindMount| {
        plan.inputs.iter().any(|input| input.path == bind.target || input.files.iter().any(|it| it.path == bind.target))
    };
    for bind in container.binds.iter().filter(|bind| !is_input(bind)) {
        if Path::new(&bind.source) == folder.output {
            giving.output(&folder.output)?;
        } else {
            giving.mount(bind);
        }
    }
    Ok((giving.made, giving.warnings))
}

struct AccessGrant<'a> {
    user: &'a JobUser,
    place: PathBuf,
    made: MadeAccess,
    warnings: Vec<String>,
}

impl AccessGrant<'_> {
    fn input(&mut self, input: &PlannedInput, binds: &mut [BindMount], halt: &HaltSignal) -> Result<(), FileReadError> {
        let mut closed = Vec::new();
        for (at, file) in input.files.iter().enumerate() {
            if !self.user.may(&file.open()?.metadata()?, 0o4) {
                closed.push(at);
            }
        }
        let whole = binds.iter_mut().find(|bind| bind.target == input.path && input.multiple);
        match (whole, &input.staged) {
            (Some(_), Some(staged)) => {
                for file in closed.iter().map(|at| &input.files[*at]) {
                    fs::remove_file(staged.join(&file.name))?;
                    copy(file, &staged.join(&file.name), halt)?;
                }
            }
            (Some(bind), None) => {
                let folder = fs::metadata(bind.held.as_deref().unwrap_or(&bind.source))?;
                if closed.is_empty() && self.user.may(&folder, READ) {
                    return Ok(());
                }
                let copies = self.folder()?.join(&input.name);
                fs::create_dir(&copies)?;
                set_mode(&copies, 0o755)?;
                for (at, file) in input.files.iter().enumerate() {
                    let target = copies.join(&file.name);
                    match closed.contains(&at) {
                        true => copy(file, &target, halt)?,
                        false => link_or_copy(&file.open()?, &target, halt)?,
                    }
                }
                bind.held = Some(copies.display().to_string());
                self.warnings.push(format!(
                    "{}: {} cannot read its folder or a file in it; the job gets copies.",
                    input.name, self.user.name
                ));
                return Ok(());
            }
            (None, _) => {
                for at in &closed {
                    let file = &input.files[*at];
                    let Some(bind) = binds.iter_mut().find(|bind| bind.target == file.path) else { continue };
                    let target = self.folder()?.join(format!("{}-{at}", input.name));
                    copy(file, &target, halt)?;
                    bind.held = Some(target.display().to_string());
                }
            }
        }
        if let Some(first) = closed.first().map(|at| &input.files[*at].name) {
            let more = if closed.len() > 1 { format!(" and {} more", closed.len() - 1) } else { String::new() };
            let (name, user) = (&input.name, &self.user.name);
            self.warnings
                .push(format!("{name}: the job's user {user} cannot read {first}{more}; the job gets a copy."));
        }
        Ok(())
    }

    fn output(&mut self, output: &Path) -> Result<(), Error> {
        let failed = |why: io::Error| written(output, &why);
        let about = fs::metadata(output).map_err(failed)?;
        if self.user.may(&about, WRITE) {
            return Ok(());
        }
        let mode = about.permissions().mode() & 0o7777;
        if set_mode(output, mode | WRITE).is_err() {
            let reason = format!(
                "the job runs as {}, who may not write there, and you may not change its permissions",
                self.user.name
            );
            return Err(Error::Folder { folder: output.to_owned(), reason });
        }
        self.made.output = Some((output.to_owned(), mode));
        Ok(())
    }

    fn mount(&mut self, bind: &BindMount) {
        let about = fs::metadata(bind.held.as_deref().unwrap_or(&bind.source));
        let bits = if bind.read_only { READ } else { WRITE };
        if about.is_ok_and(|about| about.is_dir() && !self.user.may(&about, bits)) {
            let what = if bind.read_only { "read" } else { "write to" };
            self.warnings.push(format!("The job runs as {}, who may not {what} {}.", self.user.name, bind.source));
        }
    }

    /// Creates the folder of the copies if it is missing.
    fn folder(&self) -> io::Result<&Path> {
        fs::create_dir_all(&self.place)?;
        Ok(&self.place)
    }
}

/// A copy with mode 0644. The run's folder itself is private (0700).
fn copy(file: &PlannedFile, to: &Path, halt: &HaltSignal) -> Result<(), FileReadError> {
    disk::copy(&file.open()?, to, halt)?;
    Ok(set_mode(to, 0o644)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_kept_out_of_nothing() {
        for root in ["", "0", "root", "0:100", "root:users", "00"] {
            assert_eq!(JobUser::new(root, false), None, "{root}");
        }
        let user = JobUser::new("1000:100", false).expect("it is not root");
        assert_eq!(user, JobUser { name: "1000".to_owned(), number: Some(1000) });
        assert_eq!(JobUser::new("1000", true).expect("it is not root").number, None);
        assert_eq!(JobUser::new("nb", false).expect("it is not root").number, None);
    }
}
