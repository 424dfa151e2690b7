//! The tutorial of Seed's user guide, and Scale's quick start, as typed: from a script to a job that SILO finds. Only
//! the base images differ, since nothing can be pulled here.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use super::seed_cli::shell;
use crate::support::docker_engine::{BASE, DockerEngine, engine};
use crate::support::docker_registry::DockerRegistry;
use crate::support::process::{PASSWORD, Setup, Silo};

/// A terminal session, and its transcript.
struct Terminal {
    engine: DockerEngine,
    registry: DockerRegistry,
    silo: Silo,
    folder: PathBuf,
    transcript: String,
}

impl Terminal {
    /// In a folder with the files of an example, without a manifest.
    async fn new(example: &str) -> Self {
        let (engine, registry) = (engine().await, DockerRegistry::open().await);
        let silo = Setup::new().env("SILO__RUNS__ENGINE", &engine.host).start().await;
        let folder = silo.folder().join(example);
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(example);
        copy(&source, &folder);
        fs::remove_file(folder.join("seed.manifest.json")).unwrap();
        Self { engine, registry, silo, folder, transcript: String::new() }
    }

    /// Types a command line, and asserts its exit code.
    fn types(&mut self, line: &str, code: i32) {
        let home = self.folder.display().to_string();
        let environment = [
            ("DOCKER_HOST", self.engine.host.as_str()),
            ("HOME", &home),
            ("SILO_URL", self.silo.url()),
            ("SILO", self.silo.url()),
            ("REGISTRY", &self.registry.host()),
            ("PASSWORD", PASSWORD),
        ];
        let exit = shell(&self.folder, &environment, line);
        assert_eq!(exit.code, Some(code), "{line}: {exit:#?}\n{}", self.transcript);
        let plain = |text: &str| text.replace(&self.registry.host(), "REGISTRY").replace(&home, "FOLDER");
        let (stdout, said) = (plain(&exit.stdout), plain(&exit.stderr));
        writeln!(self.transcript, "$ {line}\n{}", stdout.trim_end()).unwrap();
        if code != 0 {
            writeln!(self.transcript, "{}\n(exit {code})", said.trim_end()).unwrap();
        }
    }

    /// Replaces the manifest by the example's.
    fn edits_the_manifest(&self, example: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(example).join("seed.manifest.json");
        fs::copy(path, self.folder.join("seed.manifest.json")).unwrap();
    }

