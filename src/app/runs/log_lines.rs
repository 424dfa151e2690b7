//! Logs by line: parts of them with numbers, and searches. A log may have gigabytes and lines without an end, so it is
//! read in pieces, and what is kept of it is bounded.

use std::collections::VecDeque;
use std::io::{self, SeekFrom};
use std::path::Path;

use chrono::{DateTime, Utc};
use memchr::{memchr, memchr_iter};
use regex::bytes::RegexBuilder;
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, Take};

use super::super::{Error, Result};
use super::files::{AttemptLog, RunFolder};
use crate::engine::run::logs::RecordedLine;

/// Bytes that are read at once. Small in tests, so that lines lie across pieces.
const PIECE: usize = if cfg!(test) { 5 } else { 1024 * 1024 };
/// Most bytes of a line that are kept and searched.
pub const LONGEST_LOG_LINE: usize = if cfg!(test) { 12 } else { 128 * 1024 };
/// Most bytes of text in one part, but for its last line.
const LONGEST_PART: usize = if cfg!(test) { 60 } else { 4 * 1024 * 1024 };
/// Longest text to search for, in bytes.
const LONGEST_WORDS: usize = 1000;

/// Which lines of a log are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogSelection {
    /// Number of the first line, from 1. `None`: the last lines of the log; of a search, the first hits.
    pub first: Option<u64>,
    /// Most lines.
    pub most: usize,
    /// Only lines that contain this text, in upper or lower case.
    pub contains: Option<String>,
}

/// A part of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogLines {
    pub lines: VecDeque<LogLine>,
    /// Number of lines in the log; an unfinished last one counts.
    pub total: u64,
    /// Number of lines in the log that contain the text.
    pub hits: Option<u64>,
    /// Number of the next line that was asked for.
    pub next: Option<u64>,
    /// After the last finished one of these lines.
    pub end: LogPlace,
}

/// The beginning of a line: its number, from 1, and its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogPlace {
    pub line: u64,
    pub byte: u64,
}

impl Default for LogPlace {
    fn default() -> Self {
        Self { line: 1, byte: 0 }
    }
}

/// A line of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// From 1.
    pub number: u64,
    /// When it was printed, if the log knows.
    pub time: Option<DateTime<Utc>>,
    /// `stdout` or `stderr`, in the log of both.
    pub stream: Option<String>,
    /// As printed, with escapes of terminals.
    pub text: String,
    /// Bytes that are left out at its end.
    pub cut: u64,
}

impl LogLine {
    /// A line of a log, without its line feed.
    pub fn of(log: AttemptLog, number: u64, line: &[u8], cut: u64) -> Self {
        let plain = |time, text: &str| Self { number, time, stream: None, text: text.to_owned(), cut };
        let text = String::from_utf8_lossy(line);
        match log {
            AttemptLog::Combined => match serde_json::from_slice(line) {
                Ok(RecordedLine { time, stream, text }) => Self { stream: Some(stream), ..plain(Some(time), &text) },
                Err(_) => plain(None, &text),
            },
            AttemptLog::System => {
                let timed = text.split_once(' ').and_then(|(time, text)| Some((time.parse().ok()?, text)));
                timed.map_or_else(|| plain(None, &text), |(time, text)| plain(Some(time), text))
            }
            AttemptLog::Stdout | AttemptLog::Stderr => plain(None, &text),
        }
    }
}

impl RunFolder {
    /// Lines of a log of an attempt: the last attempt, unless one is given.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such attempt, or if it has not printed yet; [`Error::Invalid`] for a text that
    /// is too long.
    pub async fn log_lines(&self, log: AttemptLog, attempt: Option<u32>, selection: &LogSelection) -> Result<LogLines> {
        if selection.contains.as_ref().is_some_and(|words| words.len() > LONGEST_WORDS) {
            return Err(Error::Invalid(format!("Logs are searched for at most {LONGEST_WORDS} bytes; give fewer")));
        }
        let path = self.log(log, attempt)?;
        let about = tokio::fs::metadata(&path).await;
        let size = about.map_err(|_| Error::NotFound("This log does not exist yet".to_owned()))?.len();
        read(log, &path, size, selection).await.map_err(|why| Error::Internal(format!("a log cannot be read: {why}")))
    }
}

