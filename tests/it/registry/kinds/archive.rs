//! Archives of `docker save`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use silo::catalog::RegistryKind;
use silo::registry::{FetchedContent, RegistryEndpoint, RegistryLimits, RegistrySource, RemoteHosts, Result};
use tempfile::TempDir;

use super::super::{assert_fails, endpoint, limits};
use super::pairs;
use crate::support::app::{TestApp, jobs};
use crate::support::fake_registry::{OCI_CONFIG, OCI_MANIFEST, digest_of};
use crate::support::layout::LayoutBuilder;
use crate::support::output;

fn open(file: &Path, root: &Path) -> Result<RegistrySource> {
    let url = file.to_str().unwrap();
    let endpoint = RegistryEndpoint { kind: RegistryKind::Archive, ..endpoint(url, None) };
    RegistrySource::open(
        &endpoint,
        &RegistryLimits { layout_roots: vec![root.to_owned()], ..limits() },
        &RemoteHosts::default(),
    )
}

fn config(label: &str) -> Vec<u8> {
    json!({"os": "linux", "architecture": "amd64", "config": {"Labels": {"k": label}}}).to_string().into()
}

/// An archive `demo.tar` in a temporary folder.
struct Demo {
    root: TempDir,
    tar: tar::Builder<Vec<u8>>,
}

impl Demo {
    fn new() -> Self {
        Self { root: TempDir::new().unwrap(), tar: tar::Builder::new(Vec::new()) }
    }

    fn add(mut self, name: &str, bytes: impl AsRef<[u8]>) -> Self {
        let mut head = tar::Header::new_ustar();
        head.set_size(bytes.as_ref().len() as u64);
        head.set_mode(0o644);
        self.tar.append_data(&mut head, name, bytes.as_ref()).unwrap();
        self
    }

    /// `manifest.json` with these (config, tags).
    fn saved(self, images: &[(&str, Value)]) -> Self {
        let image =
            |(config, tags): &(&str, Value)| json!({"Config": config, "RepoTags": tags, "Layers": ["l/layer.tar"]});
        let manifest: Vec<Value> = images.iter().map(image).collect();
        self.add("manifest.json", json!(manifest).to_string())
    }

    fn bytes(&mut self) -> Vec<u8> {
        self.tar.finish().unwrap();
        self.tar.get_ref().clone()
    }

    fn file(&self) -> PathBuf {
        self.root.path().join("demo.tar")
    }

    fn open(mut self) -> (RegistrySource, TempDir) {
        let bytes = self.bytes();
        self.open_as(&bytes)
    }

    fn open_as(self, bytes: &[u8]) -> (RegistrySource, TempDir) {
        fs::write(self.file(), bytes).unwrap();
        (open(&self.file(), self.root.path()).unwrap(), self.root)
    }
}

#[tokio::test]
async fn an_archive_is_a_registry_without_host() {
    let (one, two) = (config("one"), config("two"));
    let (source, _root) = Demo::new()
        .add("l/layer.tar", vec![7; 100_000])
        .add("one.json", &one)
        .add("./blobs/two", &two)
        .saved(&[
            ("one.json", json!(["geo/a-seed:1.0.0", "registry.example.org/geo/a-seed:1.0", "Not A Name:1"])),
            ("blobs/two", json!(["geo/a-seed:2.0.0", "b:1"])),
            ("none.json", json!(null)),
        ])
        .open();
    source.ping().await.unwrap();
    assert_eq!(source.host(), "");
    assert_eq!(source.repositories().await.unwrap().items, ["b", "geo/a-seed"]);
    let (one, two) = (digest_of(&one), digest_of(&two));
    let listing = source.tags("geo/a-seed").await.unwrap();
    assert_eq!(pairs(&listing), [("1.0", Some(one.as_str())), ("1.0.0", Some(&one)), ("2.0.0", Some(&two))]);
    assert_eq!(source.digest("b", "1").await.unwrap(), Some(two.clone()));
    assert_eq!(source.look("b", "1").await.unwrap().unwrap().digest, two);
    assert_eq!(source.digest("b", "2").await.unwrap(), None);
    assert_eq!(source.tags("gone").await.unwrap().items, []);
    for (digest, label) in [(one, "one"), (two, "two")] {
        let FetchedContent::Image(configs) = source.fetch("geo/a-seed", &digest).await.unwrap() else {
            panic!("no image")
        };
        assert_eq!((configs[0].labels["k"].as_str(), configs[0].platform.as_str()), (label, "linux/amd64"));
        assert_eq!(configs[0].digest, digest);
    }
    let traffic = source.traffic();
    assert!(traffic.requests == 0 && (1..100_000).contains(&traffic.bytes), "layers are not read: {traffic:?}");
    let absent = digest_of(b"absent");
    assert_fails!(source.fetch("b", &absent).await, NotFound, absent, "demo.tar");
}

