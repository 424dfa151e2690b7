//! Real container engines: the Docker Engine that `tests/run` starts, and engines started by a test: dockerd with other
//! options or to be killed, and Podman.
//!
//! Images are built from Debian's static busybox only, as nothing can be pulled.

use std::collections::HashMap;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use bollard::auth::DockerCredentials;
use bollard::query_parameters::{
    BuildImageOptionsBuilder, ListContainersOptionsBuilder, PushImageOptions, RemoveImageOptions,
    TagImageOptionsBuilder,
};
use futures_util::{StreamExt as _, TryStreamExt as _};
use serde_json::Value;
use silo::engine::docker::DockerClient;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Mutex, watch};

use super::needs;
use super::process::PATIENCE;

/// Prints `begun`, and waits for the file `go` in its output directory.
pub(crate) const WAITS: &str =
    "echo begun; echo once >>$OUTPUT_DIR/begun; while [ ! -e $OUTPUT_DIR/go ]; do sleep 0.05; done; echo gone on";

/// Holds [`BURNT`] bytes of memory and burns time until the file `go` is in its output directory.
pub(crate) const BURNS: &str = "burnt=$(head -c 33554432 /dev/zero | tr '\\0' a); echo once >>$OUTPUT_DIR/begun; \
    while [ ! -e $OUTPUT_DIR/go ]; do :; done; echo ${#burnt}";
pub(crate) const BURNT: u64 = 33_554_432;

/// Waits until a file exists. It polls, because the job is in a container and cannot notify.
pub(crate) async fn there(path: &Path) {
    let began = Instant::now();
    while !path.exists() {
        assert!(began.elapsed() < PATIENCE, "{} does not come", path.display());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Byte sequences replaced by others of the same length on the way to an engine, or from it.
type Exchange = Option<[&'static [u8]; 2]>;

/// A proxy socket to an engine that hides `OOMKilled` in container states, as if the engine learned of it too late.
/// Counts the replaced states.
pub(crate) fn late_to_hear(host: &str, folder: &Path) -> (String, Arc<AtomicU32>) {
    exchanging(host, folder, None, Some([br#""OOMKilled":true"#, br#""OOMKilled":null"#]))
}

/// A proxy socket to an engine that drops the standard error of containers. Counts the requests for it.
pub(crate) fn deaf_to_errors(host: &str, folder: &Path) -> (String, Arc<AtomicU32>) {
    exchanging(host, folder, Some([b"stderr=true", b"stderr=0&a="]), None)
}

/// A proxy socket to an engine that does not know the request for statistics. Counts these requests.
pub(crate) fn without_statistics(host: &str, folder: &Path) -> (String, Arc<AtomicU32>) {
    exchanging(host, folder, Some([b"/stats?", b"/stat5?"]), None)
}

fn exchanging(host: &str, folder: &Path, asked: Exchange, answered: Exchange) -> (String, Arc<AtomicU32>) {
    let socket = folder.join("exchanging.sock");
    let listener = UnixListener::bind(&socket).expect("a socket");
    let (engine, exchanged) = (host.trim_start_matches("unix://").to_owned(), Arc::new(AtomicU32::new(0)));
    let count = Arc::clone(&exchanged);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (ask, answer) = client.into_split();
            let (answers, asks) = UnixStream::connect(&engine).await.expect("the engine has a socket").into_split();
            tokio::spawn(pass(ask, asks, asked, Arc::clone(&count)));
            tokio::spawn(pass(answers, answer, answered, Arc::clone(&count)));
        }
    });
    (format!("unix://{}", socket.display()), exchanged)
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, exchange: Exchange, count: Arc<AtomicU32>) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let bytes = &mut buffer[..read];
        if let Some([old, new]) = exchange
            && let Some(at) = bytes.windows(old.len()).position(|window| window == old)
        {
            bytes[at..at + old.len()].copy_from_slice(new);
            count.fetch_add(1, Ordering::Relaxed);
        }
        if to.write_all(bytes).await.is_err() {
            return;
        }
    }
}

/// A proxy socket to an engine that can be cut: open connections break, and new ones are refused, until it is mended.
/// Ends with the test's runtime.
pub(crate) struct CutSocket {
    /// The address for `DOCKER_HOST`.
    pub host: String,
    is_open: watch::Sender<bool>,
    _folder: TempDir,
}

impl CutSocket {
    pub(crate) fn to(engine: &DockerEngine) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = folder.path().join("docker.sock");
        let listener = UnixListener::bind(&socket).expect("a socket");
        // Any user can connect, as if in the engine's group.
        for (path, mode) in [(folder.path(), 0o755), (&*socket, 0o666)] {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is ours");
        }
        let (is_open, gate) = watch::channel(true);
        let engine = engine.host.trim_start_matches("unix://").to_owned();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let (mut gate, engine) = (gate.clone(), engine.clone());
                tokio::spawn(async move {
                    if !*gate.borrow_and_update() {
                        return;
                    }
                    let Ok(mut server) = UnixStream::connect(engine).await else { return };
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
                        _ = gate.wait_for(|is_open| !is_open) => {}
                    }
                });
            }
        });
        Self { host: format!("unix://{}", socket.display()), is_open, _folder: folder }
    }

    pub(crate) fn cut(&self) {
        self.is_open.send_replace(false);
    }

    pub(crate) fn mend(&self) {
        self.is_open.send_replace(true);
    }
}

