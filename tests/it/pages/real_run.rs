//! Runs that forms start, on a real container engine; and forms that begin with an earlier run.

use std::sync::atomic::{AtomicU32, Ordering};

use http::Method;
use secrecy::SecretString;
use serde_json::{Value, json};
use silo::app::{NewUser, UserSession};
use silo::seed::LABEL;

use super::markup::{link, named};
use super::sent_form::{ChosenFile, FilledForm};
use super::{BROWSER, Browser, OWN};
use crate::support::app::{ADMIN, ADMIN_PASSWORD, Builder, Reply, TestApp};
use crate::support::docker_engine::{self, DockerEngine};
use crate::support::layout::LayoutBuilder;
use crate::support::manifest::of_job;
use crate::support::process::PATIENCE;

const SECRET: &str = "hunter2";
/// Copies its input, and tells the length of its secret and its value.
const COPIES: &str = "cat \"$FILE\" >$OUTPUT_DIR/copy.tif; echo ${#PASSWORD} $LEVEL >>$OUTPUT_DIR/told.txt";

/// A service with a job of two versions that its engine has, too.
struct Workshop {
    silo: TestApp,
    _engine: DockerEngine,
    name: String,
}

impl Workshop {
    async fn start(silo: Builder) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let engine = docker_engine::engine().await;
        let name = format!("form-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let silo = silo.set("SILO__RUNS__ENGINE", &engine.host).set("SILO__RUNS__NETWORK", "none").start().await;
        let mut layout = LayoutBuilder::oci();
        for version in ["1.0.0", "1.1.0"] {
            let manifest = of_job(
                &name,
                json!({
                    "jobVersion": version,
                    "timeout": 600,
                    "interface": {
                        "inputs": {
                            "files": [{"name": "FILE", "mediaTypes": ["image/tiff"]}],
                            "json": [{"name": "LEVEL", "type": "number"}],
                        },
                        "settings": [{"name": "PASSWORD", "secret": true}],
                        "outputs": {"files": [
                            {"name": "COPY", "mediaType": "image/tiff", "pattern": "copy.tif"},
                            {"name": "TOLD", "mediaType": "text/plain", "pattern": "told.txt"},
                        ]},
                    },
                }),
            );
            let label = manifest.to_string();
            let image = engine.script(&format!("{name}-{version}-seed:1.0.0"), COPIES, &[(LABEL, &label)]).await;
            layout.image(&image, &[(LABEL, &label)]);
        }
        let registry = silo.add_layout("disk", &layout).await;
        silo.scan(registry).await;
        Self { silo, _engine: engine, name }
    }

    fn path(&self, version: &str) -> String {
        format!("/job/{}/{version}/1.0.0/run", self.name)
    }

    async fn send(&self, browser: &Browser<'_>, path: &str, form: &FilledForm, files: &[ChosenFile<'_>]) -> Reply {
        let (content_type, body) = form.body(files);
        let headers =
            [("accept", BROWSER), ("cookie", browser.cookie.as_str()), OWN, ("content-type", content_type.as_str())];
        self.silo.anonymous().send(Method::POST, path, &headers, body).await
    }

    async fn admin(&self) -> UserSession {
        let token = format!("Token {}", self.silo.admin_token().await);
        self.silo.app.authenticate(Some(&token)).await.expect("the admin")
    }

    /// The record of the run that a reply leads to, after its end.
    async fn ended(&self, reply: Reply) -> Value {
        let id = reply.expect(303).header("location").strip_prefix("/run/").expect("the page of a run").to_owned();
        self.silo.app.run_wait(&self.admin().await, &id, PATIENCE).await.expect("the run is known");
        let run = self.silo.admin().get(&format!("/api/v1/runs/{id}")).await.expect(200).json();
        assert_eq!(run["status"], "successful", "{run:#}");
        run
    }

    /// The content of an output file.
    async fn output(&self, run: &Value, path: &str) -> String {
        let folder = self.silo.app.run_folder(&self.admin().await, run["id"].as_str().expect("an id")).await;
        let file = folder.expect("its files").file(path).expect("the file");
        std::fs::read_to_string(file.path).expect("a text")
    }

    async fn outputs(&self, media_type: &str) -> Vec<(String, String)> {
        let list = self.silo.admin().get(&format!("/api/v1/outputs?mediaType={media_type}")).await.expect(200).json();
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let items = list["items"].as_array().expect("a list").iter();
        items.map(|item| (text(&item["run"]), text(&item["file"]["path"]))).collect()
    }
}

