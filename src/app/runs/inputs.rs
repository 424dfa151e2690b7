//! Sources of a run's files: uploads, URLs, outputs of earlier runs, and files of the server.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::super::{App, Result};
use super::fetched_inputs::FetchedInputs;
use super::may_see;
use super::resolved_input::{InputProblem, ResolvedInput};
use super::run_inputs::{FileSpec, InputFile};
use crate::catalog::{RunStatus, UserAccount};
use crate::engine::plan::request::{HostFile, InputSource};
use crate::engine::run::inputs::survey;
use crate::engine::run::outputs::{CapturedFile, RunOutputs};
use crate::engine::run::record::{FileFacts, FileWorkspace, GivenInput, RunProduct};

use super::super::accounts::UserSession;

/// Characters that need no encoding in a path.
const IN_PATH: AsciiSet = NON_ALPHANUMERIC.remove(b'.').remove(b'-').remove(b'_').remove(b'~').remove(b'/');

impl App {
    /// The URL of a path of this service, if `http.public_url` is set; else the path.
    fn own_address(&self, path: &str) -> String {
        format!("{}{path}", self.settings().http.public_url.trim_end_matches('/'))
    }

    /// The files that a user names. Without `fetched`, files that must be fetched are not, and count as empty.
    pub(super) async fn run_files(
        &self,
        user: &UserAccount,
        files: &[InputFile],
        fetched: Option<&FetchedInputs<'_>>,
    ) -> Result<std::result::Result<Vec<ResolvedInput>, Vec<InputProblem>>> {
        let (mut found, mut troubles) = (Vec::new(), Vec::new());
        for (number, file) in files.iter().enumerate() {
            match self.run_file(user, number, file, fetched).await? {
                Ok(more) => found.extend(more),
                Err(trouble) => troubles.push(trouble),
            }
        }
        Ok(if troubles.is_empty() { Ok(found) } else { Err(troubles) })
    }

    async fn run_file(
        &self,
        user: &UserAccount,
        number: usize,
        file: &InputFile,
        fetched: Option<&FetchedInputs<'_>>,
    ) -> Result<std::result::Result<Vec<ResolvedInput>, InputProblem>> {
        match &file.source {
            FileSpec::Upload { sha256, .. } => self.run_file_uploaded(user, file, sha256).await,
            FileSpec::Url { url, sha256, .. } => {
                Ok(self.run_file_by_url(number, file, url, sha256.as_deref(), fetched).await)
            }
            FileSpec::Output { run, .. } => self.run_file_of_run(user, file, run).await,
            FileSpec::Path { path, .. } => Ok(self.run_file_of_server(file, path)),
            FileSpec::Unclear => Ok(Err(InputProblem {
                input: file.input.clone(),
                message: "it needs exactly one of upload, url, run and path.".to_owned(),
                help: "Give one of them.".to_owned(),
                is_passing: false,
            })),
        }
    }

    async fn run_file_uploaded(
        &self,
        user: &UserAccount,
        file: &InputFile,
        sha256: &str,
    ) -> Result<std::result::Result<Vec<ResolvedInput>, InputProblem>> {
        let found = self.store().upload_use(user.id, sha256, self.0.clock.now()).await?;
        let path = self.upload_path(sha256);
        let Some((upload, metadata)) = found.zip(path.metadata().ok()) else {
            return Ok(Err(InputProblem {
                input: file.input.clone(),
                message: format!("you have no upload {sha256}."),
                help: "Upload the file first: POST /api/v1/uploads.".to_owned(),
                is_passing: false,
            }));
        };
        let name = file.source.name().cloned().unwrap_or(upload.name);
        let facts = FileFacts {
            url: Some(self.own_address(&format!("/api/v1/uploads/{sha256}"))),
            workspace: Some(FileWorkspace::Uploads),
            created: Some(upload.created_at),
            ..FileFacts::default()
        };
        Ok(Ok(vec![ResolvedInput {
            input: file.input.clone(),
            source: InputSource::File(HostFile { name, path, size: metadata.len() }),
            facts,
            sha256: Some(upload.sha256),
            host: None,
        }]))
    }

