//! Seed manifests of made-up jobs.

use serde_json::{Value, json};

/// A valid manifest. `job` has the fields that a test is about, also in place of the ones here.
pub fn of_job(name: &str, job: Value) -> Value {
    let mut manifest = json!({"seedVersion": "1.0.0", "job": {
        "name": name, "jobVersion": "1.0.0", "packageVersion": "1.0.0",
        "title": "Test", "description": "A job of the tests",
        "maintainer": {"name": "Ada Frost", "email": "ada@example.org"},
        "timeout": 60,
    }});
    let Value::Object(fields) = job else { panic!("{job} is no object of fields") };
    for (field, value) in fields {
        manifest["job"][field] = value;
    }
    manifest
}

/// Resources that every machine has, for `job.resources`.
pub fn few_resources() -> Value {
    json!({"scalar": [
        {"name": "cpus", "value": 0.5}, {"name": "mem", "value": 64}, {"name": "disk", "value": 1}
    ]})
}
