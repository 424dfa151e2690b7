//! `/job/…/run`: the form of a run, what a check of it says, and who may send it.

use http::Method;
use secrecy::SecretString;
use serde_json::{Value, json};
use silo::app::NewUser;
use silo::seed::LABEL;

use super::hostile::{TEXTS, structure};
use super::markup::{StartTag, heading, link, links, named};
use super::sent_form::{ChosenFile, FilledForm};
use super::{BROWSER, Browser, OWN, page};
use crate::support::app::{ADMIN, ADMIN_PASSWORD, Reply, TestApp, USER, USER_PASSWORD, manifest};
use crate::support::fake_registry::{FakeRegistry, Image};

const PATH: &str = "/job/thresholds/1.0.0/1.0.0/run";
const SECRET: &str = "hunter2";

/// A job with inputs of every kind.
fn thresholds() -> Value {
    let mut whole = manifest("thresholds", "1.0.0", "1.0.0");
    whole["job"]["title"] = json!("Thresholds");
    whole["job"]["interface"] = json!({
        "command": "run ${SCENE} ${LEVEL} ${TOKEN} ${OUTPUT_DIR}",
        "inputs": {
            "files": [{"name": "SCENE", "mediaTypes": ["image/tiff"]}, {"name": "MASKS", "multiple": true, "required": false}],
            "json": [{"name": "LEVEL", "type": "number"}, {"name": "COUNT", "type": "integer", "required": false},
                {"name": "INVERT", "type": "boolean", "required": false}, {"name": "BANDS", "type": "array", "required": false},
                {"name": "WORDS", "type": "object", "required": false}, {"name": "NOTE", "type": "string", "required": false}],
        },
        "settings": [{"name": "HOST"}, {"name": "TOKEN", "secret": true}],
    });
    whole
}

/// A service with these jobs in a registry.
async fn with_jobs(silo: TestApp, jobs: &[Value]) -> (TestApp, FakeRegistry) {
    silo.admin_token().await;
    let registry = FakeRegistry::start().await;
    for job in jobs {
        let repository = format!("geo/{}-1.0.0-seed", job["job"]["name"].as_str().expect("a name").to_lowercase());
        registry.push(&repository, "1.0.0", &Image::new().label(LABEL, job.to_string()));
    }
    let form = json!({"name": "hub", "url": registry.url(), "include": ["*"]});
    let added = silo.admin().post("/api/v1/registries", form).await.expect(201).json();
    silo.scan(added["id"].as_i64().expect("an id")).await;
    (silo, registry)
}

async fn service() -> (TestApp, FakeRegistry) {
    with_jobs(TestApp::start().await, &[thresholds()]).await
}

/// Sends a form with a browser's headers.
async fn send(browser: &Browser<'_>, path: &str, form: &FilledForm, files: &[ChosenFile<'_>]) -> Reply {
    send_with(browser, path, form, files, &[OWN]).await
}

async fn send_with(
    browser: &Browser<'_>,
    path: &str,
    form: &FilledForm,
    files: &[ChosenFile<'_>],
    headers: &[(&str, &str)],
) -> Reply {
    let (content_type, body) = form.body(files);
    let own = [("accept", BROWSER), ("cookie", browser.cookie.as_str()), ("content-type", content_type.as_str())];
    let headers: Vec<(&str, &str)> = own.into_iter().chain(headers.iter().copied()).collect();
    browser.silo.anonymous().send(Method::POST, path, &headers, body).await
}

/// A form that lacks nothing.
fn complete(form: FilledForm) -> FilledForm {
    let form = form.with("source.SCENE", "url").with("url.SCENE", "https://data.example.org/scene.tif");
    form.with("json.LEVEL", "0.5").with("setting.HOST", "db").with("setting.TOKEN", SECRET).with("do", "check")
}

/// The texts of the problems beside fields.
fn wrongs(html: &str) -> Vec<String> {
    named(html, "p").into_iter().filter(|tag| tag.has_class("wrong")).map(|tag| tag.text).collect()
}

fn input<'t>(tags: &'t [StartTag], name: &str) -> &'t StartTag {
    tags.iter().find(|tag| tag.value("name") == name).unwrap_or_else(|| panic!("no field {name}"))
}

