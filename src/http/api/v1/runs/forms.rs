//! Forms for runs, batches and reruns.

use std::fmt;
use std::path::PathBuf;

use secrecy::SecretString;
use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::app::{
    BatchRows, Error, FileSpec, InputFile, KeptInputs, MOST_ROWS, RequestedImage, RunChange, RunForm, RunInputs,
    RunOptions, SettingValue,
};
use crate::catalog::ImageId;
use crate::engine::plan::request::ContainerLayout;
use crate::http::error::Result as FormResult;

/// Form of a run.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct RunSubmitForm {
    image: Option<String>,
    image_id: Option<i64>,
    files: InputFiles,
    json: Map<String, Value>,
    settings: SecretSettings,
    mounts: Map<String, Value>,
    timeout_seconds: Option<u64>,
    max_tries: Option<u32>,
    priority: Option<u8>,
    label: String,
    tags: Vec<String>,
    layout: ContainerLayout,
    platform: Option<String>,
    dedup: bool,
    kept: Option<KeptForm>,
}

/// What is taken over from an earlier run.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptForm {
    run: String,
    #[serde(default)]
    files: Vec<String>,
    #[serde(default)]
    settings: Vec<String>,
}

/// Form of a batch: values that all rows share, and the rows.
#[derive(Debug)]
pub(super) struct BatchForm {
    all: RunSubmitForm,
    rows: Option<Vec<BatchRowForm>>,
    /// The rows as CSV or JSON Lines.
    table: Option<String>,
}

/// Values of one row; they override the shared ones.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
struct BatchRowForm {
    files: InputFiles,
    json: Map<String, Value>,
    label: Option<String>,
    tags: Option<Vec<String>>,
}

impl<'de> Deserialize<'de> for BatchForm {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(BatchVisitor)
    }
}

struct BatchVisitor;

impl<'de> Visitor<'de> for BatchVisitor {
    type Value = BatchForm;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a batch")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<BatchForm, A::Error> {
        let (mut all, mut rows, mut table) = (Map::new(), None, None);
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "rows" => rows = Some(map.next_value::<BoundedRows>()?.0),
                "table" => table = Some(map.next_value()?),
                "dedup" => return Err(A::Error::custom("unknown field `dedup`: a batch always runs")),
                "kept" => return Err(A::Error::custom("unknown field `kept`: rerun the batch, or send its rows anew")),
                _ => drop(all.insert(key, map.next_value()?)),
            }
        }
        let all = serde_json::from_value(Value::Object(all)).map_err(A::Error::custom)?;
        Ok(BatchForm { all, rows, table })
    }
}

/// Rows, read only up to the limit of a batch: an empty row takes three bytes here, and a hundred in memory.
struct BoundedRows(Vec<BatchRowForm>);

impl<'de> Deserialize<'de> for BoundedRows {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(RowsVisitor)
    }
}

struct RowsVisitor;

impl<'de> Visitor<'de> for RowsVisitor {
    type Value = BoundedRows;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of rows")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<BoundedRows, A::Error> {
        let mut rows = Vec::new();
        while let Some(row) = seq.next_element()? {
            if rows.len() == MOST_ROWS {
                return Err(A::Error::custom(format!("the batch has more than {MOST_ROWS} rows: split it")));
            }
            rows.push(row);
        }
        Ok(BoundedRows(rows))
    }
}

impl BatchForm {
    /// The shared values, and the rows.
    pub(super) fn read(self) -> FormResult<(RunForm, BatchRows)> {
        let row = |row: BatchRowForm| RunChange {
            inputs: RunInputs { files: files(row.files), json: row.json, ..RunInputs::default() },
            options: RunOptions { label: row.label, tags: row.tags, ..RunOptions::default() },
        };
        let rows = match (self.rows, self.table) {
            (Some(_), Some(_)) => {
                return Err(Error::Invalid("Give the rows either as rows or as table, not both".to_owned()).into());
            }
            (None, Some(table)) => BatchRows::Table(table),
            (rows, None) => BatchRows::Given(rows.unwrap_or_default().into_iter().map(row).collect()),
        };
        Ok((self.all.read()?, rows))
    }
}

/// Changes for a rerun.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct RerunForm {
    files: InputFiles,
    json: Map<String, Value>,
    settings: SecretSettings,
    mounts: Map<String, Value>,
    timeout_seconds: Option<u64>,
    max_tries: Option<u32>,
    priority: Option<u8>,
    label: Option<String>,
    tags: Option<Vec<String>>,
}

/// By input, one file or several.
type InputFiles = std::collections::BTreeMap<String, OneOrMore>;
type SecretSettings = std::collections::BTreeMap<String, SecretString>;

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(FileSpec),
    More(Vec<FileSpec>),
}

impl RunSubmitForm {
    /// Adds uploaded files of a multipart form.
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

    pub(super) fn read(self) -> FormResult<RunForm> {
        let image = match (self.image, self.image_id) {
            (Some(name), None) => RequestedImage::Reference(name),
            (None, Some(id)) => RequestedImage::Id(ImageId(id)),
            _ => return Err(Error::Invalid("Name the image by exactly one of image and imageId".to_owned()).into()),
        };
        Ok(RunForm {
            image,
            inputs: inputs(self.files, self.json, self.settings, self.mounts)?,
            options: RunOptions {
                timeout_seconds: self.timeout_seconds,
                max_tries: self.max_tries,
                priority: self.priority,
                label: Some(self.label),
                tags: Some(self.tags),
            },
            layout: self.layout,
            platform: self.platform,
            dedup: self.dedup,
            kept: self.kept.map(|KeptForm { run, files, settings }| KeptInputs { run, files, settings }),
        })
    }
}

impl RerunForm {
    pub(super) fn read(self) -> FormResult<RunChange> {
        Ok(RunChange {
            inputs: inputs(self.files, self.json, self.settings, self.mounts)?,
            options: RunOptions {
                timeout_seconds: self.timeout_seconds,
                max_tries: self.max_tries,
                priority: self.priority,
                label: self.label,
                tags: self.tags,
            },
        })
    }
}

fn inputs(
    given: InputFiles,
    json: Map<String, Value>,
    settings: SecretSettings,
    mounts: Map<String, Value>,
) -> FormResult<RunInputs> {
    let mount = |(name, path): (String, Value)| match path {
        Value::String(path) => Ok((name, PathBuf::from(path))),
        _ => Err(Error::Unprocessable(format!("the path of mount {name} must be a text"))),
    };
    Ok(RunInputs {
        files: files(given),
        json,
        // Which of them are secret, the manifest says.
        settings: settings.into_iter().map(|(name, value)| (name, SettingValue::Secret(value))).collect(),
        mounts: mounts.into_iter().map(mount).collect::<Result<_, _>>()?,
    })
}

fn files(given: InputFiles) -> Vec<InputFile> {
    let each = |(input, files): (String, OneOrMore)| {
        let files = match files {
            OneOrMore::One(file) => vec![file],
            OneOrMore::More(files) => files,
        };
        files.into_iter().map(move |source| InputFile { input: input.clone(), source })
    };
    given.into_iter().flat_map(each).collect()
}