/// Reads lines of the first `size` bytes of a log.
async fn read(log: AttemptLog, path: &Path, size: u64, selection: &LogSelection) -> io::Result<LogLines> {
    match &selection.contains {
        Some(words) => hits(log, path, size, selection, words).await,
        None => part(log, path, size, selection).await,
    }
}

async fn part(log: AttemptLog, path: &Path, size: u64, selection: &LogSelection) -> io::Result<LogLines> {
    let index = FeedIndex::read(path, size).await?;
    let tail = index.lines.saturating_sub(selection.most as u64) + 1;
    let first = index.place_of(path, size, selection.first.unwrap_or(tail)).await?;
    let mut reader = LineReader::open(path, first, size).await?;
    let mut found = LogLines { total: index.lines, end: first, ..LogLines::default() };
    let mut bytes = 0;
    while found.lines.len() < selection.most && (selection.first.is_none() || bytes < LONGEST_PART) {
        let Some((place, is_finished)) = reader.next().await? else { break };
        let line = LogLine::of(log, place.line, &reader.line, reader.cut);
        bytes += line.text.len();
        found.lines.push_back(line);
        found.end = if is_finished { reader.place } else { place };
        // Of the last lines, the very last ones.
        while bytes > LONGEST_PART && selection.first.is_none() && found.lines.len() > 1 {
            bytes -= found.lines.pop_front().map_or(0, |line| line.text.len());
        }
    }
    found.next = found.lines.back().map(|last| last.number + 1).filter(|next| *next <= found.total);
    Ok(found)
}

async fn hits(log: AttemptLog, path: &Path, size: u64, selection: &LogSelection, words: &str) -> io::Result<LogLines> {
    let words = RegexBuilder::new(&regex::escape(words)).case_insensitive(true).build().map_err(io::Error::other)?;
    let mut reader = LineReader::open(path, LogPlace::default(), size).await?;
    let (mut found, mut hits, mut bytes) = (LogLines::default(), 0, 0);
    while let Some((place, _)) = reader.next().await? {
        found.total = place.line;
        // Of the log of both streams, only what was printed is searched.
        let record = || LogLine::of(log, place.line, &reader.line, reader.cut);
        let record = (log == AttemptLog::Combined).then(record);
        if !words.is_match(record.as_ref().map_or(&reader.line, |record| record.text.as_bytes())) {
            continue;
        }
        hits += 1;
        if place.line < selection.first.unwrap_or(1) {
            continue;
        }
        if found.lines.len() >= selection.most || bytes >= LONGEST_PART {
            found.next.get_or_insert(place.line);
            continue;
        }
        let line = record.unwrap_or_else(|| LogLine::of(log, place.line, &reader.line, reader.cut));
        bytes += line.text.len();
        found.lines.push_back(line);
    }
    (found.hits, found.end) = (Some(hits), reader.place);
    Ok(found)
}

/// Numbers of line feeds before some bytes of a log, so that a line is found without reading all before it again.
struct FeedIndex {
    /// Line feeds before a byte, and the byte: one for each piece, in order.
    marks: Vec<(u64, u64)>,
    /// Number of lines; an unfinished last one counts.
    lines: u64,
}

impl FeedIndex {
    async fn read(path: &Path, size: u64) -> io::Result<Self> {
        let mut file = File::open(path).await?.take(size);
        let mut piece = Vec::with_capacity(PIECE);
        let (mut feeds, mut byte, mut is_finished) = (0, 0, true);
        let mut marks = vec![(feeds, byte)];
        while next_piece(&mut file, &mut piece).await? {
            feeds += memchr_iter(b'\n', &piece).count() as u64;
            byte += piece.len() as u64;
            marks.push((feeds, byte));
            is_finished = piece.last() == Some(&b'\n');
        }
        Ok(Self { marks, lines: feeds + u64::from(!is_finished) })
    }