async fn uploads(silo: &TestApp) -> Value {
    silo.admin().get("/api/v1/uploads").await.expect(200).json()["items"].clone()
}

#[tokio::test]
async fn a_form_is_made_from_the_manifest() {
    let (silo, _registry) = service().await;
    let browser = Browser::log_in(&silo, ADMIN, ADMIN_PASSWORD).await;
    let job = browser.get("/job/thresholds").await.expect(200);
    assert_eq!(link(&job.text, "Run"), PATH);
    let html = browser.get(PATH).await.expect(200).text;
    assert_eq!(heading(&html), "Run Thresholds");
    let form = FilledForm::of(&html, "run");
    assert_eq!(form.0[0].0, "token", "so that it is checked before files are stored");
    let fields: Vec<StartTag> = ["input", "textarea", "select"].iter().flat_map(|name| named(&html, name)).collect();
    let file = input(&fields, "files.SCENE");
    assert_eq!((file.value("type"), file.value("accept")), ("file", "image/tiff,.tif"));
    assert!(!file.attributes.contains_key("multiple"));
    assert!(input(&fields, "files.MASKS").attributes.contains_key("multiple"));
    assert_eq!(input(&fields, "files.MASKS").value("accept"), "");
    let sources: Vec<&str> =
        fields.iter().filter(|tag| tag.value("name") == "source.SCENE").map(|tag| tag.value("value")).collect();
    assert_eq!(sources, ["upload", "url"], "no uploads, no outputs, and no folders of the server yet");
    assert_eq!(form.values("source.SCENE"), ["upload"]);
    for (name, element) in [("LEVEL", "input"), ("INVERT", "select"), ("BANDS", "textarea"), ("NOTE", "textarea")] {
        assert_eq!(input(&fields, &format!("json.{name}")).name, element, "{name}");
    }
    assert_eq!(input(&fields, "json.COUNT").value("inputmode"), "numeric");
    assert_eq!(input(&fields, "setting.TOKEN").value("type"), "password");
    assert_eq!(input(&fields, "setting.HOST").value("type"), "text");
    // Every field has a label.
    let labels: Vec<StartTag> = named(&html, "label");
    for field in
        fields.iter().filter(|tag| tag.name != "input" || !matches!(tag.value("type"), "hidden" | "radio" | "checkbox"))
    {
        let id = field.value("id");
        let has_label = !id.is_empty() && labels.iter().any(|label| label.value("for") == id);
        assert!(has_label || !field.value("aria-label").is_empty(), "{field:?}");
    }
}

#[tokio::test]
async fn who_may_not_run_jobs_is_told_why() {
    let (silo, _registry) = service().await;
    silo.user_token().await;
    let stranger = page(&silo, PATH).await.expect(200).text;
    assert_eq!(link(&stranger, "Log in to run it"), format!("/session?next={}", PATH.replace('/', "%2F")));
    assert_eq!(named(&stranger, "form").len(), 1, "only the search: {stranger}");
    let user = Browser::log_in(&silo, USER, USER_PASSWORD).await;
    let html = user.get(PATH).await.expect(200).text;
    assert!(html.contains("needs the role runner"), "{html}");
    let form = FilledForm(vec![("token".to_owned(), user.token().await), ("do".to_owned(), "run".to_owned())]);
    send(&user, PATH, &form, &[]).await.expect(403);
}

