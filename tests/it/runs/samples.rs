//! What runs use: measured while they run, kept with the attempt, removed with its files.

use serde_json::{Value, json};

use super::{Runs, go, told};
use crate::support::docker_engine::{BURNS, BURNT, there};
use crate::support::process::{Engine, on_both};

async fn what_a_run_uses_is_told(database: Engine) {
    let mut runs = Runs::on(database).await;
    let image = runs.image(BURNS).await;
    let (id, output) = told(&runs.submit(json!({"image": image})).await);
    there(&output.join("begun")).await;
    let path = format!("/api/v1/runs/{id}/samples");
    let enough =
        |reply: &Value| reply["peakMemory"].as_u64() >= Some(BURNT) && reply["samples"].as_array().unwrap().len() > 1;
    let seen = runs.until(&path, enough).await;
    assert_eq!(seen["attempt"], 1);
    // It goes on after a kill.
    runs.silo.kill();
    runs.silo.start_again().await;
    let before = seen["samples"].as_array().unwrap().len();
    let more = |reply: &Value| reply["samples"].as_array().unwrap().len() > before;
    assert_eq!(runs.until(&path, more).await["samples"][0], seen["samples"][0]);
    go(&output);
    let run = runs.ended(&id).await;
    assert_eq!(run["status"], "successful", "{run:#}");
    let attempt = &run["attempts"][0];
    assert!(attempt["peakMemory"].as_u64() >= Some(BURNT) && attempt["cpuSeconds"].as_f64() > Some(0.0), "{attempt:#}");
    let after = runs.silo.get(&path).await.expect(200);
    assert_eq!((&after["peakMemory"], &after["cpuSeconds"]), (&attempt["peakMemory"], &attempt["cpuSeconds"]));
    assert_eq!(runs.silo.get(&format!("{path}?attempt=1")).await.expect(200), after);
    runs.silo.get(&format!("{path}?attempt=2")).await.expect(404);
    runs.silo.get(&format!("{path}?attempt=x")).await.expect(400);
    let files = output.parent().expect("the run's folder").to_owned();
    assert!(files.join("attempt-1/samples.ndjson").exists());
    runs.silo.delete(&format!("/api/v1/runs/{id}")).await.expect(204);
    assert!(!files.join("attempt-1").exists(), "they go with the run");
    runs.silo.get(&path).await.expect(404);
}

on_both!(what_a_run_uses_is_told);
