//! Why a job is stopped before it ends by itself.

use serde::{Deserialize, Serialize};

/// Why SILO stopped a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StopReason {
    TimedOut,
    Cancelled,
    /// It exceeded its output limit.
    OutputTooLarge,
    /// The disk of its outputs ran full.
    DiskFull,
}