    /// The transcript, with variable parts removed.
    fn transcript(&self) -> String {
        let is_digest = |line: &&str| !line.starts_with("Digest: sha256:");
        // The duration of a batch's rows.
        let is_time = |word: &&str| word.contains('.') && word.parse::<f64>().is_ok();
        let untimed = |line: &str| match line.split_whitespace().find(is_time).filter(|_| line.contains(" 000")) {
            Some(seconds) => line.replace(seconds, "N.N"),
            None => line.to_owned(),
        };
        self.transcript.lines().filter(is_digest).map(untimed).collect::<Vec<_>>().join("\n")
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() { copy(&path, &to) } else { _ = fs::copy(&path, &to).unwrap() }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_user_guide() {
    let mut terminal = Terminal::new("image-rotate").await;
    terminal.types("seed init", 0);
    terminal.edits_the_manifest("image-rotate");
    terminal.types("seed validate", 0);
    terminal.types(&format!("seed build --build-arg BASE={BASE} --build-network none"), 0);
    terminal.types("seed run", 2);
    terminal.types("seed run -i INPUT_FILE=inputs/seed.ppm -j DEGREES=180 -o output --network none", 0);
    terminal.types("seed run -rm -in image-rotate-1.0.0-seed:1.0.0 -i INPUT_FILE=inputs/seed.ppm -j DEGREES=90 -o output90 --network none && ls output90", 0);
    terminal.types("seed batch -b inputs/rows.csv -o rows --network none -q", 0);
    terminal.types("seed publish -in image-rotate-1.0.0-seed:1.0.0 -r $REGISTRY -O gitlab-group/gitlab-project", 0);
    terminal.types("seed publish -r $REGISTRY -O gitlab-group/gitlab-project", 1);
    terminal.types(
        &format!(
            "seed publish -pp -r $REGISTRY -O gitlab-group/gitlab-project --build-arg BASE={BASE} --build-network none"
        ),
        0,
    );
    terminal.types("seed search -r $REGISTRY -O gitlab-group/gitlab-project", 0);
    let id = terminal.silo.add("mine", &terminal.registry.url()).await;
    let scan = terminal.silo.scan(id).await;
    assert_eq!((&scan["state"], &scan["counts"]["problems"]), (&"complete".into(), &0.into()), "{scan:#}");
    terminal.types("seed search rotate", 0);
    insta::assert_snapshot!(terminal.transcript());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_quick_start() {
    let mut terminal = Terminal::new("io-demo").await;
    terminal.types("seed init", 0);
    terminal.edits_the_manifest("io-demo");
    terminal.types(&format!("seed build --build-arg BASE={BASE} --build-network none"), 0);
    terminal.types(
        "seed run -rm -in io-demo-1.0.0-seed:1.0.0 -i INPUT_FILE=inputs/grain.txt -o out --network none && ls out",
        0,
    );
    terminal.types("seed publish -in io-demo-1.0.0-seed:1.0.0 -r $REGISTRY -O ada", 0);
    let token = r#"TOKEN=$(curl -s -H "Content-Type: application/json" -d '{"username":"admin", "password":"'"$PASSWORD"'"}' "$SILO/login" | cut -d '"' -f 4)"#;
    let add = r#"curl -s -H "Authorization: Token $TOKEN" $SILO/registries/add -d '{"name":"mine","url":"'"http://$REGISTRY"'","org":"ada"}' >/dev/null"#;
    let scan = r#"curl -s -H "Authorization: Token $TOKEN" $SILO/registries/scan >/dev/null"#;
    let find = r#"curl -s $SILO/jobs/search/io-demo | grep -o '"Name":"[^"]*"' | head -1"#;
    terminal.types(&[token, add, scan, find].join("; "), 0);
    let image = "$REGISTRY/ada/io-demo-1.0.0-seed:1.0.0";
    let submit = format!("ID=$(silo runs submit {image} -i INPUT_FILE=inputs/grain.txt)");
    let login = r#"echo "$PASSWORD" | silo login >/dev/null; silo whoami | cut -d ' ' -f 1,2"#;
    let wait = "silo runs wait $ID && silo runs outputs $ID && silo runs outputs $ID -o results && ls results";
    terminal.types(&[login, &submit, wait].join("; "), 0);
    insta::assert_snapshot!(terminal.transcript());
}

/// The workflow of NASA's Cumulus: an image whose entry point takes two folders, `data/input`, and the expected results
/// in `data/output`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_loop_of_cumulus() {
    let mut terminal = Terminal::new("io-demo").await;
    fs::remove_dir_all(&terminal.folder).unwrap();
    let write = |path: &str, text: &str| {
        let path = terminal.folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write(
        "Dockerfile",
        &format!(
            "FROM {BASE}\nCOPY process.sh /\nENTRYPOINT [\"/bin/sh\", \"/process.sh\"]\nCMD [\"input\", \"output\"]\n"
        ),
    );
    write(
        "process.sh",
        "set -e\nfor file in $1/*; do tr a-z A-Z <$file >$2/$(basename $file); echo did $(basename $file); done\n",
    );
    for (name, text) in [("day-1.txt", "ice\n"), ("day-2.txt", "snow\n"), ("day-3.met", "rain\n")] {
        write(&format!("data/input/{name}"), text);
        write(&format!("data/output/{name}"), &text.to_uppercase());
    }
    terminal.types("silo init --from Dockerfile --name cumulus", 0);
    terminal.types("silo build --build-network none", 0);
    terminal.types("echo 'ls $INPUT_FILES' | silo shell -q -i INPUT_FILES=data/input -o shell --network none", 0);
    terminal.types("silo test --network none && ls data/test-output", 0);
    terminal.types("echo other >data/output/day-2.txt; silo test --network none", 4);
    terminal.types("silo test cumulus-1.0.0-seed:1.0.0 data --network none --update && cat data/output/day-2.txt", 0);
    // With an image instead of a folder, too.
    terminal.types("mkdir wrapped && cd wrapped && silo init --from cumulus-1.0.0-seed:1.0.0 && cat Dockerfile", 0);
    insta::assert_snapshot!(terminal.transcript());
}

/// `docs/tutorial.md`, line by line. The services that it starts first are started by the test.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_from_nothing_to_a_found_image() {
    const PAGE: &str = include_str!("../../../docs/tutorial.md");
    let mut terminal = Terminal::new("io-demo").await;
    terminal.edits_the_manifest("io-demo");
    terminal.engine.tag(BASE, "busybox", "1.37").await;
    let token = terminal.silo.login("admin", PASSWORD).await;
    let mut typed = 0;
    for line in PAGE.lines().filter_map(|line| line.strip_prefix("$ ")) {
        if line == "cd examples/io-demo" {
            continue;
        }
        let line = line.replace("localhost:5000", &terminal.registry.host());
        terminal.types(&format!("export SILO_TOKEN={token}; {line}"), 0);
        typed += 1;
    }
    assert_eq!(typed, 8, "the page has other lines");
    let transcript = terminal.transcript();
    let found = transcript.rsplit("silo search").next().expect("a last line");
    assert!(found.contains("io-demo") && found.contains("REGISTRY/tutorial/io-demo-1.0.0-seed:1.0.0"), "{transcript}");
}
