//! `silo shell`: a shell in a job's container, with its files, variables and limits. Interactive on a terminal; else
//! commands come from standard input.

mod terminal;

use std::io::{IsTerminal as _, stdin, stdout};
use std::ops::ControlFlow::{Break, Continue};
use std::path::PathBuf;

use anyhow::{Context as _, anyhow};
use clap::Args;
use futures_util::StreamExt as _;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use self::terminal::RawTerminal;
use super::ExitStatus;
use super::args::engine_at::EngineWithImage;
use super::args::manifest_file::shown;
use super::args::run as job;
use super::args::run::{request, usage};
use super::args::subject::LocalJob;
use super::output::live::{JobOutputMode, stop_on_signal, watch};
use super::output::render::tame;
use super::run::{folder, fresh, output, planned, refused};
use crate::clock::Clock;
use crate::engine::docker::ContainerSession;
use crate::engine::halt::HaltSignal;
use crate::engine::plan::container::{ContainerSpec, MaskedText, StdinMode};
use crate::engine::plan::request::RunRequest;
use crate::engine::run::inputs;
use crate::engine::run::orphans::ContainerOwner;
use crate::engine::run::supervisor::AttemptEvent;
use crate::engine::runtime::Error;
use crate::seed::environment::variable_name;
use crate::seed::model::SeedManifest;

/// Present in every image with a shell.
const SHELL: &str = "/bin/sh";

#[derive(Args)]
#[command(after_help = "Missing inputs, settings and mounts are left out, with a note. There is no time limit. The \
                  container is removed when the shell ends. Without a terminal, commands are read from standard \
                  input:\n  \
                  echo 'ls -l $SCENE; env | sort' | silo shell my-job -i SCENE=scene.tif\n\n\
                  Exit codes: 0 the shell ended (without a terminal: with exit code 0); 1 it could not be started; 2 \
                  wrong usage; 3 without a terminal: its last command failed; 130 stopped by a signal.")]
pub(super) struct Options {
    #[command(flatten)]
    job: job::Options,
    /// Folder for OUTPUT_DIR
    #[arg(short, long, value_name = "FOLDER")]
    output: Option<PathBuf>,
    /// Program to run instead of /bin/sh
    #[arg(last = true, value_name = "PROGRAM")]
    program: Vec<String>,
}

pub(super) async fn run(options: &Options) -> anyhow::Result<ExitStatus> {
    // Options of `silo run` that do not apply to shells.
    if options.job.json && !options.job.dry_run {
        return usage(&anyhow!("--json needs --dry-run: a shell prints no JSON"));
    }
    if options.job.timeout.is_some() {
        return usage(&anyhow!("a shell has no time limit: leave --timeout out"));
    }
    let stop = stop_on_signal()?;
    let subject = match LocalJob::find(&options.job, &stop).await? {
        Continue(subject) => subject,
        Break(exit) => return Ok(exit),
    };
    let wished = output(options.output.as_deref(), subject.image.as_str());
    let output = fresh(&wished, &Clock::system());
    let asked = request(&options.job, &subject.image, folder(&output)?, subject.machine.as_ref());
    let (manifest, left_out) = as_given(&subject.manifest, &asked.request);
    let mut plan = match asked.plan(&manifest) {
        Ok(plan) => plan,
        Err(problems) => return refused(&options.job, "shell", &subject.manifest, &problems),
    };
    let arguments = plan.arguments();
    open_in(&mut plan.container, &options.program, stdin().is_terminal() && stdout().is_terminal());
    let Some(machine) = subject.machine.as_ref().filter(|_| !options.job.dry_run) else {
        return planned(&options.job, &manifest, &asked.request, &plan);
    };
    for warning in &plan.warnings {
        stderrln!("warning: {}", tame(warning));
    }
    if !options.job.quiet {
        if !left_out.is_empty() {
            stderrln!("note: not given and left out: {}", tame(&left_out.join(", ")));
        }
        stderrln!("Outputs go to {}", shown(&output));
        if let Some(arguments) = &arguments {
            stderrln!("Command of the job: {}", tame(arguments));
        }
    }
    machine.sweep().await;
    let (planned, halt) = (plan.clone(), HaltSignal::on(&stop));
    let staged = tokio::task::spawn_blocking(move || {
        let (given, _) = inputs::read(&manifest, &planned, &halt)?;
        inputs::stage(&manifest, &planned, &given, &asked.request.folder, &halt).map_err(anyhow::Error::new)
    });
    staged.await?.context("the shell's folders cannot be prepared")?;
    speak(machine, plan.container, &stop).await
}

