//! A log, as pages show it: its lines, and the ways to others.

use askama::Template;
use askama::filters::HtmlSafe;
use chrono::{DateTime, Utc};

use super::terminal_text::TerminalText;
use crate::app::{AttemptLog, LogLine, LogLines, LogSelection};
use crate::engine::run::record::RunRecord;
use crate::http::pages::PageFrame;

/// Lines of one page.
pub(super) const MOST_LINES: usize = 1000;
/// Longer lines are folded, in characters.
const LONGEST_LINE: usize = 4096;

/// A log with its controls.
pub(super) struct LogView {
    pub lines: Vec<ShownLine>,
    pub total: u64,
    /// Number of lines with the text that is searched for.
    pub hits: Option<u64>,
    /// The text that is searched for; empty for none.
    pub words: String,
    /// The logs, and the one that is shown.
    pub tabs: Vec<LogTab>,
    /// Attempts to choose from, if there are several.
    pub attempts: Vec<LogTab>,
    /// The attempt in the form of the search; `None` for the last one.
    pub attempt: Option<u32>,
    /// Target of the form of the search.
    pub url: String,
    pub raw_url: String,
    /// File name for a download.
    pub file: String,
    /// The lines before those shown: their number and address.
    pub earlier: Option<(u64, String)>,
    /// The lines, or hits, after those shown.
    pub later_url: Option<String>,
    /// The last lines, if others are shown.
    pub tail_url: Option<String>,
    /// A stream of lines after those shown; `None` after the end of the run.
    pub follow_url: Option<String>,
    /// Why there are no lines.
    pub nothing: &'static str,
}

/// A way to another log, or to the log of another attempt.
pub(super) struct LogTab {
    pub url: String,
    pub label: String,
    pub is_shown: bool,
}

/// A line of a log.
#[derive(Template)]
#[template(path = "log_line.html")]
pub(super) struct ShownLine {
    number: u64,
    /// Time of day in UTC; empty if unknown.
    time: String,
    is_error: bool,
    /// The lines around it.
    url: Option<String>,
    text: TerminalText,
    rest: Option<TerminalText>,
    cut: u64,
}

impl ShownLine {
    pub(super) fn of(line: LogLine) -> Self {
        let (text, rest) = TerminalText::of(&line.text).folded(LONGEST_LINE);
        Self {
            number: line.number,
            time: line.time.map(time_of_day).unwrap_or_default(),
            is_error: line.stream.as_deref() == Some("stderr"),
            url: None,
            text,
            rest,
            cut: line.cut,
        }
    }
}

impl HtmlSafe for ShownLine {}

fn time_of_day(time: DateTime<Utc>) -> String {
    time.format("%H:%M:%S").to_string()
}

/// The texts of a part, each cut at the length of a folded line.
pub(super) fn texts(found: LogLines) -> Vec<TerminalText> {
    found.lines.into_iter().map(|line| TerminalText::of(&line.text).folded(LONGEST_LINE).0).collect()
}

fn shown_lines(found: LogLines) -> Vec<ShownLine> {
    found.lines.into_iter().map(ShownLine::of).collect()
}

/// The path of the page of a log.
pub(super) fn log_path(run: &str, log: AttemptLog) -> String {
    format!("/run/{run}/log/{}", log.as_str())
}

