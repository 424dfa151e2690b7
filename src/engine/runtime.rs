//! The interface to container engines, and its errors. Engine-specific types stay in its implementations.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::stream::BoxStream;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::plan::container::ContainerSpec;
use crate::seed::image_reference::ImageReference;

/// Client of a container engine. Clones are cheap and share the connection.
///
/// Every call may be dropped at any await. Container and image ids are the engine's.
pub trait ContainerRuntime: Clone + Send + Sync + 'static {
    /// Name, address and capabilities of the engine.
    fn engine(&self) -> impl Future<Output = Result<EngineFacts>> + Send;

    /// Looks up an image by reference or id.
    ///
    /// # Errors
    /// [`Error::NoImage`], among others.
    fn image(&self, name: &ImageReference) -> impl Future<Output = Result<EngineImage>> + Send;

    /// Pulls an image from its registry. `progress` receives the events.
    ///
    /// # Errors
    /// [`Error::Pull`], among others.
    fn pull(
        &self,
        reference: &ImageReference,
        platform: Option<&str>,
        credentials: Option<&RegistryCredentials>,
        progress: impl FnMut(PullProgress) + Send,
    ) -> impl Future<Output = Result<()>> + Send;

    /// Creates a container without starting it, and returns its id. The caller must remove it.
    fn create(&self, container: &ContainerSpec) -> impl Future<Output = Result<String>> + Send;

    /// Starts a container. The stream yields all of its output and ends with it; a slow reader slows it down.
    fn start(&self, id: &str) -> impl Future<Output = Result<ContainerOutput>> + Send;

    /// The output so far, as far as the engine has kept it, then further output until the exit.
    fn output(&self, id: &str) -> impl Future<Output = Result<ContainerOutput>> + Send;

    /// What the container uses now; `None` if it is not running.
    fn usage(&self, id: &str) -> impl Future<Output = Result<Option<ResourceUsage>>> + Send;

    /// Waits for the container's exit.
    fn wait(&self, id: &str) -> impl Future<Output = Result<ContainerExit>> + Send;

    /// Why a container that ended with this exit code could not begin its command; `None`: it has begun. Engines put an
    /// init process
    /// first, so a container starts without its command, too. `said`: all that was printed.
    fn not_begun(&self, id: &str, exit_code: i64, said: &str) -> impl Future<Output = Option<Error>> + Send;

    /// Sends a signal. One that is not running any more is left alone.
    fn signal(&self, id: &str, signal: ContainerSignal) -> impl Future<Output = Result<()>> + Send;

    /// Kills and removes a container. No error if it does not exist.
    fn remove(&self, id: &str) -> impl Future<Output = Result<()>> + Send;

    /// Gives this process access to files and folders below `root`, whoever owns them. Nothing may be writing there.
    fn open_up(&self, root: &Path, closed: &[ClosedPath]) -> impl Future<Output = Result<()>> + Send;

    /// All containers with a label, running or not. `label`: `KEY` or `KEY=VALUE`.
    fn containers(&self, label: &str) -> impl Future<Output = Result<Vec<FoundContainer>>> + Send;
}

/// A file that this process cannot read, or a folder that it cannot read or empty: another user owns it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClosedPath {
    /// Relative to the root.
    pub path: PathBuf,
    pub is_folder: bool,
    /// Permissions, as in `0o700`.
    pub mode: u32,
    /// Seconds of Unix time.
    pub modified: u64,
}

/// A container's output, in the order of arrival.
pub type ContainerOutput = BoxStream<'static, Result<OutputChunk>>;

/// A container engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EngineFacts {
    /// As in `Docker Engine 28.0.1`.
    pub name: String,
    /// Address that it was reached at.
    pub address: String,
    /// Host name.
    pub host: String,
    /// As in `linux/amd64`.
    pub platform: String,
    /// Cores.
    pub cpus: u32,
    /// Bytes.
    pub memory: u64,
    /// Whether it may have GPUs; only starting a container shows for sure.
    pub gpus: bool,
    /// Whether UIDs in containers differ from the host's (user namespace).
    pub maps_users: bool,
}

/// An image that the engine has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineImage {
    /// The engine's id, which identifies the image even if tags move.
    pub id: ImageReference,
    /// Registry digests, `sha256:…`. Empty for an image built on the engine.
    pub digests: Vec<String>,
    pub labels: BTreeMap<String, String>,
    /// As in `linux/arm64/v8`.
    pub platform: String,
    /// Start configuration.
    pub config: ImageStartConfig,
}

/// Start configuration of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageStartConfig {
    /// WORKDIR; empty for the root folder.
    pub folder: String,
    pub has_entrypoint: bool,
    /// USER; empty for root.
    pub user: String,
}

/// Credentials for a registry.
#[derive(Clone, Debug)]
pub struct RegistryCredentials {
    pub username: String,
    pub password: SecretString,
}

/// A pull event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PullProgress {
    /// Layer id; `None` for the whole image.
    pub layer: Option<String>,
    /// The engine's status, as in `Downloading`.
    pub status: String,
    /// Bytes done and total, if the engine reports them.
    pub bytes: Option<(u64, u64)>,
}

