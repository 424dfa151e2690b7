//! Archives as `docker save` and similar tools write them: a tar file with `manifest.json`, or with an OCI image
//! layout.
//!
//! Read in place: nothing is unpacked, no link is followed, and entry names are never used as paths. If there is a
//! layout, its manifests count. An image that only `manifest.json` names has no manifest; the digest of its config
//! (Docker's image ID) stands in for the manifest digest.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::OnceCell;

use super::layout::INDEX;
use super::{DiskLocation, DiskReferences, FileSpan};
use crate::catalog::TagOutcome;
use crate::registry::blob::BlobKind;
use crate::registry::grammar::{digest_of, is_digest, printable};
use crate::registry::{Error, ListedTag, RawListing, RegistryTraffic, Result, SourceListing};

/// Most entries of an archive.
const ENTRIES: usize = 100_000;
/// Most bytes of tar headers and long names that are read to find all entries.
const HEADS: u64 = 64 << 20;
/// Longest entry name that is kept; the names that are looked up are shorter.
const NAME: usize = 256;
/// Most bytes of configs that are read to compute their digests.
const CONFIGS: usize = 256 << 20;
/// Magic numbers of compressed files: gzip, zstd.
const COMPRESSED: [&[u8]; 2] = [&[0x1f, 0x8b], &[0x28, 0xb5, 0x2f, 0xfd]];

/// One archive. Its entries are indexed once.
pub(in crate::registry) struct ImageArchive {
    place: Arc<DiskLocation>,
    contents: OnceCell<Arc<ArchiveContents>>,
}

/// Index of an archive.
struct ArchiveContents {
    refs: DiskReferences,
    /// Regular files by name.
    entries: HashMap<String, FileSpan>,
    /// Configs of images without a manifest, by digest.
    configs: HashMap<String, FileSpan>,
}

/// An entry of `manifest.json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerSaveEntry {
    /// Entry name of the config.
    config: String,
    repo_tags: Option<Vec<String>>,
}

impl ImageArchive {
    pub(in crate::registry) fn open(url: &str, roots: &[PathBuf]) -> Result<Self> {
        Ok(Self { place: DiskLocation::new(url, roots)?, contents: OnceCell::new() })
    }

    /// The path, for messages.
    pub(in crate::registry) fn name(&self) -> String {
        self.place.name()
    }

    pub(in crate::registry) fn traffic(&self) -> RegistryTraffic {
        self.place.traffic()
    }

    pub(in crate::registry) async fn ping(&self) -> Result<()> {
        self.contents().await.map(drop)
    }

    pub(in crate::registry) async fn repositories(&self) -> Result<SourceListing<String>> {
        Ok(self.contents().await?.refs.repositories())
    }

    pub(in crate::registry) async fn tags(&self, repository: &str) -> Result<RawListing<ListedTag>> {
        Ok(self.contents().await?.refs.tags(repository))
    }

    pub(in crate::registry) async fn digest(&self, repository: &str, tag: &str) -> Result<Option<String>> {
        Ok(self.contents().await?.refs.digest(repository, tag))
    }

    /// Whether a digest names an image's config instead of a manifest.
    pub(in crate::registry) async fn is_config(&self, digest: &str) -> Result<bool> {
        Ok(self.contents().await?.configs.contains_key(digest))
    }

    /// The bytes of a digest, not yet verified against it.
    pub(in crate::registry) async fn blob(&self, blob: BlobKind, digest: &str) -> Result<Bytes> {
        let contents = self.contents().await?;
        let as_blob = || contents.entries.get(&format!("blobs/{}", digest.replacen(':', "/", 1)));
        let span = contents.configs.get(digest).or_else(as_blob).copied().filter(|_| is_digest(digest));
        let Some(span) = span else {
            let shown = printable(digest);
            return Err(Error::NotFound(format!("{shown} is not in {}; save the image again", self.name())));
        };
        let shown = digest.to_owned();
        self.place
            .blocking(move |place| place.read(place.open(&place.checked()?, "")?, span, blob.cap(), &shown))
            .await
            .map(Bytes::from)
    }

    async fn contents(&self) -> Result<Arc<ArchiveContents>> {
        let read = || async { self.place.blocking(|place| ArchiveContents::read(place).map(Arc::new)).await };
        self.contents.get_or_try_init(read).await.cloned()
    }
}

impl ArchiveContents {
    fn read(place: &DiskLocation) -> Result<Self> {
        let real = place.checked()?;
        let own_name = real.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let open = || place.open(&real, "");
        let entries = entries(place, open()?)?;
        let read = |span, cap, shown: &str| place.read(open()?, span, cap, shown);
        let index = entries.get("index.json").filter(|_| entries.contains_key("oci-layout"));
        let refs = match index {
            Some(span) => DiskReferences::of_index(&read(*span, INDEX, "index.json")?, &own_name, place)?,
            None => DiskReferences::default(),
        };
        match entries.get("manifest.json") {
            Some(span) if refs.is_empty() => {
                let saved: Vec<DockerSaveEntry> = json(place, &read(*span, INDEX, "manifest.json")?, "manifest.json")?;
                let (refs, configs) = images(place, &saved, &own_name, &entries, read)?;
                Ok(Self { refs, entries, configs })
            }
            None if index.is_none() => Err(Error::NotARegistry(format!(
                "{} holds no images: it has neither manifest.json nor an OCI image layout; write it with `docker save`",
                place.name()
            ))),
            _ => Ok(Self { refs, entries, configs: HashMap::new() }),
        }
    }
}

