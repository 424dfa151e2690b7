//! Images on this machine's disk: which files may be read, and how images in them are named.
//!
//! An admin of the service may not be an admin of the machine: files must lie in a configured folder, and symbolic
//! links must not lead out of it. Files are read on blocking threads.

pub(super) mod archive;
pub(super) mod layout;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::address::local_path;
use super::grammar::{is_digest, is_repository, is_tag, printable};
use super::wire::{ContentDescriptor, OciManifest};
use super::{Error, LeftOut, ListedTag, RawListing, RegistryTraffic, Result, SourceListing};
use crate::catalog::TagOutcome;

/// Annotation with the full name of an image, as containerd exports it.
const IMAGE_NAME: &str = "io.containerd.image.name";
/// Annotation with a tag, or a name and a tag: the OCI image specification leaves it open.
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// The folder of a layout or the file of an archive.
pub(super) struct DiskLocation {
    /// As the admin gave it.
    path: PathBuf,
    roots: Vec<PathBuf>,
    bytes: AtomicU64,
}

/// A byte range of a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct FileSpan {
    pub(super) from: u64,
    pub(super) size: u64,
}

impl DiskLocation {
    /// Parses the address; touches no disk.
    pub(super) fn new(url: &str, roots: &[PathBuf]) -> Result<Arc<Self>> {
        let place = DiskLocation { path: local_path(url)?, roots: roots.to_vec(), bytes: AtomicU64::new(0) };
        Ok(Arc::new(place))
    }

    /// The path, for messages.
    pub(super) fn name(&self) -> String {
        printable(&self.path.display().to_string())
    }

    pub(super) fn traffic(&self) -> RegistryTraffic {
        RegistryTraffic { bytes: self.bytes.load(Ordering::Relaxed), ..RegistryTraffic::default() }
    }

    /// Runs `work` on a blocking thread.
    pub(super) async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&DiskLocation) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let place = Arc::clone(self);
        let name = self.name();
        tokio::task::spawn_blocking(move || work(&place))
            .await
            .unwrap_or_else(|_| Err(Error::Unreachable(format!("reading {name} was interrupted; try again"))))
    }

    /// The real path, if it lies in one of the roots. For paths outside of them the error does not reveal whether they
    /// exist.
    pub(super) fn checked(&self) -> Result<PathBuf> {
        let refused = || {
            Error::Refused(format!(
                "{} is not below a folder of `scan.layout_roots`: add its folder there in the service's \
                 configuration, and restart the service",
                self.name()
            ))
        };
        match self.path.canonicalize() {
            Ok(real) => {
                let inside = |root: &PathBuf| root.canonicalize().is_ok_and(|root| real.starts_with(root));
                if self.roots.iter().any(inside) { Ok(real) } else { Err(refused()) }
            }
            Err(why) if self.roots.iter().any(|root| self.path.starts_with(root)) => Err(self.unreadable("", &why)),
            Err(_) => Err(refused()),
        }
    }

    /// Opens a checked path. `shown`: its name inside of the location, for messages; empty for the location itself.
    pub(super) fn open(&self, real: &Path, shown: &str) -> Result<File> {
        // Reading a pipe or a device could block forever.
        if !real.is_file() {
            return Err(Error::Malformed(format!("{} is not a file", self.shown(shown))));
        }
        File::open(real).map_err(|why| self.unreadable(shown, &why))
    }

    /// Reads a byte range of a file, or as much of it as exists.
    pub(super) fn read(&self, mut file: File, span: FileSpan, cap: usize, shown: &str) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(span.from))
            .and_then(|_| file.take(span.size.min(cap as u64 + 1)).read_to_end(&mut bytes))
            .map_err(|why| self.unreadable(shown, &why))?;
        self.count(bytes.len() as u64);
        if bytes.len() > cap {
            return Err(Error::Malformed(format!("{} has more than the {cap} bytes allowed here", self.shown(shown))));
        }
        Ok(bytes)
    }

    /// Adds to the count of bytes read.
    pub(super) fn count(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn shown(&self, shown: &str) -> String {
        if shown.is_empty() { self.name() } else { format!("{shown} in {}", self.name()) }
    }

    pub(super) fn unreadable(&self, shown: &str, why: &std::io::Error) -> Error {
        let shown = self.shown(shown);
        match why.kind() {
            ErrorKind::NotFound => Error::NotFound(format!("{shown} does not exist; check the path")),
            ErrorKind::PermissionDenied => {
                Error::Forbidden(format!("this service may not read {shown}; change its permissions"))
            }
            _ => Error::Unreachable(format!("{shown} cannot be read: {why}")),
        }
    }
}

