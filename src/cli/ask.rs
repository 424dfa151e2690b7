//! Asking before something is taken away that cannot be had back.

use std::io::{IsTerminal as _, stderr, stdin};

use anyhow::bail;
use clap::Args;

use super::render::tame;

/// Whether somebody has agreed already.
#[derive(Args)]
pub(super) struct ConsentOption {
    /// Do not ask; without a terminal nothing is asked anyway
    #[arg(short, long)]
    yes: bool,
}

impl ConsentOption {
    /// Asks on a terminal. Scripts are not asked: they mean what they say.
    ///
    /// # Errors
    /// Somebody has said no.
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
