//! `silo batch`, with a real engine if something runs.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};

use serde_json::{Value, json};
use silo::seed::LABEL;
use tempfile::TempDir;

use super::program::silo;
use crate::support::docker_engine::{DockerEngine, engine};
use crate::support::manifest::{few_resources, of_job};
use crate::support::output;
use crate::support::process::Exit;

/// Executes its input file, and writes its inputs to the output.
const SCRIPT: &str = r#"
printf %s "$NOTE" >$OUTPUT_DIR/note.txt
[ -z "$OTHERS" ] || ls "$OTHERS" >$OUTPUT_DIR/others.txt
case $(cat "$INPUT_FILE") in
fail) exit 9 ;;
wait) trap 'exit 5' TERM; while :; do sleep 0.05; done ;;
meet) touch "/shared/$NUMBER"; until [ $(ls /shared | wc -l) -ge 2 ]; do sleep 0.05; done ;;
esac
cp "$INPUT_FILE" $OUTPUT_DIR/result.txt
"#;

fn manifest(name: &str) -> Value {
    let job = json!({
        "interface": {
            "command": "",
            "inputs": {
                "files": [{"name": "INPUT_FILE"}, {"name": "OTHERS", "multiple": true, "required": false}],
                "json": [{"name": "NOTE", "type": "string", "required": false},
                         {"name": "NUMBER", "type": "integer", "required": false}]
            },
            "outputs": {"files": [{"name": "RESULT", "pattern": "result.txt", "required": false}]},
            "settings": [{"name": "API_KEY", "secret": true}],
            "mounts": [{"name": "SHARED", "path": "/shared", "mode": "rw"}]
        },
        "resources": few_resources(),
        "errors": [{"code": 9, "name": "bad-picture", "title": "Bad picture", "category": "data"}]
    });
    of_job(name, job)
}

/// A folder with files that contain the script of each row.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("seed.manifest.json"), manifest("planned").to_string()).unwrap();
    for (name, content) in [&[("shared/.keep", "")], files].concat() {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    folder
}

const COMMON: [&str; 6] = ["-e", "API_KEY=hunter2", "-m", "SHARED=shared", "-o", "out"];

/// Without an engine.
fn dry_run(folder: &Path, more: &[&str]) -> Exit {
    silo(folder, &[&["batch", ".", "--dry-run"], &COMMON[..], more].concat())
}

struct Job {
    engine: DockerEngine,
    image: String,
    name: String,
    folder: TempDir,
}

impl Job {
    async fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let engine = engine().await;
        let label = manifest(name).to_string();
        let image = engine.script(&format!("{name}-1.0.0-seed:1.0.0"), SCRIPT, &[(LABEL, &label)]).await;
        Self { engine, image, name: name.to_owned(), folder: folder(files) }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn write(&self, name: &str, content: &str) {
        fs::write(self.path().join(name), content).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path().join(name)).unwrap_or_else(|why| panic!("{name}: {why}"))
    }

    fn arguments<'a>(&'a self, more: &[&'a str]) -> Vec<&'a str> {
        let engine = ["batch", &self.image, "--engine", &self.engine.host, "--network", "none"];
        [&engine[..], &COMMON[..], more].concat()
    }

    fn batch(&self, more: &[&str]) -> Exit {
        silo(self.path(), &self.arguments(more))
    }

    /// The exit code and the rows' states, from the JSON report.
    fn states(&self, more: &[&str]) -> (Option<i32>, Vec<String>) {
        let exit = self.batch(&[more, &["--json"]].concat());
        let report: Value = serde_json::from_str(&exit.stdout).unwrap_or_else(|why| panic!("{why}: {exit:#?}"));
        (exit.code, states(&report))
    }

    /// Starts a batch; returns when a row has failed and this many containers of the next rows exist.
    async fn start(&self, more: &[&str], containers: usize) -> (Child, BufReader<ChildStderr>) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_silo"));
        command.current_dir(self.path()).env_clear().args(self.arguments(more));
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("failed: bad-picture (9)") {
            line.clear();
            assert_ne!(said.read_line(&mut line).unwrap(), 0, "it ended");
        }
        self.engine.until_containers(&self.label(), containers).await;
        (child, said)
    }

    fn label(&self) -> String {
        format!("silo.job={}-1.0.0", self.name)
    }

    async fn containers(&self) -> Vec<String> {
        self.engine.containers(&self.label()).await
    }

    /// The rows of the journal, in its order.
    fn journal(&self) -> Vec<Value> {
        self.read("out/batch.jsonl").lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }
}