/// Digests by repository and tag, and the images that have neither.
#[derive(Debug, Default)]
pub(super) struct DiskReferences {
    tags: BTreeMap<String, BTreeMap<String, String>>,
    left_out: Vec<LeftOut>,
}

impl DiskReferences {
    /// From an `index.json`. `own_name` is the repository of images that are named by a tag only.
    pub(super) fn of_index(index: &[u8], own_name: &str, place: &DiskLocation) -> Result<Self> {
        let index: OciManifest = serde_json::from_slice(index).map_err(|why| {
            let why = printable(&why.to_string());
            Error::Malformed(format!("index.json in {} cannot be read: {why}", place.name()))
        })?;
        let mut refs = Self::default();
        for descriptor in index.manifests.unwrap_or_default() {
            match name_of(&descriptor) {
                Some(name) => refs.add(name, own_name, &descriptor.digest),
                // Attachments of an image (such as signatures) have no name by design.
                None if descriptor.artifact_type.as_ref().is_some_and(|kind| !kind.is_empty()) => {
                    refs.leave_out(&descriptor.digest, TagOutcome::Artifact);
                }
                None => refs.leave_out(&descriptor.digest, TagOutcome::Nameless),
            }
        }
        Ok(refs)
    }

    /// Adds an image if its name and digest are valid. The first image of a name wins.
    pub(super) fn add(&mut self, name: &str, own_name: &str, digest: &str) {
        let (repository, tag) = split_name(name, own_name);
        if !is_repository(repository) || !is_tag(tag) || !is_digest(digest) {
            return self.leave_out(name, TagOutcome::Misnamed);
        }
        let known = self.tags.entry(repository.to_owned()).or_default().entry(tag.to_owned());
        if known.or_insert_with(|| digest.to_owned()) != digest {
            self.leave_out(name, TagOutcome::Repeated);
        }
    }

    /// Records an image that is skipped.
    pub(super) fn leave_out(&mut self, name: &str, why: TagOutcome) {
        self.left_out.push(LeftOut { name: printable(name), why });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tags.is_empty()
    }

    pub(super) fn repositories(&self) -> SourceListing<String> {
        let (items, left_out) = (self.tags.keys().cloned().collect(), self.left_out.clone());
        SourceListing { items, truncated: None, left_out }
    }

    pub(super) fn tags(&self, repository: &str) -> RawListing<ListedTag> {
        let tag = |(name, digest): (&String, &String)| ListedTag::new(name.clone(), Some(digest.clone()));
        RawListing { items: self.tags.get(repository).into_iter().flatten().map(tag).collect(), truncated: None }
    }

    /// The digest of a tag; a digest maps to itself if an image has it.
    pub(super) fn digest(&self, repository: &str, tag: &str) -> Option<String> {
        let tags = self.tags.get(repository)?;
        if is_digest(tag) {
            return tags.values().find(|digest| *digest == tag).cloned();
        }
        tags.get(tag).cloned()
    }
}

fn name_of(descriptor: &ContentDescriptor) -> Option<&str> {
    [IMAGE_NAME, REF_NAME].into_iter().find_map(|key| descriptor.annotations.get(key)).map(String::as_str)
}

/// Splits `[host/]repository:tag`, or a bare tag, whose repository is the layout's own name. The first part of a name
/// is a host by Docker's rule: it has a dot or a colon, or is `localhost`.
fn split_name<'a>(name: &'a str, own_name: &'a str) -> (&'a str, &'a str) {
    let path = match name.split_once('/') {
        Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => rest,
        _ => name,
    };
    let path = path.split('@').next().unwrap_or_default();
    match path.rsplit_once(':') {
        Some((repository, tag)) => (repository, tag),
        None if name.contains(['/', '@']) => (path, "latest"),
        None => (own_name, path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (name, repository, tag) in [
            ("1.0.0", "demo", "1.0.0"),
            ("a-seed:1", "a-seed", "1"),
            ("geo/a-seed:1", "geo/a-seed", "1"),
            ("docker.io/library/a:1", "library/a", "1"),
            ("localhost/a:1", "a", "1"),
            ("localhost:5000/geo/a:1", "geo/a", "1"),
            ("reg.example.org/a", "a", "latest"),
            ("geo/a", "geo/a", "latest"),
            ("geo/a:1@sha256:00", "geo/a", "1"),
        ] {
            assert_eq!(split_name(name, "demo"), (repository, tag), "{name}");
        }
    }
}
