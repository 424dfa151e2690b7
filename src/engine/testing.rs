//! A job for the tests of this room.

use std::path::Path;

use super::plan::request::{HostFile, InputSource, JsonInputValue, RunRequest};
use super::plan::{RunPlan, plan};
use super::run::folder::RunPaths;
use crate::seed::model::SeedManifest;

pub(super) const MANIFEST: &str = r#"{
  "seedVersion": "1.0.0",
  "job": {
    "name": "sea-ice", "jobVersion": "1.0.0", "packageVersion": "2.0.0", "title": "", "description": "",
    "maintainer": {"name": "Ada", "email": "ada@example.org"}, "timeout": 60,
    "interface": {
      "command": "edge ${SCENE} ${MASKS} ${DB_KEY} ${OUTPUT_DIR}",
      "inputs": {
        "files": [{"name": "SCENE", "mediaTypes": ["image/tiff"]}, {"name": "MASKS", "multiple": true, "required": false}],
        "json": [{"name": "BANDS", "type": "array"}, {"name": "NOTE", "type": "string", "required": false}]
      },
      "settings": [{"name": "HOST"}, {"name": "DB-KEY", "secret": true}]
    }
  }
}"#;

/// A plan for a run in `root/run`, which need not exist; the input files are in `root/in`.
pub(super) fn planned(root: &Path) -> (SeedManifest, RunRequest, RunPlan) {
    planned_with(root, 40)
}

/// The same with a number of `MASKS` files.
pub(super) fn planned_with(root: &Path, masks: usize) -> (SeedManifest, RunRequest, RunPlan) {
    let manifest = SeedManifest::parse(MANIFEST).expect("it fits the types");
    let mut request =
        RunRequest::new("sea-ice-1.0.0-seed:2.0.0".parse().expect("a name"), RunPaths::new(root.join("run")));
    let file =
        |name: &str| InputSource::File(HostFile { name: name.to_owned(), path: root.join("in").join(name), size: 3 });
    request.files = vec![("SCENE".to_owned(), file("scene.png"))];
    request.files.extend((0..masks).map(|number| ("MASKS".to_owned(), file(&format!("{number}.tif")))));
    request.json = vec![("BANDS".to_owned(), JsonInputValue::Text("[1, 2]".to_owned()))];
    request.json.push(("NOTE".to_owned(), JsonInputValue::Text("5".to_owned())));
    request.settings = vec![("HOST".to_owned(), "db".into()), ("DB-KEY".to_owned(), "hunter2".into())];
    let plan = plan(&manifest, &request).expect("it can be run");
    (manifest, request, plan)
}
