//! The program as a child process: started as an operator starts it, and used over HTTP and by its own commands.
//!
//! Each has its own folder and environment, isolated from this machine's. Dropping it kills the child, by its handle,
//! and removes the folder.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{Connection as _, Executor as _, PgConnection};
use tempfile::TempDir;

use super::needs;
use super::postgres::{self, TestDatabase};

/// Timeout of waits in tests. Nothing takes a second on an idle machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// The first admin's password, unless a test removes it.
pub(crate) const PASSWORD: &str = "correct horse battery staple";
/// The welcome ends with this command.
const LAST_OF_WELCOME: &str = "  silo search ";

/// The database engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    Sqlite,
    Postgres,
}

/// Makes two tests of each scenario, an `async fn` that takes an [`Engine`]: one per engine.
macro_rules! on_both {
    ($($scenario:ident),+ $(,)?) => {$(
        mod $scenario {
            use $crate::support::process::Engine;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                super::$scenario(Engine::Sqlite).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                super::$scenario(Engine::Postgres).await;
            }
        }
    )+};
}
pub(crate) use on_both;

/// Configuration of a process.
pub(crate) struct Setup {
    folder: TempDir,
    database: Option<Arc<TestDatabase>>,
    environment: BTreeMap<String, String>,
    arguments: Vec<String>,
    /// The user id; `None`: as this process.
    user: Option<u32>,
}

/// A running service.
pub(crate) struct Silo {
    setup: Setup,
    child: Option<Child>,
    /// The welcome that it printed.
    pub welcome: String,
    url: String,
    token: String,
    http: reqwest::Client,
}

/// Result of a program.
#[derive(Debug)]
pub(crate) struct Exit {
    /// `None`: ended by a signal.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// A reply; the body is null if it is empty, and a string if it is not JSON.
#[derive(Debug)]
pub(crate) struct Reply {
    pub status: u16,
    pub body: Value,
}

impl Setup {
    /// On SQLite, with scans only on request.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder for the service");
        let environment = [("SILO_ADMIN_PASSWORD", PASSWORD), ("SILO__SCAN__SCHEDULE", "off")];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let setup = Self { folder, database: None, environment, arguments: Vec::new(), user: None };
        let data = setup.data().display().to_string();
        setup.env("SILO_DATA", data)
    }

    /// Without any configuration.
    fn bare() -> Self {
        Self::new().without("SILO_ADMIN_PASSWORD").without("SILO__SCAN__SCHEDULE")
    }

    pub(crate) async fn on(engine: Engine) -> Self {
        let mut setup = Self::new();
        if engine == Engine::Postgres {
            let database = postgres::database().await;
            setup = setup.env("DATABASE_URL", database.url());
            setup.database = Some(Arc::new(database));
        }
        setup
    }

    /// The same with another folder: another process on the same database.
    pub(crate) fn beside(&self) -> Self {
        let other = Self::new();
        let mut environment = self.environment.clone();
        environment.extend(other.environment);
        Self { environment, database: self.database.clone(), arguments: self.arguments.clone(), ..other }
    }

    /// The address of the PostgreSQL database, if any.
    pub(crate) fn database_url(&self) -> Option<String> {
        self.database.as_ref().map(|database| database.url())
    }

    /// Sets an environment variable.
    pub(crate) fn env(mut self, name: &str, value: impl ToString) -> Self {
        self.environment.insert(name.to_owned(), value.to_string());
        self
    }