#[tokio::test]
async fn everything_that_is_wrong_is_told_at_once_and_beside_its_field() {
    let (silo, _registry) = service().await;
    let browser = Browser::log_in(&silo, ADMIN, ADMIN_PASSWORD).await;
    let form = FilledForm::of(&browser.get(PATH).await.expect(200).text, "run");
    let wrong = [
        ("json.LEVEL", "high"),
        ("json.COUNT", "1.5"),
        ("json.INVERT", "perhaps"),
        ("json.BANDS", "{\"a\": <b>}"),
        ("json.WORDS", "[1]"),
        ("setting.TOKEN", SECRET),
        ("label", &"l".repeat(201)),
        ("timeoutSeconds", "soon"),
        ("maxTries", "11"),
        ("priority", "10"),
    ];
    for action in ["check", "run"] {
        let filled = wrong.iter().fold(form.clone(), |form, (name, value)| form.with(name, value)).with("do", action);
        let html = send(&browser, PATH, &filled, &[]).await.expect(400).text;
        let told = wrongs(&html);
        assert_eq!(told.len(), 11, "{told:#?}");
        for words in [
            "needs this input. Give it a file",
            "of the type number",
            "with a fraction",
            "of the type boolean",
            "of the type array",
            "it is an array",
            "needs this setting",
            "at most 200",
            "a whole number",
            "1 to 10",
            "0 to 9",
        ] {
            assert!(told.iter().any(|text| text.contains(words)), "{words}: {told:#?}");
        }
        // Each is listed at the top, too, with a link to its field.
        let targets: Vec<String> = named(&html, "a")
            .iter()
            .map(|a| a.value("href").to_owned())
            .filter(|href| href.starts_with('#') && href != "#main")
            .collect();
        assert_eq!(targets.len(), 11, "{targets:?}");
        for target in targets {
            assert!(html.contains(&format!("id=\"{}\"", &target[1..])), "{target}");
        }
        // What was typed stays, but no secret.
        let again = FilledForm::of(&html, "run");
        for (name, value) in wrong.iter().filter(|(name, _)| *name != "setting.TOKEN") {
            assert_eq!(again.values(name), [*value], "{name}");
        }
        assert!(!html.contains(SECRET), "{html}");
    }
    assert_eq!(silo.admin().get("/api/v1/runs").await.expect(200).json()["total"], 0);
}

