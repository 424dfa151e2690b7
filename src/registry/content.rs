//! From a manifest digest to the image configs behind it, the same for registries, layouts and archives.

use std::collections::{BTreeMap, HashSet};

use bytes::Bytes;

use super::archive::Archive;
use super::distribution::Distribution;
use super::grammar::{is_digest, matches_digest, printable};
use super::layout::Layout;
use super::wire::{self, Config, Descriptor, Manifest};
use super::{Error, Fetched, ImageConfig, Result};

/// Children of an index that are looked at.
const CHILDREN: usize = 16;
/// Marks a descriptor as an attestation of a neighbour, as BuildKit writes it.
const REFERENCE_TYPE: &str = "vnd.docker.reference.type";

/// Where blobs come from.
#[derive(Clone, Copy)]
pub(super) enum Origin<'a> {
    /// A repository of a registry.
    Distribution(&'a Distribution, &'a str),
    Layout(&'a Layout),
    Archive(&'a Archive),
}

/// The two kinds of blobs that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blob {
    Manifest,
    Config,
}

impl Blob {
    /// Longest that is read, bytes.
    pub(super) fn cap(self) -> usize {
        match self {
            Blob::Manifest => 4 << 20,
            Blob::Config => 8 << 20,
        }
    }
}

impl Origin<'_> {
    /// The bytes of a digest: those, and no others.
    async fn get(&self, blob: Blob, digest: &str) -> Result<Bytes> {
        if !is_digest(digest) {
            return Err(self.broken(digest, "is named by something that is no digest"));
        }
        let bytes = match self {
            Origin::Distribution(registry, repository) => registry.blob(repository, blob, digest).await?,
            Origin::Layout(layout) => layout.blob(blob, digest).await?,
            Origin::Archive(archive) => archive.blob(blob, digest).await?,
        };
        if !matches_digest(digest, &bytes) {
            return Err(self.broken(digest, "holds other bytes than its digest says"));
        }
        Ok(bytes)
    }

    /// The manifest of a digest; out of `held` where those are its bytes.
    async fn manifest(&self, digest: &str, held: Option<Bytes>) -> Result<Manifest> {
        let bytes = match held.filter(|bytes| matches_digest(digest, bytes)) {
            Some(bytes) => bytes,
            None => self.get(Blob::Manifest, digest).await?,
        };
        serde_json::from_slice(&bytes)
            .map_err(|why| self.broken(digest, &format!("is no manifest: {}", printable(&why.to_string()))))
    }

    async fn config(&self, image: ImageManifest) -> Result<ImageConfig> {
        let bytes = self.get(Blob::Config, &image.config).await?;
        let config: Config = serde_json::from_slice(&bytes)
            .map_err(|why| self.broken(&image.config, &format!("is no config: {}", printable(&why.to_string()))))?;
        let platform = config.platform.text();
        let mut labels = config.labels();
        for (key, value) in image.annotations {
            labels.entry(key).or_insert(value);
        }
        Ok(ImageConfig { digest: image.config, platform, labels })
    }

    fn broken(&self, digest: &str, what: &str) -> Error {
        let place = match self {
            Origin::Distribution(registry, repository) => format!("{}/{repository}", registry.host()),
            Origin::Layout(layout) => layout.name(),
            Origin::Archive(archive) => archive.name(),
        };
        Error::Malformed(format!("{} in {place} {what}; push the image again", printable(digest)))
    }
}

/// What a manifest turned out to be.
enum Class {
    Image(ImageManifest),
    /// Its media type, and what it points to.
    Index(String, Vec<Descriptor>),
    Other(String),
}

struct ImageManifest {
    /// Digest of its config.
    config: String,
    annotations: BTreeMap<String, String>,
}