async fn a_form_runs_a_job(silo: Builder) {
    let workshop = Workshop::start(silo).await;
    let silo = &workshop.silo;
    let browser = Browser::log_in(silo, ADMIN, ADMIN_PASSWORD).await;
    let path = workshop.path("1.0.0");
    let form = FilledForm::of(&browser.get(&path).await.expect(200).text, "run");
    let form =
        form.with("json.LEVEL", "0.5").with("setting.PASSWORD", SECRET).with("label", "from a form").with("do", "run");
    let scene = ChosenFile { field: "files.FILE", name: "scene.tif", content: b"a scene" };
    let run = workshop.ended(workshop.send(&browser, &path, &form, &[scene]).await).await;
    let id = run["id"].as_str().expect("an id").to_owned();
    assert_eq!((&run["label"], &run["owner"]), (&json!("from a form"), &json!(ADMIN)));
    assert_eq!(workshop.output(&run, "copy.tif").await, "a scene");
    assert_eq!(workshop.output(&run, "told.txt").await, "7 0.5\n");
    assert_eq!(workshop.outputs("image/tiff").await, [(id.clone(), "copy.tif".to_owned())]);
    assert_eq!(workshop.outputs("image/png").await, []);
    assert_eq!(workshop.outputs("").await.len(), 2);

    // Again with changes, also of the version: secret and file are taken over, the value is a new one.
    let from = format!("{}?from={id}", workshop.path("1.1.0"));
    let html = browser.get(&from).await.expect(200).text;
    let form = FilledForm::of(&html, "run");
    assert_eq!((form.values("source.FILE"), form.values("json.LEVEL")), (vec!["kept"], vec!["0.5"]));
    assert_eq!((form.values("setting.PASSWORD"), form.values("label")), (vec![""], vec!["from a form"]));
    assert!(
        html.contains("Empty: as in the earlier run.") && !html.contains("*****") && !html.contains(SECRET),
        "{html}"
    );
    assert_eq!(link(&html, "1.0.0, package 1.0.0"), format!("{path}?from={id}"));
    let checked = workshop.send(&browser, &from, &form.clone().with("do", "check"), &[]).await.expect(200);
    assert!(checked.text.contains("It can be run") && !checked.text.contains(SECRET), "{}", checked.text);
    let form = FilledForm::of(&checked.text, "run").with("json.LEVEL", "2").with("do", "run");
    let again = workshop.ended(workshop.send(&browser, &from, &form, &[]).await).await;
    assert_eq!((&again["rerunOf"], &again["job"]["jobVersion"]), (&json!(id), &json!("1.1.0")));
    assert_eq!(workshop.output(&again, "told.txt").await, "7 2\n");

    // An output of an earlier run; another secret.
    let html = browser.get(&path).await.expect(200).text;
    let option =
        named(&html, "option").into_iter().find(|it| it.text.starts_with("copy.tif, 7 B, COPY of from a form"));
    let output = option.unwrap_or_else(|| panic!("no such output: {html}")).value("value").to_owned();
    assert!(!html.contains("told.txt"), "a text is no image: {html}");
    let form = FilledForm::of(&html, "run").with("source.FILE", "output").with("output.FILE", &output);
    let form = form.with("json.LEVEL", "3").with("setting.PASSWORD", "four").with("do", "run");
    let third = workshop.ended(workshop.send(&browser, &path, &form, &[]).await).await;
    assert_eq!(workshop.output(&third, "told.txt").await, "4 3\n");
    assert!(third["rerunOf"].is_null());

    // The same once more is the same run.
    let reply = workshop.send(&browser, &path, &form.with("dedup", "yes"), &[]).await.expect(303);
    assert_eq!(reply.header("location"), format!("/run/{}", third["id"].as_str().expect("an id")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_form_runs_a_job_sqlite() {
    a_form_runs_a_job(TestApp::with()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_form_runs_a_job_postgres() {
    a_form_runs_a_job(TestApp::with().postgres()).await;
}

/// Secrets are for their owner, and for the job that they were given to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_takes_over_what_others_gave() {
    let workshop = Workshop::start(TestApp::with()).await;
    let silo = &workshop.silo;
    let rita =
        NewUser { username: "rita".into(), password: SecretString::from("a long enough one"), role: "runner".into() };
    silo.app.user_add(&rita).await.expect("a user");
    let rita = Browser::log_in(silo, "rita", "a long enough one").await;
    let path = workshop.path("1.0.0");
    let form = FilledForm::of(&rita.get(&path).await.expect(200).text, "run");
    let form = form.with("json.LEVEL", "1").with("setting.PASSWORD", SECRET).with("do", "run");
    let scene = ChosenFile { field: "files.FILE", name: "scene.tif", content: b"a scene" };
    let run = workshop.ended(workshop.send(&rita, &path, &form, &[scene]).await).await;
    let id = run["id"].as_str().expect("an id");

    // An admin sees the run, and gets its values, but neither its secret nor its files.
    let admin = Browser::log_in(silo, ADMIN, ADMIN_PASSWORD).await;
    let html = admin.get(&format!("{path}?from={id}")).await.expect(200).text;
    let form = FilledForm::of(&html, "run");
    assert_eq!((form.values("source.FILE"), form.values("json.LEVEL")), (vec!["upload"], vec!["1"]));
    let html =
        workshop.send(&admin, &path, &form.with("source.FILE", "kept").with("do", "run"), &[]).await.expect(400).text;
    assert_eq!(html.matches("needs this").count(), 4, "the file and the secret, at the top and beside: {html}");
    let kept = json!({"run": id, "files": ["FILE"], "settings": ["PASSWORD"]});
    let image = run["image"]["reference"].clone();
    let request = json!({"image": image, "json": {"LEVEL": 1}, "kept": kept});
    silo.admin().post("/api/v1/runs", request.clone()).await.expect(404);
    let hers = silo.authorized(&format!("Token {}", silo.login("rita", "a long enough one").await));
    let planned = hers.post("/api/v1/runs?dry_run=true", request.clone()).await.expect(200);
    assert!(!planned.text.contains(SECRET), "{}", planned.text);
    hers.post("/api/v1/batches", json!({"image": image, "kept": kept, "rows": [{}]})).await.expect(422);

    // A run that nobody may see.
    admin.get(&format!("{path}?from=none")).await.expect(404);
    // After the run's files are deleted, so are its secrets.
    hers.delete(&format!("/api/v1/runs/{id}")).await.expect(204);
    let gone = hers.post("/api/v1/runs?dry_run=true", request).await.expect(400);
    assert!(gone.error().contains("PASSWORD"), "{}", gone.text);
}
