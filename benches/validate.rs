//! Validated manifests per second, compared with JSON Schema validators with SILO's schema.
//!
//! All on one thread, each from the text, in turns, so that disturbances affect all alike.

use std::hint::black_box;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use jsonschema::Validator;
use serde_json::{Value, json};
use silo::seed::ProblemSeverity;
use silo::seed::spec::{PublishedSchema, json_schema};
use silo::seed::validate::{ValidationRules, judge};
use silo_testkit::figures::{self, Times, line, ratio};

const TURNS: usize = 9;

/// The problems of the invalid manifest: pointer and value.
const MISTAKES: [(&str, &str); 10] = [
    ("/job/name", "\"sea_ice\""),
    ("/job/jobVersion", "\"1.2\""),
    ("/job/title", "7"),
    ("/job/timeout", "\"3600\""),
    ("/job/maintainer", "{\"name\": \"Ada Frost\"}"),
    ("/job/interface/inputs/files/3/multiple", "\"yes\""),
    ("/job/interface/inputs/json/2/type", "\"date\""),
    ("/job/interface/mounts/0/path", "\"data/coast\""),
    ("/job/resources/scalar/1", "{\"name\": \"mem\", \"value\": 512, \"unit\": \"MiB\"}"),
    ("/job/errors/5/name", "\"no orbit\""),
];

fn main() {
    let count = figures::size(2000);
    let schema: Value = serde_json::from_str(json_schema(PublishedSchema::Manifest)).expect("the schema is JSON");
    let validator = jsonschema::draft202012::new(&schema).expect("the schema can be used");
    let valid = manifest();
    let mut broken = valid.clone();
    for (pointer, value) in MISTAKES {
        *broken.pointer_mut(pointer).expect("it is there") = serde_json::from_str(value).expect("JSON");
    }
    for (what, manifest, problems) in [("no problem", valid, 0), ("ten problems", broken, MISTAKES.len())] {
        let text = format!("{manifest:#}\n");
        check(&text, &validator, problems);
        println!("A manifest of {} bytes with {what}, validations a second:", text.len());
        compare(&text, &schema, &validator, count);
    }
}

/// Checks that all validators find the same problems.
fn check(text: &str, validator: &Validator, problems: usize) {
    let report = judge(text.as_bytes(), ValidationRules::default());
    let errors: Vec<_> = report.problems.iter().filter(|problem| problem.severity == ProblemSeverity::Error).collect();
    assert_eq!(errors.len(), problems, "{errors:#?}");
    assert_eq!(report.problems.len(), problems, "no warnings beside: {:#?}", report.problems);
    let value = serde_json::from_str(text).expect("the manifest is JSON");
    assert_eq!(validator.iter_errors(&value).count(), problems);
}

fn compare(text: &str, schema: &Value, validator: &Validator, count: usize) {
    let parse = || serde_json::from_slice::<Value>(black_box(text.as_bytes())).expect("the manifest is JSON");
    let mut times: [Times; 5] = std::array::from_fn(|_| Times::default());
    let mut python = true;
    for _ in 0..TURNS {
        times[0].add(each(count, || _ = black_box(judge(black_box(text.as_bytes()), ValidationRules::default()))));
        times[1].add(each(count, || _ = black_box(validator.is_valid(&parse()))));
        times[2].add(each(count, || _ = black_box(validator.iter_errors(&parse()).collect::<Vec<_>>())));
        match by_python(text, schema, count.div_ceil(20)) {
            Some(both) if python => both.into_iter().zip(&mut times[3..]).for_each(|(time, times)| times.add(time)),
            _ => python = false,
        }
    }
    let names = [
        "SILO: every problem, with its place",
        "crate jsonschema: valid or not",
        "crate jsonschema: every problem",
        "Python's jsonschema: valid or not",
        "Python's jsonschema: every problem",
    ];
    for (name, times) in names.iter().zip(&times).take(if python { 5 } else { 3 }) {
        line(name, times.rate(1));
    }
    for (name, other) in names.iter().zip(&times).take(if python { 5 } else { 3 }).skip(1) {
        line(&format!("SILO / {name}"), format!("{:.1}", ratio(times[0].median(), other.median())));
    }
    if !python {
        line("Python's jsonschema", "not there");
    }
}

