//! Files and folders of this machine that runs may use: checked when a run is submitted, and again, on what is opened,
//! when the attempt begins.

use std::path::{Path, PathBuf};

use super::super::container_engine::PROBE;
use super::super::{App, Result};
use super::attempt::AttemptTask;
use super::resolved_input::ResolvedInput;
use crate::engine::docker::ContainerEngine;
use crate::engine::halt::HaltSignal;
use crate::engine::held_paths::{HeldPaths, HoldError, HostPath, sweep};
use crate::engine::plan::RunPlan;
use crate::engine::run::verdict::{RunError, SystemFailure};

impl App {
    /// The path without symbolic links, if it is below one of the roots and overlaps none of SILO's own folders. A
    /// forbidden and a missing path give the same error, so that users learn nothing about the server's files.
    pub(super) fn host_path(&self, path: &Path, roots: &[PathBuf]) -> std::result::Result<HostPath, String> {
        let own = [self.settings().data.clone(), self.settings().runs_folder()];
        let found = below(path, roots).filter(|found| !own.iter().any(|own| meet(own, &found.path)));
        found.ok_or_else(|| format!("{} does not exist, or is not in a folder that runs may use.", path.display()))
    }

    /// The same for a mount, which the machine must be able to hold.
    pub(super) fn mount_path(
        &self,
        path: &Path,
        machine: Option<&ContainerEngine>,
    ) -> std::result::Result<HostPath, String> {
        let found = self.host_path(path, &self.settings().runs.mount_roots)?;
        if machine.is_some_and(|machine| !machine.holds_paths) && found.path != found.root {
            return Err(HoldError::NotHeld { path: found.path }.to_string());
        }
        Ok(found)
    }

    /// The plan with host paths as they are now, opened and held as long as the value returned beside it lives.
    pub(super) async fn hold_host_paths(
        &self,
        machine: &ContainerEngine,
        task: &AttemptTask,
        mut plan: RunPlan,
        resolved: &[ResolvedInput],
        halt: HaltSignal,
    ) -> Result<std::result::Result<(RunPlan, Option<HeldPaths>), RunError>> {
        let mut given: Vec<HostPath> = resolved.iter().filter_map(|it| it.host.clone()).collect();
        for (name, path) in &task.spec.inputs.mounts {
            match self.mount_path(path, Some(machine)) {
                // What was requested is held, not what a link points to by now.
                Ok(found) => given.push(HostPath { path: path.clone(), ..found }),
                Err(why) => return Ok(Err(SystemFailure::MissingMount.permanent_error(format!("{name}: {why}")))),
            }
        }
        if given.is_empty() {
            return Ok(Ok((plan, None)));
        }
        let place = self.held_folder().join(format!("{}-{}", task.record.id, task.number));
        let is_mounting = machine.holds_paths;
        let held = tokio::task::spawn_blocking(move || {
            let begun = HeldPaths::begin(&place, is_mounting, &halt);
            let mut held = begun.map_err(|why| HoldError::Place { place, why })?;
            held.hold(&mut plan, &given)?;
            Ok((plan, Some(held)))
        });
        Ok(held.await?.map_err(|why: HoldError| match &why {
            HoldError::Changed { .. } => SystemFailure::MissingFile.permanent_error(why.to_string()),
            HoldError::NotHeld { .. } => SystemFailure::MissingMount.permanent_error(why.to_string()),
            HoldError::Place { .. } => SystemFailure::Disk.error(why.to_string()),
        }))
    }

    /// Folder in which this silo mounts host paths held for runs. The engine must see it.
    pub(in crate::app) fn held_folder(&self) -> PathBuf {
        self.settings().runs_folder().join(format!(".held-{}", self.0.host))
    }

    /// Releases host paths held for runs that are not active here, as a kill leaves them.
    pub(super) async fn release_held(&self) {
        let (app, base) = (self.clone(), self.held_folder());
        let is_used = move |name: &str| {
            let run = name.rsplit_once('-').map_or(name, |(run, _)| run);
            name == PROBE || app.0.going.ids().iter().any(|going| going == run)
        };
        _ = tokio::task::spawn_blocking(move || sweep(&base, is_used)).await;
    }
}

fn below(path: &Path, roots: &[PathBuf]) -> Option<HostPath> {
    let path = path.is_absolute().then(|| path.canonicalize().ok()).flatten()?;
    let mut roots = roots.iter().filter_map(|root| root.canonicalize().ok());
    let root = roots.find(|root| path.starts_with(root))?;
    Some(HostPath { path, root })
}

/// Whether one path contains the other.
fn meet(own: &Path, path: &Path) -> bool {
    let own = own.canonicalize().unwrap_or_else(|_| own.to_owned());
    own.starts_with(path) || path.starts_with(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lies_below_a_root_is_allowed() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path().canonicalize().expect("it is there");
        let root = folder.join("root");
        std::fs::create_dir(&root).expect("a folder");
        std::fs::write(root.join("in"), "").expect("a file");
        std::fs::write(folder.join("out"), "").expect("a file");
        std::os::unix::fs::symlink("../out", root.join("link")).expect("a link");
        let roots = [folder.join("missing"), root.clone()];
        let inside = HostPath { path: root.join("in"), root: root.clone() };
        assert_eq!(below(&root.join("in"), &roots), Some(inside));
        for path in [root.join("../out"), root.join("link"), folder.join("out"), root.join("nothing"), "in".into()] {
            assert_eq!(below(&path, &roots), None, "{}", path.display());
        }
        assert_eq!(below(&root.join("in"), &[]), None);
        assert!(meet(&root, &folder) && meet(&root, &root.join("in")) && !meet(&root, &folder.join("out")));
    }
}
