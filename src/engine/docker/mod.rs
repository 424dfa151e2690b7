//! Docker and Podman over the Docker Engine API: a Unix socket, or TCP with or without TLS. The only module that uses
//! bollard.

mod address;
mod build;
mod choice;
mod create;
mod failure;
mod images;
mod open_up;
mod program;
mod pull;
mod session;
mod usage;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::models;
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, CreateContainerOptionsBuilder, EventsOptionsBuilder, KillContainerOptionsBuilder,
    ListContainersOptionsBuilder, LogsOptionsBuilder, RemoveContainerOptionsBuilder,
};
use chrono::{DateTime, FixedOffset};
use futures_util::{Stream, StreamExt as _};

use super::held_paths::may_mount;
use super::plan::container::ContainerSpec;
use super::runtime::{
    self, ClosedPath, ContainerExit, ContainerOutput, ContainerRuntime, ContainerSignal, ContainerState, EngineFacts,
    EngineImage, Error, FoundContainer, ImageStartConfig, OutputChunk, PullProgress, RegistryCredentials,
    ResourceUsage, Result,
};
use crate::clock::Clock;
use crate::seed::image_reference::ImageReference;
use failure::EngineFailure;

pub use address::{EngineAddress, EngineTls};
pub use build::ImageBuild;
pub use choice::EngineChoice;
pub use images::{ListedImage, TOKEN_USER, TemporaryTag};
pub use session::ContainerSession;

/// Time limit for the engine to begin an answer. Removing a large container takes a while.
const ANSWER: Duration = Duration::from_secs(120);
/// Time limit for the version request. Podman inspects its storage first, on a disk that may be busy.
const GREETING: Duration = Duration::from_secs(30);
/// How long after a SIGKILL to wait for the `oom` event.
const LATE: Duration = Duration::from_secs(1);
/// Events that Docker keeps (`daemon/events`); none from before its start.
const REMEMBERED: usize = 256;
/// Exit code of a process ended by SIGKILL: 128 + 9.
const KILLED: i64 = 137;
/// Exit code of a process ended by SIGTERM: 128 + 15.
const TERMINATED: i64 = 143;

/// A container engine that has answered, and what it reports about itself.
#[derive(Clone, Debug)]
pub struct ContainerEngine {
    pub docker: DockerClient,
    pub facts: EngineFacts,
    /// Whether jobs can be given host paths in mounts that this process makes; false before
    /// [`ContainerEngine::probe_held_paths`].
    pub holds_paths: bool,
}

impl ContainerEngine {
    /// # Errors
    /// The engine does not answer.
    pub async fn of(docker: DockerClient) -> Result<Self> {
        Ok(Self { facts: docker.engine().await?, docker, holds_paths: false })
    }

    /// Finds out whether jobs can be given host paths that are held in mounts: see [`super::held_paths`]. A mount is
    /// tried at `place`.
    pub async fn probe_held_paths(self, place: PathBuf) -> Self {
        let may_mount = tokio::task::spawn_blocking(move || may_mount(&place)).await.unwrap_or_default();
        let holds_paths = may_mount && self.docker.shares_our_mount_namespace().await;
        Self { holds_paths, ..self }
    }
}

/// Client of a Docker Engine, or of Podman's Docker-compatible API.
#[derive(Clone, Debug)]
pub struct DockerClient {
    client: bollard::Docker,
    address: String,
    /// Podman's API differs, as in logs, mounts and events.
    is_podman: bool,
}

impl DockerClient {
    /// Connects to an engine at `unix:///…` or `tcp://HOST:PORT`; `None`: the first one found on this machine.
    ///
    /// # Errors
    /// [`Error::NoEngine`] if there is none or it does not answer.
    pub async fn open(address: Option<&str>) -> Result<Self> {
        Self::open_at(address.map(|url| EngineAddress { url: url.to_owned(), tls: None })).await
    }

