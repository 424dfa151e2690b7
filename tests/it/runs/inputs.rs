//! Input files from every source; images that must be pulled; retention, and secrets.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use chrono::TimeDelta;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use silo::app::{
    Error, FileSpec, InputFile, RequestedImage, RunChange, RunForm, RunInputs, SettingValue, SubmitOutcome, UserSession,
};
use silo::catalog::{RunPhase, RunStatus};
use silo::engine::run::record::RunRecord;
use silo::seed::LABEL;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{Connection as _, Executor as _};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::support::app::TestApp;
use crate::support::docker_engine::{self, DockerEngine};
use crate::support::docker_registry::DockerRegistry;
use crate::support::file_server::{Answer, FileServer};
use crate::support::manifest::of_job;
use crate::support::process::PATIENCE;

/// A secret that must not appear in any file.
const SECRET: &str = "hunter2";
/// Copies its input and its metadata, and prints the length of its password.
const COPIES: &str =
    r#"cp "$FILE" $OUTPUT_DIR/copy; cp $INPUT_METADATA $OUTPUT_DIR/told.json; echo ${#PASSWORD} letters"#;

/// The service in this process with a manual clock, an engine, and a file server.
struct Service {
    silo: TestApp,
    session: UserSession,
    engine: DockerEngine,
    server: FileServer,
    /// Paths below `in` are allowed as inputs.
    roots: TempDir,
}

impl Service {
    async fn start() -> Self {
        let (engine, server) = (docker_engine::engine().await, FileServer::start().await);
        let roots = tempfile::tempdir().expect("a folder");
        fs::create_dir(roots.path().join("in")).expect("a folder");
        let silo = TestApp::with().manual_clock().set("SILO__RUNS__ENGINE", &engine.host);
        let silo = silo.set("SILO__HTTP__PUBLIC_URL", "https://silo.example.org/geo/");
        let silo = silo.set("SILO__RUNS__NETWORK", "none").set("SILO__RUNS__PRIVATE_HOSTS", "127.0.0.1");
        let silo = silo.set("SILO__RUNS__INPUT_ROOTS", &roots.path().join("in").display().to_string()).start().await;
        let token = format!("Token {}", silo.admin_token().await);
        let session = silo.app.authenticate(Some(&token)).await.expect("the admin");
        Self { silo, session, engine, server, roots }
    }

    /// An image of a job that copies its input.
    async fn image(&self) -> (String, String) {
        self.image_of(COPIES).await
    }

    /// An image of a job with the same inputs and outputs, and another script.
    async fn image_of(&self, script: &str) -> (String, String) {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("copies-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let manifest = of_job(
            &name,
            json!({
                "timeout": 600,
                "interface": {
                    "inputs": {"files": [{"name": "FILE"}]},
                    "settings": [{"name": "PASSWORD", "secret": true}],
                    "outputs": {"files": [{"name": "COPY", "mediaType": "image/tiff", "pattern": "copy"}]},
                },
            }),
        );
        let repository = format!("{name}-1.0.0-seed");
        let label = manifest.to_string();
        let image = self.engine.script(&format!("{repository}:1.0.0"), script, &[(LABEL, &label)]).await;
        (image, repository)
    }

    /// Uploads a file; returns its digest.
    async fn sends(&self, name: &str, content: &str) -> String {
        let body = futures_util::stream::iter([Ok::<_, std::io::Error>(Bytes::from(content.to_owned()))]);
        self.silo.app.upload(&self.session, name, None, body).await.expect("it is taken").sha256
    }

    fn form(image: &str, file: FileSpec) -> RunForm {
        RunForm {
            image: RequestedImage::Reference(image.to_owned()),
            inputs: RunInputs {
                files: vec![InputFile { input: "FILE".to_owned(), source: file }],
                settings: [("PASSWORD".to_owned(), SettingValue::Secret(SECRET.into()))].into(),
                ..RunInputs::default()
            },
            ..RunForm::default()
        }
    }

    async fn submit(&self, form: &RunForm) -> RunRecord {
        match self.silo.app.run_submit(&self.session, form).await.expect("it can be run") {
            SubmitOutcome::Queued(record) => *record,
            SubmitOutcome::Alike(run) => panic!("there is none that is alike: {run:?}"),
        }
    }

    /// The error for a file that cannot be used.
    async fn refused(&self, image: &str, file: FileSpec) -> String {
        match self.silo.app.run_submit(&self.session, &Self::form(image, file)).await {
            Err(Error::Unrunnable(problems)) => problems.iter().map(ToString::to_string).collect(),
            other => panic!("{other:?}"),
        }
    }

