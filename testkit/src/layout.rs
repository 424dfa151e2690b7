//! Writes OCI image layouts (OCI image specification, "Image Layout"): the images of the demo and of the tests.
//!
//! The same calls give the same bytes on every machine: fixed times, no compression, and the members of every JSON
//! object in alphabetical order, so that no feature of `serde_json` can change a digest. The images hold one tiny file
//! and run nothing.

use std::collections::BTreeMap;
use std::{fs, io, path::Path};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Labels of one image: name and value.
pub type Labels<'a> = &'a [(&'a str, &'a str)];

/// The annotation of `index.json` that names an image.
const REF_NAME: &str = "org.opencontainers.image.ref.name";
const CREATED: &str = "2024-01-01T00:00:00Z";

/// Media types of the manifests.
struct MediaTypes {
    index: &'static str,
    manifest: &'static str,
    config: &'static str,
    layer: &'static str,
}

const OCI: MediaTypes = MediaTypes {
    index: "application/vnd.oci.image.index.v1+json",
    manifest: "application/vnd.oci.image.manifest.v1+json",
    config: "application/vnd.oci.image.config.v1+json",
    layer: "application/vnd.oci.image.layer.v1.tar",
};

/// Docker image manifest version 2, schema 2.
const DOCKER: MediaTypes = MediaTypes {
    index: "application/vnd.docker.distribution.manifest.list.v2+json",
    manifest: "application/vnd.docker.distribution.manifest.v2+json",
    config: "application/vnd.docker.container.image.v1+json",
    layer: "application/vnd.docker.image.rootfs.diff.tar",
};

/// An image layout in memory. References are `repository:tag` or any other text; methods return the digest of the
/// reference.
pub struct LayoutBuilder {
    types: &'static MediaTypes,
    blobs: BTreeMap<String, Vec<u8>>,
    /// The descriptors of `index.json`.
    entries: Vec<Value>,
}

impl LayoutBuilder {
    /// OCI media types.
    pub fn oci() -> Self {
        Self { types: &OCI, blobs: BTreeMap::new(), entries: Vec::new() }
    }

    /// The same images with Docker's schema 2 media types. Allowed in a layout, but skopeo reads only OCI ones from it.
    pub fn docker() -> Self {
        Self { types: &DOCKER, ..Self::oci() }
    }

    /// An image for linux/amd64.
    pub fn image(&mut self, reference: &str, labels: Labels) -> String {
        let manifest = self.platform_image("linux/amd64", labels);
        self.name(reference, manifest)
    }

    /// An image for linux/amd64 without a reference.
    pub fn unnamed_image(&mut self, labels: Labels) -> String {
        let manifest = self.platform_image("linux/amd64", labels);
        let digest = manifest["digest"].as_str().expect("a digest").to_owned();
        self.entries.push(manifest);
        digest
    }

    /// An index with one image for each platform, such as `linux/arm64` or `linux/arm/v7`.
    pub fn index(&mut self, reference: &str, images: &[(&str, Labels)]) -> String {
        let children = self.children(images);
        self.named_index(reference, children)
    }

