//! `silo group`: groups of users, which registries have as members.

use clap::Subcommand;
use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::args::server_client::{ServerOptions, text};
use super::consent::ConsentOption;
use super::output::table::{name, table, words};
use super::print;
use crate::api::users::{GroupForm, GroupReply};

#[derive(Subcommand)]
pub(super) enum Command {
    /// Create a group, or replace its users
    Set {
        /// Name for the group
        group: String,
        /// Names of its users
        #[arg(value_name = "USER")]
        users: Vec<String>,
        #[command(flatten)]
        server: ServerOptions,
    },
    /// List the groups with their users
    #[command(alias = "ls")]
    List {
        /// The server's reply as JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        server: ServerOptions,
    },
    /// Delete a group: its users no longer see registries through it
    #[command(aliases = ["remove", "delete"])]
    Rm {
        /// The group's name
        group: String,
        #[command(flatten)]
        consent: ConsentOption,
        #[command(flatten)]
        server: ServerOptions,
    },
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Set { group, users, server } => {
            let form = serde_json::to_value(GroupForm { users })?;
            server.client()?.ask(Method::PUT, &path(&group), &[], Some(&form)).await?;
            stderrln!("Changed the group {group}.");
            Ok(())
        }
        Command::List { json, server } => list(json, &server).await,
        Command::Rm { group, consent, server } => {
            let client = server.client()?;
            consent.to(&format!("Delete the group {group}?"))?;
            client.ask(Method::DELETE, &path(&group), &[], None).await?;
            stderrln!("Deleted the group {group}.");
            Ok(())
        }
    }
}

fn path(group: &str) -> String {
    format!("/api/v1/groups/{}", utf8_percent_encode(group, NON_ALPHANUMERIC))
}

async fn list(json: bool, server: &ServerOptions) -> anyhow::Result<()> {
    let reply = server.client()?.ask(Method::GET, "/api/v1/groups", &[], None).await?;
    if json {
        return print(format_args!("{reply}\n"));
    }
    let groups: Vec<GroupReply> = reply.read()?;
    let users = |group: &GroupReply| group.users.iter().map(|user| text(user)).collect::<Vec<_>>().join(", ");
    let rows = groups.iter().map(|group| [text(&group.name), users(group)]);
    print(format_args!("{}\n", table([name("NAME"), words("USERS")], rows)))
}
