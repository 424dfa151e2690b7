//! OCI image layouts on disk: OCI image specification, "Image Layout".
//!
//! An admin of the service may not be an admin of the machine: a layout must lie in a configured folder, and no link
//! leads out of it. Files are read by blocking threads.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use super::address::layout_folder;
use super::content::Blob;
use super::grammar::{is_attachment, is_digest, is_repository, is_tag, printable};
use super::wire::{Descriptor, LayoutMark, Manifest};
use super::{Error, Listing, Result, Tag, Traffic};

/// Longest `oci-layout` file, bytes.
const MARK: usize = 4 << 10;
/// Longest `index.json`, bytes.
const INDEX: usize = 32 << 20;
/// The full name of an image, as containerd exports it.
const IMAGE_NAME: &str = "io.containerd.image.name";
/// A tag, or a name and a tag: the specification leaves it open.
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// One layout.
pub(super) struct Layout(Arc<Place>);

struct Place {
    /// As the admin gave it.
    folder: PathBuf,
    roots: Vec<PathBuf>,
    bytes: AtomicU64,
}

/// Tags and their digests of each repository.
type Refs = BTreeMap<String, BTreeMap<String, String>>;

impl Layout {
    pub(super) fn open(url: &str, roots: &[PathBuf]) -> Result<Self> {
        let place = Place { folder: layout_folder(url)?, roots: roots.to_vec(), bytes: AtomicU64::new(0) };
        Ok(Self(Arc::new(place)))
    }

    /// For messages.
    pub(super) fn name(&self) -> String {
        self.0.name()
    }

    pub(super) fn traffic(&self) -> Traffic {
        Traffic { requests: 0, bytes: self.0.bytes.load(Ordering::Relaxed) }
    }

    pub(super) async fn ping(&self) -> Result<()> {
        self.blocking(Place::refs).await.map(drop)
    }

    pub(super) async fn repositories(&self) -> Result<Listing<String>> {
        let refs = self.blocking(Place::refs).await?;
        Ok(Listing { items: refs.into_keys().collect(), truncated: None })
    }

    pub(super) async fn tags(&self, repository: &str) -> Result<Listing<Tag>> {
        let tags = self.blocking(Place::refs).await?.remove(repository).unwrap_or_default();
        let items = tags.into_iter().map(|(name, digest)| Tag { name, digest: Some(digest), content: None }).collect();
        Ok(Listing { items, truncated: None })
    }

    pub(super) async fn digest(&self, repository: &str, tag: &str) -> Result<Option<String>> {
        let mut tags = self.blocking(Place::refs).await?.remove(repository).unwrap_or_default();
        if is_digest(tag) {
            return Ok(tags.into_values().find(|digest| digest == tag));
        }
        Ok(tags.remove(tag))
    }

    /// The bytes of a digest, not yet checked against it.
    pub(super) async fn blob(&self, blob: Blob, digest: &str) -> Result<Bytes> {
        let Some((algorithm, hex)) = digest.split_once(':').filter(|_| is_digest(digest)) else {
            return Err(Error::Malformed(format!("{} names something that is no digest", self.name())));
        };
        let path = Path::new("blobs").join(algorithm).join(hex);
        self.blocking(move |place| place.read(&place.checked()?, &path, blob.cap())).await.map(Bytes::from)
    }

    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce(&Place) -> Result<T> + Send + 'static) -> Result<T> {
        let place = Arc::clone(&self.0);
        let name = self.name();
        tokio::task::spawn_blocking(move || work(&place))
            .await
            .unwrap_or_else(|_| Err(Error::Unreachable(format!("reading {name} was interrupted; try again"))))
    }
}

impl Place {
    fn name(&self) -> String {
        printable(&self.folder.display().to_string())
    }

