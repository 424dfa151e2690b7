//! A test case on disk.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::compare::{ComparisonRule, ComparisonRules};
use crate::cli::args::manifest_file::shown;
use crate::engine::plan::request::InputSource;
use crate::engine::run::inputs::survey;
use crate::seed::model::{JobInputFile, SeedManifest};

/// Size limit of a case's JSON files, in bytes.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// Inputs of a job and its expected results.
pub(super) struct TestCase {
    pub name: String,
    folder: PathBuf,
    pub files: Vec<(String, InputSource)>,
    /// Files that are not in a folder of an input: all for the one input that can take them, as in Cumulus'
    /// `data/input`.
    pub loose: Option<InputSource>,
    pub json: BTreeMap<String, Value>,
    pub settings: BTreeMap<String, String>,
    pub expect: ExpectedEnd,
    pub rules: ComparisonRules,
}

/// The expected end of the run; success by default.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct ExpectedEnd {
    exit_code: Option<i64>,
    /// Name of an error of the manifest, or of a built-in error.
    error: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct CaseValues {
    json: BTreeMap<String, Value>,
    settings: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct CaseComparison {
    expect: ExpectedEnd,
    rules: Vec<ComparisonRule>,
}

impl ExpectedEnd {
    /// The difference between a run's end and the expected one, if any.
    pub(super) fn differs(&self, exit_code: Option<i64>, error: Option<&str>) -> Option<String> {
        let ended = error.map_or_else(|| "it was successful".to_owned(), |name| format!("it failed with {name}"));
        let code = exit_code.map_or_else(|| "none".to_owned(), |code| code.to_string());
        match self {
            Self { exit_code: None, error: None } => error.map(|_| format!("{ended} (exit code {code})")),
            Self { error: Some(name), .. } if error != Some(name) => Some(format!("{ended}, expected {name}")),
            Self { exit_code: Some(wanted), .. } if exit_code != Some(*wanted) => {
                Some(format!("{ended}; exit code {code}, expected {wanted}"))
            }
            // With an expected exit code of 0, the run must have no error, either.
            Self { exit_code: Some(0), error: None } => error.map(|_| ended),
            _ => None,
        }
    }
}

impl TestCase {
    /// Reads the cases in a folder, or the folder itself if it is a case, sorted by name.
    ///
    /// # Errors
    /// There are none, or one is invalid; names the file, and what to do.
    pub(super) fn all(folder: &Path) -> anyhow::Result<Vec<Self>> {
        if is_case(folder) {
            return Ok(vec![Self::read(folder)?]);
        }
        let entries = fs::read_dir(folder).with_context(|| {
            format!("the cases in {} cannot be read; make a folder for each, see `silo test --help`", shown(folder))
        })?;
        let mut folders = Vec::new();
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() && !is_hidden(&path) {
                folders.push(path);
            }
        }
        folders.sort();
        if folders.is_empty() {
            bail!("{} holds no cases; make a folder for each, see `silo test --help`", shown(folder));
        }
        folders.iter().map(|folder| Self::read(folder)).collect()
    }

    fn read(folder: &Path) -> anyhow::Result<Self> {
        let folder = folder.canonicalize().with_context(|| shown(folder))?;
        if !is_case(&folder) {
            bail!(
                "{} is not a test case: it has no input, inputs.json, expected, output or compare.json",
                shown(&folder)
            );
        }
        if folder.join("expected").exists() && folder.join("output").exists() {
            bail!("{} has both expected and output; keep one", shown(&folder));
        }
        let name = folder.file_name().and_then(|name| name.to_str());
        let name =
            name.ok_or_else(|| anyhow!("{}: the folder's name is not UTF-8; rename it", shown(&folder)))?.to_owned();
        let given: CaseValues = json(&folder.join("inputs.json"))?;
        let CaseComparison { expect, rules } = json(&folder.join("compare.json"))?;
        let rules =
            ComparisonRules::new(&rules).map_err(|why| anyhow!("{}: {why}", shown(&folder.join("compare.json"))))?;
        let input = folder.join("input");
        let loose = if is_loose(&input) { Some(survey(&input).with_context(|| shown(&input))?) } else { None };
        let files = if loose.is_some() { Vec::new() } else { inputs(&input)? };
        Ok(Self { name, files, loose, json: given.json, settings: given.settings, expect, rules, folder })
    }

    /// The input that loose files are for: the job's only input, else its only required one, else its only one with
    /// `multiple`.
    ///
    /// # Errors
    /// It is ambiguous, or the job has no input of files.
    pub(super) fn loose_input(manifest: &SeedManifest) -> anyhow::Result<&str> {
        let files = &manifest.job.interface.inputs.files;
        let only = |is: fn(&JobInputFile) -> bool| {
            let mut found = files.iter().filter(|input| is(input));
            found.next().filter(|_| found.next().is_none())
        };
        let found = only(|_| true).or_else(|| only(|input| input.required)).or_else(|| only(|input| input.multiple));
        let names = || files.iter().map(|input| input.name.as_str()).collect::<Vec<_>>().join(", ");
        let found = found.ok_or_else(|| {
            anyhow!("files directly in input could be for several inputs ({}): put them into input/NAME", names())
        })?;
        Ok(&found.name)
    }

    /// Where a case with loose files keeps the job's outputs, as in Cumulus: in `test-output`.
    pub(super) fn test_output(&self) -> Option<PathBuf> {
        self.loose.as_ref().map(|_| self.folder.join("test-output"))
    }

    /// Folder of the expected outputs; it may not exist.
    pub(super) fn expected(&self) -> PathBuf {
        let other = self.folder.join("output");
        if other.is_dir() { other } else { self.folder.join("expected") }
    }
}

