//! The inputs of a run: as a user gives them, and as they are stored and shown, without their secrets.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::engine::plan::container::MASK;
use crate::seed::environment::variable_name;
use crate::seed::model::SeedManifest;

/// Inputs of a run. Their JSON, which is stored and shown, has masks in place of secrets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunInputs {
    /// Inputs with `multiple` may occur several times.
    pub files: Vec<InputFile>,
    pub json: Map<String, Value>,
    pub settings: BTreeMap<String, SettingValue>,
    /// Folders of the server, by mount.
    pub mounts: BTreeMap<String, PathBuf>,
}

/// A file, and the input that it is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputFile {
    pub input: String,
    #[serde(flatten)]
    pub source: FileSpec,
}

/// Where a file is. `name`: its name in the container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "FileFields", into = "FileFields")]
pub enum FileSpec {
    /// An upload of the user.
    Upload { sha256: String, name: Option<String> },
    /// A file that is fetched. `sha256`: what is expected, in lower-case hexadecimal digits.
    Url { url: FileAddress, sha256: Option<String>, name: Option<String> },
    /// Outputs of an earlier run: all files of the output, unless `file` names one in the output directory.
    Output { run: String, output: Option<String>, file: Option<String>, name: Option<String> },
    /// A file or folder of the server.
    Path { path: PathBuf, name: Option<String> },
    /// Several of these were given, or none. A problem of the input, reported together with the others.
    Unclear,
}

impl FileSpec {
    /// The file's name in the container, if one was given.
    pub(super) fn name(&self) -> Option<&String> {
        match self {
            Self::Upload { name, .. }
            | Self::Url { name, .. }
            | Self::Output { name, .. }
            | Self::Path { name, .. } => name.as_ref(),
            Self::Unclear => None,
        }
    }
}

/// A [`FileSpec`] as JSON: exactly one of `upload`, `url`, `run` and `path` is set.
#[derive(Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct FileFields {
    /// SHA-256 of an upload.
    #[serde(skip_serializing_if = "Option::is_none")]
    upload: Option<String>,
    /// http or https.
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    /// The id of an earlier run.
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
}

impl From<FileFields> for FileSpec {
    fn from(fields: FileFields) -> Self {
        let FileFields { upload, url, run, output, file, path, name, sha256 } = fields;
        match (upload, url, run, path) {
            (Some(sha256), None, None, None) => Self::Upload { sha256, name },
            (None, Some(url), None, None) => Self::Url { url: FileAddress::from(url), sha256, name },
            (None, None, Some(run), None) => Self::Output { run, output, file, name },
            (None, None, None, Some(path)) => Self::Path { path, name },
            _ => Self::Unclear,
        }
    }
}

impl From<FileSpec> for FileFields {
    fn from(spec: FileSpec) -> Self {
        match spec {
            FileSpec::Upload { sha256, name } => Self { upload: Some(sha256), name, ..Self::default() },
            FileSpec::Url { url, sha256, name } => Self { url: Some(url.masked()), sha256, name, ..Self::default() },
            FileSpec::Output { run, output, file, name } => {
                Self { run: Some(run), output, file, name, ..Self::default() }
            }
            FileSpec::Path { path, name } => Self { path: Some(path), name, ..Self::default() },
            FileSpec::Unclear => Self::default(),
        }
    }
}

/// The address of a file. Its query may be a signature, so only [`FileAddress::expose`] tells it.
#[derive(Clone)]
pub struct FileAddress(SecretString);

impl FileAddress {
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// The address with a mask in place of its query.
    pub fn masked(&self) -> String {
        match self.expose().split_once('?') {
            Some((shown, _)) => format!("{shown}?{MASK}"),
            None => self.expose().to_owned(),
        }
    }

    pub(super) fn has_query(&self) -> bool {
        self.expose().contains('?')
    }

    fn is_masked(&self) -> bool {
        self.expose().split_once('?').is_some_and(|(_, query)| query == MASK)
    }
}

impl From<String> for FileAddress {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl PartialEq for FileAddress {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for FileAddress {}

impl fmt::Debug for FileAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.masked().fmt(f)
    }
}

/// The value of a setting.
#[derive(Clone, Debug)]
pub enum SettingValue {
    Shown(String),
    /// Masked as JSON.
    Secret(SecretString),
}

impl SettingValue {
    pub fn expose(&self) -> &str {
        match self {
            Self::Shown(text) => text,
            Self::Secret(secret) => secret.expose_secret(),
        }
    }
}

impl PartialEq for SettingValue {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Serialize for SettingValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self {
            Self::Shown(text) => text,
            Self::Secret(_) => MASK,
        })
    }
}

impl<'de> Deserialize<'de> for SettingValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::Shown)
    }
}

impl RunInputs {
    /// These inputs, with those of `change` in place of the ones of the same names. They replace all files of an input.
    pub(super) fn changed(self, change: &Self, is_same: impl Fn(&str, &str) -> bool + Copy) -> Self {
        let files = self.files.into_iter().map(|file| (file.input, file.source));
        let new_files: Vec<_> = change.files.iter().map(|file| (file.input.clone(), file.source.clone())).collect();
        let files = replaced(files, new_files, is_same);
        Self {
            files: files.map(|(input, source)| InputFile { input, source }).collect(),
            json: replaced(self.json.into_iter(), change.json.clone().into_iter().collect(), is_same).collect(),
            settings: replaced(self.settings.into_iter(), change.settings.clone().into_iter().collect(), is_same)
                .collect(),
            mounts: replaced(self.mounts.into_iter(), change.mounts.clone().into_iter().collect(), is_same).collect(),
        }
    }

