//! Plans of manifests.

use serde_json::{Value, json};

use super::container::NetworkMode;
use super::request::{
    AttemptId, ContainerLayout, HostFile, InputSource, JsonInputValue, ResourceBounds, ResourceDefaults,
};
use super::*;
use crate::engine::run::folder::RunPaths;
use crate::seed::resources::MIB;

fn manifest(interface: Value, scalar: Value) -> SeedManifest {
    let job = json!({
        "name": "sea-ice", "jobVersion": "1.0.0", "packageVersion": "2.0.0", "title": "", "description": "",
        "maintainer": {"name": "Ada", "email": "ada@example.org"}, "timeout": 60,
        "interface": interface, "resources": {"scalar": scalar},
    });
    serde_json::from_value(json!({"seedVersion": "1.0.0", "job": job})).expect("it fits the types")
}

fn request() -> RunRequest {
    RunRequest::new("sea-ice-1.0.0-seed:2.0.0".parse().expect("a name"), RunPaths::new("/runs/7".into()))
}

fn file(path: &str, size: u64) -> InputSource {
    let name = path.rsplit('/').next().expect("a last part").to_owned();
    InputSource::File(HostFile { name, path: path.into(), size })
}

fn folder(path: &str, names: &[&str], is_flat: bool) -> InputSource {
    let file = |name: &&str| HostFile { name: (*name).to_owned(), path: format!("{path}/{name}").into(), size: 1 };
    InputSource::Folder { path: path.into(), files: names.iter().map(file).collect(), is_flat }
}

fn given(list: &[(&str, InputSource)]) -> Vec<(String, InputSource)> {
    list.iter().map(|(name, source)| ((*name).to_owned(), source.clone())).collect()
}

fn text(value: &str) -> JsonInputValue {
    JsonInputValue::Text(value.to_owned())
}

fn variables(plan: &RunPlan) -> Vec<(&str, &str)> {
    plan.container.environment.iter().map(|variable| (&*variable.name, variable.value.expose())).collect()
}

fn variable<'a>(plan: &'a RunPlan, name: &str) -> Option<&'a str> {
    variables(plan).into_iter().find(|(known, _)| *known == name).map(|(_, value)| value)
}

fn binds(plan: &RunPlan) -> Vec<String> {
    let mode = |bind: &BindMount| if bind.read_only { "ro" } else { "rw" };
    plan.container.binds.iter().map(|bind| format!("{} {} {}", bind.source, bind.target, mode(bind))).collect()
}

fn arguments(plan: &RunPlan) -> Option<Vec<&str>> {
    plan.container.command.as_ref().map(|words| words.iter().map(MaskedText::expose).collect())
}

/// The problems, as `code subject`.
fn problems(manifest: &SeedManifest, request: &RunRequest) -> Vec<String> {
    let problems = plan(manifest, request).expect_err("it cannot be planned");
    for problem in &problems {
        assert!(problem.message.ends_with('.') && problem.help.ends_with('.'), "{problem}");
    }
    let code = |problem: &PlanProblem| serde_json::to_value(problem.code).expect("a word").as_str().map(str::to_owned);
    problems.iter().map(|problem| format!("{} {}", code(problem).expect("a word"), problem.subject)).collect()
}

/// A job that uses every feature.
fn complete() -> (SeedManifest, RunRequest) {
    let manifest = manifest(
        json!({
            "command": "edge \"${SCENE}\" ${MASKS} ${OLD/#/-o } -t ${THRESHOLD:-1} --key=${DB_KEY} ${OUTPUT_DIR}",
            "inputs": {
                "files": [{"name": "SCENE"}, {"name": "masks", "multiple": true}, {"name": "OLD", "required": false}],
                "json": [{"name": "bands", "type": "array"}, {"name": "THRESHOLD", "type": "number", "required": false}],
            },
            "mounts": [{"name": "coast", "path": "/data//coast/"}, {"name": "cache", "path": "/cache", "mode": "rw"}],
            "settings": [{"name": "DB_HOST"}, {"name": "DB-KEY", "secret": true}],
        }),
        json!([{"name": "cpus", "value": 1.5}, {"name": "mem", "value": 512, "inputMultiplier": 2.0},
            {"name": "disk", "value": 10}, {"name": "sharedMem", "value": 128}]),
    );
    let mut request = request();
    request.files =
        given(&[("SCENE", file("/data/a, b:c.tif", 3 * MIB)), ("masks", folder("/masks", &["m1", "m2"], true))]);
    request.json = vec![("BANDS".to_owned(), text("[1, 2]"))];
    request.settings = vec![("DB_HOST".to_owned(), "db".into()), ("DB-KEY".to_owned(), "hunter 2".into())];
    request.mounts = vec![("coast".to_owned(), "/nfs/coast".into()), ("cache".to_owned(), "/tmp/cache".into())];
    (manifest, request)
}

