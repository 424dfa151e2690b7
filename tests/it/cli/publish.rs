//! `silo publish`, `unpublish` and `pull` with a real engine and real registries.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::build::Project;
use super::program::{silo_on_terminal, silo_on_terminal_of};
use crate::support::docker_registry::DockerRegistry;

#[tokio::test]
async fn an_image_is_published_and_taken_away_again() {
    let (project, registry) = (Project::new("publishes").await, DockerRegistry::open().await);
    project.build(&["-q"]).expect_success();
    let (host, image) = (registry.host(), project.image());
    let exit = project.silo(&["publish", &image, "-r", &host, "-O", "geo/team"]);
    let said = exit.expect_success();
    assert!(said.starts_with(&format!("Published {host}/geo/team/{image}\nDigest: sha256:")), "{said}");
    assert!(!project.has_image(&format!("{host}/geo/team/{image}")).await, "no name is left at the engine");
    assert!(project.has_image(&image).await);
    assert_eq!(tags(&registry, "geo/team/publishes-1.0.0-seed").await, ["1.0.0"]);

    let again = project.silo(&["publish", "-r", &host, "-O", "geo/team"]).expect_failure(1);
    assert!(again.contains("already exists") && again.contains("--package-patch"), "{again}");

    let unpublish = ["unpublish", &image, "-r", &host, "-O", "geo/team"];
    let environment = [("DOCKER_HOST", project.engine.host.as_str())];
    let kept = silo_on_terminal(project.path(), &environment, &unpublish, "\n").stdout;
    assert!(kept.contains(&format!("Delete {host}/geo/team/{image} from the registry? [y/N]")), "{kept}");
    assert!(kept.contains("nothing was changed"), "{kept}");
    assert_eq!(tags(&registry, "geo/team/publishes-1.0.0-seed").await, ["1.0.0"]);

    let gone = project.silo(&["unpublish", &image, "-r", &host, "-O", "geo/team"]).expect_success();
    assert_eq!(gone, format!("Deleted {host}/geo/team/{image}\n"));
    let none = project.silo(&["unpublish", &image, "-r", &host, "-O", "geo/team"]).expect_failure(1);
    assert!(none.contains("there is no image"), "{none}");
}

async fn tags(registry: &DockerRegistry, repository: &str) -> Vec<String> {
    let listed: Value = registry.get(&format!("{repository}/tags/list")).await.json().await.unwrap();
    let tags = listed["tags"].as_array().into_iter().flatten().map(|tag| tag.as_str().unwrap().to_owned());
    let mut tags: Vec<String> = tags.collect();
    tags.sort();
    tags
}

