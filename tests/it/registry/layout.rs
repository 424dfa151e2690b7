//! Image layouts on disk.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use silo::catalog::RegistryKind;
use silo::registry::{
    FetchedContent, RegistryEndpoint, RegistryLimits, RegistrySource, RemoteHosts, Result, TlsSettings,
};
use tempfile::TempDir;

use super::{assert_fails, limits};
use crate::support::fake_registry::{OCI_CONFIG, OCI_INDEX, OCI_MANIFEST, digest_of};

/// A layout `demo` in a temporary root.
struct Demo {
    root: TempDir,
    refs: Vec<Value>,
}

impl Demo {
    fn new() -> Self {
        let demo = Self { root: TempDir::new().unwrap(), refs: Vec::new() };
        fs::create_dir_all(demo.folder().join("blobs/sha256")).unwrap();
        fs::write(demo.folder().join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        demo.write_index();
        demo
    }

    fn folder(&self) -> PathBuf {
        self.root.path().join("demo")
    }

    fn blob_path(&self, digest: &str) -> PathBuf {
        self.folder().join("blobs").join(digest.replace(':', "/"))
    }

    fn add(&self, content: &Value) -> String {
        let bytes = content.to_string();
        let digest = digest_of(bytes.as_bytes());
        fs::write(self.blob_path(&digest), bytes).unwrap();
        digest
    }

    fn add_image(&self, label: &str) -> String {
        let config = self.add(&json!({"os": "linux", "architecture": "amd64", "config": {"Labels": {"k": label}}}));
        let config = json!({"mediaType": OCI_CONFIG, "digest": config, "size": 1});
        self.add(&json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": []}))
    }

    fn name(&mut self, digest: &str, annotation: &str, name: &str) {
        self.refs
            .push(json!({"mediaType": OCI_MANIFEST, "digest": digest, "size": 1, "annotations": {annotation: name}}));
        self.write_index();
    }

    fn write_index(&self) {
        let index = json!({"schemaVersion": 2, "manifests": self.refs});
        fs::write(self.folder().join("index.json"), index.to_string()).unwrap();
    }

    fn open(&self) -> RegistrySource {
        open(&self.folder(), self.root.path()).unwrap()
    }
}

fn open(folder: &Path, root: &Path) -> Result<RegistrySource> {
    let endpoint = RegistryEndpoint {
        kind: RegistryKind::Layout,
        org: String::new(),
        url: folder.to_str().unwrap().to_owned(),
        username: String::new(),
        password: None,
        tls: TlsSettings::default(),
    };
    RegistrySource::open(
        &endpoint,
        &RegistryLimits { layout_roots: vec![root.to_owned()], ..limits() },
        &RemoteHosts::default(),
    )
}

const REF: &str = "org.opencontainers.image.ref.name";
const CONTAINERD: &str = "io.containerd.image.name";

#[tokio::test]
async fn a_layout_is_a_registry_without_host() {
    let mut demo = Demo::new();
    let (one, two) = (demo.add_image("one"), demo.add_image("two"));
    let child = json!({"mediaType": OCI_MANIFEST, "digest": two, "size": 1});
    let index = demo.add(&json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [child]}));
    demo.name(&one, REF, "geo/a-seed:1.0.0");
    demo.name(&index, CONTAINERD, "registry.example.org/geo/a-seed:2.0.0");
    demo.name(&two, REF, "3.0.0");
    demo.name(&two, REF, "Not A Name");
    let source = demo.open();
    source.ping().await.unwrap();
    assert_eq!(source.host(), "");
    assert_eq!(source.repositories().await.unwrap().items, ["demo", "geo/a-seed"]);
    let tags = source.tags("geo/a-seed").await.unwrap().items;
    let tags: Vec<_> = tags.into_iter().map(|tag| (tag.name, tag.digest.unwrap())).collect();
    assert_eq!(tags, [("1.0.0".to_owned(), one.clone()), ("2.0.0".to_owned(), index.clone())]);
    assert_eq!(source.digest("demo", "3.0.0").await.unwrap(), Some(two.clone()));
    assert_eq!(source.digest("demo", "4").await.unwrap(), None);
    assert_eq!(source.tags("gone").await.unwrap().items, []);
    for (digest, label) in [(one, "one"), (index, "two")] {
        let FetchedContent::Image(configs) = source.fetch("geo/a-seed", &digest).await.unwrap() else {
            panic!("no image")
        };
        assert_eq!((configs[0].labels["k"].as_str(), configs[0].platform.as_str()), (label, "linux/amd64"));
    }
    assert_eq!(source.traffic().requests, 0);
    assert!(source.traffic().bytes > 0);
}

