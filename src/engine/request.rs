//! What somebody asks for: a job with its inputs, and what the machine has for it. Plain data.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::container::Network;
use super::folder::Folder;
use crate::seed::image_reference::ImageReference;

/// A request to run a job. Names of inputs and settings may be spelled as the manifest does, or as the variable.
#[derive(Clone, Debug)]
pub struct Request {
    pub image: ImageReference,
    /// Files by input; those with `multiple` may come several times.
    pub files: Vec<(String, Source)>,
    /// Values by JSON input.
    pub json: Vec<(String, JsonValue)>,
    pub settings: Vec<(String, SecretString)>,
    /// Folders of the host by mount.
    pub mounts: Vec<(String, PathBuf)>,
    pub layout: Layout,
    pub network: Network,
    /// `uid`, `uid:gid` or names; `None`: the image's.
    pub user: Option<String>,
    /// As in `linux/arm64`; `None`: the engine's choice.
    pub platform: Option<String>,
    /// Bounds the manifest's own time limit; `None` does not.
    pub timeout: Option<Duration>,
    /// Between TERM and KILL.
    pub grace: Duration,
    pub folder: Folder,
    pub host: Host,
    pub defaults: Defaults,
    pub bounds: Bounds,
    /// Whether the files of a folder are bound one by one, because the folder itself cannot be held.
    pub folders_apart: bool,
    /// Who runs it; `None` for runs that nobody keeps.
    pub attempt: Option<Attempt>,
}

impl Request {
    /// A request for an image in a folder, with nothing given.
    pub fn new(image: ImageReference, folder: Folder) -> Self {
        Self {
            image,
            files: Vec::new(),
            json: Vec::new(),
            settings: Vec::new(),
            mounts: Vec::new(),
            layout: Layout::default(),
            network: Network::default(),
            user: None,
            platform: None,
            timeout: None,
            grace: Duration::from_secs(10),
            folder,
            host: Host::default(),
            defaults: Defaults::default(),
            bounds: Bounds::default(),
            folders_apart: false,
            attempt: None,
        }
    }
}

/// What an input is given, as [`super::inputs::survey`] finds it on the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    File(File),
    Folder {
        path: PathBuf,
        /// Those directly inside, by name.
        files: Vec<File>,
        /// Whether there is nothing else in it.
        is_flat: bool,
    },
}

impl Source {
    /// The file's or folder's own name.
    pub fn name(&self) -> &str {
        match self {
            Self::File(file) => &file.name,
            Self::Folder { path, .. } => path.file_name().and_then(|name| name.to_str()).unwrap_or_default(),
        }
    }
}

/// A file of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its base name, which it keeps in the container.
    pub name: String,
    /// Absolute, without links in it.
    pub path: PathBuf,
    /// Bytes.
    pub size: u64,
}

/// The value of a JSON input.
#[derive(Clone, Debug, PartialEq)]
pub enum JsonValue {
    /// As typed.
    Text(String),
    Value(Value),
}

/// Where things are in the container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    #[default]
    Silo,
    /// Where Scale puts them, with its variables and its way to spell numbers, for jobs that rely on it.
    Scale,
}

impl Layout {
    /// Inputs are in folders of their names below it.
    pub fn inputs(self) -> &'static str {
        match self {
            Self::Silo => "/seed/in",
            Self::Scale => "/scale/input_data",
        }
    }

    /// What `OUTPUT_DIR` is.
    pub fn output(self) -> &'static str {
        match self {
            Self::Silo => "/seed/out",
            Self::Scale => "/scale/output_data",
        }
    }

    /// What `INPUT_METADATA` is. No input's folder has a dot in its name.
    pub fn input_metadata(self) -> String {
        format!("{}/context.json", self.inputs())
    }
}

/// What the machine has for the job. `None`: not known, so nothing is refused.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Host {
    pub cpus: Option<f64>,
    /// Bytes.
    pub memory: Option<u64>,
    /// Free bytes where the output goes.
    pub disk: Option<u64>,
    pub gpus: u32,
    /// Resources besides, by name.
    pub other: Vec<String>,
}

/// What a job gets that does not say what it needs. `None`: no limit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Defaults {
    pub cpus: Option<f64>,
    /// Bytes.
    pub memory: Option<u64>,
    /// The most processes and threads at once; manifests cannot say.
    pub processes: Option<u32>,
}

/// The most that a run gets, whatever its manifest asks for. `None`: what the machine has.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bounds {
    /// Cores, more than 0.
    pub cpus: Option<f64>,
    /// Bytes, shared memory among them.
    pub memory: Option<u64>,
    /// Bytes that a run may leave behind.
    pub disk: Option<u64>,
    pub gpus: Option<u32>,
}

/// One attempt of a run that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    pub run: String,
    /// From 1.
    pub number: u32,
    /// The service that runs it.
    pub host: String,
}
