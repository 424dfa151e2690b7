//! The pages of a job: its versions, their comparison, how to get it.

use serde_json::{Value, json};
use silo::seed::LABEL;

use super::markup::{StartTag, heading, link, links, named, tags};
use super::page;
use crate::support::app::{Reply, TestApp, manifest};
use crate::support::fake_registry::{FakeRegistry, Image};
use crate::support::layout::LayoutBuilder;

/// A version of the job `ship-detection`.
fn ship(job_version: &str, package_version: &str) -> Value {
    let mut whole = manifest("ship-detection", job_version, package_version);
    let job = &mut whole["job"];
    job["title"] = json!("Ship detection");
    job["tags"] = json!(["sea & ice"]);
    job["maintainer"]["url"] = json!("https://example.org/ships");
    job["interface"] = json!({
        "command": "detect ${IMAGE} ${OUTPUT_DIR}",
        "inputs": {"files": [{"name": "IMAGE", "mediaTypes": ["image/tiff", "image/nitf"]}],
            "json": [{"name": "LENGTH", "type": "number", "required": false}]},
        "outputs": {"files": [{"name": "DETECTIONS", "mediaType": "application/geo+json", "pattern": "*.geojson"}],
            "json": [{"name": "COUNT", "key": "shipCount", "type": "integer"}]},
        "settings": [{"name": "AIS_TOKEN", "secret": true}],
        "mounts": [{"name": "COAST", "path": "/data/coast"}],
    });
    job["errors"] = json!([{"code": 30, "name": "no-water", "title": "No water", "category": "data"}]);
    whole
}

/// A registry with two versions, the higher one in two places.
async fn harbour(silo: &TestApp) -> FakeRegistry {
    silo.admin_token().await;
    let registry = FakeRegistry::start().await;
    let mut latest = ship("2.10.0", "1.0.0");
    latest["job"]["timeout"] = json!(2700);
    for (repository, manifest) in [
        ("geo/ship-detection-2.9.0-seed", ship("2.9.0", "1.0.0")),
        ("geo/ship-detection-2.10.0-seed", latest.clone()),
        ("mirror/ship-detection-2.10.0-seed", latest),
    ] {
        registry.push(repository, "1.0.0", &Image::new().label(LABEL, manifest.to_string()));
    }
    let form = json!({"name": "hub", "url": registry.url(), "include": ["*"]});
    let added = silo.admin().post("/api/v1/registries", form).await.expect(201).json();
    silo.scan(added["id"].as_i64().expect("an id")).await;
    registry
}

/// A service with a layout of these manifests.
async fn on_disk(manifests: &[Value]) -> TestApp {
    let silo = TestApp::start().await;
    let mut layout = LayoutBuilder::oci();
    for (number, manifest) in manifests.iter().enumerate() {
        layout.image(&format!("geo/image-{number}-seed:1"), &[(LABEL, &manifest.to_string())]);
    }
    let registry = silo.add_layout("disk", &layout).await;
    silo.scan(registry).await;
    silo
}

/// Where a redirect leads.
async fn redirect(silo: &TestApp, path: &str) -> String {
    let reply: Reply = silo.anonymous().get(path).await.expect(303);
    reply.header("location").to_owned()
}

/// The commands to copy.
fn commands(html: &str) -> Vec<String> {
    let all = tags(html);
    let code = |pair: &[StartTag]| (pair[0].name == "pre" && pair[1].name == "code").then(|| pair[1].text.clone());
    all.windows(2).filter_map(code).collect()
}

