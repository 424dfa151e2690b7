//! The manifest templates of `silo init`.

use serde_json::{Value, json};

use super::environment::variable_name;

/// Default input file: its name and media type.
pub const EXAMPLE_INPUT: (&str, &str) = ("INPUT_FILE", "text/plain");
/// Placeholder texts for the author to replace; validation reports them as advice.
pub const PLACEHOLDERS: [&str; 4] = [
    "Your name",
    "Your organization",
    "you@example.org",
    "What the job makes out of what, for people who search for it",
];
/// Example value of the template's JSON input.
pub const EXAMPLE_THRESHOLD: i64 = 3;

/// Maximum length of a derived job name, in characters.
const NAME_CHARS: usize = 40;

/// The user's answers to `silo init`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitAnswers {
    /// `job.name`
    pub name: String,
    /// `job.title`
    pub title: String,
    /// `job.maintainer`
    pub maintainer: StarterMaintainer,
    /// Names and media types of input files.
    pub inputs: Vec<(String, String)>,
}

/// `job.maintainer`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StarterMaintainer {
    pub name: String,
    pub organization: String,
    pub email: String,
}

impl Default for StarterMaintainer {
    fn default() -> Self {
        let [name, organization, email, _] = PLACEHOLDERS.map(str::to_owned);
        Self { name, organization, email }
    }
}

/// A complete manifest that validates without problems, indented by two, with a line feed at the end.
///
/// Invalid answers are inserted unchanged; validating the manifest reports them.
pub fn manifest(answers: &InitAnswers) -> String {
    let document = json!({
        "seedVersion": "1.0.0",
        "job": {
            "name": answers.name,
            "jobVersion": "1.0.0",
            "packageVersion": "1.0.0",
            "title": answers.title,
            "description": PLACEHOLDERS[3],
            "tags": ["example"],
            "maintainer": maintainer(&answers.maintainer),
            "timeout": 3600,
            "interface": interface(answers),
            "resources": {"scalar": [
                {"name": "cpus", "value": 1},
                {"name": "mem", "value": 512},
                {"name": "disk", "value": 100, "inputMultiplier": 2},
            ]},
            "errors": [
                {"code": 10, "name": unused_name("BAD_INPUT", answers), "title": "Bad input",
                    "description": "An input cannot be used.", "category": "data"},
                {"code": 20, "name": unused_name("PROCESSING_FAILED", answers), "title": "Processing failed",
                    "description": "The job itself is at fault.", "category": "job"},
            ],
        },
    });
    format!("{document:#}\n")
}

fn maintainer(who: &StarterMaintainer) -> Value {
    let mut maintainer = json!({"name": who.name, "organization": who.organization, "email": who.email});
    if who.organization.is_empty() {
        maintainer.as_object_mut().map(|it| it.shift_remove("organization"));
    }
    maintainer
}

/// The interface. Its command references all inputs.
fn interface(answers: &InitAnswers) -> Value {
    let [threshold, file, count] = ["THRESHOLD", "RESULT_FILE", "RESULT_COUNT"].map(|name| unused_name(name, answers));
    let variables = answers.inputs.iter().map(|(name, _)| variable_name(name));
    let variables = variables.chain([threshold.clone(), "OUTPUT_DIR".to_owned()]);
    let arguments: Vec<String> = variables.map(|variable| format!("${{{variable}}}")).collect();
    let inputs = answers.inputs.iter();
    let inputs = inputs.map(|(name, media_type)| json!({"name": name, "mediaTypes": [media_type], "required": true}));
    json!({
        "command": format!("./run.sh {}", arguments.join(" ")),
        "inputs": {
            "files": inputs.collect::<Value>(),
            "json": [{"name": threshold, "type": "integer", "required": true}],
        },
        "outputs": {
            "files": [{"name": file, "mediaType": "text/plain", "pattern": "result.txt", "required": true}],
            "json": [{"name": count, "key": "resultCount", "type": "integer", "required": true}],
        },
    })
}

/// Name of the template's JSON input.
pub fn threshold(answers: &InitAnswers) -> String {
    unused_name("THRESHOLD", answers)
}

