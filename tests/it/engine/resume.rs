//! Attempts that one `silo` process starts and another one finishes.

use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use silo::clock::Clock;
use silo::engine::docker::ContainerEngine;
use silo::engine::fetch::{PullPolicy, WantedImage};
use silo::engine::plan::request::{AttemptId, RunRequest};
use silo::engine::plan::{RunPlan, plan};
use silo::engine::run::folder::RunPaths;
use silo::engine::run::outputs::OutputRules;
use silo::engine::run::record::{AttemptRecord, Phase, PhaseRecord};
use silo::engine::run::removal_guard::KeepContainer;
use silo::engine::run::verdict::RunVerdict;
use silo::engine::run::{AttemptOutcome, AttemptRequest, execute};
use silo::engine::runtime::ContainerRuntime as _;
use silo::seed::model::SeedManifest;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::support::docker_engine::{self, DockerEngine, WAITS, there};
use crate::support::manifest::of_job;

/// A run whose folder is kept.
struct Kept {
    engine: DockerEngine,
    opened: ContainerEngine,
    manifest: SeedManifest,
    plan: RunPlan,
    folder: RunPaths,
    run: String,
    _root: TempDir,
}

impl Kept {
    async fn new(script: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let engine = docker_engine::engine().await;
        let run = format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let image = engine.script(&format!("resume-{run}"), script, &[]).await;
        let outputs = json!({"files": [{"name": "BEGUN", "mediaType": "text/plain", "pattern": "begun"}]});
        let manifest = of_job("waits", json!({"interface": {"outputs": outputs}}));
        let manifest = SeedManifest::parse(&manifest.to_string()).unwrap();
        let root = tempfile::tempdir().unwrap();
        let folder = RunPaths::new(root.path().join("run"));
        let mut request = RunRequest::new(image.parse().expect("a name"), folder.clone());
        request.network = silo::engine::plan::container::NetworkMode::None;
        request.attempt = Some(AttemptId { run: run.clone(), number: 1, host: "h".to_owned() });
        let plan = plan(&manifest, &request).unwrap();
        let opened = ContainerEngine::of(engine.open().await).await.unwrap();
        Self { engine, opened, manifest, plan, folder, run, _root: root }
    }

    /// The attempt as stored by the earlier process.
    fn before() -> AttemptRecord {
        let started = chrono::DateTime::UNIX_EPOCH;
        let phase = |name| PhaseRecord { name, started, finished: Some(started), message: None };
        AttemptRecord { phases: vec![phase(Phase::Pull), phase(Phase::Stage)], ..AttemptRecord::new(1, started) }
    }

    async fn execute(&self, resumed: Option<&AttemptRecord>, leave: &KeepContainer) -> AttemptOutcome {
        self.attempt(1, resumed, leave).await
    }

    async fn attempt(&self, number: u32, resumed: Option<&AttemptRecord>, leave: &KeepContainer) -> AttemptOutcome {
        let wanted = WantedImage {
            image: &self.plan.container.image,
            platform: None,
            policy: PullPolicy::Never,
            credentials: None,
        };
        let job = AttemptRequest {
            manifest: &self.manifest,
            plan: &self.plan,
            wanted,
            given: None,
            rules: OutputRules::default(),
            folder: &self.folder,
            engine: &self.opened,
            number,
            log_cap: 1 << 20,
            capture_limit: None,
            keep_free: 0,
            engine_away: None,
            must_match: false,
            resumed,
            leave,
        };
        let (tell, _) = mpsc::channel(1);
        execute(job, &Clock::system(), tell, &CancellationToken::new()).await.unwrap()
    }

    /// Starts the attempt, and leaves it like a process that stops: after the job has begun.
    async fn begin_and_leave(&self) {
        let (leave, begun) = (KeepContainer::default(), self.folder.output.join("begun"));
        // The future must live until `leave` is set; one created in `select!` would be dropped before.
        let mut going = std::pin::pin!(self.execute(None, &leave));
        tokio::select! {
            outcome = &mut going => panic!("it waits: {outcome:?}"),
            () = there(&begun) => leave.set(),
        }
    }

    fn log(&self, name: &str) -> String {
        fs::read_to_string(self.folder.attempt(1).join(name)).unwrap()
    }

    fn label(&self) -> String {
        format!("silo.run={}", self.run)
    }
}

