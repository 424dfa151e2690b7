//! `silo build` with a real engine.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use silo::engine::runtime::ContainerRuntime as _;
use silo::seed::LABEL;
use tempfile::TempDir;

use super::program::silo_in;
use crate::support::docker_engine::{BASE, DockerEngine, engine};
use crate::support::manifest::{few_resources, of_job};
use crate::support::process::Exit;

/// A folder with a shell script as a job, an engine to build it, and no accounts.
pub(super) struct Project {
    pub folder: TempDir,
    pub engine: DockerEngine,
    pub name: String,
}

/// A manifest whose texts contain everything that quoting has ever broken.
pub(super) fn manifest(name: &str) -> Value {
    let job = json!({
        "title": "It's a \"test\" & <more>",
        "description": "tab\there, line\nfeed, back\\slash, C:\\new, $HOME \\$HOME ${x} a/b ä\u{2028} \u{1F600}",
        "interface": {
            "command": "sh /job.sh ${INPUT_FILE/#/-d } ${OUTPUT_DIR}",
            "inputs": {"files": [{"name": "INPUT_FILE", "required": false}]},
            "outputs": {"files": [{"name": "RESULT", "pattern": "*.txt"}]}
        },
        "resources": few_resources()
    });
    of_job(name, job)
}

impl Project {
    /// `name` must be unique among tests: the engine's images are shared.
    pub(super) async fn new(name: &str) -> Self {
        Self::on(engine().await, name).await
    }

    /// The same on another engine.
    pub(super) async fn on(engine: DockerEngine, name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let project = Self { folder, engine, name: name.to_owned() };
        project.write("seed.manifest.json", &format!("{:#}\n", manifest(name)));
        project.write("job.sh", "echo \"$1 $2\" | tee $OUTPUT_DIR/a.txt\n");
        project.write("Dockerfile", &format!("FROM {BASE}\nCOPY job.sh /\n"));
        project
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn write(&self, name: &str, text: &str) {
        fs::write(self.path().join(name), text).unwrap();
    }

    pub(super) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path().join(name)).unwrap()
    }

    pub(super) fn image(&self) -> String {
        format!("{}-1.0.0-seed:1.0.0", self.name)
    }

    pub(super) fn silo(&self, arguments: &[&str]) -> Exit {
        self.silo_with(&[], arguments, "")
    }

    pub(super) fn silo_with(&self, environment: &[(&str, &str)], arguments: &[&str], input: &str) -> Exit {
        let home = self.path().display().to_string();
        let common = [("DOCKER_HOST", self.engine.host.as_str()), ("HOME", &home)];
        silo_in(self.path(), &[&common[..], environment].concat(), arguments, input)
    }

    pub(super) fn build(&self, more: &[&str]) -> Exit {
        self.silo(&[&["build", "--build-network", "none"], more].concat())
    }

    /// The Seed label of an image at the engine.
    pub(super) async fn label(&self, image: &str) -> Option<String> {
        let docker = self.engine.open().await;
        let found = docker.image(&image.parse().expect("a name")).await.unwrap_or_else(|why| panic!("{image}: {why}"));
        found.labels.get(LABEL).cloned()
    }

    pub(super) async fn has_image(&self, image: &str) -> bool {
        self.engine.open().await.image(&image.parse().expect("a name")).await.is_ok()
    }
}

/// Podman turns each label into a line of the Dockerfile, in which `${INPUT_FILE/#/-d }` is an invalid variable.
#[tokio::test]
async fn podman_builds_and_runs_it_too() {
    let project = Project::on(DockerEngine::podman().await, "podmans").await;
    project.write("Dockerfile", &format!("FROM {BASE} AS one\nRUN --mount=type=tmpfs,target=/t echo a >/a\nFROM {BASE}\nCOPY --from=one /a /a\nCOPY --chmod=755 job.sh /"));
    project.build(&["-q"]).expect_success();
    let label = project.label(&project.image()).await.expect("it has one");
    assert_eq!(serde_json::from_str::<Value>(&label).unwrap(), manifest("podmans"));
    // Podman's API takes mounts as lines with comma-separated fields.
    project.write("in,\"put\".txt", "text");
    let run = ["run", ".", "-q", "--network", "none", "-i", "INPUT_FILE=in,\"put\".txt", "-o", "out, \"put\""];
    project.silo(&run).expect_success();
    assert_eq!(project.read("out, \"put\"/a.txt"), "-d /seed/in/INPUT_FILE/in,\"put\".txt\n");
    builds_what_stands_in_the_dockerfile(&project);
}