/// Base image of all test images.
pub(crate) const BASE: &str = "silo-test/busybox";

const BASE_DOCKERFILE: &str =
    "FROM scratch\nCOPY busybox /bin/busybox\nRUN [\"/bin/busybox\", \"--install\", \"-s\", \"/bin\"]\n";
/// Timeout for the start of an engine, which usually takes half a second.
const START_LIMIT: Duration = Duration::from_secs(60);

/// A container engine.
#[derive(Clone)]
pub(crate) struct DockerEngine {
    /// The address for `DOCKER_HOST`.
    pub host: String,
    /// A client for direct access, without SILO.
    pub client: bollard::Docker,
    own: Option<Arc<Own>>,
}

/// An engine process owned by a test.
struct Own {
    folder: TempDir,
    program: Program,
    child: parking_lot::Mutex<Child>,
}

/// The program of an engine owned by a test.
#[derive(Clone, Copy)]
enum Program {
    /// With additional options.
    Dockerd(&'static [&'static str]),
    Podman,
    /// Rootless Podman of a user.
    RootlessPodman(u32),
}

impl Program {
    /// The user id; `None`: root.
    fn user(self) -> Option<u32> {
        match self {
            Self::RootlessPodman(user) => Some(user),
            Self::Dockerd(_) | Self::Podman => None,
        }
    }
}

/// The engine that all tests share.
#[expect(clippy::disallowed_methods, reason = "how tests/run tells where its engine is")]
pub(crate) async fn engine() -> DockerEngine {
    static BASE_BUILT: Mutex<bool> = Mutex::const_new(false);
    needs::check("docker");
    let host = std::env::var("SILO_TEST_DOCKER_HOST")
        .expect("SILO_TEST_DOCKER_HOST is not set: run tests/run, which starts a Docker Engine");
    let engine = DockerEngine { client: connect(&host), host, own: None };
    let mut built = BASE_BUILT.lock().await;
    if !*built {
        engine.build_base().await;
        *built = true;
    }
    drop(built);
    engine
}

impl DockerEngine {
    /// A dockerd for one test, with the base image. It ends when the last clone is dropped.
    pub(crate) async fn start() -> Self {
        Self::with(&[]).await
    }