#[tokio::test]
async fn a_job_is_shown_in_its_latest_version() {
    let silo = TestApp::start().await;
    let registry = harbour(&silo).await;
    let html = page(&silo, "/job/ship-detection").await.expect(200).text;
    assert_eq!(heading(&html), "Ship detection");
    for words in [
        "valid manifest",
        "<b>IMAGE</b><span>TIFF or NITF</span>",
        "<b>LENGTH</b><span>number, optional</span>",
        "key <code>shipCount</code>",
        "<code>*.geojson</code>",
        "<dt>Time limit</dt><dd>45 min</dd>",
        "setting, secret: sealed when stored, never shown",
        "folder at <code>/data/coast</code>, read only",
        "<strong>No water</strong>",
        "the data",
    ] {
        assert!(html.contains(words), "{words}: {html}");
    }
    assert_eq!(link(&html, "sea & ice"), "/search?facet.tag=sea+%26+ice");
    let home = named(&html, "a").into_iter().find(|tag| tag.value("href") == "https://example.org/ships");
    assert_eq!(home.expect("a link").value("rel"), "nofollow noopener external");
    assert_eq!(links(&html, "Ada"), ["mailto:ada@example.org"]);
    assert_eq!(link(&html, "2.9.0"), "/job/ship-detection/2.9.0/1.0.0");

    let host = registry.host();
    let commands = commands(&html);
    let run = format!(
        "silo run {host}/geo/ship-detection-2.10.0-seed:1.0.0 \\\n  -i IMAGE=image.tif \\\n  -e AIS_TOKEN=VALUE \\\n  -m COAST=/FOLDER \\\n  -o results"
    );
    assert!(commands.contains(&run), "{commands:?}");
    assert!(commands.contains(&format!("docker pull {host}/geo/ship-detection-2.10.0-seed:1.0.0")), "{commands:?}");
    let digest = named(&html, "code").into_iter().find(|code| code.text.starts_with("sha256:")).expect("a digest").text;
    assert!(commands.contains(&format!("docker pull {host}/geo/ship-detection-2.10.0-seed@{digest}")), "{commands:?}");
    let curl = commands.iter().find(|command| command.starts_with("curl -H")).expect("a request");
    assert!(curl.contains(&format!("{}/api/v1/runs", silo.url)) && curl.contains("files.IMAGE=@image.tif"), "{curl}");
    for (name, word) in [("ship-detection-2.10.0.cwl", "cwl"), ("ship-detection-2.10.0.sh", "script")] {
        let address = link(&html, name);
        assert!(address.starts_with("/api/v1/images/") && address.ends_with(word), "{address}");
        silo.anonymous().get(&address).await.expect(200);
    }
    let badge = named(&html, "img").pop().expect("a badge");
    silo.anonymous().get(badge.value("src")).await.expect(200);
    let feed = silo.anonymous().get(&link(&html, "Feed of new versions")).await.expect(200);
    assert_eq!(feed.text.matches("<entry>").count(), 3, "{}", feed.text);
}

#[tokio::test]
async fn every_version_and_every_place_has_an_address() {
    let silo = TestApp::start().await;
    let registry = harbour(&silo).await;
    let old = page(&silo, "/job/ship-detection/2.9.0/1.0.0").await.expect(200).text;
    assert!(old.contains("There is a later version: 2.10.0, package 1.0.0."), "{old}");
    assert_eq!(link(&old, "Show it"), "/job/ship-detection");
    let chosen: Vec<StartTag> =
        named(&old, "option").into_iter().filter(|option| option.attributes.contains_key("selected")).collect();
    assert_eq!(chosen[0].value("value"), "2.9.0:1.0.0");
    // What a browser sends without scripts.
    let went = redirect(&silo, "/job/ship-detection?version=2.10.0%3A1.0.0").await;
    assert_eq!(went, "/job/ship-detection/2.10.0/1.0.0");
    let latest = page(&silo, &went).await.expect(200).text;
    assert!(!latest.contains("There is a later version"), "{latest}");

    let images = silo.anonymous().get("/api/v1/images?jobVersion=2.10.0").await.expect(200).json();
    let images = images["items"].as_array().expect("images").clone();
    let mirror =
        images.iter().find(|image| image["reference"].as_str().unwrap().contains("/mirror/")).expect("a mirror");
    let first = images.iter().find(|image| image["id"] != mirror["id"]).expect("the other");
    assert_eq!(redirect(&silo, &format!("/image/{}", first["id"])).await, went);
    let place = redirect(&silo, &format!("/image/{}", mirror["id"])).await;
    assert_eq!(place, format!("{went}?image={}", mirror["id"]));
    let other = page(&silo, &place).await.expect(200).text;
    let pull = format!("docker pull {}/mirror/ship-detection-2.10.0-seed:1.0.0", registry.host());
    assert!(commands(&other).contains(&pull), "{other}");
    assert_eq!(links(&other, "").iter().filter(|url| url.contains("?image=")).count(), 1, "the other place: {other}");

    for path in [
        "/job/none",
        "/job/ship-detection/2.9.0/7.0.0",
        "/job/ship-detection/7.0.0/1.0.0",
        "/job/ship-detection?image=999",
        "/job/ship-detection?version=7.0.0",
        &format!("/job/ship-detection/2.9.0/1.0.0?image={}", first["id"]),
        "/job/ship-detection/compare/2.9.0..7.0.0",
        "/image/999",
    ] {
        assert_eq!(heading(&page(&silo, path).await.expect(404).text), "Not found", "{path}");
    }
    page(&silo, "/job/ship-detection/compare/2.9.0").await.expect(400);
    page(&silo, "/image/x").await.expect(400);
}

