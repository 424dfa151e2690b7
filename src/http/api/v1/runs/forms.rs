//! What users send to have something run.

use std::path::PathBuf;

use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::app::{Error, FileSpec, ImageAsked, RunChange, RunForm};
use crate::catalog::ImageId;
use crate::engine::request::Layout;
use crate::http::error::Result;

/// A run.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct SubmitForm {
    image: Option<String>,
    image_id: Option<i64>,
    files: Files,
    json: Map<String, Value>,
    settings: Settings,
    mounts: Map<String, Value>,
    timeout_seconds: Option<u64>,
    max_tries: Option<u32>,
    priority: Option<u8>,
    label: String,
    tags: Vec<String>,
    layout: Layout,
    platform: Option<String>,
    dedup: bool,
}

/// One job, many rows: a run that all have in common, and what each has besides.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Map<String, Value>")]
pub(super) struct BatchForm {
    all: SubmitForm,
    rows: Vec<RowForm>,
}

/// What a row has; it goes before what all have.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
struct RowForm {
    files: Files,
    json: Map<String, Value>,
    label: Option<String>,
    tags: Option<Vec<String>>,
}

impl TryFrom<Map<String, Value>> for BatchForm {
    type Error = serde_json::Error;

    fn try_from(mut form: Map<String, Value>) -> serde_json::Result<Self> {
        let rows = form.remove("rows").map(serde_json::from_value).transpose()?.unwrap_or_default();
        if form.contains_key("dedup") {
            return Err(serde::de::Error::custom("unknown field `dedup`: a batch is always done"));
        }
        Ok(Self { all: serde_json::from_value(Value::Object(form))?, rows })
    }
}

impl BatchForm {
    pub(super) fn read(self) -> Result<Vec<RunForm>> {
        let each = |row: RowForm| {
            let mut form = self.all.clone();
            form.files.extend(row.files);
            form.json.extend(row.json);
            form.label = row.label.unwrap_or(form.label);
            form.tags = row.tags.unwrap_or(form.tags);
            form.read()
        };
        self.rows.iter().cloned().map(each).collect()
    }
}

/// What is to be different when a run is done again.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct ChangeForm {
    files: Files,
    json: Map<String, Value>,
    settings: Settings,
    mounts: Map<String, Value>,
    timeout_seconds: Option<u64>,
    max_tries: Option<u32>,
    priority: Option<u8>,
    label: Option<String>,
    tags: Option<Vec<String>>,
}

/// By input, one file or several.
type Files = std::collections::BTreeMap<String, OneOrMore>;
type Settings = std::collections::BTreeMap<String, SecretString>;

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(FileSpec),
    More(Vec<FileSpec>),
}

impl SubmitForm {
    /// Adds files that came along.
    pub(super) fn add_files(&mut self, files: Vec<(String, FileSpec)>) {
        for (input, file) in files {
            let known = self.files.remove(&input);
            let mut all = match known {
                None => Vec::new(),
                Some(OneOrMore::One(file)) => vec![file],
                Some(OneOrMore::More(files)) => files,
            };
            all.push(file);
            self.files.insert(input, OneOrMore::More(all));
        }
    }

    pub(super) fn read(self) -> Result<RunForm> {
        let image = match (self.image, self.image_id) {
            (Some(name), None) => ImageAsked::Reference(name),
            (None, Some(id)) => ImageAsked::Id(ImageId(id)),
            _ => return Err(Error::Invalid("Name the image by exactly one of image and imageId".to_owned()).into()),
        };
        Ok(RunForm {
            image,
            files: files(self.files),
            json: self.json.into_iter().collect(),
            settings: self.settings.into_iter().collect(),
            mounts: mounts(self.mounts)?,
            timeout_seconds: self.timeout_seconds,
            max_tries: self.max_tries,
            priority: self.priority,
            label: self.label,
            tags: self.tags,
            layout: self.layout,
            platform: self.platform,
            dedup: self.dedup,
        })
    }
}

impl ChangeForm {
    pub(super) fn read(self) -> Result<RunChange> {
        Ok(RunChange {
            files: files(self.files),
            json: self.json.into_iter().collect(),
            settings: self.settings.into_iter().collect(),
            mounts: mounts(self.mounts)?,
            timeout_seconds: self.timeout_seconds,
            max_tries: self.max_tries,
            priority: self.priority,
            label: self.label,
            tags: self.tags,
        })
    }
}

fn files(given: Files) -> Vec<(String, FileSpec)> {
    let each = |(input, files): (String, OneOrMore)| {
        let files = match files {
            OneOrMore::One(file) => vec![file],
            OneOrMore::More(files) => files,
        };
        files.into_iter().map(move |file| (input.clone(), file))
    };
    given.into_iter().flat_map(each).collect()
}

fn mounts(given: Map<String, Value>) -> Result<Vec<(String, PathBuf)>> {
    let each = |(name, path): (String, Value)| match path {
        Value::String(path) => Ok((name, PathBuf::from(path))),
        _ => Err(Error::Unprocessable(format!("the path of mount {name} must be a text")).into()),
    };
    given.into_iter().map(each).collect()
}
