//! Common to all commands that call a server: its address, and the formatting of its replies.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Local, Utc};
use clap::{Args, ValueEnum};
use http::Method;

use crate::cli::logins::KeptLogins;
use crate::cli::output::render::steers;
use crate::cli::output::table::terminal_width;
use crate::cli::serve::reachable;
use crate::client::{Client, Error};
use crate::config::{ConfigFlags, ServiceSettings};

/// The server's address, CA certificates and token.
#[derive(Args)]
pub(in crate::cli) struct ServerOptions {
    #[command(flatten)]
    address: ServerAddress,
    /// CA certificates (PEM) to trust for the server, in addition to the system's or those of SSL_CERT_FILE
    #[arg(long, visible_alias = "server-ca", env = "SILO_CA", value_name = "FILE", help_heading = "Server")]
    ca: Option<PathBuf>,
}

/// Like [`ServerOptions`], for commands that have their own `--ca`.
#[derive(Args)]
pub(in crate::cli) struct RegistryServer {
    #[command(flatten)]
    address: ServerAddress,
    /// CA certificates (PEM) to trust for the server, in addition to the system's or those of SSL_CERT_FILE
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
        value_name = "ADDRESS",
        help_heading = "Server"
    )]
    server: String,
    /// Access token [default: the token that `silo login` stored for this server]
    #[arg(long, env = "SILO_TOKEN", hide_env_values = true, help_heading = "Server")]
    token: Option<String>,
}

impl ServerOptions {
    /// A client with the given token, or else the stored one.
    pub(in crate::cli) fn client(&self) -> anyhow::Result<Client> {
        self.address.client(self.ca.as_deref())
    }

    /// A client with another token, or none.
    pub(in crate::cli) fn client_as(&self, token: Option<String>) -> anyhow::Result<Client> {
        Ok(Client::new(&self.address.server, token, self.ca.as_deref())?)
    }

    pub(in crate::cli) fn url(&self) -> &str {
        &self.address.server
    }
}

impl RegistryServer {
    /// See [`ServerOptions::client`].
    pub(in crate::cli) fn client(&self) -> anyhow::Result<Client> {
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
pub(in crate::cli) struct HealthOptions {
    /// The server's address [default: the configured listen address]
    #[arg(long, env = "SILO_URL", value_name = "ADDRESS")]
    server: Option<String>,
}

/// Checks that a server replies.
///
/// # Errors
/// It does not, or it is no SILO.
pub(in crate::cli) async fn answers(client: &Client) -> Result<(), Error> {
    // Any JSON will do; the list of routes needs no database, as is right for a liveness probe.
    client.ask(Method::GET, "/", &[], None).await.map(drop)
}

pub(in crate::cli) async fn health(flags: &ConfigFlags, options: HealthOptions) -> anyhow::Result<()> {
    let server = match options.server {
        Some(server) => server,
        None => format!("http://{}", reachable(ServiceSettings::load(flags)?.listen)),
    };
    Ok(answers(&Client::new(&server, None, None)?).await?)
}

/// A time for people: on a terminal short and in local time, else to the second in UTC.
pub(in crate::cli) fn moment(time: DateTime<Utc>) -> String {
    match terminal_width() {
        Some(_) => time.with_timezone(&Local).format("%Y-%m-%d %H:%M").to_string(),
        None => time.format("%Y-%m-%d %H:%M:%S").to_string(),
    }
}

/// As [`moment`], of a text in RFC 3339; other texts are unchanged.
pub(in crate::cli) fn moment_of(text: String) -> String {
    text.parse().map_or(text, moment)
}

/// A text of a reply, with control characters replaced by blanks: it is untrusted, and is printed to a terminal.
pub(in crate::cli) fn text(text: &str) -> String {
    text.chars().map(|c| if steers(c) { ' ' } else { c }).collect()
}

/// The name of an enum's value, as in flags and in the API.
pub(in crate::cli) fn word(one: &impl ValueEnum) -> String {
    one.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}