#[tokio::test]
async fn a_checked_form_shows_the_plan_and_the_same_as_commands() {
    let silo = TestApp::with().set("SILO__HTTP__PUBLIC_URL", "https://geo.example.org/silo/").start().await;
    let (silo, registry) = with_jobs(silo, &[thresholds()]).await;
    let browser = Browser::log_in(&silo, ADMIN, ADMIN_PASSWORD).await;
    let html = browser.get(PATH).await.expect(200).text;
    let action = named(&html, "form").into_iter().find(|form| form.value("id") == "run").expect("the form");
    assert_eq!(action.value("action"), format!("/silo{PATH}"));
    let form = complete(FilledForm::of(&html, "run")).with("source.SCENE", "upload").with("tags", "a b, c");
    let scene = ChosenFile { field: "files.SCENE", name: "scene \u{e9}.tif", content: b"a scene" };
    let html = send(&browser, PATH, &form, &[scene]).await.expect(200).text;
    assert!(html.contains("It can be run"), "{html}");
    assert!(!html.contains(SECRET), "{html}");
    assert!(html.contains("<pre class=\"plain\"><code>run /seed/in/SCENE/scene"), "{html}");
    let sha256 = uploads(&silo).await[0]["sha256"].as_str().expect("a digest").to_owned();
    let shown: Vec<String> = named(&html, "code").into_iter().map(|tag| tag.text).collect();
    let submit = shown.iter().find(|text| text.starts_with("silo runs submit")).expect("the command");
    assert!(submit.contains(&format!("-i SCENE=sha256:{sha256}")) && submit.contains("-j LEVEL=0.5"), "{submit}");
    assert!(submit.contains("--tag 'a b' \\\n  --tag c") && submit.contains("-e TOKEN='*****'"), "{submit}");
    let image = format!("{}/geo/thresholds-1.0.0-seed:1.0.0", registry.host());
    assert!(submit.contains(&image), "{submit}");
    let curl = shown.iter().find(|text| text.starts_with("curl")).expect("the command");
    assert!(curl.contains("https://geo.example.org/silo/api/v1/runs") && curl.contains(&sha256), "{curl}");
    assert!(shown.iter().any(|text| text.starts_with("docker run ") && text.contains("--env TOKEN ")), "{shown:?}");

    // The file is sent once: the page has it from then on.
    let again = FilledForm::of(&html, "run");
    assert_eq!(again.values("sent.SCENE").len(), 1);
    let html =
        send(&browser, PATH, &again.with("setting.TOKEN", SECRET).with("do", "check"), &[]).await.expect(200).text;
    assert!(html.contains("It can be run"), "{html}");
    // Another file takes its place, and the earlier one can be chosen among the uploads.
    let again = FilledForm::of(&html, "run").with("setting.TOKEN", SECRET).with("do", "check");
    let other = ChosenFile { field: "files.SCENE", name: "other.tif", content: b"another" };
    let html = send(&browser, PATH, &again, &[other]).await.expect(200).text;
    let again = FilledForm::of(&html, "run");
    assert_eq!(again.values("sent.SCENE").len(), 1);
    assert!(again.values("sent.SCENE")[0].contains("other.tif"), "{again:?}");
    let options: Vec<String> = named(&html, "option").into_iter().map(|option| option.text).collect();
    assert!(options.iter().any(|text| text.starts_with("scene \u{e9}.tif, 7 B")), "{options:?}");
    let uploaded = format!("{{\"upload\":\"{sha256}\",\"name\":\"scene \u{e9}.tif\"}}");
    let again = again.with("source.SCENE", "uploaded").with("uploaded.SCENE", &uploaded).with("setting.TOKEN", SECRET);
    let html = send(&browser, PATH, &again.with("do", "check"), &[]).await.expect(200).text;
    assert_eq!(FilledForm::of(&html, "run").values("uploaded.SCENE"), [uploaded.as_str()]);
    assert_eq!(silo.admin().get("/api/v1/runs").await.expect(200).json()["total"], 0, "checks run nothing");
}

