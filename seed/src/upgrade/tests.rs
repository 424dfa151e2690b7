use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::testing::{COMPLETE, any_json_object, valid_manifest};
use crate::validate::{ValidationRules, judge};

/// An example of each version whose format differs from the version before.
const EXAMPLES: [(&str, &str); 5] = [
    ("0.0.3", include_str!("examples/0.0.3.json")),
    ("0.0.4", include_str!("examples/0.0.4.json")),
    ("0.0.5", include_str!("examples/0.0.5.json")),
    ("0.0.6", include_str!("examples/0.0.6.json")),
    ("0.1.0", include_str!("examples/0.1.0.json")),
];

#[test]
fn every_old_version_becomes_valid() {
    for (version, manifest) in EXAMPLES {
        let upgraded = upgrade(manifest).expect(version);
        assert_eq!(upgraded.from, version);
        let line = |change: &UpgradeChange| {
            let mark = if change.invented { '!' } else { ' ' };
            format!("{mark} {}\n    {}\n", change.path, change.message)
        };
        let changes: String = upgraded.changes.iter().map(line).collect();
        insta::assert_snapshot!(version, format!("{changes}\n{}", upgraded.manifest));

        let mut document: Value = serde_json::from_str(&upgraded.manifest).expect("JSON");
        for (object, member) in [("", "x-review"), ("/job", "x-harbour")] {
            let object = document.pointer_mut(object).and_then(Value::as_object_mut).expect("an object");
            object.shift_remove(member);
        }
        let report = judge(document.to_string().as_bytes(), ValidationRules::default());
        assert!(report.valid, "{version}: {:#?}", report.problems);
    }
}

#[test]
fn old_versions_are_recognised() {
    for (version, manifest) in EXAMPLES {
        let mut document: Value = serde_json::from_str(manifest).expect("JSON");
        assert_eq!(old_version(&document).as_deref(), Some(version));
        document["seedVersion"] = json!("0.7.0");
        let other = (version != "0.1.0").then_some("0.7.0");
        assert_eq!(old_version(&document).as_deref(), other, "0.1.0 has no member that 1.0.0 lacks but `count`");
        document["seedVersion"] = json!("1.0.0");
        assert_eq!(old_version(&document), None, "{version} that says it is of 1.0.0");
        document["seedVersion"] = json!("2.0.0");
        assert_eq!(old_version(&document), None);
    }
    let mut document: Value = serde_json::from_str(EXAMPLES[1].1).expect("JSON");
    document.as_object_mut().expect("an object").shift_remove("seedVersion");
    assert_eq!(old_version(&document).as_deref(), Some("0.x"));
    let mut document: Value = serde_json::from_str(COMPLETE).expect("JSON");
    document["seedVersion"] = json!("0.1.0");
    assert_eq!(old_version(&document), None, "nothing but the version would change");
    for document in [json!(null), json!([]), json!({}), json!({"job": {"tag": []}}), json!({"seedVersion": "0.0.4"})] {
        assert_eq!(old_version(&document), None, "{document}");
    }
}

#[test]
fn today_s_manifests_stay_as_they_are() {
    let odd = "{\"job\":{\"tag\": [ ], \"cmd\":1},\n \"seedVersion\":\"1.0.0\" }";
    for text in [COMPLETE, odd] {
        let same = UpgradedManifest { from: "1.0.0".to_owned(), manifest: text.to_owned(), changes: Vec::new() };
        assert_eq!(upgrade(text), Ok(same));
    }
}

