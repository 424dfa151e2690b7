//! The `docker run` command line of a container, for users who want to inspect or repeat a run. It holds no secrets:
//! docker takes those variables from its own environment.

use std::borrow::Cow;

use super::container::{BindMount, ContainerSpec, NetworkMode, StdinMode};

/// The command line, quoted for a POSIX shell, with options of `docker` itself. Secrets in arguments are masked.
pub(in crate::engine) fn line(docker_options: &[String], container: &ContainerSpec) -> String {
    let docker = std::iter::once("docker".to_owned()).chain(docker_options.iter().cloned());
    joined(docker.chain(words(container)))
}

/// Joins words to a line for a POSIX shell.
pub(in crate::engine) fn joined(words: impl IntoIterator<Item = String>) -> String {
    words.into_iter().map(|word| quoted(&word).into_owned()).collect::<Vec<_>>().join(" ")
}

fn words(container: &ContainerSpec) -> Vec<String> {
    let mut words: Vec<String> = ["run", "--rm", "--init"].map(str::to_owned).into();
    match container.input {
        StdinMode::Nothing => {}
        StdinMode::Pipe => words.push("--interactive".to_owned()),
        StdinMode::Terminal => words.extend(["--interactive", "--tty"].map(str::to_owned)),
    }
    let mut option = |name: &str, value: String| words.extend([format!("--{name}"), value]);
    for bind in &container.binds {
        option("mount", mount(bind));
    }
    for variable in &container.environment {
        // `--env NAME`: docker passes its own value on.
        let is_secret = variable.value.is_secret();
        let value = if is_secret { String::new() } else { format!("={}", variable.value) };
        option("env", format!("{}{value}", variable.name));
    }
    if let Some(memory) = container.memory {
        option("memory", memory.to_string());
    }
    if let Some(cpus) = container.cpus {
        option("cpus", cpus.to_string());
    }
    if let Some(bytes) = container.shared_memory {
        option("shm-size", bytes.to_string());
    }
    if let Some(processes) = container.processes {
        option("pids-limit", processes.to_string());
    }
    if container.gpus > 0 {
        option("gpus", container.gpus.to_string());
    }
    match container.network {
        NetworkMode::None => option("network", "none".to_owned()),
        NetworkMode::Host => option("network", "host".to_owned()),
        NetworkMode::Bridge => {}
    }
    if let Some(user) = &container.user {
        option("user", user.clone());
    }
    if let Some(platform) = &container.platform {
        option("platform", platform.clone());
    }
    for (name, value) in &container.labels {
        option("label", format!("{name}={value}"));
    }
    // `--entrypoint` takes one word only; the others come before the command.
    let mut before: &[String] = &[];
    if let Some([first, others @ ..]) = container.entrypoint.as_deref() {
        option("entrypoint", first.clone());
        before = others;
    }
    words.push(container.image.to_string());
    words.extend_from_slice(before);
    words.extend(container.command.iter().flatten().map(ToString::to_string));
    words
}

/// The value of `--mount`, a CSV line.
fn mount(bind: &BindMount) -> String {
    let field = |key: &str, value: &str| {
        let field = format!("{key}={value}");
        if field.contains([',', '"', '\n', '\r']) { format!("\"{}\"", field.replace('"', "\"\"")) } else { field }
    };
    let read_only = if bind.read_only { ",readonly" } else { "" };
    format!("type=bind,{},{}{read_only}", field("source", &bind.source), field("target", &bind.target))
}

/// Quotes a word for a POSIX shell; NUL is dropped.
pub fn quoted(word: &str) -> Cow<'_, str> {
    shlex::try_quote(word).unwrap_or_else(|_| Cow::Owned(format!("'{}'", word.replace('\0', ""))))
}
