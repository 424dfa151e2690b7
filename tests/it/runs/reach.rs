//! Isolation of runs: what they can reach of the engine, the host and the network.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::Mutex;
use serde_json::{Value, json};
use silo::app::{RequestedImage, RunForm};
use silo::engine::plan::container::NetworkMode;
use silo::seed::LABEL;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UnixListener, UnixStream};

use super::{Runs, WAITS, go, told};
use crate::support::app::TestApp;
use crate::support::docker_engine;
use crate::support::fake_registry::{FakeRegistry, Image};
use crate::support::manifest::of_job;
use crate::support::process::Engine;

/// A change of the host's files at the worst moment.
type Exchange = Box<dyn FnOnce() + Send>;

/// Content beside the folders that runs may use.
const SECRET: &str = "of-the-host";

/// A proxy socket to the engine; `tell` gets the first line of each request before it is forwarded.
async fn overheard(folder: &Path, tell: impl Fn(&str) + Send + Sync + 'static) -> String {
    let socket = folder.join("engine.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let engine = docker_engine::engine().await.host.trim_start_matches("unix://").to_owned();
    let tell = Arc::new(tell);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (mut ask, mut answer) = client.into_split();
            let (mut answers, mut asked) = UnixStream::connect(&engine).await.unwrap().into_split();
            tokio::spawn(async move { tokio::io::copy(&mut answers, &mut answer).await });
            let tell = Arc::clone(&tell);
            tokio::spawn(async move {
                let mut buffer = vec![0; 1 << 16];
                while let Ok(read @ 1..) = ask.read(&mut buffer).await {
                    let text = String::from_utf8_lossy(&buffer[..read]).into_owned();
                    let first = text.lines().next().unwrap_or_default();
                    if first.ends_with(" HTTP/1.1") {
                        tell(first);
                    }
                    if asked.write_all(&buffer[..read]).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    format!("unix://{}", socket.display())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_images_name_asks_the_engine_for_an_image_and_for_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let lines = Arc::clone(&heard);
    let address = overheard(folder.path(), move |line| lines.lock().push(line.to_owned())).await;
    let runs = Runs::with(Engine::Sqlite, &[("SILO__RUNS__ENGINE", &address)]).await;
    let known = runs.image("exit 0").await;
    runs.silo.post("/api/v1/runs?dry_run=true", json!({"image": known})).await.expect(200);
    for name in [
        "../containers/json?all=1&x=",
        "../info?x=",
        "../images/get?names=a:1&x=",
        "../../v1.40/secrets?x=",
        "../distribution/127.0.0.1:1/a",
        "x/../../networks#",
        "..%2fcontainers%2fjson",
        "%2e%2e/info",
        "a:1?x=1",
        "a:1#x",
        "a b",
    ] {
        heard.lock().clear();
        for path in ["/api/v1/runs?dry_run=true", "/api/v1/runs"] {
            let reply = runs.silo.post(path, json!({"image": name})).await;
            assert_eq!(reply.status, 400, "{name}: {:?}", reply.body);
            assert!(reply.body["detail"].as_str().unwrap().contains("names no image"), "{name}: {}", reply.body);
        }
        let asked = heard.lock().clone();
        let is_plain = |line: &String| ["/info ", "/version "].iter().any(|path| line.contains(path));
        assert!(asked.iter().all(is_plain), "{name}: the engine was asked {asked:?}");
    }
}

/// A service whose runs may use the host folder `root`, but not `host` beside it.
struct Shared {
    runs: Runs,
    folder: TempDir,
}

impl Shared {
    async fn with(options: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["root/d", "host"] {
            fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        fs::write(folder.path().join("host/f"), SECRET).unwrap();
        for name in ["root/f", "root/d/f"] {
            fs::write(folder.path().join(name), "inside").unwrap();
        }
        let root = folder.path().join("root").display().to_string();
        let roots = [("SILO__RUNS__INPUT_ROOTS", &*root), ("SILO__RUNS__MOUNT_ROOTS", &*root)];
        let runs = Runs::with(Engine::Sqlite, &[&roots[..], options].concat()).await;
        Self { runs, folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// An image of a job that writes to its mount.
    async fn image(&self, script: &str) -> String {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("reach-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let manifest = of_job(
            &name,
            json!({
                "timeout": 600,
                "interface": {
                    "inputs": {"files": [{"name": "FILE", "required": false}, {"name": "ALL", "required": false, "multiple": true}]},
                    "mounts": [{"name": "WORK", "path": "/data", "mode": "rw"}]
                }
            }),
        );
        let label = manifest.to_string();
        self.runs.engine.script(&format!("{name}-1.0.0-seed:1.0.0"), script, &[(LABEL, &label)]).await
    }

    async fn printed(&self, id: &str) -> String {
        // A run that never had a container has no log.
        let log = self.runs.silo.get(&format!("/api/v1/runs/{id}/logs/stdout")).await;
        log.body.as_str().unwrap_or_default().to_owned()
    }

    /// Asserts that nothing of the host is still mounted or copied for runs.
    fn holds_nothing(&self, record: &Value) {
        let folder = Path::new(record["folder"].as_str().unwrap());
        let runs =
            folder.ancestors().find(|folder| folder.ends_with("runs")).expect("runs live in a folder of their own");
        let mounted = fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounted.contains(runs.to_str().unwrap()), "{mounted}");
        for entry in fs::read_dir(runs).unwrap() {
            let path = entry.unwrap().path();
            let is_held = path.file_name().unwrap().to_str().unwrap().starts_with(".held-");
            assert!(!is_held || fs::read_dir(&path).unwrap().next().is_none(), "{}", path.display());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mount_that_was_exchanged_while_its_run_waits_is_not_mounted() {
    let mounted = Shared::with(&[("SILO__RUNS__WORKERS", "1")]).await;
    let image = mounted.image(&format!("cat /data/f; echo owned >/data/owned; {WAITS}")).await;
    let (first, output) = mounted.runs.begun(json!({"image": image, "mounts": {"WORK": mounted.path("root")}})).await;
    let form = json!({"image": image, "mounts": {"WORK": mounted.path("root/d")}});
    let (second, _) = told(&mounted.runs.submit(form).await);
    fs::rename(mounted.path("root/d"), mounted.path("root/away")).unwrap();
    symlink(mounted.path("host"), mounted.path("root/d")).unwrap();
    go(&output);
    let record = mounted.runs.ended(&second).await;
    assert_eq!(
        (&record["status"], &record["error"]["name"]),
        (&json!("failed"), &json!("missing-mount")),
        "{record:#}"
    );
    assert_eq!(record["attempts"].as_array().unwrap().len(), 1, "it is no use to try again: {record:#}");
    assert!(!mounted.path("host/owned").exists());
    // A mount of the root itself is written as before, and the record has the submitted path.
    let record = mounted.runs.ended(&first).await;
    assert_eq!(record["status"], "successful", "{record:#}");
    assert_eq!(fs::read_to_string(mounted.path("root/owned")).unwrap(), "owned\n");
    assert_eq!(record["given"]["mounts"]["WORK"], json!(mounted.path("root").canonicalize().unwrap()));
    mounted.holds_nothing(&record);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inputs_and_mounts_are_those_that_were_checked_whatever_is_there_when_they_are_bound() {
    let socket = tempfile::tempdir().unwrap();
    let meanwhile: Arc<Mutex<Option<Exchange>>> = Arc::default();
    let due = Arc::clone(&meanwhile);
    let tell = move |line: &str| {
        if line.contains("/containers/create")
            && let Some(exchange) = due.lock().take()
        {
            exchange();
        }
    };
    let address = overheard(socket.path(), tell).await;
    let mounted = Shared::with(&[("SILO__RUNS__ENGINE", &address)]).await;
    let image = mounted.image("cat $FILE $ALL/* /data/f; echo owned >/data/owned").await;
    let [f, d, away, host] = ["root/f", "root/d", "root/away", "host"].map(|name| mounted.path(name));
    let files = json!({"FILE": {"path": f}, "ALL": {"path": d}});
    let form = json!({"image": image, "files": files, "mounts": {"WORK": d}});
    let exchange = move || {
        // A deleted file cannot be bound any more; then the run fails, without harm.
        fs::rename(&f, f.with_extension("away")).unwrap();
        symlink(host.join("f"), &f).unwrap();
        fs::rename(&d, &away).unwrap();
        symlink(&host, &d).unwrap();
    };
    *meanwhile.lock() = Some(Box::new(exchange));
    let (id, _) = told(&mounted.runs.submit(form).await);
    let record = mounted.runs.ended(&id).await;
    assert!(meanwhile.lock().is_none(), "nothing was exchanged: {record:#}");
    assert_eq!(mounted.printed(&id).await, "insideinsideinside", "{record:#}");
    assert_eq!(record["status"], "successful", "{record:#}");
    assert_eq!(fs::read_to_string(mounted.path("root/away/owned")).unwrap(), "owned\n");
    assert!(!mounted.path("host/owned").exists());
    // The record has the submitted paths.
    assert!(record["dockerRun"].as_str().unwrap().contains("root/d,target=/data"), "{record:#}");
    mounted.holds_nothing(&record);
}

/// The engine at a TCP address, as one that does not see this machine's mounts.
async fn far_away() -> String {
    let engine = docker_engine::engine().await.host.trim_start_matches("unix://").to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("tcp://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut engine = UnixStream::connect(&engine).await.unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut client, &mut engine).await });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_does_not_see_our_mounts_gets_copies_and_whole_roots() {
    let address = far_away().await;
    let mounted = Shared::with(&[("SILO__RUNS__ENGINE", &address)]).await;
    let image = mounted.image("cat $FILE $ALL/* /data/f; echo owned >/data/owned").await;
    let files = json!({"FILE": {"path": mounted.path("root/f")}, "ALL": {"path": mounted.path("root/d")}});
    let form = json!({"image": image, "files": files, "mounts": {"WORK": mounted.path("root/d")}});
    let reply = mounted.runs.silo.post("/api/v1/runs", form).await;
    assert!(reply.status == 400 && reply.body.to_string().contains("itself in runs.mount_roots"), "{:?}", reply.body);
    let form = json!({"image": image, "files": files, "mounts": {"WORK": mounted.path("root")}});
    let (id, _) = told(&mounted.runs.submit(form).await);
    let record = mounted.runs.ended(&id).await;
    assert_eq!(record["status"], "successful", "{record:#}");
    assert_eq!(mounted.printed(&id).await, "insideinsideinside");
    assert_eq!(fs::read_to_string(mounted.path("root/owned")).unwrap(), "owned\n");
    assert_eq!(fs::read_to_string(mounted.path("root/f")).unwrap(), "inside");
    mounted.holds_nothing(&record);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_silos_own_is_not_for_runs() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().display().to_string();
    let data = folder.path().join("data").display().to_string();
    let options = [("SILO__RUNS__INPUT_ROOTS", &*root), ("SILO__RUNS__MOUNT_ROOTS", &*root), ("SILO_DATA", &*data)];
    let runs = Runs::with(Engine::Sqlite, &options).await;
    let image = runs.image("exit 0").await;
    for path in [root.clone(), data.clone(), format!("{data}/seal.key")] {
        assert!(Path::new(&path).exists(), "{path}");
        let reply = runs.silo.post("/api/v1/runs", json!({"image": image, "files": {"FILE": {"path": path}}})).await;
        assert!(reply.status == 400 && reply.body.to_string().contains("runs may use"), "{path}: {:?}", reply.body);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_fails_without_a_network_is_told_so() {
    let runs = Runs::on(Engine::Sqlite).await;
    let image = runs.image("exit 3").await;
    let (id, _) = told(&runs.submit(json!({"image": image})).await);
    let record = runs.ended(&id).await;
    assert_eq!((&record["status"], &record["container"]["network"]), (&json!("failed"), &json!("none")), "{record:#}");
    assert!(record["warnings"].to_string().contains("had no network"), "{record:#}");
    assert_eq!(record["container"]["memory"], json!(2048_u64 << 20), "nobody said how much it needs");
    let well = runs.image("exit 0").await;
    let (id, _) = told(&runs.submit(json!({"image": well})).await);
    assert_eq!(runs.ended(&id).await["warnings"], json!([]));
}

#[tokio::test]
async fn jobs_of_registries_that_the_operator_names_have_a_network() {
    let silo = TestApp::with().set("SILO__RUNS__ENGINE", "unix:///no/such/engine.sock");
    let silo = silo.set("SILO__RUNS__BRIDGE_REGISTRIES", "trusted").start().await;
    let token = format!("Token {}", silo.admin_token().await);
    let session = silo.app.authenticate(Some(&token)).await.expect("the admin");
    for (name, expected) in [("trusted", NetworkMode::Bridge), ("other", NetworkMode::None)] {
        let registry = FakeRegistry::start().await;
        let manifest = of_job(name, json!({}));
        let image = Image::new().label(LABEL, manifest.to_string());
        registry.push(&format!("geo/{name}-1.0.0-seed"), "1.0.0", &image);
        let form = json!({"name": name, "url": registry.url(), "org": "geo"});
        let added = silo.admin().post("/registries/add", form).await.expect(201);
        silo.scan(added.json()["ID"].as_i64().unwrap()).await;
        let reference = format!("{}/geo/{name}-1.0.0-seed:1.0.0", registry.host());
        let form = RunForm { image: RequestedImage::Reference(reference), ..RunForm::default() };
        let planned = silo.app.run_plan(&session, &form).await.expect("it can be planned");
        assert_eq!(planned.plan.container.network, expected, "{name}");
    }
}
