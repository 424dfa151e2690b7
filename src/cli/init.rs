//! `silo init`.

mod project;
mod wrap;

use std::fs;
use std::io::{ErrorKind, IsTerminal as _, stderr, stdin};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use clap::Args;

use self::wrap::WrapTarget;
use super::args::manifest_file::{FILE_NAME, create, shown};
use super::args::run::usage;
use super::output::render::tame;
use super::{ExitStatus, complain, print, program_name};
use crate::seed::starter::{self, EXAMPLE_INPUT, InitAnswers, StarterMaintainer};
use crate::seed::validate::{ValidationRules, judge};
use crate::seed::{ManifestProblem, ProblemCode, ValidationProfile};

#[derive(Args)]
#[command(
    after_help = "Existing files are not changed. If there is a Dockerfile, only the manifest is written.\n\nExit \
                  codes: 0 the manifest is written or existed before; 1 it cannot be written; 2 wrong usage."
)]
pub(super) struct Options {
    /// Folder of the job, created if missing
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
    /// The job's name [default: the folder's]
    #[arg(long)]
    name: Option<String>,
    /// The job's title [default: derived from the name]
    #[arg(long)]
    title: Option<String>,
    /// Name of the job's maintainer
    #[arg(long, value_name = "NAME")]
    maintainer: Option<String>,
    /// E-mail address of the maintainer
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,
    /// Organization of the maintainer
    #[arg(long, value_name = "NAME")]
    organization: Option<String>,
    /// Write a manifest for an image or Dockerfile whose entry point takes an input folder and an output folder
    #[arg(long, value_name = "IMAGE|DOCKERFILE")]
    from: Option<String>,
    /// Write only the manifest: no Dockerfile, no program, no test case
    #[arg(long, conflicts_with = "from")]
    manifest_only: bool,
    /// Ask no questions, as without a terminal
    #[arg(long, short)]
    yes: bool,
}

pub(super) fn run(options: Options) -> anyhow::Result<ExitStatus> {
    // Seed CLI writes only a manifest.
    let is_seed = program_name::name() != "silo";
    let folder = folder_of(&options.folder, !is_seed)?;
    let path = folder.join(FILE_NAME);
    // A dangling symlink counts as existing, too.
    if path.symlink_metadata().is_ok() {
        return left_alone(&path);
    }
    let wrapped = match options.from.as_deref().map(|from| WrapTarget::find(from, &folder)).transpose() {
        Ok(wrapped) => wrapped,
        Err(why) => return usage(&why),
    };
    let asks = !options.yes && stdin().is_terminal() && stderr().is_terminal();
    let answers = suggested(&folder, &options);
    if let Some(why) = objection(&answers) {
        complain(&anyhow!("a name, title or maintainer cannot be used: {why}"));
        return Ok(ExitStatus::Usage);
    }
    let answers = if asks { interview(answers, &options)? } else { answers };
    let is_bare = options.manifest_only || is_seed || project::is_begun(&folder);
    let text = if wrapped.is_some() { starter::wrapper_manifest(&answers) } else { starter::manifest(&answers) };
    match create(&path, text.as_bytes(), None) {
        Ok(()) => {}
        Err(why) if why.kind() == ErrorKind::AlreadyExists => return left_alone(&path),
        Err(why) => bail!("{} cannot be written: {why}", shown(&path)),
    }
    print(format_args!("Created Seed file: {}\n", shown(&path)))?;
    let (made, build) = match wrapped {
        Some(wrapped) => wrapped.write(&folder)?,
        None if is_bare => return Ok(ExitStatus::Done),
        None => (project::write(&folder, &answers)?, "silo build".to_owned()),
    };
    print(next_steps(&options.folder, &made, &build, options.from.is_some()))?;
    Ok(ExitStatus::Done)
}

/// The folder, created if `may_be_made`.
fn folder_of(given: &Path, may_be_made: bool) -> anyhow::Result<PathBuf> {
    let name = shown(given);
    if may_be_made && !given.exists() {
        fs::create_dir_all(given).with_context(|| format!("the folder {name} cannot be created"))?;
    }
    let folder = given.canonicalize().map_err(|why| match why.kind() {
        ErrorKind::NotFound => anyhow!("there is no folder {name}; create it with: mkdir -p {name}"),
        _ => anyhow!("the folder {name} cannot be used: {why}"),
    })?;
    if !folder.is_dir() {
        bail!("{name} is not a folder; give the folder for {FILE_NAME}");
    }
    Ok(folder)
}

/// Suggested next commands.
fn next_steps(folder: &Path, made: &[String], build: &str, is_wrapped: bool) -> String {
    let made: String = made.iter().map(|file| format!("Created: {file}\n")).collect();
    let enter = if folder == Path::new(".") { String::new() } else { format!("  cd {}\n", shown(folder)) };
    let test = if is_wrapped {
        "  silo test       runs it on data/input and compares the outputs with data/output\n"
    } else {
        "  silo test       runs the case in cases/example\n"
    };
    format!(
        "{made}Next:\n{enter}  {build:<15} builds the image\n{test}  silo validate   says what to complete in the \
         manifest\n"
    )
}

fn left_alone(path: &Path) -> anyhow::Result<ExitStatus> {
    stderrln!("Pre-existing {} found. Existing file left unmodified.", shown(path));
    Ok(ExitStatus::Done)
}