    /// Removes an environment variable.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.environment.remove(name);
        self
    }

    /// Runs it as a user id without a name or groups. The folder's owner is changed to it.
    pub(crate) fn run_by(mut self, user: u32) -> Self {
        needs::check("root");
        std::os::unix::fs::chown(self.folder.path(), Some(user), Some(user)).expect("the tests are run as root");
        // A link or copy in a folder that the user can access: the checkout may be private.
        let (built, own) = (env!("CARGO_BIN_EXE_silo"), self.program());
        fs::hard_link(built, &own).or_else(|_| fs::copy(built, &own).map(drop)).expect("a program of its own");
        self.user = Some(user);
        self
    }

    fn program(&self) -> PathBuf {
        self.folder.path().join("silo")
    }

    pub(crate) fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Sets a request timeout of three seconds: short, but long enough for a reply on a busy machine.
    pub(crate) fn impatient(self) -> Self {
        self.env("SILO__SCAN__REQUEST_TIMEOUT_SECONDS", 3).env("SILO__SCAN__TRIES", 1)
    }

    /// The data folder, created by the service.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Starts the service. Returns when it listens.
    pub(crate) async fn start(self) -> Silo {
        let http = reqwest::Client::builder().no_proxy().no_gzip().timeout(PATIENCE);
        silo::registry::install_tls();
        let mut silo = Silo {
            setup: self,
            child: None,
            welcome: String::new(),
            url: String::new(),
            token: String::new(),
            http: http.build().expect("a plain client can be built"),
        };
        silo.launch().await;
        silo
    }

    /// Starts a service that must fail to start.
    pub(crate) async fn start_error(&self) -> Exit {
        match self.launch().await {
            Err(exit) => exit,
            Ok((mut child, welcome)) => {
                child.kill().and_then(|()| child.wait()).expect("our own child can be killed");
                panic!("it started: {welcome}")
            }
        }
    }

    /// The program with this environment only.
    pub(crate) fn command(&self) -> Command {
        let mut command = match self.user {
            None => Command::new(env!("CARGO_BIN_EXE_silo")),
            Some(user) => {
                use std::os::unix::process::CommandExt as _;
                let mut command = Command::new(self.program());
                command.uid(user).gid(user);
                command
            }
        };
        command.current_dir(self.folder.path()).env_clear().env("PATH", "/usr/bin:/bin").envs(&self.environment);
        command
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// The child and its welcome, or how it ended.
    async fn launch(&self) -> Result<(Child, String), Exit> {
        let log = File::options().create(true).append(true).open(self.log()).expect("a log in our own folder");
        let before = fs::metadata(self.log()).map_or(0, |log| log.len() as usize);
        let mut command = self.command();
        command.args(["serve", "--listen", "127.0.0.1:0"]).args(&self.arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().expect("cargo built the program");
        let lines = BufReader::new(child.stdout.take().expect("standard output is piped")).lines();
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let read = move || {
            let mut said = String::new();
            // The thread drops its sender when the program ends.
            while let Ok(line) = receiver.recv_timeout(PATIENCE) {
                let is_last = line.contains(LAST_OF_WELCOME);
                said = said + &line + "\n";
                if is_last {
                    return Ok(said);
                }
            }
            Err(said)
        };
        match tokio::task::spawn_blocking(read).await.expect("reading lines does not panic") {
            Ok(welcome) => Ok((child, welcome)),
            Err(stdout) => {
                let code = ended(&mut child).await;
                let log = fs::read_to_string(self.log()).unwrap_or_default();
                Err(Exit { code, stdout, stderr: log[before..].to_owned() })
            }
        }
    }
}

impl Silo {
    async fn launch(&mut self) {
        assert!(self.child.is_none(), "it runs already");
        let (child, welcome) = self.setup.launch().await.unwrap_or_else(|exit| panic!("it does not start: {exit:?}"));
        self.child = Some(child);
        let (_, rest) = welcome.split_once("http://").expect("the welcome names the address");
        let address = rest.split_whitespace().next().expect("an address is a word");
        self.url = format!("http://{address}");
        self.welcome = welcome;
        if self.token.is_empty() && self.setup.environment.contains_key("SILO_ADMIN_PASSWORD") {
            self.token = self.login("admin", PASSWORD).await;
        }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.setup.data()
    }

    /// Changes the database directly.
    pub(crate) async fn change_database(&self, statement: &'static str) {
        match &self.setup.database {
            Some(database) => {
                let mut connection = PgConnection::connect_with(&database.options()).await.expect("it can be opened");
                connection.execute("SET search_path TO silo").await.expect("it is there");
                connection.execute(statement).await.expect("it can be changed");
            }
            None => {
                let options = SqliteConnectOptions::new().filename(self.data().join("silo.db"));
                let mut connection = SqliteConnection::connect_with(&options).await.expect("it can be opened");
                connection.execute(statement).await.expect("it can be changed");
            }
        }
    }

    /// The test's temporary folder.
    pub(crate) fn folder(&self) -> &Path {
        self.setup.folder.path()
    }

    /// Its whole log, over all restarts.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.setup.log()).unwrap_or_default()
    }

    /// Its peak memory, in bytes.
    pub(crate) fn peak_memory(&self) -> u64 {
        let pid = self.child.as_ref().map(Child::id).expect("it runs");
        let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("its status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a line for the peak");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
    }

    /// Logs in, and returns the token.
    pub(crate) async fn login(&self, user: &str, password: &str) -> String {
        let reply = self.post("/api/v1/login", json!({"username": user, "password": password})).await;
        reply.expect(200)["token"].as_str().expect("a login gives a token").to_owned()
    }

    /// `GET` as the admin.
    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.ask(Method::GET, path, None).await
    }

    /// `POST` as the admin.
    pub(crate) async fn post(&self, path: &str, body: Value) -> Reply {
        self.ask(Method::POST, path, Some(body)).await
    }

    /// `DELETE` as the admin.
    pub(crate) async fn delete(&self, path: &str) -> Reply {
        self.ask(Method::DELETE, path, None).await
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Reply {
        let mut request = self.http.request(method, format!("{}{path}", self.url));
        if !self.token.is_empty() {
            request = request.bearer_auth(&self.token);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap_or_else(|why| panic!("{path}: {why:?}\n{}", self.log()));
        let status = answer.status().as_u16();
        let text = answer.text().await.expect("the whole answer");
        let body = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap_or(text.into()) };
        Reply { status, body }
    }

    /// Runs a command with the server's address, a token and the data folder, as the admin would.
    pub(crate) async fn cli(&self, arguments: &[&str]) -> Exit {
        self.cli_with(arguments, &[], "").await
    }

    /// Like [`Silo::cli`], with additional environment variables, and with standard input.
    pub(crate) async fn cli_with(&self, arguments: &[&str], environment: &[(&str, &str)], input: &str) -> Exit {
        let mut command = self.setup.command();
        command.env("SILO_URL", &self.url).env("SILO_TOKEN", &self.token);
        command.envs(environment.iter().copied()).args(arguments);
        finish(command, input).await
    }

    /// Starts a command like [`Silo::cli`], without waiting.
    pub(crate) fn cli_started(&self, arguments: &[&str]) -> Running {
        let mut command = self.setup.command();
        command.env("SILO_URL", &self.url).env("SILO_TOKEN", &self.token).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Running(Some(command.spawn().expect("the program can be started")))
    }

    /// Runs a shell script in its folder, which is also HOME; `silo` is this program.
    pub(crate) async fn shell(&self, script: &str) -> Exit {
        let mut command = Command::new("bash");
        let script = format!("silo() {{ '{}' \"$@\"; }}\n{script}", env!("CARGO_BIN_EXE_silo"));
        command.current_dir(self.folder()).env_clear().env("PATH", "/usr/bin:/bin").env("HOME", self.folder());
        command.args(["-c", &script]);
        finish(command, "").await
    }

    /// Stops it with SIGTERM, and waits for its end.
    pub(crate) async fn terminate(&mut self) -> Exit {
        let mut child = self.child.take().expect("it runs");
        // The child is not reaped yet, so its process id is still valid.
        super::output(Command::new("kill").args(["-TERM", &child.id().to_string()]));
        let code = ended(&mut child).await;
        Exit { code, stdout: self.welcome.clone(), stderr: self.log() }
    }

    /// Kills it with SIGKILL.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().and_then(|()| child.wait()).expect("our own child can be killed");
        }
    }

    /// Starts it again on the same data, after [`Silo::terminate`] or [`Silo::kill`].
    pub(crate) async fn start_again(&mut self) {
        self.launch().await;
    }

    /// Starts another process with the same environment and data, which must fail to start.
    pub(crate) async fn second_start_error(&self) -> Exit {
        self.setup.start_error().await
    }

    // --- what most tests do

    /// Adds a registry; returns its id.
    pub(crate) async fn add(&self, name: &str, url: &str) -> i64 {
        self.add_with(json!({"name": name, "url": url})).await
    }

    pub(crate) async fn add_with(&self, form: Value) -> i64 {
        self.post("/api/v1/registries", form).await.expect(201)["id"].as_i64().expect("a number")
    }

    /// Requests a scan; returns its id.
    pub(crate) async fn request_scan(&self, registry: i64) -> i64 {
        let reply = self.post(&format!("/api/v1/registries/{registry}/scans"), Value::Null).await;
        reply.expect(202)["id"].as_i64().expect("a number")
    }

    /// Scans a registry to the end; returns the scan.
    pub(crate) async fn scan(&self, registry: i64) -> Value {
        let id = self.request_scan(registry).await;
        self.ended(id).await
    }

    /// Waits for a scan's end.
    pub(crate) async fn ended(&self, id: i64) -> Value {
        self.scan_when(id, |scan| scan["finishedAt"].is_string()).await
    }

    /// Waits until a scan fulfils a condition.
    pub(crate) async fn scan_when(&self, id: i64, looks_so: impl Fn(&Value) -> bool) -> Value {
        let started = Instant::now();
        loop {
            let scan = self.get(&format!("/api/v1/scans/{id}")).await.expect(200);
            if looks_so(&scan) {
                return scan;
            }
            assert!(started.elapsed() < PATIENCE, "it does not come to that: {scan:#}\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await; // because HTTP has to be polled
        }
    }

    /// The problems of a scan: code, `repository:tag` (or a part of it) and message.
    pub(crate) async fn problems(&self, scan: &Value) -> Vec<[String; 3]> {
        let page = self.get(&format!("/api/v1/scans/{}/problems?limit=100", scan["id"])).await.expect(200);
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let row = |row: &Value| {
            let place = [text(&row["repository"]), text(&row["tag"])].join(":");
            [text(&row["code"]), place.trim_matches(':').to_owned(), text(&row["message"])]
        };
        page["items"].as_array().expect("a list").iter().map(row).collect()
    }

    /// The matching images of `/api/v1/search`, best first.
    pub(crate) async fn images(&self, words: &str) -> Vec<Value> {
        self.search(words, "image").await
    }

    /// The matching jobs, best first.
    pub(crate) async fn jobs(&self, words: &str) -> Vec<Value> {
        self.search(words, "job").await
    }

    async fn search(&self, words: &str, kind: &str) -> Vec<Value> {
        let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("q", words).finish();
        let page = self.get(&format!("/api/v1/search?{query}&kind={kind}&limit=100")).await.expect(200);
        page["items"].as_array().expect("a list").clone()
    }

    /// All images and jobs of the catalogue, with ids: to check that a failure changed nothing.
    pub(crate) async fn catalogue(&self) -> Value {
        let (images, jobs) = (self.get("/images").await.expect(200), self.get("/jobs").await.expect(200));
        json!({"images": images, "jobs": jobs})
    }
}