#[tokio::test]
async fn files_of_other_sources_and_bad_ones_are_not_stored() {
    let silo = TestApp::with().set("SILO__RUNS__UPLOAD_MIB", "1").start().await;
    let (silo, _registry) = with_jobs(silo, &[thresholds()]).await;
    let browser = Browser::log_in(&silo, ADMIN, ADMIN_PASSWORD).await;
    let form = complete(FilledForm::of(&browser.get(PATH).await.expect(200).text, "run"));
    let scene = ChosenFile { field: "files.SCENE", name: "scene.tif", content: b"a scene" };
    // The source is an address; and there is no input of the other name.
    send(&browser, PATH, &form, &[scene]).await.expect(200);
    let nothing_chosen = ChosenFile { field: "files.MASKS", name: "", content: b"" };
    send(&browser, PATH, &form, &[nothing_chosen]).await.expect(200);
    let form = form.with("source.SCENE", "upload");
    let long = vec![0; 1024 * 1024 + 1];
    for (name, content, words) in
        [("scene.tif", long.as_slice(), "runs.upload_mib"), ("a/b", b"x".as_slice(), "without slashes")]
    {
        let html =
            send(&browser, PATH, &form, &[ChosenFile { field: "files.SCENE", name, content }]).await.expect(400).text;
        assert!(wrongs(&html).iter().any(|text| text.contains(words)), "{words}: {html}");
    }
    assert_eq!(uploads(&silo).await, json!([]));
    let several = ["a.tif", "b.tif"].map(|name| ChosenFile { field: "files.MASKS", name, content: name.as_bytes() });
    let html = send(&browser, PATH, &form.with("source.SCENE", "url"), &several).await.expect(200).text;
    assert_eq!(FilledForm::of(&html, "run").values("sent.MASKS").len(), 2);
    assert_eq!(uploads(&silo).await.as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn a_form_of_another_site_stores_and_runs_nothing() {
    let (silo, _registry) = service().await;
    let browser = Browser::log_in(&silo, ADMIN, ADMIN_PASSWORD).await;
    let form = complete(FilledForm::of(&browser.get(PATH).await.expect(200).text, "run"));
    let form = form.with("source.SCENE", "upload");
    let scene = [ChosenFile { field: "files.SCENE", name: "scene.tif", content: b"a scene" }];
    let other_site = ("sec-fetch-site", "cross-site");
    send_with(&browser, PATH, &form, &scene, &[other_site]).await.expect(403);
    let without = form.clone().without("token");
    for forged in [without.clone(), form.clone().with("token", "wrong"), FilledForm(Vec::new())] {
        send(&browser, PATH, &forged, &scene).await.expect(403);
        // Behind a proxy that strips both headers the token is the only proof.
        send_with(&browser, PATH, &forged, &scene, &[]).await.expect(403);
    }
    // It must be the first field, so that nothing is stored before it is read.
    let mut last = without;
    last.0.push(form.0[0].clone());
    send(&browser, PATH, &last, &scene).await.expect(403);
    assert_eq!(uploads(&silo).await, json!([]));
    send_with(&browser, PATH, &form, &scene, &[]).await.expect(200);
    assert_eq!(uploads(&silo).await.as_array().map(Vec::len), Some(1));
    // Other bodies are no form, and texts have a limit.
    let headers = [("accept", BROWSER), ("cookie", browser.cookie.as_str()), OWN, ("content-type", "text/plain")];
    silo.anonymous().send(Method::POST, PATH, &headers, b"do=run".to_vec()).await.expect(403);
    let long = form.with("json.NOTE", &"x".repeat(2 * 1024 * 1024));
    send(&browser, PATH, &long, &[]).await.expect(413);
}

#[tokio::test]
async fn hostile_manifests_change_no_structure_of_the_form() {
    let job = |text: &str| {
        let mut whole = thresholds();
        let job = &mut whole["job"];
        job["title"] = json!(text);
        job["description"] = json!(text.repeat(1000));
        job["interface"]["inputs"]["files"][0]["mediaTypes"] = json!([text]);
        job["interface"]["mounts"] = json!([{"name": "COAST", "path": format!("/data/{text}")}]);
        whole
    };
    let shown = async |text: &str| {
        let (silo, _registry) = with_jobs(TestApp::start().await, &[job(text)]).await;
        let browser = Browser::log_in(&silo, ADMIN, ADMIN_PASSWORD).await;
        let html = browser.get(PATH).await.expect(200).text;
        // A manifest with errors has no form at all.
        let has_form = html.contains("<form id=\"run\"");
        (structure(&html).into_iter().filter(|(name, _)| name != "head").collect::<Vec<_>>(), has_form)
    };
    let (expected, has_form) = shown("harmless").await;
    assert!(has_form);
    let mut forms = 0;
    for text in TEXTS {
        let (found, has_form) = shown(text).await;
        if has_form {
            assert_eq!(found, expected, "{text}");
            forms += 1;
        }
    }
    assert!(forms > 0, "no hostile text is in a form");
}

#[tokio::test]
async fn many_inputs_are_all_there_and_names_with_quotes_have_no_form() {
    let mut many = manifest("many", "1.0.0", "1.0.0");
    let file = |number: usize| json!({"name": format!("FILE_{number}"), "mediaTypes": ["image/tiff"], "multiple": number.is_multiple_of(2)});
    let value = |number: usize| json!({"name": format!("VALUE-{number}"), "type": "string", "required": false});
    many["job"]["interface"]["inputs"] =
        json!({"files": (0..100).map(file).collect::<Vec<_>>(), "json": (0..100).map(value).collect::<Vec<_>>()});
    many["job"]["description"] = json!("A long story. ".repeat(10_000));
    let mut quoted = manifest("quoted", "1.0.0", "1.0.0");
    quoted["job"]["interface"]["inputs"] = json!({"files": [{"name": "A\" autofocus onfocus=\"alert(1)"}]});
    let (silo, _registry) = with_jobs(TestApp::start().await, &[many, quoted]).await;
    let browser = Browser::log_in(&silo, ADMIN, ADMIN_PASSWORD).await;
    let path = "/job/many/1.0.0/1.0.0/run";
    let html = browser.get(path).await.expect(200).text;
    let form = FilledForm::of(&html, "run").with("do", "check");
    assert_eq!(named(&html, "fieldset").len(), 100);
    // With all empty file fields, as browsers send them.
    let names: Vec<String> = (0..100).map(|number| format!("files.FILE_{number}")).collect();
    let empty: Vec<ChosenFile<'_>> = names.iter().map(|field| ChosenFile { field, name: "", content: b"" }).collect();
    let html = send(&browser, path, &form, &empty).await.expect(400).text;
    assert_eq!(wrongs(&html).len(), 100);

    let refused = browser.get("/job/quoted/1.0.0/1.0.0/run").await.expect(200).text;
    assert!(refused.contains("The manifest has errors") && named(&refused, "form").len() == 1, "{refused}");
    assert_eq!(links(&browser.get("/job/quoted").await.text, "Run"), [""; 0]);
    let form = FilledForm(vec![("token".to_owned(), browser.token().await), ("do".to_owned(), "run".to_owned())]);
    send(&browser, "/job/quoted/1.0.0/1.0.0/run", &form, &[]).await.expect(400);
}

async fn what_may_be_chosen(silo: TestApp) {
    silo.user_token().await;
    let new =
        NewUser { username: "rita".into(), password: SecretString::from("a long enough one"), role: "runner".into() };
    silo.app.user_add(&new).await.expect("a user");
    let rita = silo.authorized(&format!("Token {}", silo.login("rita", "a long enough one").await));
    for name in ["a", "b", "c"] {
        silo.admin().send(Method::POST, &format!("/api/v1/uploads?name={name}"), &[], name.into()).await.expect(201);
    }
    rita.send(Method::POST, "/api/v1/uploads?name=hers", &[], b"a".to_vec()).await.expect(201);
    let (mut names, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = silo.admin().get(&format!("/api/v1/uploads?limit=2{cursor}")).await.expect(200).json();
        names.extend(page["items"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    names.sort();
    assert_eq!(names, ["a", "b", "c"]);
    assert_eq!(rita.get("/api/v1/uploads").await.expect(200).json()["items"][0]["name"], "hers");
    for wrong in ["x", "1.", "99999999999999999999.a", "1.%00"] {
        let reply = silo.admin().get(&format!("/api/v1/uploads?cursor={wrong}")).await;
        assert!(matches!(reply.status, 200 | 400), "{wrong}: {}", reply.status);
    }
    let limits = rita.get("/api/v1/runs/limits").await.expect(200).json();
    assert_eq!((&limits["mostTries"], &limits["highestPriority"]), (&json!(10), &json!(9)));
    assert_eq!(limits["uploadBytes"].as_u64().map(|bytes| bytes % (1 << 20)), Some(0));
    silo.user().get("/api/v1/runs/limits").await.expect(403);
    let none = json!({"items": [], "next": null});
    assert_eq!(rita.get("/api/v1/outputs?mediaType=image/tiff,image/png").await.expect(200).json(), none);
}

#[tokio::test]
async fn what_may_be_chosen_is_listed_sqlite() {
    what_may_be_chosen(TestApp::start().await).await;
}

#[tokio::test]
async fn what_may_be_chosen_is_listed_postgres() {
    what_may_be_chosen(TestApp::on_postgres().await).await;
}
