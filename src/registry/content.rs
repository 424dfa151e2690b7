//! From a manifest digest to the image configs behind it, the same for registries, layouts and archives.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

use super::archive::Archive;
use super::distribution::Distribution;
use super::grammar::{is_digest, matches_digest, printable};
use super::layout::Layout;
use super::wire::{self, Config, Descriptor, Layer, Manifest};
use super::{ConfigRef, DEEP_INDEX, Error, ImageConfig, Inside, Result};

/// Most manifests of an index that are read, those of nested indexes included.
const CHILDREN: usize = 32;
/// Deepest nesting of indexes that is followed: build tools write an index per platform, with its attestation.
const DEEPEST_INDEX: usize = 3;
/// Annotation by which BuildKit marks a descriptor as the attestation of another manifest in the index.
const REFERENCE_TYPE: &str = "vnd.docker.reference.type";

/// Where blobs are read from.
pub(super) enum Origin<'a> {
    /// A repository of a registry.
    Distribution(Arc<Distribution>, &'a str),
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
    /// Size cap, bytes.
    pub(super) fn cap(self) -> usize {
        match self {
            Blob::Manifest => 4 << 20,
            Blob::Config => 8 << 20,
        }
    }
}

impl Origin<'_> {
    /// The bytes of a digest, verified against it.
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

    /// The manifest of a digest; parsed from `held` if those bytes match the digest.
    async fn manifest(&self, digest: &str, held: Option<Bytes>) -> Result<Manifest> {
        let bytes = match held.filter(|bytes| matches_digest(digest, bytes)) {
            Some(bytes) => bytes,
            None => self.get(Blob::Manifest, digest).await?,
        };
        serde_json::from_slice(&bytes)
            .map_err(|why| self.broken(digest, &format!("is no manifest: {}", printable(&why.to_string()))))
    }

    /// A config, without what its manifest adds.
    pub(super) async fn config(&self, digest: &str) -> Result<ImageConfig> {
        let bytes = self.get(Blob::Config, digest).await?;
        let config: Config = serde_json::from_slice(&bytes)
            .map_err(|why| self.broken(digest, &format!("is no config: {}", printable(&why.to_string()))))?;
        Ok(config.into_image(digest.to_owned()))
    }

    /// Whether a blob is the config of a container image, regardless of its media type.
    async fn is_image_config(&self, config: &ConfigRef) -> Result<bool> {
        let bytes = self.get(Blob::Config, &config.digest).await?;
        Ok(serde_json::from_slice::<Config>(&bytes).is_ok_and(|config| config.is_of_an_image()))
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

/// Class of a manifest.
enum Class {
    Image(ConfigRef),
    /// An image if its config is an image config: the media type (second field) does not tell.
    Unclear(ConfigRef, String),
    /// Media type, and the descriptors in it.
    Index(String, Vec<Descriptor>),
    Other(String),
}

/// What a manifest digest leads to. `held`: its bytes, if the caller has them.
pub(super) async fn inside(origin: &Origin<'_>, digest: &str, held: Option<Bytes>) -> Result<Inside> {
    if let Origin::Archive(archive) = origin
        && archive.is_config(digest).await?
    {
        return Ok(Inside::Image(vec![ConfigRef { digest: digest.to_owned(), ..ConfigRef::default() }]));
    }
    match classify(origin.manifest(digest, held).await?) {
        Ok(Class::Index(media_type, children)) => children_of(origin, media_type, children).await,
        Ok(Class::Image(config)) => Ok(Inside::Image(vec![config])),
        Ok(Class::Unclear(config, media_type)) => Ok(match origin.is_image_config(&config).await? {
            true => Inside::Image(vec![config]),
            false => Inside::Other(media_type),
        }),
        Ok(Class::Other(kind)) => Ok(Inside::Other(kind)),
        Err(what) => Err(origin.broken(digest, what)),
    }
}

/// The images of an index and of its nested indexes, each distinct config once, in index order. A missing child is
/// skipped while others exist: copying single platforms leaves the index unchanged.
async fn children_of(origin: &Origin<'_>, media_type: String, children: Vec<Descriptor>) -> Result<Inside> {
    let mut waiting: VecDeque<(Descriptor, usize)> = children.into_iter().map(|child| (child, 1)).collect();
    let (mut seen, mut known, mut configs) = (HashSet::new(), HashSet::new(), Vec::new());
    let (mut missing, mut is_too_deep) = (None, false);
    while let Some((child, depth)) = waiting.pop_front() {
        if seen.len() >= CHILDREN {
            is_too_deep = true;
            break;
        }
        if !is_image(&child) || !seen.insert(child.digest.clone()) {
            continue;
        }
        let manifest = match origin.manifest(&child.digest, None).await {
            Ok(manifest) => manifest,
            Err(why @ Error::NotFound(_)) => {
                missing = Some(why);
                continue;
            }
            Err(why) => return Err(why),
        };
        let config = match classify(manifest) {
            Ok(Class::Image(config)) => config,
            Ok(Class::Unclear(config, _)) if origin.is_image_config(&config).await? => config,
            Ok(Class::Index(_, inner)) if depth < DEEPEST_INDEX => {
                for mut inner in inner.into_iter().rev() {
                    // The platform of the outer index entry applies to the nested ones.
                    inner.platform = inner.platform.or_else(|| child.platform.clone());
                    waiting.push_front((inner, depth + 1));
                }
                continue;
            }
            Ok(Class::Index(..)) => {
                is_too_deep = true;
                continue;
            }
            Ok(_) => continue,
            Err(what) => return Err(origin.broken(&child.digest, what)),
        };
        if known.insert(config.digest.clone()) {
            let platform = child.platform.map(|platform| platform.text()).unwrap_or_default();
            configs.push(ConfigRef { platform, ..config });
        }
    }
    match missing {
        Some(why) if configs.is_empty() => Err(why),
        _ if configs.is_empty() && is_too_deep => Ok(Inside::Other(DEEP_INDEX.to_owned())),
        _ if configs.is_empty() => Ok(Inside::Other(media_type)),
        _ => Ok(Inside::Image(configs)),
    }
}

/// Whether a child of an index can be an image, from its descriptor.
fn is_image(child: &Descriptor) -> bool {
    let nowhere = child.platform.as_ref().is_some_and(|p| p.os == "unknown" && p.architecture == "unknown");
    let artifact = child.artifact_type.as_ref().is_some_and(|kind| !kind.is_empty());
    !nowhere && !artifact && !child.annotations.contains_key(REFERENCE_TYPE)
}

/// Classifies a manifest by its fields, since the media type may be missing. One that claims to be two things at once
/// is refused, because clients would disagree on it.
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
        (Some(config), None, _) if wire::is_artifact_config(&config.media_type) => Ok(Class::Other(config.media_type)),
        (Some(config), None, _) => {
            let read = ConfigRef {
                size: pull_size(&config, manifest.layers.as_deref()),
                digest: config.digest,
                platform: String::new(),
                annotations: manifest.annotations,
            };
            Ok(match wire::is_image_config(&config.media_type) {
                true => Class::Image(read),
                false => Class::Unclear(read, config.media_type),
            })
        }
        (None, None, Some(kind)) => Ok(Class::Other(kind.to_owned())),
        (None, None, None) if manifest.schema_version == 1 => Ok(Class::Other(wire::DOCKER_SCHEMA_1.to_owned())),
        (None, None, None) => Err("is neither an image nor an index"),
    }
}

/// Size of a config and its layers from their descriptors, bytes. `None` if one is missing.
fn pull_size(config: &Descriptor, layers: Option<&[Layer]>) -> Option<u64> {
    layers?.iter().map(|layer| layer.size).chain([config.size]).try_fold(0_u64, |sum, size| sum.checked_add(size?))
}
