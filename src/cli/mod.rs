//! The command line: one file per command. Requested output goes to standard output, everything else to standard error.
//! Exit codes are those of `ExitStatus`.

/// Writes to standard error, and ignores failures such as a closed pipe or a full disk: there is no other stream to
/// report them on.
macro_rules! stderr {
    ($($words:tt)*) => {{
        use std::io::Write as _;
        _ = write!(std::io::stderr().lock(), $($words)*);
    }};
}

/// Writes a line to standard error, with the program's name as it was called.
macro_rules! stderrln {
    ($($words:tt)*) => {{
        use std::io::Write as _;
        let text = format!($($words)*);
        _ = writeln!(std::io::stderr().lock(), "{}", crate::cli::program_name::as_called(&text));
    }};
}

mod account;
mod args;
mod batch;
mod build;
mod config;
mod consent;
mod doctor;
mod export;
mod group;
mod help;
mod images;
mod init;
mod keys;
mod login;
mod logins;
mod output;
mod program_name;
mod publish;
mod registry;
mod run;
mod runs;
mod scan;
mod search;
mod search_registry;
mod serve;
mod shell;
mod spec;
mod suggest;
mod test;
mod upgrade;
mod validate;

use std::ffi::OsString;
use std::fmt::Display;
use std::io::{ErrorKind, Write as _, stdout};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, ColorChoice, FromArgMatches as _, Parser, Subcommand, ValueEnum as _};

use crate::config::{ConfigFlags, LogFormat, LogSettings};

/// Finds Seed images in container registries, and lets people and frameworks search them.
#[derive(Parser)]
#[command(name = "silo", version, about, max_term_width = 100)]
struct CliArguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    local: LocalOptions,
    #[command(flatten)]
    serve: serve::Options,
    #[command(flatten)]
    telling: MessageOptions,
}

/// Verbosity and colours.
#[derive(Args, Clone)]
struct MessageOptions {
    /// Log requests to servers and registries; -vv logs more
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Messages")]
    verbose: u8,
    /// When to use colours; NO_COLOR is respected
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t, help_heading = "Messages")]
    color: ColorChoice,
}

/// Paths of the local configuration and data.
#[derive(Args, Clone)]
struct LocalOptions {
    /// A configuration file in TOML; `silo config --defaults` shows every option
    #[arg(long, global = true, value_name = "FILE", help_heading = "This machine")]
    config: Option<PathBuf>,
    /// Folder of the database, the search index and the keys [env: SILO_DATA] [default: silo-data]
    #[arg(long, global = true, value_name = "FOLDER", help_heading = "This machine")]
    data: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Run the service
    Serve(serve::Options),
    /// Show the merged configuration, secrets masked
    Config(config::Options),
    /// Manage the users in this machine's database
    ///
    /// Works while the service is running.
    #[command(subcommand)]
    User(account::Command),
    /// Manage the key that seals the stored secrets
    #[command(subcommand)]
    Keys(keys::Command),
    /// Log in to a server and store the token for later commands
    Login(login::LoginOptions),
    /// Log out of a server and delete the stored token
    Logout(login::LogoutOptions),
    /// Show the user who is logged in to a server
    Whoami(login::WhoamiOptions),
    /// Search a server's catalogue
    Search(search::Options),
    /// Scan a server's registries
    Scan(scan::Options),
    /// Manage a server's registries
    #[command(subcommand)]
    Registry(registry::Command),
    /// Manage a server's groups of users, the members of registries
    #[command(subcommand)]
    Group(group::Command),
    /// Check whether the service on this machine is running
    ///
    /// For container health checks: the exit code is the result.
    Health(args::server_client::HealthOptions),
    /// Check that this machine has what the service needs
    Doctor(doctor::Options),
    /// Write a manifest to start from
    Init(init::Options),
    /// Check a manifest and say how to fix each problem
    Validate(validate::Options),
    /// Upgrade a manifest from Seed 0.x to 1.0.0
    Upgrade(upgrade::Options),
    /// Run a job on this machine's container engine
    Run(run::Options),
    /// Run a job for every row of a file, or every file of a folder
    Batch(batch::Options),
    /// Run a job's test cases and compare actual with expected outputs
    Test(test::Options),
    /// Open a shell in a job's container, with its files and variables
    Shell(shell::Options),
    /// Submit runs to a server and manage them
    #[command(subcommand)]
    Runs(runs::Command),
    /// Print the Seed standard as JSON Schema, for editors
    Spec(spec::Options),
    /// Build a Seed image from a Dockerfile and a manifest
    Build(build::Options),
    /// Push an image to a registry, under a tag that is not in use
    Publish(publish::Options),
    /// Delete a tag from a registry
    Unpublish(images::UnpublishOptions),
    /// Pull an image from a registry
    Pull(images::PullOptions),
    /// List the Seed images of this machine's container engine
    List(images::ImageListOptions),
    /// Inspect images without a container engine
    #[command(subcommand)]
    Image(images::ImageCommand),
    /// Export a job as a CWL tool or as a docker script
    #[command(subcommand)]
    Export(export::Command),
    /// Print a shell completion script
    Completions(help::CompletionOptions),
    /// Write a man page for every command
    Man(help::ManOptions),
    /// Print the versions of this program and of the Seed standard
    Version,
    /// Print a server's names, one per line, for completions
    #[command(hide = true)]
    Names(help::NameOptions),
}