    /// The same with additional options of dockerd.
    pub(crate) async fn with(options: &'static [&'static str]) -> Self {
        Self::launched(Program::Dockerd(options)).await
    }

    /// A Podman for one test.
    pub(crate) async fn podman() -> Self {
        Self::launched(Program::Podman).await
    }

    /// A rootless Podman for one test: root in its containers is that user, other users are mapped to unused ids.
    pub(crate) async fn rootless_podman(user: u32) -> Self {
        Self::launched(Program::RootlessPodman(user)).await
    }

    async fn launched(program: Program) -> Self {
        needs::check(if let Program::Dockerd(_) = program { "docker" } else { "podman" });
        needs::check("root");
        let folder = tempfile::tempdir().expect("a folder for the engine");
        if let Program::RootlessPodman(user) = program {
            prepare_rootless(folder.path(), user);
        }
        let host = format!("unix://{}/docker.sock", folder.path().display());
        let child = parking_lot::Mutex::new(launch(folder.path(), program).await);
        let engine = Self { client: connect(&host), host, own: Some(Arc::new(Own { folder, program, child })) };
        engine.build_base().await;
        engine
    }

    /// Kills the engine, as a crash does: its containers go on, and requests fail.
    pub(crate) fn kill(&self) {
        let mut child = self.own.as_ref().expect("the tests' common engine is not to be killed").child.lock();
        child.kill().and_then(|()| child.wait()).expect("our own child can be killed");
    }

    /// Stops the engine gracefully, as before an upgrade: without live-restore it stops its containers first.
    pub(crate) async fn stop(&self) {
        let own = self.own.clone().expect("the tests' common engine is not to be stopped");
        let ended = tokio::task::spawn_blocking(move || {
            let mut child = own.child.lock();
            _ = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
            child.wait()
        });
        ended.await.expect("a thread").expect("our own child can be waited for");
    }

    /// Starts it again after [`DockerEngine::kill`] or [`DockerEngine::stop`].
    pub(crate) async fn start_again(&self) {
        let own = self.own.as_ref().expect("one of the test's own");
        let child = launch(own.folder.path(), own.program).await;
        *own.child.lock() = child;
    }

    /// SILO's client of the engine.
    pub(crate) async fn open(&self) -> DockerClient {
        DockerClient::open(Some(&self.host)).await.expect("the engine answers")
    }

    async fn build_base(&self) {
        let busybox = fs::read("/bin/busybox").expect("busybox is there: tests/run installs busybox-static");
        let files = [("Dockerfile", BASE_DOCKERFILE.as_bytes()), ("busybox", &busybox)];
        self.build(BASE, &tar(&files), &HashMap::new()).await;
    }

    /// Builds an image whose entry point is a shell script, which gets the container's arguments; `labels` may be
    /// empty.
    pub(crate) async fn script(&self, name: &str, script: &str, labels: &[(&str, &str)]) -> String {
        self.script_of(name, script, labels, "0").await
    }

    /// The same for an image with this USER.
    pub(crate) async fn script_of(&self, name: &str, script: &str, labels: &[(&str, &str)], user: &str) -> String {
        let name = format!("silo-test/{name}");
        let entry = "ENTRYPOINT [\"/bin/sh\", \"/job.sh\"]";
        let dockerfile = format!("FROM {BASE}\nCOPY job.sh /job.sh\nUSER {user}\n{entry}\n");
        let context = tar(&[("Dockerfile", dockerfile.as_bytes()), ("job.sh", script.as_bytes())]);
        self.build(&name, &context, &labels.iter().copied().collect()).await;
        name
    }

    /// Adds a tag to an image.
    pub(crate) async fn tag(&self, image: &str, repository: &str, tag: &str) {
        let options = TagImageOptionsBuilder::default().repo(repository).tag(tag).build();
        self.client.tag_image(image, Some(options)).await.expect("the engine has the image");
    }

    /// Builds a context, with the build argument `BASE`.
    pub(crate) async fn build(&self, name: &str, context: &[u8], labels: &HashMap<&str, &str>) {
        let options = BuildImageOptionsBuilder::default()
            .t(name)
            .labels(labels)
            .buildargs(&HashMap::from([("BASE", BASE)]))
            .networkmode("none")
            .rm(true)
            .forcerm(true)
            .build();
        let body = bollard::body_full(context.to_vec().into());
        let mut steps = self.client.build_image(options, None, Some(body));
        let mut said = String::new();
        while let Some(step) = steps.next().await {
            let step = step.unwrap_or_else(|why| panic!("{name} cannot be built: {why}\n{said}"));
            if let Some(error) = step.error_detail {
                panic!("{name} cannot be built: {error:?}\n{said}");
            }
            said += &step.stream.unwrap_or_default();
        }
    }

    /// Tags and pushes an image, and removes that tag at the engine. `account`: user and password.
    pub(crate) async fn push(&self, image: &str, reference: &str, account: Option<(&str, &str)>) {
        let (repository, tag) = reference.rsplit_once(':').expect("references are repository:tag");
        let options = TagImageOptionsBuilder::default().repo(repository).tag(tag).build();
        self.client.tag_image(image, Some(options)).await.expect("the engine has the image");
        let credentials = account.map(|(user, password)| DockerCredentials {
            username: Some(user.to_owned()),
            password: Some(password.to_owned()),
            ..DockerCredentials::default()
        });
        let options = PushImageOptions { tag: Some(tag.to_owned()), ..PushImageOptions::default() };
        let pushed = self.client.push_image(repository, Some(options), credentials);
        pushed.try_collect::<Vec<_>>().await.unwrap_or_else(|why| panic!("{reference} cannot be pushed: {why}"));
        self.remove_image(reference).await;
    }

    /// Removes a tag of an image, and with the last tag the image.
    pub(crate) async fn remove_image(&self, name: &str) {
        let removed = self.client.remove_image(name, None::<RemoveImageOptions>, None).await;
        removed.unwrap_or_else(|why| panic!("{name} cannot be removed: {why}"));
    }

    /// The ids of all containers with a label `KEY=VALUE`.
    pub(crate) async fn containers(&self, label: &str) -> Vec<String> {
        let filters = HashMap::from([("label", vec![label])]);
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let listed = self.client.list_containers(Some(options)).await.expect("the engine answers");
        listed.into_iter().filter_map(|container| container.id).collect()
    }

    /// Waits until this many containers have a label. It polls, as the engine removes containers in the background.
    pub(crate) async fn until_containers(&self, label: &str, number: usize) -> Vec<String> {
        let began = Instant::now();
        loop {
            let found = self.containers(label).await;
            if found.len() == number {
                return found;
            }
            assert!(
                began.elapsed() < super::process::PATIENCE,
                "{number} containers with {label}? There are {found:?}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await; // because the engine does not report removals
        }
    }

    /// Waits until the engine reports the container with a label as running, which is a little after it starts.
    pub(crate) async fn until_running(&self, label: &str) {
        let began = Instant::now();
        let filters = HashMap::from([("label", vec![label]), ("status", vec!["running"])]);
        loop {
            let options = ListContainersOptionsBuilder::default().filters(&filters).build();
            if self.client.list_containers(Some(options)).await.is_ok_and(|found| !found.is_empty()) {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "no container with {label} runs");
            tokio::time::sleep(Duration::from_millis(20)).await; // because the engine does not report it
        }
    }

    /// The engine's description of a container.
    pub(crate) async fn inspect(&self, id: &str) -> Value {
        let about = self.client.inspect_container(id, None).await.expect("the container is there");
        serde_json::to_value(about).expect("what came as JSON can become JSON")
    }
}