#[tokio::test]
async fn two_versions_are_compared() {
    let silo = TestApp::start().await;
    let _registry = harbour(&silo).await;
    let latest = page(&silo, "/job/ship-detection").await.expect(200).text;
    let row = named(&latest, "a").into_iter().find(|tag| tag.value("href").contains("/compare/")).expect("a link");
    assert_eq!(row.value("href"), "/job/ship-detection/compare/2.9.0:1.0.0..2.10.0:1.0.0");
    let asked = redirect(&silo, "/job/ship-detection/compare?old=2.9.0%3A1.0.0&new=2.10.0%3A1.0.0").await;
    assert_eq!(asked, row.value("href"));
    assert_eq!(redirect(&silo, "/job/ship-detection/compare").await, "/job/ship-detection#versions");
    let html = page(&silo, &asked).await.expect(200).text;
    assert!(html.contains("<p class=\"hush\">2 fields of the manifest differ.</p>"), "{html}");
    let values = |name: &str| named(&html, name).into_iter().map(|tag| tag.text).collect::<Vec<_>>();
    assert_eq!(
        (values("del"), values("ins")),
        (vec!["2.9.0".into(), "60".into()], vec!["2.10.0".into(), "2700".into()])
    );
    assert!(html.contains("<span class=\"sign\">−</span>    &quot;timeout&quot;: 60,"), "{html}");
    assert_eq!(link(&html, "The other way round"), "/job/ship-detection/compare/2.10.0:1.0.0..2.9.0:1.0.0");
    let same = page(&silo, "/job/ship-detection/compare/2.9.0..2.9.0").await.expect(200).text;
    assert!(same.contains("Nothing: the manifests are the same"), "{same}");
}

#[tokio::test]
async fn an_image_on_disk_is_loaded_and_not_pulled() {
    let silo = on_disk(&[ship("2.9.0", "1.0.0")]).await;
    let html = page(&silo, "/job/ship-detection").await.expect(200).text;
    let commands = commands(&html);
    let folder = silo.folder().join("layouts/disk").display().to_string();
    assert!(
        commands.contains(&format!("skopeo copy oci:{folder}:geo/image-0-seed:1 docker-daemon:geo/image-0-seed:1")),
        "{commands:?}"
    );
    assert!(commands.contains(&format!("silo image inspect {folder} --name geo/image-0-seed:1")), "{commands:?}");
    assert!(commands.iter().any(|command| command.starts_with("silo run geo/image-0-seed:1")), "{commands:?}");
    for absent in ["docker pull", "silo runs submit", "api/v1/runs"] {
        assert!(!commands.iter().any(|command| command.contains(absent)), "{absent}: {commands:?}");
    }
    assert!(html.contains("which no engine can pull from"), "{html}");
}

