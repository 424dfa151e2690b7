//! What SILO asks of a container engine, and what can go wrong there. An engine's own words stay below this line: nobody
//! above knows which engine it is.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::stream::BoxStream;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::container::Container;
use crate::seed::image_reference::ImageReference;

/// Speaks to one container engine. Clones are cheap and speak to the same.
///
/// Every call may be given up at any await. Ids of containers and images are the engine's.
pub trait Runtime: Clone + Send + Sync + 'static {
    /// What the engine is, and has.
    fn engine(&self) -> impl Future<Output = Result<Engine>> + Send;

    /// An image that the engine has, by reference or id.
    ///
    /// # Errors
    /// [`Error::NoImage`], among others.
    fn image(&self, name: &ImageReference) -> impl Future<Output = Result<Image>> + Send;

    /// Fetches an image from its registry, or brings it up to date. `progress` is told what happens.
    ///
    /// # Errors
    /// [`Error::Pull`], among others.
    fn pull(
        &self,
        reference: &ImageReference,
        platform: Option<&str>,
        credentials: Option<&Credentials>,
        progress: impl FnMut(PullProgress) + Send,
    ) -> impl Future<Output = Result<()>> + Send;

    /// Makes a container, without starting it. Returns its id. Whoever calls sees to it that it is removed.
    fn create(&self, container: &Container) -> impl Future<Output = Result<String>> + Send;

    /// Starts a container. The stream gives all that it prints, and ends with it; a slow reader slows the container.
    fn start(&self, id: &str) -> impl Future<Output = Result<Output>> + Send;

    /// What a container printed so far, as far as the engine has kept it, then what it prints, to its end.
    fn output(&self, id: &str) -> impl Future<Output = Result<Output>> + Send;

    /// Waits for a container's end.
    fn wait(&self, id: &str) -> impl Future<Output = Result<Ended>> + Send;

    /// Why a container that ended with this exit code could not begin its command; `None`: it has begun. Engines put an init process
    /// first, so a container starts without its command, too. `said`: all that was printed.
    fn not_begun(&self, id: &str, exit_code: i64, said: &str) -> impl Future<Output = Option<Error>> + Send;

    /// Sends a signal. One that is not running any more is left alone.
    fn signal(&self, id: &str, signal: Signal) -> impl Future<Output = Result<()>> + Send;

    /// Ends a container, if it runs, and removes it. One that is gone already is no error.
    fn remove(&self, id: &str) -> impl Future<Output = Result<()>> + Send;

    /// Opens files and folders to this process, whoever they belong to: paths below `root`, in which nobody may be at work.
    fn open_up(&self, root: &Path, closed: &[ClosedPath]) -> impl Future<Output = Result<()>> + Send;

    /// All containers, running or not, that carry a label.
    fn containers(&self, label: &str) -> impl Future<Output = Result<Vec<Found>>> + Send;
}

/// A file or folder that this process cannot read, or cannot empty: it belongs to another user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClosedPath {
    /// Relative.
    pub path: PathBuf,
    pub is_folder: bool,
    /// Permissions, as in `0o700`.
    pub mode: u32,
    /// Seconds of Unix time.
    pub modified: u64,
}

/// What a container prints, in the order of its arrival.
pub type Output = BoxStream<'static, Result<Chunk>>;

/// A container engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Engine {
    /// As in `Docker Engine 28.0.1`.
    pub name: String,
    /// Where it was reached.
    pub address: String,
    /// The name of its machine.
    pub host: String,
    /// As in `linux/amd64`.
    pub platform: String,
    /// Cores.
    pub cpus: u32,
    /// Bytes.
    pub memory: u64,
    /// Whether it may have GPUs; only a start tells for sure.
    pub gpus: bool,
    /// Whether users in containers have other numbers on its machine.
    pub maps_users: bool,
}

/// An image that the engine has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// The engine's id, which names this very image whatever happens to its tags.
    pub id: ImageReference,
    /// The digests by which registries know it: `sha256:…`. None for an image that was built here.
    pub digests: Vec<String>,
    pub labels: BTreeMap<String, String>,
    /// As in `linux/arm64/v8`.
    pub platform: String,
    /// How it is started.
    pub config: Config,
}

/// What an image says of how it is started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// Its WORKDIR; empty for the root.
    pub folder: String,
    pub has_entrypoint: bool,
    /// Its USER; empty for root.
    pub user: String,
}

