//! Log files of an attempt, readable while the job runs: `_stdout.txt` and `_stderr.txt` hold the exact bytes,
//! `combined.ndjson` both as lines with times, `system.log` what SILO did.
//!
//! The job's files have a size limit, with a last line that says so. Memory use is bounded for any output.

use std::io;
use std::path::Path;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;

use crate::clock::Clock;
use crate::engine::runtime::{OutputChunk, OutputStream};

pub const STDOUT: &str = "_stdout.txt";
pub const STDERR: &str = "_stderr.txt";
pub const COMBINED: &str = "combined.ndjson";
pub const SYSTEM: &str = "system.log";

/// Default log limit of each stream, in bytes.
pub const DEFAULT_CAP: u64 = 64 * 1024 * 1024;

/// Longer lines are split into several records.
const LONGEST_LINE: usize = 16 * 1024;

/// Log totals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogTotals {
    /// Bytes printed, including those beyond the limit.
    pub stdout_bytes: u64,
    pub stderr_bytes: u64,
    /// Whether something was beyond the limit.
    pub truncated: bool,
}

/// The log files of an attempt.
pub struct AttemptLogs {
    stdout: CappedFile,
    stderr: CappedFile,
    combined: CappedFile,
    system: File,
    clock: Clock,
    /// Number of the next record.
    sequence: u64,
    lines: [LineSplitter; 2],
    records: Vec<u8>,
}

/// A record of `combined.ndjson`.
#[derive(Serialize)]
struct LogRecord<'a> {
    seq: u64,
    time: String,
    stream: &'a str,
    text: &'a str,
}

/// A record of `combined.ndjson`, as it is read.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct RecordedLine {
    pub time: DateTime<Utc>,
    /// `stdout` or `stderr`; `system` for a message of SILO.
    pub stream: String,
    pub text: String,
}

impl AttemptLogs {
    /// Creates the files in a folder, truncating existing ones. `cap`: limit of each stream, in bytes.
    pub async fn create(folder: &Path, cap: u64, clock: &Clock) -> io::Result<Self> {
        let text = |name| CappedFile::create(folder.join(name), cap);
        Ok(Self {
            stdout: text(STDOUT).await?,
            stderr: text(STDERR).await?,
            // It holds two streams.
            combined: CappedFile::create(folder.join(COMBINED), cap.saturating_mul(2)).await?,
            system: File::create(folder.join(SYSTEM)).await?,
            clock: clock.clone(),
            sequence: 0,
            lines: Default::default(),
            records: Vec::new(),
        })
    }

    /// Reopens the files of an attempt whose job has exited, to append to `system.log`.
    pub(in crate::engine) async fn reopen(
        folder: &Path,
        cap: u64,
        clock: &Clock,
        printed: LogTotals,
    ) -> io::Result<Self> {
        let text = |name, seen| CappedFile::reopen(folder.join(name), cap, seen, printed.truncated);
        Ok(Self {
            stdout: text(STDOUT, printed.stdout_bytes).await?,
            stderr: text(STDERR, printed.stderr_bytes).await?,
            combined: text(COMBINED, 0).await?,
            system: append(&folder.join(SYSTEM)).await?,
            clock: clock.clone(),
            sequence: 0,
            lines: Default::default(),
            records: Vec::new(),
        })
    }

    /// Writes a chunk of the job's output.
    pub async fn write(&mut self, chunk: &OutputChunk) -> io::Result<()> {
        let file = match chunk.stream {
            OutputStream::Stdout => &mut self.stdout,
            OutputStream::Stderr => &mut self.stderr,
        };
        file.write(&chunk.bytes).await?;
        if !self.combined.full {
            let [stdout, stderr] = &mut self.lines;
            let (name, lines) = match chunk.stream {
                OutputStream::Stdout => ("stdout", stdout),
                OutputStream::Stderr => ("stderr", stderr),
            };
            let mut found = Vec::new();
            lines.push(&chunk.bytes, |line| found.push(String::from_utf8_lossy(line).into_owned()));
            self.record(name, &found).await?;
        }
        Ok(())
    }

    /// Writes a line to `system.log`.
    pub async fn note(&mut self, text: &str) -> io::Result<()> {
        let line = format!("{} {}\n", self.time(), text.replace(['\n', '\r'], " "));
        self.system.write_all(line.as_bytes()).await?;
        self.system.flush().await
    }

