//! `silo user`, and the reading of passwords.

use std::io::{BufRead as _, IsTerminal as _, stdin};

use clap::{Args, Subcommand};
use secrecy::SecretString;
use serde_json::json;

use super::args::server_client::moment;
use super::output::table::{name, table, whole};
use super::{keep_files_private, print};
use crate::app::{App, NewUser, UserChange, role_named};
use crate::catalog::UserOverview;
use crate::clock::Clock;
use crate::config::{ConfigFlags, ServiceSettings};

#[derive(Subcommand)]
pub(super) enum Command {
    /// Add a user; the password is asked for, or read from standard input
    Add {
        name: String,
        /// Role of the user: admin, runner or user
        #[arg(long, default_value = "user")]
        role: String,
    },
    /// List the users
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Change a user's password; earlier tokens stop working
    Passwd { name: String },
    /// Change a user's role; earlier tokens stop working
    Role {
        name: String,
        /// admin, runner or user
        role: String,
    },
    /// Delete a user
    Rm { name: String },
}

pub(super) async fn run(flags: &ConfigFlags, command: Command) -> anyhow::Result<()> {
    keep_files_private();
    let settings = ServiceSettings::load(flags)?;
    let app = App::beside(settings, Clock::system()).await?;
    let outcome = keep(&app, command).await;
    app.close().await;
    outcome
}

async fn keep(app: &App, command: Command) -> anyhow::Result<()> {
    match command {
        Command::Add { name, role } => {
            let password = read_password(&format!("Password for {name}: "))?;
            let user = app.user_add(&NewUser { username: name, password, role }).await?;
            stderrln!("Added {} with role {}.", user.username, user.role.as_str());
        }
        Command::List { json } => {
            let users = app.user_overviews().await?;
            if json {
                let rows = users.iter().map(|UserOverview { user, last_login_at, .. }| {
                    let role = user.role.as_str();
                    json!({ "id": user.id, "username": user.username, "role": role, "lastLoginAt": last_login_at })
                });
                print(format_args!("{}\n", serde_json::Value::from_iter(rows)))?;
            } else {
                let rows = users.into_iter().map(|UserOverview { user, last_login_at, .. }| {
                    let last_login = last_login_at.map(moment).unwrap_or_default();
                    [user.id.to_string(), user.username, user.role.as_str().to_owned(), last_login]
                });
                let columns = [whole("ID"), self::name("NAME"), whole("ROLE"), whole("LAST LOGIN")];
                print(format_args!("{}\n", table(columns, rows)))?;
            }
        }
        Command::Passwd { name } => {
            let user = app.user_by_name(&name).await?;
            let password = read_password(&format!("New password for {name}: "))?;
            app.user_change(user.id, &UserChange { password: Some(password), role: None }).await?;
            stderrln!("Changed the password of {name}; earlier tokens stop working.");
        }
        Command::Role { name, role } => {
            let user = app.user_by_name(&name).await?;
            app.user_change(user.id, &UserChange { role: Some(role_named(&role)?), password: None }).await?;
            stderrln!("{name} has the role {role}; earlier tokens stop working.");
        }
        Command::Rm { name } => {
            let user = app.user_by_name(&name).await?;
            app.user_delete(user.id).await?;
            stderrln!("Deleted {name}.");
        }
    }
    Ok(())
}

/// Source of a password: the same flags for all commands.
#[derive(Args)]
pub(super) struct PasswordSource {
    /// Read the password from standard input; on a terminal it is asked for
    #[arg(long, conflicts_with = "password")]
    password_stdin: bool,
    /// The password: every user of this machine can read it here
    #[arg(short, long, hide = true)]
    password: Option<SecretString>,
}

impl PasswordSource {
    pub(super) fn is_given(&self) -> bool {
        self.password_stdin || self.password.is_some()
    }

    /// The given password; else prompts for one.
    pub(super) fn read(&self, prompt: &str) -> anyhow::Result<SecretString> {
        match &self.password {
            Some(password) => {
                stderrln!(
                    "warning: every user of this machine can read a password given with -p; use --password-stdin"
                );
                Ok(password.clone())
            }
            None => read_password(prompt),
        }
    }
}

/// Prompts on a terminal, without echo; else reads the first line of standard input.
pub(super) fn read_password(prompt: &str) -> anyhow::Result<SecretString> {
    if stdin().is_terminal() {
        return Ok(rpassword::prompt_password(prompt)?.into());
    }
    let mut line = String::new();
    stdin().lock().read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).into())
}
