//! Rows of a batch that are sent as a table. The command line reads the same tables, but there a file's name is a path.

use serde_json::Value;

use super::{FileAddress, FileSpec, InputFile, RunChange};
use crate::engine::batch_rows::{CellValue, TableCell, TableFormat, TableRow, read_table};
use crate::engine::plan::request::JsonInputValue;
use crate::engine::plan::{PlanCode, PlanProblem};
use crate::seed::environment::variable_name;
use crate::seed::model::SeedManifest;

/// The rows of a batch.
#[derive(Clone, Debug)]
pub enum BatchRows {
    Given(Vec<RunChange>),
    /// CSV, or JSON Lines if it begins with a brace.
    Table(String),
}

/// A row, or what is wrong with it.
pub(super) type BatchRowOutcome = Result<RunChange, Vec<PlanProblem>>;

impl BatchRows {
    /// The rows; of a table at most `most`, and one more.
    ///
    /// # Errors
    /// A problem of the whole table.
    pub(super) fn read(self, manifest: &SeedManifest, most: usize) -> Result<Vec<BatchRowOutcome>, PlanProblem> {
        let text = match self {
            Self::Given(rows) => return Ok(rows.into_iter().map(Ok).collect()),
            Self::Table(text) => text,
        };
        let of_table = |why: String| problem(PlanCode::BadValue, "table", format!("{why}."));
        let table = read_table(&text, TableFormat::of(&text), manifest, most).map_err(of_table)?;
        match table.fault {
            Some(fault) => Err(of_table(fault)),
            None => Ok(table.rows.into_iter().map(|row| change(row, manifest)).collect()),
        }
    }
}

fn change(row: TableRow, manifest: &SeedManifest) -> BatchRowOutcome {
    let place = row.line.map_or_else(|| "row".to_owned(), |line| format!("line {line}"));
    let cells = row.cells.map_err(|why| vec![problem(PlanCode::BadValue, &place, why)])?;
    let mut change = RunChange::default();
    let problems: Vec<PlanProblem> = cells.into_iter().filter_map(|cell| add(&mut change, cell, manifest)).collect();
    if problems.is_empty() { Ok(change) } else { Err(problems) }
}

/// Adds a value to a row; returns what is wrong with it.
fn add(change: &mut RunChange, cell: TableCell, manifest: &SeedManifest) -> Option<PlanProblem> {
    let TableCell { input, value } = cell;
    let (code, why) = match value {
        CellValue::Files(files) => {
            for text in files {
                match file_spec(&text) {
                    Some(source) => change.inputs.files.push(InputFile { input: input.clone(), source }),
                    None => return Some(not_a_file(&input, &text)),
                }
            }
            return None;
        }
        CellValue::Json(value) => match json_value(&input, value, manifest) {
            Ok(value) => match change.inputs.json.insert(input.clone(), value) {
                None => return None,
                Some(_) => (PlanCode::TooMany, "it is given more than once.".to_owned()),
            },
            Err(why) => (PlanCode::WrongType, why),
        },
        CellValue::Unusable(code, why) => (code, why),
    };
    Some(problem(code, &input, why))
}

/// A JSON value; a text of a table becomes one of the input's type.
fn json_value(name: &str, value: JsonInputValue, manifest: &SeedManifest) -> Result<Value, String> {
    let text = match value {
        JsonInputValue::Value(value) => return Ok(value),
        JsonInputValue::Text(text) => text,
    };
    let mut inputs = manifest.job.interface.inputs.json.iter();
    let Some(input) = inputs.find(|input| variable_name(&input.name) == variable_name(name)) else {
        return Ok(Value::String(text));
    };
    match input.value_of_text(&text) {
        Ok(content) => Ok(input.value_of_variable(content)),
        Err(why) => Err(format!("its value must be of the type {}, but {why}.", input.json_type.as_str())),
    }
}

/// A file as a table names it: an address, an upload, an output of an earlier run, or a path of the server.
fn file_spec(text: &str) -> Option<FileSpec> {
    let name = None;
    if let Some(sha256) = text.strip_prefix("upload:") {
        return Some(FileSpec::Upload { sha256: sha256.to_owned(), name });
    }
    if let Some(output) = text.strip_prefix("run:") {
        let (run, output) = output.split_once('/')?;
        return Some(FileSpec::Output { run: run.to_owned(), output: Some(output.to_owned()), file: None, name });
    }
    if text.starts_with("https://") || text.starts_with("http://") {
        return Some(FileSpec::Url { url: FileAddress::from(text.to_owned()), sha256: None, name });
    }
    text.starts_with('/').then(|| FileSpec::Path { path: text.into(), name })
}

