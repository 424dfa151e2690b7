//! The service stops or is killed while jobs run, and is started again.

use serde_json::json;

use super::{NOOP, Runs, WAITS, go, times_begun, told};
use crate::support::process::{Engine, on_both};

async fn a_job_outlives_a_killed_service(database: Engine) {
    let mut runs = Runs::on(database).await;
    let image = runs.image(WAITS).await;
    let (id, output) = runs.begun(json!({"image": image})).await;
    runs.silo.kill();
    runs.silo.start_again().await;
    go(&output);
    let run = runs.ended(&id).await;
    assert_eq!((&run["status"], &run["attempts"].as_array().unwrap().len()), (&json!("successful"), &1), "{run:#}");
    assert_eq!(times_begun(&output), 1);
    let phases: Vec<&str> =
        run["attempts"][0]["phases"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(phases, ["stage", "pull", "stage", "main", "main", "capture"], "what was before, and what came after");
    let log = runs.silo.get(&format!("/api/v1/runs/{id}/logs/stdout")).await.expect(200);
    assert_eq!(log, "begun\ngone on\n");
    runs.no_containers_of(&id).await;
}

async fn a_job_that_ends_while_nobody_looks_is_settled(database: Engine) {
    let mut runs = Runs::on(database).await;
    let image = runs.image(&format!("{WAITS}; exit 3")).await;
    let (id, output) = runs.begun(json!({"image": image})).await;
    runs.silo.kill();
    go(&output);
    let [container] = &runs.engine.containers(&format!("silo.run={id}")).await[..] else { panic!("it is left") };
    use silo::engine::runtime::ContainerRuntime as _;
    runs.engine.open().await.wait(container).await.unwrap();
    runs.silo.start_again().await;
    let run = runs.ended(&id).await;
    assert_eq!((&run["status"], &run["error"]["name"]), (&json!("failed"), &json!("bad-input")), "{run:#}");
    assert_eq!((times_begun(&output), &run["attempts"][0]["exitCode"]), (1, &json!(3)));
    runs.no_containers_of(&id).await;
}

async fn a_stop_in_good_order_leaves_the_job_to_the_next_start(database: Engine) {
    let mut runs = Runs::on(database).await;
    let image = runs.image(WAITS).await;
    let (id, output) = runs.begun(json!({"image": image})).await;
    assert_eq!(runs.silo.terminate().await.code, Some(0));
    assert_eq!(runs.engine.containers(&format!("silo.run={id}")).await.len(), 1);
    runs.silo.start_again().await;
    let run = runs.get(&id).await;
    assert_eq!(run["status"], "running");
    go(&output);
    assert_eq!(runs.ended(&id).await["status"], "successful");
    assert_eq!(times_begun(&output), 1);
}

async fn a_run_is_cancelled_though_the_service_was_killed(database: Engine) {
    let mut runs = Runs::on(database).await;
    let image = runs.image(&format!("trap 'exit 7' TERM; {WAITS}")).await;
    let (id, _) = runs.begun(json!({"image": image})).await;
    runs.silo.kill();
    runs.silo.start_again().await;
    let cancelled = runs.silo.post(&format!("/api/v1/runs/{id}/cancel"), json!({})).await.expect(200);
    assert_eq!(cancelled["status"], "dismissed");
    runs.no_containers_of(&id).await;
}

/// Killed repeatedly while it drains its queue: each run succeeds, and no job runs twice.
async fn no_run_is_lost_or_done_twice(database: Engine) {
    const RUNS: usize = 12;
    let mut runs = Runs::with(database, &[("SILO__RUNS__PER_USER_RUNNING", "4")]).await;
    let image = runs.image(NOOP).await;
    let mut told_of = Vec::new();
    for number in 0..RUNS {
        let label = format!("number {number}");
        told_of.push(told(&runs.submit(json!({"image": image, "label": label, "tags": ["drained"]})).await));
    }
    for finished in [1, 4, 8] {
        // After this many have ended, others are running.
        runs.when(&told_of[finished].0, |run| run["phase"] != "queued").await;
        runs.silo.kill();
        runs.silo.start_again().await;
    }
    for (id, output) in &told_of {
        let run = runs.ended(id).await;
        assert_eq!(run["status"], "successful", "{run:#}");
        assert_eq!((times_begun(output), run["attempts"].as_array().unwrap().len()), (1, 1), "{run:#}");
        runs.no_containers_of(id).await;
    }
    let page = runs.silo.get("/api/v1/runs?tag=drained&limit=5").await.expect(200);
    assert_eq!((&page["total"], &page["counts"]["successful"]), (&json!(RUNS), &json!(RUNS)));
}

on_both!(
    a_job_outlives_a_killed_service,
    a_job_that_ends_while_nobody_looks_is_settled,
    a_stop_in_good_order_leaves_the_job_to_the_next_start,
    a_run_is_cancelled_though_the_service_was_killed,
    no_run_is_lost_or_done_twice,
);
