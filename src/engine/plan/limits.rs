//! Resources: the manifest's requests, the machine's capacity, and the container's limits.

use std::collections::HashSet;

use super::container::MaskedText;
use super::request::{ContainerLayout, RunRequest};
use super::{PlanBuilder, PlanCode};
use crate::seed::environment::variable_name;
use crate::seed::model::SeedManifest;
use crate::seed::resources::{MIB, ResourceAllocation, ResourceKind};

/// Smallest limits for engines: a lower one rounds to none, or prevents the container's start.
const LEAST_CPUS: f64 = 0.01;
const LEAST_MEMORY: u64 = 6 * MIB;

/// Limits that the engine enforces.
pub(super) struct ContainerLimits {
    pub memory: Option<u64>,
    pub cpus: Option<f64>,
    pub shared_memory: Option<u64>,
    pub gpus: u32,
}

/// The limits for allocated resources: a default if there is no allocation, capped by the bounds.
pub(super) fn of(resources: &[ResourceAllocation], request: &RunRequest) -> ContainerLimits {
    let (defaults, bounds) = (&request.defaults, &request.bounds);
    let amount = |kind: ResourceKind| resources.iter().find(|it| it.kind == kind).map(|it| it.amount);
    let memory = amount(ResourceKind::Mem).map(bytes).or(defaults.memory).into_iter().chain(bounds.memory).min();
    let cpus = amount(ResourceKind::Cpus).filter(|cpus| *cpus > 0.0).or(defaults.cpus);
    ContainerLimits {
        memory: memory.map(|bytes| bytes.max(LEAST_MEMORY)),
        cpus: cpus.into_iter().chain(bounds.cpus).reduce(f64::min).map(|cpus| cpus.max(LEAST_CPUS)),
        shared_memory: amount(ResourceKind::SharedMem).map(bytes).filter(|bytes| *bytes > 0),
        gpus: amount(ResourceKind::Gpus).unwrap_or_default() as u32,
    }
}

/// MiB to bytes, rounded up; saturates at `u64::MAX`.
fn bytes(mib: f64) -> u64 {
    (mib * MIB as f64).ceil() as u64
}

impl PlanBuilder {
    /// Limit for the outputs in bytes: the lower one of the manifest's and the operator's.
    pub(super) fn disk(&mut self, resources: &[ResourceAllocation], request: &RunRequest) -> Option<u64> {
        let asked = resources.iter().find(|it| it.kind == ResourceKind::Disk).map(|it| bytes(it.amount));
        let bound = request.bounds.disk;
        if let (Some(asked), Some(bound)) = (asked, bound)
            && asked > bound
        {
            let [asked, bound] = [asked, bound].map(|bytes| bytes / MIB);
            self.warn(format!(
                "The manifest requests {asked} MiB of disk, but a run may write at most {bound} MiB here."
            ));
        }
        asked.into_iter().chain(bound).min()
    }

    /// Computes the resources, sets their variables, and checks them against the machine.
    pub(super) fn resources(
        &mut self,
        manifest: &SeedManifest,
        request: &RunRequest,
        input_bytes: u64,
    ) -> Vec<ResourceAllocation> {
        let mut resources: Vec<ResourceAllocation> = Vec::new();
        let mut seen = HashSet::new();
        for scalar in &manifest.job.resources.scalar {
            let allocation = match ResourceAllocation::of(scalar, input_bytes) {
                Ok(allocation) => allocation,
                Err(why) => {
                    self.problems.add(PlanCode::BadManifest, &scalar.name, format!("{why}."), "Fix the manifest.");
                    continue;
                }
            };
            if !seen.insert(allocation.variable()) {
                let message = "the manifest requests it more than once.";
                self.problems.add(PlanCode::BadManifest, &scalar.name, message, "Fix the manifest.");
                continue;
            }
            let text =
                if request.layout == ContainerLayout::Scale { allocation.scale_text() } else { allocation.text() };
            self.set(allocation.variable(), MaskedText::plain(text));
            self.check_host(&allocation, request);
            resources.push(allocation);
        }
        resources
    }

    fn check_host(&mut self, allocation: &ResourceAllocation, request: &RunRequest) {
        let (name, needed) = (&allocation.name, allocation.amount);
        let (host, bounds) = (&request.host, &request.bounds);
        let mib = |bytes: u64| (bytes / MIB) as f64;
        let bound = match allocation.kind {
            ResourceKind::Cpus => bounds.cpus,
            ResourceKind::Mem | ResourceKind::SharedMem => bounds.memory.map(mib),
            ResourceKind::Gpus => bounds.gpus.map(f64::from),
            // Asking for more disk than the bound is only a warning: see `disk`.
            ResourceKind::Disk | ResourceKind::Other => None,
        };
        if let Some(most) = bound.filter(|most| needed > *most) {
            let message = format!("the job needs {needed}, but a run may have {most} here.");
            let help = "Request less in the manifest, or ask the operator to raise runs.most_cpus, most_memory_mib or \
                        most_gpus.";
            self.problems.add(PlanCode::NotEnough, name, message, help);
            return;
        }
        let (has, unit) = match allocation.kind {
            ResourceKind::Cpus => (host.cpus, "cores"),
            ResourceKind::Mem | ResourceKind::SharedMem => (host.memory.map(mib), "MiB"),
            ResourceKind::Disk => (host.disk.map(mib), "MiB free"),
            ResourceKind::Gpus => (Some(f64::from(host.gpus)), "GPUs"),
            ResourceKind::Other => {
                let offered = host.other.iter().any(|other| variable_name(other) == variable_name(name));
                if !offered {
                    let message =
                        "this machine does not offer this resource, so by the standard the job must not run here.";
                    let help =
                        "Run the job on a machine that offers the resource, or configure this machine to offer it.";
                    self.problems.add(PlanCode::NotEnough, name, message, help);
                }
                return;
            }
        };
        if let Some(has) = has.filter(|has| needed > *has) {
            let message = format!("the job needs {needed}, but this machine has {has} {unit}.");
            let help = "Run the job on a larger machine, or with less input if its needs depend on the input.";
            self.problems.add(PlanCode::NotEnough, name, message, help);
        }
    }
}