fn is_case(folder: &Path) -> bool {
    ["input", "inputs.json", "expected", "output", "compare.json"].iter().any(|name| folder.join(name).exists())
}

/// Whether a folder of inputs holds only files, and no folders of inputs.
pub(super) fn is_loose(folder: &Path) -> bool {
    let Ok(entries) = fs::read_dir(folder) else { return false };
    let mut paths = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| !is_hidden(path)).peekable();
    paths.peek().is_some() && paths.all(|path| path.is_file())
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

/// The files of each input: a single file as it is, several as a folder.
fn inputs(folder: &Path) -> anyhow::Result<Vec<(String, InputSource)>> {
    let entries = match fs::read_dir(folder) {
        Err(why) if why.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.with_context(|| shown(folder))?,
    };
    let mut inputs = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).map(str::to_owned);
        let name = name.filter(|_| path.is_dir()).ok_or_else(|| {
            anyhow!(
                "{} is not a folder; put files into input/NAME, where NAME is the input's name in the manifest",
                shown(&path)
            )
        })?;
        let source = survey(&path).with_context(|| shown(&path))?;
        inputs.push((
            name,
            match source {
                InputSource::Folder { files, is_flat: true, .. } if files.len() == 1 => {
                    InputSource::File(files.into_iter().next().context("there is one")?)
                }
                InputSource::Folder { files, is_flat: true, .. } if files.is_empty() => {
                    bail!("{} is empty; put the input's files into it, or remove it", shown(&path))
                }
                source => source,
            },
        ));
    }
    inputs.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(inputs)
}

/// Reads a JSON file of a case; the default if there is no file.
fn json<T: DeserializeOwned + Default>(path: &Path) -> anyhow::Result<T> {
    let metadata = match fs::metadata(path) {
        Err(why) if why.kind() == ErrorKind::NotFound => return Ok(T::default()),
        metadata => metadata.with_context(|| shown(path))?,
    };
    if !metadata.is_file() || metadata.len() > MAX_BYTES {
        bail!("{} is not a file of at most {MAX_BYTES} bytes", shown(path));
    }
    let bytes = fs::read(path).with_context(|| shown(path))?;
    serde_json::from_slice(&bytes).with_context(|| format!("{} is not valid; see `silo test --help`", shown(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of `docs/cases.md` are valid.
    #[test]
    fn the_page_tells_the_truth() {
        const PAGE: &str = include_str!("../../../docs/cases.md");
        let example = PAGE.split("```json\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
        let CaseComparison { expect, rules } = serde_json::from_str(example).expect("it is as it should be");
        assert_eq!((expect.exit_code, expect.error.as_deref(), rules.len()), (Some(3), Some("no-granule"), 2));
        let ways = PAGE.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
        let ways = ways.map(|how| format!("{{\"files\": \"*\", \"compare\": {how}}}"));
        let ways: Vec<ComparisonRule> = ways.map(|rule| serde_json::from_str(&rule).expect("a rule")).collect();
        assert_eq!(ways.len(), 7);
        ComparisonRules::new(&ways).expect("sound rules");
    }
}