/// Exit codes, ordered by severity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum ExitStatus {
    /// Success.
    Done = 0,
    /// The command failed, or what was checked has problems. Every `Err` ends so.
    Failed = 1,
    /// Wrong usage: invalid flags or arguments, or a path that cannot be read.
    Usage = 2,
    /// A job ran and failed: with an error, or because its outputs do not match its manifest.
    JobFailed = 3,
    /// A case's result differs from the expected one.
    Differs = 4,
    /// Stopped by a signal; shells use this code.
    Interrupted = 130,
}

/// The exit codes for help and man pages.
const EXIT_CODES: &str = "Exit codes: 0 success; 1 failure, or a check found a problem; 2 wrong usage; 3 a job \
                          failed; 4 a test case gave other results than expected; 130 stopped by a signal.";

impl From<ExitStatus> for ExitCode {
    fn from(exit: ExitStatus) -> Self {
        Self::from(exit as u8)
    }
}

/// Makes new files accessible for this user only, also in folders that others can read.
fn keep_files_private() {
    use rustix::fs::Mode;
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
}

/// Runs the program with its arguments.
pub fn run(arguments: Vec<OsString>) -> ExitCode {
    let arguments = match parse(arguments) {
        Ok(arguments) => arguments,
        Err(exit) => return exit,
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(why) => return complain(&anyhow::Error::new(why)),
    };
    let log = arguments.telling.verbose;
    let _log = match (log > 0).then(|| runtime.block_on(async { enable_verbose_log(log) })).transpose() {
        Ok(log) => log,
        Err(why) => return complain(&why),
    };
    let outcome = runtime.block_on(dispatch(arguments));
    // Blocking work of a stopped service must not hold the process.
    runtime.shutdown_background();
    match outcome {
        Ok(exit) => exit.into(),
        Err(why) => complain(&why),
    }
}

/// Logs this program's debug messages to standard error; with `-vv` also traces.
fn enable_verbose_log(verbose: u8) -> anyhow::Result<crate::telemetry::LogOutput> {
    let filter = if verbose > 1 { "info,silo=trace" } else { "warn,silo=debug" };
    crate::telemetry::start_logs(&LogSettings { format: LogFormat::Text, filter: filter.to_owned() })
}

/// The value of `--color`. Read before the arguments are parsed, since usage errors are coloured, too.
fn colour_choice(words: &[String]) -> ColorChoice {
    let words = words.iter().take_while(|word| *word != "--");
    let after = words.clone().skip_while(|word| *word != "--color").nth(1);
    let given = words.clone().find_map(|word| word.strip_prefix("--color=")).or(after.map(String::as_str));
    given.and_then(|word| ColorChoice::from_str(word, true).ok()).unwrap_or_default()
}