    /// As [`DockerClient::open`], for an address with TLS settings.
    ///
    /// # Errors
    /// Also [`Error::Address`].
    pub async fn open_at(address: Option<EngineAddress>) -> Result<Self> {
        let found = || found().map(|url| EngineAddress { url, tls: None });
        let Some(address) = address.or_else(found) else {
            let address = format!("{} (nor at the other usual places)", usual_addresses()[0]);
            return Err(Error::NoEngine { address, reason: "there is no socket".to_owned() });
        };
        let client = address.connect()?;
        let address = address.url;
        let nobody = |reason: String| Error::NoEngine { address: address.clone(), reason };
        let greeting = async {
            let client = client.negotiate_version().await?;
            Ok((client.version().await?, client))
        };
        let (version, client) = match tokio::time::timeout(GREETING, greeting).await {
            Ok(Ok(greeted)) => greeted,
            Ok(Err(why)) => return Err(nobody(failure::words(&why))),
            Err(_) => return Err(nobody(format!("no answer within {} seconds", GREETING.as_secs()))),
        };
        let components = version.components.unwrap_or_default();
        let is_podman = components.iter().any(|component| component.name.to_lowercase().contains("podman"));
        Ok(Self { client, address, is_podman })
    }

    /// The address of the engine, as given or found.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Whether the engine sees mounts of this process: it listens on a local socket, and the process that created the
    /// socket is in the same mount namespace.
    pub async fn shares_our_mount_namespace(&self) -> bool {
        let Some(peer) = self.peer().await.and_then(|peer| peer.pid()).filter(|pid| *pid > 0) else { return false };
        let namespace = |process: &str| std::fs::read_link(format!("/proc/{process}/ns/mnt")).ok();
        namespace("self").is_some_and(|ours| namespace(&peer.to_string()) == Some(ours))
    }

    /// Credentials of the process that created the engine's socket; `None` if it is not local.
    async fn peer(&self) -> Option<tokio::net::unix::UCred> {
        let socket = tokio::net::UnixStream::connect(self.address.strip_prefix("unix://")?).await.ok()?;
        socket.peer_cred().ok()
    }

    /// Whether UIDs in containers differ from UIDs on the engine's host (user namespace). Podman's compatible API
    /// does not report it; a rootless Podman maps UIDs.
    async fn maps_users(&self) -> Result<bool> {
        let about = self.client.info().await.map_err(|why| self.failure(why).other())?;
        let options = about.security_options.unwrap_or_default();
        let words = options.iter().flat_map(|option| option.split(','));
        let is_told =
            words.filter_map(|word| word.strip_prefix("name=")).any(|word| matches!(word, "rootless" | "userns"));
        let is_rootless = self.is_podman && self.peer().await.is_some_and(|peer| peer.uid() != 0);
        Ok(is_told || is_rootless)
    }

    /// Wraps an error of the client, to be classified.
    fn failure(&self, why: bollard::errors::Error) -> EngineFailure<'_> {
        EngineFailure { address: &self.address, why }
    }

    fn chunks(
        &self,
        output: impl Stream<Item = std::result::Result<LogOutput, bollard::errors::Error>> + Send + 'static,
    ) -> ContainerOutput {
        let address = self.address.clone();
        let chunk = move |item| match item {
            Ok(LogOutput::StdErr { message }) => {
                Ok(OutputChunk { stream: runtime::OutputStream::Stderr, bytes: message })
            }
            Ok(other) => Ok(OutputChunk { stream: runtime::OutputStream::Stdout, bytes: other.into_bytes() }),
            Err(why) => Err(EngineFailure { address: &address, why }.other()),
        };
        output.map(chunk).boxed()
    }
}

