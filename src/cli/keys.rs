//! `silo keys`.

use std::path::PathBuf;

use clap::Subcommand;

use super::{keep_files_private, print};
use crate::app::rotate_seal_key;
use crate::config::{ConfigFlags, ServiceSettings};

#[derive(Subcommand)]
pub(super) enum Command {
    /// Replace seal.key and seal all stored secrets (of registries, hooks and runs) with the new key
    /// Stop every SILO process that uses the database first. If auth.seal_key is set, secrets are sealed with that key:
    /// set it to the new key, and name a file with the old key in --from. Other SILO processes that use the database
    /// from their own data directories need the new key too. Keep a backup of the old key for old backups of the
    /// database.
    Rotate {
        /// File with another key that may open secrets, such as a backup of seal.key
        #[arg(long, value_name = "FILE")]
        from: Option<PathBuf>,
        /// Delete secrets that no key opens; they must be entered again
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
        stderrln!("Deleted: {}. Enter them again.", rotated.forgotten);
    }
    Ok(())
}