#[tokio::test]
async fn a_manifest_with_errors_is_shown_with_its_problems() {
    let mut broken = ship("2.9.0", "1.0.0");
    broken["job"]["timeout"] = json!("soon");
    broken["job"]["interface"]["inputs"] = json!([1, "x"]);
    broken["job"]["own"] = json!({"kept": true});
    let silo = on_disk(&[broken]).await;
    let html = page(&silo, "/job/ship-detection").await.expect(200).text;
    assert!(html.contains("The job takes nothing.") && html.contains("<dd>soon</dd>"), "{html}");
    assert!(html.contains("errors in the manifest</a>"), "{html}");
    let codes: Vec<StartTag> =
        named(&html, "a").into_iter().filter(|tag| tag.value("href").starts_with("/help/problems#")).collect();
    assert!(codes.iter().any(|tag| tag.text == "wrong-type"), "{codes:?}");
    let help = page(&silo, "/help/problems").await.expect(200).text;
    for code in &codes {
        assert!(named(&help, "h2").iter().any(|heading| heading.value("id") == code.text), "{}", code.text);
    }
    // The problem leads to the line with the value.
    let problems = html.split("<h2 id=\"problems\">").nth(1).expect("the problems");
    let problem =
        problems.split("<li>").find(|item| item.contains("<code>/job/timeout</code>")).expect("that of the timeout");
    let line = problem.split("href=\"#").nth(1).and_then(|rest| rest.split('"').next()).expect("its line");
    let listed = html.split(&format!("<code id=\"{line}\">")).nth(1).expect("the line");
    let value = "    <span class=\"k\">&quot;timeout&quot;</span>: <span class=\"s\">&quot;soon&quot;</span>,";
    assert!(listed.starts_with(value), "{listed:.200}");
    assert!(html.contains("<span class=\"k\">&quot;own&quot;</span>"), "unknown keys are kept: {html}");
    let commands = commands(&html);
    assert!(!commands.iter().any(|command| command.contains("silo run ")), "{commands:?}");
    assert!(html.contains("so SILO does not run this image"), "{html}");
}

/// A manifest with this text at every place.
fn hostile(text: &str) -> Value {
    let mut whole = ship(text, text);
    let job = &mut whole["job"];
    for field in ["name", "title", "description"] {
        job[field] = json!(text);
    }
    job["tags"] = json!([text]);
    job["maintainer"] = json!({"name": text, "email": text, "organization": text, "url": text, "phone": text});
    job["interface"] = json!({
        "command": text,
        "inputs": {"files": [{"name": text, "mediaTypes": [text]}], "json": [{"name": text, "type": text}]},
        "outputs": {"files": [{"name": text, "mediaType": text, "pattern": text}], "json": [{"name": text, "key": text, "type": text}]},
        "mounts": [{"name": text, "path": text, "mode": text}],
        "settings": [{"name": text, "secret": text}],
    });
    job["resources"] = json!({"scalar": [{"name": text, "value": text, "inputMultiplier": text}]});
    job["errors"] = json!([{"code": text, "name": text, "title": text, "description": text, "category": text}]);
    job[text] = json!(text);
    whole
}

/// Tags with the names of their attributes, without boxes of characters, and without the problems, which differ.
fn structure(html: &str) -> Vec<(String, Vec<String>)> {
    let (before, problems) = html.split_once("<h2 id=\"problems\">").expect("there are problems");
    let after = problems.split_once("</section>").expect("they end").1;
    let is_ours = |tag: &StartTag| !tag.has_class("hidden-char") && !tag.has_class("state");
    let all = tags(&format!("{before}{after}")).into_iter().filter(is_ours);
    all.map(|tag| (tag.name, tag.attributes.into_keys().collect())).collect()
}