impl fmt::Display for PullProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(layer) = &self.layer {
            write!(f, "{layer}: ")?;
        }
        f.write_str(&self.status)?;
        match self.bytes {
            Some((there, all)) => write!(f, " ({there} of {all} bytes)"),
            None => Ok(()),
        }
    }
}

/// A chunk of a container's output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputChunk {
    pub stream: OutputStream,
    pub bytes: Bytes,
}

/// Output stream of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutputStream {
    Stdout,
    Stderr,
}

/// What a container uses at a time. Bytes are counted since its start, except those of memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResourceUsage {
    /// CPU time since the start, of all cores.
    pub cpu: Duration,
    /// Bytes of memory, without cached files where the engine tells them apart.
    pub memory: u64,
    /// Bytes from the network.
    pub received: u64,
    /// Bytes to the network.
    pub sent: u64,
    /// Bytes from block devices.
    pub read: u64,
    /// Bytes to block devices.
    pub written: u64,
}

/// A container's exit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerExit {
    /// As in a shell: 128 + signal number for a process ended by a signal.
    pub exit_code: i64,
    /// Whether the kernel's OOM killer ended a process of it.
    pub oom: bool,
    /// Whether it was sent a signal through the engine: by SILO, by the engine's own stop, or by another client.
    #[serde(default)]
    pub was_signalled: bool,
    /// Whether the engine was started after the exit, so that it does not know the cause.
    #[serde(default)]
    pub is_unseen: bool,
}

/// A signal to a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContainerSignal {
    Term,
    Kill,
}

/// A container found by its label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundContainer {
    pub id: String,
    pub labels: BTreeMap<String, String>,
    pub state: ContainerState,
    /// Creation time.
    pub created: Option<DateTime<Utc>>,
}

/// State of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContainerState {
    /// Created, never started.
    Created,
    Running,
    Ended,
}

/// Error of a container engine.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    #[error(
        "no container engine answers at {address} ({reason}): install Docker or Podman and start it (on Debian: `apt-get \
         install docker.io`), or name its socket in DOCKER_HOST, as in unix:///run/user/1000/podman/podman.sock"
    )]
    NoEngine { address: String, reason: String },
    #[error("{reason}")]
    Address { reason: String },
    #[error("the container engine at {address} does not answer any more ({reason}): check that it runs, and try again")]
    Lost { address: String, reason: String },
    #[error("the job's container was stopped from outside, for example by a restart of the engine ({reason})")]
    Interrupted { reason: String },
    #[error("the engine has no image {image}: pull it first, or check the name")]
    NoImage { image: String },
    #[error("{image} cannot be pulled: {cause}. The engine says: {reason}")]
    Pull { image: String, cause: PullFailure, reason: String },
    #[error("the image cannot be built: {reason}")]
    Build { reason: String },
    #[error("{image} cannot be pushed; the engine says: {reason}")]
    Push { image: String, reason: String },
    #[error("the engine has no GPU available ({reason}): run the job on a host with a GPU and its container toolkit")]
    NoGpu { reason: String },
    #[error("the job's command cannot be started ({reason}): fix the image, or the manifest's command")]
    Command {
        /// As in a shell: 127 if it does not exist, 126 if it cannot be executed.
        exit_code: i64,
        reason: String,
    },
    #[error(
        "the disk of the container engine is full ({reason}): free some space, for example with `docker system prune`"
    )]
    DiskFull { reason: String },
    #[error("the container engine refuses: {reason}")]
    Refused { reason: String },
}

/// Cause of a failed pull.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullFailure {
    /// No usable answer from the registry; may be temporary.
    Unreachable,
    /// Rate limited.
    Busy,
    /// Credentials are missing or wrong, or the registry hides that the image does not exist.
    Unauthorized,
    NotFound,
    /// No image for the platform.
    Platform,
}

impl fmt::Display for PullFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unreachable => "the registry cannot be reached; check its address and the network",
            Self::Busy => "the registry limits requests; wait, or log in",
            Self::Unauthorized => "the registry denies access; check the image name, the user name and the password",
            Self::NotFound => "the registry does not have the image; check the repository and the tag",
            Self::Platform => "the image does not exist for this platform; choose another with --platform, or build it",
        })
    }
}

impl Error {
    /// Whether the engine does not answer, so that the state of its containers is unknown.
    pub fn is_silence(&self) -> bool {
        matches!(self, Self::NoEngine { .. } | Self::Lost { .. })
    }

    /// Whether a later attempt may succeed without a change to the job.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::NoEngine { .. } | Self::Lost { .. } | Self::Interrupted { .. } | Self::DiskFull { .. } => true,
            Self::Pull { cause, .. } => matches!(cause, PullFailure::Unreachable | PullFailure::Busy),
            _ => false,
        }
    }
}

/// `Result` with this module's error.
pub type Result<T> = std::result::Result<T, Error>;
