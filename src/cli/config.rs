//! `silo config`.

use clap::Args;

use super::print;
use crate::config::{Flags, Settings};

#[derive(Args)]
pub(super) struct Options {
    /// Show the compiled-in file instead, with every option, its default and its meaning
    #[arg(long)]
    defaults: bool,
}

pub(super) fn run(flags: &Flags, options: &Options) -> anyhow::Result<()> {
    if options.defaults {
        print(Settings::defaults())?;
    } else {
        print(Settings::load(flags)?.show())?;
    }
    Ok(())
}
