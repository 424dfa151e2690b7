//! `silo config`.

use clap::Args;

use super::print;
use crate::config::{ConfigFlags, ServiceSettings};

#[derive(Args)]
pub(super) struct Options {
    /// Show the built-in file instead, which explains every option and its default
    #[arg(long)]
    defaults: bool,
}

pub(super) fn run(flags: &ConfigFlags, options: &Options) -> anyhow::Result<()> {
    if options.defaults {
        print(ServiceSettings::defaults())?;
    } else {
        print(ServiceSettings::load(flags)?.show())?;
    }
    Ok(())
}
