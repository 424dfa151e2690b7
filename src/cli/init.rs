//! `silo init`.

use std::io::{ErrorKind, IsTerminal as _, stderr, stdin};
use std::path::{Path, PathBuf};

use anyhow::{anyhow, bail};
use clap::Args;

use super::manifest_file::{FILE_NAME, create, shown};
use super::render::tame;
use super::{Exit, complain, print};
use crate::seed::starter::{self, Answers, EXAMPLE_INPUT};
use crate::seed::validate::{Rules, judge};
use crate::seed::{Problem, Profile};

#[derive(Args)]
#[command(after_help = "Exit codes: 0 the manifest is there, now or before; 1 it cannot be written; 2 wrong usage.")]
pub(super) struct Options {
    /// The folder to write seed.manifest.json into
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
    /// The job's name, instead of the folder's
    #[arg(long)]
    name: Option<String>,
    /// The job's title, instead of one made from the name
    #[arg(long)]
    title: Option<String>,
    /// Ask nothing, as without a terminal
    #[arg(long, short)]
    yes: bool,
}

pub(super) fn run(options: Options) -> anyhow::Result<Exit> {
    let given = shown(&options.folder);
    let folder = options.folder.canonicalize().map_err(|why| match why.kind() {
        ErrorKind::NotFound => anyhow!("there is no folder {given}; make it with: mkdir -p {given}"),
        _ => anyhow!("the folder {given} cannot be used: {why}"),
    })?;
    if !folder.is_dir() {
        bail!("{given} is no folder; name the one that {FILE_NAME} shall be in");
    }
    let path = folder.join(FILE_NAME);
    // Also a link that leads nowhere is something that somebody put there.
    if path.symlink_metadata().is_ok() {
        return left_alone(&path);
    }
    let asks = !options.yes && stdin().is_terminal() && stderr().is_terminal();
    let answers = suggested(&folder, &options);
    if let Some(problem) = objection(&answers) {
        complain(&anyhow!("a name or title cannot be used: {}", why(&problem)));
        return Ok(Exit::Usage);
    }
    let answers = if asks { interview(answers, &options)? } else { answers };
    match create(&path, starter::manifest(&answers).as_bytes(), None) {
        Ok(()) => {
            print(format_args!("Created Seed file: {}\n", shown(&path)))?;
            Ok(Exit::Done)
        }
        Err(why) if why.kind() == ErrorKind::AlreadyExists => left_alone(&path),
        Err(why) => bail!("{} cannot be written: {why}", shown(&path)),
    }
}

fn left_alone(path: &Path) -> anyhow::Result<Exit> {
    stderrln!("Pre-existing {} found. Existing file left unmodified.", shown(path));
    Ok(Exit::Done)
}

/// The answers of who is not asked.
fn suggested(folder: &Path, options: &Options) -> Answers {
    let folder = folder.file_name().unwrap_or_default().to_string_lossy();
    let name = options.name.clone().unwrap_or_else(|| starter::legal_name(&folder));
    let title = options.title.clone().unwrap_or_else(|| starter::title_of(&name));
    let (input, media_type) = EXAMPLE_INPUT;
    Answers { name, title, inputs: vec![(input.to_owned(), media_type.to_owned())] }
}

/// Asks for what was not given. Every answer is judged at once.
fn interview(suggested: Answers, options: &Options) -> anyhow::Result<Answers> {
    let mut answers = Answers { inputs: Vec::new(), ..suggested };
    if options.name.is_none() {
        let default = answers.name.clone();
        answers = ask_until_good("Name of the job", &default, |name| Answers { name, ..answers.clone() })?;
    }
    if options.title.is_none() {
        let default = starter::title_of(&answers.name);
        answers = ask_until_good("Title for people", &default, |title| Answers { title, ..answers.clone() })?;
    }
    let question = format!("Name of an input file, as in {} (empty: no more)", EXAMPLE_INPUT.0);
    loop {
        let with = |name: String, media_type: &str| {
            let mut answers = answers.clone();
            // Nothing, where nothing was said.
            answers.inputs.extend((!name.is_empty()).then(|| (name, media_type.to_owned())));
            answers
        };
        let named = ask_until_good(&question, "", |name| with(name, EXAMPLE_INPUT.1))?;
        let Some((name, _)) = named.inputs.get(answers.inputs.len()).cloned() else { return Ok(answers) };
        let question = format!("Media type of {name}");
        answers = ask_until_good(&question, EXAMPLE_INPUT.1, |media_type| with(name.clone(), &media_type))?;
    }
}

/// Asks again, with the reason, until an answer makes a manifest without problems.
fn ask_until_good(question: &str, default: &str, make: impl Fn(String) -> Answers) -> anyhow::Result<Answers> {
    loop {
        let answers = make(ask(question, default)?);
        match objection(&answers) {
            Some(problem) => stderrln!("  {}", why(&problem)),
            None => return Ok(answers),
        }
    }
}

/// One question and its answer; the default where the answer is empty.
fn ask(question: &str, default: &str) -> anyhow::Result<String> {
    if default.is_empty() {
        stderr!("{question}: ");
    } else {
        stderr!("{question} [{default}]: ");
    }
    let mut line = String::new();
    if stdin().read_line(&mut line)? == 0 {
        stderrln!();
        bail!("the answers ended early; nothing is written");
    }
    let answer = line.trim();
    Ok(if answer.is_empty() { default } else { answer }.to_owned())
}

/// The first thing that anybody has against answers. A starter shall not begin with advice either.
fn objection(answers: &Answers) -> Option<Problem> {
    let manifest = starter::manifest(answers);
    let judged = |profile| judge(manifest.as_bytes(), Rules { profile, strict: false }).problems;
    Profile::ALL.into_iter().flat_map(judged).next()
}

fn why(problem: &Problem) -> String {
    tame(format!("{} {}", problem.message, problem.help).trim_end())
}
