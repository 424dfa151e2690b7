//! The `silo` program: hands its arguments to [`silo::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    silo::cli::run(std::env::args_os().collect())
}
