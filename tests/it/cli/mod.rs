//! The command line: arguments and output.

mod accounts;
mod backup;
mod batch;
mod build;
mod catalogue;
mod configuration;
mod doctor;
mod export;
mod help;
mod init;
mod keys;
mod log;
mod login;
mod migrating;
mod newcomer;
mod private;
pub(crate) mod program;
mod publish;
mod readers;
mod run;
mod run_job;
mod seed_cli;
mod spec;
mod surroundings;
mod tutorial;
mod upgrade;
mod validate;

/// A text with variable parts replaced, and without trailing blanks.
fn plain(text: &str, replaced: &[(&str, &str)]) -> String {
    let text = replaced.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to));
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}