impl Drop for Silo {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            eprintln!("--- the service's log\n{}", self.log());
        }
    }
}

impl Reply {
    /// The body; panics unless the reply has this status.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{:#}", self.body);
        self.body
    }
}

impl Exit {
    /// Standard output; panics unless the command succeeded.
    #[track_caller]
    pub(crate) fn expect_success(self) -> String {
        assert_eq!(self.code, Some(0), "{self:#?}");
        self.stdout
    }

    /// Standard error; panics unless the command failed with this code and without standard output.
    #[track_caller]
    pub(crate) fn expect_failure(self, code: i32) -> String {
        assert_eq!((self.code, self.stdout.as_str()), (Some(code), ""), "{self:#?}");
        self.stderr
    }
}

/// Runs the program on a machine without a service.
pub(crate) async fn silo(arguments: &[&str], environment: &[(&str, &str)]) -> Exit {
    let setup = Setup::bare();
    let mut command = setup.command();
    command.envs(environment.iter().copied()).args(arguments);
    finish(command, "").await
}

/// Like [`silo`], with these streams as standard output and standard error.
pub(crate) async fn silo_into(stdout: Stdio, stderr: Stdio, arguments: &[&str]) -> Exit {
    let setup = Setup::bare();
    let mut command = setup.command();
    command.args(arguments);
    finish_into(command, "", stdout, stderr).await
}

