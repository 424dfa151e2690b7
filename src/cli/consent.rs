//! Confirmation prompts of destructive commands.

use std::io::{IsTerminal as _, stderr, stdin};

use anyhow::bail;
use clap::Args;

use super::output::render::tame;

/// Consent given on the command line.
#[derive(Args)]
pub(super) struct ConsentOption {
    /// Do not ask for confirmation; without a terminal no question is asked
    #[arg(short, long)]
    yes: bool,
}

impl ConsentOption {
    /// Prompts on a terminal. Without a terminal, as in scripts, consent is assumed.
    ///
    /// # Errors
    /// The user declined.
    pub(super) fn to(&self, what: &str) -> anyhow::Result<()> {
        if self.yes || !stdin().is_terminal() || !stderr().is_terminal() {
            return Ok(());
        }
        stderr!("{} [y/N] ", tame(what));
        let mut answer = String::new();
        stdin().read_line(&mut answer)?;
        match answer.trim().to_lowercase().as_str() {
            "y" | "yes" => Ok(()),
            _ => bail!("nothing was changed"),
        }
    }
}