    /// An index as BuildKit pushes it: the images, and an attestation on the first one for platform `unknown/unknown`.
    pub fn attested_index(&mut self, reference: &str, images: &[(&str, Labels)]) -> String {
        let mut children = self.children(images);
        let subject = children.first().expect("an attestation attests an image")["digest"].clone();
        let statement = self.blob("application/vnd.in-toto+json", br#"{"_type":"https://in-toto.io/Statement/v0.1"}"#);
        let mut attestation = self.platform_manifest("unknown/unknown", &[], statement);
        attestation["annotations"] =
            json!({"vnd.docker.reference.digest": subject, "vnd.docker.reference.type": "attestation-manifest"});
        children.push(attestation);
        self.named_index(reference, children)
    }

    /// A manifest whose config is not an image's, as for Helm charts and signatures.
    pub fn artifact(&mut self, reference: &str) -> String {
        let config = self.blob("application/vnd.cncf.helm.config.v1+json", br#"{"name":"chart","version":"1.0.0"}"#);
        let layer = self.blob("application/vnd.cncf.helm.chart.content.v1.tar", &tar());
        let manifest = self.manifest(config, layer);
        self.name(reference, manifest)
    }

    /// Every file of the layout: path and bytes.
    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let index = json!({"manifests": self.entries, "mediaType": OCI.index, "schemaVersion": 2});
        let blobs = self.blobs.iter().map(|(digest, bytes)| (blob_path(digest), bytes.clone()));
        let head = [
            ("oci-layout".to_owned(), json!({"imageLayoutVersion": "1.0.0"}).to_string().into_bytes()),
            ("index.json".to_owned(), index.to_string().into_bytes()),
        ];
        head.into_iter().chain(blobs).collect()
    }

    /// Writes the layout to a folder, which is created if missing.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        for (path, bytes) in self.files() {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().expect("a path inside a folder has a parent"))?;
            fs::write(path, bytes)?;
        }
        Ok(())
    }

    /// Digest of the image or index with this name.
    pub fn digest(&self, reference: &str) -> Option<&str> {
        let entry = self.entries.iter().find(|entry| entry["annotations"][REF_NAME] == reference)?;
        entry["digest"].as_str()
    }

    /// Bytes of a blob; manifests are blobs too.
    pub fn bytes(&self, digest: &str) -> Option<&[u8]> {
        self.blobs.get(digest).map(Vec::as_slice)
    }

    fn children(&mut self, images: &[(&str, Labels)]) -> Vec<Value> {
        images.iter().map(|(platform, labels)| self.platform_image(platform, labels)).collect()
    }

    fn platform_image(&mut self, platform: &str, labels: Labels) -> Value {
        let layer = self.blob(self.types.layer, &tar());
        self.platform_manifest(platform, labels, layer)
    }

    /// Config and manifest of an image with one layer. Returns a descriptor with its platform.
    fn platform_manifest(&mut self, platform: &str, labels: Labels, layer: Value) -> Value {
        let labels: BTreeMap<_, _> = labels.iter().copied().collect();
        let platform = platform_object(platform);
        let mut config = json!({
            "architecture": platform["architecture"],
            "config": {"Labels": labels},
            "created": CREATED,
            "history": [{"created": CREATED, "created_by": "LayoutBuilder"}],
            "os": platform["os"],
            "rootfs": {"diff_ids": [layer["digest"]], "type": "layers"},
        });
        if let Some(variant) = platform.get("variant") {
            config["variant"] = variant.clone();
        }
        let config = self.blob(self.types.config, config.to_string().as_bytes());
        let mut descriptor = self.manifest(config, layer);
        descriptor["platform"] = platform;
        descriptor
    }

    fn manifest(&mut self, config: Value, layer: Value) -> Value {
        let media_type = self.types.manifest;
        let manifest = json!({"config": config, "layers": [layer], "mediaType": media_type, "schemaVersion": 2});
        self.blob(media_type, manifest.to_string().as_bytes())
    }

    fn named_index(&mut self, reference: &str, children: Vec<Value>) -> String {
        let media_type = self.types.index;
        let index = json!({"manifests": children, "mediaType": media_type, "schemaVersion": 2});
        let descriptor = self.blob(media_type, index.to_string().as_bytes());
        self.name(reference, descriptor)
    }

    /// Stores bytes and returns their descriptor.
    fn blob(&mut self, media_type: &str, bytes: &[u8]) -> Value {
        let digest = format!("sha256:{}", hex::encode(Sha256::digest(bytes)));
        let descriptor = json!({"digest": digest, "mediaType": media_type, "size": bytes.len()});
        self.blobs.insert(digest, bytes.to_vec());
        descriptor
    }

    /// Adds a descriptor to `index.json`.
    fn name(&mut self, reference: &str, mut descriptor: Value) -> String {
        assert!(self.digest(reference).is_none(), "{reference} is already in the layout");
        let digest = descriptor["digest"].as_str().expect("every descriptor has a digest").to_owned();
        descriptor["annotations"] = json!({ REF_NAME: reference });
        self.entries.push(descriptor);
        digest
    }
}

fn blob_path(digest: &str) -> String {
    format!("blobs/{}", digest.replace(':', "/"))
}

/// `os/architecture[/variant]` as the `platform` of a descriptor.
fn platform_object(platform: &str) -> Value {
    let mut parts = platform.split('/');
    let mut part = || parts.next();
    let (os, architecture, variant) = (part(), part(), part());
    let mut object = json!({"architecture": architecture, "os": os});
    if let Some(variant) = variant {
        object["variant"] = variant.into();
    }
    object
}

/// A POSIX ustar archive with one small file.
pub fn tar() -> Vec<u8> {
    const TEXT: &[u8] = b"A catalogue entry to look at: nothing in this image runs.\n";
    let mut header = [0u8; 512];
    let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"README");
    put(100, b"0000644\0"); // mode
    put(108, b"0000000\0"); // owner
    put(116, b"0000000\0"); // group
    put(124, format!("{:011o}\0", TEXT.len()).as_bytes());
    put(136, b"00000000000\0"); // modified 1970-01-01
    put(148, b"        "); // the checksum counts itself as blanks
    put(156, b"0"); // a regular file
    put(257, b"ustar\x0000");
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());

    let mut archive = header.to_vec();
    archive.extend_from_slice(TEXT);
    archive.resize(1024, 0); // files fill whole blocks of 512 bytes
    archive.resize(2048, 0); // two empty blocks end an archive
    archive
}
