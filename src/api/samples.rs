//! `/api/v1/runs/{id}/samples`: what the attempts of a run used.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// What the container of an attempt used over time: `GET /api/v1/runs/{id}/samples`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SampleListReply {
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// The most memory measured so far, in bytes; `None`: nothing was measured.
    pub peak_memory: Option<u64>,
    /// CPU time until the last measurement, of all cores.
    pub cpu_seconds: Option<f64>,
    /// In the order of time, at most 600.
    pub samples: Vec<SampleReply>,
}

/// One or several measurements of a container. Bytes are counted since its start, except those of memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SampleReply {
    /// Of the last measurement.
    pub time: DateTime<Utc>,
    /// How many measurements it stands for.
    pub readings: u32,
    /// CPU time, of all cores.
    pub cpu_seconds: f64,
    /// Bytes; the most of its measurements.
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
