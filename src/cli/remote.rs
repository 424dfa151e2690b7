//! What the commands against a server share: where it is, how its replies are shown.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Local, Utc};
use clap::{Args, ValueEnum};
use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use http::Method;
use serde_json::Value;
use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::UnicodeWidthStr as _;

use super::logins::KeptLogins;
use super::render::steers;
use super::search::is_mark;
use super::serve::reachable;
use crate::client::Client;
use crate::config::{Flags, Settings};

/// The server to ask.
#[derive(Args)]
pub(super) struct Server {
    #[command(flatten)]
    address: ServerAddress,
    /// Certificates of authorities (PEM) to trust for the server, beside the system's or those that SSL_CERT_FILE names
    #[arg(long, visible_alias = "server-ca", env = "SILO_CA", value_name = "FILE", help_heading = "Server")]
    ca: Option<PathBuf>,
}

/// The same for commands that have a `--ca` of their own.
#[derive(Args)]
pub(super) struct RegistryServer {
    #[command(flatten)]
    address: ServerAddress,
    /// Certificates of authorities (PEM) to trust for the server, beside the system's or those that SSL_CERT_FILE names
    #[arg(long, env = "SILO_CA", value_name = "FILE", help_heading = "Server")]
    server_ca: Option<PathBuf>,
}

#[derive(Args)]
struct ServerAddress {
    /// The server's address
    #[arg(
        long,
        env = "SILO_URL",
        default_value = "http://127.0.0.1:9000",
        value_name = "URL",
        help_heading = "Server"
    )]
    server: String,
    /// A token [default: what `silo login` has kept for this server]
    #[arg(long, env = "SILO_TOKEN", hide_env_values = true, help_heading = "Server")]
    token: Option<String>,
}

impl Server {
    /// A client with the token that was given, or else kept.
    pub(super) fn client(&self) -> anyhow::Result<Client> {
        self.address.client(self.ca.as_deref())
    }

    /// A client with another token, or none.
    pub(super) fn client_as(&self, token: Option<String>) -> anyhow::Result<Client> {
        Ok(Client::new(&self.address.server, token, self.ca.as_deref())?)
    }

    pub(super) fn url(&self) -> &str {
        &self.address.server
    }
}

impl RegistryServer {
    /// As [`Server::client`].
    pub(super) fn client(&self) -> anyhow::Result<Client> {
        self.address.client(self.server_ca.as_deref())
    }
}

impl ServerAddress {
    fn client(&self, ca: Option<&Path>) -> anyhow::Result<Client> {
        let token = match &self.token {
            Some(token) => Some(token.clone()),
            None => KeptLogins::read()?.at(&self.server).map(|kept| kept.token.clone()),
        };
        Ok(Client::new(&self.server, token, ca)?)
    }
}

#[derive(Args)]
pub(super) struct HealthOptions {
    /// The server's address; the one that the configuration listens on, if not given
    #[arg(long)]
    server: Option<String>,
}

pub(super) async fn health(flags: &Flags, options: HealthOptions) -> anyhow::Result<()> {
    let server = match options.server {
        Some(server) => server,
        None => format!("http://{}", reachable(Settings::load(flags)?.listen)),
    };
    // Any JSON will do; the index needs no database, as a probe of life should.
    Client::new(&server, None, None)?.ask(Method::GET, "/", &[], None).await?;
    Ok(())
}

/// Aligned columns without lines; on a terminal they fit its width.
pub(super) fn table<const N: usize>(head: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    table_within(terminal_width(), head, rows)
}

/// The same for a width in columns; `None`: as wide as it gets.
fn table_within<const N: usize>(
    width: Option<usize>,
    head: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut rows: Vec<[String; N]> = rows.into_iter().collect();
    if let Some(width) = width {
        let widest = |column: usize| rows.iter().map(|row| row[column].width()).chain([head[column].width()]).max();
        let widths: [usize; N] = std::array::from_fn(|column| widest(column).unwrap_or_default());
        let fitted = fitted(head, widths, width.saturating_sub(GAP * N.saturating_sub(1)));
        for row in &mut rows {
            for (cell, width) in row.iter_mut().zip(fitted) {
                *cell = cut(cell, width);
            }
        }
    }
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled).set_header(head);
    table.add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, GAP as u16));
    }
    table.trim_fmt()
}

/// Blanks between columns.
const GAP: usize = 2;
/// Columns that are cut first: the others are what people copy.
const WORDS: [&str; 6] = ["TITLE", "ORGANIZATION", "LABEL", "VALUES", "ERROR", "URL"];
/// No column gets narrower, unless it is so.
const NARROWEST: usize = 8;

