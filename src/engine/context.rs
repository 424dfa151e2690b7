//! The file that `INPUT_METADATA` names: what a job can know of its inputs, with the members that Scale writes, so that jobs
//! written for Scale find them all. Pure.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};

use super::inputs::{GivenFile, GivenInput};
use crate::seed::metadata::Metadata;
use crate::seed::model::{JsonType, Manifest};

/// The document: below `JOB` the inputs that are given, by their names. Nothing that Scale has in `RECIPE` exists here.
pub(super) fn document(manifest: &Manifest, files: &[GivenInput], json: &BTreeMap<String, String>) -> Value {
    let files = files.iter().map(|input| (input.name.clone(), input.files.iter().map(file).collect()));
    let values = manifest.job.interface.inputs.json.iter().filter_map(|input| {
        let text = json.get(&input.name)?;
        let value = match input.json_type {
            JsonType::String => Value::from(text.as_str()),
            _ => serde_json::from_str(text).unwrap_or_default(),
        };
        Some((input.name.clone(), value))
    });
    json!({"JOB": Map::from_iter(files.chain(values))})
}

/// A file, in Scale's order, and with its digest.
fn file(file: &GivenFile) -> Value {
    let facts = &file.facts;
    let time = |time: Option<DateTime<Utc>>| time.map(|it| it.to_rfc3339_opts(SecondsFormat::Micros, true));
    let nothing = Metadata::default();
    let metadata = facts.metadata.as_ref().unwrap_or(&nothing);
    let product = facts.product.as_ref();
    json!({
        "id": facts.id.as_ref().unwrap_or(&file.sha256),
        "file_name": file.name,
        "workspace": null,
        "data_type_tags": metadata.data_types,
        "media_type": file.media_type,
        "file_type": if product.is_some() { "PRODUCT" } else { "SOURCE" },
        "file_size": file.size,
        "file_path": file.path,
        "is_deleted": false,
        "url": facts.url,
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
        "job": product.map(|product| &product.run),
        "job_exe": null,
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