/// A user of a registry.
#[derive(Clone, Debug)]
pub struct Credentials {
    pub username: String,
    pub password: SecretString,
}

/// What happens during a pull.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PullProgress {
    /// The layer that it is about; `None` for the image as a whole.
    pub layer: Option<String>,
    /// In the engine's words, as in `Downloading`.
    pub status: String,
    /// Bytes that are there, and in all, where the engine tells.
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

/// Some bytes that a container printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    pub stream: Stream,
    pub bytes: Bytes,
}

/// Where a container printed something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    Stdout,
    Stderr,
}

/// How a container ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// As a shell has it: 128 and the signal's number for a process that a signal ended.
    pub exit_code: i64,
    /// Whether the kernel ended a process of it because its memory was used up.
    pub oom: bool,
    /// Whether it was sent a signal through the engine: by us, by the engine as it stopped, or by somebody else.
    #[serde(default)]
    pub was_signalled: bool,
    /// Whether the engine was started after its end, and so does not know how it came to that.
    #[serde(default)]
    pub is_unseen: bool,
}

/// A signal that containers are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    Term,
    Kill,
}

/// A container that was found by its label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub id: String,
    pub labels: BTreeMap<String, String>,
    pub state: State,
    /// When it was made.
    pub created: Option<DateTime<Utc>>,
}

/// Where a container is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Made, and never started.
    Created,
    Running,
    Ended,
}

/// What goes wrong at a container engine.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    #[error(
        "no container engine answers at {address} ({reason}): install Docker or Podman and start it (on Debian: `apt-get \
         install docker.io`), or name its socket in DOCKER_HOST, as in unix:///run/user/1000/podman/podman.sock"
    )]
    NoEngine { address: String, reason: String },
    #[error("{reason}")]
    Address { reason: String },
    #[error(
        "the container engine at {address} does not answer any more ({reason}): look whether it runs, and try again"
    )]
    Lost { address: String, reason: String },
    #[error("the job's container was stopped from outside, as by an engine that is restarted ({reason})")]
    Interrupted { reason: String },
    #[error("the engine has no image {image}: pull it first, or look at the name")]
    NoImage { image: String },
    #[error("{image} cannot be pulled: {cause}. The engine says: {reason}")]
    Pull { image: String, cause: PullFailure, reason: String },
    #[error("the image cannot be built: {reason}")]
    Build { reason: String },
    #[error("{image} cannot be pushed; the engine says: {reason}")]
    Push { image: String, reason: String },
    #[error("the engine has no GPU to give ({reason}): run the job on a host with a GPU and its container toolkit")]
    NoGpu { reason: String },
    #[error("the job's command cannot be started ({reason}): mend the image, or the manifest's command")]
    Command {
        /// As a shell has it: 127 when it is not there, 126 when it is not a program.
        exit_code: i64,
        reason: String,
    },
    #[error("the disk of the container engine is full ({reason}): make room, as with `docker system prune`")]
    DiskFull { reason: String },
    #[error("the container engine refuses: {reason}")]
    Refused { reason: String },
}

/// Why an image cannot be pulled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullFailure {
    /// It may answer later.
    Unreachable,
    /// Too many requests.
    Busy,
    /// It wants other credentials, or hides what is not there.
    Unauthorized,
    NotFound,
    /// There is none for the platform.
    Platform,
}

impl fmt::Display for PullFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unreachable => "the registry cannot be reached, so look at its address and the network",
            Self::Busy => "the registry has had too many requests, so wait or log in",
            Self::Unauthorized => "the registry does not let us, so look at the name, the user and the password",
            Self::NotFound => "the registry does not have it, so look at the repository and the tag",
            Self::Platform => "it is not made for this platform, so choose another with --platform or build it",
        })
    }
}

impl Error {
    /// Whether the engine does not answer, so that nobody knows what it does.
    pub fn is_silence(&self) -> bool {
        matches!(self, Self::NoEngine { .. } | Self::Lost { .. })
    }

    /// Whether the same may work a while later, without anybody changing anything about the job.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::NoEngine { .. } | Self::Lost { .. } | Self::Interrupted { .. } | Self::DiskFull { .. } => true,
            Self::Pull { cause, .. } => matches!(cause, PullFailure::Unreachable | PullFailure::Busy),
            _ => false,
        }
    }
}

/// As the standard library's, with this room's error.
pub type Result<T> = std::result::Result<T, Error>;
