//! Inputs that are fetched by URL: within their owner's quota for files, and kept until the attempt ends.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use futures_util::future::BoxFuture;
use url::Url;

use super::super::App;
use super::resolved_input::{InputProblem, ResolvedInput};
use super::run_inputs::{FileAddress, InputFile};
use super::uploads::in_advance;
use crate::catalog::UserId;
use crate::engine::plan::request::{HostFile, InputSource};
use crate::engine::run::record::{FileFacts, FileWorkspace};
use crate::registry::{DownloadError, FileDownload, download};
use crate::store::ClaimedRun;

/// How long a server that a file is fetched from may be silent.
const SILENCE: Duration = Duration::from_secs(60);

/// The folder that an attempt's inputs are fetched into, and how much of the owner's quota they take.
pub(super) struct FetchedInputs<'a> {
    folder: &'a Path,
    claim: &'a ClaimedRun,
    owner: UserId,
    /// Bytes of complete files.
    complete: AtomicU64,
    /// Bytes that are reserved.
    reserved: AtomicU64,
}

impl<'a> FetchedInputs<'a> {
    pub(super) fn new(folder: &'a Path, claim: &'a ClaimedRun, owner: UserId) -> Self {
        Self { folder, claim, owner, complete: AtomicU64::new(0), reserved: AtomicU64::new(0) }
    }
}

impl App {
    /// Fetches the file at a URL. `number`: its index among the files of the run. Without `fetched` nothing is fetched.
    pub(super) async fn run_file_by_url(
        &self,
        number: usize,
        file: &InputFile,
        address: &FileAddress,
        sha256: Option<&str>,
        fetched: Option<&FetchedInputs<'_>>,
    ) -> std::result::Result<Vec<ResolvedInput>, InputProblem> {
        let url = read_url(address.expose()).map_err(|(message, help)| trouble(file, message, help, false))?;
        let named = url.path_segments().and_then(|mut parts| parts.next_back()).unwrap_or_default();
        let named = percent_encoding::percent_decode_str(named).decode_utf8_lossy().into_owned();
        let name = file.source.name().cloned().unwrap_or(if named.is_empty() { "file".to_owned() } else { named });
        let facts =
            FileFacts { url: Some(without_secrets(&url)), workspace: Some(FileWorkspace::Web), ..FileFacts::default() };
        let resolved = |path: PathBuf, size: u64, sha256: Option<String>| {
            let source = InputSource::File(HostFile { name: name.clone(), path, size });
            vec![ResolvedInput { input: file.input.clone(), source, facts: facts.clone(), sha256, host: None }]
        };
        let Some(fetched) = fetched else {
            return Ok(resolved(Path::new("/").join("fetched"), 0, sha256.map(str::to_owned)));
        };
        let target = fetched.folder.join(number.to_string()).join("file");
        // An earlier process that began this attempt has fetched it; its container may be using it.
        if let Ok(metadata) = target.metadata() {
            fetched.complete.fetch_add(metadata.len(), Relaxed);
            return Ok(resolved(target, metadata.len(), sha256.map(str::to_owned)));
        }
        let wanted = FileDownload {
            url: &url,
            to: &target,
            sha256,
            most_bytes: u64::from(self.settings().runs.upload_mib) * 1024 * 1024,
            silence: SILENCE,
            private: &self.0.inputs_private,
        };
        let room = |size| -> BoxFuture<'_, _> { Box::pin(self.run_fetch_room(fetched, size)) };
        match download(&wanted, &room).await {
            Ok(done) => {
                fetched.complete.fetch_add(done.size, Relaxed);
                Ok(resolved(target, done.size, Some(done.sha256)))
            }
            Err(why) => Err(trouble(file, &why.to_string(), "", why.is_passing())),
        }
    }

    /// Reserves quota for a file of `size` bytes, as far as its size is known.
    async fn run_fetch_room(&self, fetched: &FetchedInputs<'_>, size: u64) -> std::result::Result<(), DownloadError> {
        let needed = fetched.complete.load(Relaxed) + size;
        if needed <= fetched.reserved.load(Relaxed) {
            return Ok(());
        }
        let room = self.upload_room(fetched.owner, needed, in_advance(needed));
        match self.store().run_reserve(fetched.claim, room).await {
            Ok(Some(reserved)) => {
                fetched.reserved.store(reserved, Relaxed);
                Ok(())
            }
            Ok(None) => Err(DownloadError::NoRoom { most_mib: self.settings().runs.uploads_per_user_mib }),
            Err(why) => {
                tracing::warn!(%why, run = fetched.claim.id, "space for an input cannot be reserved");
                Err(DownloadError::NotReserved)
            }
        }
    }

    /// Discards what an attempt has fetched: the next attempt fetches it again.
    pub(super) async fn run_discard_fetched(&self, run: &str, root: &Path) {
        if let Err(why) = self.discard(fetched_in(root)).await {
            tracing::warn!(run, %why, "fetched inputs cannot be removed; they stay until the run's files are removed");
        }
    }
}

/// Folder of fetched inputs, in the folder of a run.
pub(super) fn fetched_in(root: &Path) -> PathBuf {
    root.join("fetched")
}

/// A URL that can be fetched; else the problem, and what to do.
fn read_url(text: &str) -> std::result::Result<Url, (&'static str, &'static str)> {
    match Url::parse(text) {
        Ok(url) if !url.username().is_empty() || url.password().is_some() => Err((
            "its url contains a user or a password, which are not sent.",
            "Download the file and upload it: POST /api/v1/uploads.",
        )),
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(url),
        _ => Err(("its url is not the address of a file.", "Give a url that begins with https:// or http://.")),
    }
}

fn trouble(file: &InputFile, message: &str, help: &str, is_passing: bool) -> InputProblem {
    InputProblem { input: file.input.clone(), message: message.to_owned(), help: help.to_owned(), is_passing }
}

/// A URL without user, password, query and fragment, which may be secret.
fn without_secrets(url: &Url) -> String {
    let mut url = url.clone();
    _ = url.set_username("");
    _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    url.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_lose_what_nobody_needs_to_see() {
        let url = Url::parse("https://ada:hunter2@example.org/a/b.tif?token=hunter2#x").expect("an address");
        assert_eq!(without_secrets(&url), "https://example.org/a/b.tif");
    }
}