impl ContainerRuntime for DockerClient {
    async fn engine(&self) -> Result<EngineFacts> {
        let about = self.client.info().await.map_err(|why| self.failure(why).other())?;
        let product = if self.is_podman { "Podman" } else { "Docker Engine" };
        let machine = about.architecture.unwrap_or_default();
        let has_nvidia = about.runtimes.is_some_and(|runtimes| runtimes.contains_key("nvidia"));
        let has_devices = about.discovered_devices.is_some_and(|devices| !devices.is_empty());
        Ok(EngineFacts {
            name: format!("{product} {}", about.server_version.unwrap_or_default()),
            address: self.address.clone(),
            host: about.name.unwrap_or_default(),
            platform: format!("{}/{}", about.os_type.unwrap_or_default(), architecture(&machine)),
            cpus: about.ncpu.and_then(|cpus| cpus.try_into().ok()).unwrap_or(u32::MAX),
            memory: about.mem_total.and_then(|bytes| bytes.try_into().ok()).unwrap_or(u64::MAX),
            gpus: has_nvidia || has_devices,
            maps_users: self.maps_users().await?,
        })
    }

    async fn image(&self, name: &ImageReference) -> Result<EngineImage> {
        let found = self.client.inspect_image(name.as_str()).await;
        let found = found.map_err(|why| self.failure(why).image(name.as_str()))?;
        let digests = found.repo_digests.unwrap_or_default();
        let variant = found.variant.filter(|variant| !variant.is_empty()).map(|variant| format!("/{variant}"));
        let [os, architecture] = [found.os, found.architecture].map(Option::unwrap_or_default);
        let config = found.config.unwrap_or_default();
        Ok(EngineImage {
            id: found.id.and_then(|id| id.parse().ok()).unwrap_or_else(|| name.clone()),
            digests: digests.iter().filter_map(|known| Some(known.split_once('@')?.1.to_owned())).collect(),
            labels: config.labels.unwrap_or_default().into_iter().collect(),
            platform: format!("{os}/{architecture}{}", variant.unwrap_or_default()),
            config: ImageStartConfig {
                folder: config.working_dir.unwrap_or_default(),
                has_entrypoint: config.entrypoint.is_some_and(|words| !words.is_empty()),
                user: config.user.unwrap_or_default(),
            },
        })
    }

    async fn pull(
        &self,
        reference: &ImageReference,
        platform: Option<&str>,
        credentials: Option<&RegistryCredentials>,
        progress: impl FnMut(PullProgress) + Send,
    ) -> Result<()> {
        pull::pull(self, reference, platform, credentials, progress).await
    }

    async fn create(&self, container: &ContainerSpec) -> Result<String> {
        if let Some(why) = create::refusal(container, self.is_podman) {
            return Err(why);
        }
        let mut options = CreateContainerOptionsBuilder::default();
        if let Some(platform) = &container.platform {
            options = options.platform(platform);
        }
        let options = Some(options.build());
        let body = |has_init| create::body(container, self.is_podman, has_init);
        let created = match self.client.create_container(options.clone(), body(true)).await {
            // Podman's init binary is in a package of its own, which may be missing.
            Err(why) if failure::is_without_init(&why) => self.client.create_container(options, body(false)).await,
            other => other,
        };
        match created {
            Ok(created) => Ok(created.id),
            Err(why) => Err(self.failure(why).container(container.image.as_str())),
        }
    }

    async fn start(&self, id: &str) -> Result<ContainerOutput> {
        // Attach before the start, so that no output is missed.
        let options = AttachContainerOptionsBuilder::default().stream(true).stdout(true).stderr(true).build();
        let id = container_id(id)?;
        let attached = self.client.attach_container(id, Some(options)).await;
        // Podman prepares the process on attach, so a missing program is reported here.
        let attached = attached.map_err(|why| self.failure(why).start())?;
        self.client.start_container(id, None).await.map_err(|why| self.failure(why).start())?;
        Ok(self.chunks(attached.output))
    }

    async fn output(&self, id: &str) -> Result<ContainerOutput> {
        let options = LogsOptionsBuilder::default().follow(true).stdout(true).stderr(true).build();
        Ok(self.chunks(self.client.logs(container_id(id)?, Some(options))))
    }

    async fn usage(&self, id: &str) -> Result<Option<ResourceUsage>> {
        usage::read(self, id).await
    }