/// A manifest for an existing image whose entry point takes an input directory and an output directory as arguments.
pub fn wrapper_manifest(answers: &InitAnswers) -> String {
    let document = json!({
        "seedVersion": "1.0.0",
        "job": {
            "name": answers.name,
            "jobVersion": "1.0.0",
            "packageVersion": "1.0.0",
            "title": answers.title,
            "description": PLACEHOLDERS[3],
            "maintainer": maintainer(&answers.maintainer),
            "timeout": 3600,
            "interface": {
                "command": "${INPUT_FILES} ${OUTPUT_DIR}",
                "inputs": {"files": [{"name": "INPUT_FILES", "multiple": true}]},
                "outputs": {"files": [{"name": "OUTPUT_FILES", "pattern": "*", "multiple": true}]},
            },
            "resources": {"scalar": [
                {"name": "cpus", "value": 1},
                {"name": "mem", "value": 1024},
                {"name": "disk", "value": 1024, "inputMultiplier": 2},
            ]},
            "errors": [{"code": 1, "name": "PROCESSING_FAILED", "title": "Processing failed", "category": "job"}],
        },
    });
    format!("{document:#}\n")
}

/// `name`, with a number appended if an input has that name: some tools have one name space for all lists.
fn unused_name(name: &str, answers: &InitAnswers) -> String {
    let is_free = |name: &String| answers.inputs.iter().all(|(input, _)| variable_name(input) != *name);
    let numbered = (2..).map(|number| format!("{name}_{number}"));
    // There are more numbers than inputs, so one is unused.
    [name.to_owned()].into_iter().chain(numbered).find(is_free).unwrap_or_default()
}

/// Derives a job name from any text, such as a directory name: lower-case letters and digits, separated by single
/// dashes. The result is valid in the standard and in Docker.
pub fn job_name_from(text: &str) -> String {
    let mut name = String::new();
    for c in text.chars() {
        if c.is_ascii_alphanumeric() {
            name.push(c.to_ascii_lowercase());
        } else if !name.is_empty() && !name.ends_with('-') {
            name.push('-');
        }
        if name.len() == NAME_CHARS {
            break;
        }
    }
    match name.trim_end_matches('-') {
        "" => "my-job".to_owned(),
        name => name.to_owned(),
    }
}