    async fn run_file_of_run(
        &self,
        user: &UserAccount,
        file: &InputFile,
        run: &str,
    ) -> Result<std::result::Result<Vec<ResolvedInput>, InputProblem>> {
        let trouble = |message: String, help: &str| {
            Ok(Err(InputProblem { input: file.input.clone(), message, help: help.to_owned(), is_passing: false }))
        };
        let stored = self.store().run_get(run).await?;
        let session = UserSession::of(user.clone());
        let Some(stored) = stored.filter(|stored| may_see(&session, &stored.summary)) else {
            return trouble(format!("you have no run {run}."), "List your runs with GET /api/v1/runs.");
        };
        if stored.summary.purged_at.is_some() {
            return trouble(
                format!("the outputs of run {run} were deleted."),
                "Run it again, or give the file itself.",
            );
        }
        if stored.summary.status != RunStatus::Successful {
            let status = stored.summary.status.as_str();
            return trouble(format!("run {run} is {status}."), "Outputs of successful runs can be inputs.");
        }
        let record = super::read_record(&stored)?;
        let chosen = chosen(&file.source, record.outputs.as_ref());
        if chosen.is_empty() {
            return trouble(
                format!("run {run} has no such output."),
                "Give one of its outputs with output, or a file in its output directory with file.",
            );
        }
        let Some(root) = &record.folder else {
            return trouble(format!("the files of run {run} are not available here."), "");
        };
        let folder = crate::engine::run::folder::RunPaths::new(root.clone());
        let chain = chain_of(&folder.context());
        let output = folder.output;
        let several = chosen.len() > 1;
        let mut found = Vec::new();
        for (name, left) in chosen {
            // Links that the job may have left are not followed out of the folder.
            let Some(path) = inside(&output, &left.path) else {
                return trouble(format!("the file {} of run {run} no longer exists.", left.path), "Run it again.");
            };
            let base = left.path.rsplit('/').next().unwrap_or(&left.path).to_owned();
            let base = file.source.name().cloned().filter(|_| !several).unwrap_or(base);
            let job = format!("{}-{}", record.job.name, record.job.job_version);
            let product = RunProduct { run: record.id.clone(), job, output: name };
            let path_of_file = utf8_percent_encode(&left.path, &IN_PATH);
            let facts = FileFacts {
                id: left.sha256.clone(),
                url: Some(self.own_address(&format!("/api/v1/runs/{}/files/{path_of_file}", record.id))),
                workspace: Some(FileWorkspace::Runs),
                chain: chain.clone(),
                created: record.finished,
                product: Some(product),
                metadata: left.metadata.clone(),
            };
            let source = InputSource::File(HostFile { name: base, path, size: left.size });
            found.push(ResolvedInput {
                input: file.input.clone(),
                source,
                facts,
                sha256: left.sha256.clone(),
                host: None,
            });
        }
        Ok(Ok(found))
    }

    fn run_file_of_server(
        &self,
        file: &InputFile,
        path: &Path,
    ) -> std::result::Result<Vec<ResolvedInput>, InputProblem> {
        let trouble = |message: String, help: &str| InputProblem {
            input: file.input.clone(),
            message,
            help: help.to_owned(),
            is_passing: false,
        };
        let host = self.host_path(path, &self.settings().runs.input_roots);
        let host = host.map_err(|why| trouble(why, ROOTS_OF_INPUTS))?;
        let source = match survey(&host.path) {
            Ok(InputSource::File(found)) => {
                let name = path.file_name().and_then(|name| name.to_str()).map(str::to_owned);
                let name = file.source.name().cloned().or(name).unwrap_or_else(|| found.name.clone());
                InputSource::File(HostFile { name, ..found })
            }
            Ok(folder) => folder,
            Err(why) => return Err(trouble(format!("{why}."), "")),
        };
        Ok(vec![ResolvedInput {
            input: file.input.clone(),
            source,
            facts: FileFacts { workspace: Some(FileWorkspace::Server), ..FileFacts::default() },
            sha256: None,
            host: Some(host),
        }])
    }
}

/// The input of the first run of a chain, from the document (`INPUT_METADATA`) that one of its runs was given. `None`
/// if it cannot be read.
fn chain_of(context: &Path) -> Option<serde_json::Value> {
    /// Longest document that is read, in bytes.
    const LONGEST: u64 = 8 * 1024 * 1024;
    let file = std::fs::File::open(context).ok()?;
    let document: serde_json::Value = serde_json::from_reader(std::io::Read::take(file, LONGEST)).ok()?;
    document.get("RECIPE").or(document.get("JOB")).cloned()
}

const ROOTS_OF_INPUTS: &str = "Give a path below one of the folders in runs.input_roots, or upload the file.";

/// A file below a folder; `None` if a link leads out of the folder.
pub(super) fn inside(folder: &Path, relative: &str) -> Option<PathBuf> {
    let root = folder.canonicalize().ok()?;
    let path = root.join(relative).canonicalize().ok()?;
    (path.starts_with(&root) && path.is_file()).then_some(path)
}

/// The output files that a form selects, with the outputs they belong to.
fn chosen<'o>(spec: &FileSpec, outputs: Option<&'o RunOutputs>) -> Vec<(String, &'o CapturedFile)> {
    let (FileSpec::Output { output: wanted, file, .. }, Some(outputs)) = (spec, outputs) else { return Vec::new() };
    if wanted.is_none() && file.is_none() {
        return Vec::new();
    }
    let captured = outputs.files.iter().flat_map(|output| output.files.iter().map(|file| (output.name.clone(), file)));
    let extra = outputs.extra.iter().map(|file| (String::new(), file));
    let is_meant = |(name, found): &(String, &CapturedFile)| {
        wanted.as_ref().is_none_or(|output| output == name) && file.as_ref().is_none_or(|path| *path == found.path)
    };
    captured.chain(extra).filter(is_meant).collect()
}

/// Adds what is known from their sources to files that were read.
pub(super) fn with_facts(mut given: Vec<GivenInput>, resolved: &[ResolvedInput]) -> Vec<GivenInput> {
    let mut known = HashMap::new();
    for it in resolved {
        if let InputSource::File(file) = &it.source {
            known.insert(file.path.clone(), &it.facts);
        }
    }
    for file in given.iter_mut().flat_map(|input| &mut input.files) {
        if let Some(facts) = known.get(&file.source) {
            file.facts = (*facts).clone();
        }
    }
    given
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_link_leads_out_of_an_output_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("root");
        std::fs::create_dir(&root).expect("a folder");
        std::fs::write(root.join("in"), "").expect("a file");
        std::fs::write(folder.path().join("out"), "").expect("a file");
        std::os::unix::fs::symlink("../out", root.join("link")).expect("a link");
        assert!(inside(&root, "in").is_some());
        assert!(inside(&root, "link").is_none() && inside(&root, "../out").is_none() && inside(&root, "").is_none());
    }
}