/// What a manifest digest holds. `held`: its bytes, if somebody has them already.
pub(super) async fn read(origin: Origin<'_>, digest: &str, held: Option<Bytes>) -> Result<Fetched> {
    if let Origin::Archive(archive) = origin
        && archive.is_config(digest).await?
    {
        let image = ImageManifest { config: digest.to_owned(), annotations: BTreeMap::new() };
        return Ok(Fetched::Image(vec![origin.config(image).await?]));
    }
    match classify(origin.manifest(digest, held).await?) {
        Ok(Class::Image(image)) => Ok(Fetched::Image(vec![origin.config(image).await?])),
        Ok(Class::Index(media_type, children)) => read_children(origin, media_type, children).await,
        Ok(Class::Other(kind)) => Ok(Fetched::Other(kind)),
        Err(what) => Err(origin.broken(digest, what)),
    }
}

/// Reads the images of an index, each distinct config once. A child that is missing is passed over while others are
/// there: copies of single platforms leave the index whole. An index in an index is not followed.
async fn read_children(origin: Origin<'_>, media_type: String, children: Vec<Descriptor>) -> Result<Fetched> {
    let mut seen = HashSet::new();
    let children = children.into_iter().filter(is_image).filter(|child| seen.insert(child.digest.clone()));
    let (mut configs, mut known, mut missing): (Vec<ImageConfig>, HashSet<String>, _) =
        (Vec::new(), HashSet::new(), None);
    for child in children.take(CHILDREN) {
        let manifest = match origin.manifest(&child.digest, None).await {
            Ok(manifest) => manifest,
            Err(why @ Error::NotFound(_)) => {
                missing = Some(why);
                continue;
            }
            Err(why) => return Err(why),
        };
        let image = match classify(manifest) {
            Ok(Class::Image(image)) => image,
            Ok(_) => continue,
            Err(what) => return Err(origin.broken(&child.digest, what)),
        };
        if !known.insert(image.config.clone()) {
            continue;
        }
        let mut config = origin.config(image).await?;
        if let Some(platform) = child.platform.map(|platform| platform.text()).filter(|text| !text.is_empty()) {
            config.platform = platform;
        }
        configs.push(config);
    }
    match missing {
        Some(why) if configs.is_empty() => Err(why),
        _ if configs.is_empty() => Ok(Fetched::Other(media_type)),
        _ => Ok(Fetched::Image(configs)),
    }
}

/// Whether a child of an index can be an image, by what the index says about it.
fn is_image(child: &Descriptor) -> bool {
    let nowhere = child.platform.as_ref().is_some_and(|p| p.os == "unknown" && p.architecture == "unknown");
    let artifact = child.artifact_type.as_ref().is_some_and(|kind| !kind.is_empty());
    let nested = matches!(child.media_type.as_str(), wire::OCI_INDEX | wire::DOCKER_LIST);
    !nowhere && !artifact && !nested && !child.annotations.contains_key(REFERENCE_TYPE)
}

/// Tells what a manifest is by its fields, since its media type may be missing; one that claims to be two things at
/// once would be read differently by different readers, and is refused.
fn classify(manifest: Manifest) -> std::result::Result<Class, &'static str> {
    let written = manifest.media_type.filter(|kind| !kind.is_empty());
    if let Some(artifact) = manifest.artifact_type.filter(|kind| !kind.is_empty()) {
        return Ok(Class::Other(artifact));
    }
    match (manifest.config, manifest.manifests, written.as_deref()) {
        (Some(_), Some(_), _) => Err("claims to be both an image and an index"),
        (None, Some(_), Some(wire::OCI_MANIFEST | wire::DOCKER_MANIFEST))
        | (Some(_), None, Some(wire::OCI_INDEX | wire::DOCKER_LIST)) => Err("is not what its media type says"),
        (None, Some(children), _) => Ok(Class::Index(written.unwrap_or_else(|| wire::OCI_INDEX.to_owned()), children)),
        (Some(config), None, _) if wire::is_image_config(&config.media_type) => {
            Ok(Class::Image(ImageManifest { config: config.digest, annotations: manifest.annotations }))
        }
        (Some(config), None, _) => Ok(Class::Other(config.media_type)),
        (None, None, Some(kind)) => Ok(Class::Other(kind.to_owned())),
        (None, None, None) if manifest.schema_version == 1 => Ok(Class::Other(wire::DOCKER_SCHEMA_1.to_owned())),
        (None, None, None) => Err("is neither an image nor an index"),
    }
}