    /// Writes an unterminated last line to `combined.ndjson`.
    pub async fn finish(&mut self) -> io::Result<LogTotals> {
        for (name, index) in [("stdout", 0), ("stderr", 1)] {
            let rest = std::mem::take(&mut self.lines[index].rest);
            if !rest.is_empty() {
                self.record(name, &[String::from_utf8_lossy(&rest).into_owned()]).await?;
            }
        }
        Ok(self.printed())
    }

    /// Totals so far.
    pub fn printed(&self) -> LogTotals {
        let truncated = self.stdout.full || self.stderr.full || self.combined.full;
        LogTotals { stdout_bytes: self.stdout.seen, stderr_bytes: self.stderr.seen, truncated }
    }

    async fn record(&mut self, stream: &str, lines: &[String]) -> io::Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        let time = self.time();
        self.records.clear();
        for text in lines {
            let record = LogRecord { seq: self.sequence, time: time.clone(), stream, text };
            serde_json::to_writer(&mut self.records, &record).expect("texts and numbers are JSON");
            self.records.push(b'\n');
            self.sequence += 1;
        }
        let text = left_out(self.combined.cap);
        let marker = LogRecord { seq: self.sequence, time, stream: "system", text: &text };
        let marker = serde_json::to_string(&marker).expect("texts and numbers are JSON") + "\n";
        self.combined.write_whole(&self.records, &marker).await
    }

    fn time(&self) -> String {
        self.clock.now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
    }
}

/// A file with a size limit, and a last line that says so.
struct CappedFile {
    file: File,
    cap: u64,
    /// Bytes received, including those beyond the limit.
    seen: u64,
    full: bool,
}

impl CappedFile {
    async fn create(path: std::path::PathBuf, cap: u64) -> io::Result<Self> {
        Ok(Self { file: File::create(path).await?, cap, seen: 0, full: false })
    }

    async fn reopen(path: std::path::PathBuf, cap: u64, seen: u64, full: bool) -> io::Result<Self> {
        Ok(Self { file: append(&path).await?, cap, seen, full })
    }

    /// Writes the bytes up to the limit.
    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let room = usize::try_from(self.cap.saturating_sub(self.seen)).unwrap_or(usize::MAX);
        self.seen += bytes.len() as u64;
        if self.full {
            return Ok(());
        }
        self.file.write_all(&bytes[..room.min(bytes.len())]).await?;
        if room < bytes.len() {
            self.full = true;
            self.file.write_all(format!("\n{}\n", left_out(self.cap)).as_bytes()).await?;
        }
        self.file.flush().await
    }

    /// Writes all bytes, or only the marker if they exceed the limit.
    async fn write_whole(&mut self, bytes: &[u8], marker: &str) -> io::Result<()> {
        self.seen += bytes.len() as u64;
        if self.full {
            return Ok(());
        }
        if self.seen > self.cap {
            self.full = true;
            self.file.write_all(marker.as_bytes()).await?;
        } else {
            self.file.write_all(bytes).await?;
        }
        self.file.flush().await
    }
}

async fn append(path: &Path) -> io::Result<File> {
    File::options().append(true).create(true).open(path).await
}

fn left_out(cap: u64) -> String {
    format!("[silo: the job printed more than {cap} bytes; the rest was not kept]")
}

/// Splits a stream into lines at LF, CR (as progress bars use) or CRLF.
#[derive(Default)]
struct LineSplitter {
    /// The unterminated line so far.
    rest: Vec<u8>,
    /// Whether the last byte was a CR, so that an LF may belong to it.
    after_return: bool,
}

impl LineSplitter {
    fn push(&mut self, mut bytes: &[u8], mut found: impl FnMut(&[u8])) {
        while let Some(&first) = bytes.first() {
            if std::mem::take(&mut self.after_return) && first == b'\n' {
                bytes = &bytes[1..];
                continue;
            }
            let room = LONGEST_LINE - self.rest.len();
            let end = bytes.iter().take(room).position(|byte| matches!(byte, b'\n' | b'\r'));
            let taken = end.unwrap_or(room.min(bytes.len()));
            self.rest.extend_from_slice(&bytes[..taken]);
            bytes = &bytes[taken..];
            if end.is_some() {
                self.after_return = bytes[0] == b'\r';
                bytes = &bytes[1..];
                found(&self.rest);
                self.rest.clear();
            } else if self.rest.len() == LONGEST_LINE {
                let whole = whole_characters(&self.rest);
                found(&self.rest[..whole]);
                self.rest.drain(..whole);
            }
        }
    }
}

