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

/// Manifests of an index that are looked at, those of the indexes in it included.
const CHILDREN: usize = 32;
/// Indexes in indexes that are followed: build tools write one for each platform, with its attestation.
const DEEPEST_INDEX: usize = 3;
/// Marks a descriptor as an attestation of a neighbour, as BuildKit writes it.
const REFERENCE_TYPE: &str = "vnd.docker.reference.type";

/// Where blobs come from.
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

    /// What a config says by itself.
    pub(super) async fn config(&self, digest: &str) -> Result<ImageConfig> {
        let bytes = self.get(Blob::Config, digest).await?;
        let config: Config = serde_json::from_slice(&bytes)
            .map_err(|why| self.broken(digest, &format!("is no config: {}", printable(&why.to_string()))))?;
        Ok(config.into_image(digest.to_owned()))
    }

    /// Whether a blob is the config of a container image, whatever its media type says.
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

/// What a manifest turned out to be.
enum Class {
    Image(ConfigRef),
    /// An image, if its config is that of one: the media type, which is given beside, does not tell.
    Unclear(ConfigRef, String),
    /// Its media type, and what it points to.
    Index(String, Vec<Descriptor>),
    Other(String),
}

/// What a manifest digest leads to. `held`: its bytes, if somebody has them already.
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

/// The images of an index and of the indexes in it, each distinct config once, in the order in which they are named. A
/// child that is missing is passed over while others are there: copies of single platforms leave the index whole.
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
                    // What the outer index says of a platform holds for what is in it.
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

/// Whether a child of an index can be an image, by what the index says about it.
fn is_image(child: &Descriptor) -> bool {
    let nowhere = child.platform.as_ref().is_some_and(|p| p.os == "unknown" && p.architecture == "unknown");
    let artifact = child.artifact_type.as_ref().is_some_and(|kind| !kind.is_empty());
    !nowhere && !artifact && !child.annotations.contains_key(REFERENCE_TYPE)
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

/// Bytes of a config and its layers, as their descriptors say. `None` where one does not.
fn pull_size(config: &Descriptor, layers: Option<&[Layer]>) -> Option<u64> {
    layers?.iter().map(|layer| layer.size).chain([config.size]).try_fold(0_u64, |sum, size| sum.checked_add(size?))
}
