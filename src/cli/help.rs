//! Help beyond that of each command: the list of commands in groups, an example for each, completions for shells, man
//! pages.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io::{Write as _, stderr, stdout};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anstream::AutoStream;
use anyhow::Context as _;
use clap::{Args, Command, CommandFactory as _, ValueEnum};
use clap_complete::Shell;
use clap_mangen::Man;
use http::Method;

use super::args::engine_at::EngineAt;
use super::args::server_client::{ServerOptions, text};
use super::args::{manifest_file, seed_cli};
use super::output::render::tame;
use super::{CliArguments, EXIT_CODES, ExitStatus, print, program_name};
use crate::api::registries::RegistryReply;
use crate::api::search::SearchReply;
use crate::cli::program_name::as_called;
use crate::seed::LABEL;

/// The banner that `seed` prints without arguments, as Seed CLI does.
const LOGO: &str = r"
   ___  ___  ___  ___
  (_-< / -_)/ -_)/ _ |
 /___/ \__/ \__/ \_,_|    algorithms in containers, described
";

/// All commands, grouped by purpose.
const GROUPS: &[(&str, &[&str])] = &[
    ("Make a job", &["init", "validate", "upgrade", "build", "test", "spec"]),
    ("Run jobs on this machine", &["run", "batch", "shell"]),
    ("Share images", &["publish", "unpublish", "pull", "list", "image", "export"]),
    ("Use a server", &["search", "runs", "scan", "registry", "group", "login", "logout", "whoami"]),
    ("Run the service", &["serve", "doctor", "config", "user", "keys", "health"]),
    ("This program", &["completions", "man", "version", "help"]),
];

/// An example for each command that defines none itself, keyed by its path.
const EXAMPLES: &[(&str, &str)] = &[
    ("serve", "silo serve --listen 127.0.0.1:8080"),
    ("config", "silo config --defaults > silo.toml"),
    ("doctor", "silo doctor"),
    ("user add", "silo user add ada --role admin"),
    ("user list", "silo user list"),
    ("user passwd", "silo user passwd ada"),
    ("user rm", "silo user rm ada"),
    ("user role", "silo user role ada runner"),
    ("keys rotate", "silo keys rotate"),
    ("login", "silo login ada --server https://silo.example.org"),
    ("logout", "silo logout"),
    ("whoami", "silo whoami"),
    ("search", "silo search cloud mask"),
    ("scan", "silo scan hub"),
    ("registry add", "silo registry add hub https://hub.docker.com --org my-org"),
    ("registry set", "silo registry set hub --schedule off"),
    ("registry list", "silo registry list"),
    ("registry hook", "silo registry hook hub"),
    ("registry rm", "silo registry rm hub"),
    ("group set", "silo group set flood-team ada bob"),
    ("group list", "silo group list"),
    ("group rm", "silo group rm flood-team"),
    ("runs list", "silo runs list --status failed --job my-job"),
    ("runs show", "silo runs show 0199c0de"),
    ("runs logs", "silo runs logs 0199c0de"),
    ("runs wait", "silo runs wait 0199c0de && echo done"),
    ("runs cancel", "silo runs cancel 0199c0de"),
    ("runs rerun", "silo runs rerun 0199c0de -j LEVEL=4"),
    ("runs outputs", "silo runs outputs 0199c0de"),
    ("health", "silo health"),
    ("init", "silo init my-job"),
    ("validate", "silo validate my-job"),
    ("upgrade", "silo upgrade old-job/seed.manifest.json > seed.manifest.json"),
    ("run", "silo run my-job-1.0.0-seed:1.0.0 -i SCENE=scene.tif -j LEVEL=3 -o out"),
    ("batch", "silo batch my-job-1.0.0-seed:1.0.0 -b rows.csv -o out --jobs 4"),
    ("test", "silo test my-job --junit report.xml"),
    ("shell", "silo shell my-job-1.0.0-seed:1.0.0 -i SCENE=scene.tif -j LEVEL=3 -o out"),
    ("export cwl", "silo export cwl my-job -o my-job.cwl && cwltool my-job.cwl --SCENE scene.tif"),
    ("export docker", "silo export docker my-job -o my-job.sh && SCENE=scene.tif bash my-job.sh out"),
    ("list", "silo list"),
    ("completions", "silo completions bash > silo.bash && source silo.bash"),
    ("man", "silo man ~/.local/share/man/man1"),
    ("version", "silo version"),
];

