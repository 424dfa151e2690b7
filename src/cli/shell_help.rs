//! Help beyond `--help`: an example for every command, completions for shells, man pages.

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Command, CommandFactory as _};
use clap_complete::Shell;

use super::{Arguments, EXIT_CODES, print};
use crate::cli::manifest_file::shown;

/// An example for each command, by its path.
const EXAMPLES: &[(&str, &str)] = &[
    ("serve", "silo serve --listen 127.0.0.1:8080"),
    ("config", "silo config --defaults > silo.toml"),
    ("user add", "silo user add ada --role admin"),
    ("user list", "silo user list"),
    ("user passwd", "silo user passwd ada"),
    ("user rm", "silo user rm ada"),
    ("login", "export SILO_TOKEN=$(silo login ada)"),
    ("search", "silo search cloud mask"),
    ("scan", "silo scan hub"),
    ("registry add", "silo registry add hub https://registry-1.docker.io --org my-org"),
    ("registry set", "silo registry set hub --schedule off"),
    ("registry list", "silo registry list"),
    ("registry hook", "silo registry hook hub"),
    ("registry rm", "silo registry rm hub"),
    ("health", "silo health"),
    ("init", "silo init my-job"),
    ("validate", "silo validate my-job"),
    ("upgrade", "silo upgrade old-job/seed.manifest.json"),
    ("run", "silo run my-job-1.0.0-seed:1.0.0 -i SCENE=scene.tif -j LEVEL=3 -o out"),
    ("batch", "silo batch my-job-1.0.0-seed:1.0.0 -b rows.csv -o out --jobs 4"),
    ("test", "silo test my-job my-job/cases --junit report.xml"),
    ("spec", "silo spec > seed.schema.json"),
    ("completions", "silo completions bash > ~/.local/share/bash-completion/completions/silo"),
    ("man", "silo man ~/.local/share/man/man1"),
    ("build", "silo build -d my-job"),
    ("publish", "silo publish my-job-1.0.0-seed:1.0.0 -r registry.example.org -O my-org"),
    ("unpublish", "silo unpublish my-job-1.0.0-seed:1.0.0 -r registry.example.org -O my-org"),
    ("pull", "silo pull my-job-1.0.0-seed:1.0.0 -r registry.example.org -O my-org"),
    ("list", "silo list"),
    ("image inspect", "silo image inspect registry.example.org/my-org/my-job-1.0.0-seed:1.0.0"),
    ("version", "silo version"),
];

/// For which shell.
#[derive(Args)]
pub(super) struct CompletionOptions {
    shell: Shell,
}

/// Where the pages go.
#[derive(Args)]
pub(super) struct ManOptions {
    /// The folder that the pages are written to; it is made if it is not there
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// All commands, as they show themselves in help.
pub(super) fn command() -> Command {
    with_examples(Arguments::command(), "").after_help(EXIT_CODES)
}

fn with_examples(command: Command, path: &str) -> Command {
    let command = command.mut_subcommands(|below| {
        let path = format!("{path} {}", below.get_name());
        with_examples(below, path.trim_start())
    });
    match EXAMPLES.iter().find(|(name, _)| *name == path) {
        None => command,
        Some((_, example)) => {
            let before = command.get_after_help().map(|text| format!("{text}\n\n")).unwrap_or_default();
            command.after_help(format!("{before}Example:\n  {example}"))
        }
    }
}

/// `silo completions`.
pub(super) fn completions(options: &CompletionOptions) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut command(), "silo", &mut script);
    print(String::from_utf8(script).context("a script is UTF-8")?)
}

/// `silo man`: a page for every command.
pub(super) fn man(options: &ManOptions) -> anyhow::Result<()> {
    let folder = &options.folder;
    fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(command(), folder))
        .with_context(|| format!("the pages cannot be written to {}", shown(folder)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(command: &Command, path: &str, found: &mut Vec<(String, String)>) {
        if !command.has_subcommands() {
            found.push((path.to_owned(), command.clone().render_long_help().to_string()));
        }
        for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
            leaves(below, format!("{path} {}", below.get_name()).trim_start(), found);
        }
    }

    #[test]
    fn every_command_has_an_example() {
        let mut found = Vec::new();
        leaves(&command(), "", &mut found);
        let without: Vec<_> =
            found.iter().filter(|(_, help)| !help.contains("Example:")).map(|(path, _)| path).collect();
        assert!(found.len() > 10 && without.is_empty(), "commands without an example: {without:?}");
    }

    #[test]
    fn every_command_has_a_page() {
        let folder = tempfile::tempdir().expect("a folder");
        man(&ManOptions { folder: folder.path().join("man1") }).expect("pages");
        let mut found = Vec::new();
        leaves(&command(), "", &mut found);
        for (path, _) in found {
            let page = folder.path().join("man1").join(format!("silo-{}.1", path.replace(' ', "-")));
            assert!(page.is_file(), "{} is missing", page.display());
        }
    }
}
