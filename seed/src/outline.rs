//! What a job takes, gives and needs, as a list of results shows it.

use serde_json::Value;

use super::manifest::{NAME_CHARS, TAG_CHARS, items_of, parse, text, texts};

/// Inputs, outputs, resources and tags of a manifest. Values of a wrong type are left out; texts and lists have the
/// limits of [`super::manifest::essentials`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JobOutline {
    pub tags: Vec<String>,
    pub inputs: Vec<JobPort>,
    pub outputs: Vec<JobPort>,
    pub resources: Vec<ResourceOutline>,
}

/// An input or an output of a job.
#[derive(Clone, Debug, PartialEq)]
pub struct JobPort {
    pub name: String,
    pub kind: JobPortKind,
    /// Whether a run needs the input, or always has the output.
    pub is_required: bool,
    /// Whether it may be several files.
    pub is_multiple: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub enum JobPortKind {
    /// A file, or several; with their media types, if the manifest names any.
    File(Vec<String>),
    /// A JSON value, with its type.
    Json(String),
}

/// A resource as the manifest asks for it: `value` + `input_multiplier` × the size of the input files.
#[derive(Clone, Debug, PartialEq)]
pub struct ResourceOutline {
    pub name: String,
    /// Cores for `cpus`, MiB for `mem`, `disk` and `sharedMem`, a number otherwise.
    pub value: f64,
    /// 0 if the manifest has none.
    pub input_multiplier: f64,
}

impl JobOutline {
    /// Reads the JSON text of a manifest.
    pub fn of(manifest: &str) -> Self {
        let document = parse(manifest);
        let job = &document["job"];
        let resource = |resource: &Value| {
            Some(ResourceOutline {
                name: named(resource)?,
                value: resource["value"].as_f64()?,
                input_multiplier: resource["inputMultiplier"].as_f64().unwrap_or_default(),
            })
        };
        Self {
            tags: texts(items_of(&job["tags"]), TAG_CHARS),
            inputs: ports(&job["interface"]["inputs"]),
            outputs: ports(&job["interface"]["outputs"]),
            resources: items_of(&job["resources"]["scalar"]).filter_map(resource).collect(),
        }
    }
}

/// The files, then the JSON values.
fn ports(side: &Value) -> Vec<JobPort> {
    let port = |item: &Value, kind: JobPortKind| {
        Some(JobPort {
            name: named(item)?,
            kind,
            is_required: item["required"].as_bool().unwrap_or(true),
            is_multiple: item["multiple"].as_bool().unwrap_or(false),
        })
    };
    let files = items_of(&side["files"]).filter_map(|item| {
        let types = items_of(&item["mediaTypes"]).chain([&item["mediaType"]]);
        port(item, JobPortKind::File(texts(types, NAME_CHARS)))
    });
    let values =
        items_of(&side["json"]).filter_map(|item| port(item, JobPortKind::Json(text(&item["type"], NAME_CHARS))));
    files.chain(values).collect()
}

fn named(item: &Value) -> Option<String> {
    Some(text(&item["name"], NAME_CHARS)).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::COMPLETE;

    #[test]
    fn lists_what_a_job_takes_gives_and_needs() {
        let file = |name: &str, types: &[&str], is_required, is_multiple| JobPort {
            name: name.to_owned(),
            kind: JobPortKind::File(types.iter().map(|text| (*text).to_owned()).collect()),
            is_required,
            is_multiple,
        };
        let number = |name: &str, is_required| JobPort {
            name: name.to_owned(),
            kind: JobPortKind::Json("number".to_owned()),
            is_required,
            is_multiple: false,
        };
        let resource =
            |name: &str, value, input_multiplier| ResourceOutline { name: name.to_owned(), value, input_multiplier };
        let expected = JobOutline {
            tags: vec!["radar".to_owned(), "ice".to_owned()],
            inputs: vec![
                file("SCENES", &["image/tiff", "image/x-hdf5-image"], true, true),
                file("MASK", &["image/tiff"], false, false),
                number("THRESHOLD", false),
            ],
            outputs: vec![
                file("EDGE", &["application/geo+json"], true, false),
                file("MAPS", &["image/tiff"], false, true),
                number("LENGTH_KM", true),
            ],
            resources: vec![resource("cpus", 1.5, 0.0), resource("mem", 512.0, 2.0), resource("disk", 10.0, 1.0)],
        };
        assert_eq!(JobOutline::of(COMPLETE), expected);
    }

    #[test]
    fn leaves_out_what_has_a_wrong_type() {
        for manifest in ["", "[]", r#"{"job":7}"#, r#"{"job":{"interface":{"inputs":{"files":[7,{"name":1}]}}}}"#] {
            assert_eq!(JobOutline::of(manifest), JobOutline::default(), "{manifest}");
        }
    }
}
