//! What a container uses, from the engine's statistics: `GET /containers/{id}/stats`, which Podman has, too.

use std::time::Duration;

use bollard::models::ContainerStatsResponse;
use bollard::query_parameters::StatsOptionsBuilder;
use futures_util::StreamExt as _;

use super::{DockerClient, container_id};
use crate::engine::runtime::{ResourceUsage, Result};

/// One reading. Without `one-shot` the engine would take a second one a second later.
pub(super) async fn read(docker: &DockerClient, id: &str) -> Result<Option<ResourceUsage>> {
    let options = StatsOptionsBuilder::default().stream(false).one_shot(true).build();
    let mut readings = std::pin::pin!(docker.client.stats(container_id(id)?, Some(options)));
    match readings.next().await {
        Some(Ok(reading)) => Ok(usage_of(&reading)),
        Some(Err(why)) => Err(docker.failure(why).other()),
        // Podman says nothing about a container that is not running.
        None => Ok(None),
    }
}

/// `None`: the container is not running, of which Docker tells zeros.
fn usage_of(reading: &ContainerStatsResponse) -> Option<ResourceUsage> {
    let cpu = reading.cpu_stats.as_ref()?.cpu_usage.as_ref()?.total_usage.filter(|cpu| *cpu > 0)?;
    let networks = || reading.networks.iter().flat_map(|networks| networks.values());
    Some(ResourceUsage {
        cpu: Duration::from_nanos(cpu),
        memory: memory(reading),
        received: sum(networks().map(|network| network.rx_bytes)),
        sent: sum(networks().map(|network| network.tx_bytes)),
        read: on_disks(reading, "read"),
        written: on_disks(reading, "write"),
    })
}

/// Without the pages of files that the kernel can drop, as `docker stats` shows it: `total_inactive_file` of cgroup v1,
/// `inactive_file` of v2 (`docker/cli`, `cli/command/container/stats_helpers.go`). Podman gives no details.
fn memory(reading: &ContainerStatsResponse) -> u64 {
    let Some(memory) = &reading.memory_stats else { return 0 };
    let usage = memory.usage.unwrap_or_default();
    let detail = |name: &str| memory.stats.as_ref().and_then(|stats| stats.get(name).copied());
    let droppable = detail("total_inactive_file").or_else(|| detail("inactive_file")).unwrap_or_default();
    usage.saturating_sub(droppable)
}

/// Bytes of block devices for an operation: `Read` of cgroup v1, `read` of v2.
fn on_disks(reading: &ContainerStatsResponse, operation: &str) -> u64 {
    let disks = reading.blkio_stats.as_ref().and_then(|disks| disks.io_service_bytes_recursive.as_ref());
    let is_meant = |name: &Option<String>| name.as_ref().is_some_and(|name| name.eq_ignore_ascii_case(operation));
    sum(disks.into_iter().flatten().filter(|entry| is_meant(&entry.op)).map(|entry| entry.value))
}

fn sum(values: impl Iterator<Item = Option<u64>>) -> u64 {
    values.flatten().fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Option<ResourceUsage> {
        usage_of(&serde_json::from_str(json).expect("as the engine sends it"))
    }

    /// Docker Engine 20.10 with cgroup v1, shortened.
    const DOCKER_V1: &str = r#"{"read":"2026-11-30T21:16:56.958516405Z","preread":"0001-01-01T00:00:00Z","pids_stats":{"current":1},
        "blkio_stats":{"io_service_bytes_recursive":[{"major":8,"minor":0,"op":"Read","value":4096},{"major":8,"minor":0,"op":"Write","value":7},{"major":8,"minor":0,"op":"Total","value":4103},{"major":8,"minor":16,"op":"Read","value":4}],"io_serviced_recursive":[]},
        "cpu_stats":{"cpu_usage":{"total_usage":45051945,"percpu_usage":[2552577,42499368]},"system_cpu_usage":121603310000000,"online_cpus":2},
        "memory_stats":{"usage":54370304,"max_usage":55586816,"stats":{"cache":52428800,"inactive_file":1,"total_inactive_file":52428800},"limit":25276502016},
        "networks":{"eth0":{"rx_bytes":100,"tx_bytes":20},"eth1":{"rx_bytes":1,"tx_bytes":2}},"name":"/a","id":"71"}"#;
    /// The same with cgroup v2.
    const DOCKER_V2: &str = r#"{"read":"2026-11-30T21:16:56Z","blkio_stats":{"io_service_bytes_recursive":[{"major":8,"minor":0,"op":"read","value":10},{"major":8,"minor":0,"op":"write","value":20}],"io_serviced_recursive":null},
        "cpu_stats":{"cpu_usage":{"total_usage":1000}},"memory_stats":{"usage":300,"stats":{"anon":100,"inactive_file":50}}}"#;
    /// Podman 4.3.
    const PODMAN: &str = r#"{"read":"2026-11-30T21:17:14.564324102Z","blkio_stats":{"io_service_bytes_recursive":[],"io_serviced_recursive":null},
        "cpu_stats":{"cpu_usage":{"total_usage":2687609336,"percpu_usage":[0,2687609336]},"cpu":0},"memory_stats":{"usage":21663744,"limit":268435456},
        "name":"smp1","Id":"a4","networks":{"network":{"rx_bytes":0,"tx_bytes":0}}}"#;
    /// Docker of a container that has ended.
    const ENDED: &str = r#"{"read":"0001-01-01T00:00:00Z","preread":"0001-01-01T00:00:00Z","pids_stats":{},"blkio_stats":{"io_service_bytes_recursive":null},
        "cpu_stats":{"cpu_usage":{"total_usage":0}},"memory_stats":{},"name":"/a","id":"72"}"#;

    #[test]
    fn what_engines_tell_is_understood() {
        let usage = |cpu, memory, received, sent, read, written| {
            Some(ResourceUsage { cpu: Duration::from_nanos(cpu), memory, received, sent, read, written })
        };
        assert_eq!(read(DOCKER_V1), usage(45_051_945, 54_370_304 - 52_428_800, 101, 22, 4100, 7));
        assert_eq!(read(DOCKER_V2), usage(1000, 250, 0, 0, 10, 20));
        assert_eq!(read(PODMAN), usage(2_687_609_336, 21_663_744, 0, 0, 0, 0));
        assert_eq!(read(ENDED), None);
        assert_eq!(read("{}"), None);
    }
}