/// The answers used without an interview.
fn suggested(folder: &Path, options: &Options) -> InitAnswers {
    let folder = folder.file_name().unwrap_or_default().to_string_lossy();
    let name = options.name.clone().unwrap_or_else(|| starter::job_name_from(&folder));
    let title = options.title.clone().unwrap_or_else(|| starter::title_of(&name));
    let (input, media_type) = EXAMPLE_INPUT;
    let unknown = StarterMaintainer::default();
    let maintainer = StarterMaintainer {
        // A given maintainer gets no default organization.
        organization: match (&options.organization, &options.maintainer) {
            (Some(given), _) => given.clone(),
            (None, Some(_)) => String::new(),
            (None, None) => unknown.organization,
        },
        name: options.maintainer.clone().unwrap_or(unknown.name),
        email: options.email.clone().unwrap_or(unknown.email),
    };
    InitAnswers { name, title, maintainer, inputs: vec![(input.to_owned(), media_type.to_owned())] }
}

/// Asks for everything that was not given, and validates each answer at once.
fn interview(suggested: InitAnswers, options: &Options) -> anyhow::Result<InitAnswers> {
    let mut answers = InitAnswers { inputs: Vec::new(), ..suggested };
    if options.name.is_none() {
        let default = answers.name.clone();
        answers = ask_until_good("Name of the job", &default, |name| InitAnswers { name, ..answers.clone() })?;
    }
    if options.title.is_none() {
        let default = starter::title_of(&answers.name);
        answers = ask_until_good("Title for people", &default, |title| InitAnswers { title, ..answers.clone() })?;
    }
    if options.maintainer.is_none() {
        let default = answers.maintainer.name.clone();
        answers = ask_until_good("Your name, as the maintainer", &default, |name| {
            let organization = if name == default {
                answers.maintainer.organization.clone()
            } else {
                options.organization.clone().unwrap_or_default()
            };
            let maintainer = StarterMaintainer { name, organization, ..answers.maintainer.clone() };
            InitAnswers { maintainer, ..answers.clone() }
        })?;
    }
    if options.email.is_none() {
        let default = answers.maintainer.email.clone();
        answers = ask_until_good("Your e-mail address", &default, |email| {
            let maintainer = StarterMaintainer { email, ..answers.maintainer.clone() };
            InitAnswers { maintainer, ..answers.clone() }
        })?;
    }
    if options.from.is_some() {
        return Ok(answers);
    }
    let question = format!("Name of an input file, as in {} (empty: no more)", EXAMPLE_INPUT.0);
    loop {
        let with = |name: String, media_type: &str| {
            let mut answers = answers.clone();
            // An empty name adds no input.
            answers.inputs.extend((!name.is_empty()).then(|| (name, media_type.to_owned())));
            answers
        };
        let named = ask_until_good(&question, "", |name| with(name, EXAMPLE_INPUT.1))?;
        let Some((name, _)) = named.inputs.get(answers.inputs.len()).cloned() else { return Ok(answers) };
        let question = format!("Media type of {name}");
        answers = ask_until_good(&question, EXAMPLE_INPUT.1, |media_type| with(name.clone(), &media_type))?;
    }
}

/// Repeats a question, with the reason, until the manifest made from the answer has no problems.
fn ask_until_good(question: &str, default: &str, make: impl Fn(String) -> InitAnswers) -> anyhow::Result<InitAnswers> {
    loop {
        let answers = make(ask(question, default)?);
        match objection(&answers) {
            Some(why) => stderrln!("  {why}"),
            None => return Ok(answers),
        }
    }
}

/// Asks one question; an empty answer gives the default.
fn ask(question: &str, default: &str) -> anyhow::Result<String> {
    if default.is_empty() {
        stderr!("{question}: ");
    } else {
        stderr!("{question} [{default}]: ");
    }
    let mut line = String::new();
    if stdin().read_line(&mut line)? == 0 {
        stderrln!("");
        bail!("standard input ended before all answers were given; nothing was written");
    }
    let answer = line.trim();
    Ok(if answer.is_empty() { default } else { answer }.to_owned())
}

/// The first problem of the answers. A starter has only the advice to replace its placeholders, which does not count.
fn objection(answers: &InitAnswers) -> Option<String> {
    let email = &answers.maintainer.email;
    if !is_email(email) {
        return Some(tame(&format!("'{email}' is not an e-mail address. Write it like ada@example.org.")));
    }
    let manifest = starter::manifest(answers);
    let judged = |profile| judge(manifest.as_bytes(), ValidationRules { profile, strict: false }).problems;
    let is_placeholder = |problem: &ManifestProblem| problem.code == ProblemCode::Placeholder.as_str();
    ValidationProfile::ALL.into_iter().flat_map(judged).find(|problem| !is_placeholder(problem)).as_ref().map(why)
}

/// Whether mail could be delivered to it: the standard accepts any text.
fn is_email(text: &str) -> bool {
    let parts = text.split_once('@').filter(|(name, host)| !name.is_empty() && !host.contains('@'));
    let is_plain = !text.contains(|c: char| c.is_whitespace() || c.is_control());
    is_plain && parts.is_some_and(|(_, host)| !host.is_empty() && !host.starts_with('.') && !host.ends_with('.'))
}

fn why(problem: &ManifestProblem) -> String {
    tame(format!("{} {}", problem.message, problem.help).trim_end())
}
