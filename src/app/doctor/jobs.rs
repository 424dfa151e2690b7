//! Checks of what runs need of the machine: a container engine, mounts, and the network of jobs.

use tokio::task::spawn_blocking;

use super::super::container_engine::engine_choice;
use super::{DiagnosticFinding, good, notice};
use crate::auth::random_id;
use crate::config::{RunNetwork, ServiceSettings};
use crate::engine::docker::{DockerClient, EngineChoice};
use crate::engine::held_paths::may_mount;
use crate::engine::runtime::ContainerRuntime as _;

/// Checks the engine at an address, else the configured one, else one at the usual sockets; and whether it sees mounts
/// that SILO makes.
pub(super) async fn engine(settings: &ServiceSettings, at: Option<String>) -> Vec<DiagnosticFinding> {
    const ABOUT: &str = "container engine";
    let configured = engine_choice(settings);
    let docker = EngineChoice { address: at.or(configured.address), ..configured }.open().await;
    let told = match &docker {
        Ok(docker) => docker.engine().await,
        Err(why) => Err(why.clone()),
    };
    let engine = match told {
        Ok(engine) => good(ABOUT, format!("{} at {} ({})", engine.name, engine.address, engine.platform)),
        Err(why) => {
            notice(ABOUT, why.to_string(), "the service's runs wait for an engine; silo run and silo batch need one")
        }
    };
    let mut findings = vec![engine];
    if settings.data.is_dir() {
        findings.push(mounts(settings, docker.ok()).await);
    }
    findings
}

async fn mounts(settings: &ServiceSettings, docker: Option<DockerClient>) -> DiagnosticFinding {
    const ABOUT: &str = "mounts";
    const ADVICE: &str = "only the folders in runs.mount_roots themselves can be mounted, and inputs from \
                          runs.input_roots are copied; to mount subfolders, run SILO as root on the engine's machine, \
                          outside of containers";
    let runs = &settings.runs;
    let is_used = !runs.mount_roots.is_empty() || !runs.input_roots.is_empty();
    let place = settings.in_data(format!(".probe-{}", random_id()));
    let may = spawn_blocking(move || may_mount(&place)).await.unwrap_or_default();
    let sees = match &docker {
        Some(docker) => docker.shares_our_mount_namespace().await,
        None => true,
    };
    match (may, sees) {
        (true, true) => good(ABOUT, "SILO can hold this machine's files and folders for runs"),
        (false, _) if is_used => notice(ABOUT, "this user may not mount, so folders cannot be held", ADVICE),
        (true, false) if is_used => notice(ABOUT, "the engine does not see SILO's mounts", ADVICE),
        _ => good(ABOUT, "not possible here, and not needed: runs use no folders of this machine"),
    }
}

pub(super) fn network(settings: &ServiceSettings) -> DiagnosticFinding {
    const ABOUT: &str = "network of runs";
    let runs = &settings.runs;
    match runs.network {
        RunNetwork::None if runs.bridge_registries.is_empty() => good(ABOUT, "none (runs.network)"),
        RunNetwork::None => {
            let registries = runs.bridge_registries.join(", ");
            good(ABOUT, format!("none (runs.network), except for jobs from {registries} (runs.bridge_registries)"))
        }
        RunNetwork::Bridge => notice(
            ABOUT,
            "bridge (runs.network): every job can reach this machine's neighbours and metadata services",
            "set runs.network to none, and list registries whose jobs need a network in runs.bridge_registries",
        ),
        RunNetwork::Host => notice(
            ABOUT,
            "host (runs.network): every job can reach everything that this machine can, and its own services",
            "set runs.network to none, and list registries whose jobs need a network in runs.bridge_registries",
        ),
    }
}
