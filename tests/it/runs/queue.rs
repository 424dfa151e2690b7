//! Order of the queue, concurrency, cancellation, reruns.

use serde_json::{Value, json};

use super::{NOOP, Runs, WAITS, go, times_begun, told};
use crate::support::process::Engine;

fn id_of(run: &Value) -> String {
    run["id"].as_str().expect("a run has an id").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_urgent_go_first_and_one_user_has_so_many_at_once() {
    let runs = Runs::with(Engine::Sqlite, &[("SILO__RUNS__PER_USER_RUNNING", "1")]).await;
    let (waits, noop) = (runs.image(WAITS).await, runs.image(NOOP).await);
    let (first, output) = runs.begun(json!({"image": waits})).await;
    let ids = [2, 9, 5].map(|priority| json!({"image": noop, "priority": priority}));
    let mut queued = Vec::new();
    for form in ids {
        queued.push(id_of(&runs.submit(form).await));
    }
    // A worker is free, but the user's limit is reached.
    assert_eq!(runs.get(&queued[1]).await["phase"], "queued");
    go(&output);
    let mut started = Vec::new();
    for id in &queued {
        let run = runs.ended(id).await;
        assert_eq!(run["status"], "successful");
        started.push((run["started"].as_str().unwrap().to_owned(), run["priority"].as_u64().unwrap()));
    }
    started.sort();
    assert_eq!(started.iter().map(|(_, priority)| *priority).collect::<Vec<_>>(), [9, 5, 2]);
    assert_eq!(runs.ended(&first).await["status"], "successful");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_is_cancelled_at_once_and_what_runs_is_stopped() {
    let runs = Runs::with(Engine::Sqlite, &[("SILO__RUNS__WORKERS", "1")]).await;
    let image = runs.image(&format!("trap 'echo stopped; exit 7' TERM; {WAITS}")).await;
    let (running, output) = runs.begun(json!({"image": image})).await;
    let waiting = id_of(&runs.submit(json!({"image": image})).await);
    let cancel = async |id: &str| runs.silo.post(&format!("/api/v1/runs/{id}/cancel"), json!({})).await;
    assert_eq!(cancel(&waiting).await.expect(200)["status"], "dismissed");
    let run = runs.get(&waiting).await;
    assert_eq!((&run["status"], &run["attempts"], &run["started"]), (&json!("dismissed"), &json!([]), &Value::Null));
    assert_eq!(cancel(&running).await.expect(200)["status"], "dismissed");
    runs.no_containers_of(&running).await;
    let log = runs.silo.get(&format!("/api/v1/runs/{running}/logs/stdout")).await.expect(200);
    assert_eq!(log, "begun\nstopped\n");
    assert_eq!(times_begun(&output), 1);
    let again = cancel(&running).await;
    assert_eq!(again.status, 409, "{:?}", again.body);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_is_done_again_with_what_is_to_be_different() {
    let runs = Runs::on(Engine::Sqlite).await;
    let image = runs.image(&format!("{NOOP}; [ $SEED_ATTEMPT = 1 ] && exit 3")).await;
    let (id, _) = told(&runs.submit(json!({"image": image, "tags": ["a", "b", "a"], "priority": 1})).await);
    let run = runs.ended(&id).await;
    assert_eq!((&run["error"]["name"], &run["error"]["category"]), (&json!("bad-input"), &json!("data")), "{run:#}");
    assert_eq!((&run["willRetry"], &run["maxTries"], &run["tags"]), (&json!(false), &json!(3), &json!(["a", "b"])));
    let change = json!({"label": "again", "maxTries": 1});
    let again = runs.silo.post(&format!("/api/v1/runs/{id}/rerun"), change).await.expect(201);
    assert_eq!((&again["rerunOf"], &again["label"], &again["priority"]), (&json!(id), &json!("again"), &json!(1)));
    let again = runs.ended(&id_of(&again)).await;
    assert_eq!((&again["status"], &again["maxTries"]), (&json!("failed"), &json!(1)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_can_have_so_many_and_no_more() {
    let options = [("SILO__RUNS__PER_USER_ACTIVE", "2"), ("SILO__RUNS__WORKERS", "1")];
    let runs = Runs::with(Engine::Sqlite, &options).await;
    let image = runs.image(WAITS).await;
    let (first, output) = runs.begun(json!({"image": image})).await;
    let second = id_of(&runs.submit(json!({"image": image})).await);
    let third = runs.silo.post("/api/v1/runs", json!({"image": image})).await;
    assert_eq!(third.status, 409);
    assert!(third.body["detail"].as_str().unwrap().contains("2 runs"), "{}", third.body);
    let cancelled = runs.silo.post(&format!("/api/v1/runs/{second}/cancel"), json!({})).await.expect(200);
    assert_eq!(cancelled["status"], "dismissed");
    go(&output);
    runs.ended(&first).await;
    runs.submit(json!({"image": image, "label": "there is room again"})).await;
}
