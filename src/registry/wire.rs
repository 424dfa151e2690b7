//! JSON types of registries, parsed tolerantly: OCI image specification 1.1 ("Image Manifest", "Image Index", "Image
//! Configuration", "Image Layout") and their Docker predecessors. Only the fields in use. Pure.

use std::collections::BTreeMap;

use oci_client::manifest::{IMAGE_CONFIG_MEDIA_TYPE as OCI_CONFIG, IMAGE_DOCKER_CONFIG_MEDIA_TYPE as DOCKER_CONFIG};
pub(super) use oci_client::manifest::{
    IMAGE_MANIFEST_LIST_MEDIA_TYPE as DOCKER_LIST, IMAGE_MANIFEST_MEDIA_TYPE as DOCKER_MANIFEST,
    OCI_IMAGE_INDEX_MEDIA_TYPE as OCI_INDEX, OCI_IMAGE_MEDIA_TYPE as OCI_MANIFEST,
};
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::ImageConfig;

/// Media type of Docker's manifests of schema version 1, which have no config.
pub(super) const DOCKER_SCHEMA_1: &str = "application/vnd.docker.distribution.manifest.v1+json";

/// `Accept` of every manifest request.
pub(super) const MANIFEST_TYPES: &str = "application/vnd.oci.image.index.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.v2+json";

/// Whether this is the media type of an image config.
pub(super) fn is_image_config(media_type: &str) -> bool {
    matches!(media_type, OCI_CONFIG | DOCKER_CONFIG)
}

/// Whether this media type rules out an image config: a vendor's type other than Docker's and OCI's own. Old versions
/// of Docker, ECR and Bazel wrote `application/octet-stream`, `application/json`, `text/html` or nothing for image
/// configs, so other types prove nothing.
pub(super) fn is_artifact_config(media_type: &str) -> bool {
    let is_of_a_vendor = ["application/vnd.", "application/x-", "application/wasm"]
        .iter()
        .any(|beginning| media_type.starts_with(beginning));
    is_of_a_vendor && !is_image_config(media_type)
}

/// A manifest, an index, or the `index.json` of a layout; the fields tell which.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OciManifest {
    #[serde(default)]
    pub(super) schema_version: u64,
    pub(super) media_type: Option<String>,
    pub(super) artifact_type: Option<String>,
    pub(super) config: Option<ContentDescriptor>,
    #[serde(default, deserialize_with = "layers")]
    pub(super) layers: Option<Vec<LayerDescriptor>>,
    pub(super) manifests: Option<Vec<ContentDescriptor>>,
    #[serde(default, deserialize_with = "strings")]
    pub(super) annotations: BTreeMap<String, String>,
}

/// Content descriptor. `urls` is not parsed: a registry could name any address in it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ContentDescriptor {
    #[serde(default)]
    pub(super) media_type: String,
    pub(super) digest: String,
    /// Bytes.
    #[serde(default, deserialize_with = "size")]
    pub(super) size: Option<u64>,
    pub(super) artifact_type: Option<String>,
    pub(super) platform: Option<OciPlatform>,
    #[serde(default, deserialize_with = "strings")]
    pub(super) annotations: BTreeMap<String, String>,
}

/// The fields in use of a layer's descriptor.
#[derive(Debug, Deserialize)]
pub(super) struct LayerDescriptor {
    /// Bytes.
    #[serde(default, deserialize_with = "size")]
    pub(super) size: Option<u64>,
}

/// Platform of an image: an object in an index, top-level fields in a config.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct OciPlatform {
    #[serde(default, deserialize_with = "string")]
    pub(super) os: String,
    #[serde(default, deserialize_with = "string")]
    pub(super) architecture: String,
    #[serde(default, deserialize_with = "string")]
    variant: String,
}

impl OciPlatform {
    /// `os/architecture[/variant]`; empty if all are missing.
    pub(super) fn text(&self) -> String {
        let parts = [&self.os, &self.architecture, &self.variant];
        parts.into_iter().filter(|part| !part.is_empty()).map(String::as_str).collect::<Vec<_>>().join("/")
    }
}

/// An image config.
#[derive(Debug, Deserialize)]
pub(super) struct OciImageConfig {
    #[serde(flatten)]
    pub(super) platform: OciPlatform,
    #[serde(default, deserialize_with = "string")]
    created: String,
    config: Option<ContainerConfig>,
    /// The layers of the file system; only their presence counts.
    rootfs: Option<IgnoredAny>,
}

/// The `config` object of an image config.
#[derive(Debug, Default, Deserialize)]
struct ContainerConfig {
    #[serde(default, rename = "Labels", deserialize_with = "strings")]
    labels: BTreeMap<String, String>,
}

impl OciImageConfig {
    /// Whether this is the config of a container image, by its fields.
    pub(super) fn is_of_an_image(&self) -> bool {
        self.rootfs.is_some() || (!self.platform.os.is_empty() && !self.platform.architecture.is_empty())
    }