#[tokio::test]
async fn a_version_that_is_taken_can_be_raised() {
    let (project, registry) = (Project::new("publishes-on").await, DockerRegistry::open().await);
    let host = registry.host();
    // Unusual formatting, which must be preserved; the manifest is also copied into the image.
    let text = project.read("seed.manifest.json").replace("\"timeout\": 60", "\"timeout\" :\t60").replace('\n', "\r\n");
    project.write("seed.manifest.json", &text);
    project.write("Dockerfile", "FROM silo-test/busybox\nCOPY job.sh seed.manifest.json /\n");
    project.write("job.sh", "cp /seed.manifest.json $OUTPUT_DIR/a.txt\n");
    project.build(&["-q"]).expect_success();
    let publish =
        |more: &[&str]| project.silo(&[&["publish", "-r", &host, "--build-network", "none", "-q"], more].concat());
    publish(&[]).expect_success();

    let planned = publish(&["-pp", "--dry-run"]).expect_success();
    insta::assert_snapshot!(planned.replace(&host, "HOST"), @r"
    publishes-on-1.0.0-seed:1.0.0 exists already, so the image would be built as publishes-on-1.0.0-seed:1.0.1
    would change job.packageVersion from 1.0.0 to 1.0.1 in seed.manifest.json
    publishes-on-1.0.0-seed:1.0.1 would be published as HOST/publishes-on-1.0.0-seed:1.0.1
    ");
    assert_eq!(project.read("seed.manifest.json"), text, "nothing is done");
    assert_eq!(tags(&registry, "publishes-on-1.0.0-seed").await, ["1.0.0"]);

    let done = publish(&["-pp"]).expect_success();
    assert!(done.contains("\nchanged job.packageVersion from 1.0.0 to 1.0.1 in seed.manifest.json\n"), "{done}");
    let expected = text.replacen(r#""packageVersion": "1.0.0""#, r#""packageVersion": "1.0.1""#, 1);
    assert_eq!(project.read("seed.manifest.json"), expected, "no other byte has changed");
    assert_eq!(tags(&registry, "publishes-on-1.0.0-seed").await, ["1.0.0", "1.0.1"]);
    let run = project.silo(&["run", "publishes-on-1.0.0-seed:1.0.1", "-o", "out", "--network", "none", "-q"]);
    assert_eq!(run.code, Some(0), "{run:#?}");
    assert_eq!(project.read("out/a.txt"), expected, "the file in the image is the new one, too");

    // The next version is taken, too, so it is skipped.
    project.write("seed.manifest.json", &text);
    publish(&["-pp"]).expect_success();
    assert_eq!(tags(&registry, "publishes-on-1.0.0-seed").await, ["1.0.0", "1.0.1", "1.0.2"]);

    project.write("seed.manifest.json", &text);
    let exit = publish(&["-pm", "-JM", "--json"]);
    let said: Value = serde_json::from_str(&exit.expect_success()).unwrap();
    assert_eq!(said["reference"], format!("{host}/publishes-on-2.0.0-seed:1.1.0"));
    assert_eq!(said["raisedFrom"], "publishes-on-1.0.0-seed:1.0.0");

    // A version can be raised only for the folder's own image.
    let said = publish(&["publishes-on-1.0.0-seed:1.0.1", "-pp"]).expect_failure(1);
    assert!(said.contains("is the manifest of publishes-on-2.0.0-seed:1.1.0"), "{said}");
    let said = publish(&["-pp", "-pm"]).expect_failure(2);
    assert!(said.contains("cannot be used with"), "{said}");
}

#[tokio::test]
async fn a_build_that_fails_changes_no_manifest() {
    let (project, registry) = (Project::new("publishes-not").await, DockerRegistry::open().await);
    project.build(&["-q"]).expect_success();
    let host = registry.host();
    project.silo(&["publish", "-r", &host]).expect_success();
    project.write("Dockerfile", "FROM silo-test/busybox\nRUN exit 1\n");
    let before = project.read("seed.manifest.json");
    let said = project.silo(&["publish", "-r", &host, "-P", "--build-network", "none"]).expect_failure(1);
    assert!(said.contains("cannot be built"), "{said}");
    assert_eq!(project.read("seed.manifest.json"), before);
    assert_eq!(tags(&registry, "publishes-not-1.0.0-seed").await, ["1.0.0"]);
}

#[tokio::test]
async fn whatever_has_the_name_is_not_overwritten() {
    let (project, registry) = (Project::new("publishes-over").await, DockerRegistry::open().await);
    let mut layout = crate::support::layout::LayoutBuilder::oci();
    let digest = layout.image(&project.image(), &[]); // without a label: Seed CLI overwrote those
    registry.put(&layout, &project.image()).await;
    project.build(&["-q"]).expect_success();
    let host = registry.host();
    let said = project.silo(&["publish", "-r", &host]).expect_failure(1);
    assert!(said.contains("already exists"), "{said}");
    let said: Value =
        serde_json::from_str(&project.silo(&["publish", "-r", &host, "-f", "--json"]).expect_success()).unwrap();
    assert_ne!(said["digest"], digest);
}

#[tokio::test]
async fn what_is_no_seed_image_is_not_published() {
    let project = Project::new("publishes-nothing").await;
    let unlabelled = project.engine.script("publishes-plain-1.0.0-seed:1.0.0", "", &[]).await;
    let said = project.silo(&["publish", &unlabelled, "-r", "127.0.0.1:1"]).expect_failure(1);
    assert!(said.contains("no Seed image"), "{said}");
    let said = project.silo(&["publish", "-r", "127.0.0.1:1"]).expect_failure(1);
    assert!(
        said.contains("the engine has no image publishes-nothing-1.0.0-seed:1.0.0: build it with silo build"),
        "{said}"
    );
    let said = project.silo(&["publish"]).expect_failure(2);
    assert!(said.contains("give yours with -O"), "{said}");
}

#[tokio::test]
async fn a_registry_that_does_not_answer_leaves_nothing_behind() {
    let (project, mut registry) = (Project::new("publishes-late").await, DockerRegistry::open().await);
    project.build(&["-q"]).expect_success();
    let host = registry.host();
    registry.stop();
    let name = format!("{host}/{}", project.image());
    for more in [&[][..], &["--force"]] {
        let said = project.silo(&[&["publish", "-r", &host], more].concat()).expect_failure(1);
        assert!(said.contains(&host), "{said}");
        assert!(!project.has_image(&name).await, "{more:?}");
    }
    // An existing tag at the engine is unchanged.
    registry.start().await;
    let host = registry.host();
    let name = format!("{host}/{}", project.image());
    let docker = project.engine.open().await;
    let other = project.engine.script("publishes-late-other", "", &[]).await;
    let [name, other] = [name, other].map(|name| name.parse().expect("a name"));
    docker.name(&other, &name).await.unwrap();
    project.silo(&["publish", "-r", &host]).expect_success();
    use silo::engine::runtime::ContainerRuntime as _;
    assert_eq!(docker.image(&name).await.unwrap().id, docker.image(&other).await.unwrap().id);
}

#[tokio::test]
async fn passwords_come_in_every_way_and_go_nowhere() {
    const PASSWORD: &str = "pass:word hunter2";
    let project = Project::new("publishes-known").await;
    let registry = DockerRegistry::htpasswd("ada", PASSWORD).await;
    let host = registry.host();
    project.build(&["-q"]).expect_success();
    let publish = |environment: &[(&str, &str)], more: &[&str], input: &str| {
        let exit = project.silo_with(environment, &[&["publish", "-f", "-r", &host], more].concat(), input);
        assert!(!format!("{}{}", exit.stdout, exit.stderr).contains("hunter2"), "{exit:#?}");
        exit
    };
    let said = publish(&[], &[], "").expect_failure(1);
    assert!(said.contains("no basic auth") || said.contains("authentication required"), "{said}");
    let said = project.silo(&["publish", "-r", &host]).expect_failure(1);
    assert!(said.contains("username and password"), "{said}");

    publish(&[], &["-u", "ada", "--password-stdin"], &format!("{PASSWORD}\n")).expect_success();
    publish(&[("SILO_REGISTRY_PASSWORD", PASSWORD)], &["-u", "ada"], "").expect_success();
    let both = [("SILO_REGISTRY_USER", "ada"), ("SILO_REGISTRY_PASSWORD", PASSWORD)];
    publish(&both, &[], "").expect_success();
    let exit = publish(&[], &["-u", "ada", "-p", PASSWORD], "");
    assert!(exit.stderr.contains("warning: every user of this machine can read"), "{exit:#?}");
    exit.expect_success();
    let said = publish(&[], &["-u", "ada"], "").expect_failure(1);
    assert!(said.contains("--password-stdin"), "{said}");
    let said = publish(&[], &["-u", "ada", "--password-stdin"], "wrong").expect_failure(1);
    assert!(said.contains("unauthorized") || said.contains("authentication"), "{said}");
    assert!(!project.has_image(&format!("{host}/{}", project.image())).await);

    // Docker's configuration: the file, then a credential helper.
    use base64::Engine as _;
    let pair = base64::engine::general_purpose::STANDARD.encode(format!("ada:{PASSWORD}"));
    std::fs::create_dir(project.path().join(".docker")).unwrap();
    project.write(".docker/config.json", &format!(r#"{{"auths":{{"{host}":{{"auth":"{pair}"}}}}}}"#));
    publish(&[], &[], "").expect_success();
    let helper = project.path().join("docker-credential-test");
    let script = format!(
        "#!/bin/sh\nread host || true\n[ $# = 1 ] && [ $1 = get ] && [ \"$host\" = {host} ] || {{ echo credentials not \
         found in native keychain; exit 1; }}\necho '{{\"ServerURL\":\"x\",\"Username\":\"ada\",\"Secret\":\"{PASSWORD}\"}}'\n"
    );
    std::fs::write(&helper, script).unwrap();
    crate::support::output(std::process::Command::new("chmod").arg("+x").arg(&helper));
    let path = format!("{}:/usr/bin:/bin", project.path().display());
    let folder = project.path().join("with-helper").display().to_string();
    std::fs::create_dir(&folder).unwrap();
    project.write("with-helper/config.json", r#"{"credsStore":"test"}"#);
    let environment = [("PATH", path.as_str()), ("DOCKER_CONFIG", folder.as_str())];
    publish(&environment, &[], "").expect_success();
    let gone = project.silo_with(&environment, &["unpublish", "-r", &host], "").expect_success();
    assert!(gone.contains(&host), "{gone}");
}

/// The token server runs in the test, so it needs another thread than the one that waits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_have_the_scopes_that_are_needed() {
    let project = Project::new("publishes-tokens").await;
    let registry = DockerRegistry::token("ada", "hunter2").await;
    let host = registry.host();
    project.build(&["-q"]).expect_success();
    let both = [("SILO_REGISTRY_USER", "ada"), ("SILO_REGISTRY_PASSWORD", "hunter2")];
    for command in ["publish", "unpublish"] {
        project.silo_with(&both, &[command, "-r", &host, "-O", "geo"], "").expect_success();
    }
    assert!(tags(&registry, "geo/publishes-tokens-1.0.0-seed").await.is_empty());
}

#[tokio::test]
async fn other_tags_of_an_image_are_not_taken_away_unasked() {
    let (project, registry) = (Project::new("unpublishes").await, DockerRegistry::open().await);
    let mut layout = crate::support::layout::LayoutBuilder::oci();
    for reference in ["geo/a-1.0.0-seed:1.0.0", "geo/a-1.0.0-seed:latest"] {
        layout.image(reference, &[]); // the same bytes, so the same digest
        registry.put(&layout, reference).await;
    }
    let host = registry.host();
    let reference = format!("{host}/geo/a-1.0.0-seed:1.0.0");
    let said = project.silo(&["unpublish", &reference]).expect_failure(1);
    assert!(said.contains("also tagged latest") && said.contains("--force"), "{said}");
    assert_eq!(tags(&registry, "geo/a-1.0.0-seed").await, ["1.0.0", "latest"]);
    let said = project.silo(&["unpublish", &reference, "-f"]).expect_success();
    assert_eq!(said, format!("Deleted {reference}, and with it the tags latest\n"));
    assert!(tags(&registry, "geo/a-1.0.0-seed").await.is_empty());
    let said = project.silo(&["unpublish", &format!("{host}/geo/a-1.0.0-seed")]).expect_failure(2);
    assert!(said.contains("has no tag"), "{said}");
}

#[tokio::test]
async fn what_was_published_is_pulled_listed_and_found() {
    let (project, registry) = (Project::new("pulls").await, DockerRegistry::open().await);
    let (host, image) = (registry.host(), project.image());
    project.build(&["-q"]).expect_success();
    project.silo(&["publish", "-r", &host, "-O", "geo"]).expect_success();
    let remote = format!("{host}/geo/{image}");
    crate::support::docker_engine::remove(&project.engine, &image).await;
    let said = project.silo(&["pull", "-in", &image, "-r", &host, "-O", "geo"]).expect_success();
    assert_eq!(said, format!("Pulled {remote} as {image}\n"));
    assert!(project.has_image(&image).await && project.has_image(&remote).await);
    let said = project.silo(&["pull", &format!("{remote}9")]).expect_failure(1);
    assert!(said.contains("cannot be pulled"), "{said}");

    let listed = project.silo(&["list"]).expect_success();
    let line = listed.lines().find(|line| line.starts_with(&image)).unwrap_or_else(|| panic!("{listed}"));
    assert!(line.ends_with("It's a \"test\" & <more>"), "{line}");
    let listed: Value = serde_json::from_str(&project.silo(&["list", "--json"]).expect_success()).unwrap();
    let one = listed.as_array().unwrap().iter().find(|it| it["image"] == remote.as_str()).unwrap();
    assert_eq!((&one["name"], &one["valid"]), (&Value::from(image.as_str()), &true.into()));
    let created: DateTime<Utc> = one["created"].as_str().unwrap().parse().unwrap();
    let in_tokyo = (created + TimeDelta::hours(9)).format("%Y-%m-%d %H:%M").to_string();
    let environment = [("DOCKER_HOST", project.engine.host.as_str()), ("TZ", "JST-9")];
    let shown = silo_on_terminal_of(60, project.path(), &environment, &["list"], "").stdout;
    let lines: Vec<&str> = shown.lines().map(str::trim_end).collect();
    let at = lines.iter().position(|line| *line == remote).unwrap_or_else(|| panic!("a name is cut: {shown}"));
    assert!(lines[at + 1].contains(&in_tokyo) && lines[at + 1].chars().count() <= 60, "{in_tokyo}: {shown}");

    // Without a server and an engine.
    let nowhere = [("DOCKER_HOST", "unix:///nowhere")];
    let silo = |arguments: &[&str]| project.silo_with(&nowhere, arguments, "");
    let found = silo(&["search", "-r", &host, "-O", "geo"]).expect_success();
    assert!(found.lines().nth(1).unwrap().ends_with(&remote), "{found}");
    let found: Value =
        serde_json::from_str(&silo(&["search", "TEST ada", "-r", &host, "--json"]).expect_success()).unwrap();
    assert_eq!((&found["total"], &found["items"][0]["image"]), (&1.into(), &Value::from(remote.as_str())));
    for nothing in [&["search", "-r", &host, "-O", "other"][..], &["search", "xyzzy", "-r", &host]] {
        let exit = silo(nothing);
        assert_eq!((exit.code, exit.stdout.as_str()), (Some(0), ""), "{exit:#?}");
    }
    let shown = silo(&["image", "inspect", &remote]).expect_success();
    assert!(shown.starts_with(&format!("Image:     {remote}\nDigest:    sha256:")), "{shown}");
    let text = silo(&["image", "inspect", &remote, "--manifest"]).expect_success();
    assert_eq!(text, format!("{}\n", super::build::manifest("pulls")));
    let shown: Value = serde_json::from_str(&silo(&["image", "inspect", &remote, "--json"]).expect_success()).unwrap();
    assert_eq!((&shown["manifest"], &shown["report"]["valid"]), (&super::build::manifest("pulls"), &true.into()));
    let said = silo(&["image", "inspect", &format!("{remote}9")]).expect_failure(1);
    assert!(said.contains("there is no image"), "{said}");
    let script = silo(&["export", "docker", &remote]).expect_success();
    assert!(script.contains(&format!("\"${{options[@]}}\" {remote} ")), "{script}");
}

#[tokio::test]
async fn images_on_disk_are_looked_at() {
    let project = Project::new("looks").await;
    let label = super::build::manifest("looks").to_string();
    let mut layout = crate::support::layout::LayoutBuilder::oci();
    layout.image("looks-1.0.0-seed:1.0.0", &[(silo::seed::LABEL, &label)]);
    layout.write(&project.path().join("layout")).unwrap();
    let silo = |arguments: &[&str]| project.silo_with(&[("DOCKER_HOST", "unix:///nowhere")], arguments, "");
    let text = silo(&["image", "inspect", "layout", "--manifest"]).expect_success();
    assert_eq!(text, format!("{label}\n"));
    let json = silo(&["image", "inspect", "layout", "--json"]).expect_success();
    assert!(json.contains(r#""built":"2024-01-01T00:00:00Z""#), "{json}");
    let shown = silo_on_terminal(project.path(), &[("TZ", "JST-9")], &["image", "inspect", "layout"], "").stdout;
    assert!(shown.contains("Built:     2024-01-01 09:00\r\n"), "{shown}");
    layout.image("plain:1", &[]);
    layout.write(&project.path().join("layout")).unwrap();
    let said = silo(&["image", "inspect", "./layout"]).expect_failure(2);
    assert!(said.contains("looks-1.0.0-seed:1.0.0, plain:1"), "{said}");
    let exit = silo(&["image", "inspect", "./layout", "--name", "plain:1"]);
    assert_eq!(exit.code, Some(1), "{exit:#?}");
    silo(&["image", "inspect", "./layout", "--name", "looks-1.0.0-seed:1.0.0"]).expect_success();

    project.build(&["-q"]).expect_success();
    let archive = crate::support::docker_engine::save(&project.engine, &project.image()).await;
    std::fs::write(project.path().join("looks.tar"), archive).unwrap();
    let text = silo(&["image", "inspect", "looks.tar", "--manifest"]).expect_success();
    assert_eq!(text, format!("{label}\n"));
    for wrong in ["./nowhere", "UPPER/case"] {
        silo(&["image", "inspect", wrong]).expect_failure(2);
    }
}

#[tokio::test]
async fn a_build_may_begin_with_an_image_that_needs_a_login() {
    let project = Project::new("builds-on-secrets").await;
    let registry = DockerRegistry::htpasswd("ada", "hunter2").await;
    let (host, image) = (registry.host(), project.image());
    project.build(&["-q"]).expect_success();
    let publish = ["publish", "-r", &host, "-u", "ada", "--password-stdin"];
    project.silo_with(&[], &publish, "hunter2").expect_success();
    project.write("Dockerfile", &format!("FROM --platform=linux/amd64 {host}/{image}\nRUN echo built on it\n"));
    let said = project.build(&[]).expect_failure(1);
    assert!(said.contains("cannot be built"), "{said}");
    // The same user publishes the build; standard input is read once.
    let build = ["build", "--build-network", "none", "--publish", "-r", &host, "-u", "ada", "--password-stdin", "-f"];
    let exit = project.silo_with(&[], &build, "hunter2\n");
    assert!(exit.stderr.contains("built on it") && !exit.stderr.contains("hunter2"), "{exit:#?}");
    assert!(exit.expect_success().starts_with(&format!("Published {host}/{image}\n")));
    // As in Seed CLI: without a registry, the user is for the first base image.
    let old = ["build", "--build-network", "none", "-q", "-u", "ada", "-p", "hunter2"];
    project.silo(&old).expect_success();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_the_account_may_not_see_counts_as_free() {
    use crate::support::fake_registry::{ALWAYS, FakeRegistry, Fault, Seen};
    let (project, registry) = (Project::new("publishes-unseen").await, FakeRegistry::start().await);
    project.build(&["-q"]).expect_success();
    let (host, url) = (registry.host(), registry.url());
    let publish = ["publish", "-r", &url, "-O", "gitlab-group/gitlab-project", "--dry-run"];
    let expected = format!("{0} would be published as {host}/gitlab-group/gitlab-project/{0}\n", project.image());
    assert_eq!(project.silo(&publish).expect_success(), expected);
    let asked = registry.count(|seen: &Seen| seen.is_head() && seen.is_manifest());
    assert_eq!((asked, registry.count(Seen::is_manifest)), (1, 2), "a HEAD, and a GET where that finds nothing");

    registry.fault(Seen::is_manifest, ALWAYS, Fault::Status(403));
    let said = project.silo(&publish).expect_failure(1);
    assert!(said.contains("username and password"), "{said}");
    let both = [("SILO_REGISTRY_USER", "ada"), ("SILO_REGISTRY_PASSWORD", "hunter2")];
    let exit = project.silo_with(&both, &publish, "");
    assert!(exit.stderr.contains("note: assuming that the tag does not exist"), "{exit:#?}");
    assert_eq!(exit.expect_success(), expected);
}
