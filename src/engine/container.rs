//! What a container engine is asked to run: the outcome of planning. Plain data, the same for every engine.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::ser::SerializeStruct as _;
use serde::{Serialize, Serializer};

use crate::seed::image_reference::ImageReference;

/// What is shown in place of a secret.
pub const MASK: &str = "*****";

/// The label that holds the id of the run that a container belongs to.
pub const RUN: &str = "silo.run";
/// The label that holds the number of the attempt, from 1.
pub const ATTEMPT: &str = "silo.attempt";
/// The label that holds the id of the service that runs it.
pub const HOST: &str = "silo.host";
/// The label that holds name and version of the job.
pub const JOB: &str = "silo.job";

/// One container, from its creation to its removal.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Container {
    pub image: ImageReference,
    /// `None`: the image's own.
    pub entrypoint: Option<Vec<String>>,
    /// The arguments after the entry point. `None`: the image's own (its CMD).
    pub command: Option<Vec<Text>>,
    /// Beside what the image sets; each name once.
    pub environment: Vec<Variable>,
    /// In the order in which they are made: a target never lies below a later one.
    pub binds: Vec<Bind>,
    /// Bytes; `None` sets no limit.
    pub memory: Option<u64>,
    /// Cores, more than 0; `None` sets no limit.
    pub cpus: Option<f64>,
    /// Bytes of `/dev/shm`; `None` leaves the engine's default.
    pub shared_memory: Option<u64>,
    /// The most processes and threads at once; `None` sets no limit.
    pub processes: Option<u32>,
    /// How many whole GPUs.
    pub gpus: u32,
    pub network: Network,
    /// `uid`, `uid:gid` or names; `None`: the image's.
    pub user: Option<String>,
    /// How long it may run, counted from its start; `None` sets no limit.
    #[serde(rename = "timeoutSeconds", serialize_with = "optional_seconds")]
    pub timeout: Option<Duration>,
    /// How long it has between TERM and KILL.
    #[serde(rename = "graceSeconds", serialize_with = "seconds")]
    pub grace: Duration,
    /// By these a container is found again after a crash.
    pub labels: BTreeMap<String, String>,
    /// As in `linux/arm64`; `None`: the engine's choice.
    pub platform: Option<String>,
    /// What it reads on its standard input. No job has any.
    #[serde(skip)]
    pub input: Input,
}

/// What a container's standard input is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Input {
    #[default]
    Nothing,
    /// Bytes, up to their end.
    Pipe,
    /// Somebody's terminal.
    Terminal,
}

/// A variable of the environment.
#[derive(Clone, Debug)]
pub struct Variable {
    pub name: String,
    pub value: Text,
}

/// With a word on whether the value is masked.
impl Serialize for Variable {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Variable", 3)?;
        object.serialize_field("name", &self.name)?;
        object.serialize_field("value", &self.value)?;
        object.serialize_field("secret", &self.value.is_secret())?;
        object.end()
    }
}

/// A file or folder of the host that the container sees.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Bind {
    /// Absolute path on the host of the engine. May hold any character, also `:` and `,`.
    pub source: String,
    /// Absolute path in the container.
    pub target: String,
    pub read_only: bool,
    /// Where the engine finds what was opened there, if the source may be exchanged: see [`super::hold`].
    #[serde(skip)]
    pub held: Option<String>,
}

/// What a container can reach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// Nothing.
    None,
    /// What the host reaches, as the host.
    Host,
    /// What the engine gives by default.
    #[default]
    Bridge,
}

/// A text for a container that may hold secrets. Whoever shows, logs or serialises it gets them masked; only
/// [`Text::expose`] gives the whole.
#[derive(Clone, Debug)]
pub struct Text {
    shown: String,
    /// The whole text, where it is not what is shown.
    secret: Option<SecretString>,
}

impl Text {
    /// A text that anybody may see.
    pub fn plain(text: impl Into<String>) -> Self {
        Self { shown: text.into(), secret: None }
    }

    /// A text with secrets in it, and what is shown of it.
    pub fn secret(text: impl Into<SecretString>, shown: impl Into<String>) -> Self {
        Self { shown: shown.into(), secret: Some(text.into()) }
    }

    pub fn is_secret(&self) -> bool {
        self.secret.is_some()
    }

    /// The whole text: for the engine, and for nobody else.
    pub fn expose(&self) -> &str {
        self.secret.as_ref().map_or(&self.shown, ExposeSecret::expose_secret)
    }
}

/// The text with its secrets masked.
impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl Serialize for Text {
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
        let text = Text::secret("--key=hunter2", format!("--key={MASK}"));
        assert_eq!((text.expose(), text.is_secret()), ("--key=hunter2", true));
        let variable = Variable { name: "KEY".to_owned(), value: text };
        let json = serde_json::to_string(&variable).expect("texts are JSON");
        assert_eq!(json, r#"{"name":"KEY","value":"--key=*****","secret":true}"#);
        assert!(!format!("{variable:?}{}", variable.value).contains("hunter2"));
        let plain = Text::plain("a");
        assert_eq!((plain.expose(), plain.to_string().as_str(), plain.is_secret()), ("a", "a", false));
    }
}