#[tokio::test]
async fn only_folders_in_the_roots_are_read() {
    let (demo, elsewhere) = (Demo::new(), TempDir::new().unwrap());
    let refused = |folder: PathBuf| async move { open(&folder, elsewhere.path()).unwrap().ping().await };
    assert_fails!(refused(demo.folder()).await, Refused, "scan.layout_roots");
    let elsewhere = TempDir::new().unwrap();
    for outside in [PathBuf::from("/etc"), PathBuf::from("/nonexistent"), elsewhere.path().join("../../etc")] {
        assert_fails!(open(&outside, elsewhere.path()).unwrap().ping().await, Refused, "scan.layout_roots");
    }
    std::os::unix::fs::symlink(demo.folder(), elsewhere.path().join("link")).unwrap();
    assert_fails!(
        open(&elsewhere.path().join("link"), elsewhere.path()).unwrap().ping().await,
        Refused,
        "layout_roots"
    );
    assert_fails!(
        open(&elsewhere.path().join("no"), elsewhere.path()).unwrap().ping().await,
        NotFound,
        "does not exist"
    );
    assert_fails!(open(Path::new("relative"), elsewhere.path()).map(|_| ()), Refused, "absolute path");
}

#[tokio::test]
async fn a_folder_that_is_no_layout_is_told() {
    let demo = Demo::new();
    fs::write(demo.folder().join("index.json"), "{").unwrap();
    assert_fails!(demo.open().ping().await, Malformed, "index.json");
    fs::remove_file(demo.folder().join("index.json")).unwrap();
    assert_fails!(demo.open().ping().await, NotARegistry, "index.json");
    fs::write(demo.folder().join("oci-layout"), r#"{"imageLayoutVersion":"7"}"#).unwrap();
    assert_fails!(demo.open().ping().await, NotARegistry, "version 1");
    fs::remove_file(demo.folder().join("oci-layout")).unwrap();
    assert_fails!(demo.open().ping().await, NotARegistry, "no file `oci-layout`");
    assert_fails!(demo.open().repositories().await, NotARegistry, "oci-layout");
}

#[tokio::test]
async fn blobs_are_checked_and_do_not_lead_out() {
    let mut demo = Demo::new();
    let digest = demo.add_image("one");
    demo.name(&digest, REF, "1");
    fs::write(demo.blob_path(&digest), "{}").unwrap();
    assert_fails!(
        demo.open().fetch("demo", &digest).await,
        Malformed,
        digest,
        "has content that does not match its digest"
    );
    let secret = demo.root.path().join("secret");
    fs::write(&secret, "{}").unwrap();
    fs::remove_file(demo.blob_path(&digest)).unwrap();
    std::os::unix::fs::symlink(&secret, demo.blob_path(&digest)).unwrap();
    assert_fails!(demo.open().fetch("demo", &digest).await, Refused, "leads out");
    fs::remove_file(demo.blob_path(&digest)).unwrap();
    assert_fails!(demo.open().fetch("demo", &digest).await, NotFound, "does not exist");
    fs::create_dir(demo.blob_path(&digest)).unwrap();
    assert_fails!(demo.open().fetch("demo", &digest).await, Malformed, "not a file");
    fs::remove_dir(demo.blob_path(&digest)).unwrap();
    fs::write(demo.blob_path(&digest), vec![b' '; (4 << 20) + 1]).unwrap();
    assert_fails!(demo.open().fetch("demo", &digest).await, Malformed, "more than the 4194304 bytes");
}