/// Removes a tag of an image at an engine.
pub(crate) async fn remove(engine: &DockerEngine, image: &str) {
    let options = None::<bollard::query_parameters::RemoveImageOptions>;
    engine.client.remove_image(image, options, None).await.expect("it is there");
}

/// An image as written by `docker save`.
pub(crate) async fn save(engine: &DockerEngine, image: &str) -> Vec<u8> {
    let mut pieces = Box::pin(engine.client.export_image(image));
    let mut bytes = Vec::new();
    while let Some(piece) = pieces.next().await {
        bytes.extend_from_slice(&piece.expect("the engine has it"));
    }
    bytes
}

/// First of the host user ids to which users in containers are mapped.
const MAPPED: u32 = 1_000_000;
/// Runs a program as a user with a name and subordinate ids: only that program sees the files that define them.
const AS_NAMED_USER: &str = r#"
for name in passwd subuid subgid; do
    [ -e "/etc/$name" ] || : >"/etc/$name"
    mount --bind "$1/$name" "/etc/$name"
done
user=$2
shift 2
exec setpriv --reuid="$user" --regid="$user" --clear-groups "$@""#;

/// Prepares a folder for a user's Podman, and changes its owner to that user.
fn prepare_rootless(folder: &Path, user: u32) {
    let users = fs::read_to_string("/etc/passwd").expect("it is there");
    let home = folder.display();
    let names = format!("{users}silo-engine:x:{user}:{user}::{home}:/bin/sh\n");
    let numbers = format!("silo-engine:{MAPPED}:65536\n");
    for (name, text) in [("passwd", &names), ("subuid", &numbers), ("subgid", &numbers)] {
        fs::write(folder.join(name), text).expect("a file in our folder");
    }
    std::os::unix::fs::chown(folder, Some(user), Some(user)).expect("the tests are run as root");
}

