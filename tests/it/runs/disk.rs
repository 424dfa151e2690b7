//! Full disks, outputs that are too large, and files that are hard to remove.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;
use silo::engine::runtime::{ClosedPath, ContainerRuntime as _};

use super::{Runs, told};
use crate::support::process::Engine;
use crate::support::small_disk::SmallDisk;

fn one_try(image: &str) -> serde_json::Value {
    json!({"image": image, "maxTries": 1})
}

/// A large sparse file with many hard links: reading each of them to its end would take too long.
#[tokio::test]
async fn outputs_that_are_too_large_are_not_read() {
    let runs = Runs::with(Engine::Sqlite, &[("SILO__RUNS__OUTPUT_MIB", "1")]).await;
    let links = "i=0; while [ $i -lt 60 ]; do ln begun $i; i=$((i+1)); done";
    let script = &format!("cd $OUTPUT_DIR; dd if=/dev/zero of=begun bs=1M count=0 seek=1000000; {links}");
    let image = runs.image(script).await;
    let (id, _) = told(&runs.submit(one_try(&image)).await);
    let ended = runs.ended(&id).await;
    assert_eq!(
        (&ended["status"], &ended["error"]["name"]),
        (&json!("failed"), &json!("too-large-output")),
        "{ended:#}"
    );
    assert_eq!(ended["outputs"]["problems"].as_array().map(Vec::len), Some(1), "{ended:#}");
}

#[tokio::test]
async fn who_cancels_is_heard_while_outputs_are_read() {
    let runs = Runs::with(Engine::Sqlite, &[("SILO__RUNS__OUTPUT_MIB", "0")]).await;
    let image = runs.image("dd if=/dev/zero of=$OUTPUT_DIR/begun bs=1M count=0 seek=1000000").await;
    let (id, _) = told(&runs.submit(one_try(&image)).await);
    runs.when(&id, |run| run["phase"] == "capture").await;
    runs.silo.post(&format!("/api/v1/runs/{id}/cancel"), json!({})).await.expect(200);
    let ended = runs.ended(&id).await;
    assert_eq!(ended["status"], "dismissed", "{ended:#}");
}

#[tokio::test]
async fn what_is_hard_to_remove_is_removed_and_keeps_nothing_else() {
    let runs = Runs::on(Engine::Sqlite).await;
    let deep =
        "cd $OUTPUT_DIR; touch begun; i=0; while [ $i -lt 1500 ]; do mkdir d && cd d || exit 1; i=$((i+1)); done";
    let image = runs.image(deep).await;
    let record = runs.submit(one_try(&image)).await;
    let (id, folder) = told(&record);
    assert_eq!(runs.ended(&id).await["status"], "successful");
    runs.silo.delete(&format!("/api/v1/runs/{id}")).await.expect(204);
    assert!(!folder.exists());
    let discarded =
        folder.ancestors().map(|above| above.join(".discarded")).find(|it| it.exists()).expect("it is kept");
    while fs::read_dir(&discarded).expect("it is ours").next().is_some() {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await; // because nobody tells when it is empty
    }
}

