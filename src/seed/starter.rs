//! The manifest that `silo init` writes.

use serde_json::{Value, json};

use super::environment::variable_name;

/// An input file for who has none in mind: its name and its media type.
pub const EXAMPLE_INPUT: (&str, &str) = ("INPUT_FILE", "image/tiff");

/// The longest name that is made out of another text, in characters.
const NAME_CHARS: usize = 40;

/// What `silo init` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answers {
    /// `job.name`
    pub name: String,
    /// `job.title`
    pub title: String,
    /// Names of input files, with their media types.
    pub inputs: Vec<(String, String)>,
}

/// A whole manifest without a single problem, indented by two, with a line feed at the end.
///
/// Answers that break a rule are put in as they are; judging the manifest tells what is wrong with them.
pub fn manifest(answers: &Answers) -> String {
    let document = json!({
        "seedVersion": "1.0.0",
        "job": {
            "name": answers.name,
            "jobVersion": "1.0.0",
            "packageVersion": "1.0.0",
            "title": answers.title,
            "description": "What the job makes out of what, for people who search for it",
            "tags": ["example"],
            "maintainer": {"name": "Your name", "organization": "Your organization", "email": "you@example.org"},
            "timeout": 3600,
            "interface": interface(answers),
            "resources": {"scalar": [
                {"name": "cpus", "value": 1},
                {"name": "mem", "value": 512},
                {"name": "disk", "value": 100, "inputMultiplier": 2},
            ]},
            "errors": [
                {"code": 10, "name": unlike_inputs("BAD_INPUT", answers), "title": "Bad input",
                    "description": "An input cannot be used.", "category": "data"},
                {"code": 20, "name": unlike_inputs("PROCESSING_FAILED", answers), "title": "Processing failed",
                    "description": "The job itself is at fault.", "category": "job"},
            ],
        },
    });
    format!("{document:#}\n")
}

/// What goes in and what comes out. The command uses all that goes in.
fn interface(answers: &Answers) -> Value {
    let [threshold, file, count] =
        ["THRESHOLD", "RESULT_FILE", "RESULT_COUNT"].map(|name| unlike_inputs(name, answers));
    let variables = answers.inputs.iter().map(|(name, _)| variable_name(name));
    let variables = variables.chain([threshold.clone(), "OUTPUT_DIR".to_owned()]);
    let arguments: Vec<String> = variables.map(|variable| format!("${{{variable}}}")).collect();
    let inputs = answers.inputs.iter();
    let inputs = inputs.map(|(name, media_type)| json!({"name": name, "mediaTypes": [media_type], "required": true}));
    json!({
        "command": format!("./run.sh {}", arguments.join(" ")),
        "inputs": {
            "files": inputs.collect::<Value>(),
            "json": [{"name": threshold, "type": "number", "required": true}],
        },
        "outputs": {
            "files": [{"name": file, "mediaType": "image/tiff", "pattern": "result*.tif", "required": true}],
            "json": [{"name": count, "key": "resultCount", "type": "integer", "required": true}],
        },
    })
}

/// A name of ours, with a number behind it where an input has it already: some tools know one name space for all lists.
fn unlike_inputs(name: &str, answers: &Answers) -> String {
    let is_free = |name: &String| answers.inputs.iter().all(|(input, _)| variable_name(input) != *name);
    let numbered = (2..).map(|number| format!("{name}_{number}"));
    // There are more numbers than inputs, so one is free.
    [name.to_owned()].into_iter().chain(numbered).find(is_free).unwrap_or_default()
}

/// A job's name made out of any text, such as a folder's name: small letters and digits with single dashes between, which
/// is what both the standard and Docker take.
pub fn legal_name(text: &str) -> String {
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

/// A title made out of a job's name: `sea-ice` gives `Sea ice`.
pub fn title_of(name: &str) -> String {
    let words = name.replace('-', " ");
    let mut letters = words.trim().chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::seed::Profile;
    use crate::seed::validate::{Rules, judge};

    fn answers(inputs: &[(&str, &str)]) -> Answers {
        let inputs = inputs.iter().map(|(name, media_type)| ((*name).to_owned(), (*media_type).to_owned())).collect();
        Answers { name: "my-job".into(), title: "My job".into(), inputs }
    }

    /// Every problem in any profile.
    fn problems(answers: &Answers) -> Vec<String> {
        let text = manifest(answers);
        let judged = Profile::ALL.map(|profile| judge(text.as_bytes(), Rules { profile, strict: false }));
        judged.into_iter().flat_map(|report| report.problems).map(|problem| format!("{problem:?}")).collect()
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
    fn no_inputs_are_no_problem() {
        assert_eq!(problems(&answers(&[])), [""; 0]);
    }

    #[test]
    fn what_breaks_a_rule_is_found_by_judging() {
        let good = answers(&[EXAMPLE_INPUT]);
        assert_ne!(problems(&Answers { name: "my_job".into(), ..good }), [""; 0]);
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
            assert_eq!((legal_name(text).as_str(), title_of(name).as_str()), (name, title), "{text}");
        }
        assert_eq!(title_of(""), "");
    }

    fn legal_answers() -> impl Strategy<Value = Answers> {
        let own = prop::sample::select(vec!["THRESHOLD", "RESULT_FILE", "RESULT_COUNT", "BAD_INPUT", "THRESHOLD_2"]);
        let input = prop_oneof![3 => "[A-Z][A-Z0-9_]{0,12}", 1 => own.prop_map(str::to_owned)];
        // What the executor sets itself, and what the resources are called, is taken.
        let input = input.prop_filter("taken", |name| {
            !name.starts_with("ALLOCATED_") && !["OUTPUT_DIR", "CPUS", "MEM", "DISK"].contains(&name.as_str())
        });
        let inputs = prop::collection::btree_map(input, "[a-z]{1,8}/[a-z][a-z0-9+.-]{0,12}", 0..6);
        ("[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", "[^\\p{C}\\p{Z}]\\PC{0,20}", inputs)
            .prop_map(|(name, title, inputs)| Answers { name, title, inputs: inputs.into_iter().collect() })
    }

    proptest! {
        #[test]
        fn legal_answers_make_a_manifest_without_a_problem(answers in legal_answers()) {
            prop_assert_eq!(problems(&answers), [""; 0], "{}", manifest(&answers));
        }

        #[test]
        fn any_text_makes_a_legal_name(text in "\\PC{0,60}|[A-Za-z -]{0,60}") {
            let name = legal_name(&text);
            prop_assert!(name.len() <= NAME_CHARS);
            let answers = Answers { title: title_of(&name), name, ..answers(&[EXAMPLE_INPUT]) };
            prop_assert_eq!(problems(&answers), [""; 0]);
        }

        #[test]
        fn any_answers_make_json(name in ".*", title in ".*", inputs in prop::collection::vec((".*", ".*"), 0..4)) {
            let text = manifest(&Answers { name: name.clone(), title, inputs });
            let document: Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(document["job"]["name"].as_str(), Some(name.as_str()));
        }
    }
}