    /// The folder without links, if it lies in one of the roots. Outside of them it is not told whether it exists.
    fn checked(&self) -> Result<PathBuf> {
        let refused = || {
            Error::Refused(format!(
                "{} is not in a folder that layouts are read from; move it there, or add its folder to `scan.layout_roots` in the configuration",
                self.name()
            ))
        };
        match self.folder.canonicalize() {
            Ok(real) => {
                let inside = |root: &PathBuf| root.canonicalize().is_ok_and(|root| real.starts_with(root));
                if self.roots.iter().any(inside) { Ok(real) } else { Err(refused()) }
            }
            Err(why) if self.roots.iter().any(|root| self.folder.starts_with(root)) => Err(self.unreadable("", &why)),
            Err(_) => Err(refused()),
        }
    }

    /// Reads a file of the layout, `path` below its real folder.
    fn read(&self, folder: &Path, path: &Path, cap: usize) -> Result<Vec<u8>> {
        let shown = path.display().to_string();
        let real = folder.join(path).canonicalize().map_err(|why| self.unreadable(&shown, &why))?;
        if !real.starts_with(folder) {
            return Err(Error::Refused(format!("{shown} in {} is a link that leads out of it", self.name())));
        }
        // A pipe or a device would be waited for without end.
        if !real.is_file() {
            return Err(Error::Malformed(format!("{shown} in {} is not a file", self.name())));
        }
        let mut bytes = Vec::new();
        File::open(&real)
            .and_then(|file| file.take(cap as u64 + 1).read_to_end(&mut bytes))
            .map_err(|why| self.unreadable(&shown, &why))?;
        self.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        if bytes.len() > cap {
            return Err(Error::Malformed(format!(
                "{shown} in {} has more than the {cap} bytes allowed here",
                self.name()
            )));
        }
        Ok(bytes)
    }

    fn refs(&self) -> Result<Refs> {
        let folder = self.checked()?;
        let no_layout = |what: &str| Error::NotARegistry(format!("{} is no OCI image layout: {what}", self.name()));
        let mark = match self.read(&folder, Path::new("oci-layout"), MARK) {
            Err(Error::NotFound(_)) => return Err(no_layout("it has no file `oci-layout`")),
            read => read?,
        };
        let mark: Option<LayoutMark> = serde_json::from_slice(&mark).ok();
        if !mark.is_some_and(|mark| mark.image_layout_version.starts_with("1.")) {
            return Err(no_layout("its file `oci-layout` does not say version 1"));
        }
        let index = match self.read(&folder, Path::new("index.json"), INDEX) {
            Err(Error::NotFound(_)) => return Err(no_layout("it has no file `index.json`")),
            read => read?,
        };
        let index: Manifest = serde_json::from_slice(&index).map_err(|why| {
            let why = printable(&why.to_string());
            Error::Malformed(format!("index.json in {} cannot be read: {why}", self.name()))
        })?;
        let own_name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let mut refs = Refs::new();
        for descriptor in index.manifests.unwrap_or_default() {
            let Some((repository, tag)) = reference(&descriptor, &own_name) else { continue };
            if is_digest(&descriptor.digest) {
                refs.entry(repository).or_default().entry(tag).or_insert(descriptor.digest);
            }
        }
        Ok(refs)
    }

    fn unreadable(&self, path: &str, why: &std::io::Error) -> Error {
        let shown = if path.is_empty() { self.name() } else { format!("{path} in {}", self.name()) };
        match why.kind() {
            ErrorKind::NotFound => Error::NotFound(format!("{shown} does not exist; check the path")),
            ErrorKind::PermissionDenied => {
                Error::Forbidden(format!("{shown} may not be read by this service; change its permissions"))
            }
            _ => Error::Unreachable(format!("{shown} cannot be read: {why}")),
        }
    }
}

/// Repository and tag of a descriptor. `None`: it has no name, or one that no registry would take.
fn reference(descriptor: &Descriptor, own_name: &str) -> Option<(String, String)> {
    let name = [IMAGE_NAME, REF_NAME].into_iter().find_map(|key| descriptor.annotations.get(key))?;
    let (repository, tag) = split_name(name, own_name);
    let taken = is_repository(repository) && is_tag(tag) && !is_attachment(tag);
    taken.then(|| (repository.to_owned(), tag.to_owned()))
}

/// Takes `[host/]repository:tag` apart, or a bare tag, whose repository is the layout's own name. The first part of a
/// name is a host as Docker sees it: it has a dot or a colon, or is `localhost`.
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