    async fn wait(&self, id: &str) -> Result<ContainerExit> {
        let id = container_id(id)?;
        // The answer's content is ignored: the container's state is more precise.
        let mut answers = std::pin::pin!(self.client.wait_container(id, None));
        match answers.next().await {
            None | Some(Ok(_) | Err(bollard::errors::Error::DockerContainerWaitError { .. })) => {}
            Some(Err(why)) => return Err(self.failure(why).other()),
        }
        let found = self.client.inspect_container(id, None).await.map_err(|why| self.failure(why).other())?;
        let has_limit = found.host_config.and_then(|config| config.memory).is_some_and(|memory| memory > 0);
        let state = found.state.filter(|state| state.running != Some(true));
        let Some(state @ models::ContainerState { exit_code: Some(exit_code), .. }) = state else {
            // The connection was cut during the wait.
            return Err(Error::Lost { address: self.address.clone(), reason: "it stopped answering".to_owned() });
        };
        // Podman's containers outlive the engine, so only signals are of interest.
        let told = match exit_code {
            0 => ContainerEvents::default(),
            KILLED | TERMINATED => self.told_of(id, &state, exit_code == KILLED).await,
            _ if self.is_podman => ContainerEvents::default(),
            _ => self.told_of(id, &state, false).await,
        };
        // Podman's monitor often misses an OOM kill; any other SIGKILL would have an event.
        let is_likely = self.is_podman && has_limit && !told.was_signalled;
        let oom = state.oom_killed == Some(true) || (exit_code == KILLED && (told.oom || is_likely));
        Ok(ContainerExit { exit_code, oom, was_signalled: told.was_signalled, is_unseen: told.is_unseen })
    }

    async fn not_begun(&self, id: &str, exit_code: i64, said: &str) -> Option<Error> {
        if !matches!(exit_code, 1 | 126 | 127) {
            return None;
        }
        let why = if said.is_empty() { program::missing(self, id).await } else { failure::init_exec_failure(said) };
        why.map(|(exit_code, reason)| Error::Command { exit_code, reason })
    }

    async fn signal(&self, id: &str, signal: ContainerSignal) -> Result<()> {
        let name = match signal {
            ContainerSignal::Term => "SIGTERM",
            ContainerSignal::Kill => "SIGKILL",
        };
        let options = KillContainerOptionsBuilder::default().signal(name).build();
        match self.client.kill_container(container_id(id)?, Some(options)).await {
            Err(why) if !failure::is_gone(&why) => Err(self.failure(why).other()),
            _ => Ok(()),
        }
    }

    async fn remove(&self, id: &str) -> Result<()> {
        let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        match self.client.remove_container(container_id(id)?, Some(options)).await {
            Err(why) if !failure::is_gone(&why) => Err(self.failure(why).other()),
            _ => Ok(()),
        }
    }

    async fn open_up(&self, root: &Path, closed: &[ClosedPath]) -> Result<()> {
        self.open_by_archive(root, closed).await
    }

    async fn containers(&self, label: &str) -> Result<Vec<FoundContainer>> {
        let filters = HashMap::from([("label", vec![label])]);
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let listed = self.client.list_containers(Some(options)).await.map_err(|why| self.failure(why).other())?;
        let found = listed.into_iter().filter_map(|container| {
            let state = match container.state? {
                models::ContainerSummaryStateEnum::CREATED => ContainerState::Created,
                models::ContainerSummaryStateEnum::EXITED | models::ContainerSummaryStateEnum::DEAD => {
                    ContainerState::Ended
                }
                _ => ContainerState::Running,
            };
            let created = DateTime::from_timestamp(container.created?, 0);
            let labels = container.labels.unwrap_or_default().into_iter().collect();
            Some(FoundContainer { id: container.id?, labels, state, created })
        });
        Ok(found.collect())
    }
}

