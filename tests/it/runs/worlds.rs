//! Environments in which jobs run: Docker and Podman, with a service that is root or not, as in SILO's own image.
//! Behaviour that depends on them is tested in each.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;

use super::{Runs, told};
use crate::support::docker_engine::{CutSocket, DockerEngine, engine};
use crate::support::process::{PATIENCE, Setup};

/// The user of SILO's own image.
const UNPRIVILEGED: u32 = 10001;

/// Runs all scenarios in one environment, one after the other, with one engine.
async fn world(engine: DockerEngine, user: Option<u32>) {
    let socket = CutSocket::to(&engine);
    let runs = runs_of((engine, &socket.host), user).await;
    for user in ["0", "4711"] {
        what_others_may_not_read_is_captured_and_removed(&runs, user).await;
        what_others_may_not_read_is_out_of_the_way_of_the_next_attempt(&runs, user).await;
        what_a_job_cannot_read_is_copied_and_its_links_are_resolved(&runs, user).await;
        who_cancels_does_not_wait_for_a_job_that_knows_no_signals(&runs, user).await;
    }
}

async fn runs_of(engine: (DockerEngine, &str), user: Option<u32>) -> Runs {
    let setup = user.into_iter().fold(Setup::new(), Setup::run_by);
    Runs::started(setup, engine, &[("SILO__RUNS__RETRY_SECONDS", "1")]).await
}

#[tokio::test]
async fn docker_as_root() {
    world(engine().await, None).await;
}

#[tokio::test]
async fn docker_as_another_user() {
    world(engine().await, Some(UNPRIVILEGED)).await;
}

#[tokio::test]
async fn podman_as_root() {
    world(DockerEngine::podman().await, None).await;
}

#[tokio::test]
async fn podman_as_another_user() {
    world(DockerEngine::podman().await, Some(UNPRIVILEGED)).await;
}

/// The engine's user is determined from its socket, so this is the engine's own socket.
#[tokio::test]
async fn podman_of_a_user_as_that_user() {
    let engine = DockerEngine::rootless_podman(UNPRIVILEGED).await;
    let host = engine.host.clone();
    let runs = runs_of((engine, &host), Some(UNPRIVILEGED)).await;
    for user in ["0", "4711"] {
        what_others_may_not_read_is_captured_and_removed(&runs, user).await;
    }
    what_others_may_not_read_is_out_of_the_way_of_the_next_attempt(&runs, "4711").await;
}

/// A job that denies access to its outputs to all other users, also to the output directory itself if it can.
const CLOSES: &str =
    "umask 077; cd $OUTPUT_DIR; mkdir -p d/e; echo deep >d/e/f; echo once >>begun; mkdir sticky; echo x >sticky/y
chmod 1777 sticky; mkdir shut; echo z >shut/z; chmod 0 shut; [ $(id -u) != 0 ] || { chown 0:0 .; chmod 700 .; }";

async fn what_others_may_not_read_is_captured_and_removed(runs: &Runs, user: &str) {
    let image = runs.image_of(user, CLOSES).await;
    let (id, output) = told(&runs.submit(json!({"image": image})).await);
    let run = runs.ended(&id).await;
    assert_eq!(run["status"], "successful", "{run:#}\n{}", runs.silo.log());
    let left: Vec<&str> =
        run["outputs"]["extra"].as_array().unwrap().iter().filter_map(|file| file["path"].as_str()).collect();
    assert_eq!(left, ["d/e/f", "shut/z", "sticky/y"], "{run:#}");
    for (path, text) in [("begun", "once\n"), ("d/e/f", "deep\n"), ("shut/z", "z\n")] {
        let body = runs.silo.get(&format!("/api/v1/runs/{id}/files/{path}")).await.expect(200);
        assert_eq!(body, text, "{path}");
    }
    assert_eq!(runs.silo.delete(&format!("/api/v1/runs/{id}")).await.status, 204);
    assert!(!output.exists());
    gone(&runs.silo.data().join("runs/.discarded")).await;
}

