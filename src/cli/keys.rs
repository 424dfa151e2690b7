//! `silo keys`.

use std::path::PathBuf;

use clap::Subcommand;

use super::{keep_files_private, print};
use crate::app::rotate_seal_key;
use crate::config::{ConfigFlags, ServiceSettings};

#[derive(Subcommand)]
pub(super) enum Command {
    /// Seal all stored secrets (passwords of registries, secrets of hooks and runs) with a new key, in place of seal.key
    ///
    /// Stop every SILO that uses the database first. Where auth.seal_key is set, everything is sealed with that key: set the
    /// new one there, and name a file with the old one in --from. Other processes on the database, each with a data directory
    /// of its own, need the new key too. A backup of the old key is needed for old backups of the database.
    Rotate {
        /// A file with another key that secrets may be sealed with, such as a backup of seal.key
        #[arg(long, value_name = "FILE")]
        from: Option<PathBuf>,
        /// Throw away what no key opens: it has to be given anew
        #[arg(long)]
        forget_lost: bool,
    },
}

pub(super) async fn run(flags: &ConfigFlags, command: Command) -> anyhow::Result<()> {
    keep_files_private();
    let Command::Rotate { from, forget_lost } = command;
    let settings = ServiceSettings::load(flags)?;
    let rotated = rotate_seal_key(&settings, from.as_deref(), forget_lost).await?;
    print(format_args!("Sealed again: {}.\n", rotated.sealed_again))?;
    if !rotated.forgotten.is_empty() {
        stderrln!("Thrown away: {}. Give them anew.", rotated.forgotten);
    }
    Ok(())
}