#[test]
fn a_job_gets_what_its_manifest_says() {
    let (manifest, request) = complete();
    let plan = plan(&manifest, &request).expect("it can be run");
    let environment = [
        ("SCENE", "/seed/in/SCENE/a, b:c.tif"),
        ("MASKS", "/seed/in/masks"),
        ("BANDS", "[1,2]"),
        ("DB_HOST", "db"),
        ("DB_KEY", "hunter 2"),
        ("OUTPUT_DIR", "/seed/out"),
        ("INPUT_METADATA", "/seed/in/context.json"),
        ("ALLOCATED_CPUS", "1.500000"),
        ("ALLOCATED_MEM", "519"),
        ("ALLOCATED_DISK", "10.000000"),
        ("ALLOCATED_SHAREDMEM", "128"),
    ];
    assert_eq!(variables(&plan), environment);
    let expected = [
        "/data/a, b:c.tif /seed/in/SCENE/a, b:c.tif ro",
        "/masks /seed/in/masks ro",
        "/nfs/coast /data/coast ro",
        "/tmp/cache /cache rw",
        "/runs/7/output /seed/out rw",
        "/runs/7/context.json /seed/in/context.json ro",
    ];
    assert_eq!(binds(&plan), expected);
    let expected = ["edge", "/seed/in/SCENE/a, b:c.tif", "/seed/in/masks", "-t", "1", "--key=hunter", "2", "/seed/out"];
    assert_eq!(arguments(&plan), Some(expected.to_vec()));
    let container = &plan.container;
    assert_eq!((container.memory, container.cpus), (Some(519 * MIB), Some(1.5)));
    assert_eq!((container.shared_memory, plan.disk), (Some(128 * MIB), Some(10 * MIB)));
    assert_eq!(container.timeout, Some(Duration::from_secs(60)));
    assert_eq!(plan.input_bytes(), 3 * MIB + 2);
    assert!(plan.warnings.is_empty() && container.entrypoint.is_none(), "{:?}", plan.warnings);
}

#[test]
fn no_secret_is_shown() {
    let (manifest, request) = complete();
    let plan = plan(&manifest, &request).expect("it can be run");
    let shown = format!("{} {:?} {}", plan.docker_run(), plan, serde_json::to_string(&plan).expect("a plan is JSON"));
    assert!(!shown.contains("hunter"), "{shown}");
    assert!(shown.contains("--env DB_KEY ") && shown.contains("'--key=*****' '*****' /seed/out"), "{shown}");
}

#[test]
fn a_shell_reads_the_line_back() {
    let (manifest, request) = complete();
    let mut plan = plan(&manifest, &request).expect("it can be run");
    plan.container.entrypoint = Some(vec!["/bin/it's".to_owned(), "-x y".to_owned()]);
    plan.container.network = NetworkMode::None;
    plan.container.gpus = 2;
    let line = plan.docker_run();
    let output = std::process::Command::new("sh").args(["-c", &format!("printf '%s\\0' {line}")]).output();
    let words = String::from_utf8(output.expect("sh is there").stdout).expect("texts stay texts");
    let words: Vec<&str> = words.split_terminator('\0').collect();
    assert_eq!(words[..4], ["docker", "run", "--rm", "--init"]);
    let mount = "type=bind,\"source=/data/a, b:c.tif\",\"target=/seed/in/SCENE/a, b:c.tif\",readonly";
    for word in [mount, "DB_KEY", "BANDS=[1,2]", "none", "2", "/bin/it's"] {
        assert!(words.contains(&word), "{word}: {line}");
    }
    let image = words.iter().position(|word| *word == request.image.as_str()).expect("the image");
    assert_eq!(words[image + 1..image + 3], ["-x y", "edge"]);
}