#[tokio::test]
async fn a_layout_in_the_archive_counts_more() {
    let config = config("one");
    let manifest = json!({
        "schemaVersion": 2, "mediaType": OCI_MANIFEST, "layers": [],
        "config": {"mediaType": OCI_CONFIG, "digest": digest_of(&config), "size": 1},
    });
    let manifest = manifest.to_string();
    let (at, digest) =
        (|bytes: &[u8]| format!("blobs/{}", digest_of(bytes).replace(':', "/")), digest_of(manifest.as_bytes()));
    let index = |annotations: Value| {
        let entry = json!({"mediaType": OCI_MANIFEST, "digest": digest, "size": 1, "annotations": annotations});
        json!({"schemaVersion": 2, "manifests": [entry]}).to_string()
    };
    let demo = |annotations: Value| {
        Demo::new()
            .add("oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#)
            .add(&at(&config), &config)
            .add(&at(manifest.as_bytes()), &manifest)
            .add("index.json", index(annotations))
            .saved(&[(&at(&config), json!(["geo/a-seed:1"]))])
    };
    let (source, _root) = demo(json!({"io.containerd.image.name": "r.example.org/geo/a-seed:1"})).open();
    assert_eq!(pairs(&source.tags("geo/a-seed").await.unwrap()), [("1", Some(digest.as_str()))]);
    let FetchedContent::Image(configs) = source.fetch("geo/a-seed", &digest).await.unwrap() else { panic!("no image") };
    assert_eq!((&configs[0].digest, configs[0].labels["k"].as_str()), (&digest_of(&config), "one"));
    let (source, _root) = demo(json!({"org.opencontainers.image.ref.name": "1"})).open();
    assert_eq!(source.repositories().await.unwrap().items, ["demo"], "a bare tag is called as the file");
    let (source, _root) = demo(json!({})).open();
    let listing = source.tags("geo/a-seed").await.unwrap();
    assert_eq!(pairs(&listing), [("1", Some(digest_of(&config).as_str()))], "an index without names does not tell");
}

#[tokio::test]
async fn what_skopeo_writes_is_read() {
    let root = TempDir::new().unwrap();
    let mut layout = LayoutBuilder::oci();
    layout.image("geo/a-seed:1.0.0", &[("k", "v")]);
    layout.write(&root.path().join("layout")).unwrap();
    let file = root.path().join("a.tar");
    let from = format!("oci:{}:geo/a-seed:1.0.0", root.path().join("layout").display());
    let to = format!("docker-archive:{}:geo/a-seed:1.0.0", file.display());
    output(Command::new("skopeo").args(["--insecure-policy", "copy", "--quiet", &from, &to]));
    let source = open(&file, root.path()).unwrap();
    assert_eq!(source.repositories().await.unwrap().items, ["geo/a-seed"]);
    let digest = source.digest("geo/a-seed", "1.0.0").await.unwrap().unwrap();
    let FetchedContent::Image(configs) = source.fetch("geo/a-seed", &digest).await.unwrap() else { panic!("no image") };
    assert_eq!(configs[0].labels["k"], "v");
}

#[tokio::test]
async fn only_archives_in_the_roots_are_read() {
    let demo = Demo::new();
    fs::write(demo.file(), "").unwrap();
    let elsewhere = TempDir::new().unwrap();
    let ping = async |file: &Path| open(file, elsewhere.path()).unwrap().ping().await;
    assert_fails!(ping(&demo.file()).await, Refused, "scan.layout_roots");
    assert_fails!(ping(Path::new("/etc/passwd")).await, Refused, "scan.layout_roots");
    let link = elsewhere.path().join("link.tar");
    std::os::unix::fs::symlink(demo.file(), &link).unwrap();
    assert_fails!(ping(&link).await, Refused, "scan.layout_roots");
    assert_fails!(ping(&elsewhere.path().join("no.tar")).await, NotFound, "does not exist");
    assert_fails!(ping(elsewhere.path()).await, Malformed, "is not a file");
    assert_fails!(open(Path::new("demo.tar"), elsewhere.path()).map(|_| ()), Refused, "absolute path");
}

#[tokio::test]
async fn what_is_no_archive_of_images_is_told() {
    let refused = async |bytes: &[u8]| {
        let (source, _root) = Demo::new().open_as(bytes);
        source.ping().await
    };
    assert_fails!(refused(b"").await, NotARegistry, "holds no images", "docker save");
    assert_fails!(refused(&[0x1f, 0x8b, 8, 0]).await, NotARegistry, "compressed", "gunzip");
    assert_fails!(refused(&[b'x'; 2000]).await, Malformed, "tar archive");
    assert_fails!(refused(&Demo::new().add("a", "b").bytes()).await, NotARegistry, "neither manifest.json");
    assert_fails!(refused(&Demo::new().add("manifest.json", "{").bytes()).await, Malformed, "manifest.json");
    let mut index_only = Demo::new().add("index.json", r#"{"manifests":[]}"#);
    assert_fails!(refused(&index_only.bytes()).await, NotARegistry, "neither");
    let mut lost = Demo::new().saved(&[("../../etc/passwd", json!(["a:1"]))]);
    assert_fails!(refused(&lost.bytes()).await, Malformed, "the config ../../etc/passwd, which is missing");
    let mut whole = Demo::new().saved(&[("c.json", json!(["a:1"]))]).add("c.json", vec![b' '; 5000]);
    let bytes = whole.bytes();
    assert_fails!(refused(&bytes[..bytes.len() - 4096]).await, Malformed, "is truncated");
}

#[tokio::test]
async fn links_and_large_things_in_it_are_not_followed() {
    let mut demo = Demo::new();
    let mut link = tar::Header::new_ustar();
    link.set_entry_type(tar::EntryType::Symlink);
    link.set_size(0);
    demo.tar.append_link(&mut link, "c.json", "/etc/passwd").unwrap();
    let (source, _root) = demo.saved(&[("c.json", json!(["a:1"]))]).open();
    assert_fails!(source.ping().await, Malformed, "which is missing");
    let large = Demo::new().add("c.json", vec![b' '; (8 << 20) + 1]).saved(&[("c.json", json!(["a:1"]))]);
    let (source, _root) = large.open();
    assert_fails!(source.ping().await, Malformed, "more than the 8388608 bytes");
    // The header announces a long name that exceeds the limit of what is read.
    let mut head = tar::Header::new_gnu();
    head.set_entry_type(tar::EntryType::GNULongName);
    head.set_path("././@LongLink").unwrap();
    head.set_size(1 << 30);
    head.set_cksum();
    let demo = Demo::new();
    fs::write(demo.file(), head.as_bytes()).unwrap();
    fs::OpenOptions::new().write(true).open(demo.file()).unwrap().set_len(1 << 31).unwrap();
    let source = open(&demo.file(), demo.root.path()).unwrap();
    assert_fails!(source.ping().await, Malformed, "more bytes than allowed");
}

#[tokio::test]
async fn an_archive_that_changes_under_way_is_noticed() {
    let one = config("one");
    let mut demo = Demo::new().add("c.json", &one).saved(&[("c.json", json!(["a:1"]))]);
    let bytes = demo.bytes();
    let (source, root) = demo.open_as(&bytes);
    source.ping().await.unwrap();
    let mut other = Demo::new().add("c.json", config("two")).saved(&[("c.json", json!(["a:1"]))]);
    fs::write(root.path().join("demo.tar"), other.bytes()).unwrap();
    let digest = digest_of(&one);
    assert_fails!(source.fetch("a", &digest).await, Malformed, "has content that does not match its digest");
}

#[tokio::test]
async fn an_archive_is_scanned_like_any_registry() {
    let silo = TestApp::start().await;
    let layout = silo.write_layout("jobs", &jobs(&[("my-job", "1.0.0", "0.1.0")]));
    let file = silo.folder().join("jobs.tar");
    let mut tar = tar::Builder::new(fs::File::create(&file).unwrap());
    tar.append_dir_all(".", layout).unwrap();
    tar.finish().unwrap();
    let form = json!({"name": "saved", "url": format!("file://{}", file.display())});
    let added = silo.admin().post("/api/v1/registries", form).await.expect(201).json();
    assert_eq!(added["kind"], "archive");
    silo.scan(added["id"].as_i64().unwrap()).await;
    let jobs = silo.anonymous().get("/jobs").await.expect(200).json();
    assert_eq!(jobs.as_array().unwrap().len(), 1, "{jobs}");
}