/// The manifest without the inputs that are not given, and their names.
fn as_given(manifest: &SeedManifest, request: &RunRequest) -> (SeedManifest, Vec<String>) {
    fn is_given<V>(name: &str, given: &[(String, V)]) -> bool {
        given.iter().any(|(key, _)| key == name || variable_name(key) == variable_name(name))
    }
    let mut manifest = manifest.clone();
    let mut left_out = Vec::new();
    let mut leave = |is_given: bool, name: &str| {
        if !is_given {
            left_out.push(name.to_owned());
        }
        is_given
    };
    let interface = &mut manifest.job.interface;
    for input in interface.inputs.files.iter_mut().filter(|input| input.required) {
        input.required = leave(is_given(&input.name, &request.files), &input.name);
    }
    for input in interface.inputs.json.iter_mut().filter(|input| input.required) {
        input.required = leave(is_given(&input.name, &request.json), &input.name);
    }
    interface.settings.retain(|setting| leave(is_given(&setting.name, &request.settings), &setting.name));
    interface.mounts.retain(|mount| leave(is_given(&mount.name, &request.mounts), &mount.name));
    (manifest, left_out)
}

/// Changes the job's container to run a shell.
fn open_in(container: &mut ContainerSpec, program: &[String], is_terminal: bool) {
    let (first, rest) = match program {
        [] => (SHELL.to_owned(), &[][..]),
        [first, rest @ ..] => (first.clone(), rest),
    };
    container.entrypoint = Some(vec![first]);
    container.command = Some(rest.iter().map(MaskedText::plain).collect());
    container.timeout = None;
    container.input = if is_terminal { StdinMode::Terminal } else { StdinMode::Pipe };
}

async fn speak(
    machine: &EngineWithImage,
    mut container: ContainerSpec,
    stop: &CancellationToken,
) -> anyhow::Result<ExitStatus> {
    let owner = ContainerOwner::new().context("cannot create a lock file")?;
    owner.mark(&mut container.labels);
    let spoken = match ContainerSession::open(&machine.engine.docker, &container).await {
        Ok(session) => pass_on(session, &container, stop).await,
        Err(why) => Err(why.into()),
    };
    let spoken = spoken.map_err(|why| match why.downcast_ref() {
        Some(Error::Command { reason, .. }) => anyhow!(
            "{} cannot be started in the image ({}); give a program of the image after --",
            tame(&container.entrypoint.unwrap_or_default().concat()),
            tame(reason)
        ),
        _ => why,
    });
    owner.settle(&machine.engine.docker).await;
    spoken
}

/// Forwards input and output until the shell exits.
async fn pass_on(
    mut session: ContainerSession,
    container: &ContainerSpec,
    stop: &CancellationToken,
) -> anyhow::Result<ExitStatus> {
    let is_terminal = container.input == StdinMode::Terminal;
    // The terminal is restored on drop.
    let _raw = is_terminal.then(RawTerminal::enter).transpose().context("the terminal cannot be set up")?;
    let mut sizes = terminal::sizes()?;
    if let Some((rows, columns)) = terminal::size().filter(|_| is_terminal) {
        // Fails if the shell has exited already.
        _ = session.resize(rows, columns).await;
    }
    terminal::feed(session.input.take().context("nobody has taken it")?);
    let (tell, watching) = watch(container.image.as_str(), JobOutputMode::Both);
    let outcome = told(&mut session, &tell, &mut sizes, is_terminal, stop).await;
    drop(tell);
    watching.await?;
    let ended = match outcome {
        Ok(false) => session.end().await?,
        Ok(true) => {
            session.stop().await?;
            return Ok(ExitStatus::Interrupted);
        }
        Err(why) => {
            session.stop().await?;
            return Err(why);
        }
    };
    if is_terminal || ended.exit_code == 0 {
        return Ok(ExitStatus::Done);
    }
    stderrln!("silo: the shell ended with exit code {}", ended.exit_code);
    Ok(ExitStatus::JobFailed)
}

/// Forwards the session's output until it ends. Returns whether it was stopped before.
async fn told(
    session: &mut ContainerSession,
    tell: &mpsc::Sender<AttemptEvent>,
    sizes: &mut mpsc::Receiver<(u16, u16)>,
    is_terminal: bool,
    stop: &CancellationToken,
) -> anyhow::Result<bool> {
    loop {
        tokio::select! {
            chunk = session.output.next() => match chunk {
                Some(chunk) => _ = tell.send(AttemptEvent::Output(chunk?)).await,
                None => return Ok(false),
            },
            Some((rows, columns)) = sizes.recv(), if is_terminal => {
                _ = session.resize(rows, columns).await;
            }
            () = stop.cancelled() => return Ok(true),
        }
    }
}