    async fn get(&self, id: &str) -> RunRecord {
        self.silo.app.run_get(&self.session, id).await.expect("the run is known")
    }

    /// Waits for a run's end.
    async fn ended(&self, id: &str) -> RunRecord {
        self.silo.app.run_wait(&self.session, id, PATIENCE).await.expect("the run is known");
        let record = self.get(id).await;
        assert!(record.status.is_final(), "it does not end: {record:#?}");
        record
    }

    /// Runs a form, and asserts success.
    async fn done(&self, form: &RunForm) -> RunRecord {
        let record = self.ended(&self.submit(form).await.id).await;
        assert_eq!(record.status, RunStatus::Successful, "{record:#?}");
        record
    }

    /// Waits until a run waits for its next attempt.
    async fn waiting(&self, mut record: RunRecord) -> RunRecord {
        let waits = async {
            while record.phase != RunPhase::RetryWait {
                assert!(!record.status.is_final(), "{record:#?}");
                record = self.silo.app.run_next(&self.session, &record).await.expect("the run is known");
            }
            record
        };
        tokio::time::timeout(PATIENCE, waits).await.expect("it fails in time")
    }

    /// Advances the clock, and asserts that no work is due.
    async fn nothing_is_due_in(&self, seconds: i64) -> bool {
        self.silo.clock.advance(TimeDelta::seconds(seconds));
        !self.silo.app.run_work(&CancellationToken::new()).await.expect("an answer")
    }

    fn turn(&self, by: TimeDelta) {
        self.silo.clock.advance(by);
        self.silo.app.signals().run_queued.notify_one();
    }

    /// Asserts that the secret is in none of the service's files: databases, records, logs, scripts.
    fn keeps_the_secret(&self) {
        let mut folders = vec![self.silo.folder().to_owned()];
        let mut files = 0;
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if let Ok(bytes) = fs::read(&path) {
                    files += 1;
                    let found = bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes());
                    assert!(!found, "it is in {}", path.display());
                }
            }
        }
        assert!(files > 8, "there is nothing to look at");
    }
}

fn output(record: &RunRecord) -> PathBuf {
    record.folder.as_ref().expect("a run has a folder").join("output")
}

/// The metadata that a job got for its only input file.
fn told(record: &RunRecord) -> Value {
    let text = fs::read_to_string(output(record).join("told.json")).unwrap();
    let all: Value = serde_json::from_str(&text).unwrap();
    all["JOB"]["FILE"][0].clone()
}

fn by_url(url: String, sha256: Option<String>) -> FileSpec {
    FileSpec::Url { url: url.into(), sha256, name: None }
}

fn output_of(run: &str, output: &str) -> FileSpec {
    FileSpec::Output { run: run.to_owned(), output: Some(output.to_owned()), file: None, name: None }
}