#[tokio::test]
async fn what_only_build_kit_knows_is_built_by_it() {
    let project = Project::new("buildkits").await;
    let run = "RUN --mount=type=cache,target=/c echo a >/c/a && cp /c/a /a";
    project.write("Dockerfile", &format!("FROM {BASE}\n{run}\nCOPY --chmod=750 job.sh /job.sh\nRUN [ -x /job.sh ]\n"));
    let exit = project.build(&[]);
    let stderr = exit.stderr.clone();
    exit.expect_success();
    assert!(stderr.contains("RUN --mount=type=cache"), "the steps are told: {stderr}");
    let label = project.label(&project.image()).await.expect("it has one");
    assert_eq!(serde_json::from_str::<Value>(&label).unwrap(), manifest("buildkits"));
    // A failing step, and syntax that this engine's own BuildKit does not support.
    project.write("Dockerfile", &format!("FROM {BASE}\nRUN --mount=type=cache,target=/c echo why >&2; exit 7\n"));
    let exit = project.build(&[]);
    assert!(exit.code == Some(1) && exit.stderr.contains("why\n"), "{exit:?}");
    project.write("Dockerfile", &format!("FROM {BASE}\nRUN --unheard-of <<EOF\ntrue\nEOF\n"));
    let exit = project.build(&["-q"]);
    assert!(exit.code == Some(1) && exit.stderr.contains("RUN <<") && exit.stderr.contains("# syntax="), "{exit:?}");
    builds_what_stands_in_the_dockerfile(&project);
}

/// With recent Dockerfile syntax, whatever the engine's own version.
fn builds_what_stands_in_the_dockerfile(project: &Project) {
    project.write(".dockerignore", "*\n!job.sh\n");
    let documents = "RUN <<EOF\nmkdir /made\necho \"it's $((6 * 7))\" >/made/a\nEOF\nCOPY <<'EOF' /made/b\n$HOME\nEOF";
    let check = "RUN [ \"$(cat /made/a /made/b)\" = \"$(printf \"it's 42\\n\\$HOME\")\" ] && [ -e /job.sh ]";
    project.write("Dockerfile", &format!("FROM {BASE}\n{documents}\nCOPY --link job.sh /job.sh\n{check}\n"));
    project.build(&["-q"]).expect_success();
}