    /// Where a line begins; after the last line for a number beyond it.
    async fn place_of(&self, path: &Path, size: u64, line: u64) -> io::Result<LogPlace> {
        let line = line.clamp(1, self.lines + 1);
        // The line begins after this many line feeds.
        let before = line - 1;
        let mark = self.marks.partition_point(|(feeds, _)| *feeds < before).saturating_sub(1);
        let (feeds, mut byte) = self.marks[mark];
        let mut left = before - feeds;
        let mut file = opened(path, byte, size).await?;
        let mut piece = Vec::with_capacity(PIECE);
        while left > 0 && next_piece(&mut file, &mut piece).await? {
            let mut ends = memchr_iter(b'\n', &piece).map(|at| at as u64 + 1);
            let mut passed = piece.len() as u64;
            while left > 0
                && let Some(end) = ends.next()
            {
                left -= 1;
                if left == 0 {
                    passed = end;
                }
            }
            byte += passed;
        }
        Ok(LogPlace { line, byte })
    }
}

/// A log from a byte, up to its size when it was first looked at.
async fn opened(path: &Path, byte: u64, size: u64) -> io::Result<Take<File>> {
    let mut file = File::open(path).await?;
    file.seek(SeekFrom::Start(byte)).await?;
    Ok(file.take(size.saturating_sub(byte)))
}

/// Replaces a piece by the next one; `false` at the end.
async fn next_piece(file: &mut Take<File>, piece: &mut Vec<u8>) -> io::Result<bool> {
    piece.clear();
    Ok(file.read_buf(piece).await? > 0)
}

/// Reads lines one after the other.
struct LineReader {
    file: Take<File>,
    piece: Vec<u8>,
    /// Bytes of the piece that belong to lines that were read.
    used: usize,
    /// Where the next line begins.
    place: LogPlace,
    /// The line that was read last, without its line feed.
    line: Vec<u8>,
    /// Bytes left out at its end.
    cut: u64,
}

impl LineReader {
    async fn open(path: &Path, place: LogPlace, size: u64) -> io::Result<Self> {
        let file = opened(path, place.byte, size).await?;
        Ok(Self { file, piece: Vec::with_capacity(PIECE), used: 0, place, line: Vec::new(), cut: 0 })
    }