/// The mean time of a call.
fn each(count: usize, mut work: impl FnMut()) -> Duration {
    let start = Instant::now();
    (0..count).for_each(|_| work());
    start.elapsed() / u32::try_from(count).expect("a small number")
}

/// Times of Python's validator for "valid or not" and for all problems, measured there; `None` without the library.
fn by_python(text: &str, schema: &Value, count: usize) -> Option<[Duration; 2]> {
    const PROGRAM: &str = "
import json, sys, time
from jsonschema import Draft202012Validator
task = json.load(sys.stdin)
validator, text, count = Draft202012Validator(task['schema']), task['text'], task['count']
def each(work):
    start = time.perf_counter()
    for _ in range(count):
        work(json.loads(text))
    return (time.perf_counter() - start) / count
print(each(validator.is_valid), each(lambda value: list(validator.iter_errors(value))))
";
    let mut python = Command::new("python3")
        .args(["-c", PROGRAM])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let task = json!({"schema": schema, "text": text, "count": count}).to_string();
    // A Python without the library exits without reading.
    _ = python.stdin.take()?.write_all(task.as_bytes());
    let printed = String::from_utf8(python.wait_with_output().ok()?.stdout).ok()?;
    let mut seconds = printed.split_whitespace().map(|number| number.parse().map(Duration::from_secs_f64));
    Some([seconds.next()?.ok()?, seconds.next()?.ok()?])
}

/// A manifest of usual size, about 5 KB when indented.
fn manifest() -> Value {
    let files = ["SCENES", "MASK", "ORBIT", "LAST_EDGE", "COAST"].map(|name| {
        let (multiple, required) = (name == "SCENES", name != "MASK");
        json!({"name": name, "mediaTypes": ["image/tiff"], "multiple": multiple, "required": required})
    });
    let values = [("THRESHOLD", "number"), ("PASSES", "integer"), ("BANDS", "array")]
        .map(|(name, kind)| json!({"name": name, "type": kind, "required": false}));
    let outputs = ["EDGE", "MAPS", "REPORT"].map(
        |name| json!({"name": name, "mediaType": "image/tiff", "pattern": format!("{name}/*.tif"), "multiple": true}),
    );
    let errors = ["no-orbit", "no-scene", "too-dark", "no-coast", "too-large", "bad-mask", "crash", "no-space"];
    let errors: Vec<_> = errors
        .iter()
        .zip(10..)
        .map(|(name, code)| {
            let description = format!("The run ended with {name}; the log says more about the scene in question.");
            json!({"code": code, "name": name, "title": name, "description": description, "category": "data"})
        })
        .collect();
    let command = "edge ${SCENES} ${MASK/#/-m } ${ORBIT} ${LAST_EDGE} ${COAST} ${THRESHOLD/#/-t } ${PASSES} ${BANDS} \
                   ${OUTPUT_DIR}";
    let description =
        "Finds the edge of sea ice in pairs of radar scenes, and writes it as lines and as maps. ".repeat(6);
    json!({
        "seedVersion": "1.0.0",
        "job": {
            "name": "sea-ice-edge",
            "jobVersion": "1.2.0",
            "packageVersion": "0.3.1",
            "title": "Sea ice edge",
            "description": description,
            "tags": ["radar", "ice", "sea", "edge"],
            "maintainer": {"name": "Ada Frost", "organization": "Polar Works", "email": "ada@example.org"},
            "timeout": 3600,
            "interface": {
                "command": command,
                "inputs": {"files": files, "json": values},
                "outputs": {"files": outputs, "json": [{"name": "LENGTH_KM", "key": "length", "type": "number"}]},
                "mounts": [{"name": "COASTLINES", "path": "/data/coast", "mode": "ro"}],
                "settings": [{"name": "DB_HOST"}, {"name": "DB_PASSWORD", "secret": true}],
            },
            "resources": {
                "scalar": [
                    {"name": "cpus", "value": 1.5},
                    {"name": "mem", "value": 512, "inputMultiplier": 2.5},
                    {"name": "disk", "value": 10, "inputMultiplier": 1},
                ],
            },
            "errors": errors,
        },
    })
}
