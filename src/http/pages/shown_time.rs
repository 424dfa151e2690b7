//! Times in pages.

use chrono::{DateTime, Utc};

/// A time, for people and for programs.
pub(super) struct ShownTime {
    pub text: String,
    pub machine: String,
}

impl ShownTime {
    pub(super) fn of(time: DateTime<Utc>) -> Self {
        Self {
            text: time.format("%Y-%m-%d %H:%M UTC").to_string(),
            machine: time.format("%Y-%m-%dT%H:%MZ").to_string(),
        }
    }
}