    /// Reads the next line: where it begins, and whether it has a line feed. `None` at the end.
    async fn next(&mut self) -> io::Result<Option<(LogPlace, bool)>> {
        let begin = self.place;
        self.line.clear();
        self.cut = 0;
        loop {
            let rest = &self.piece[self.used..];
            let feed = memchr(b'\n', rest);
            let length = feed.unwrap_or(rest.len());
            let kept = length.min(LONGEST_LOG_LINE - self.line.len());
            self.line.extend_from_slice(&rest[..kept]);
            self.cut += (length - kept) as u64;
            self.used += length;
            self.place.byte += length as u64;
            if feed.is_some() {
                self.used += 1;
                self.place = LogPlace { line: self.place.line + 1, byte: self.place.byte + 1 };
                return Ok(Some((begin, true)));
            }
            self.used = 0;
            if !next_piece(&mut self.file, &mut self.piece).await? {
                return Ok((self.place.byte > begin.byte).then_some((begin, false)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The lines of a text by a simple way.
    fn lines_of(text: &[u8]) -> Vec<&[u8]> {
        let mut lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
        lines.pop_if(|last| last.is_empty());
        lines
    }

    fn numbers(found: &LogLines) -> Vec<u64> {
        found.lines.iter().map(|line| line.number).collect()
    }

    fn shown(line: &[u8]) -> (String, u64) {
        let kept = line.len().min(LONGEST_LOG_LINE);
        (String::from_utf8_lossy(&line[..kept]).into_owned(), (line.len() - kept) as u64)
    }

    fn found(text: &[u8], selection: &LogSelection) -> LogLines {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), text).expect("it can be written");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        // What comes after the first look does not count.
        let size = text.len() as u64;
        std::fs::OpenOptions::new()
            .append(true)
            .open(file.path())
            .and_then(|mut file| io::Write::write_all(&mut file, b"later\n"))
            .expect("it can be written");
        runtime.block_on(read(AttemptLog::Stdout, file.path(), size, selection)).expect("it can be read")
    }

    proptest! {
        #[test]
        fn lines_have_the_numbers_and_texts_that_they_have(
            text in prop::collection::vec(prop::sample::select(b"aaab\n\n".to_vec()), 0..90),
            first in prop::option::of(0..40_u64),
            most in 1..12_usize,
        ) {
            let lines = lines_of(&text);
            let part = found(&text, &LogSelection { first, most, contains: None });
            prop_assert_eq!(part.total, lines.len() as u64);
            let begin = first.unwrap_or((lines.len() as u64 + 1).saturating_sub(most as u64)).max(1);
            for line in &part.lines {
                let expected = shown(lines[line.number as usize - 1]);
                prop_assert_eq!((line.text.clone(), line.cut), expected);
            }
            if first.is_some() {
                let expected: Vec<u64> = (begin..=part.total).take(part.lines.len()).collect();
                prop_assert_eq!(numbers(&part), expected);
                let is_full = part.lines.len() == most || part.lines.iter().map(|line| line.text.len()).sum::<usize>() >= LONGEST_PART;
                prop_assert!(is_full || part.next.is_none());
            } else {
                prop_assert_eq!(part.lines.back().map(|line| line.number), (part.total > 0).then_some(part.total));
                prop_assert!(part.lines.len() == most.min(lines.len()) || most * LONGEST_LOG_LINE > LONGEST_PART);
            }
            // Reading goes on where a line begins.
            let before = &text[..part.end.byte as usize];
            if !part.lines.is_empty() {
                prop_assert_eq!(before.iter().filter(|byte| **byte == b'\n').count() as u64, part.end.line - 1);
                prop_assert!(before.last().is_none_or(|byte| *byte == b'\n'));
            }
        }

        #[test]
        fn hits_are_counted_exactly(
            text in prop::collection::vec(prop::sample::select(b"aAb.\n".to_vec()), 0..90),
            words in "[abA.]{1,2}",
            first in prop::option::of(1..30_u64),
            most in 1..6_usize,
        ) {
            let is_hit = |line: &&[u8]| {
                shown(line).0.to_ascii_lowercase().contains(&words.to_ascii_lowercase())
            };
            let lines = lines_of(&text);
            let expected: Vec<u64> =
                lines.iter().enumerate().filter(|(_, line)| is_hit(line)).map(|(at, _)| at as u64 + 1).collect();
            let part = found(&text, &LogSelection { first, most, contains: Some(words.clone()) });
            prop_assert_eq!((part.total, part.hits), (lines.len() as u64, Some(expected.len() as u64)));
            let after: Vec<u64> = expected.into_iter().filter(|number| *number >= first.unwrap_or(1)).collect();
            prop_assert_eq!(numbers(&part), &after[..part.lines.len()]);
            prop_assert_eq!(part.next, after.get(part.lines.len()).copied());
        }
    }

    #[test]
    fn a_line_knows_its_time_and_its_stream() {
        let record = br#"{"seq":0,"time":"2026-03-01T06:14:38.000Z","stream":"stderr","text":"a\u0000\u001b[1mb"}"#;
        let line = LogLine::of(AttemptLog::Combined, 7, record, 0);
        assert_eq!((line.number, line.stream.as_deref(), &*line.text), (7, Some("stderr"), "a\0\u{1b}[1mb"));
        assert_eq!(line.time.map(|time| time.timestamp()), Some(1_772_345_678));
        let line = LogLine::of(AttemptLog::System, 1, b"2026-03-01T06:14:38.000Z begin of it", 0);
        assert_eq!((line.time.is_some(), &*line.text), (true, "begin of it"));
        for log in AttemptLog::ALL {
            let line = LogLine::of(log, 1, b"{\"no\": \xff", 3);
            assert_eq!((line.time, &*line.text, line.cut), (None, "{\"no\": \u{fffd}", 3));
        }
    }
}
