//! Mounts: folders of the host at paths that the job wants.

use super::request::RunRequest;
use super::{PlanBuilder, PlanCode};
use crate::seed::model::{MountMode, SeedManifest};

/// Kernel file systems, which a mount must not hide.
const OF_THE_KERNEL: [&str; 3] = ["/proc", "/sys", "/dev"];

impl PlanBuilder {
    pub(super) fn mounts(&mut self, manifest: &SeedManifest, request: &RunRequest) {
        let mounts = &manifest.job.interface.mounts;
        let given = self.assigned("mount", mounts, |mount| &mount.name, &request.mounts, "");
        let mut targets: Vec<String> = Vec::new();
        for (mount, source) in mounts.iter().zip(given) {
            let target = match absolute(&mount.path) {
                Ok(target) => target,
                Err(why) => {
                    let message = format!("its path in the container {why}.");
                    self.problems.add(PlanCode::BadManifest, &mount.name, message, "Fix the manifest.");
                    continue;
                }
            };
            let layout = request.layout;
            let ours = [layout.inputs(), layout.output()].into_iter();
            let others = ours.chain(OF_THE_KERNEL).chain(targets.iter().map(String::as_str));
            if let Some(other) = others.into_iter().find(|other| holds(other, &target) || holds(&target, other)) {
                let message = format!("its path {target} in the container conflicts with {other}.");
                self.problems.add(PlanCode::BadManifest, &mount.name, message, "Fix the manifest.");
                continue;
            }
            match source {
                Some(source) => self.bind(source, &target, mount.mode == MountMode::ReadOnly),
                None => {
                    let help = "Give a folder of the host.";
                    self.problems.add(PlanCode::Missing, &mount.name, "the job needs this mount.", help);
                }
            }
            targets.push(target);
        }
    }
}

/// Normalizes an absolute path: no empty or `.` components.
fn absolute(path: &str) -> Result<String, &'static str> {
    if !path.starts_with('/') {
        return Err("is not absolute");
    }
    let parts: Vec<&str> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    match () {
        () if parts.is_empty() => Err("is the container's root"),
        () if parts.contains(&"..") => Err("holds `..`"),
        () if path.chars().any(char::is_control) => Err("contains control characters"),
        () => Ok(format!("/{}", parts.join("/"))),
    }
}

/// Whether `path` is `folder` or below it.
fn holds(folder: &str, path: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