/// Length without an incomplete UTF-8 character at the end.
pub fn whole_characters(bytes: &[u8]) -> usize {
    match std::str::from_utf8(bytes) {
        Err(why) if why.error_len().is_none() => why.valid_up_to(),
        _ => bytes.len(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn lines_of(chunks: &[&[u8]]) -> Vec<String> {
        let (mut lines, mut found) = (LineSplitter::default(), Vec::new());
        for chunk in chunks {
            lines.push(chunk, |line| found.push(String::from_utf8_lossy(line).into_owned()));
            assert!(lines.rest.len() < LONGEST_LINE);
        }
        found.push(String::from_utf8_lossy(&lines.rest).into_owned());
        found
    }

    #[test]
    fn lines_end_at_feeds_and_returns() {
        assert_eq!(lines_of(&[b"a\nb", b"c\r", b"\nd\re\n\nf"]), ["a", "bc", "d", "e", "", "f"]);
        let long = "ä".repeat(LONGEST_LINE);
        let parts = lines_of(&[b"x", long.as_bytes()]);
        assert!(parts.len() > 2 && parts.iter().all(|part| !part.contains('\u{fffd}')));
        assert_eq!(parts.concat(), format!("x{long}"));
    }

    proptest! {
        /// The lines do not depend on chunk boundaries.
        #[test]
        fn cuts_change_nothing(bytes in prop::collection::vec(prop::sample::select(b"ab\r\n\xc3\xa4".to_vec()), 0..60),
                               cut in 0_usize..60) {
            let cut = cut.min(bytes.len());
            prop_assert_eq!(lines_of(&[&bytes]), lines_of(&[&bytes[..cut], &bytes[cut..]]));
        }
    }

    fn chunk(stream: OutputStream, bytes: &[u8]) -> OutputChunk {
        OutputChunk { stream, bytes: bytes.to_vec().into() }
    }

    async fn logs(folder: &Path, cap: u64) -> AttemptLogs {
        AttemptLogs::create(folder, cap, &Clock::manual(chrono::DateTime::UNIX_EPOCH))
            .await
            .expect("a folder can be written")
    }

    #[tokio::test]
    async fn bytes_are_kept_as_they_are_and_lines_in_order() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut logs = logs(folder.path(), 1000).await;
        logs.note("begin\nof it").await.expect("it can be written");
        for (stream, bytes) in [
            (OutputStream::Stdout, &b"one\n\xfftw"[..]),
            (OutputStream::Stderr, b"oops\n"),
            (OutputStream::Stdout, b"o"),
        ] {
            logs.write(&chunk(stream, bytes)).await.expect("it can be written");
        }
        let read = |name| std::fs::read(folder.path().join(name)).expect("it is there");
        assert_eq!(read(STDOUT), b"one\n\xfftwo", "readable before the end");
        let printed = logs.finish().await.expect("it can be written");
        assert_eq!(printed, LogTotals { stdout_bytes: 8, stderr_bytes: 5, truncated: false });
        assert_eq!(read(STDERR), b"oops\n");
        assert_eq!(read(SYSTEM), b"1970-01-01T00:00:00.000Z begin of it\n");
        let combined = String::from_utf8(read(COMBINED)).expect("JSON is UTF-8");
        let first = r#"{"seq":0,"time":"1970-01-01T00:00:00.000Z","stream":"stdout","text":"one"}"#;
        assert_eq!(combined.lines().next(), Some(first));
        let records = combined.lines().map(|line| serde_json::from_str::<Value>(line).expect("each line is JSON"));
        let texts: Vec<String> = records.map(|record| format!("{}{}", record["seq"], record["text"])).collect();
        assert_eq!(texts, ["0\"one\"", "1\"oops\"", "2\"\u{fffd}two\""]);
    }

    #[tokio::test]
    async fn what_is_too_much_is_counted_and_said() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut logs = logs(folder.path(), 10).await;
        for _ in 0..100 {
            logs.write(&chunk(OutputStream::Stdout, b"1234567\n")).await.expect("it can be written");
        }
        let printed = logs.finish().await.expect("it can be written");
        assert_eq!(printed, LogTotals { stdout_bytes: 800, stderr_bytes: 0, truncated: true });
        let read = |name| std::fs::read_to_string(folder.path().join(name)).expect("it is there");
        assert_eq!(read(STDOUT), "1234567\n12\n[silo: the job printed more than 10 bytes; the rest was not kept]\n");
        assert!(read(COMBINED).ends_with("not kept]\"}\n") && read(COMBINED).len() < 300, "{}", read(COMBINED));
    }
}
