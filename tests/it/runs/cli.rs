//! `silo runs`, used on the command line.

use std::fs;

use super::{NOOP, Runs, WAITS, go};
use crate::support::docker_engine::there;
use crate::support::process::Engine;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_from_the_command_line() {
    let runs = Runs::on(Engine::Sqlite).await;
    let silo = &runs.silo;
    let image = runs.image("cat $FILE >$OUTPUT_DIR/begun; echo printed; echo oops >&2").await;
    fs::write(silo.folder().join("in.txt"), "what goes in").unwrap();
    let plan = silo.cli(&["runs", "submit", &image, "--dry-run"]).await;
    assert!(plan.code == Some(0) && plan.stdout.starts_with("docker run "), "{plan:?}");
    let submit = ["runs", "submit", &image, "-i", "FILE=in.txt", "--label", "mine", "--tag", "a", "--wait"];
    let done = silo.cli(&submit).await;
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(done.stderr.contains("successful: The job was successful.\n"), "{}", done.stderr);
    let listed = silo.cli(&["runs", "list", "--tag", "a", "--json"]).await;
    let page: serde_json::Value = serde_json::from_str(&listed.stdout).unwrap();
    let id = page["items"][0]["id"].as_str().unwrap();
    let table = silo.cli(&["runs", "list"]).await.stdout;
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].starts_with("ID ") && lines[1].starts_with(id) && lines[1].contains("successful"), "{table}");
    let shown = silo.cli(&["runs", "show", id]).await.stdout;
    for part in [
        "Status     successful\n",
        "Label      mine\n",
        "Input      FILE = in.txt (12 bytes",
        "Output     BEGUN = begun (12 bytes)\n",
    ] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    assert_eq!(silo.cli(&["runs", "logs", id]).await.stdout, "printed\n");
    assert_eq!(silo.cli(&["runs", "logs", id, "--stderr", "--tail", "1"]).await.stdout, "oops\n");
    assert_eq!(silo.cli(&["runs", "logs", id, "--follow"]).await.stdout, "printed\n");
    let outputs = silo.cli(&["runs", "outputs", id]).await.stdout;
    assert!(outputs.contains("BEGUN   begun  12"), "{outputs}");
    let fetched = silo.cli(&["runs", "outputs", id, "BEGUN", "-o", "left"]).await;
    assert_eq!((fetched.code, fetched.stderr.as_str()), (Some(0), "1 files in left\n"));
    assert_eq!(fs::read_to_string(silo.folder().join("left/begun")).unwrap(), "what goes in");
    assert_eq!(silo.cli(&["runs", "outputs", id, "NOTHING"]).await.code, Some(1));
    let again = silo.cli(&["runs", "rerun", id]).await;
    assert_eq!(again.code, Some(0), "{again:?}");
    assert_eq!(silo.cli(&["runs", "wait", again.stdout.trim()]).await.code, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exit_codes_tell_whose_fault_it_was() {
    let runs = Runs::on(Engine::Sqlite).await;
    let silo = &runs.silo;
    let fails = runs.image("exit 3").await;
    let failed = silo.cli(&["runs", "submit", &fails, "--wait"]).await;
    assert_eq!(failed.code, Some(3), "{failed:?}");
    assert!(failed.stderr.contains("failed: Bad input. Of no use\n"), "{}", failed.stderr);
    let noop = runs.image(NOOP).await;
    let wrong = silo.cli(&["runs", "submit", &noop, "-i", "NOTHING=sha256:00", "-j", "X=1"]).await;
    assert_eq!(wrong.code, Some(1));
    assert!(
        wrong.stderr.contains("NOTHING") && wrong.stderr.contains("X: the job has no JSON input"),
        "{}",
        wrong.stderr
    );
    assert_eq!(silo.cli(&["runs", "submit", &noop, "-i", "FILE=missing.txt"]).await.code, Some(1));
    assert_eq!(silo.cli(&["runs", "submit", &noop, "-i", "FILE"]).await.code, Some(2));
    assert_eq!(silo.cli(&["runs", "show", "nothing"]).await.code, Some(1));
    let waits = runs.image(WAITS).await;
    let id = silo.cli(&["runs", "submit", &waits]).await.stdout.trim().to_owned();
    let run = runs.when(&id, |run| run["phase"] == "main").await;
    let output = super::told(&run).1;
    there(&output.join("begun")).await;
    let stopped = silo.cli(&["runs", "cancel", &id, "nothing"]).await;
    assert_eq!((stopped.code, stopped.stdout), (Some(1), format!("{id} dismissed\n")));
    go(&output);
    assert_eq!(silo.cli(&["runs", "wait", &id]).await.code, Some(1));
}
