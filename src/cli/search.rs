//! `silo search`: searches a server's catalogue; `search_registry` searches a registry itself.

use std::collections::BTreeMap;
use std::io::stdout;
use std::iter::once;

use anstream::{AutoStream, ColorChoice};
use clap::{Args, ValueEnum};
use http::Method;
use unicode_width::UnicodeWidthStr as _;

use super::args::registry::RegistryOptions;
use super::args::server_client::{ServerOptions, text, word};
use super::output::table::{MATCH_END, MATCH_START, Table, cut, table_within, terminal_width, whole, words};
use super::print;
use super::search_registry::{self, COLUMNS};
use crate::api::WireWord;
use crate::api::search::{FacetCountReply, HighlightReply, SearchItemReply, SearchReply};
use crate::client::ServerReply;

#[derive(Args)]
pub(super) struct Options {
    /// Search query, such as 'sea ice tag:radar -optical'; the last word may be incomplete
    #[arg(required_unless_present_any = ["registry", "org", "facet"])]
    words: Vec<String>,
    /// Kind of results
    #[arg(long, value_enum, default_value_t = SearchKindArgument::Job)]
    kind: SearchKindArgument,
    /// Order of the results
    #[arg(long, value_enum, default_value_t = SearchSortArgument::Relevance)]
    sort: SearchSortArgument,
    /// Only results with this facet value, such as tag=radar or output=image/tiff; repeatable
    #[arg(long, value_name = "FACET=VALUE", value_parser = facet)]
    facet: Vec<(String, String)>,
    /// Number of results, from 1 to 100
    #[arg(long, default_value_t = 20)]
    limit: u32,
    /// Count the results per facet value
    #[arg(long)]
    facets: bool,
    /// Show why a result matches if its name and title do not; always shown on a terminal
    #[arg(long)]
    why: bool,
    /// The server's reply as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerOptions,
    #[command(flatten)]
    registry: RegistryOptions,
}

#[derive(Clone, Copy, ValueEnum)]
enum SearchKindArgument {
    Job,
    Image,
}

#[derive(Clone, Copy, ValueEnum)]
enum SearchSortArgument {
    Relevance,
    Name,
    Newest,
    Version,
}

fn facet(text: &str) -> Result<(String, String), String> {
    let (facet, value) = text.split_once('=').ok_or("it must be FACET=VALUE, such as tag=radar")?;
    Ok((format!("facet.{facet}"), value.to_owned()))
}

pub(super) async fn run(options: Options) -> anyhow::Result<()> {
    if options.registry.is_named() {
        let limit = options.limit as usize;
        return search_registry::run(&options.words, &options.registry, limit, options.json).await;
    }
    let is_coloured = AutoStream::choice(&stdout()) != ColorChoice::Never;
    let why = options.why || is_coloured && !options.json;
    let reply = ask(&options, why).await?;
    if options.json {
        print(format_args!("{reply}\n"))?;
        return Ok(());
    }
    let SearchReply { total, items: found, did_you_mean, facets, .. } = reply.read()?;
    if found.is_empty() {
        stderrln!("Nothing matches '{}'.", options.words.join(" "));
    } else {
        print(format_args!("{}\n", shown(&found, is_coloured, terminal_width())))?;
    }
    if options.facets && !found.is_empty() {
        print(format_args!("\n{}\n", counts(&facets.unwrap_or_default())))?;
    }
    if let Some(meant) = did_you_mean {
        stderrln!("Did you mean '{}'?", text(&meant));
    }
    if total > found.len() as u64 {
        stderrln!("{} of {total}; more with --limit.", found.len());
    }
    Ok(())
}

async fn ask(options: &Options, why: bool) -> anyhow::Result<ServerReply> {
    let (words, limit) = (options.words.join(" "), options.limit.to_string());
    let (kind, sort) = (word(&options.kind), word(&options.sort));
    let mut query = vec![("kind", kind.as_str()), ("limit", &limit), ("sort", &sort)];
    if !options.words.is_empty() {
        query.insert(0, ("q", &words));
    }
    query.extend(options.facet.iter().map(|(facet, value)| (facet.as_str(), value.as_str())));
    query.extend(
        [("facets", options.facets), ("highlight", why)]
            .into_iter()
            .filter(|(_, on)| *on)
            .map(|(name, _)| (name, "true")),
    );
    Ok(options.server.client()?.ask(Method::GET, "/api/v1/search", &query, None).await?)
}

/// The results as a table; below a row the reason for the match, if the server gives one and the row does not show it.
fn shown(found: &[SearchItemReply], is_coloured: bool, width: Option<usize>) -> String {
    let rows = found.iter().map(|row| {
        let name = marked(row, "name", &row.name, is_coloured);
        let title = marked(row, "title", &row.title, is_coloured);
        [name, text(&row.job_version), title, text(&row.organization), text(&row.image) + &marks(row)]
    });
    let Table { head, rows } = table_within(width, COLUMNS, rows);
    let mut out = vec![head];
    for (lines, row) in rows.into_iter().zip(found) {
        out.push(lines);
        out.extend(reason(row, is_coloured, width));
    }
    out.join("\n").replace(MATCH_START, "\x1b[1;4m").replace(MATCH_END, "\x1b[22;24m")
}

/// Remarks on a row.
fn marks(row: &SearchItemReply) -> String {
    let others = row.group_count.unwrap_or_default().saturating_sub(1);
    let others = match others {
        0 => String::new(),
        1 => "1 other maintainer has this job".to_owned(),
        _ => format!("{others} other maintainers have this job"),
    };
    let marks =
        [if row.origin.verified { "verified" } else { "" }, if row.valid { "" } else { "invalid manifest" }, &others];
    let marks: Vec<&str> = marks.into_iter().filter(|mark| !mark.is_empty()).collect();
    if marks.is_empty() { String::new() } else { format!("  ({})", marks.join("; ")) }
}

