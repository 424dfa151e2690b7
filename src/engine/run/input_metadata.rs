//! The JSON document that `INPUT_METADATA` names: metadata of the inputs, with the members that Scale writes, so that
//! jobs written for Scale find them all. Pure.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};

use super::record::{FileWorkspace, GivenFile, GivenInput};
use crate::seed::metadata::SeedMetadata;
use crate::seed::model::SeedManifest;

/// `JOB` holds the given inputs by name. `RECIPE` holds the inputs of the first run of a chain, if an input is the
/// output of another run.
pub(in crate::engine) fn document(
    manifest: &SeedManifest,
    files_of_inputs: &[GivenInput],
    json: &BTreeMap<String, Value>,
) -> Value {
    let files = files_of_inputs.iter().map(|input| (input.name.clone(), input.files.iter().map(file).collect()));
    let values = manifest
        .job
        .interface
        .inputs
        .json
        .iter()
        .filter_map(|input| Some((input.name.clone(), json.get(&input.name)?.clone())));
    let mut document = json!({"JOB": Map::from_iter(files.chain(values))});
    let chains = files_of_inputs.iter().flat_map(|input| &input.files).filter_map(|file| file.facts.chain.as_ref());
    let chain: Map<String, Value> =
        chains.filter_map(Value::as_object).flatten().map(|(k, v)| (k.clone(), v.clone())).collect();
    if !chain.is_empty() {
        document["RECIPE"] = chain.into();
    }
    document
}

/// A numeric id from a hexadecimal digest or id, because Scale's ids are numbers: its first 13 digits, 52 bits, which
/// fit exactly into a JSON number.
fn number(id: &str) -> u64 {
    let digits: String = id.chars().filter(char::is_ascii_hexdigit).take(13).collect();
    u64::from_str_radix(&digits, 16).unwrap_or_default()
}

fn workspace(workspace: FileWorkspace) -> Value {
    let (id, name) = match workspace {
        FileWorkspace::Uploads => (1, "uploads"),
        FileWorkspace::Runs => (2, "runs"),
        FileWorkspace::Server => (3, "server"),
        FileWorkspace::Web => (4, "web"),
        FileWorkspace::Local => (5, "local"),
    };
    json!({"id": id, "name": name})
}

/// A file, with its members in Scale's order, and its `sha256`.
fn file(file: &GivenFile) -> Value {
    let facts = &file.facts;
    let time = |time: Option<DateTime<Utc>>| time.map(|it| it.to_rfc3339_opts(SecondsFormat::Micros, true));
    let nothing = SeedMetadata::default();
    let metadata = facts.metadata.as_ref().unwrap_or(&nothing);
    let product = facts.product.as_ref();
    json!({
        "id": number(&file.sha256),
        "file_name": file.name,
        "workspace": workspace(facts.workspace.unwrap_or(FileWorkspace::Local)),
        "data_type_tags": metadata.data_types,
        "media_type": file.media_type,
        "file_type": if product.is_some() { "PRODUCT" } else { "SOURCE" },
        "file_size": file.size,
        "file_path": file.path,
        "is_deleted": false,
        "url": facts.url.clone().or_else(|| url::Url::from_file_path(&file.source).ok().map(String::from)),
        "created": time(facts.created.or(file.modified)),
        "deleted": null,
        "data_started": metadata.data_started,
        "data_ended": metadata.data_ended,
        "source_started": metadata.source_started,
        "source_ended": metadata.source_ended,
        "source_sensor_class": metadata.source_sensor_class,
        "source_sensor": metadata.source_sensor,
        "source_collection": metadata.source_collection,
        "source_task": metadata.source_task,
        "last_modified": time(file.modified),
        "geometry": metadata.wkt(),
        "center_point": null,
        "countries": [],
        "job_type": product.map(|product| &product.job),
        "job": product.map(|product| number(&product.run)),
        "job_exe": null,
        "run": product.map(|product| &product.run),
        "job_output": product.map(|product| &product.output),
        "recipe_type": null,
        "recipe": null,
        "recipe_node": null,
        "batch": null,
        "is_superseded": false,
        "superseded": null,
        "meta_data": metadata.properties,
        "sha256": file.sha256,
    })
}