    /// Marks as secret what the manifest says is; and settings that it does not know, since they may be secret.
    pub(super) fn mark_secrets(&mut self, manifest: &SeedManifest) {
        for (name, value) in &mut self.settings {
            let variable = variable_name(name);
            let settings = &manifest.job.interface.settings;
            let known =
                settings.iter().find(|setting| setting.name == *name || variable_name(&setting.name) == variable);
            *value = match known.is_some_and(|setting| !setting.secret) {
                true => SettingValue::Shown(value.expose().to_owned()),
                false => SettingValue::Secret(value.expose().into()),
            };
        }
    }

    /// The inputs with masks as values: of settings first, then of files.
    pub(super) fn masked(&self) -> Vec<&str> {
        let settings = self.settings.iter().filter(|(_, value)| value.expose() == MASK).map(|(name, _)| name.as_str());
        let is_masked = |file: &&InputFile| matches!(&file.source, FileSpec::Url { url, .. } if url.is_masked());
        settings.chain(self.files.iter().filter(is_masked).map(|file| file.input.as_str())).collect()
    }
}

/// The old values, with the new ones replacing those of the same names.
fn replaced<T>(
    old: impl Iterator<Item = (String, T)>,
    new: Vec<(String, T)>,
    is_same: impl Fn(&str, &str) -> bool,
) -> impl Iterator<Item = (String, T)> {
    let kept: Vec<_> = old.filter(|(name, _)| !new.iter().any(|(other, _)| is_same(name, other))).collect();
    kept.into_iter().chain(new)
}

#[cfg(test)]
mod tests {
    use super::super::secrets::RunSecrets;
    use super::*;

    /// As it stands in the database since version 2.0.0.
    const STORED: &str = r#"{"files":[{"input":"SCENE","url":"https://example.org/a.tif?*****","name":"b.tif","sha256":"ab"},{"input":"MASKS","upload":"cd"},{"input":"MASKS","run":"7","output":"COPY"},{"input":"MASKS","path":"/data/c.tif"}],"json":{"N":5},"settings":{"DB_KEY":"*****","HOST":"db"},"mounts":{"MAPS":"/data/maps"}}"#;

    fn whole() -> RunInputs {
        let mut inputs: RunInputs = serde_json::from_str(STORED).expect("it can be read");
        let signed = FileAddress::from("https://example.org/a.tif?signature=hunter2".to_owned());
        let secrets = RunSecrets {
            settings: BTreeMap::from([("DB_KEY".to_owned(), "hunter2".into())]),
            addresses: BTreeMap::from([(0, signed)]),
        };
        inputs.unmask(&secrets);
        inputs
    }

    #[test]
    fn secrets_are_masked_wherever_inputs_are_written() {
        let masked: RunInputs = serde_json::from_str(STORED).expect("it can be read");
        assert_eq!(masked.masked(), ["DB_KEY", "SCENE"]);
        let inputs = whole();
        assert_eq!(inputs.masked(), [""; 0]);
        assert_eq!(inputs.settings["DB_KEY"].expose(), "hunter2");
        let debug = format!("{inputs:?}");
        assert!(debug.contains("https://example.org/a.tif?*****") && !debug.contains("hunter2"), "{debug}");
        assert_eq!(serde_json::to_string(&inputs).expect("it is JSON"), STORED);
        let secrets = inputs.secrets();
        assert_eq!(secrets.addresses[&0].expose(), "https://example.org/a.tif?signature=hunter2");
        assert_eq!(secrets.settings.keys().collect::<Vec<_>>(), ["DB_KEY"]);
    }

    #[test]
    fn a_file_is_in_one_place() {
        for unclear in ["{}", r#"{"upload": "a", "url": "b"}"#, r#"{"output": "COPY"}"#] {
            let spec: FileSpec = serde_json::from_str(unclear).expect("it is read");
            assert_eq!(spec, FileSpec::Unclear, "{unclear}");
        }
        assert!(serde_json::from_str::<FileSpec>(r#"{"upload": "a", "uplaod": "b"}"#).is_err());
    }

    #[test]
    fn a_change_replaces_all_files_of_an_input() {
        let file = |input: &str, path: &str| InputFile {
            input: input.to_owned(),
            source: FileSpec::Path { path: path.into(), name: None },
        };
        let change = RunInputs {
            files: vec![file("MASKS", "/1")],
            settings: BTreeMap::from([("HOST".to_owned(), SettingValue::Shown("new".to_owned()))]),
            ..RunInputs::default()
        };
        let changed = whole().changed(&change, |a, b| a == b);
        let inputs: Vec<&str> = changed.files.iter().map(|file| file.input.as_str()).collect();
        assert_eq!(inputs, ["SCENE", "MASKS"]);
        assert_eq!(changed.files[1], file("MASKS", "/1"));
        assert_eq!((changed.settings["HOST"].expose(), changed.settings["DB_KEY"].expose()), ("new", "hunter2"));
        assert_eq!(changed.json, whole().json);
    }
}
