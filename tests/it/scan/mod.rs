//! Scans end to end: the program, real registries, and a faulty one.

mod adding;
mod crash;
mod faults;
mod held;
mod hints;
mod hostile;
mod life;
mod real;
mod schedules;
mod sharing;
mod signals;
mod steps;
mod storage;

use serde_json::{Value, json};

use crate::support::fake_registry::{FakeRegistry, Image, Seen};
use crate::support::manifest::of_job;
use crate::support::process::PATIENCE;

/// A valid manifest.
pub(crate) fn manifest(name: &str, job_version: &str, title: &str) -> Value {
    let job = json!({
        "jobVersion": job_version, "title": title, "description": "For tests.",
        "maintainer": {"name": "Ada Frost", "email": "ada@example.org", "organization": "Polar Works"},
        "interface": {"command": "run ${OUTPUT_DIR}"}
    });
    of_job(name, job)
}

/// An image of a job.
pub(crate) fn seed(name: &str, job_version: &str, title: &str) -> Image {
    labelled(&manifest(name, job_version, title).to_string())
}

pub(crate) fn labelled(label: &str) -> Image {
    Image::new().label(silo::seed::LABEL, label)
}

/// A registry with version 1.0.0 of some jobs, each in its own repository.
pub(crate) async fn registry_of(jobs: &[&str]) -> FakeRegistry {
    let registry = FakeRegistry::start().await;
    for job in jobs {
        registry.push(&format!("{job}-1.0.0-seed"), "1.0.0", &seed(job, "1.0.0", &format!("Finds {job}")));
    }
    registry
}

/// Waits until this many requests of a kind have arrived.
async fn arrived(registry: &FakeRegistry, kind: impl Fn(&Seen) -> bool, count: usize) {
    let wait = async {
        while registry.count(&kind) < count {
            registry.arrived(registry.log().len() + 1).await;
        }
    };
    let outcome = tokio::time::timeout(PATIENCE, wait).await;
    outcome.unwrap_or_else(|_| panic!("{count} such requests do not come: {:#?}", registry.log()));
}

/// A field of each JSON object.
fn fields<'a>(rows: &'a [Value], field: &str) -> Vec<&'a str> {
    rows.iter().map(|row| row[field].as_str().expect("a text")).collect()
}

/// Numbers in `counts` of a scan.
pub(crate) fn counts<const N: usize>(scan: &Value, names: [&str; N]) -> [u64; N] {
    names.map(|name| scan["counts"][name].as_u64().expect("a count"))
}