#[test]
fn scale_has_its_own_places_and_numbers() {
    let (manifest, mut request) = complete();
    request.layout = ContainerLayout::Scale;
    request.attempt = Some(AttemptId { run: "0197".to_owned(), number: 2, host: "h".to_owned() });
    let plan = plan(&manifest, &request).expect("it can be run");
    for (name, value) in [
        ("SCENE", "/scale/input_data/SCENE/a, b:c.tif"),
        ("MASKS", "/scale/input_data/masks"),
        ("OUTPUT_DIR", "/scale/output_data"),
        ("ALLOCATED_CPUS", "1.5"),
        ("ALLOCATED_MEM", "519.0"),
        ("ALLOCATED_SHAREDMEM", "128.0"),
        ("SCALE_JOB_ID", "0197"),
        ("SCALE_EXE_NUM", "2"),
        ("SEED_JOB_ID", "0197"),
        ("SEED_ATTEMPT", "2"),
    ] {
        assert_eq!(variable(&plan, name), Some(value), "{name}");
    }
    assert_eq!(plan.container.labels[RUN], "0197");
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let (manifest, mut request) = complete();
    request.files = given(&[("SCEN", file("/a", 1)), ("BANDS", file("/a", 1)), ("masks", file("/x/\n", 1))]);
    request.json = vec![("THRESHOLD".to_owned(), text("high")), ("x".to_owned(), text("1"))];
    request.settings = vec![("DB_HOST".to_owned(), "a".into()), ("db-host".to_owned(), "b".into())];
    request.mounts = vec![("cache".to_owned(), "relative".into()), ("Coast-".to_owned(), "/x".into())];
    let expected = [
        "unknown SCEN",
        "unknown BANDS",
        "missing SCENE",
        "bad-value masks",
        "unknown x",
        "missing bands",
        "wrong-type THRESHOLD",
        "too-many db-host",
        "missing DB-KEY",
        "unknown Coast-",
        "missing coast",
        "bad-value relative",
    ];
    assert_eq!(problems(&manifest, &request), expected);
}

#[test]
fn without_a_command_there_is_no_argument() {
    for interface in [json!({}), json!({"command": ""}), json!({"command": " \n"})] {
        let plan = plan(&manifest(interface, json!([])), &request()).expect("it can be run");
        assert!(plan.container.command.is_none());
        assert!(plan.docker_run().ends_with(" sea-ice-1.0.0-seed:2.0.0"));
    }
    // A command that expands to nothing is still a command.
    let interface = json!({"command": "$X", "inputs": {"files": [{"name": "X", "required": false}]}});
    let plan = plan(&manifest(interface, json!([])), &request()).expect("it can be run");
    assert_eq!(arguments(&plan), Some(vec![]));
}

#[test]
fn what_is_optional_and_absent_is_not_set() {
    let interface = json!({"command": "a ${FS/#/-f } ${F} ${N} b", "inputs": {
        "files": [{"name": "FS", "multiple": true, "required": false}, {"name": "F", "required": false}],
        "json": [{"name": "N", "type": "integer", "required": false}]}});
    let plan = plan(&manifest(interface, json!([])), &request()).expect("it can be run");
    let names: Vec<&str> = variables(&plan).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["OUTPUT_DIR", "INPUT_METADATA"]);
    assert_eq!(arguments(&plan), Some(vec!["a", "b"]));
    assert!(plan.warnings.is_empty(), "{:?}", plan.warnings);
}

fn two_folders() -> SeedManifest {
    let files = json!([{"name": "A", "multiple": true}, {"name": "B", "multiple": true, "required": false}]);
    manifest(json!({"inputs": {"files": files}}), json!([{"name": "mem", "value": 1, "inputMultiplier": 1}]))
}

/// The old Seed CLI had one folder for all inputs, the last of several files won, and a folder counted with its own
/// size.
#[test]
fn several_files_are_a_folder_of_the_input_alone() {
    let mut request = request();
    request.files = given(&[
        ("A", file("/x/a.txt", 5 * MIB)),
        ("B", file("/y/b.txt", 1)),
        ("A", file("/z/a.txt", MIB)),
        ("A", file("/z/2-a.txt", MIB)),
    ]);
    let plan = plan(&two_folders(), &request).expect("it can be run");
    assert_eq!((variable(&plan, "A"), variable(&plan, "B")), (Some("/seed/in/A"), Some("/seed/in/B")));
    let expected = [
        "/x/a.txt /seed/in/A/a.txt ro",
        "/z/a.txt /seed/in/A/2-a.txt ro",
        "/z/2-a.txt /seed/in/A/2-2-a.txt ro",
        "/y/b.txt /seed/in/B/b.txt ro",
    ];
    assert_eq!(binds(&plan)[..4], expected);
    assert_eq!(variable(&plan, "ALLOCATED_MEM"), Some("9"));
    assert_eq!(plan.warnings.len(), 2, "{:?}", plan.warnings);
}