/// A running command.
pub(crate) struct Running(Option<Child>);

impl Running {
    /// Interrupts it (SIGINT, as Ctrl-C does), and waits for its end.
    pub(crate) async fn interrupt(self) -> Exit {
        let child = self.0.as_ref().expect("it runs");
        // The child is not reaped yet, so its process id is still valid.
        super::output(Command::new("kill").args(["-INT", &child.id().to_string()]));
        self.ended().await
    }

    /// Waits for the end.
    pub(crate) async fn ended(mut self) -> Exit {
        let mut child = self.0.take().expect("it runs");
        ended(&mut child).await;
        exit(&child.wait_with_output().expect("our own child can be waited for"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            child.kill().and_then(|()| child.wait()).expect("our own child can be killed");
        }
    }
}

async fn finish(command: Command, input: &str) -> Exit {
    finish_into(command, input, Stdio::piped(), Stdio::piped()).await
}

async fn finish_into(mut command: Command, input: &str, stdout: Stdio, stderr: Stdio) -> Exit {
    let input = input.to_owned();
    let run = move || {
        command.stdin(Stdio::piped()).stdout(stdout).stderr(stderr);
        let mut child = command.spawn().expect("the program can be started");
        let mut stdin = child.stdin.take().expect("standard input is piped");
        // A program that does not read may have exited already.
        stdin.write_all(input.as_bytes()).ok();
        drop(stdin);
        child.wait_with_output().expect("our own child can be waited for")
    };
    let output = tokio::task::spawn_blocking(run).await.expect("running a program does not panic");
    exit(&output)
}

fn exit(output: &Output) -> Exit {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("what is printed is UTF-8");
    Exit { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
}

/// Waits for a child's end; returns its exit code.
async fn ended(child: &mut Child) -> Option<i32> {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("our own child can be asked") {
            return status.code();
        }
        if started.elapsed() > PATIENCE {
            child.kill().and_then(|()| child.wait()).expect("our own child can be killed");
            panic!("it did not end by itself");
        }
        tokio::time::sleep(Duration::from_millis(10)).await; // because std has no wait with a timeout
    }
}
