//! `silo login`, `silo logout` and `silo whoami`.

use std::io::{IsTerminal as _, stdout};

use anyhow::bail;
use chrono::SecondsFormat;
use clap::Args;
use http::Method;
use secrecy::ExposeSecret as _;
use serde_json::json;

use super::account::PasswordSource;
use super::args::manifest_file::shown;
use super::args::server_client::{ServerOptions, answers, moment, text};
use super::logins::{KeptLogin, KeptLogins};
use super::print;
use crate::api::sessions::{LoginForm, TokenReply, UserReply};
use crate::app::PASSWORD_FILE;
use crate::client::Error;

#[derive(Args)]
#[command(after_help = "The token is stored for this server in silo/logins.json in your configuration folder \
                  (XDG_CONFIG_HOME, or ~/.config). If standard output is not a terminal, as in $(silo login), the \
                  token is also printed.")]
pub(super) struct LoginOptions {
    /// User name [default: admin]
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// Same as NAME
    #[arg(short, long, alias = "user", value_name = "NAME", conflicts_with = "name")]
    username: Option<String>,
    #[command(flatten)]
    password: PasswordSource,
    #[command(flatten)]
    server: ServerOptions,
}

pub(super) async fn login(options: LoginOptions) -> anyhow::Result<()> {
    let LoginOptions { name, username, password, server } = options;
    let name = name.or(username).unwrap_or_else(|| "admin".to_owned());
    let password = password.read(&format!("Password for {name}: "))?;
    let form = serde_json::to_value(LoginForm { username: name.clone(), password, name: String::new() })?;
    let reply = match server.client_as(None)?.ask(Method::POST, "/api/v1/login", &[], Some(&form)).await {
        Err(Error::Unauthenticated(_)) => bail!(
            "{} does not accept this name and password. The first password of admin is in {PASSWORD_FILE} in the \
             server's data folder",
            server.url()
        ),
        reply => reply?,
    };
    let TokenReply { token, expires_at } = reply.read()?;
    let token = token.expose_secret().to_owned();
    let is_terminal = stdout().is_terminal();
    let kept_until = expires_at.to_rfc3339_opts(SecondsFormat::AutoSi, true);
    let login = KeptLogin { username: name.clone(), token: token.clone(), expires_at: kept_until };
    match KeptLogins::keep(server.url(), login) {
        Ok(file) => stderrln!(
            "Logged in to {} as {name} until {}; the token is stored in {}.",
            server.url(),
            moment(expires_at),
            shown(&file)
        ),
        Err(why) if is_terminal => return Err(why),
        // The output is redirected, so the user can do without the login file.
        Err(why) => stderrln!("note: {why:#}"),
    }
    if is_terminal { Ok(()) } else { print(format_args!("{token}\n")) }
}

#[derive(Args)]
pub(super) struct LogoutOptions {
    #[command(flatten)]
    server: ServerOptions,
}

/// Ends the session at the server, too, if it can be reached.
pub(super) async fn logout(options: LogoutOptions) -> anyhow::Result<()> {
    let (server, logins) = (options.server, KeptLogins::read()?);
    let Some(kept) = logins.at(server.url()).cloned() else {
        stderrln!("No login is stored for {}.", server.url());
        return Ok(());
    };
    let ended = server.client_as(Some(kept.token))?.ask(Method::POST, "/api/v1/logout", &[], None).await;
    logins.forget(server.url())?;
    if let Err(why) = ended {
        stderrln!("note: the session on the server is still valid: {why}");
    }
    stderrln!("Logged out {} of {}.", kept.username, server.url());
    Ok(())
}

#[derive(Args)]
pub(super) struct WhoamiOptions {
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerOptions,
}

pub(super) async fn whoami(options: WhoamiOptions) -> anyhow::Result<()> {
    let WhoamiOptions { json, server } = options;
    let client = server.client()?;
    if !client.has_token() {
        answers(&client).await?;
        bail!("you are not logged in to {}; log in with: silo login", server.url());
    }
    let UserReply { username, role, .. } = client.ask(Method::GET, "/api/v1/me", &[], None).await?.read()?;
    if json {
        let me = json!({ "server": server.url(), "username": username, "role": role });
        return print(format_args!("{me}\n"));
    }
    print(format_args!("{} ({}) at {}\n", text(&username), text(&role), server.url()))
}