/// The widths of columns that fit together into a width: those of words are cut first, then all, always the widest.
fn fitted<const N: usize>(head: [&str; N], mut widths: [usize; N], width: usize) -> [usize; N] {
    for may_be_cut in [|name: &str| WORDS.contains(&name), |_: &str| true] {
        while widths.iter().sum::<usize>() > width {
            let cut = (0..N).filter(|column| may_be_cut(head[*column]) && widths[*column] > NARROWEST);
            let Some(widest) = cut.max_by_key(|column| widths[*column]) else { break };
            widths[widest] -= 1;
        }
    }
    widths
}

/// A text cut to a width, with `…` in place of what is left out. What has no width and stands for marks stays.
fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let (mut kept, mut used, mut is_full) = (String::new(), 0, false);
    for letter in text.graphemes(true) {
        is_full |= used + letter.width() > width.saturating_sub(1);
        if !is_full {
            used += letter.width();
            kept.push_str(letter);
        } else if letter.starts_with(is_mark) {
            kept.push_str(letter);
        }
    }
    // The mark that ends an emphasis goes behind.
    let at = kept.trim_end_matches(is_mark).len();
    kept.insert(at, '…');
    kept
}

/// Columns of the terminal that standard output is; `None` where it is none.
fn terminal_width() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

/// A time for people: on a terminal short and by this machine's clock, else to the second, in UTC.
pub(super) fn moment(value: &Value) -> String {
    let text = text(value);
    match text.parse::<DateTime<Utc>>() {
        Ok(time) if terminal_width().is_some() => time.with_timezone(&Local).format("%Y-%m-%d %H:%M").to_string(),
        Ok(time) => time.format("%Y-%m-%d %H:%M:%S").to_string(),
        Err(_) => text,
    }
}

/// A text of a reply. It comes from strangers and ends on a terminal: characters that steer one are taken out.
pub(super) fn text(value: &Value) -> String {
    let plain = |text: &str| text.chars().map(|c| if steers(c) { ' ' } else { c }).collect();
    match value {
        Value::Null => String::new(),
        Value::String(text) => plain(text),
        other => plain(&other.to_string()),
    }
}

/// One of several words, as people and the server write it.
pub(super) fn word(one: &impl ValueEnum) -> String {
    one.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

/// The items of a reply's list.
pub(super) fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEAD: [&str; 3] = ["NAME", "TITLE", "IMAGE"];

    fn row(name: &str, title: &str, image: &str) -> [String; 3] {
        [name, title, image].map(str::to_owned)
    }

    #[test]
    fn what_does_not_fit_is_cut_words_first() {
        let rows = || [row("ice", "Finds the edges of sea ice", "r.org/geo/ice-1.0.0-seed:1.0.0")];
        let table = |width| table_within(width, HEAD, rows());
        let image = "r.org/geo/ice-1.0.0-seed:1.0.0";
        let lines = |title: &str, image: &str, width: usize| {
            format!("{:4}  {:width$}  IMAGE\n{:4}  {title:width$}  {image}", "NAME", "TITLE", "ice")
        };
        let whole = lines("Finds the edges of sea ice", image, 26);
        assert_eq!(table(None), whole);
        assert_eq!(table(Some(64)), whole);
        assert_eq!(table(Some(50)), lines("Finds the e…", image, 12));
        assert_eq!(table(Some(30)), lines("Finds t…", "r.org/geo/ice…", 8));
    }

    #[test]
    fn wide_letters_take_two_columns_and_marks_none() {
        assert_eq!(cut("冰の検出", 8), "冰の検出");
        assert_eq!(cut("冰の検出", 7), "冰の検…");
        assert_eq!(cut("冰の検出", 6), "冰の…");
        assert_eq!(cut("e\u{301}e\u{301}e\u{301}", 2), "e\u{301}…");
        assert_eq!(cut("\u{2061}sea ice\u{2062} x", 5), "\u{2061}sea …\u{2062}");
    }

    proptest! {
        #[test]
        fn no_line_is_wider_than_the_terminal(cells in prop::collection::vec("[a-z 冰の検ä]{0,60}", 3..12), width in 40..200usize) {
            let rows = cells.chunks_exact(3).map(|row| [0, 1, 2].map(|at| text(&row[at].as_str().into())));
            let table = table_within(Some(width), HEAD, rows);
            for line in table.lines() {
                prop_assert!(line.width() <= width, "{} > {width}: {line}", line.width());
            }
        }
    }
}