#[tokio::test]
async fn hostile_manifests_are_shown_as_they_are() {
    const TEXTS: [&str; 6] = [
        "<script>alert(1)</script>",
        "\" onmouseover=\"alert(1)\" x=\"",
        "</title></code><svg onload=alert(1)>",
        "{{ 7*7 }} &lt;b&gt; ]]>",
        "a\u{202E}b\u{200B}c/../..",
        "javascript:alert(1)//",
    ];
    let silo = on_disk(&TEXTS.map(hostile)).await;
    let plain = on_disk(&[hostile("harm less")]).await;
    let expected = structure(&page(&plain, "/job/harm%20less").await.expect(200).text);
    let jobs = silo.anonymous().get("/api/v1/jobs?limit=100").await.expect(200).json();
    let jobs = jobs["items"].as_array().expect("jobs");
    assert_eq!(jobs.len(), TEXTS.len());
    for job in jobs {
        let name = job["name"].as_str().expect("a name");
        let path = redirect(&silo, &format!("/image/{}", job["imageId"])).await;
        let html = page(&silo, &path).await.expect(200).text;
        assert_eq!(structure(&html), expected, "{name}: {html}");
        for tag in tags(&html) {
            assert!(!tag.attributes.keys().any(|name| name.starts_with("on") || name == "style"), "{name}: {tag:?}");
            let leads = ["href", "src", "action"].map(|name| tag.value(name).to_ascii_lowercase());
            assert!(
                leads.iter().all(|url| !url.starts_with("javascript:") && !url.starts_with("data:")),
                "{name}: {tag:?}"
            );
        }
        let compare = path.rsplitn(3, '/').last().map(|job| format!("{job}/compare")).expect("a path");
        let value = named(&html, "option")[0].value("value").to_owned();
        let form = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("old", &value)
            .append_pair("new", &value)
            .finish();
        let compared = redirect(&silo, &format!("{compare}?{form}")).await;
        let compared = page(&silo, &compared).await.expect(200).text;
        assert!(compared.contains("Nothing: the manifests are the same"), "{name}: {compared}");
    }
}

#[tokio::test]
async fn odd_names_have_pages() {
    let names = ["..", "a/b", "17", "~2F", "\"<i>", "compare", "a//b/../c", "x\u{202E}y"];
    let long = "é".repeat(255);
    let manifests: Vec<Value> =
        names.iter().copied().chain([long.as_str()]).map(|name| manifest(name, "compare", "..")).collect();
    let silo = on_disk(&manifests).await;
    let found = page(&silo, "/search?sort=name").await.expect(200).text;
    let addresses: Vec<String> = named(&found, "a")
        .into_iter()
        .map(|tag| tag.value("href").to_owned())
        .filter(|address| address.starts_with("/job/"))
        .collect();
    assert_eq!(addresses.len(), names.len() + 1, "{found}");
    for address in addresses {
        // As a browser reads it.
        let parsed = url::Url::parse(&format!("http://silo.example{address}")).expect("an address");
        assert_eq!(parsed.path(), address);
        let html = page(&silo, &address).await.expect(200).text;
        let select = named(&html, "form").into_iter().find(|form| form.value("action") == address);
        let value = named(&html, "option")[0].value("value").to_owned();
        let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("version", &value).finish();
        let went = redirect(&silo, &format!("{}?{query}", select.expect("the form of versions").value("action"))).await;
        let version = page(&silo, &went).await.expect(200).text;
        assert_eq!(heading(&version), heading(&html), "{went}");
    }
}

#[tokio::test]
async fn what_does_not_represent_the_job_says_so() {
    let silo = TestApp::start().await;
    silo.admin_token().await;
    let registries = [FakeRegistry::start().await, FakeRegistry::start().await];
    for (registry, version, email) in
        [(&registries[0], "1.0.0", "ada@example.org"), (&registries[1], "9.0.0", "mal@example.org")]
    {
        let mut manifest = ship(version, "1.0.0");
        manifest["job"]["maintainer"] = json!({"name": email, "email": email});
        registry.push("geo/ship-seed", version, &Image::new().label(LABEL, manifest.to_string()));
        let form = json!({"name": version, "url": registry.url(), "include": ["*"]});
        let added = silo.admin().post("/api/v1/registries", form).await.expect(201).json();
        silo.scan(added["id"].as_i64().expect("an id")).await;
    }
    let html = page(&silo, "/job/ship-detection").await.expect(200).text;
    assert!(html.contains("Others with this name (1)"), "{html}");
    let rival = link(&html, "mal@example.org 9.0.0");
    assert!(rival.starts_with("/job/ship-detection/9.0.0/1.0.0?image="), "{rival}");
    let rival = page(&silo, &rival).await.expect(200).text;
    assert!(rival.contains("This image of mal@example.org does not represent the job"), "{rival}");
    assert_eq!(link(&rival, "The job itself"), "/job/ship-detection");
}