fn error(record: &RunRecord) -> &str {
    record.error.as_ref().map_or("", |error| &error.name)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_cannot_be_fetched_now_is_fetched_later() {
    let service = Service::start().await;
    let (image, _) = service.image().await;
    let path = "/data/scene%20one.tif?signature=hunter2";
    let failing = Answer::new("500 Oh", "", "hunter2");
    service.server.put(path, [failing.clone(), failing, Answer::file("a scene")]);
    let sha256 = hex::encode(Sha256::digest("a scene"));
    let form = Service::form(&image, by_url(service.server.url(path), Some(sha256)));
    let record = service.waiting(service.submit(&form).await).await;
    assert_eq!((error(&record), record.will_retry, record.max_tries), ("input-fetch", true, 3));
    assert_eq!((record.status, record.attempts.len()), (RunStatus::Running, 1));
    assert!(service.nothing_is_due_in(4).await, "five seconds are to be waited");
    service.turn(TimeDelta::seconds(1));
    let id = record.id.clone();
    let record = service.waiting(service.silo.app.run_next(&service.session, &record).await.unwrap()).await;
    assert_eq!(record.attempts.len(), 2);
    assert!(service.nothing_is_due_in(14).await, "three times as long as before");
    service.turn(TimeDelta::seconds(1));
    let record = service.ended(&id).await;
    assert_eq!((record.status, record.attempts.len()), (RunStatus::Successful, 3), "{record:#?}");
    assert_eq!(fs::read_to_string(output(&record).join("copy")).unwrap(), "a scene");
    let told = told(&record);
    assert_eq!(told["url"], service.server.url("/data/scene%20one.tif"));
    assert_eq!((&told["file_name"], &told["file_type"]), (&json!("scene one.tif"), &json!("SOURCE")));
    service.keeps_the_secret();

    // With the stored secrets, which need not be given again.
    let again = service.silo.app.run_rerun(&service.session, &id, &RunChange::default()).await.unwrap();
    assert_eq!(service.ended(&again.id).await.status, RunStatus::Successful);
    service.silo.app.run_delete(&service.session, &id).await.unwrap();
    let gone = service.silo.app.run_rerun(&service.session, &id, &RunChange::default()).await.unwrap_err().to_string();
    assert!(gone.contains("PASSWORD, FILE"), "{gone}");
    service.keeps_the_secret();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_will_never_be_there_is_tried_once() {
    let service = Service::start().await;
    let (image, _) = service.image().await;
    service.server.put("/other", [Answer::file("something else")]);
    let wrong = hex::encode(Sha256::digest("a scene"));
    for (url, sha256, part) in [
        (service.server.url("/nothing"), None, "answers 404"),
        (service.server.url("/other"), Some(wrong), "is expected"),
        ("http://192.168.77.1/a".to_owned(), None, "runs.private_hosts"),
        ("http://169.254.169.254/latest".to_owned(), None, "runs.private_hosts"),
    ] {
        let form = Service::form(&image, by_url(url.clone(), sha256));
        let record = service.ended(&service.submit(&form).await.id).await;
        assert_eq!((record.status, record.attempts.len(), record.will_retry), (RunStatus::Failed, 1, false), "{url}");
        assert_eq!(error(&record), "missing-file", "{url}");
        assert!(record.message.contains(part) || format!("{:?}", record.error).contains(part), "{record:#?}");
    }
    for url in ["ftp://127.0.0.1/a", "no address", "http://", "file:///etc/passwd", "http://ada:hunter2@127.0.0.1/a"] {
        let why = service.refused(&image, by_url(url.to_owned(), None)).await;
        assert!(why.contains("FILE") && !why.contains(SECRET), "{why}");
    }
    service.keeps_the_secret();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_run_left_is_given_to_another() {
    let service = Service::start().await;
    let (image, _) = service.image().await;
    service.server.put("/scene.tif", [Answer::file("a scene")]);
    let first = service.done(&Service::form(&image, by_url(service.server.url("/scene.tif"), None))).await;
    let of = |output: &str| output_of(&first.id, output);
    let second = service.done(&Service::form(&image, of("COPY"))).await;
    assert_eq!(fs::read_to_string(output(&second).join("copy")).unwrap(), "a scene");
    let told = told(&second);
    assert_eq!((&told["file_type"], &told["job_output"]), (&json!("PRODUCT"), &json!("COPY")));
    assert_eq!((&told["run"], &told["workspace"]), (&json!(first.id), &json!({"id": 2, "name": "runs"})));
    assert!(told["id"].is_u64() && told["job"].is_u64(), "Scale's are numbers: {told:#}");
    assert_eq!(told["url"], format!("https://silo.example.org/geo/api/v1/runs/{}/files/copy", first.id));
    assert_eq!(told["sha256"], hex::encode(Sha256::digest("a scene")));

    assert!(service.refused(&image, of("NOTHING")).await.contains("no such output"));
    let unknown = output_of("no such", "COPY");
    assert!(service.refused(&image, unknown).await.contains("no run"));
    let unclear = service.refused(&image, FileSpec::Unclear).await;
    assert!(unclear.contains("exactly one of upload, url, run and path"), "{unclear}");
    let link = output(&first).join("copy");
    fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", &link).unwrap();
    assert!(service.refused(&image, of("COPY")).await.contains("no longer exists"));
    service.silo.app.run_delete(&service.session, &first.id).await.unwrap();
    assert!(service.refused(&image, of("COPY")).await.contains("were deleted"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_of_the_server_only_below_its_roots() {
    let service = Service::start().await;
    let (image, _) = service.image().await;
    let (inside, outside) = (service.roots.path().join("in/scene.tif"), service.roots.path().join("out.tif"));
    fs::write(&inside, "a scene").unwrap();
    fs::write(&outside, "no scene").unwrap();
    let link = service.roots.path().join("in/link");
    std::os::unix::fs::symlink("../out.tif", &link).unwrap();
    let at = |path: &Path| FileSpec::Path { path: path.to_owned(), name: None };
    let record = service.done(&Service::form(&image, at(&inside))).await;
    assert_eq!(fs::read_to_string(output(&record).join("copy")).unwrap(), "a scene");
    let missing = service.roots.path().join("in/nothing");
    for path in [&*outside, &*link, &*missing, &*service.roots.path().join("in/../out.tif"), Path::new("in/scene.tif")]
    {
        let why = service.refused(&image, at(path)).await;
        assert!(why.contains("not in a folder that runs may use"), "{}: {why}", path.display());
    }
}

/// Metadata that a job writes for its input belongs to the file: later jobs get it, whichever run created the file.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_job_says_of_an_input_travels_with_it() {
    let service = Service::start().await;
    let (image, _) = service.image().await;
    let says = r#"cp "$FILE" $OUTPUT_DIR/copy; cp $INPUT_METADATA $OUTPUT_DIR/told.json
        echo '{"type": "Feature", "geometry": {"type": "Point", "coordinates": [7, 8]},
            "properties": {"dataTypes": ["ice"], "sourceSensor": "S1", "own": 1}}' >$OUTPUT_DIR/FILE.metadata.json"#;
    let (says, _) = service.image_of(says).await;
    let upload = service.sends("scene.tif", "a scene").await;
    let file = FileSpec::Upload { sha256: upload.clone(), name: None };

    let before = told(&service.done(&Service::form(&image, file.clone())).await);
    assert_eq!((&before["data_type_tags"], &before["geometry"]), (&json!([]), &json!(null)));
    assert_eq!(before["workspace"], json!({"id": 1, "name": "uploads"}));
    let url = before["url"].as_str().unwrap();
    assert_eq!(url, format!("https://silo.example.org/geo/api/v1/uploads/{upload}"));
    let path = url.strip_prefix("https://silo.example.org/geo").unwrap();
    let reply = service.silo.admin().get(path).await.expect(200);
    assert_eq!(reply.text, "a scene");
    service.silo.anonymous().get(path).await.expect(401);

    let parsed = service.done(&Service::form(&says, file.clone())).await;
    let after = service.done(&Service::form(&image, file)).await;
    let told_after = told(&after);
    assert_eq!(
        (&told_after["data_type_tags"], &told_after["source_sensor"], &told_after["meta_data"]["own"]),
        (&json!(["ice"]), &json!("S1"), &json!(1)),
        "{told_after:#}"
    );
    assert!(told_after["geometry"].as_str().unwrap().contains("7 8"), "{told_after:#}");
    let shown = service.silo.admin().get(&format!("/api/v1/runs/{}", after.id)).await.expect(200).json();
    assert_eq!(shown["given"]["files"][0]["files"][0]["metadata"]["dataTypes"], json!(["ice"]), "{shown:#}");

    // Also for an output: here the copy, which has the same content.
    let outputs = service.silo.admin().get(&format!("/api/v1/runs/{}/outputs", parsed.id)).await.expect(200).json();
    assert_eq!(outputs["files"][0]["files"][0]["metadata"]["sourceSensor"], "S1", "{outputs:#}");

    // In a chain, every job gets the metadata of the first input.
    let of = |run: &RunRecord| output_of(&run.id, "COPY");
    let second = service.done(&Service::form(&image, of(&after))).await;
    let third = service.done(&Service::form(&image, of(&second))).await;
    for run in [&second, &third] {
        let document: Value =
            serde_json::from_str(&fs::read_to_string(output(run).join("told.json")).unwrap()).unwrap();
        assert_eq!(document["RECIPE"]["FILE"][0]["workspace"]["name"], "uploads", "{document:#}");
        assert_eq!(document["JOB"]["FILE"][0]["meta_data"]["own"], 1, "{document:#}");
    }
    let first: Value = serde_json::from_str(&fs::read_to_string(output(&after).join("told.json")).unwrap()).unwrap();
    assert!(first.get("RECIPE").is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_kept_long_enough_goes() {
    let service = Service::start().await;
    let (image, _) = service.image().await;
    let (app, session) = (&service.silo.app, &service.session);
    let body = || futures_util::stream::iter(["a ", "scene"].map(|it| Ok::<_, std::io::Error>(Bytes::from(it))));
    let upload = app.upload(session, "scene.tif", None, body()).await.unwrap();
    let file = FileSpec::Upload { sha256: upload.sha256.clone(), name: None };
    let form = Service::form(&image, file.clone());
    let record = service.done(&form).await;
    assert_eq!(fs::read_to_string(output(&record).join("copy")).unwrap(), "a scene");
    assert_eq!(told(&record)["file_name"], "scene.tif");
    service.keeps_the_secret();
    let bytes = service.silo.folder().join("data/uploads").join(&upload.sha256[..2]).join(&upload.sha256);
    assert!(bytes.is_file(), "{}", bytes.display());

    let days = async |days| {
        service.silo.clock.advance(TimeDelta::days(days));
        app.clean_up().await.unwrap();
    };
    days(6).await;
    assert!(bytes.is_file() && output(&record).is_dir());
    days(2).await;
    assert!(!bytes.exists(), "nobody has used it for a week");
    assert!(service.refused(&image, file).await.contains("no upload"));
    assert!(output(&record).is_dir());
    days(23).await;
    let root = record.folder.clone().unwrap();
    assert!(!root.exists(), "a month");
    let summary = app.run_summary(session, &record.id).await.unwrap();
    assert_eq!((summary.status, summary.purged_at), (RunStatus::Successful, Some(service.silo.clock.now())));
    days(336).await;
    let gone = app.run_get(session, &record.id).await;
    assert!(matches!(gone, Err(Error::NotFound(_))), "{gone:?}");
}

/// Another silo on the same database does not have the folder, and only marks the run as purged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_silo_was_asked_to_throw_away_goes() {
    let service = Service::start().await;
    let (image, _) = service.image().await;
    fs::write(service.roots.path().join("in/scene.tif"), "a scene").unwrap();
    let file = FileSpec::Path { path: service.roots.path().join("in/scene.tif"), name: None };
    let form = Service::form(&image, file);
    let (gone, kept) = (service.done(&form).await, service.done(&form).await);
    let database = SqliteConnectOptions::new().filename(service.silo.folder().join("data/silo.db"));
    let mut database = SqliteConnection::connect_with(&database).await.unwrap();
    let purge = sqlx::query("UPDATE runs SET purged_at = finished_at WHERE id = ?").bind(&gone.id);
    assert_eq!(purge.execute(&mut database).await.unwrap().rows_affected(), 1);
    service.silo.app.clean_up().await.unwrap();
    assert!(!output(&gone).exists() && output(&kept).is_dir());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_of_the_catalogue_is_pulled_with_its_registrys_password() {
    let service = Service::start().await;
    let registry = DockerRegistry::htpasswd("robot", SECRET).await;
    let (image, repository) = service.image().await;
    let pushed = format!("{}/geo/{repository}", registry.host());
    service.engine.push(&image, &format!("{pushed}:1.0.0"), Some(("robot", SECRET))).await;
    service.engine.remove_image(&image).await;
    let form = json!({"name": "geo", "url": registry.url(), "org": "geo", "username": "robot", "password": SECRET});
    let added = service.silo.admin().post("/registries/add", form).await.expect(201);
    service.silo.scan(added.json()["ID"].as_i64().unwrap()).await;
    fs::write(service.roots.path().join("in/scene.tif"), "a scene").unwrap();
    let file = FileSpec::Path { path: service.roots.path().join("in/scene.tif"), name: None };
    let form = Service::form(&format!("{pushed}:1.0.0"), file);

    // The catalogue has another manifest than the image: what was validated is not what would run.
    let database = SqliteConnectOptions::new().filename(service.silo.folder().join("data/silo.db"));
    let mut database = SqliteConnection::connect_with(&database).await.unwrap();
    let swap = "UPDATE contents SET manifest = replace(manifest, 'image/tiff', 'image/png')";
    assert_eq!(database.execute(swap).await.unwrap().rows_affected(), 1);
    let record = service.ended(&service.submit(&form).await.id).await;
    assert_eq!((error(&record), record.attempts.len()), ("manifest-differs", 1), "{record:#?}");
    assert!(!output(&record).join("copy").exists(), "nothing was run");
    let back = "UPDATE contents SET manifest = replace(manifest, 'image/png', 'image/tiff')";
    database.execute(back).await.unwrap();

    let record = service.done(&form).await;
    assert_eq!(fs::read_to_string(output(&record).join("copy")).unwrap(), "a scene");
    let digest = record.image.digest.clone().expect("the catalogue knows it");
    assert!(digest.starts_with("sha256:") && record.container.to_string().contains(&digest), "{record:#?}");
    service.keeps_the_secret();
    service.engine.remove_image(&format!("{pushed}@{digest}")).await;
}