fn not_a_file(input: &str, text: &str) -> PlanProblem {
    // Not more of it: an address without its scheme may have a signature.
    let short: String = text.split('?').next().unwrap_or_default().chars().take(60).collect();
    PlanProblem {
        help: "Write an address (https://…), upload:SHA256, run:ID/OUTPUT, or a path of the server that begins with /."
            .to_owned(),
        ..problem(PlanCode::BadValue, input, format!("`{short}` names no file."))
    }
}

fn problem(code: PlanCode, subject: &str, message: String) -> PlanProblem {
    PlanProblem { code, subject: subject.chars().take(200).collect(), message, help: String::new() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn manifest() -> SeedManifest {
        let manifest = json!({"seedVersion": "1.0.0", "job": {
            "name": "j", "jobVersion": "1.0.0", "packageVersion": "1.0.0", "title": "J", "description": "J",
            "maintainer": {"name": "A", "email": "a@example.org"}, "timeout": 1,
            "interface": {"command": "run", "inputs": {
                "files": [{"name": "SCENE"}, {"name": "TILES", "multiple": true}],
                "json": [{"name": "COUNT", "type": "integer"}, {"name": "NOTE", "type": "string"}],
            }},
        }});
        SeedManifest::parse(&manifest.to_string()).expect("a manifest")
    }

    fn rows(table: &str) -> Vec<BatchRowOutcome> {
        BatchRows::Table(table.to_owned()).read(&manifest(), 100).expect("a table")
    }

    #[test]
    fn files_are_addresses_uploads_outputs_and_paths() {
        let row = rows("SCENE,TILES\nhttps://example.org/a?b=c,\"upload:00\nrun:7/OUT\n/data/x\"\n").remove(0);
        let files = serde_json::to_value(row.expect("a row").inputs.files).expect("files are JSON");
        let expected = json!([
            {"input": "SCENE", "url": "https://example.org/a?*****"},
            {"input": "TILES", "upload": "00"},
            {"input": "TILES", "run": "7", "output": "OUT"},
            {"input": "TILES", "path": "/data/x"},
        ]);
        assert_eq!(files, expected);
        for text in ["a.tif", "../x", "file:///x", "run:7", "=cmd|' /C calc'!A0"] {
            let [problem] = &rows(&format!("SCENE\n{text}\n")).remove(0).expect_err(text)[..] else { panic!("{text}") };
            assert!(problem.subject == "SCENE" && problem.message.contains(text), "{problem}");
        }
        let signed = rows("SCENE\nexample.org/a?signature=secret\n").remove(0).expect_err("no scheme");
        assert!(!signed[0].message.contains("secret"), "{}", signed[0]);
    }

    #[test]
    fn texts_become_values_of_the_type_of_their_input() {
        let row = rows("count,NOTE\n-4,=1+1\n").remove(0).expect("a row");
        assert_eq!(Value::Object(row.inputs.json), json!({"count": -4, "NOTE": "=1+1"}));
        let wrong = rows("COUNT,COUNT\nmany,\n1,2\n");
        let told: Vec<_> = wrong.into_iter().map(|row| row.expect_err("it is wrong").remove(0)).collect();
        assert_eq!((told[0].code, told[1].code), (PlanCode::WrongType, PlanCode::TooMany));
        assert!(told[0].message.contains("integer"), "{}", told[0]);
    }

    #[test]
    fn a_fault_of_the_table_and_one_of_a_row_say_where() {
        let fault = BatchRows::Table("COLOUR\nx\n".to_owned()).read(&manifest(), 100).expect_err("no such input");
        assert!(fault.subject == "table" && fault.message.contains("`COLOUR`"), "{fault}");
        let row = rows("COUNT\n1\n1,2\n").remove(1).expect_err("one value too many");
        assert_eq!((row[0].subject.as_str(), row.len()), ("line 3", 1));
        assert_eq!(rows(&("COUNT\n".to_owned() + &"1\n".repeat(105))).len(), 101);
    }
}
