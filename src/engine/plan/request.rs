//! A request to run a job: its inputs, and the resources of the machine. Plain data.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::container::NetworkMode;
use crate::engine::run::folder::RunPaths;
use crate::seed::image_reference::ImageReference;

/// A request to run a job. Inputs and settings may be named as in the manifest or as their variable.
#[derive(Clone, Debug)]
pub struct RunRequest {
    pub image: ImageReference,
    /// Files by input; `multiple` inputs may have several entries.
    pub files: Vec<(String, InputSource)>,
    /// Values by JSON input.
    pub json: Vec<(String, JsonInputValue)>,
    pub settings: Vec<(String, SecretString)>,
    /// Folders of the host by mount.
    pub mounts: Vec<(String, PathBuf)>,
    pub layout: ContainerLayout,
    pub network: NetworkMode,
    /// `uid`, `uid:gid` or names; `None`: the image's USER.
    pub user: Option<String>,
    /// As in `linux/arm64`; `None`: the engine's default.
    pub platform: Option<String>,
    /// Upper bound for the manifest's time limit; `None`: no bound.
    pub timeout: Option<Duration>,
    /// Time between SIGTERM and SIGKILL.
    pub grace: Duration,
    pub folder: RunPaths,
    pub host: HostResources,
    pub defaults: ResourceDefaults,
    pub bounds: ResourceBounds,
    /// Bind the files of a folder individually, because the folder itself cannot be held.
    pub folders_apart: bool,
    /// Run, attempt and service; `None` for `silo run`.
    pub attempt: Option<AttemptId>,
    /// What `docker` on a command line must be told to reach the same engine, as in `-H ADDRESS`.
    pub docker_options: Vec<String>,
}

impl RunRequest {
    /// A request without inputs.
    pub fn new(image: ImageReference, folder: RunPaths) -> Self {
        Self {
            image,
            files: Vec::new(),
            json: Vec::new(),
            settings: Vec::new(),
            mounts: Vec::new(),
            layout: ContainerLayout::default(),
            network: NetworkMode::default(),
            user: None,
            platform: None,
            timeout: None,
            grace: Duration::from_secs(10),
            folder,
            host: HostResources::default(),
            defaults: ResourceDefaults::default(),
            bounds: ResourceBounds::default(),
            folders_apart: false,
            attempt: None,
            docker_options: Vec::new(),
        }
    }
}

/// The files given to an input, as [`crate::engine::run::inputs::survey`] found them on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InputSource {
    File(HostFile),
    Folder {
        path: PathBuf,
        /// Files directly inside, sorted by name.
        files: Vec<HostFile>,
        /// Whether there is nothing else in the folder.
        is_flat: bool,
    },
}

impl InputSource {
    /// Base name of the file or folder.
    pub fn name(&self) -> &str {
        match self {
            Self::File(file) => &file.name,
            Self::Folder { path, .. } => path.file_name().and_then(|name| name.to_str()).unwrap_or_default(),
        }
    }
}

/// A file of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostFile {
    /// Base name, also used in the container.
    pub name: String,
    /// Absolute, without symbolic links.
    pub path: PathBuf,
    /// Bytes.
    pub size: u64,
}

/// The value of a JSON input.
#[derive(Clone, Debug, PartialEq)]
pub enum JsonInputValue {
    /// As typed by the user.
    Text(String),
    Value(Value),
}

/// Paths in the container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ContainerLayout {
    #[default]
    Silo,
    /// Scale's paths, variables and number formats, for jobs that rely on them.
    Scale,
}

impl ContainerLayout {
    /// Parent folder of the inputs' folders.
    pub fn inputs(self) -> &'static str {
        match self {
            Self::Silo => "/seed/in",
            Self::Scale => "/scale/input_data",
        }
    }

    /// Value of `OUTPUT_DIR`.
    pub fn output(self) -> &'static str {
        match self {
            Self::Silo => "/seed/out",
            Self::Scale => "/scale/output_data",
        }
    }

    /// Value of `INPUT_METADATA`. No conflict with an input's folder: input names have no dot.
    pub fn input_metadata(self) -> String {
        format!("{}/context.json", self.inputs())
    }
}

/// Resources of the machine. `None`: unknown, so nothing is refused.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HostResources {
    pub cpus: Option<f64>,
    /// Bytes.
    pub memory: Option<u64>,
    /// Free bytes on the disk of the outputs.
    pub disk: Option<u64>,
    pub gpus: u32,
    /// Names of other resources.
    pub other: Vec<String>,
}

/// Limits for jobs that do not ask for the resource. `None`: no limit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ResourceDefaults {
    pub cpus: Option<f64>,
    /// Bytes.
    pub memory: Option<u64>,
    /// Limit for processes and threads; manifests cannot ask for it.
    pub processes: Option<u32>,
}

/// Upper bounds, whatever the manifest asks for. `None`: no bound but the machine.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ResourceBounds {
    /// Cores, more than 0.
    pub cpus: Option<f64>,
    /// Bytes, including shared memory.
    pub memory: Option<u64>,
    /// Bytes of outputs.
    pub disk: Option<u64>,
    pub gpus: Option<u32>,
}

/// Identity of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptId {
    pub run: String,
    /// From 1.
    pub number: u32,
    /// Id of the service that runs it.
    pub host: String,
}
