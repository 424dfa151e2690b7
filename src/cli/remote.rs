//! What the commands against a server share: where it is, how its replies are shown.

use clap::{Args, ValueEnum};
use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use http::Method;
use serde_json::Value;

use super::render::steers;
use super::serve::reachable;
use crate::client::Client;
use crate::config::{Flags, Settings};

/// The server to ask.
#[derive(Args)]
pub(super) struct Server {
    /// The server's address
    #[arg(
        long,
        env = "SILO_URL",
        default_value = "http://127.0.0.1:9000",
        value_name = "URL",
        help_heading = "Server"
    )]
    server: String,
    /// A token from `silo login`
    #[arg(long, env = "SILO_TOKEN", hide_env_values = true, help_heading = "Server")]
    token: Option<String>,
}

impl Server {
    pub(super) fn client(&self) -> anyhow::Result<Client> {
        Ok(Client::new(&self.server, self.token.clone())?)
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
    Client::new(&server, None)?.ask(Method::GET, "/", &[], None).await?;
    Ok(())
}

/// Aligned columns without lines.
pub(super) fn table<const N: usize>(head: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled).set_header(head);
    table.add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt()
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
