//! Runs the program without a server: in a temporary folder, with given standard input, or on a terminal.

use std::io::{ErrorKind, Write as _};
use std::path::Path;
use std::process::{ChildStdin, Command, Output, Stdio};
use std::thread;

use crate::support::process::Exit;

/// Runs `silo` in a folder, with empty standard input.
pub(crate) fn silo(folder: &Path, arguments: &[&str]) -> Exit {
    silo_fed(folder, arguments, b"")
}

/// The same with standard input.
pub(crate) fn silo_fed(folder: &Path, arguments: &[&str], input: &[u8]) -> Exit {
    let mut command = command(env!("CARGO_BIN_EXE_silo"), folder);
    command.args(arguments);
    let input = input.to_owned();
    run(command, move |stdin| {
        // The program may exit before it has read everything.
        stdin.write_all(&input).ok();
    })
}

/// The same with additional environment variables.
pub(crate) fn silo_in(folder: &Path, environment: &[(&str, &str)], arguments: &[&str], input: &str) -> Exit {
    let mut command = command(env!("CARGO_BIN_EXE_silo"), folder);
    command.envs(environment.iter().copied()).args(arguments);
    let input = input.to_owned();
    run(command, move |stdin| {
        stdin.write_all(input.as_bytes()).ok();
    })
}

/// The same with endless standard input; returns the bytes that were read from it.
pub(crate) fn silo_fed_without_end(folder: &Path, arguments: &[&str]) -> (Exit, usize) {
    let mut command = command(env!("CARGO_BIN_EXE_silo"), folder);
    command.args(arguments);
    let (sender, receiver) = std::sync::mpsc::channel();
    let exit = run(command, move |stdin| {
        let mut fed = 0;
        let refused = loop {
            match stdin.write(&[b' '; 4096]) {
                Ok(written) => fed += written,
                Err(why) => break why,
            }
        };
        assert_eq!(refused.kind(), ErrorKind::BrokenPipe, "the program hung up");
        sender.send(fed).expect("the test waits");
    });
    (exit, receiver.recv().expect("the feeder ends with the program"))
}

/// Runs `silo` on a pseudo-terminal (util-linux `script`) with typed input. The terminal's output is returned as
/// standard output. Typed text is not echoed once `silo` runs: on a busy machine it would appear inside a question.
pub(crate) fn silo_on_terminal(folder: &Path, environment: &[(&str, &str)], arguments: &[&str], typed: &str) -> Exit {
    silo_on_terminal_of(120, folder, environment, arguments, typed)
}

/// The same with this many columns.
pub(crate) fn silo_on_terminal_of(
    columns: u16,
    folder: &Path,
    environment: &[(&str, &str)],
    arguments: &[&str],
    typed: &str,
) -> Exit {
    let mut command = command("script", folder);
    // `script` passes the line to a shell: these arguments need no quoting.
    let terminal = format!("stty -echo cols {columns};");
    let line = [&[&*terminal, env!("CARGO_BIN_EXE_silo")], arguments].concat().join(" ");
    command.args(["-qec", &line, "/dev/null"]).env("TERM", "xterm").env("SHELL", "/bin/sh");
    command.envs(environment.iter().copied());
    let typed = typed.to_owned();
    run(command, move |stdin| stdin.write_all(typed.as_bytes()).expect("a terminal takes what is typed"))
}

fn command(program: &str, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder).env_clear().env("PATH", "/usr/bin:/bin");
    command
}

/// Runs a program to its end while `feed` writes its input; then closes the input.
fn run(mut command: Command, feed: impl FnOnce(&mut ChildStdin) + Send + 'static) -> Exit {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program can be started");
    let mut stdin = child.stdin.take().expect("standard input is piped");
    let feeder = thread::spawn(move || feed(&mut stdin));
    let Output { status, stdout, stderr } = child.wait_with_output().expect("our own child can be waited for");
    feeder.join().expect("what feeds the program does not fail");
    let text = |bytes| String::from_utf8(bytes).expect("what is printed is UTF-8");
    Exit { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
}