/// Shell to print the script for.
#[derive(Args)]
#[command(
    after_help = "For the current shell only:\n  source <(silo completions bash)\n\nFor all new shells, with the \
                  package bash-completion (without it, put the line above into ~/.bashrc):\n  mkdir -p \
                  ~/.local/share/bash-completion/completions\n  silo completions bash > \
                  ~/.local/share/bash-completion/completions/silo\nFor fish:\n  mkdir -p \
                  ~/.config/fish/completions\n  silo completions fish > ~/.config/fish/completions/silo.fish\nFor \
                  zsh, put this into ~/.zshrc, after compinit:\n  source <(silo completions zsh)"
)]
pub(super) struct CompletionOptions {
    shell: Shell,
}

/// Kind of the names.
#[derive(Args)]
pub(super) struct NameOptions {
    #[arg(value_enum)]
    kind: NameKind,
    #[command(flatten)]
    server: ServerOptions,
    #[command(flatten)]
    engine: EngineAt,
}

#[derive(Clone, Copy, ValueEnum)]
enum NameKind {
    /// Seed images of this machine's container engine.
    LocalImages,
    Registries,
    Jobs,
    Images,
}

/// Folder for the man pages.
#[derive(Args)]
pub(super) struct ManOptions {
    /// Folder for the man pages of all commands, created if missing [default: print the program's page]
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
}

/// The whole program as help and completions show it.
pub(super) fn command() -> Command {
    let command = with_examples(CliArguments::command(), "").after_help(EXIT_CODES).bin_name(program_name::name());
    let template = template(&command);
    command.help_template(template)
}

/// Prints help if no command was given. For `seed` that is no usage error, as in Seed CLI.
pub(super) fn without_command(mut program: Command, is_seed: bool) -> ExitCode {
    let help = program.render_help();
    if is_seed {
        _ = write!(AutoStream::auto(stdout()), "{LOGO}\n{}", help.ansi());
        return ExitStatus::Done.into();
    }
    _ = write!(AutoStream::auto(stderr()), "{}", help.ansi());
    ExitStatus::Usage.into()
}

/// Help template with the commands in groups: clap only has one list of them.
fn template(command: &Command) -> String {
    let header = command.get_styles().get_header();
    let (on, off) = (header.render(), header.render_reset());
    let mut text = "{about-with-newline}\n{usage-heading} {usage}\n".to_owned();
    let width = GROUPS.iter().flat_map(|(_, names)| names.iter()).map(|name| name.len()).max().unwrap_or_default();
    let is_seed = program_name::name() != "silo";
    for (group, names) in GROUPS {
        // Seed CLI has only some of the commands.
        let is_known = |name: &&&str| !is_seed || **name == "help" || seed_cli::verbs().any(|verb| verb == **name);
        let names: Vec<&&str> = names.iter().filter(is_known).collect();
        if names.is_empty() {
            continue;
        }
        writeln!(text, "\n{on}{group}:{off}").expect("memory takes it");
        for name in names {
            let found = command.find_subcommand(name).and_then(Command::get_about);
            let about = found.map_or_else(|| "Explain a command".to_owned(), ToString::to_string);
            writeln!(text, "  {name:width$}  {about}").expect("memory takes it");
        }
    }
    text + &format!("\n{on}Options:{off}\n{{options}}{{after-help}}")
}

fn with_examples(command: Command, path: &str) -> Command {
    let command = command.mut_subcommands(|below| {
        let path = format!("{path} {}", below.get_name());
        with_examples(below, path.trim_start())
    });
    let example = EXAMPLES.iter().find(|(name, _)| *name == path);
    let example = example.map(|(_, example)| format!("Example:\n  {example}"));
    let after = command.get_after_help().map(ToString::to_string).into_iter().chain(example);
    let after = after.collect::<Vec<_>>().join("\n\n");
    command.after_help(as_called(&after).into_owned())
}

/// `silo completions`.
pub(super) fn completions(options: &CompletionOptions) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut command(), "silo", &mut script);
    let script = String::from_utf8(script).context("a script is UTF-8")?;
    let names = match options.shell {
        Shell::Bash => include_str!("names.bash"),
        Shell::Zsh => include_str!("names.zsh"),
        Shell::Fish => include_str!("names.fish"),
        _ => "",
    };
    print(format_args!("{script}{names}"))
}