fn names(outcome: &AttemptOutcome) -> Vec<Phase> {
    outcome.attempt.phases.iter().map(|phase| phase.name).collect()
}

#[tokio::test]
async fn a_container_that_was_left_is_taken_over() {
    let kept = Kept::new(WAITS).await;
    kept.begin_and_leave().await;
    assert_eq!(kept.engine.containers(&kept.label()).await.len(), 1, "it runs on");
    fs::write(kept.folder.output.join("go"), "").unwrap();
    let outcome = kept.execute(Some(&Kept::before()), &KeepContainer::default()).await;
    assert_eq!(outcome.verdict, RunVerdict::Successful);
    assert_eq!(names(&outcome), [Phase::Pull, Phase::Stage, Phase::Main, Phase::Capture]);
    assert_eq!(outcome.attempt.started, chrono::DateTime::UNIX_EPOCH);
    assert_eq!(kept.log("_stdout.txt"), "begun\ngone on\n", "from the beginning, and once");
    assert_eq!(fs::read_to_string(kept.folder.output.join("begun")).unwrap(), "once\n");
    assert_eq!(kept.engine.containers(&kept.label()).await, [""; 0]);
}

/// A container left by an earlier attempt would run beside the next one.
#[tokio::test]
async fn what_runs_on_of_an_earlier_attempt_is_removed_first() {
    let mut kept = Kept::new(WAITS).await;
    kept.begin_and_leave().await;
    let [earlier] = &kept.engine.containers(&kept.label()).await[..] else { panic!("it is left") };
    fs::remove_file(kept.folder.output.join("begun")).unwrap();
    kept.plan.container.labels.insert("silo.attempt".to_owned(), "2".to_owned());
    let leave = KeepContainer::default();
    let second = kept.attempt(2, None, &leave);
    let meanwhile = async {
        there(&kept.folder.output.join("begun")).await;
        let there = kept.engine.containers(&kept.label()).await;
        fs::write(kept.folder.output.join("go"), "").unwrap();
        there
    };
    let (outcome, there) = tokio::join!(second, meanwhile);
    assert!(there.len() == 1 && there[0] != *earlier, "{there:?}");
    assert_eq!(outcome.verdict, RunVerdict::Successful);
    assert_eq!(kept.engine.containers(&kept.label()).await, [""; 0]);
}

/// An engine may create a container some time after its silo died; by then the next process has created another one.
#[tokio::test]
async fn of_two_containers_the_one_that_was_begun_counts() {
    let kept = Kept::new(WAITS).await;
    kept.begin_and_leave().await;
    for _ in 0..3 {
        kept.opened.docker.create(&kept.plan.container).await.unwrap();
    }
    fs::write(kept.folder.output.join("go"), "").unwrap();
    let outcome = kept.execute(Some(&Kept::before()), &KeepContainer::default()).await;
    assert_eq!(outcome.verdict, RunVerdict::Successful);
    assert_eq!(fs::read_to_string(kept.folder.output.join("begun")).unwrap(), "once\n");
    assert_eq!(kept.engine.containers(&kept.label()).await, [""; 0]);
}

#[tokio::test]
async fn a_container_that_ended_meanwhile_is_asked_how() {
    let kept = Kept::new(&format!("{WAITS}; exit 3")).await;
    kept.begin_and_leave().await;
    fs::write(kept.folder.output.join("go"), "").unwrap();
    let [container] = &kept.engine.containers(&kept.label()).await[..] else { panic!("it is left") };
    kept.opened.docker.wait(container).await.unwrap();
    let outcome = kept.execute(Some(&Kept::before()), &KeepContainer::default()).await;
    assert_eq!(outcome.attempt.exit_code, Some(3));
    assert_eq!(kept.log("_stdout.txt"), "begun\ngone on\n");
    assert_eq!(kept.engine.containers(&kept.label()).await, [""; 0]);
}

#[tokio::test]
async fn a_job_that_has_ended_is_not_run_again() {
    let kept = Kept::new("echo out; echo once >>$OUTPUT_DIR/begun; exit 0").await;
    let first = kept.execute(None, &KeepContainer::default()).await;
    let again = kept.execute(Some(&Kept::before()), &KeepContainer::default()).await;
    assert_eq!((first.verdict, again.verdict), (RunVerdict::Successful, RunVerdict::Successful));
    assert_eq!(first.outputs, again.outputs);
    assert_eq!((again.attempt.stdout_bytes, kept.log("_stdout.txt").as_str()), (4, "out\n"));
    assert_eq!(fs::read_to_string(kept.folder.output.join("begun")).unwrap(), "once\n");
    // A new attempt does not take the result of the one before for its own.
    assert_eq!(kept.execute(None, &KeepContainer::default()).await.verdict, RunVerdict::Successful);
    assert_eq!(fs::read_to_string(kept.folder.output.join("begun")).unwrap(), "once\nonce\n");
}