/// The images of `manifest.json`: their names, and where their configs are.
fn images(
    place: &DiskLocation,
    saved: &[DockerSaveEntry],
    own_name: &str,
    entries: &HashMap<String, FileSpan>,
    read: impl Fn(FileSpan, usize, &str) -> Result<Vec<u8>>,
) -> Result<(DiskReferences, HashMap<String, FileSpan>)> {
    let (mut refs, mut configs) = (DiskReferences::default(), HashMap::new());
    let mut digests: HashMap<&str, String> = HashMap::new();
    let mut left = CONFIGS;
    for DockerSaveEntry { config, repo_tags } in saved {
        let names = repo_tags.as_deref().unwrap_or_default();
        if names.is_empty() {
            refs.leave_out(config, TagOutcome::Nameless);
            continue;
        }
        if !digests.contains_key(config.as_str()) {
            let shown = printable(config);
            let Some(span) = entries.get(plain(config)) else {
                return Err(Error::Malformed(format!(
                    "{} names the config {shown}, which is missing; save the images again",
                    place.name()
                )));
            };
            let bytes = read(*span, BlobKind::Config.cap().min(left), &shown)?;
            left -= bytes.len();
            let digest = digest_of(&bytes);
            configs.insert(digest.clone(), *span);
            digests.insert(config, digest);
        }
        for name in names {
            refs.add(name, own_name, &digests[config.as_str()]);
        }
    }
    Ok((refs, configs))
}

/// Byte ranges of the regular files of an archive. Of entries with the same name the last one counts, as in unpacking.
fn entries(place: &DiskLocation, mut file: File) -> Result<HashMap<String, FileSpan>> {
    let broken = |why: &dyn std::fmt::Display| {
        let why = printable(&why.to_string());
        Error::Malformed(format!("{} cannot be read as a tar archive: {why}; save the images again", place.name()))
    };
    let size = file.metadata().map_err(|why| place.unreadable("", &why))?.len();
    refuse_compressed(place, &mut file)?;
    let mut found = HashMap::new();
    let mut archive = tar::Archive::new(MeteredFile { file, place, left: HEADS });
    for (count, entry) in archive.entries_with_seek().map_err(|why| broken(&why))?.enumerate() {
        let entry = entry.map_err(|why| broken(&why))?;
        if count >= ENTRIES {
            return Err(broken(&format!("it has more than the {ENTRIES} entries allowed here")));
        }
        let span = FileSpan { from: entry.raw_file_position(), size: entry.size() };
        if span.from.checked_add(span.size).is_none_or(|end| end > size) {
            return Err(broken(&"it is truncated"));
        }
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if entry.header().entry_type().is_file() && name.len() <= NAME {
            found.insert(plain(&name).to_owned(), span);
        }
    }
    Ok(found)
}

fn refuse_compressed(place: &DiskLocation, file: &mut File) -> Result<()> {
    let mut start = Vec::new();
    file.take(4).read_to_end(&mut start).and_then(|_| file.rewind()).map_err(|why| place.unreadable("", &why))?;
    if COMPRESSED.iter().any(|mark| start.starts_with(mark)) {
        return Err(Error::NotARegistry(format!(
            "{} is compressed; unpack it to a plain .tar first (gunzip, zstd -d)",
            place.name()
        )));
    }
    Ok(())
}

/// The name without a leading `./`, which some tools write.
fn plain(name: &str) -> &str {
    name.strip_prefix("./").unwrap_or(name)
}

fn json<T: DeserializeOwned>(place: &DiskLocation, bytes: &[u8], shown: &str) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|why| {
        let why = printable(&why.to_string());
        Error::Malformed(format!("{shown} in {} cannot be read: {why}", place.name()))
    })
}

/// A file with a cap on the bytes read; skipped bytes do not count.
struct MeteredFile<'a> {
    file: File,
    place: &'a DiskLocation,
    left: u64,
}

impl Read for MeteredFile<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Err(io::Error::other("its names take more bytes than allowed here"));
        }
        let most = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let read = self.file.read(&mut buffer[..most])?;
        self.left -= read as u64;
        self.place.count(read as u64);
        Ok(read)
    }
}

impl Seek for MeteredFile<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(bytes: &[u8]) -> Result<ArchiveContents> {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("a.tar");
        std::fs::write(&file, bytes).unwrap();
        ArchiveContents::read(&DiskLocation::new(file.to_str().unwrap(), &[root.path().to_owned()]).unwrap())
    }

    /// An archive with one image `a:1`.
    fn archive() -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        let manifest = br#"[{"Config":"c.json","RepoTags":["a:1"]}]"#;
        for (name, bytes) in [("c.json", &b"{}"[..]), ("manifest.json", manifest)] {
            let mut head = tar::Header::new_ustar();
            head.set_size(bytes.len() as u64);
            tar.append_data(&mut head, name, bytes).unwrap();
        }
        tar.into_inner().unwrap()
    }

    #[test]
    fn an_image_without_manifest_goes_by_its_config() {
        let contents = read(&archive()).unwrap();
        assert_eq!(contents.refs.digest("a", "1"), Some(digest_of(b"{}")));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn damaged_archives_end_in_words(changes in proptest::collection::vec((0..2048usize, any::<u8>()), 1..6), cut in 0..4096usize) {
            let mut bytes = archive();
            for (at, byte) in changes {
                bytes[at] = byte;
            }
            bytes.truncate(cut);
            if let Err(why) = read(&bytes) {
                prop_assert!(why.to_string().contains("a.tar"), "{why}");
            }
        }
    }
}