/// `silo names`: called by the completion scripts.
pub(super) async fn names(options: NameOptions) -> anyhow::Result<()> {
    /// Limit of names requested from the server, and the timeout after a key press.
    const MOST: (&str, &str) = ("limit", "100");
    const PATIENCE: Duration = Duration::from_secs(2);
    let (path, query): (_, &[_]) = match options.kind {
        NameKind::LocalImages => {
            let asked = async { options.engine.open().await?.images(LABEL).await };
            let images = tokio::time::timeout(PATIENCE, asked).await??;
            let names: BTreeSet<String> = images.into_iter().flat_map(|image| image.names).collect();
            return print(names.iter().map(|name| tame(name) + "\n").collect::<String>());
        }
        NameKind::Registries => ("/api/v1/registries", &[]),
        NameKind::Jobs => ("/api/v1/search", &[("sort", "name"), MOST]),
        NameKind::Images => ("/api/v1/search", &[("kind", "image"), ("sort", "name"), MOST]),
    };
    let client = options.server.client()?;
    let reply = tokio::time::timeout(PATIENCE, client.ask(Method::GET, path, query, None)).await??;
    let names: Vec<String> = match options.kind {
        NameKind::Registries => reply.read::<Vec<RegistryReply>>()?.into_iter().map(|registry| registry.name).collect(),
        NameKind::Images => reply.read::<SearchReply>()?.items.into_iter().map(|image| image.image).collect(),
        _ => reply.read::<SearchReply>()?.items.into_iter().map(|job| job.name).collect(),
    };
    let names: BTreeSet<String> = names.iter().map(|name| text(name)).collect();
    print(names.into_iter().filter(|name| !name.is_empty()).map(|name| name + "\n").collect::<String>())
}

/// `silo man`: a page for every command.
pub(super) fn man(options: &ManOptions) -> anyhow::Result<()> {
    let Some(folder) = &options.folder else {
        let mut page = Vec::new();
        Man::new(command().disable_help_subcommand(true)).render(&mut page)?;
        return print(String::from_utf8(page).context("a page is UTF-8")?);
    };
    fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(command(), folder))
        .with_context(|| format!("the pages cannot be written to {}", manifest_file::shown(folder)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(command: &Command, path: &str, found: &mut Vec<(String, String)>) {
        if !command.has_subcommands() {
            found.push((path.to_owned(), command.clone().render_long_help().to_string()));
        }
        let shown = |below: &&Command| below.get_name() != "help" && !below.is_hide_set();
        for below in command.get_subcommands().filter(shown) {
            leaves(below, format!("{path} {}", below.get_name()).trim_start(), found);
        }
    }

    #[test]
    fn every_command_has_an_example_and_a_page() {
        let mut found = Vec::new();
        leaves(&command(), "", &mut found);
        let folder = tempfile::tempdir().expect("a folder");
        let pages = folder.path().join("man1");
        man(&ManOptions { folder: Some(pages.clone()) }).expect("pages");
        assert!(found.len() > 30);
        for (path, help) in &found {
            let example = format!("silo {path}");
            assert!(help.matches("Example").count() <= 1 && help.contains(&example), "{path}: {help}");
            let page = pages.join(format!("silo-{}.1", path.replace(' ', "-")));
            let text = fs::read_to_string(&page).unwrap_or_else(|why| panic!("{}: {why}", page.display()));
            assert!(text.contains(".SH NAME") && text.contains(&example), "{text}");
        }
        let paths: BTreeSet<&str> = found.iter().map(|(path, _)| path.as_str()).collect();
        let stale: Vec<_> = EXAMPLES.iter().filter(|(path, _)| !paths.contains(path)).collect();
        assert!(stale.is_empty(), "examples of no command: {stale:?}");
    }

    /// Every example parses.
    #[test]
    fn examples_are_what_the_program_takes() {
        for (path, line) in EXAMPLES {
            let line = line.rsplit("$(").next().expect("a split has a part").trim_end_matches(')');
            let words = shlex::split(line).expect("a line of a shell");
            let words = words.into_iter().take_while(|word| !["|", ">", "&&"].contains(&word.as_str()));
            let matches = command().try_get_matches_from(words).unwrap_or_else(|why| panic!("{line}: {why}"));
            let mut found = &matches;
            for name in path.split(' ') {
                found = found.subcommand_matches(name).unwrap_or_else(|| panic!("{line} is none of {path}"));
            }
        }
    }

    #[test]
    fn lists_of_commands_fit_eighty_columns() {
        let long: Vec<String> = command().render_help().to_string().lines().map(str::to_owned).collect();
        let listed = long.iter().filter(|line| line.starts_with("  ") && line.as_bytes()[2].is_ascii_lowercase());
        let (listed, wide): (Vec<_>, Vec<_>) = listed.partition(|line| line.chars().count() <= 80);
        assert!(listed.len() > 25 && wide.is_empty(), "{wide:?}");
    }

    #[test]
    fn every_command_stands_in_one_group() {
        let mut grouped: Vec<&str> = GROUPS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        let program = command();
        let shown = program.get_subcommands().filter(|command| !command.is_hide_set());
        let mut all: Vec<&str> = shown.map(Command::get_name).chain(["help"]).collect();
        grouped.sort_unstable();
        all.sort_unstable();
        assert_eq!(grouped, all);
    }
}
