//! OCI image layouts on disk: OCI image specification, "Image Layout".

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::{DiskLocation, DiskReferences, FileSpan};
use crate::registry::blob::BlobKind;
use crate::registry::grammar::is_digest;
use crate::registry::wire::OciLayoutFile;
use crate::registry::{Error, ListedTag, RawListing, RegistryTraffic, Result, SourceListing};

/// Size cap of the `oci-layout` file, bytes.
const MARK: usize = 4 << 10;
/// Size cap of `index.json`, bytes.
pub(in crate::registry) const INDEX: usize = 32 << 20;

/// One layout.
pub(in crate::registry) struct ImageLayout(Arc<DiskLocation>);

impl ImageLayout {
    pub(in crate::registry) fn open(url: &str, roots: &[PathBuf]) -> Result<Self> {
        Ok(Self(DiskLocation::new(url, roots)?))
    }

    /// The path, for messages.
    pub(in crate::registry) fn name(&self) -> String {
        self.0.name()
    }

    pub(in crate::registry) fn traffic(&self) -> RegistryTraffic {
        self.0.traffic()
    }

    pub(in crate::registry) async fn ping(&self) -> Result<()> {
        self.0.blocking(refs).await.map(drop)
    }

    pub(in crate::registry) async fn repositories(&self) -> Result<SourceListing<String>> {
        Ok(self.0.blocking(refs).await?.repositories())
    }

    pub(in crate::registry) async fn tags(&self, repository: &str) -> Result<RawListing<ListedTag>> {
        Ok(self.0.blocking(refs).await?.tags(repository))
    }

    pub(in crate::registry) async fn digest(&self, repository: &str, tag: &str) -> Result<Option<String>> {
        Ok(self.0.blocking(refs).await?.digest(repository, tag))
    }

    /// The bytes of a digest, not yet verified against it.
    pub(in crate::registry) async fn blob(&self, blob: BlobKind, digest: &str) -> Result<Bytes> {
        let Some((algorithm, hex)) = digest.split_once(':').filter(|_| is_digest(digest)) else {
            return Err(Error::Malformed(format!("{} contains an entry that is not a digest", self.name())));
        };
        let path = Path::new("blobs").join(algorithm).join(hex);
        self.0.blocking(move |place| read(place, &place.checked()?, &path, blob.cap())).await.map(Bytes::from)
    }
}

/// Reads a file of the layout. `path` is relative to `folder`, which is a real path.
fn read(place: &DiskLocation, folder: &Path, path: &Path, cap: usize) -> Result<Vec<u8>> {
    let shown = path.display().to_string();
    let real = folder.join(path).canonicalize().map_err(|why| place.unreadable(&shown, &why))?;
    if !real.starts_with(folder) {
        return Err(Error::Refused(format!("{shown} in {} is a link that leads out of it", place.name())));
    }
    place.read(place.open(&real, &shown)?, FileSpan { from: 0, size: u64::MAX }, cap, &shown)
}

fn refs(place: &DiskLocation) -> Result<DiskReferences> {
    let folder = place.checked()?;
    let no_layout = |what: &str| Error::NotARegistry(format!("{} is not an OCI image layout: {what}", place.name()));
    let mark = match read(place, &folder, Path::new("oci-layout"), MARK) {
        Err(Error::NotFound(_)) => return Err(no_layout("it has no file `oci-layout`")),
        read => read?,
    };
    let mark: Option<OciLayoutFile> = serde_json::from_slice(&mark).ok();
    if !mark.is_some_and(|mark| mark.image_layout_version.starts_with("1.")) {
        return Err(no_layout("its file `oci-layout` does not have version 1"));
    }
    let index = match read(place, &folder, Path::new("index.json"), INDEX) {
        Err(Error::NotFound(_)) => return Err(no_layout("it has no file `index.json`")),
        read => read?,
    };
    let own_name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    DiskReferences::of_index(&index, &own_name, place)
}
