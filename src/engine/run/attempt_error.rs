//! Why an attempt fails, apart from the job's own exit.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::engine::halt::HaltReason;
use crate::engine::runtime;

/// Why an attempt failed, apart from the job's own exit.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    #[error(transparent)]
    Engine(#[from] runtime::Error),
    #[error("the disk of {} is full: free some space, and run the job again", .folder.display())]
    DiskFull { folder: PathBuf },
    #[error("{} cannot be written ({reason}): check its permissions", .folder.display())]
    Folder { folder: PathBuf, reason: String },
    /// An input is missing or unreadable; the text comes from [`super::inputs`].
    #[error("{0}")]
    Input(String),
    #[error(
        "the manifest in the label of {image} is not the one that the run was planned with: scan its registry to \
         update the catalogue, and run the job again"
    )]
    OtherManifest { image: String },
    #[error("the run was cancelled")]
    Cancelled,
    #[error(
        "the job's outputs could not be read within {} minutes: write less, or raise runs.capture_minutes",
        .0.as_secs().div_ceil(60)
    )]
    CaptureTooSlow(Duration),
}

impl From<HaltReason> for Error {
    fn from(why: HaltReason) -> Self {
        match why {
            HaltReason::Cancelled => Self::Cancelled,
            HaltReason::Late(most) => Self::CaptureTooSlow(most),
        }
    }
}

impl Error {
    /// Whether the engine does not answer, so that the state of the container is unknown.
    pub fn is_silence(&self) -> bool {
        matches!(self, Self::Engine(why) if why.is_silence())
    }

    /// Whether a later attempt may succeed without a change to the job.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Engine(why) => why.is_passing(),
            Self::DiskFull { .. } => true,
            Self::Folder { .. }
            | Self::Input(_)
            | Self::OtherManifest { .. }
            | Self::Cancelled
            | Self::CaptureTooSlow(_) => false,
        }
    }
}

pub(super) fn is_storage_full(why: &io::Error) -> bool {
    matches!(why.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// The error of a failed write: disk full, or the folder.
pub(in crate::engine) fn written(folder: &Path, why: &io::Error) -> Error {
    let folder = folder.to_owned();
    if is_storage_full(why) { Error::DiskFull { folder } } else { Error::Folder { folder, reason: why.to_string() } }
}
