//! `/run/{id}/log/{log}`: a log by pages, searches in it, and the lines that come while it is shown.

use askama::Template;
use axum::response::{Response, sse};
use futures_util::stream;
use http::HeaderMap;
use serde::Deserialize;

use super::log_view::{LogView, MOST_LINES, ShownLine};
use super::{lines, run_path};
use crate::app::{AttemptLog, LONGEST_LOG_LINE, LogFollower, LogLine, LogPlace, LogSelection, UserSession};
use crate::http::api::v1::runs::logs::log_named;
use crate::http::error::Result;
use crate::http::extract::{PathParameters, QueryParameters, RequestApp};
use crate::http::pages::frame::PageSection;
use crate::http::pages::{PageFrame, filters, reply};
use crate::http::stream::StreamOpener;

#[derive(Template)]
#[template(path = "run_log.html", blocks = ["main"])]
struct LogPage {
    frame: PageFrame,
    title: String,
    run: String,
    run_url: String,
    log_name: &'static str,
    log: LogView,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LogPageQuery {
    /// Attempt number, from 1; the last one by default.
    attempt: Option<u32>,
    /// Number of the first line; the last lines by default.
    from: Option<u64>,
    /// Only lines that contain this text.
    #[serde(default)]
    grep: String,
}

pub(super) async fn show(
    RequestApp(app): RequestApp,
    frame: PageFrame,
    session: UserSession,
    PathParameters((id, log)): PathParameters<(String, String)>,
    QueryParameters(asked): QueryParameters<LogPageQuery>,
) -> Result<Response> {
    let log = log_named(&log)?;
    let files = app.run_folder(&session, &id).await?;
    // An attempt that was not made is an error; one that has not printed is not.
    files.log(log, asked.attempt)?;
    let contains = Some(asked.grep).filter(|words| !words.is_empty());
    let selection = LogSelection { first: asked.from, most: MOST_LINES, contains };
    let found = lines(&files, log, asked.attempt, &selection).await?;
    let record = &files.record;
    let is_fragment = frame.is_fragment();
    let page = LogPage {
        title: super::view::title(record),
        run: record.id.clone(),
        run_url: frame.url(&run_path(&record.id)),
        log_name: match log {
            AttemptLog::Combined => "Log",
            AttemptLog::Stdout => "Standard output",
            AttemptLog::Stderr => "Standard error",
            AttemptLog::System => "What SILO did",
        },
        log: LogView::new(&frame, record, log, asked.attempt, &selection, found),
        frame: frame.in_section(PageSection::Runs),
    };
    if is_fragment { reply(&page.as_main()) } else { reply(&page) }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FollowQuery {
    attempt: Option<u32>,
    /// Number of the line that begins at `byte`.
    line: u64,
    byte: u64,
}

/// Streams lines as events with their markup, a JSON text; the id of an event is the place to go on from. The last event is `end`.
pub(super) async fn follow(
    RequestApp(app): RequestApp,
    session: UserSession,
    PathParameters((id, log)): PathParameters<(String, String)>,
    QueryParameters(FollowQuery { attempt, line, byte }): QueryParameters<FollowQuery>,
    headers: HeaderMap,
    opening: StreamOpener,
) -> Result<Response> {
    let log = log_named(&log)?;
    let path = app.run_folder(&session, &id).await?.log(log, attempt)?;
    let last = headers.get("last-event-id").and_then(|value| place(value.to_str().ok()?));
    let begin = last.unwrap_or(LogPlace { line, byte });
    let follower = LogFollower::new(app, session, id, path, begin.byte);
    let lines = LineStream { follower, log, begin, rest: Vec::new(), cut: 0, is_over: false };
    opening.reply(stream::unfold(lines, async |mut lines| lines.event().await.map(|event| (event, lines))))
}

fn place(id: &str) -> Option<LogPlace> {
    let (line, byte) = id.split_once('.')?;
    Some(LogPlace { line: line.parse().ok()?, byte: byte.parse().ok()? })
}

/// Lines of a log that grows.
struct LineStream {
    follower: LogFollower,
    log: AttemptLog,
    /// Where the unfinished line begins.
    begin: LogPlace,
    /// The unfinished line.
    rest: Vec<u8>,
    /// Bytes left out at its end.
    cut: u64,
    is_over: bool,
}

impl LineStream {
    /// Lines of the next piece; `None` after the end.
    async fn event(&mut self) -> Option<sse::Event> {
        if self.is_over {
            return None;
        }
        let Some(piece) = self.follower.next().await else {
            self.is_over = true;
            return Some(sse::Event::default().event("end").data("null"));
        };
        let html = self.read(&piece);
        let data = serde_json::to_string(&html).expect("a text has a JSON form");
        Some(sse::Event::default().event("lines").id(format!("{}.{}", self.begin.line, self.begin.byte)).data(data))
    }

    /// Lines that are finished, and the unfinished one, which comes again when there is more of it.
    fn read(&mut self, piece: &[u8]) -> String {
        let mut html = String::new();
        let full = (self.cut > 0).then_some(self.begin.line);
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            let (text, is_finished) = part.strip_suffix(b"\n").map_or((part, false), |text| (text, true));
            let kept = text.len().min(LONGEST_LOG_LINE - self.rest.len());
            self.rest.extend_from_slice(&text[..kept]);
            self.cut += (text.len() - kept) as u64;
            if is_finished {
                html.push_str(&self.shown());
                let length = self.rest.len() as u64 + self.cut + 1;
                self.begin = LogPlace { line: self.begin.line + 1, byte: self.begin.byte + length };
                self.rest.clear();
                self.cut = 0;
            }
        }
        // Half a record is no line, and one that is cut does not change.
        if !self.rest.is_empty() && self.log != AttemptLog::Combined && full != Some(self.begin.line) {
            html.push_str(&self.shown());
        }
        html
    }

    fn shown(&self) -> String {
        let line = LogLine::of(self.log, self.begin.line, &self.rest, self.cut);
        // The template writes to memory, which does not fail.
        ShownLine::of(line).render().unwrap_or_default()
    }
}