impl DockerClient {
    /// Events of a failed container that its state does not show. Docker learns of the exit and of an OOM kill
    /// independently and writes the state at the exit; a later OOM is an event only. `is_late`: wait for it.
    async fn told_of(&self, id: &str, state: &models::ContainerState, is_late: bool) -> ContainerEvents {
        let [started, finished] = [&state.started_at, &state.finished_at]
            .map(|at| at.as_deref().and_then(|at| DateTime::parse_from_rfc3339(at).ok()));
        let (Some(started), Some(finished)) = (started, finished) else { return ContainerEvents::default() };
        // The API takes Unix time only.
        let unix = |at: DateTime<FixedOffset>| format!("{}.{:09}", at.timestamp(), at.timestamp_subsec_nanos());
        // Podman returns no events if `until` is in the past.
        let now = Clock::system().now().fixed_offset();
        let until = if self.is_podman { finished.max(now) + LATE } else { finished + LATE };
        let wanted = if self.is_podman { vec!["kill"] } else { vec!["oom", "kill", "die"] };
        let filters = HashMap::from([("container", vec![id]), ("event", wanted)]);
        let options =
            EventsOptionsBuilder::default().since(&unix(started)).until(&unix(until)).filters(&filters).build();
        let mut events = std::pin::pin!(self.client.events(Some(options)));
        let (mut told, mut has_died) = (ContainerEvents::default(), false);
        // If the engine's clock differs from ours, the stream may end much later; hence the time limit below.
        let listening = async {
            let is_enough = |told: &ContainerEvents, has_died| match self.is_podman {
                true => told.was_signalled,
                false => told.oom || (has_died && !is_late),
            };
            while let (false, Some(Ok(event))) = (is_enough(&told, has_died), events.next().await) {
                match event.action.as_deref() {
                    Some("oom") => told.oom = true,
                    Some("die") => has_died = true,
                    _ if is_termination_signal(&event) => told.was_signalled = true,
                    _ => {}
                }
            }
        };
        _ = tokio::time::timeout(2 * LATE, listening).await;
        told.is_unseen = !has_died && !self.is_podman && self.is_new().await;
        told
    }

    /// Whether Docker still has every event since its start. An exit without an event was then before its start.
    async fn is_new(&self) -> bool {
        let now = Clock::system().now().timestamp().to_string();
        let options = EventsOptionsBuilder::default().since("1").until(&now).build();
        let events = self.client.events(Some(options)).filter(|event| std::future::ready(event.is_ok())).count();
        tokio::time::timeout(LATE, events).await.is_ok_and(|count| count < REMEMBERED)
    }
}

/// Whether a `kill` event is about SIGTERM or SIGKILL; assumed if the event names no signal.
fn is_termination_signal(kill: &models::EventMessage) -> bool {
    let attributes = kill.actor.as_ref().and_then(|actor| actor.attributes.as_ref());
    attributes.and_then(|it| it.get("signal")).is_none_or(|signal| matches!(signal.as_str(), "9" | "15"))
}

/// Result of reading a container's events.
#[derive(Default)]
struct ContainerEvents {
    /// An OOM event.
    oom: bool,
    /// A signal was sent to it.
    was_signalled: bool,
    /// The engine did not observe its exit.
    is_unseen: bool,
}

/// Validates a container id, which becomes part of a URL path.
fn container_id(id: &str) -> Result<&str> {
    if !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Ok(id);
    }
    Err(Error::Refused { reason: format!("'{}' is not a container id", id.escape_debug()) })
}

/// Usual sockets: Docker and Podman, system-wide and of this user.
fn usual_addresses() -> Vec<String> {
    let mut addresses = vec!["unix:///var/run/docker.sock".to_owned(), "unix:///run/podman/podman.sock".to_owned()];
    #[cfg(target_os = "linux")]
    if let Ok(own) = std::fs::metadata("/proc/self") {
        let user = std::os::unix::fs::MetadataExt::uid(&own);
        addresses.extend(["docker.sock", "podman/podman.sock"].map(|name| format!("unix:///run/user/{user}/{name}")));
    }
    addresses
}

fn found() -> Option<String> {
    usual_addresses().into_iter().find(|address| Path::new(address.trim_start_matches("unix://")).exists())
}

/// Go's name (GOARCH) of a machine's architecture, as images use it.
fn architecture(machine: &str) -> &str {
    match machine {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