/// The first attempt is killed at the engine, not by the job.
async fn what_others_may_not_read_is_out_of_the_way_of_the_next_attempt(runs: &Runs, user: &str) {
    let script = format!("{CLOSES}; [ $SEED_ATTEMPT != 1 ] || sleep 600");
    let image = runs.image_of(user, &script).await;
    let (id, output) = told(&runs.submit(json!({"image": image})).await);
    crate::support::docker_engine::there(&output.join("shut/z")).await;
    let [container] = &runs.engine.containers(&format!("silo.run={id}")).await[..] else { panic!("it runs") };
    let options = None::<bollard::query_parameters::KillContainerOptions>;
    runs.engine.client.kill_container(container, options).await.unwrap();
    let run = runs.ended(&id).await;
    let attempts = run["attempts"].as_array().map(Vec::len);
    assert_eq!((&run["status"], attempts), (&json!("successful"), Some(2)), "{run:#}\n{}", runs.silo.log());
    assert_eq!(run["attempts"][0]["error"]["name"], "docker-terminated");
}

/// The second job's input is readable only by the owner of the first job's outputs.
async fn what_a_job_cannot_read_is_copied_and_its_links_are_resolved(runs: &Runs, user: &str) {
    let first = runs.image_of("0", "umask 077; echo secret >$OUTPUT_DIR/begun").await;
    let (first, _) = told(&runs.submit(json!({"image": first})).await);
    assert_eq!(runs.ended(&first).await["status"], "successful");
    let script = "cd $OUTPUT_DIR; mkdir -p a/b; cat $FILE >a/b/read; ln -s $OUTPUT_DIR/a/b/read begun; ln -s $FILE a/given
ln -s ../../../in/FILE/begun a/b/up; ln -s $OUTPUT_DIR/begun a/b/chain; ln -s /etc/hostname host; ln -s $OUTPUT_DIR/none none
ln -s $OUTPUT_DIR/../../etc/hostname out; chmod 755 a a/b";
    let image = runs.image_of(user, script).await;
    let form = json!({"image": image, "files": {"FILE": {"run": first, "output": "BEGUN"}}});
    let (id, output) = told(&runs.submit(form).await);
    let run = runs.ended(&id).await;
    assert_eq!(run["status"], "successful", "{run:#}\n{}", runs.silo.log());
    for path in ["begun", "a/b/read", "a/given", "a/b/up", "a/b/chain"] {
        let body = runs.silo.get(&format!("/api/v1/runs/{id}/files/{path}")).await.expect(200);
        assert_eq!(body, "secret\n", "{path}");
    }
    for path in ["host", "none", "out"] {
        assert_eq!(runs.silo.get(&format!("/api/v1/runs/{id}/files/{path}")).await.status, 404, "{path}");
    }
    // The copy is an independent file: changing it does not change the input.
    assert!(fs::symlink_metadata(output.join("a/given")).unwrap().is_file());
    let warnings = run["warnings"].to_string();
    assert_eq!(warnings.contains("gets a copy"), user != "0", "{warnings}");
    assert!(!output.with_file_name("readable").exists());
}

/// A shell that waits for a child does not forward signals, so that it would run until the end of the grace period.
async fn who_cancels_does_not_wait_for_a_job_that_knows_no_signals(runs: &Runs, user: &str) {
    let image = runs.image_of(user, "echo once >>$OUTPUT_DIR/begun; sleep 600; echo").await;
    let (id, output) = runs.begun(json!({"image": image})).await;
    runs.silo.post(&format!("/api/v1/runs/{id}/cancel"), json!({})).await.expect(200);
    assert_eq!(runs.ended(&id).await["status"], "dismissed");
    // By TERM, not by KILL.
    let end: serde_json::Value =
        serde_json::from_slice(&fs::read(output.with_file_name("attempt-1").join("ended.json")).unwrap()).unwrap();
    assert_eq!(end["main"]["ended"]["exit_code"], 143, "{end:#}");
}

/// Waits until a folder is empty: it is emptied in the background.
async fn gone(folder: &Path) {
    let began = Instant::now();
    while fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
        assert!(began.elapsed() < PATIENCE, "{} is not emptied", folder.display());
        tokio::time::sleep(Duration::from_millis(20)).await; // because nobody tells when it is
    }
}
