//! The engine is unreachable for a while, or restarted, while jobs run: no run is lost, and none runs twice at a time.

use serde_json::{Value, json};

use super::{Runs, WAITS, go, times_begun};
use crate::support::docker_engine::{CutSocket, DockerEngine, engine, there};
use crate::support::process::{Engine, on_both};

/// The next attempt starts at once.
const SOON: (&str, &str) = ("SILO__RUNS__RETRY_SECONDS", "1");

fn attempts(run: &Value) -> usize {
    run["attempts"].as_array().map_or(0, Vec::len)
}

async fn a_job_outlives_the_connection_to_its_engine(database: Engine) {
    let engine = engine().await;
    let socket = CutSocket::to(&engine);
    let runs = Runs::at(database, (engine, &socket.host), &[SOON]).await;
    let image = runs.image(WAITS).await;
    let (id, output) = runs.begun(json!({"image": image})).await;
    let label = format!("silo.run={id}");
    socket.cut();
    let run = runs.when(&id, |run| run["message"].as_str().is_some_and(|it| it.contains("does not answer"))).await;
    assert_eq!((&run["status"], attempts(&run)), (&json!("running"), 1), "{run:#}");
    assert_eq!(runs.engine.containers(&label).await.len(), 1, "it runs on");
    socket.mend();
    go(&output);
    let run = runs.ended(&id).await;
    assert_eq!((&run["status"], attempts(&run), times_begun(&output)), (&json!("successful"), 1, 1), "{run:#}");
    let log = runs.silo.get(&format!("/api/v1/runs/{id}/logs/stdout")).await.expect(200);
    assert_eq!(log, "begun\ngone on\n", "whole, and once");
    runs.no_containers_of(&id).await;
}

on_both!(a_job_outlives_the_connection_to_its_engine);

#[tokio::test]
async fn a_run_is_cancelled_though_its_engine_was_away() {
    let engine = engine().await;
    let socket = CutSocket::to(&engine);
    let runs = Runs::at(Engine::Sqlite, (engine, &socket.host), &[SOON]).await;
    let image = runs.image(&format!("trap 'exit 7' TERM; {WAITS}")).await;
    let (id, _) = runs.begun(json!({"image": image})).await;
    socket.cut();
    runs.when(&id, |run| run["message"].as_str().is_some_and(|it| it.contains("does not answer"))).await;
    let path = format!("/api/v1/runs/{id}/cancel");
    let (cancelled, ()) = tokio::join!(runs.silo.post(&path, json!({})), async { socket.mend() });
    cancelled.expect(200);
    assert_eq!(runs.ended(&id).await["status"], "dismissed");
    runs.no_containers_of(&id).await;
}

/// As in an upgrade of Docker. With live-restore, jobs continue meanwhile.
#[tokio::test]
async fn a_job_outlives_an_engine_that_lets_it() {
    let engine = DockerEngine::with(&["--live-restore"]).await;
    let host = engine.host.clone();
    let runs = Runs::at(Engine::Sqlite, (engine, &host), &[SOON]).await;
    let image = runs.image(WAITS).await;
    let (id, output) = runs.begun(json!({"image": image})).await;
    runs.engine.until_running(&format!("silo.run={id}")).await;
    runs.engine.stop().await;
    runs.engine.start_again().await;
    go(&output);
    let run = runs.ended(&id).await;
    assert_eq!((&run["status"], attempts(&run), times_begun(&output)), (&json!("successful"), 1, 1), "{run:#}");
    runs.no_containers_of(&id).await;
}

/// Without live-restore, the engine ends its containers when it stops, or when it starts after a kill: not the job's
/// fault.
#[tokio::test]
async fn a_job_that_its_engine_has_stopped_is_begun_again() {
    let engine = DockerEngine::start().await;
    let host = engine.host.clone();
    let runs = Runs::at(Engine::Sqlite, (engine, &host), &[SOON]).await;
    for (is_killed, script) in
        [(false, WAITS.to_owned()), (false, format!("trap 'exit 9' TERM; {WAITS}")), (true, WAITS.to_owned())]
    {
        let image = runs.image(&script).await;
        let (id, output) = runs.begun(json!({"image": image})).await;
        runs.engine.until_running(&format!("silo.run={id}")).await;
        match is_killed {
            true => runs.engine.kill(),
            false => runs.engine.stop().await,
        }
        runs.engine.start_again().await;
        let run = runs.when(&id, |run| attempts(run) == 2 || run["finished"].is_string()).await;
        assert_eq!(run["attempts"][0]["error"]["name"], "docker-terminated", "{script}: {run:#}");
        // The first container is removed before the second one runs.
        runs.engine.until_running(&format!("silo.run={id}")).await;
        assert_eq!(runs.engine.containers(&format!("silo.run={id}")).await.len(), 1, "{script}");
        there(&output.join("begun")).await;
        go(&output);
        let run = runs.ended(&id).await;
        assert_eq!((&run["status"], attempts(&run), times_begun(&output)), (&json!("successful"), 2, 1), "{run:#}");
        runs.no_containers_of(&id).await;
    }
}
