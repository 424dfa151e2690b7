//! What the tests stand on: images to find, registries to find them in, and the program itself.

pub mod app;
pub mod contract;
pub mod docker_registry;
pub mod fake_registry;
pub mod layout;
pub mod postgres;
pub mod process;
pub mod token_server;

use std::process::Command;

/// Standard output of a program that must succeed.
pub fn output(command: &mut Command) -> Vec<u8> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{name}: {error}: run tests/run, which installs what is needed"));
    assert!(output.status.success(), "{name} fails: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}