#[test]
fn says_why_it_cannot() {
    let message = |text: &str| upgrade(text).unwrap_err().to_string();
    assert_eq!(message("{"), "the manifest is not JSON: EOF while parsing an object at line 1 column 1");
    assert_eq!(message("[]"), "a manifest is a JSON object; this is something else");
    let newer = "`1.0.1` is no known version of the standard: set `seedVersion` to the one that the manifest follows, 1.0.0 or one of 0.0.1, 0.0.2, 0.0.3, 0.0.4, 0.0.5, 0.0.6, 0.1.0";
    assert_eq!(message(r#"{"seedVersion":"1.0.1","job":{"algorithmVersion":"1"}}"#), newer);
    assert_eq!(message(r#"{"seedVersion":"0.2.0","job":{}}"#), newer.replace("1.0.1", "0.2.0"));
    let none = "the manifest states no version, and has no member that only old versions have: set `seedVersion` to 1.0.0 and validate it";
    assert_eq!(message(r#"{"seedVersion":1,"job":{"tag":[]}}"#), none);
    assert!(message(&json!({"seedVersion": "\u{1b}".repeat(1000)}).to_string()).len() < 700);
    assert!(upgrade(&"[".repeat(100_000)).is_err());
}

/// Upgrades a job: the new job, and `path` and `invented` of the changes, without that of the version.
fn job(job: Value) -> (Value, Vec<(String, bool)>) {
    let (mut document, changes) =
        convert(json!({"seedVersion": "0.0.6", "job": job}).as_object().unwrap().clone(), "0.0.6");
    let changes = changes.into_iter().skip(1).map(|change| (change.path, change.invented)).collect();
    (document["job"].take(), changes)
}

fn one(path: &str, invented: bool) -> Vec<(String, bool)> {
    vec![(path.to_owned(), invented)]
}

#[test]
fn the_new_member_wins_over_the_old() {
    let table = [
        (json!({"tag": 1, "tags": 2}), json!({"tags": 2}), "/job/tags"),
        (
            json!({"authorName": 1, "maintainer": {"name": 2}}),
            json!({"maintainer": {"name": 2}}),
            "/job/maintainer/name",
        ),
        (json!({"authorName": 1, "maintainer": "M"}), json!({"maintainer": "M"}), "/job/maintainer"),
        (
            json!({"interface": {"args": "a", "command": "c"}}),
            json!({"interface": {"command": "c"}}),
            "/job/interface/command",
        ),
        (json!({"cpus": 1, "resources": 2}), json!({"resources": 2}), "/job/resources"),
        (json!({"cpus": 1, "resources": {"scalar": 2}}), json!({"resources": {"scalar": 2}}), "/job/resources/scalar"),
        (
            json!({"resources": {"scalar": [{"name": "cpu"}, {"name": "cpus"}]}}),
            json!({"resources": {"scalar": [{"name": "cpus"}]}}),
            "/job/resources/scalar",
        ),
        (
            json!({"interface": {"outputs": {"files": [{"count": "*", "multiple": false}]}}}),
            json!({"interface": {"outputs": {"files": [{"multiple": false}]}}}),
            "/job/interface/outputs/files/0/multiple",
        ),
    ];
    for (old, new, path) in table {
        let (found, mut changes) = job(old);
        changes.retain(|(path, _)| path != "/job/interface/outputs/files");
        assert_eq!((found, changes), (new, one(path, true)));
    }
    let both = json!({"manifestVersion": "0.0.3", "seedVersion": "0.0.4"});
    let upgraded = upgrade(&both.to_string()).expect("it is old");
    assert_eq!((upgraded.from.as_str(), upgraded.manifest.as_str()), ("0.0.4", "{\n  \"seedVersion\": \"1.0.0\"\n}\n"));
    assert_eq!(upgraded.changes.iter().map(|change| change.invented).collect::<Vec<_>>(), [true, false]);
}

#[test]
fn wrong_types_are_carried_over() {
    for same in [
        json!(1),
        json!({"interface": "i", "errors": {}, "resources": [], "maintainer": 1, "name": 5}),
        json!({"interface": {"cmd": ["a"], "args": "b"}}),
        json!({"interface": {"inputs": [], "outputs": {"files": 1, "json": {}}, "mounts": [1, {"name": null}], "settings": ""}}),
        json!({"errors": [null, {"name": 7, "category": "other"}]}),
    ] {
        assert_eq!(job(same.clone()), (same, Vec::new()));
    }
    let (found, changes) = job(json!({"algorithmVersion": 1, "tag": "t", "cpus": "2", "resources": {"scalar": null}}));
    let expected = json!({"jobVersion": 1, "tags": "t", "resources": {"scalar": [{"name": "cpus", "value": "2"}]}});
    assert_eq!(found, expected);
    assert!(changes.iter().all(|(_, invented)| !invented), "{changes:?}");
}

#[test]
fn names_of_errors_are_made_up_once() {
    let (found, _) = job(json!({"errorMapping": [
        {"code": 1, "title": "Bad -- Input: 50%"},
        {"code": 2, "name": "bad-input-50-2"},
        {"code": 3, "title": "bad input 50"},
        {"code": 4, "title": "Bäd"},
        {"code": 5},
        {"code": "5", "title": 5},
        {"code": 5, "title": "?"},
        {"title": "x ".repeat(100)},
    ]}));
    let names: Vec<_> =
        found["errors"].as_array().unwrap().iter().map(|error| error["name"].as_str().unwrap()).collect();
    let long = "x-".repeat(30);
    let expected =
        ["bad-input-50", "bad-input-50-2", "bad-input-50-3", "b-d", "error-5", "error", "error-5-2", &long[..59]];
    assert_eq!(names, expected);
}

#[test]
fn only_the_whole_word_is_the_variable() {
    let table = [
        ("a $JOB_OUTPUT_DIR/b ${JOB_OUTPUT_DIR}", Some("a $OUTPUT_DIR/b ${OUTPUT_DIR}")),
        ("JOB_OUTPUT_DIRJOB_OUTPUT_DIR JOB_OUTPUT_DIR", Some("JOB_OUTPUT_DIRJOB_OUTPUT_DIR OUTPUT_DIR")),
        ("$MY_JOB_OUTPUT_DIR $JOB_OUTPUT_DIRS $JOB_OUTPUT_DIR_2", None),
    ];
    for (old, new) in table {
        let (found, changes) = job(json!({"interface": {"command": old}}));
        assert_eq!(found["interface"]["command"], new.unwrap_or(old));
        assert_eq!(changes, new.map(|_| one("/job/interface/command", true)).unwrap_or_default());
    }
}

#[test]
fn hostile_manifests_are_bounded() {
    let errors = vec![json!({"title": "e"}); 20_000];
    let files = vec![json!({"name": "a b", "count": "x".repeat(30)}); 5_000];
    let members: Map<_, _> = (0..20_000).map(|n| (format!("m{n}"), json!(1))).collect();
    let (found, changes) = job(json!({"errors": errors, "interface": {"outputs": {"files": files}}, "x": members}));
    assert_eq!(found["errors"][19_999]["name"], "e-20000");
    assert_eq!(changes.len(), 20_000 + 2 * 5_000 + 1);
}

/// Objects with the members of all versions, of right and wrong types.
fn mixed() -> impl Strategy<Value = Map<String, Value>> {
    fn object(members: &'static [&'static str], value: impl Strategy<Value = Value> + 'static) -> BoxedStrategy<Value> {
        let members = prop::collection::vec((prop::sample::select(members).prop_map(str::to_owned), value), 0..7);
        members.prop_map(|members| Value::Object(members.into_iter().collect())).boxed()
    }
    let words =
        vec!["", "1", "*", "cpu", "cpus", "disk", "algorithm", "system", "a b", "a_b", "x $JOB_OUTPUT_DIR", "No é"];
    let leaf = prop_oneof![
        6 => prop::sample::select(words).prop_map(Value::from),
        2 => (0..3).prop_map(Value::from),
        1 => Just(Value::Null),
        1 => prop::sample::select(vec![json!([1, {}]), json!({"name": []}), json!(0.5)]),
    ]
    .boxed();
    let item = object(
        &["name", "name", "mediaType", "mediaTypes", "count", "multiple", "value", "code", "title", "category", "x"],
        leaf.clone(),
    );
    let list = prop_oneof![4 => prop::collection::vec(item, 0..4).prop_map(Value::from), 1 => leaf.clone()].boxed();
    let lists = prop_oneof![
        4 => object(&["files", "json", "scalar", "name", "email", "x"], list.clone()),
        1 => list.clone(),
        2 => leaf,
    ]
    .boxed();
    let interface = object(
        &[
            "cmd",
            "cmd",
            "args",
            "command",
            "envVars",
            "inputData",
            "inputs",
            "outputData",
            "outputs",
            "mounts",
            "settings",
            "resources",
            "x",
        ],
        lists.clone(),
    );
    let plain = object(
        &[
            "name",
            "algorithmVersion",
            "jobVersion",
            "authorName",
            "authorEmail",
            "authorUrl",
            "maintainer",
            "tag",
            "tags",
            "cpus",
            "mem",
            "sharedMem",
            "storage",
            "resources",
            "errorMapping",
            "errors",
            "x",
        ],
        lists,
    );
    (plain, interface, any::<bool>()).prop_map(|(mut job, interface, old)| {
        job["interface"] = interface;
        let member = if old { "manifestVersion" } else { "seedVersion" };
        let document = json!({"x": 1, "job": job, member: "0.0.3"});
        document.as_object().expect("an object").clone()
    })
}

proptest! {
    #[test]
    fn once_is_enough(document in mixed()) {
        let upgraded = upgrade(&Value::Object(document).to_string()).expect("0.0.3 is known");
        let again = upgrade(&upgraded.manifest).expect("1.0.0 is known");
        prop_assert_eq!(&again.manifest, &upgraded.manifest);
        prop_assert_eq!(again.changes, vec![]);
        // The same if the document does not state that it is of 1.0.0.
        let new: Map<String, Value> = serde_json::from_str(&upgraded.manifest).expect("an object");
        let (twice, changes) = convert(new, "0.0.3");
        prop_assert_eq!(format!("{twice:#}\n"), upgraded.manifest);
        let notes = ["/seedVersion", "/job/interface", "/job/interface/outputs/files", "/job/interface/outputs/json"];
        prop_assert!(changes.iter().all(|change| notes.contains(&change.path.as_str())), "{:?}", changes);
    }

    #[test]
    fn changes_point_into_the_new_manifest_in_its_order(document in mixed()) {
        let (new, changes) = convert(document, "0.0.3");
        for change in &changes {
            prop_assert!(new.pointer(&change.path).is_some(), "{:?} in {}", change, new);
        }
        prop_assert!(changes.is_sorted_by_key(|change| position(&new, &change.path)), "{:?}", changes);
        prop_assert_eq!(changes[0].path.as_str(), "/seedVersion");
    }

    #[test]
    fn no_old_member_is_left(document in mixed()) {
        let (new, _) = convert(document, "0.0.3");
        let gone = |object: &Value, members: &[&str]| members.iter().all(|member| object.get(member).is_none());
        let job = &new["job"];
        prop_assert!(gone(&new, &["manifestVersion"]));
        prop_assert!(gone(job, &OLD_JOB_MEMBERS) && gone(job, &["tag", "cpus", "mem", "sharedMem", "storage"]), "{}", job);
        let interface = &job["interface"];
        prop_assert!(gone(interface, &["envVars", "inputData", "outputData", "resources"]), "{}", interface);
        // `cmd` and `args` are both kept if one is of the wrong type.
        prop_assert!(interface.get("cmd").is_some() == interface.get("args").is_some(), "{}", interface);
    }

    #[test]
    fn what_obeys_the_standard_is_left_alone(manifest in valid_manifest()) {
        let text = manifest.to_string();
        prop_assert_eq!(upgrade(&text).map(|upgraded| upgraded.manifest), Ok(text));
        prop_assert_eq!(old_version(&manifest), None);
        let mut old = manifest;
        old["seedVersion"] = json!("0.1.0");
        prop_assert_eq!(old_version(&old), None);
    }

    #[test]
    fn never_panics(document in any_json_object(), version in prop::sample::select(OLD.to_vec())) {
        let _ = (upgrade(&document.to_string()), old_version(&document));
        let _ = convert(document.as_object().expect("an object").clone(), version);
    }
}
