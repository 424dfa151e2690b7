//! `silo search`: a server's catalogue; a registry itself is `search_registry`'s.

use clap::{Args, ValueEnum};
use http::Method;

use super::place::Registry;
use super::remote::{Server, items, table, text};
use super::{print, search_registry};

#[derive(Args)]
pub(super) struct Options {
    /// What to look for; the last word may be a beginning
    #[arg(required_unless_present_any = ["registry", "org"])]
    words: Vec<String>,
    /// What to list
    #[arg(long, value_enum, default_value_t = Kind::Job)]
    kind: Kind,
    /// How many results, from 1 to 100
    #[arg(long, default_value_t = 20)]
    limit: u32,
    /// As JSON, as the server answers
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
    #[command(flatten)]
    registry: Registry,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    Job,
    Image,
}

pub(super) async fn run(options: Options) -> anyhow::Result<()> {
    if options.registry.is_named() {
        let limit = options.limit as usize;
        return search_registry::run(&options.words, &options.registry, limit, options.json).await;
    }
    let words = options.words.join(" ");
    let kind = match options.kind {
        Kind::Job => "job",
        Kind::Image => "image",
    };
    let limit = options.limit.to_string();
    let query = [("q", words.as_str()), ("kind", kind), ("limit", &limit)];
    let reply = options.server.client()?.ask(Method::GET, "/api/v1/search", &query, None).await?;
    if options.json {
        print(format_args!("{reply}\n"))?;
        return Ok(());
    }
    let found = items(&reply["items"]);
    if found.is_empty() {
        eprintln!("Nothing matches '{words}'.");
        return Ok(());
    }
    let rows = found.iter().map(|row| {
        let title = shorten(&text(&row["title"]));
        let mark = if row["valid"] == false { "  (invalid manifest)" } else { "" };
        [text(&row["name"]), text(&row["jobVersion"]), title, text(&row["organization"]), text(&row["image"]) + mark]
    });
    print(format_args!("{}\n", table(["NAME", "VERSION", "TITLE", "ORGANIZATION", "IMAGE"], rows)))?;
    let total = reply["total"].as_u64().unwrap_or_default();
    if total > found.len() as u64 {
        eprintln!("{} of {total}; more with --limit.", found.len());
    }
    Ok(())
}

fn shorten(title: &str) -> String {
    const LONGEST: usize = 48;
    match title.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", title[..end].trim_end()),
        None => title.to_owned(),
    }
}