#[tokio::test]
async fn a_folder_becomes_a_seed_image() {
    let project = Project::new("builds").await;
    let exit = project.build(&[]);
    let stderr = exit.stderr.clone();
    let said = exit.expect_success();
    insta::assert_snapshot!(said, @r"
    Built builds-1.0.0-seed:1.0.0
    This image can be published with:
      silo publish builds-1.0.0-seed:1.0.0 -r REGISTRY
    This image can be run with:
      silo run builds-1.0.0-seed:1.0.0 [-i INPUT_FILE=FILE] -o FOLDER
    ");
    assert!(stderr.contains("Step 1/") && stderr.contains("valid as builds-1.0.0-seed:1.0.0"), "{stderr}");
    // The label is the author's manifest without white space.
    let label = project.label(&project.image()).await.unwrap();
    assert_eq!(label, manifest("builds").to_string());
    let run = project.silo(&["run", ".", "-o", "out", "--network", "none"]);
    assert_eq!(run.code, Some(0), "{run:#?}");
}

/// The label as Seed CLI 1.3 reads it: `docker inspect` with a template that adds single quotes, then successive
/// replacements.
fn as_the_old_program_reads(label: &str) -> String {
    let text = format!("'{label}'");
    let text = text.replace("\\\"", "\"").replace("\\\"", "\"").replace("\\$", "$").replace("\\/", "/");
    let text = text.trim();
    let text = text.strip_prefix("'\"").unwrap_or(text);
    let text = text.strip_suffix("\"'").unwrap_or(text);
    let text = text.strip_prefix('"').unwrap_or(text);
    text.strip_suffix('"').unwrap_or(text).to_owned()
}

#[tokio::test]
async fn the_old_program_reads_its_own_form() {
    let project = Project::new("builds-old-form").await;
    // Seed CLI does not unescape labels, not even its own, so these texts are as in most manifests.
    let mut plain = manifest(&project.name);
    plain["job"]["description"] = "Turns $HOME/a 'b' & c".into();
    plain["job"]["title"] = "Test".into();
    project.write("seed.manifest.json", &format!("{plain:#}"));
    project.build(&["--legacy-label", "-q"]).expect_success();
    let label = project.label(&project.image()).await.unwrap();
    assert!(label.starts_with(r#""{\"seedVersion\":\"1.0.0\""#) && label.contains(r"\$HOME\/a"), "{label}");
    let read: Value = serde_json::from_str(&as_the_old_program_reads(&label)).expect("JSON");
    assert_eq!(read, plain);
    // SILO reads it, too.
    let run = project.silo(&["run", &project.image(), "-o", "out", "--network", "none"]);
    assert_eq!(run.code, Some(0), "{run:#?}");
}

#[tokio::test]
async fn what_an_engine_says_on_the_way_is_no_failure() {
    let project = Project::new("builds-loud").await;
    project.write(
        "Dockerfile",
        &format!("FROM {BASE}\nRUN echo deprecated >&2; echo WARNING: error >&2\nCOPY job.sh /\n"),
    );
    let exit = project.build(&["--json"]);
    assert!(exit.stderr.contains("WARNING: error"), "{exit:#?}");
    let said: Value = serde_json::from_str(&exit.expect_success()).unwrap();
    assert_eq!(said["image"], project.image());
    assert!(said["id"].as_str().unwrap().starts_with("sha256:") && said["report"]["valid"] == true, "{said:#}");
}

#[tokio::test]
async fn a_build_that_fails_leaves_no_image() {
    let project = Project::new("builds-not").await;
    project.write("Dockerfile", &format!("FROM {BASE}\nRUN echo trouble; exit 3\n"));
    let said = project.build(&[]).expect_failure(1);
    assert!(said.contains("trouble") && said.contains("cannot be built") && said.contains("code: 3"), "{said}");
    assert!(!project.has_image(&project.image()).await);
    for (dockerfile, part) in [
        ("FROM no.such.host.invalid/a:1\n", "cannot be built"),
        ("FRM a\n", "unknown instruction"),
        (&format!("FROM {BASE}\nCOPY nothing /\n"), "nothing"),
    ] {
        project.write("Dockerfile", dockerfile);
        let said = project.build(&[]).expect_failure(1);
        assert!(said.contains(part), "{dockerfile}: {said}");
    }
    std::fs::remove_file(project.path().join("Dockerfile")).unwrap();
    let said = project.build(&[]).expect_failure(1);
    assert!(said.contains("there is no") && said.contains("Dockerfile"), "{said}");
}

#[tokio::test]
async fn a_manifest_is_judged_before_an_engine_is_asked() {
    let project = Project::new("builds-judged").await;
    let nowhere = [("DOCKER_HOST", "unix:///nowhere/docker.sock")];
    let mut broken = manifest("builds-judged");
    broken["job"]["timeout"] = "soon".into();
    project.write("seed.manifest.json", &broken.to_string());
    let said = project.silo_with(&nowhere, &["build"], "").expect_failure(1);
    assert!(said.contains("not valid: 1 error") && !said.contains("container engine"), "{said}");
    let exit = project.silo_with(&nowhere, &["build", "--json"], "");
    assert_eq!(exit.code, Some(1));
    let said: Value = serde_json::from_str(&exit.stdout).unwrap();
    assert_eq!((&said["image"], &said["report"]["valid"]), (&Value::Null, &false.into()));
    // A valid name by the standard, but not for Docker.
    project.write("seed.manifest.json", &manifest("Builds-Judged").to_string());
    let said = project.silo_with(&nowhere, &["build"], "").expect_failure(1);
    assert!(said.contains("cannot be the name of an image"), "{said}");
    project.write("seed.manifest.json", &manifest("builds-judged").to_string());
    let said = project.silo_with(&nowhere, &["build"], "").expect_failure(1);
    assert!(said.contains("no container engine answers"), "{said}");
    for wrong in
        [&["build", "nowhere"][..], &["build", "-M", "no.json"], &["build", "-r", "x"], &["build", "--publish"]]
    {
        let said = project.silo_with(&nowhere, wrong, "").expect_failure(2);
        assert!(!said.contains("container engine"), "{said}");
    }
}

#[tokio::test]
async fn what_is_ignored_stays_out() {
    let project = Project::new("builds-ignores").await;
    project.write(".dockerignore", "*\n!job.sh\n!data\ndata/**/*.tmp\n# Dockerfile\n");
    fs::create_dir_all(project.path().join("data/deep")).unwrap();
    for name in ["data/keep.txt", "data/deep/drop.tmp", "data/deep/keep", "secret.key"] {
        project.write(name, "");
    }
    project.write("job.sh", "cd /all; find . -type f | sort | tee $OUTPUT_DIR/a.txt\n");
    project.write("Dockerfile", &format!("FROM {BASE}\nCOPY . /all/\nCOPY job.sh /\n"));
    project.build(&["-q"]).expect_success();
    let run = project.silo(&["run", ".", "-o", "out", "--network", "none"]);
    assert_eq!(run.stdout, "./data/deep/keep\n./data/keep.txt\n./job.sh\n", "{run:#?}");
    project.write(".dockerignore", "fine\n[a\n");
    let said = project.build(&[]).expect_failure(1);
    assert!(said.contains("line 2 of .dockerignore"), "{said}");
}

#[tokio::test]
async fn files_may_lie_elsewhere_and_arguments_arrive() {
    let project = Project::new("builds-elsewhere").await;
    fs::create_dir(project.path().join("code")).unwrap();
    fs::rename(project.path().join("job.sh"), project.path().join("code/job.sh")).unwrap();
    fs::rename(project.path().join("seed.manifest.json"), project.path().join("code/m.json")).unwrap();
    project.write("Dockerfile", "oops");
    project.write("Other", "ARG FROM_IMAGE\nFROM ${FROM_IMAGE}\nCOPY . /\n");
    let image = project.image();
    let argument = format!("FROM_IMAGE={BASE}");
    let exit = project.build(&["code", "-M", "m.json", "-D", "Other", "--build-arg", &argument, "-c", BASE, "-q"]);
    exit.expect_success();
    let run = project.silo(&["run", &image, "-o", "out", "--network", "none"]);
    assert_eq!(run.code, Some(0), "{run:#?}");
    // In Seed CLI's spelling.
    let old = ["build", "-d", "code", "-M", "m.json", "-D", "Other", "-c", BASE, "-w", "-v", "1.0.0"];
    project.silo(&[&old[..], &["--build-arg", &argument, "--build-network", "none"]].concat()).expect_success();
}

#[tokio::test]
async fn a_build_can_be_stopped() {
    use std::io::{BufRead as _, BufReader};
    use std::process::{Command, Stdio};
    let project = Project::new("builds-slowly").await;
    project.write("Dockerfile", &format!("FROM {BASE}\nRUN echo at it; sleep 600\n"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_silo"));
    command.current_dir(project.path()).env_clear().env("DOCKER_HOST", &project.engine.host);
    command.args(["build", "--build-network", "none"]).stdin(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "at it"), "the build begins");
    crate::support::output(Command::new("kill").args(["-INT", &child.id().to_string()]));
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(!project.has_image(&project.image()).await);
}