    /// Whether it has the `config` object. Without it, its labels are unknown rather than empty.
    pub(super) fn has_container_config(&self) -> bool {
        self.config.is_some()
    }

    /// Converts it; `digest` is the config's own, empty if unknown.
    pub(super) fn into_image(self, digest: String) -> ImageConfig {
        let (platform, labels) = (self.platform.text(), self.config.unwrap_or_default().labels);
        ImageConfig { digest, platform, labels, created: self.created, size: None }
    }
}

/// `GET /v2/_catalog`. The outer `Option`: whether the key is there at all; the inner: whether it is `null`.
#[derive(Debug, Deserialize)]
pub(super) struct CatalogPage {
    #[serde(default, deserialize_with = "present")]
    pub(super) repositories: Option<Option<Vec<String>>>,
}

/// `GET /v2/…/tags/list`.
#[derive(Debug, Deserialize)]
pub(super) struct TagList {
    #[serde(default, deserialize_with = "present")]
    pub(super) tags: Option<Option<Vec<String>>>,
}

/// Response of a token service. Some use the OAuth name of the field.
#[derive(Deserialize)]
pub(super) struct TokenResponse {
    pub(super) token: Option<String>,
    pub(super) access_token: Option<String>,
    pub(super) expires_in: Option<Value>,
    /// ECR's response to `GetAuthorizationToken`: one entry.
    #[serde(default, rename = "authorizationData")]
    pub(super) authorization_data: Vec<AuthorizationData>,
}

/// A token of ECR.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AuthorizationData {
    /// `user:password` in Base64, as for Basic.
    pub(super) authorization_token: String,
    /// Seconds since 1970.
    pub(super) expires_at: Option<f64>,
}

/// Error response of an AWS service.
#[derive(Deserialize)]
pub(super) struct AwsError {
    /// The error code, maybe after a namespace and a `#`.
    #[serde(rename = "__type")]
    pub(super) code: String,
    #[serde(default, alias = "Message")]
    pub(super) message: String,
}

/// Error response: OCI distribution specification, "Error codes".
#[derive(Debug, Deserialize)]
pub(super) struct RegistryErrors {
    pub(super) errors: Vec<ErrorEntry>,
}

/// One error of an error response.
#[derive(Debug, Deserialize)]
pub(super) struct ErrorEntry {
    #[serde(default, deserialize_with = "string")]
    pub(super) code: String,
    #[serde(default, deserialize_with = "string")]
    pub(super) message: String,
}

/// The `oci-layout` file.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OciLayoutFile {
    pub(super) image_layout_version: String,
}

/// A map of strings; `null` is empty, and other values are skipped.
fn strings<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, String>, D::Error> {
    let Value::Object(entries) = Value::deserialize(from)? else { return Ok(BTreeMap::new()) };
    Ok(entries
        .into_iter()
        .filter_map(|(key, value)| match value {
            Value::String(text) => Some((key, text)),
            _ => None,
        })
        .collect())
}

/// Layers; anything malformed counts as missing.
fn layers<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<LayerDescriptor>>, D::Error> {
    Ok(Vec::deserialize(Value::deserialize(from)?).ok())
}

/// A number of bytes; anything else counts as missing.
fn size<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    Ok(Value::deserialize(from)?.as_u64())
}

/// A string; anything else is empty.
fn string<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    Ok(match Value::deserialize(from)? {
        Value::String(text) => text,
        _ => String::new(),
    })
}

/// Distinguishes a `null` key (`Some(None)`) from a missing one (`None`).
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_of_every_shape() {
        let labels =
            |json: &str| serde_json::from_str::<OciImageConfig>(json).unwrap().into_image(String::new()).labels;
        for none in ["{}", r#"{"config":null}"#, r#"{"config":{}}"#, r#"{"config":{"Labels":null}}"#] {
            assert!(labels(none).is_empty(), "{none}");
        }
        let mixed = labels(r#"{"config":{"Labels":{"a":"1","b":null,"c":3,"d":{"e":"f"}}}}"#);
        assert_eq!(mixed, BTreeMap::from([("a".to_owned(), "1".to_owned())]));
    }

    #[test]
    fn a_platform_is_what_is_said() {
        let text = |json: &str| serde_json::from_str::<OciImageConfig>(json).unwrap().platform.text();
        assert_eq!(text(r#"{"os":"linux","architecture":"arm","variant":"v7"}"#), "linux/arm/v7");
        assert_eq!(text(r#"{"os":"linux","architecture":"amd64","variant":null}"#), "linux/amd64");
        assert_eq!(text("{}"), "");
    }

    #[test]
    fn null_and_missing_differ() {
        let catalog = |json: &str| serde_json::from_str::<CatalogPage>(json).unwrap().repositories;
        assert_eq!(catalog("{}"), None);
        assert_eq!(catalog(r#"{"repositories":null}"#), Some(None));
        assert_eq!(catalog(r#"{"repositories":["a"]}"#), Some(Some(vec!["a".to_owned()])));
    }
}