impl LogView {
    /// `found`: `None` if nothing was printed yet. `attempt`: the one that is asked for.
    pub(super) fn new(
        frame: &PageFrame,
        record: &RunRecord,
        log: AttemptLog,
        attempt: Option<u32>,
        selection: &LogSelection,
        found: Option<LogLines>,
    ) -> Self {
        let addresses = LogAddresses { frame, run: &record.id, log, attempt };
        let words = selection.contains.clone().unwrap_or_default();
        let is_empty = found.is_none();
        let found = found.unwrap_or_default();
        let (end, next, total, hits) = (found.end, found.next, found.total, found.hits);
        let is_tail = next.is_none() && words.is_empty();
        let is_growing =
            record.finished.is_none() && attempt.is_none_or(|number| number as usize == record.attempts.len());
        let mut lines = shown_lines(found);
        if !words.is_empty() {
            let around = |number: u64| number.saturating_sub(MOST_LINES as u64 / 2).max(1);
            lines.iter_mut().for_each(|line| {
                let number = line.number;
                line.url = Some(format!("{}#L{number}", addresses.page(Some(around(number)), "")));
            });
        }
        let first = lines.first().map_or(1, |line| line.number);
        let before = (first - 1).min(MOST_LINES as u64);
        Self {
            tabs: AttemptLog::ALL.map(|other| addresses.tab(other, log)).into(),
            attempts: attempt_tabs(&addresses, record),
            attempt,
            url: frame.url(&log_path(&record.id, log)),
            raw_url: addresses.raw(),
            file: format!("{}-{}.log", record.id, log.as_str()),
            earlier: (words.is_empty() && before > 0).then(|| (before, addresses.page(Some(first - before), ""))),
            later_url: next.map(|next| addresses.page(Some(next), &words)),
            tail_url: (!is_tail).then(|| addresses.page(None, "")),
            follow_url: (is_tail && is_growing).then(|| addresses.follow(end.line, end.byte)),
            nothing: match (is_empty, words.is_empty()) {
                (true, _) => "Nothing was printed yet.",
                (false, true) => "This log is empty.",
                (false, false) => "No line contains this text.",
            },
            lines,
            total,
            hits,
            words,
        }
    }
}

fn attempt_tabs(addresses: &LogAddresses<'_>, record: &RunRecord) -> Vec<LogTab> {
    /// Most attempts to choose from.
    const MOST: usize = 20;
    let last = record.attempts.len();
    if last < 2 {
        return Vec::new();
    }
    let tab = |number: usize| {
        let asked = u32::try_from(number).ok();
        let shown = addresses.attempt.map_or(last, |asked| asked as usize);
        LogTab {
            url: LogAddresses { attempt: asked, ..*addresses }.page(None, ""),
            label: number.to_string(),
            is_shown: number == shown,
        }
    };
    (1..=last).rev().take(MOST).map(tab).collect()
}

/// Addresses of pages of a log.
#[derive(Clone, Copy)]
struct LogAddresses<'a> {
    frame: &'a PageFrame,
    run: &'a str,
    log: AttemptLog,
    attempt: Option<u32>,
}

impl LogAddresses<'_> {
    fn query(&self, pairs: &[(&str, String)]) -> String {
        let attempt = self.attempt.map(|attempt| ("attempt", attempt.to_string()));
        let pairs = attempt.iter().chain(pairs).filter(|(_, value)| !value.is_empty());
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        if query.is_empty() { query } else { format!("?{query}") }
    }

    fn page(&self, from: Option<u64>, words: &str) -> String {
        let from = from.map(|from| from.to_string()).unwrap_or_default();
        let query = self.query(&[("from", from), ("grep", words.to_owned())]);
        self.frame.url(&format!("{}{query}", log_path(self.run, self.log)))
    }

    fn tab(self, log: AttemptLog, shown: AttemptLog) -> LogTab {
        let label = match log {
            AttemptLog::Combined => "both",
            AttemptLog::Stdout => "stdout",
            AttemptLog::Stderr => "stderr",
            AttemptLog::System => "SILO",
        };
        LogTab { url: Self { log, ..self }.page(None, ""), label: label.to_owned(), is_shown: log == shown }
    }

    fn raw(&self) -> String {
        let query = self.query(&[]);
        self.frame.url(&format!("/api/v1/runs/{}/logs/{}{query}", self.run, self.log.as_str()))
    }

    fn follow(&self, line: u64, byte: u64) -> String {
        let query = self.query(&[("line", line.to_string()), ("byte", byte.to_string())]);
        self.frame.url(&format!("{}/follow{query}", log_path(self.run, self.log)))
    }
}
