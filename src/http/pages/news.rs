//! `/new`: what scans added, changed and removed, by day.

use askama::Template;
use axum::response::Response;
use chrono::SecondsFormat;
use serde::Deserialize;

use super::frame::PageSection;
use super::{PageFrame, filters, reply};
use crate::app::RecentEvents;
use crate::catalog::{EventFilter, EventId, EventKind, ImageEvent};
use crate::http::error::Result;
use crate::http::extract::{QueryParameters, RequestApp};

/// Events on a page.
const PAGE_SIZE: u32 = 50;

#[derive(Template)]
#[template(path = "news.html")]
struct NewsPage {
    frame: PageFrame,
    days: Vec<EventDay>,
    older_url: Option<String>,
    /// The first page, unless this is it.
    newest_url: Option<String>,
    registry: String,
    word: String,
    is_filtered: bool,
}

/// The events of a day in UTC, newest first.
struct EventDay {
    /// Such as `2027-01-15`.
    date: String,
    /// Such as `Friday, 15 January 2027`.
    heading: String,
    events: Vec<EventRow>,
}

/// An event.
struct EventRow {
    word: &'static str,
    /// CSS class of its sign.
    sign: &'static str,
    /// Address of the image; `None` if it was removed.
    url: Option<String>,
    title: String,
    /// The job's name, if the title is another one.
    name: String,
    job_version: String,
    package_version: String,
    reference: String,
    registry: String,
    /// The changes in this registry.
    registry_url: String,
    /// RFC 3339.
    iso: String,
    /// Hours and minutes.
    clock: String,
    /// Day and time.
    moment: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewsQuery {
    /// Only events before the one with this id.
    before: Option<i64>,
    /// Name of a registry.
    #[serde(default)]
    registry: String,
    /// Part of the job's name, title or repository, in any case.
    #[serde(default)]
    word: String,
}

impl NewsQuery {
    fn filter(&self) -> EventFilter {
        let given = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        EventFilter { registry: given(&self.registry), word: given(&self.word) }
    }
}

/// The path of a page of changes; empty parameters are left out.
fn news_path(registry: &str, word: &str, before: Option<EventId>) -> String {
    let before = before.map(|id| id.to_string()).unwrap_or_default();
    let pairs = [("registry", registry), ("word", word), ("before", &before)];
    let given = pairs.into_iter().filter(|(_, value)| !value.is_empty());
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(given).finish();
    if query.is_empty() { "/new".to_owned() } else { format!("/new?{query}") }
}

pub(super) async fn news(
    RequestApp(app): RequestApp,
    frame: PageFrame,
    QueryParameters(asked): QueryParameters<NewsQuery>,
) -> Result<Response> {
    let filter = asked.filter();
    let RecentEvents { events, has_older } = app.event_recent(&filter, asked.before.map(EventId), PAGE_SIZE).await?;
    let last = events.last().filter(|_| has_older).map(|event| event.id);
    let address = |before| frame.url(&news_path(&asked.registry, &asked.word, before));
    reply(&NewsPage {
        days: days(&frame, events),
        older_url: last.map(|id| address(Some(id))),
        newest_url: asked.before.map(|_| address(None)),
        is_filtered: filter != EventFilter::default(),
        registry: asked.registry,
        word: asked.word,
        frame: frame.in_section(PageSection::News),
    })
}

fn days(frame: &PageFrame, events: Vec<ImageEvent>) -> Vec<EventDay> {
    let mut days: Vec<EventDay> = Vec::new();
    for event in events {
        let date = event.at.format("%Y-%m-%d").to_string();
        let heading = event.at.format("%A, %-d %B %Y").to_string();
        let row = row(frame, event);
        match days.last_mut() {
            Some(day) if day.date == date => day.events.push(row),
            _ => days.push(EventDay { date, heading, events: vec![row] }),
        }
    }
    days
}

fn row(frame: &PageFrame, event: ImageEvent) -> EventRow {
    let (word, sign) = match event.kind {
        EventKind::Added => ("new", "state good"),
        EventKind::Changed => ("changed", "state warn"),
        EventKind::Removed => ("removed", "state hush"),
    };
    let has_title = !event.title.is_empty() && event.title != event.job_name;
    EventRow {
        word,
        sign,
        url: (event.kind != EventKind::Removed).then(|| frame.image_url(event.image_id)),
        name: if has_title { event.job_name.clone() } else { String::new() },
        title: if has_title { event.title } else { event.job_name },
        job_version: event.job_version,
        package_version: event.package_version,
        reference: format!("{}:{}", event.repository, event.tag),
        registry_url: frame.url(&news_path(&event.registry, "", None)),
        registry: event.registry,
        iso: event.at.to_rfc3339_opts(SecondsFormat::Millis, true),
        clock: event.at.format("%H:%M").to_string(),
        moment: event.at.format("%Y-%m-%d %H:%M:%S UTC").to_string(),
    }
}
