//! Differences of Podman from Docker that users should not notice.

use silo::engine::plan::container::BindMount;
use silo::engine::run::attempt_error::Error;
use silo::engine::run::stop_reason::StopReason;
use silo::engine::runtime::{self, ContainerRuntime as _};

use super::{DockerEngine, Job};

#[tokio::test]
async fn what_podman_does_otherwise_is_evened_out() {
    let engine = DockerEngine::podman().await;
    let job = async |script: &str| Job::on(engine.clone(), script).await;
    let about = engine.open().await.engine().await.unwrap();
    assert!(about.name.starts_with("Podman ") && !about.gpus && !about.maps_users, "{about:?}");
    // Podman would silently run it without a GPU.
    let mut gpu = job("exit 0").await;
    gpu.container.gpus = 1;
    let why = gpu.run().await.main.unwrap_err();
    assert!(matches!(why, Error::Engine(runtime::Error::NoGpu { .. })), "{why:?}");
    // Its monitor (conmon) does not always notice it.
    let mut greedy = job("awk 'BEGIN { s = \"x\"; while (1) s = s s }'; exit $?").await;
    greedy.container.memory = Some(16 << 20);
    let ended = greedy.ended().await.ended;
    assert!(ended.oom && ended.exit_code == 137, "{ended:?}");
    // A container that SILO kills has not run out of memory.
    let mut deaf = job("trap '' TERM; while :; do sleep 0.05; done").await;
    deaf.container.memory = Some(64 << 20);
    deaf.container.timeout = Some(std::time::Duration::from_secs(1));
    deaf.container.grace = std::time::Duration::from_millis(200);
    let main = deaf.ended().await;
    assert_eq!((main.stopped, main.ended.exit_code, main.ended.oom), (Some(StopReason::TimedOut), 137, false));
    // Podman's API takes mounts as lines with comma-separated fields.
    for name in ["a, \"b\"", "a:b"] {
        let mut odd = job(&format!("cat '/in/{name}'")).await;
        std::fs::write(odd.path(name), "text").unwrap();
        let source = odd.path(name).display().to_string();
        odd.container.binds.push(BindMount { source, target: format!("/in/{name}"), read_only: true, held: None });
        assert_eq!(odd.ended().await.ended.exit_code, 0, "{name}");
        assert_eq!(odd.text("_stdout.txt"), "text", "{name}");
    }
    let mut both = job("exit 0").await;
    both.container.binds[0].target = "/a:,b".to_owned();
    let why = both.run().await.main.unwrap_err().to_string();
    assert!(why.contains("rename"), "{why}");
    super::samples::is_measured(&engine).await;
    super::trouble::commands_that_cannot_begin_are_told(&engine).await;
}