#[test]
fn many_files_or_none_come_together_in_a_folder_first() {
    let mut request = request();
    request.files = (0..40).map(|n| ("A".to_owned(), file(&format!("/x/{n}"), 1))).collect();
    request.files.push(("B".to_owned(), folder("/empty", &[], false)));
    let plan = plan(&two_folders(), &request).expect("it can be run");
    assert_eq!(binds(&plan)[..2], ["/runs/7/input/A /seed/in/A ro", "/runs/7/input/B /seed/in/B ro"]);
    assert_eq!(plan.inputs[0].staged.as_deref(), Some(Path::new("/runs/7/input/A")));
    assert_eq!((plan.inputs[0].files.len(), plan.inputs[1].files.len()), (40, 0));
}

#[test]
fn a_folder_with_more_than_files_gives_its_files_only() {
    let mut request = request();
    request.files = given(&[("A", folder("/x", &["a", "b"], false))]);
    let plan = plan(&two_folders(), &request).expect("it can be run");
    assert_eq!(binds(&plan)[..2], ["/x/a /seed/in/A/a ro", "/x/b /seed/in/A/b ro"]);
    assert!(plan.warnings[0].starts_with("A: only the files directly in its folder"), "{:?}", plan.warnings);
}

#[test]
fn one_file_is_one_file() {
    let manifest = manifest(json!({"inputs": {"files": [{"name": "F"}]}}), json!([]));
    let with = |sources: &[InputSource]| {
        let mut request = request();
        request.files = sources.iter().map(|source| ("f".to_owned(), source.clone())).collect();
        problems(&manifest, &request)
    };
    assert_eq!(with(&[folder("/x", &["a"], true)]), ["bad-value F"]);
    assert_eq!(with(&[file("/a", 1), file("/b", 1)]), ["too-many F"]);
    for name in ["", ".", "..", "a/b", "a\0", "\u{7f}", &"n".repeat(4096)] {
        let source = InputSource::File(HostFile { name: name.to_owned(), path: "/a".into(), size: 0 });
        assert_eq!(with(&[source]), ["bad-value F"], "{name:?}");
    }
}

#[test]
fn a_hostile_manifest_stays_inside() {
    let inputs = json!({"files": [{"name": "../../etc", "required": false}, {"name": "output-dir", "required": false},
        {"name": "allocated-cpus", "required": false}, {"name": "A", "required": false}],
        "json": [{"name": "a", "type": "string", "required": false}]});
    let mounts = json!([{"name": "m1", "path": "/seed"}, {"name": "m2", "path": "/seed/out/x"}, {"name": "m3", "path": "/"},
        {"name": "m4", "path": "/a/../seed"}, {"name": "m5", "path": "a"}, {"name": "m6", "path": "/proc/1"},
        {"name": "m7", "path": "/b"}, {"name": "m8", "path": "/b/c"}, {"name": "m9", "path": "/seeds"}]);
    let scalar = json!([{"name": "cpus", "value": -1}, {"name": "mem", "value": 1e308, "inputMultiplier": 1e308},
        {"name": "disk", "value": 1}, {"name": "DISK", "value": 2}]);
    let manifest = manifest(json!({"inputs": inputs, "mounts": mounts, "command": "$(id)"}), scalar);
    let mut request = request();
    request.mounts = (1..=9).map(|n| (format!("m{n}"), "/nfs".into())).collect();
    let expected = [
        "bad-manifest ../../etc",
        "bad-manifest output-dir",
        "bad-manifest allocated-cpus",
        "bad-manifest a",
        "bad-manifest m1",
        "bad-manifest m2",
        "bad-manifest m3",
        "bad-manifest m4",
        "bad-manifest m5",
        "bad-manifest m6",
        "bad-manifest m8",
        "bad-manifest cpus",
        "bad-manifest mem",
        "bad-manifest DISK",
        "bad-command command",
    ];
    assert_eq!(problems(&manifest, &request), expected);
}