/// Derives a title from a job name: `sea-ice` gives `Sea ice`.
pub fn title_of(name: &str) -> String {
    let words = name.replace('-', " ");
    let mut letters = words.trim().chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ValidationProfile;
    use crate::validate::{ValidationRules, judge};

    fn answers(inputs: &[(&str, &str)]) -> InitAnswers {
        let inputs = inputs.iter().map(|(name, media_type)| ((*name).to_owned(), (*media_type).to_owned())).collect();
        let (name, title, maintainer) = ("my-job".into(), "My job".into(), StarterMaintainer::default());
        InitAnswers { name, title, maintainer, inputs }
    }

    /// All problems in all profiles, except placeholders.
    fn problems(answers: &InitAnswers) -> Vec<String> {
        let text = manifest(answers);
        let judged =
            ValidationProfile::ALL.map(|profile| judge(text.as_bytes(), ValidationRules { profile, strict: false }));
        let problems = judged.into_iter().flat_map(|report| report.problems);
        problems.filter(|problem| problem.code != "placeholder").map(|problem| format!("{problem:?}")).collect()
    }

    #[test]
    fn the_starter_has_no_problem_and_every_common_section() {
        assert_eq!(problems(&answers(&[EXAMPLE_INPUT])), [""; 0]);
        let text = manifest(&answers(&[EXAMPLE_INPUT]));
        assert!(
            text.starts_with("{\n  \"seedVersion\": \"1.0.0\",\n  \"job\": {\n") && text.ends_with("\n}\n"),
            "{text}"
        );
        let document: Value = serde_json::from_str(&text).unwrap();
        let command = "./run.sh ${INPUT_FILE} ${THRESHOLD} ${OUTPUT_DIR}";
        assert_eq!(document.pointer("/job/interface/command").unwrap(), command);
        for list in ["interface/inputs/files", "interface/inputs/json", "interface/outputs/files"].into_iter().chain([
            "interface/outputs/json",
            "resources/scalar",
            "errors",
            "tags",
        ]) {
            let items = document.pointer(&format!("/job/{list}")).and_then(Value::as_array);
            assert!(items.is_some_and(|items| !items.is_empty()), "{list}");
        }
    }

    #[test]
    fn a_name_of_ours_gives_way_to_an_input() {
        let taken = answers(&[("THRESHOLD", "text/csv"), ("THRESHOLD_2", "text/csv"), ("BAD_INPUT", "text/csv")]);
        assert_eq!(problems(&taken), [""; 0]);
        assert!(manifest(&taken).contains("${THRESHOLD} ${THRESHOLD_2} ${BAD_INPUT} ${THRESHOLD_3} ${OUTPUT_DIR}"));
    }

    #[test]
    fn placeholders_are_advice_until_they_are_replaced() {
        let placeholders = |answers: &InitAnswers| {
            let report = judge(manifest(answers).as_bytes(), ValidationRules::default());
            report.problems.into_iter().map(|problem| (problem.code, problem.path)).collect::<Vec<_>>()
        };
        let at = |path: &str| ("placeholder".to_owned(), path.to_owned());
        let fresh = answers(&[EXAMPLE_INPUT]);
        let all = ["/job/description", "/job/maintainer/name", "/job/maintainer/organization", "/job/maintainer/email"];
        assert_eq!(placeholders(&fresh), all.map(at));
        let [name, organization, email] = ["Ada", "", "ada@example.org"].map(str::to_owned);
        let named = InitAnswers { maintainer: StarterMaintainer { name, organization, email }, ..fresh };
        assert_eq!(placeholders(&named), [at("/job/description")]);
        assert_eq!(problems(&named), [""; 0]);
    }

    #[test]
    fn a_wrapper_has_no_problem() {
        let text = wrapper_manifest(&answers(&[]));
        let report = judge(text.as_bytes(), ValidationRules { strict: true, ..ValidationRules::default() });
        assert!(report.valid && report.problems.iter().all(|problem| problem.code == "placeholder"), "{report:?}");
    }

    #[test]
    fn no_inputs_are_no_problem() {
        assert_eq!(problems(&answers(&[])), [""; 0]);
    }

    #[test]
    fn what_breaks_a_rule_is_found_by_judging() {
        let good = answers(&[EXAMPLE_INPUT]);
        assert_ne!(problems(&InitAnswers { name: "my_job".into(), ..good }), [""; 0]);
        assert_ne!(problems(&answers(&[("A B", "text/csv")])), [""; 0]);
        assert_ne!(problems(&answers(&[("A", "text/csv"), ("a", "text/csv")])), [""; 0]);
        assert_ne!(problems(&answers(&[("OUTPUT_DIR", "text/csv")])), [""; 0]);
    }

    #[test]
    fn names_and_titles_are_made_out_of_texts() {
        let table = [
            ("sea-ice", "sea-ice", "Sea ice"),
            ("Sea Ice_Edge (2)", "sea-ice-edge-2", "Sea ice edge 2"),
            ("--ä--", "my-job", "My job"),
            ("", "my-job", "My job"),
            ("/", "my-job", "My job"),
            ("7", "7", "7"),
        ];
        for (text, name, title) in table {
            assert_eq!((job_name_from(text).as_str(), title_of(name).as_str()), (name, title), "{text}");
        }
        assert_eq!(title_of(""), "");
    }

    fn legal_answers() -> impl Strategy<Value = InitAnswers> {
        let own = prop::sample::select(vec!["THRESHOLD", "RESULT_FILE", "RESULT_COUNT", "BAD_INPUT", "THRESHOLD_2"]);
        let input = prop_oneof![3 => "[A-Z][A-Z0-9_]{0,12}", 1 => own.prop_map(str::to_owned)];
        // Names of variables that the executor sets, and of the template's resources.
        let input = input.prop_filter("taken", |name| {
            !name.starts_with("ALLOCATED_") && !["OUTPUT_DIR", "CPUS", "MEM", "DISK"].contains(&name.as_str())
        });
        let inputs = prop::collection::btree_map(input, "[a-z]{1,8}/[a-z][a-z0-9+.-]{0,12}", 0..6);
        ("[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", "[^\\p{C}\\p{Z}]\\PC{0,20}", inputs).prop_map(|(name, title, inputs)| {
            InitAnswers { name, title, maintainer: StarterMaintainer::default(), inputs: inputs.into_iter().collect() }
        })
    }

    proptest! {
        #[test]
        fn legal_answers_make_a_manifest_without_a_problem(answers in legal_answers()) {
            prop_assert_eq!(problems(&answers), [""; 0], "{}", manifest(&answers));
        }

        #[test]
        fn any_text_makes_a_legal_name(text in "\\PC{0,60}|[A-Za-z -]{0,60}") {
            let name = job_name_from(&text);
            prop_assert!(name.len() <= NAME_CHARS);
            let answers = InitAnswers { title: title_of(&name), name, ..answers(&[EXAMPLE_INPUT]) };
            prop_assert_eq!(problems(&answers), [""; 0]);
        }

        #[test]
        fn any_answers_make_json(name in ".*", title in ".*", inputs in prop::collection::vec((".*", ".*"), 0..4)) {
            let maintainer = StarterMaintainer::default();
            let text = manifest(&InitAnswers { name: name.clone(), title, maintainer, inputs });
            let document: Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(document["job"]["name"].as_str(), Some(name.as_str()));
        }
    }
}