/// A field of a row with this value, with matches marked.
fn marked(row: &SearchItemReply, field: &str, value: &str, is_coloured: bool) -> String {
    let whole = plain(value);
    let highlight = highlights(row).iter().find(|it| it.field == field && it.text == value);
    match highlight.filter(|_| is_coloured) {
        Some(highlight) => emphasised(&whole, &highlight.ranges),
        None => whole,
    }
}

/// The fragments of other fields that match, unless name or title match.
fn reason(row: &SearchItemReply, is_coloured: bool, width: Option<usize>) -> Option<String> {
    const MOST: usize = 2;
    let highlights = highlights(row);
    if highlights.is_empty() || highlights.iter().any(|it| it.field == "name" || it.field == "title") {
        return None;
    }
    let told = highlights.iter().take(MOST).map(|it| {
        let field = format!("    {}: ", text(&it.field));
        let room = width.map_or(usize::MAX, |width| width.saturating_sub(field.width()));
        let (fragment, ranges) = from_where_it_matches(plain(&it.text), it.ranges.clone(), room);
        field + &cut(&if is_coloured { emphasised(&fragment, &ranges) } else { fragment }, room)
    });
    Some(told.collect::<Vec<_>>().join("\n"))
}

/// A text with its match ranges, in characters; the beginning is cut off if the first match would not fit in `room`.
fn from_where_it_matches(text: String, ranges: Vec<[usize; 2]>, room: usize) -> (String, Vec<[usize; 2]>) {
    let first = ranges.first().map_or(0, |[start, _]| *start);
    if text.width() <= room || first <= room / 2 {
        return (text, ranges);
    }
    let left_out = (first - room / 4).min((text.width() + 1).saturating_sub(room));
    let moved = |at: usize| at.saturating_sub(left_out) + 1;
    let ranges = ranges.into_iter().map(|range| range.map(moved)).collect();
    (once('…').chain(text.chars().skip(left_out)).collect(), ranges)
}

fn highlights(row: &SearchItemReply) -> &[HighlightReply] {
    row.highlights.as_deref().unwrap_or_default()
}

/// A text of a reply with the placeholders replaced by blanks, so that positions are unchanged.
fn plain(value: &str) -> String {
    text(value).replace([MATCH_START, MATCH_END], " ")
}

fn emphasised(plain: &str, ranges: &[[usize; 2]]) -> String {
    let mut out = String::new();
    for (at, c) in plain.chars().enumerate() {
        if ranges.iter().any(|[start, _]| *start == at) {
            out.push(MATCH_START);
        }
        out.push(c);
        if ranges.iter().any(|[_, end]| *end == at + 1) {
            out.push(MATCH_END);
        }
    }
    out
}

/// The most frequent values of each facet, one facet per line.
fn counts(facets: &BTreeMap<WireWord, Vec<FacetCountReply>>) -> String {
    const MOST: usize = 8;
    let rows = facets.iter().filter(|(_, values)| !values.is_empty()).map(|(facet, values)| {
        let mut told: Vec<String> =
            values.iter().take(MOST).map(|it| format!("{} ({})", plain(&it.value), it.count)).collect();
        if values.len() > MOST {
            told.push("…".to_owned());
        }
        [text(facet), told.join(", ")]
    });
    table_within(terminal_width(), [whole("FACET"), words("VALUES")], rows).to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn found(name: &str, title: &str, highlights: Value) -> SearchItemReply {
        SearchItemReply {
            name: name.to_owned(),
            title: title.to_owned(),
            job_version: "1.0.0".to_owned(),
            image: "h/i".to_owned(),
            valid: true,
            highlights: serde_json::from_value(highlights).expect("highlights"),
            ..SearchItemReply::default()
        }
    }

    #[test]
    fn what_matches_stands_out_where_there_are_colours() {
        let row = found(
            "sea-ice",
            "Größe of ice",
            json!([
                { "field": "name", "text": "sea-ice", "ranges": [[4, 7]] },
                { "field": "title", "text": "Größe of ice", "ranges": [[0, 5], [9, 12]] },
            ]),
        );
        let plain = shown(std::slice::from_ref(&row), false, None);
        assert_eq!(plain.lines().last(), Some("sea-ice  1.0.0    Größe of ice                h/i"));
        let coloured = shown(&[row], true, None);
        let bare = coloured.replace("\x1b[1;4m", "").replace("\x1b[22;24m", "");
        assert_eq!(bare, plain, "columns stay where they are");
        assert!(coloured.contains("sea-\x1b[1;4mice\x1b[22;24m ") && coloured.contains("\x1b[1;4mGröße\x1b[22;24m"));
    }

    #[test]
    fn why_something_was_found_fits_a_line_and_shows_what_matches() {
        let fragment = "Takes scenes of every satellite that anybody has ever flown, and marks the ice in them";
        let row = found(
            "edges",
            "Edges",
            json!([
                { "field": "description", "text": fragment, "ranges": [[75, 78]] },
                { "field": "tags", "text": "ice", "ranges": [[0, 3]] },
            ]),
        );
        let lines = |width| shown(std::slice::from_ref(&row), true, width);
        let narrow = lines(Some(60));
        let reasons: Vec<&str> = narrow.lines().skip(2).collect();
        assert_eq!(
            reasons,
            [
                "    description: … has ever flown, and marks the \x1b[1;4mice\x1b[22;24m in them",
                "    tags: \x1b[1;4mice\x1b[22;24m",
            ]
        );
        assert!(lines(None).contains("    description: Takes scenes of every satellite that anybody"));
    }
}