/// Podman with all its state in a folder.
fn podman(folder: &Path, user: Option<u32>) -> Command {
    let mut command = Command::new(if user.is_some() { "unshare" } else { "podman" });
    if let Some(user) = user {
        command.args(["--mount", "sh", "-ec", AS_NAMED_USER, "sh"]).arg(folder).args([&user.to_string(), "podman"]);
        // A storage driver that needs no privileges.
        command.args(["--storage-driver", "vfs"]).env("HOME", folder).env("XDG_RUNTIME_DIR", folder);
    }
    // Its monitors (conmon) write a file `oom` to the working directory.
    command.current_dir(folder);
    for (option, name) in [("--root", "data"), ("--runroot", "run"), ("--tmpdir", "tmp")] {
        command.arg(option).arg(folder.join(name));
    }
    command.args(["--cgroup-manager", "cgroupfs", "--events-backend", "file"]);
    // Podman's default limits exceed those of machines that are containers themselves.
    let config = folder.join("containers.conf");
    let limits = "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\n";
    fs::write(&config, limits).expect("a file in our folder");
    command.env("CONTAINERS_CONF", config);
    command
}

fn connect(host: &str) -> bollard::Docker {
    bollard::Docker::connect_with_socket(host, 120, bollard::API_DEFAULT_VERSION).expect("the engine has a socket")
}

/// A build context.
pub(crate) fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o755);
        archive.append_data(&mut header, name, *bytes).expect("memory takes it");
    }
    archive.into_inner().expect("memory takes it")
}

async fn launch(folder: &Path, program: Program) -> Child {
    let mut command = match program {
        Program::Dockerd(options) => {
            let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dockerd"));
            command.arg(folder).args(options);
            command
        }
        Program::Podman | Program::RootlessPodman(_) => {
            let log = File::create(folder.join("docker.log")).expect("a log");
            let mut command = podman(folder, program.user());
            command.args(["system", "service", "--time", "0"]).arg(format!("unix://{}/docker.sock", folder.display()));
            // Of another user it is two processes, of which the second one may outlive the first.
            command.process_group(0).stdout(log.try_clone().expect("a log")).stderr(log);
            command
        }
    };
    let mut child = command.spawn().expect("it can be started: tests/run installs docker.io and podman");
    let began = Instant::now();
    let socket = folder.join("docker.sock");
    loop {
        // The socket of a killed engine still exists.
        if socket.exists() && connect(&socket.display().to_string()).ping().await.is_ok() {
            return child;
        }
        let log = || fs::read_to_string(folder.join("docker.log")).unwrap_or_default();
        assert!(child.try_wait().expect("our own child").is_none(), "dockerd ends: {}", log());
        assert!(began.elapsed() < START_LIMIT, "dockerd does not answer: {}", log());
        tokio::time::sleep(Duration::from_millis(50)).await; // because dockerd does not report when it listens
    }
}

impl Drop for Own {
    /// A killed dockerd left a containerd: the next dockerd takes it over, and stops it gracefully.
    fn drop(&mut self) {
        let child = self.child.get_mut();
        if !matches!(child.try_wait(), Ok(None)) {
            let (folder, program) = (self.folder.path().to_owned(), self.program);
            let again = std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                runtime.expect("a runtime").block_on(launch(&folder, program))
            });
            match again.join() {
                Ok(started) => *child = started,
                Err(_) => return eprintln!("an engine's containerd stays behind: {:?}", self.folder.path()),
            }
        }
        if matches!(self.program, Program::Podman | Program::RootlessPodman(_)) {
            _ = podman(self.folder.path(), self.program.user())
                .args(["rm", "--all", "--force", "--time", "0"])
                .output();
        }
        _ = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
        _ = child.wait();
        if self.program.user().is_some() {
            _ = Command::new("kill").args(["-KILL", "--", &format!("-{}", child.id())]).stderr(Stdio::null()).status();
        }
        // Holds the namespace of its users.
        if let Ok(process) = fs::read_to_string(self.folder.path().join("tmp/pause.pid")) {
            _ = Command::new("kill").args(["-KILL", process.trim()]).status();
        }
        // Mounts left by an engine would keep the folder from being removed.
        for mount in ["data", "data/overlay"] {
            _ = Command::new("umount").args(["--quiet", "--recursive"]).arg(self.folder.path().join(mount)).status();
        }
    }
}