#[test]
fn values_that_no_program_can_be_given_are_refused() {
    let manifest = manifest(json!({"inputs": {"json": [{"name": "T", "type": "string"}]}, "command": "$T"}), json!([]));
    let with = |value: String| {
        let mut request = request();
        request.json = vec![("T".to_owned(), JsonInputValue::Value(Value::from(value)))];
        problems(&manifest, &request)
    };
    assert_eq!(with("a\0b".to_owned()), ["bad-value T", "bad-value command"]);
    assert_eq!(with("é".repeat(70_000)), ["bad-value T", "bad-value command"]);
    assert_eq!(with("a ".repeat(600_000)), ["bad-command command", "bad-value T", "bad-value environment"]);
}

#[test]
fn the_machine_is_asked_before_the_job_runs() {
    let scalar = json!([{"name": "cpus", "value": 8}, {"name": "mem", "value": 100, "inputMultiplier": 10},
        {"name": "disk", "value": 50}, {"name": "sharedMem", "value": 1}, {"name": "gpus", "value": 1}, {"name": "fpga", "value": 1}]);
    let manifest = manifest(json!({"inputs": {"files": [{"name": "F"}]}}), scalar);
    let mut request = request();
    request.files = given(&[("F", file("/f", 100 * MIB))]);
    // Unknown capacity is no problem; GPUs and unknown resources are.
    assert_eq!(problems(&manifest, &request), ["not-enough gpus", "not-enough fpga"]);
    request.host.cpus = Some(4.0);
    request.host.memory = Some(1099 * MIB);
    request.host.disk = Some(49 * MIB);
    let expected = ["cpus", "mem", "disk", "gpus", "fpga"].map(|name| format!("not-enough {name}"));
    assert_eq!(problems(&manifest, &request), expected);
    request.host.cpus = Some(8.0);
    request.host.memory = Some(1100 * MIB);
    request.host.disk = Some(50 * MIB);
    request.host.gpus = 1;
    request.host.other = vec!["FPGA".to_owned()];
    let plan = plan(&manifest, &request).expect("it can be run");
    assert_eq!((plan.container.gpus, variable(&plan, "ALLOCATED_GPUS")), (1, Some("1")));
    assert_eq!(variable(&plan, "ALLOCATED_FPGA"), Some("1.000000"));
}

#[test]
fn who_says_nothing_gets_the_defaults() {
    let mut request = request();
    request.defaults = ResourceDefaults { cpus: Some(0.5), memory: Some(64 * MIB), processes: Some(64) };
    let none = plan(&manifest(json!({}), json!([])), &request).expect("it can be run");
    let limits = |plan: &RunPlan| (plan.container.cpus, plan.container.memory, plan.container.processes);
    assert_eq!(limits(&none), (Some(0.5), Some(64 * MIB), Some(64)));
    assert!(variable(&none, "ALLOCATED_CPUS").is_none() && none.disk.is_none());
    // Zero cores: the default. Memory: at least the smallest limit of engines.
    let scalar = json!([{"name": "CPUS", "value": 0}, {"name": "mem", "value": 0}, {"name": "sharedMem", "value": 0}]);
    let zero = plan(&manifest(json!({}), scalar), &request).expect("it can be run");
    assert_eq!(limits(&zero), (Some(0.5), Some(6 * MIB), Some(64)));
    assert_eq!((zero.container.shared_memory, variable(&zero, "ALLOCATED_SHAREDMEM")), (None, Some("0")));
}

#[test]
fn the_shorter_time_limit_counts() {
    let mut manifest = manifest(json!({}), json!([]));
    let timeout = |manifest: &SeedManifest, bound: Option<u64>| {
        let mut request = request();
        request.timeout = bound.map(Duration::from_secs);
        let plan = plan(manifest, &request).expect("it can be run");
        (plan.container.timeout.map(|it| it.as_secs()), plan.warnings.len())
    };
    assert_eq!(timeout(&manifest, Some(5)), (Some(5), 0));
    assert_eq!(timeout(&manifest, Some(500)), (Some(60), 0));
    for odd in [0, -1, i64::MIN] {
        manifest.job.timeout = odd;
        assert_eq!((timeout(&manifest, None), timeout(&manifest, Some(5))), ((None, 1), (Some(5), 1)));
    }
}

#[test]
fn what_will_surprise_is_told() {
    let json = json!([{"name": "input-metadata", "type": "string"}]);
    let mut request = request();
    request.json = vec![("input-metadata".to_owned(), text("mine"))];
    let interface = json!({"inputs": {"json": json}, "command": "$HOME/run | tee ${OUTPUT_DIR}"});
    let plan = plan(&manifest(interface, json!([])), &request).expect("it can be run");
    assert_eq!(variable(&plan, "INPUT_METADATA"), Some("mine"));
    assert_eq!(arguments(&plan), Some(vec!["/run", "|", "tee", "/seed/out"]));
    assert_eq!(plan.warnings.len(), 3, "{:?}", plan.warnings);
}

