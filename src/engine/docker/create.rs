//! Translates a planned container to the engine's create request.

use std::collections::HashMap;

use bollard::models::{ContainerCreateBody, DeviceRequest, HostConfig, HostConfigLogConfig, Mount, MountType};

use crate::engine::plan::container::{BindMount, ContainerSpec, NetworkMode, StdinMode};
use crate::engine::runtime::Error;

/// Log size of the engine (two files of this many bytes), for a `silo` process that takes the container over.
const KEPT_OUTPUT: &str = "64m";

/// Docker's default capabilities that no job needs: device nodes, raw packets, the audit log.
const DROPPED: [&str; 3] = ["MKNOD", "NET_RAW", "AUDIT_WRITE"];

/// `has_init`: the engine runs an init process as PID 1, which forwards signals and reaps zombies.
pub(super) fn body(container: &ContainerSpec, is_podman: bool, has_init: bool) -> ContainerCreateBody {
    let exposed = |text: &crate::engine::plan::container::MaskedText| text.expose().to_owned();
    ContainerCreateBody {
        image: Some(container.image.to_string()),
        entrypoint: container.entrypoint.clone(),
        cmd: container.command.as_ref().map(|command| command.iter().map(exposed).collect()),
        env: Some(container.environment.iter().map(|v| format!("{}={}", v.name, v.value.expose())).collect()),
        user: container.user.clone(),
        labels: Some(container.labels.clone().into_iter().collect()),
        attach_stdin: Some(container.input != StdinMode::Nothing),
        open_stdin: Some(container.input != StdinMode::Nothing),
        // Closes stdin at EOF of the attached client.
        stdin_once: Some(container.input != StdinMode::Nothing),
        tty: Some(container.input == StdinMode::Terminal),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        host_config: Some(HostConfig { init: Some(has_init), ..host(container, is_podman) }),
        ..ContainerCreateBody::default()
    }
}

fn host(container: &ContainerSpec, is_podman: bool) -> HostConfig {
    let is_words = |bind: &&BindMount| is_podman && is_special(bind);
    let memory = container.memory.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX));
    HostConfig {
        // Equal to `memory`: no swap, so a job that needs more is killed instead of slowed down.
        memory,
        memory_swap: memory,
        nano_cpus: container.cpus.map(|cpus| (cpus * 1e9).round() as i64),
        shm_size: container.shared_memory.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX)),
        pids_limit: container.processes.map(i64::from),
        device_requests: (container.gpus > 0).then(|| vec![gpus(container.gpus)]),
        mounts: Some(container.binds.iter().filter(|bind| !is_words(bind)).map(mount).collect()),
        binds: Some(container.binds.iter().filter(|bind| is_words(bind)).map(words).collect()),
        network_mode: Some(network(container.network).to_owned()),
        security_opt: Some(vec!["no-new-privileges".to_owned()]),
        cap_drop: Some(DROPPED.map(str::to_owned).to_vec()),
        // Podman has no log driver `local`; its own driver keeps every byte.
        log_config: (!is_podman).then(log),
        ..HostConfig::default()
    }
}

/// Whether a path holds a character that breaks Podman's mount syntax, a comma-separated line.
fn is_special(bind: &BindMount) -> bool {
    [source(bind), &bind.target].iter().any(|path| path.contains([',', '"']))
}

/// Why this container cannot be created on the engine.
pub(super) fn refusal(container: &ContainerSpec, is_podman: bool) -> Option<Error> {
    if !is_podman {
        return None;
    }
    if container.gpus > 0 {
        let reason = "SILO cannot request GPUs from Podman, whose Docker API does not support them; use Docker";
        return Some(Error::NoGpu { reason: reason.to_owned() });
    }
    let bind = container.binds.iter().find(|bind| is_special(bind) && words(bind).matches(':').count() > 2)?;
    let reason =
        format!("Podman cannot mount a path that holds a colon and a comma or a quote: rename {}", bind.source);
    Some(Error::Refused { reason })
}

fn source(bind: &BindMount) -> &str {
    bind.held.as_deref().unwrap_or(&bind.source)
}

fn words(bind: &BindMount) -> String {
    format!("{}:{}:{}", source(bind), bind.target, if bind.read_only { "ro" } else { "rw" })
}

/// As a `Mount`: the `source:target` syntax of `Binds` cannot hold a colon.
fn mount(bind: &BindMount) -> Mount {
    Mount {
        typ: Some(MountType::BIND),
        source: Some(source(bind).to_owned()),
        target: Some(bind.target.clone()),
        read_only: Some(bind.read_only),
        ..Mount::default()
    }
}

fn network(network: NetworkMode) -> &'static str {
    match network {
        NetworkMode::None => "none",
        NetworkMode::Host => "host",
        NetworkMode::Bridge => "default",
    }
}

fn gpus(count: u32) -> DeviceRequest {
    DeviceRequest {
        count: Some(i64::from(count)),
        capabilities: Some(vec![vec!["gpu".to_owned()]]),
        ..DeviceRequest::default()
    }
}

/// Driver `local` keeps bytes unchanged and is bounded; Docker's default, `json-file`, keeps UTF-8 only and is
/// unbounded.
fn log() -> HostConfigLogConfig {
    let config = [("max-size", KEPT_OUTPUT), ("max-file", "2"), ("compress", "false")];
    HostConfigLogConfig {
        typ: Some("local".to_owned()),
        config: Some(HashMap::from(config.map(|(name, value)| (name.to_owned(), value.to_owned())))),
    }
}