/// Parses the arguments, after rewriting Seed CLI's spelling.
fn parse(arguments: Vec<OsString>) -> Result<CliArguments, ExitCode> {
    program_name::remember(args::seed_cli::called_as(&arguments));
    let args::seed_cli::RewrittenArguments { arguments, notes, is_seed } =
        args::seed_cli::rewrite(arguments).map_err(|why| {
            _ = complain(&anyhow::Error::msg(output::render::tame(why.as_str())));
            ExitCode::from(ExitStatus::Usage)
        })?;
    for note in notes {
        stderrln!("note: {}", output::render::tame(&note));
    }
    let told = |usage: clap::Error| {
        _ = usage.print();
        ExitCode::from(u8::try_from(usage.exit_code()).unwrap_or(2))
    };
    let words: Vec<String> = arguments.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let colour = colour_choice(&words);
    match colour {
        ColorChoice::Auto => anstream::ColorChoice::Auto,
        ColorChoice::Always => anstream::ColorChoice::Always,
        ColorChoice::Never => anstream::ColorChoice::Never,
    }
    .write_global();
    let mut program = help::command().color(colour);
    let matches = program.try_get_matches_from_mut(arguments);
    let parsed = matches.and_then(|matches| CliArguments::from_arg_matches(&matches));
    let parsed = parsed.map_err(|why| told(suggest::mend(why, &program, &words)))?;
    if parsed.command.is_some() || !is_seed && parsed.serve.is_asked_for() {
        return Ok(parsed);
    }
    if parsed.local.config.is_some() || parsed.local.data.is_some() {
        let usage = "give a command: `silo serve` runs the service with the same flags";
        return Err(told(program.error(clap::error::ErrorKind::MissingSubcommand, usage)));
    }
    Err(help::without_command(program, is_seed))
}

async fn dispatch(arguments: CliArguments) -> anyhow::Result<ExitStatus> {
    let flags = ConfigFlags { config: arguments.local.config, data: arguments.local.data, listen: None };
    match arguments.command {
        // `silo --demo`
        None => serve::run(flags, arguments.serve).await,
        Some(Command::Serve(options)) => serve::run(flags, options.or(arguments.serve)).await,
        Some(Command::Config(options)) => config::run(&flags, &options),
        Some(Command::User(command)) => account::run(&flags, command).await,
        Some(Command::Keys(command)) => keys::run(&flags, command).await,
        Some(Command::Login(options)) => login::login(options).await,
        Some(Command::Logout(options)) => login::logout(options).await,
        Some(Command::Whoami(options)) => login::whoami(options).await,
        Some(Command::Search(options)) => search::run(options).await,
        Some(Command::Scan(options)) => scan::run(options).await,
        Some(Command::Registry(command)) => registry::run(command).await,
        Some(Command::Group(command)) => group::run(command).await,
        Some(Command::Spec(options)) => spec::run(&options),
        Some(Command::Health(options)) => args::server_client::health(&flags, options).await,
        Some(Command::Doctor(options)) => return doctor::run(&flags, &options).await,
        Some(Command::Init(options)) => return init::run(options),
        Some(Command::Validate(options)) => return validate::run(&options),
        Some(Command::Upgrade(options)) => return upgrade::run(&options),
        Some(Command::Run(options)) => return run::run(&options).await,
        Some(Command::Runs(command)) => return runs::run(command).await,
        Some(Command::Batch(options)) => return batch::run(&options).await,
        Some(Command::Test(options)) => return test::run(&options).await,
        Some(Command::Shell(options)) => return shell::run(&options).await,
        Some(Command::Export(command)) => return export::run(&command).await,
        Some(Command::Completions(options)) => help::completions(&options),
        Some(Command::Man(options)) => help::man(&options),
        Some(Command::Names(options)) => help::names(options).await,
        Some(Command::Build(options)) => return build::run(&options).await,
        Some(Command::Publish(options)) => return publish::run(&options).await,
        Some(Command::Unpublish(options)) => return images::unpublish(&options).await,
        Some(Command::Pull(options)) => return images::pull(&options).await,
        Some(Command::List(options)) => return images::list(&options).await,
        Some(Command::Version) => {
            print(format_args!("silo {}\nSeed standard {}\n", env!("CARGO_PKG_VERSION"), crate::seed::VERSION))
        }
        Some(Command::Image(command)) => return images::image(&command).await,
    }?;
    Ok(ExitStatus::Done)
}

/// Writes requested output to standard output. A closed pipe, as in `silo search x | head -1`, is no error.
///
/// # Errors
/// The output cannot be written, for example because a disk is full.
fn print(text: impl Display) -> anyhow::Result<()> {
    let mut out = stdout().lock();
    match write!(out, "{text}").and_then(|()| out.flush()) {
        Err(why) if why.kind() != ErrorKind::BrokenPipe => Err(why).context("the output cannot be written"),
        _ => Ok(()),
    }
}

fn complain(why: &anyhow::Error) -> ExitCode {
    stderrln!("{}: {why:#}", program_name::name());
    ExitCode::FAILURE
}
