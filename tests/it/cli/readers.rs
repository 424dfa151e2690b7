//! Output streams that are closed or not read, as in `silo serve 2>&1 | head`.

use std::io::{BufRead as _, BufReader, PipeReader, PipeWriter, Write as _};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Instant;

use crate::support::process::{PATIENCE, Setup, silo_into};

/// Capacity of a pipe on Linux, minus a partly filled page.
const FULL: u64 = 65_536 - 4_096;

/// A service whose whole output goes to one pipe.
struct Piped {
    child: Child,
    reader: BufReader<PipeReader>,
    writer: PipeWriter,
    url: String,
    _setup: Setup,
}

impl Piped {
    /// Starts a service with the most verbose log.
    async fn start() -> Self {
        let setup = Setup::new().env("SILO_LOG", "trace");
        let (reader, writer) = std::io::pipe().expect("a pipe");
        let mut command = setup.command();
        command.args(["serve", "--listen", "127.0.0.1:0"]).stdin(Stdio::null());
        command.stdout(writer.try_clone().expect("a handle")).stderr(writer.try_clone().expect("a handle"));
        let mut piped = Self {
            child: command.spawn().expect("cargo built the program"),
            reader: BufReader::new(reader),
            writer,
            url: String::new(),
            _setup: setup,
        };
        let mut line = String::new();
        while !line.starts_with("SILO listens on ") {
            line.clear();
            assert_ne!(piped.reader.read_line(&mut line).expect("text"), 0, "it ended");
        }
        piped.url = line.trim_start_matches("SILO listens on ").trim().to_owned();
        piped
    }

    /// Closes the reading end.
    fn nobody_reads(self) -> (Child, String, Setup) {
        (self.child, self.url, self._setup)
    }

    /// Keeps the reading end without reading, with a full pipe.
    fn nobody_reads_on(mut self) -> (Child, String, Setup, BufReader<PipeReader>) {
        // Ends when the reader is dropped.
        thread::spawn(move || self.writer.write_all(&vec![b'\n'; 1 << 20]));
        let started = Instant::now();
        while rustix::io::ioctl_fionread(self.reader.get_ref()).expect("a pipe can be asked") < FULL {
            assert!(started.elapsed() < PATIENCE, "the pipe does not fill");
            thread::yield_now();
        }
        (self.child, self.url, self._setup, self.reader)
    }
}

/// Asserts that it replies, and stops gracefully on a signal.
async fn serves_and_stops(mut child: Child, url: &str, signal: &str) {
    let http = reqwest::Client::builder().no_proxy().no_gzip().timeout(PATIENCE).build().expect("a plain client");
    for path in ["/healthz", "/no/such/path", "/api/v1/search?q=x", "/metrics"] {
        http.get(format!("{url}{path}")).send().await.unwrap_or_else(|why| panic!("{path}: {why}"));
    }
    crate::support::output(Command::new("kill").args([signal, &child.id().to_string()]));
    let ended = tokio::task::spawn_blocking(move || {
        let started = Instant::now();
        loop {
            if let Some(status) = child.try_wait().expect("our own child can be asked") {
                return Some(status);
            }
            if started.elapsed() > PATIENCE {
                child.kill().and_then(|()| child.wait()).expect("our own child can be killed");
                return None;
            }
            thread::sleep(std::time::Duration::from_millis(10)); // because std has no wait with a timeout
        }
    });
    let status = ended.await.expect("waiting does not panic");
    assert_eq!(status.map(|status| status.code()), Some(Some(0)), "{signal}: `None` means that it did not hear it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_stops_when_nobody_reads_its_log_any_more() {
    for signal in ["-TERM", "-INT"] {
        let (child, url, _setup) = Piped::start().await.nobody_reads();
        serves_and_stops(child, &url, signal).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_goes_on_and_stops_when_its_reader_stands_still() {
    for signal in ["-TERM", "-INT"] {
        let (child, url, _setup, _reader) = Piped::start().await.nobody_reads_on();
        serves_and_stops(child, &url, signal).await;
    }
}

#[tokio::test]
async fn the_last_lines_of_a_log_are_written() {
    let mut silo = Setup::new().env("SILO_LOG", "trace").start().await;
    for _ in 0..20 {
        silo.get("/api/v1/search?q=x").await.expect(200);
    }
    let exit = silo.terminate().await;
    assert_eq!(exit.code, Some(0));
    assert!(exit.stderr.trim_end().ends_with("stopped"), "{}", exit.stderr);
}

/// Every kind of error message and note.
#[tokio::test]
async fn commands_say_nothing_to_nobody_without_failing_otherwise() {
    for (arguments, code) in [
        (&["config", "--config", "/nowhere.toml"][..], 1),
        (&["validate", "/nowhere.json"], 2),
        (&["search", "x", "--server", "http://127.0.0.1:1"], 1),
        (&["serve", "--listen", "nowhere"], 1),
        (&["--nonsense"], 2),
        (&["spec"], 0),
        (&["--help"], 0),
        (&["version"], 0),
    ] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let exit = silo_into(writer.try_clone().expect("a handle").into(), writer.into(), arguments).await;
        assert_eq!(exit.code, Some(code), "{arguments:?}");
    }
}