fn states(report: &Value) -> Vec<String> {
    report["rows"].as_array().unwrap().iter().map(|row| row["state"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_csv_file_with_quotes_commas_and_line_breaks() {
    let job =
        Job::new("batch-csv", &[("lists/a, b.txt", "1"), ("lists/x.txt", ""), ("y.txt", ""), ("c.txt", "2")]).await;
    // `y.txt` and `c.txt` exist only in the current folder, `x.txt` beside the rows' file.
    let rows = "\u{feff}INPUT_FILE, note ,OTHERS\r\n\"a, b.txt\",\"say \"\"hi\"\",\r\ntwice\",\"x.txt\r\n y.txt\"\r\n\r\n c.txt , ,\r\n";
    job.write("lists/rows.csv", rows);
    let exit = job.batch(&["-b", "lists/rows.csv", "-j", "NOTE=for all"]);
    assert_eq!(exit.code, Some(0), "{exit:#?}");
    assert!(exit.stderr.contains("2 rows: 2 successful"), "{}", exit.stderr);
    let table: Vec<Vec<&str>> = exit.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(table[0], ["ROW", "STATE", "ERROR", "SECONDS", "FOLDER"]);
    let folder = "0001-a__b.txt-x.txt-y.txt";
    assert_eq!((table[1][0], table[1][1], table[1][3]), ("1", "successful", folder), "{}", exit.stdout);
    let first = format!("out/{folder}");
    assert_eq!(job.read(&format!("{first}/output/note.txt")), "say \"hi\",\r\ntwice");
    assert_eq!(job.read(&format!("{first}/output/others.txt")), "x.txt\ny.txt\n");
    assert_eq!(job.read(&format!("{first}/output/result.txt")), "1");
    let second = "out/0002-c.txt";
    assert_eq!(job.read(&format!("{second}/output/note.txt")), "for all", "an empty value is not given");
    let record: Value = serde_json::from_str(&job.read(&format!("{second}/job.json"))).unwrap();
    assert_eq!((&record["status"], &record["given"]["json"]["NOTE"]), (&json!("successful"), &json!("for all")));
    let entry = &job.journal()[1];
    assert_eq!((&entry["row"], &entry["state"], &entry["exitCode"]), (&json!(2), &json!("successful"), &json!(0)));
    assert_eq!((&entry["error"], &entry["folder"]), (&Value::Null, &json!("0002-c.txt")));
    assert!(!format!("{exit:?}{}", job.read("out/batch.jsonl")).contains("hunter2"));
    assert_eq!(job.containers().await, [""; 0]);

    // Successful rows are not run again, unless they changed or `--again` is given.
    let again = ["-b", "lists/rows.csv", "-j", "NOTE=for all"];
    assert_eq!(job.states(&again), (Some(0), vec!["done-before".to_owned(); 2]));
    job.write("c.txt", "two");
    assert_eq!(job.states(&again), (Some(0), vec!["done-before".to_owned(), "successful".to_owned()]));
    assert_eq!(job.read(&format!("{second}/output/result.txt")), "two");
    assert_eq!(job.read(&format!("{second}.1/output/result.txt")), "2", "results are kept");
    fs::remove_dir_all(job.path().join(first)).unwrap();
    assert_eq!(job.states(&again), (Some(0), vec!["successful".to_owned(), "done-before".to_owned()]));
    assert_eq!(job.states(&[&again[..], &["--again"]].concat()), (Some(0), vec!["successful".to_owned(); 2]));
    // A rebuilt image of the same name is another image.
    let label = manifest(&job.name).to_string();
    let name = job.image.strip_prefix("silo-test/").unwrap();
    job.engine.script(name, &format!("{SCRIPT}\n# changed"), &[(LABEL, &label)]).await;
    assert_eq!(job.states(&again), (Some(0), vec!["successful".to_owned(); 2]));
}

#[tokio::test]
async fn bad_rows_are_told_at_once_and_nothing_runs() {
    let job = Job::new("batch-bad", &[("a.txt", "1")]).await;
    job.write("rows.csv", "INPUT_FILE,NUMBER\na.txt,1\nnowhere.txt,1\na.txt,one\n\"\",2\na.txt\n");
    let exit = job.batch(&["-b", "rows.csv"]);
    assert_eq!((exit.code, exit.stdout.as_str()), (Some(2), ""), "{exit:#?}");
    for said in [
        "row 2 (line 3): INPUT_FILE: there is no file or folder nowhere.txt",
        "row 3 (line 4): NUMBER: its value must be of the type integer",
        "row 4 (line 5): INPUT_FILE: the job needs this input",
        "row 5 (line 6): it has 1 values, but the first line names 2",
    ] {
        assert!(exit.stderr.contains(said), "{said}: {}", exit.stderr);
    }
    assert!(!job.path().join("out").exists());
    let all = |first: &str| [first, "bad", "bad", "bad", "bad"].map(str::to_owned).to_vec();
    assert_eq!(job.states(&["-b", "rows.csv"]), (Some(2), all("not-begun")));
    assert_eq!(job.states(&["-b", "rows.csv", "--skip-bad"]), (Some(0), all("successful")));
    job.write("rows.csv", "INPUT_FILE\nnowhere.txt\n");
    assert_eq!(job.states(&["-b", "rows.csv", "--skip-bad"]), (Some(2), vec!["bad".to_owned()]));
}

#[tokio::test]
async fn a_row_that_fails_is_told_and_run_again() {
    let job = Job::new("batch-fails", &[("a", "fail"), ("b", "2")]).await;
    job.write("rows.csv", "INPUT_FILE\na\nb\n");
    let stopped = ["failed", "not-begun"].map(str::to_owned).to_vec();
    assert_eq!(job.states(&["-b", "rows.csv", "--fail-fast"]), (Some(3), stopped));
    let exit = job.batch(&["-b", "rows.csv"]);
    assert_eq!(exit.code, Some(3), "{exit:#?}");
    assert!(exit.stderr.contains("row 1 (line 2) failed: bad-picture (9); see "), "{}", exit.stderr);
    assert!(
        exit.stdout.contains("failed      bad-picture (9)") && exit.stdout.contains("successful"),
        "{}",
        exit.stdout
    );
    let record: Value = serde_json::from_str(&job.read("out/0001-a/job.json")).unwrap();
    assert_eq!(record["error"]["exitCode"], 9);
    job.write("a", "1");
    let mended = ["successful", "done-before"].map(str::to_owned).to_vec();
    assert_eq!(job.states(&["-b", "rows.csv", "-q"]), (Some(0), mended));
}

#[tokio::test]
async fn what_was_killed_goes_on() {
    let job = Job::new("batch-killed", &[("a", "1"), ("b", "fail"), ("c", "wait")]).await;
    job.write("rows.csv", "INPUT_FILE\na\nb\nc\n");
    let (mut child, _said) = job.start(&["-b", "rows.csv"], 1).await;
    // A second batch cannot use the same folder.
    let error = job.batch(&["-b", "rows.csv"]).expect_failure(1);
    assert!(error.contains("another silo process uses"), "{error}");
    child.kill().and_then(|()| child.wait()).unwrap();
    // As a kill in the middle of a line leaves it.
    let journal = job.read("out/batch.jsonl");
    job.write("out/batch.jsonl", &format!("{journal}{{\"row\":1,\"state\":\"fai"));
    job.write("c", "3");
    let expected = ["done-before", "failed", "successful"].map(str::to_owned).to_vec();
    assert_eq!(job.states(&["-b", "rows.csv"]), (Some(3), expected));
    assert_eq!(job.read("out/0003-c/output/result.txt"), "3");
    let rows: Vec<Value> = job.journal().iter().map(|entry| entry["row"].clone()).collect();
    assert_eq!(rows, [1, 2, 2, 3], "the half line harms no other");
    assert_eq!(job.containers().await, [""; 0]);
}

/// The next command removes all containers of a killed batch, not only the first.
#[tokio::test]
async fn what_several_jobs_at_a_time_left_behind_is_removed() {
    let job = Job::new("batch-killed-three", &[("a", "wait"), ("b", "wait"), ("c", "wait"), ("d", "fail")]).await;
    job.write("rows.csv", "INPUT_FILE\nd\na\nb\nc\n");
    let (mut child, _said) = job.start(&["-b", "rows.csv", "--jobs", "3"], 3).await;
    child.kill().and_then(|()| child.wait()).unwrap();
    assert_eq!(job.containers().await.len(), 3);
    for name in ["a", "b", "c"] {
        job.write(name, "3");
    }
    let (code, states) = job.states(&["-b", "rows.csv", "--jobs", "3"]);
    assert_eq!(
        (code, states),
        (Some(3), ["failed", "successful", "successful", "successful"].map(str::to_owned).to_vec())
    );
    assert_eq!(job.containers().await, [""; 0]);
}

#[tokio::test]
async fn ctrl_c_stops_the_containers_and_says_how_to_go_on() {
    let job = Job::new("batch-stopped", &[("a", "fail"), ("b", "wait"), ("c", "3")]).await;
    job.write("rows.csv", "INPUT_FILE\na\nb\nc\n");
    let (mut child, mut said) = job.start(&["-b", "rows.csv"], 1).await;
    output(Command::new("kill").args(["-INT", &child.id().to_string()]));
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut said, &mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{rest}");
    assert!(rest.contains("3 rows: 1 failed, 1 dismissed, 1 not begun"), "{rest}");
    assert!(rest.contains("Run the same command again to rerun the rows that were not successful."), "{rest}");
    assert_eq!(job.containers().await, [""; 0]);
    assert_eq!(job.journal().len(), 1, "one that was stopped has not ended");
}

/// Each row waits for the other.
#[tokio::test]
async fn two_at_a_time() {
    let job = Job::new("batch-two", &[("a", "meet")]).await;
    job.write("rows.jsonl", "{\"INPUT_FILE\": \"a\", \"NUMBER\": 1}\n{\"INPUT_FILE\": \"a\", \"NUMBER\": 2}\n");
    assert_eq!(job.states(&["-b", "rows.jsonl", "--jobs", "2"]), (Some(0), vec!["successful".to_owned(); 2]));
}

#[tokio::test]
async fn json_lines() {
    let job = Job::new("batch-lines", &[("a", "1"), ("x", ""), ("y", "")]).await;
    job.write("rows.jsonl", "{\"input_file\": \"a\", \"NOTE\": \"b\\n\", \"OTHERS\": [\"x\", \"y\"]}\n\n{\"INPUT_FILE\": \"a\", \"NOTE\": null}");
    assert_eq!(job.states(&["-b", "rows.jsonl"]), (Some(0), vec!["successful".to_owned(); 2]));
    assert_eq!(job.read("out/0001-a-x-y/output/note.txt"), "b\n");
    assert_eq!(job.read("out/0001-a-x-y/output/others.txt"), "x\ny\n");
    let bad = [
        ("[1]", "row 1 (line 1): it is not a JSON object"),
        ("{\"INPUT_FILE\": \"a\"", "row 1 (line 1): it is not a JSON object"),
        ("{\"INPUT_FLIE\": \"a\"}", "INPUT_FLIE: the job has no such input; it has: INPUT_FILE, OTHERS, NOTE, NUMBER"),
        ("{\"INPUT_FILE\": 7}", "INPUT_FILE: give it a path, or a list of paths"),
        ("{\"INPUT_FILE\": [\"a\", \"x\"]}", "INPUT_FILE: it takes one file, but 2 are given"),
        ("{\"INPUT_FILE\": \"a\", \"NUMBER\": \"1\"}", "NUMBER: its value must be of the type integer"),
    ];
    for (row, why) in bad {
        job.write("bad.jsonl", row);
        let error = dry_run(job.path(), &["-b", "bad.jsonl"]).expect_failure(2);
        assert!(error.contains(why), "{row}: {error}");
    }
}

#[tokio::test]
async fn every_file_of_a_folder() {
    let job =
        Job::new("batch-folder", &[("in/b 2.txt", "2"), ("in/a.txt", "1"), ("in/.hidden", ""), ("in/deep/c", "")])
            .await;
    let exit = job.batch(&["-d", "in", "--json"]);
    let report: Value = serde_json::from_str(&exit.stdout).unwrap();
    assert_eq!((exit.code, states(&report).len()), (Some(0), 2), "{report:#}");
    assert_eq!(
        (&report["rows"][0]["folder"], &report["rows"][1]["folder"]),
        (&json!("0001-a.txt"), &json!("0002-b_2.txt"))
    );
    assert_eq!(job.read("out/0002-b_2.txt/output/result.txt"), "2");
}

#[test]
fn what_a_folder_cannot_say() {
    let folder = folder(&[("in/a", ""), ("empty/deep/c", "")]);
    let error = dry_run(folder.path(), &["-d", "empty"]).expect_failure(2);
    assert!(error.contains("empty holds no files"), "{error}");
    let error = dry_run(folder.path(), &["-d", "in/a"]).expect_failure(2);
    assert!(error.contains("in/a is not a folder"), "{error}");
    let mut two = manifest("two");
    two["job"]["interface"]["inputs"]["files"][1] = json!({"name": "SECOND"});
    fs::write(folder.path().join("seed.manifest.json"), two.to_string()).unwrap();
    let error = dry_run(folder.path(), &["-d", "in"]).expect_failure(2);
    assert!(error.contains("the job needs several files (INPUT_FILE, SECOND)"), "{error}");
    assert_eq!(dry_run(folder.path(), &["-d", "in", "-i", "SECOND=in/a"]).code, Some(0));
}

#[test]
fn a_dry_run_says_what_would_be_run() {
    let folder = folder(&[("a.txt", ""), ("b.txt", "")]);
    fs::write(folder.path().join("rows.csv"), "INPUT_FILE\na.txt\nb.txt\n").unwrap();
    let exit = dry_run(folder.path(), &["-b", "rows.csv"]);
    assert_eq!((exit.code, exit.stderr.as_str()), (Some(0), ""), "{exit:#?}");
    let lines: Vec<&str> = exit.stdout.lines().collect();
    assert_eq!(lines.len(), 2);
    // Each line creates what its container needs.
    let is_whole = |line: &&str| line.starts_with("mkdir -p ") && line.contains(" && docker run ");
    assert!(lines.iter().all(is_whole) && lines[1].contains("out/0002-b.txt/output"), "{exit:#?}");
    assert!(!folder.path().join("out").exists() && !exit.stdout.contains("hunter2"), "{exit:#?}");
    fs::write(folder.path().join("many.csv"), format!("INPUT_FILE\n{}", "a.txt\n".repeat(10_000))).unwrap();
    let exit = dry_run(folder.path(), &["-b", "many.csv", "--json"]);
    let report: Value = serde_json::from_str(&exit.stdout).unwrap();
    assert_eq!((exit.code, &report["rows"][9_999]["folder"]), (Some(0), &json!("10000-a.txt")));
}

/// A problem shared by ten thousand rows is reported once, with the option that gives the input to all of them.
#[test]
fn a_fault_that_rows_share_is_said_once() {
    let folder = folder(&[("a.txt", "")]);
    let mut needy = manifest("needy");
    needy["job"]["interface"]["inputs"]["json"][1]["required"] = json!(true);
    fs::write(folder.path().join("seed.manifest.json"), needy.to_string()).unwrap();
    let rows = "INPUT_FILE,NUMBER\na.txt,\na.txt,1\nnowhere.txt,\na.txt,\na.txt,\n";
    fs::write(folder.path().join("rows.csv"), rows).unwrap();
    let error = dry_run(folder.path(), &["-b", "rows.csv"]).expect_failure(2);
    insta::assert_snapshot!(error, @r"
    silo: some rows cannot be run, so no row was run; --skip-bad skips them:
      rows 1, 3 to 5: NUMBER: the job needs this input. Give it a value, JSON of the type integer. -j NUMBER=… sets it for all rows.
      row 3 (line 4): INPUT_FILE: there is no file or folder nowhere.txt.
    ");
    dry_run(folder.path(), &["-b", "rows.csv", "--skip-bad", "-j", "NUMBER=4"]).expect_success();
    // Problems of the header are reported together with those of the rows.
    fs::write(folder.path().join("rows.csv"), "INPUT_FILE,LEVEL,NUMBER\nnowhere.txt,3,1\na.txt,3,2\n").unwrap();
    let error = dry_run(folder.path(), &["-b", "rows.csv", "--skip-bad"]).expect_failure(2);
    insta::assert_snapshot!(error, @r"
    silo: rows.csv: its first line must name inputs; the job has no input `LEVEL`; it has: INPUT_FILE, OTHERS, NOTE, NUMBER
    silo: these rows cannot be run either:
      row 1 (line 2): INPUT_FILE: there is no file or folder nowhere.txt.
    ");
}

#[test]
fn files_of_rows_that_cannot_be_meant() {
    let folder = folder(&[("a.txt", "")]);
    let huge: String = (0..200_000).map(|column| format!("COLUMN_{column},")).collect();
    let wide = format!("INPUT_FILE,{}\n", "N".repeat(5_000_000));
    let cases: [(&str, &[u8], &str); 9] = [
        (
            "empty.csv",
            b"",
            "empty.csv: it is empty: its first line must name inputs (INPUT_FILE, OTHERS, NOTE, NUMBER)",
        ),
        ("blank.csv", b"\n\n", "blank.csv: it is empty"),
        ("bom.csv", b"\xef\xbb\xbf", "bom.csv: it is empty"),
        ("header.csv", b"INPUT_FILE\n", "header.csv holds no rows"),
        ("empty.jsonl", b"\n", "empty.jsonl holds no rows"),
        ("latin.csv", b"INPUT_FILE\nb\xe4r.txt\n", "latin.csv: line 2 is not UTF-8"),
        ("huge.csv", huge.as_bytes(), "`COLUMN_19` and 199981 more; it has: INPUT_FILE"),
        ("wide.csv", wide.as_bytes(), "the job has no input `NNNN"),
        ("colour.csv", b"INPUT_FILE,\x1b[31m\n", "no input `\u{241b}[31m`"),
    ];
    for (name, content, why) in cases {
        fs::write(folder.path().join(name), content).unwrap();
        let error = dry_run(folder.path(), &["-b", name]).expect_failure(2);
        assert!(error.contains(why), "{why}: {error}");
        assert!(error.len() < 2000, "{name}: {} bytes", error.len());
    }
    let error = dry_run(folder.path(), &["-b", "nowhere.csv"]).expect_failure(2);
    assert!(error.contains("nowhere.csv: cannot be read"), "{error}");
    assert!(dry_run(folder.path(), &[]).expect_failure(2).contains("--batch <FILE>"));
    // Other files in the folder are unchanged.
    fs::create_dir(folder.path().join("out")).unwrap();
    fs::write(folder.path().join("out/mine"), "").unwrap();
    fs::write(folder.path().join("rows.csv"), "INPUT_FILE\na.txt\n").unwrap();
    let error = dry_run(folder.path(), &["-b", "rows.csv"]).expect_failure(2);
    assert!(error.contains("out is not empty and does not belong to a batch"), "{error}");
}
