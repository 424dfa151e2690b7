//! Inputs of a batch's rows, from a table or a folder, with their files looked up on disk.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail, ensure};
use serde_json::Value;

use crate::cli::args::manifest_file::shown;
use crate::cli::args::run::{JobRequest, Unusable, json_text};
use crate::cli::output::render::tame;
use crate::engine::batch_rows::{CellValue, TableCell, TableFormat, TableRow, read_table};
use crate::engine::plan::request::{InputSource, JsonInputValue, RunRequest};
use crate::engine::plan::{PlanCode, PlanProblem};
use crate::engine::run::inputs::survey;
use crate::seed::environment::variable_name;
use crate::seed::model::SeedManifest;

/// Size limit of a file of rows, in bytes.
const MAX_BYTES: u64 = 64 * 1024 * 1024;
/// Limit of rows.
const MAX_ROWS: usize = 100_000;

/// A row as read.
pub(super) struct BatchSourceRow {
    /// From 1, without the header and blank lines.
    pub number: usize,
    /// Line of its file where it begins, from 1.
    pub line: Option<u64>,
    /// The inputs, or why the row cannot be parsed.
    pub given: Result<RowValues, String>,
}

/// The rows of a file or folder.
pub(super) struct Rows {
    pub rows: Vec<BatchSourceRow>,
    /// A problem of the file that affects all rows.
    pub fault: Option<anyhow::Error>,
}

/// Inputs of a row.
#[derive(Default)]
pub(super) struct RowValues {
    files: Vec<(String, InputSource)>,
    json: Vec<(String, JsonInputValue)>,
    problems: Vec<PlanProblem>,
    unusable: Vec<Unusable>,
}

impl RowValues {
    /// The common request with the row's inputs, which take precedence, and the row's problems.
    pub(super) fn asked(self, all: &RunRequest) -> JobRequest {
        JobRequest { request: self.added_to(all), problems: self.problems, unusable: self.unusable }
    }

    fn added_to(&self, all: &RunRequest) -> RunRequest {
        let mut request = all.clone();
        let is_same = |a: &str, b: &str| variable_name(a) == variable_name(b);
        request.files.retain(|(name, _)| !self.files.iter().any(|(own, _)| is_same(own, name)));
        request.json.retain(|(name, _)| !self.json.iter().any(|(own, _)| is_same(own, name)));
        request.files.extend(self.files.iter().cloned());
        request.json.extend(self.json.iter().cloned());
        request
    }

    /// Name of the row for people: its files, or else its values.
    pub(super) fn name(&self) -> String {
        let files = self.files.iter().map(|(_, source)| match source {
            InputSource::File(file) => file.name.clone(),
            InputSource::Folder { path, .. } => path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        });
        let values = self.json.iter().map(|(_, value)| match value {
            JsonInputValue::Text(text) | JsonInputValue::Value(Value::String(text)) => text.clone(),
            JsonInputValue::Value(value) => value.to_string(),
        });
        let names: Vec<String> = if self.files.is_empty() { values.collect() } else { files.collect() };
        names.join("-")
    }
}

/// Reads the rows of a file: JSON Lines if its name ends in `.jsonl` or `.ndjson`, else CSV.
///
/// # Errors
/// The file cannot be read, or has no valid header or rows.
pub(super) fn of_file(path: &Path, manifest: &SeedManifest) -> anyhow::Result<Rows> {
    let name = shown(path);
    let text = read(path).with_context(|| name.clone())?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let is_json =
        path.extension().is_some_and(|it| it.eq_ignore_ascii_case("jsonl") || it.eq_ignore_ascii_case("ndjson"));
    let format = if is_json { TableFormat::JsonLines } else { TableFormat::Csv };
    let table = read_table(&text, format, manifest, MAX_ROWS).map_err(|why| anyhow!("{name}: {}", tame(&why)))?;
    let row = |TableRow { number, line, cells }: TableRow| BatchSourceRow {
        number,
        line,
        given: cells.map(|cells| values_of(cells, folder)),
    };
    let (rows, fault): (Vec<_>, _) = (table.rows.into_iter().map(row).collect(), table.fault);
    ensure!(!rows.is_empty() || fault.is_some(), "{name} holds no rows, so there is nothing to run");
    ensure!(rows.len() <= MAX_ROWS, "{name} holds more than {MAX_ROWS} rows: split it");
    Ok(Rows { rows, fault: fault.map(|fault| anyhow!("{name}: {}", tame(&fault))) })
}