#[tokio::test]
async fn what_was_not_begun_is_begun_and_what_is_lost_is_told() {
    let kept = Kept::new("echo once >>$OUTPUT_DIR/begun").await;
    let outcome = kept.execute(Some(&Kept::before()), &KeepContainer::default()).await;
    assert_eq!(outcome.verdict, RunVerdict::Successful);
    assert_eq!(names(&outcome), [Phase::Pull, Phase::Stage, Phase::Main, Phase::Capture], "its own");
    // As if the engine had lost the container of a job that had begun.
    fs::remove_file(kept.folder.attempt(1).join("ended.json")).unwrap();
    let outcome = kept.execute(Some(&Kept::before()), &KeepContainer::default()).await;
    let RunVerdict::Failed(error) = outcome.verdict else { panic!("{:?}", outcome.verdict) };
    assert_eq!((error.name.as_str(), error.retryable), ("docker-terminated", true));
    assert_eq!(fs::read_to_string(kept.folder.output.join("begun")).unwrap(), "once\n", "not done twice");
}

/// As if killed after the container was created, before or after its checkpoint; and repeatedly while the next process
/// waits for the engine to start it.
#[tokio::test]
async fn kills_in_a_row_do_not_keep_a_job_from_being_started() {
    const LIFE: Duration = Duration::from_secs(3);
    for is_marked in [true, false] {
        let kept = Kept::new("echo once >>$OUTPUT_DIR/begun").await;
        fs::create_dir_all(&kept.folder.output).unwrap();
        fs::create_dir_all(kept.folder.attempt(1)).unwrap();
        fs::write(kept.folder.context(), "{}").unwrap();
        let container = kept.opened.docker.create(&kept.plan.container).await.unwrap();
        if is_marked {
            fs::write(kept.folder.attempt(1).join("container"), container).unwrap();
        }
        let mut lives = 0..4;
        let outcome = loop {
            lives.next().expect("it never comes to the start");
            let (leave, before) = (KeepContainer::default(), Kept::before());
            let mut going = std::pin::pin!(kept.execute(Some(&before), &leave));
            tokio::select! {
                outcome = &mut going => break outcome,
                () = tokio::time::sleep(LIFE) => leave.set(),
            }
        };
        assert_eq!(outcome.verdict, RunVerdict::Successful, "{is_marked}");
        assert_eq!(fs::read_to_string(kept.folder.output.join("begun")).unwrap(), "once\n", "{is_marked}");
    }
}

#[tokio::test]
async fn another_manifest_in_the_label_is_refused() {
    let mut kept = Kept::new("exit 0").await;
    let labels = [("com.ngageoint.seed.manifest", r#"{"job": {"name": "other"}}"#)];
    kept.plan.container.image = kept.engine.script("resume-other", "exit 0", &labels).await.parse().unwrap();
    let wanted =
        WantedImage { image: &kept.plan.container.image, platform: None, policy: PullPolicy::Never, credentials: None };
    let job = AttemptRequest {
        manifest: &kept.manifest,
        plan: &kept.plan,
        wanted,
        given: None,
        rules: OutputRules::default(),
        folder: &kept.folder,
        engine: &kept.opened,
        number: 1,
        log_cap: 1 << 20,
        capture_limit: None,
        keep_free: 0,
        engine_away: None,
        must_match: true,
        resumed: None,
        leave: &KeepContainer::default(),
    };
    let (tell, _) = mpsc::channel(1);
    let outcome = execute(job, &Clock::system(), tell, &CancellationToken::new()).await.unwrap();
    let RunVerdict::Failed(error) = outcome.verdict else { panic!("{:?}", outcome.verdict) };
    assert_eq!((error.name.as_str(), error.retryable), ("manifest-differs", false));
    let value: Value = serde_json::to_value(&outcome.attempt).unwrap();
    assert_eq!(value["containerId"], Value::Null);
}