#[tokio::test]
async fn files_and_folders_of_others_are_opened_by_the_engine() {
    let runs = Runs::on(Engine::Sqlite).await;
    let docker = runs.engine.open().await;
    let place = tempfile::tempdir().expect("a folder");
    let long = format!("p/q/{}", "n".repeat(200));
    let folders = ["p", "p/q", "p/q/\u{e9} '\"\n", &long];
    for folder in folders {
        fs::create_dir_all(place.path().join(folder)).expect("a folder");
    }
    let files = [format!("{long}/file"), "p/link".to_owned(), "kept".to_owned()];
    fs::write(place.path().join(&files[0]), "abc").expect("a file");
    fs::hard_link(place.path().join(&files[0]), place.path().join(&files[1])).expect("another name");
    fs::write(place.path().join(&files[2]), "abc").expect("a file");
    let all = || folders.into_iter().chain(files.iter().map(String::as_str));
    for (path, mode) in folders.iter().map(|it| (*it, 0o500)).chain(files.iter().map(|it| (&**it, 0o040))) {
        fs::set_permissions(place.path().join(path), fs::Permissions::from_mode(mode)).expect("it is ours");
        std::os::unix::fs::chown(place.path().join(path), Some(4711), Some(4711)).expect("the tests are run as root");
    }
    let closed = |path: &str, is_folder| ClosedPath { path: path.into(), is_folder, mode: 0o040, modified: 1 };
    let closed: Vec<ClosedPath> =
        folders.iter().map(|it| closed(it, true)).chain(files[..2].iter().map(|it| closed(it, false))).collect();
    docker.open_up(place.path(), &closed).await.expect("the engine can");
    for path in all() {
        let about = fs::metadata(place.path().join(path)).expect("it is there");
        let mode = about.permissions().mode() & 0o777;
        let expected = match path {
            "kept" => (4711, 0o040),
            path if files.iter().any(|file| file == path) => (0, 0o640),
            _ => (0, 0o740),
        };
        assert_eq!((std::os::unix::fs::MetadataExt::uid(&about), mode), expected, "{path}");
    }
    assert_eq!(fs::read(place.path().join(&files[0])).expect("it is there"), b"abc");
    let top = fs::read_dir(place.path()).expect("it is there").count();
    assert_eq!(top, 2, "no link is left");
    runs.engine.until_containers("silo.opening", 0).await;
}

#[tokio::test]
async fn runs_wait_for_room_and_the_oldest_files_give_it() {
    let place = tempfile::tempdir().expect("a folder");
    let disk = SmallDisk::at(place.path(), 64);
    let folder = place.path().display().to_string();
    let options = [("SILO__RUNS__FOLDER", &*folder), ("SILO__RUNS__PURGE_AFTER_HOURS", "0")];
    let runs = Runs::with(Engine::Sqlite, &options).await;
    // The first run takes more than the limit, so the second must wait until its outputs are removed.
    let image = runs.image("dd if=/dev/zero of=$OUTPUT_DIR/begun bs=1M count=58").await;
    let (first, output) = told(&runs.submit(one_try(&image)).await);
    assert_eq!(runs.ended(&first).await["status"], "successful", "{}", runs.silo.log());
    let small = runs.image("touch $OUTPUT_DIR/begun").await;
    let (second, kept) = told(&runs.submit(one_try(&small)).await);
    assert_eq!(runs.ended(&second).await["status"], "successful", "{}", runs.silo.log());
    assert!(!output.exists());
    assert!(runs.silo.log().contains("to free disk space for others"), "{}", runs.silo.log());
    // Files outside of runs are never removed; nor are results if that would not free enough.
    let filler = place.path().join("filler");
    let file = fs::File::create(&filler).expect("a file");
    rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, 60 << 20).expect("there is room");
    let (third, _) = told(&runs.submit(one_try(&small)).await);
    let waits =
        runs.when(&third, |run| run["message"].as_str().is_some_and(|it| it.contains("waits for disk space"))).await;
    assert_eq!(waits["status"], "accepted", "{waits:#}");
    let metrics = runs.silo.get("/metrics").await.expect(200);
    assert!(metrics.as_str().is_some_and(|text| text.contains("silo_runs_disk_short 1\n")), "{metrics}");
    drop(file);
    fs::remove_file(&filler).expect("it is ours");
    assert_eq!(runs.ended(&third).await["status"], "successful");
    assert!(kept.exists(), "to remove it would not have been enough");
    // A job that fills the disk is not blamed for it, and its outputs are removed.
    let greedy = runs.image("trap '' TERM; dd if=/dev/zero of=$OUTPUT_DIR/begun bs=1M count=100").await;
    let (fourth, output) = told(&runs.submit(one_try(&greedy)).await);
    let ended = runs.ended(&fourth).await;
    let error = (&ended["error"]["name"], &ended["error"]["category"]);
    assert_eq!(error, (&json!("filesystem-io"), &json!("system")), "{ended:#}");
    assert!(!output.exists());
    drop(runs);
    drop(disk);
}