fn read(path: &Path) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    let file = File::open(path).context("cannot be read")?;
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).context("cannot be read")?;
    ensure!(bytes.len() as u64 <= MAX_BYTES, "is larger than {MAX_BYTES} bytes: split it");
    String::from_utf8(bytes).map_err(|why| {
        let before = &why.as_bytes()[..why.utf8_error().valid_up_to()];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        anyhow!("line {line} is not UTF-8: save the file as UTF-8")
    })
}

/// One row for each file of a folder, sorted by name; subfolders and names that begin with a dot are skipped.
///
/// # Errors
/// The folder cannot be read, or the input is ambiguous.
pub(super) fn of_folder(path: &Path, manifest: &SeedManifest, all: &RunRequest) -> anyhow::Result<Rows> {
    let input = input_of_folder(manifest, all)?;
    let InputSource::Folder { files, .. } = survey(path)? else { bail!("{} is not a folder", shown(path)) };
    let files = files.into_iter().filter(|file| !file.name.starts_with('.'));
    let given =
        files.map(|file| RowValues { files: vec![(input.clone(), InputSource::File(file))], ..RowValues::default() });
    let rows =
        given.enumerate().map(|(index, given)| BatchSourceRow { number: index + 1, line: None, given: Ok(given) });
    let rows: Vec<BatchSourceRow> = rows.collect();
    ensure!(!rows.is_empty(), "{} holds no files, so there is nothing to run", shown(path));
    Ok(Rows { rows, fault: None })
}

/// The input that a folder's files are for, as in Seed CLI: the only required input of a single file, not counting
/// inputs that get a file for all rows; if none is required, the first optional one.
fn input_of_folder(manifest: &SeedManifest, all: &RunRequest) -> anyhow::Result<String> {
    let is_given = |name: &str| all.files.iter().any(|(given, _)| variable_name(given) == variable_name(name));
    let single = || manifest.job.interface.inputs.files.iter().filter(|it| !it.multiple && !is_given(&it.name));
    let required: Vec<&str> = single().filter(|input| input.required).map(|input| &*input.name).collect();
    match (&*required, single().next()) {
        ([only], _) => Ok((*only).to_owned()),
        ([], Some(first)) => Ok(first.name.clone()),
        ([], None) => bail!("the job has no input that takes one file: write the rows to a file and give it with -b"),
        (several, _) => bail!(
            "the job needs several files ({}): give all but one of them with -i, or write the rows to a file for -b",
            several.join(", ")
        ),
    }
}

/// The values of a row, with its files looked up on disk.
fn values_of(cells: Vec<TableCell>, folder: &Path) -> RowValues {
    let mut row = GivenRow::new(folder);
    for TableCell { input, value } in cells {
        match value {
            CellValue::Files(files) => files.iter().for_each(|path| row.file(&input, path)),
            CellValue::Json(JsonInputValue::Text(text)) => row.text(&input, &text),
            CellValue::Json(value) => row.given.json.push((input, value)),
            CellValue::Unusable(PlanCode::Unknown, why) => {
                row.given.problems.push(problem(PlanCode::Unknown, &input, why));
            }
            CellValue::Unusable(_, why) => row.refuse(Unusable::File(input.clone()), &input, why),
        }
    }
    row.given
}

/// A row while it is read.
struct GivenRow<'a> {
    folder: &'a Path,
    given: RowValues,
}

impl<'a> GivenRow<'a> {
    fn new(folder: &'a Path) -> Self {
        Self { folder, given: RowValues::default() }
    }

    fn file(&mut self, name: &str, path: &str) {
        match survey(&self.found(path)) {
            Ok(source) => self.given.files.push((name.to_owned(), source)),
            Err(why) => self.refuse(Unusable::File(name.to_owned()), name, format!("{why}.")),
        }
    }

    /// Relative paths start at the folder of the rows' file. Seed CLI used the current directory: it is the fallback if
    /// the file exists only there.
    fn found(&self, path: &str) -> PathBuf {
        let (beside, here) = (self.folder.join(path), PathBuf::from(path));
        if !beside.exists() && here.exists() { here } else { beside }
    }

    fn text(&mut self, name: &str, text: &str) {
        match json_text(text, self.folder) {
            Ok(text) => self.given.json.push((name.to_owned(), JsonInputValue::Text(text))),
            Err(why) => self.refuse(Unusable::Json(name.to_owned()), name, format!("{why:#}.")),
        }
    }

    fn refuse(&mut self, what: Unusable, name: &str, why: String) {
        self.given.unusable.push(what);
        self.given.problems.push(problem(PlanCode::BadValue, name, why));
    }
}

fn problem(code: PlanCode, name: &str, message: String) -> PlanProblem {
    PlanProblem { code, subject: name.to_owned(), message, help: String::new() }
}
