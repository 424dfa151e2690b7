//! From a manifest digest to the image configs behind it, the same for registries, layouts and archives.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

use super::blob::BlobKind;
use super::disk::archive::ImageArchive;
use super::disk::layout::ImageLayout;
use super::distribution::DistributionApi;
use super::grammar::{is_digest, matches_digest, printable};
use super::wire::{self, ContentDescriptor, LayerDescriptor, OciImageConfig, OciManifest};
use super::{ConfigRef, DEEP_INDEX, Error, ImageConfig, ManifestTarget, Result};

/// Most manifests of an index that are read, those of nested indexes included.
const CHILDREN: usize = 32;
/// Deepest nesting of indexes that is followed: build tools write an index per platform, with its attestation.
const DEEPEST_INDEX: usize = 3;
/// Annotation by which BuildKit marks a descriptor as the attestation of another manifest in the index.
const REFERENCE_TYPE: &str = "vnd.docker.reference.type";

/// Where blobs are read from.
pub(super) enum BlobSource<'a> {
    /// A repository of a registry.
    Distribution(Arc<DistributionApi>, &'a str),
    Layout(&'a ImageLayout),
    Archive(&'a ImageArchive),
}

impl BlobSource<'_> {
    /// The bytes of a digest, verified against it.
    async fn get(&self, blob: BlobKind, digest: &str) -> Result<Bytes> {
        if !is_digest(digest) {
            return Err(self.broken(digest, "has a name that is not a digest"));
        }
        let bytes = match self {
            BlobSource::Distribution(registry, repository) => registry.blob(repository, blob, digest).await?,
            BlobSource::Layout(layout) => layout.blob(blob, digest).await?,
            BlobSource::Archive(archive) => archive.blob(blob, digest).await?,
        };
        if !matches_digest(digest, &bytes) {
            return Err(self.broken(digest, "has content that does not match its digest"));
        }
        Ok(bytes)
    }

    /// The manifest of a digest; parsed from `held` if those bytes match the digest.
    async fn manifest(&self, digest: &str, held: Option<Bytes>) -> Result<OciManifest> {
        let bytes = match held.filter(|bytes| matches_digest(digest, bytes)) {
            Some(bytes) => bytes,
            None => self.get(BlobKind::Manifest, digest).await?,
        };
        serde_json::from_slice(&bytes)
            .map_err(|why| self.broken(digest, &format!("is not a manifest: {}", printable(&why.to_string()))))
    }

    /// A config, without what its manifest adds.
    pub(super) async fn config(&self, digest: &str) -> Result<ImageConfig> {
        let bytes = self.get(BlobKind::Config, digest).await?;
        let config: OciImageConfig = serde_json::from_slice(&bytes)
            .map_err(|why| self.broken(digest, &format!("is not a config: {}", printable(&why.to_string()))))?;
        Ok(config.into_image(digest.to_owned()))
    }

    /// Whether a blob is the config of a container image, regardless of its media type.
    async fn is_image_config(&self, config: &ConfigRef) -> Result<bool> {
        let bytes = self.get(BlobKind::Config, &config.digest).await?;
        Ok(serde_json::from_slice::<OciImageConfig>(&bytes).is_ok_and(|config| config.is_of_an_image()))
    }

    fn broken(&self, digest: &str, what: &str) -> Error {
        let place = match self {
            BlobSource::Distribution(registry, repository) => format!("{}/{repository}", registry.host()),
            BlobSource::Layout(layout) => layout.name(),
            BlobSource::Archive(archive) => archive.name(),
        };
        Error::Malformed(format!("{} in {place} {what}; push the image again", printable(digest)))
    }
}

/// Class of a manifest.
enum ManifestClass {
    Image(ConfigRef),
    /// An image if its config is an image config. The media type (second field) does not say so: the config must be read.
    Unclear(ConfigRef, String),
    /// Media type, and the descriptors in it.
    Index(String, Vec<ContentDescriptor>),
    Other(String),
}

/// What a manifest digest leads to. `held`: its bytes, if the caller has them.
pub(super) async fn inside(origin: &BlobSource<'_>, digest: &str, held: Option<Bytes>) -> Result<ManifestTarget> {
    if let BlobSource::Archive(archive) = origin
        && archive.is_config(digest).await?
    {
        return Ok(ManifestTarget::Image(vec![ConfigRef { digest: digest.to_owned(), ..ConfigRef::default() }]));
    }
    match classify(origin.manifest(digest, held).await?) {
        Ok(ManifestClass::Index(media_type, children)) => images_of_index(origin, media_type, children).await,
        Ok(ManifestClass::Image(config)) => Ok(ManifestTarget::Image(vec![config])),
        Ok(ManifestClass::Unclear(config, media_type)) => Ok(match origin.is_image_config(&config).await? {
            true => ManifestTarget::Image(vec![config]),
            false => ManifestTarget::Other(media_type),
        }),
        Ok(ManifestClass::Other(kind)) => Ok(ManifestTarget::Other(kind)),
        Err(what) => Err(origin.broken(digest, what)),
    }
}

/// The images of an index and of its nested indexes, each distinct config once, in index order. A missing child is
/// skipped while others exist: copying single platforms leaves the index unchanged.
async fn images_of_index(
    origin: &BlobSource<'_>,
    media_type: String,
    children: Vec<ContentDescriptor>,
) -> Result<ManifestTarget> {
    let mut waiting: VecDeque<(ContentDescriptor, usize)> = children.into_iter().map(|child| (child, 1)).collect();
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
            Ok(ManifestClass::Image(config)) => config,
            Ok(ManifestClass::Unclear(config, _)) if origin.is_image_config(&config).await? => config,
            Ok(ManifestClass::Index(_, inner)) if depth < DEEPEST_INDEX => {
                for mut inner in inner.into_iter().rev() {
                    // The platform of the outer index entry applies to the nested ones.
                    inner.platform = inner.platform.or_else(|| child.platform.clone());
                    waiting.push_front((inner, depth + 1));
                }
                continue;
            }
            Ok(ManifestClass::Index(..)) => {
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
        _ if configs.is_empty() && is_too_deep => Ok(ManifestTarget::Other(DEEP_INDEX.to_owned())),
        _ if configs.is_empty() => Ok(ManifestTarget::Other(media_type)),
        _ => Ok(ManifestTarget::Image(configs)),
    }
}

/// Whether a child of an index can be an image, from its descriptor.
fn is_image(child: &ContentDescriptor) -> bool {
    let nowhere = child.platform.as_ref().is_some_and(|p| p.os == "unknown" && p.architecture == "unknown");
    let artifact = child.artifact_type.as_ref().is_some_and(|kind| !kind.is_empty());
    !nowhere && !artifact && !child.annotations.contains_key(REFERENCE_TYPE)
}

/// Classifies a manifest by its fields, since the media type may be missing. One that claims to be two things at once
/// is refused, because clients would disagree on it.
fn classify(manifest: OciManifest) -> std::result::Result<ManifestClass, &'static str> {
    let written = manifest.media_type.filter(|kind| !kind.is_empty());
    if let Some(artifact) = manifest.artifact_type.filter(|kind| !kind.is_empty()) {
        return Ok(ManifestClass::Other(artifact));
    }
    match (manifest.config, manifest.manifests, written.as_deref()) {
        (Some(_), Some(_), _) => Err("claims to be both an image and an index"),
        (None, Some(_), Some(wire::OCI_MANIFEST | wire::DOCKER_MANIFEST))
        | (Some(_), None, Some(wire::OCI_INDEX | wire::DOCKER_LIST)) => Err("does not match its media type"),
        (None, Some(children), _) => {
            Ok(ManifestClass::Index(written.unwrap_or_else(|| wire::OCI_INDEX.to_owned()), children))
        }
        (Some(config), None, _) if wire::is_artifact_config(&config.media_type) => {
            Ok(ManifestClass::Other(config.media_type))
        }
        (Some(config), None, _) => {
            let read = ConfigRef {
                size: pull_size(&config, manifest.layers.as_deref()),
                digest: config.digest,
                platform: String::new(),
                annotations: manifest.annotations,
            };
            Ok(match wire::is_image_config(&config.media_type) {
                true => ManifestClass::Image(read),
                false => ManifestClass::Unclear(read, config.media_type),
            })
        }
        (None, None, Some(kind)) => Ok(ManifestClass::Other(kind.to_owned())),
        (None, None, None) if manifest.schema_version == 1 => {
            Ok(ManifestClass::Other(wire::DOCKER_SCHEMA_1.to_owned()))
        }
        (None, None, None) => Err("is neither an image nor an index"),
    }
}

/// Size of a config and its layers from their descriptors, bytes. `None` if one is missing.
fn pull_size(config: &ContentDescriptor, layers: Option<&[LayerDescriptor]>) -> Option<u64> {
    layers?.iter().map(|layer| layer.size).chain([config.size]).try_fold(0_u64, |sum, size| sum.checked_add(size?))
}