#[test]
fn a_manifest_without_end_is_not_run() {
    let setting = |number| json!({"name": format!("S{number}")});
    let settings: Vec<Value> = (0..20_000).map(setting).collect();
    assert_eq!(problems(&manifest(json!({"settings": settings}), json!([])), &request()), ["bad-manifest settings"]);
}

#[test]
fn very_many_files_of_one_name_all_arrive() {
    let mut request = request();
    request.files = (0..50_000).map(|_| ("A".to_owned(), file("/x/a", 1))).collect();
    let plan = plan(&two_folders(), &request).expect("it can be run");
    let names: HashSet<&str> = plan.inputs[0].files.iter().map(|file| &*file.name).collect();
    assert_eq!((names.len(), plan.warnings.len()), (50_000, 100));
}

fn scalars(scalar: Value) -> SeedManifest {
    manifest(json!({}), scalar)
}

fn bounded() -> RunRequest {
    let mut request = request();
    let defaults = ResourceDefaults { cpus: Some(1.0), memory: Some(64 * MIB), processes: None };
    request.bounds = ResourceBounds { cpus: Some(2.0), memory: Some(512 * MIB), disk: Some(100 * MIB), gpus: Some(1) };
    (request.defaults, request.host.gpus) = (defaults, u32::MAX);
    request
}

#[test]
fn an_operators_bound_is_not_exceeded() {
    let of = |scalar| plan(&scalars(scalar), &bounded()).expect("it can be run");
    let found = of(json!([]));
    assert_eq!(
        (found.container.cpus, found.container.memory, found.disk),
        (Some(1.0), Some(64 * MIB), Some(100 * MIB))
    );
    // Zero or no cores: the default. Nearly zero: the smallest limit of engines.
    assert_eq!(of(json!([{"name": "cpus", "value": 0}])).container.cpus, Some(1.0));
    assert_eq!(of(json!([{"name": "cpus", "value": 1e-12}])).container.cpus, Some(0.01));
    assert_eq!(of(json!([{"name": "mem", "value": 0}])).container.memory, Some(6 * MIB));
    let least = of(json!([{"name": "disk", "value": 5}]));
    assert!(least.disk == Some(5 * MIB) && least.warnings.is_empty());
    let most = of(json!([{"name": "disk", "value": 1e9}]));
    assert!(most.disk == Some(100 * MIB) && most.warnings[0].contains("100 MiB"), "{:?}", most.warnings);
    for scalar in [
        json!([{"name": "cpus", "value": 2.5}]),
        json!([{"name": "mem", "value": 513}]),
        json!([{"name": "sharedMem", "value": 1e12}]),
        json!([{"name": "gpus", "value": 2}]),
    ] {
        let name = scalar[0]["name"].as_str().unwrap();
        assert_eq!(problems(&scalars(scalar.clone()), &bounded()), [format!("not-enough {name}")]);
    }
    // No request by the job, no default by the operator.
    let mut request = bounded();
    request.defaults = ResourceDefaults::default();
    let container = plan(&scalars(json!([])), &request).expect("it can be run").container;
    assert_eq!((container.cpus, container.memory), (Some(2.0), Some(512 * MIB)));
}

proptest::proptest! {
    #[test]
    fn no_number_of_a_manifest_goes_over_or_under(
        value in proptest::num::f64::NORMAL | proptest::num::f64::ZERO | proptest::num::f64::SUBNORMAL,
        multiplier in proptest::num::f64::NORMAL,
        name in "cpus|mem|disk|sharedMem|gpus",
    ) {
        let manifest = scalars(json!([{"name": name, "value": value, "inputMultiplier": multiplier}]));
        if let Ok(plan) = plan(&manifest, &bounded()) {
            let container = plan.container;
            proptest::prop_assert!(container.cpus.is_some_and(|cpus| (0.01..=2.0).contains(&cpus)));
            proptest::prop_assert!(container.memory.is_some_and(|bytes| (6 * MIB..=512 * MIB).contains(&bytes)));
            proptest::prop_assert!(container.shared_memory.is_none_or(|bytes| bytes <= 512 * MIB));
            proptest::prop_assert!(container.gpus <= 1 && plan.disk.is_some_and(|bytes| bytes <= 100 * MIB));
        }
    }
}
