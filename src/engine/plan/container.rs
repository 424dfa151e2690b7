//! The container that an engine is asked to run: the result of planning. Plain data, the same for every engine.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::ser::SerializeStruct as _;
use serde::{Serialize, Serializer};

use crate::seed::image_reference::ImageReference;

/// Shown in place of a secret.
pub const MASK: &str = "*****";

/// Label with the id of the run.
pub const RUN: &str = "silo.run";
/// Label with the number of the attempt, from 1.
pub const ATTEMPT: &str = "silo.attempt";
/// Label with the id of the service that runs it.
pub const HOST: &str = "silo.host";
/// Label with name and version of the job.
pub const JOB: &str = "silo.job";

/// A container to create.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerSpec {
    pub image: ImageReference,
    /// `None`: the image's ENTRYPOINT.
    pub entrypoint: Option<Vec<String>>,
    /// The arguments after the entry point. `None`: the image's CMD.
    pub command: Option<Vec<MaskedText>>,
    /// Added to the image's environment; names are unique.
    pub environment: Vec<EnvironmentVariable>,
    /// In mount order: a target never lies below a later one.
    pub binds: Vec<BindMount>,
    /// Bytes; `None` sets no limit.
    pub memory: Option<u64>,
    /// Cores, more than 0; `None` sets no limit.
    pub cpus: Option<f64>,
    /// Bytes of `/dev/shm`; `None` leaves the engine's default.
    pub shared_memory: Option<u64>,
    /// Limit for processes and threads; `None` sets none.
    pub processes: Option<u32>,
    /// Number of whole GPUs.
    pub gpus: u32,
    pub network: NetworkMode,
    /// `uid`, `uid:gid` or names; `None`: the image's USER.
    pub user: Option<String>,
    /// Time limit, counted from the start; `None` sets none.
    #[serde(rename = "timeoutSeconds", serialize_with = "optional_seconds")]
    pub timeout: Option<Duration>,
    /// Time between SIGTERM and SIGKILL.
    #[serde(rename = "graceSeconds", serialize_with = "seconds")]
    pub grace: Duration,
    /// Used to find the container again after a crash.
    pub labels: BTreeMap<String, String>,
    /// As in `linux/arm64`; `None`: the engine's choice.
    pub platform: Option<String>,
    /// Standard input. Jobs have none.
    #[serde(skip)]
    pub input: StdinMode,
}

/// Standard input of a container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StdinMode {
    #[default]
    Nothing,
    /// A byte stream that ends at EOF.
    Pipe,
    /// A terminal (TTY).
    Terminal,
}

/// An environment variable.
#[derive(Clone, Debug)]
pub struct EnvironmentVariable {
    pub name: String,
    pub value: MaskedText,
}

/// Adds `secret`: whether the value is masked.
impl Serialize for EnvironmentVariable {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Variable", 3)?;
        object.serialize_field("name", &self.name)?;
        object.serialize_field("value", &self.value)?;
        object.serialize_field("secret", &self.value.is_secret())?;
        object.end()
    }
}

/// A bind mount: a file or folder of the host in the container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BindMount {
    /// Absolute path on the engine's host. May hold any character, also `:` and `,`.
    pub source: String,
    /// Absolute path in the container.
    pub target: String,
    pub read_only: bool,
    /// Path to give to the engine instead of `source`, if others could replace what is there: see [`crate::engine::held_paths`].
    #[serde(skip)]
    pub held: Option<String>,
}

/// Network access of a container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NetworkMode {
    /// No network.
    None,
    /// The host's network namespace.
    Host,
    /// The engine's default network.
    #[default]
    Bridge,
}

/// A text for a container that may hold secrets. Display, Debug and Serialize mask them; only [`MaskedText::expose`]
/// returns the full text.
#[derive(Clone, Debug)]
pub struct MaskedText {
    shown: String,
    /// The full text, if it differs from `shown`.
    secret: Option<SecretString>,
}

impl MaskedText {
    /// A text without secrets.
    pub fn plain(text: impl Into<String>) -> Self {
        Self { shown: text.into(), secret: None }
    }

    /// A text with secrets, and its masked form.
    pub fn secret(text: impl Into<SecretString>, shown: impl Into<String>) -> Self {
        Self { shown: shown.into(), secret: Some(text.into()) }
    }

    pub fn is_secret(&self) -> bool {
        self.secret.is_some()
    }

    /// The full text. Pass it to the engine only.
    pub fn expose(&self) -> &str {
        self.secret.as_ref().map_or(&self.shown, ExposeSecret::expose_secret)
    }
}

/// The text with its secrets masked.
impl fmt::Display for MaskedText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl Serialize for MaskedText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.shown)
    }
}

fn seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(duration.as_secs())
}

fn optional_seconds<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    duration.map(|duration| duration.as_secs()).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_everywhere_but_for_the_engine() {
        let text = MaskedText::secret("--key=hunter2", format!("--key={MASK}"));
        assert_eq!((text.expose(), text.is_secret()), ("--key=hunter2", true));
        let variable = EnvironmentVariable { name: "KEY".to_owned(), value: text };
        let json = serde_json::to_string(&variable).expect("texts are JSON");
        assert_eq!(json, r#"{"name":"KEY","value":"--key=*****","secret":true}"#);
        assert!(!format!("{variable:?}{}", variable.value).contains("hunter2"));
        let plain = MaskedText::plain("a");
        assert_eq!((plain.expose(), plain.to_string().as_str(), plain.is_secret()), ("a", "a", false));
    }
}
