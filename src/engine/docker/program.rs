//! Whether a container has the program that it was to begin with. Asked when it has ended and nothing was heard of it: the words of an
//! init process that could not begin it are lost now and then.

use bollard::errors::Error as BollardError;
use bollard::models::ContainerConfig;
use bollard::query_parameters::ContainerArchiveInfoOptionsBuilder;

use super::DockerClient;

/// Where programs are looked for in an image that does not say.
const USUAL_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Of a file's mode, as Go has it: a folder, a link, and who may execute it.
const FOLDER: u32 = 1 << 31;
const LINK: u32 = 1 << 27;
const EXECUTABLE: u32 = 0o111;
/// How many links may lead to a program.
const LINKS: u32 = 8;

/// What is at a path in a container.
enum Found {
    Nothing,
    Program,
    /// A folder, or a file that may not be executed.
    Other,
}

/// The exit code of a shell, and the reason, where a container that has ended has no such program. `None`: it has it,
/// or nobody knows.
pub(super) async fn missing(docker: &DockerClient, id: &str) -> Option<(i64, String)> {
    let config = docker.client.inspect_container(id, None).await.ok()?.config?;
    let name = program(&config)?;
    let mut is_there = false;
    for path in places(&config, &name) {
        match look(docker, id, path).await? {
            Found::Program => return None,
            Found::Other => is_there = true,
            Found::Nothing => {}
        }
    }
    Some(match is_there {
        true => (126, format!("{name} of the image is not an executable file")),
        false => (127, format!("the image has no program {name}")),
    })
}

fn program(config: &ContainerConfig) -> Option<String> {
    let words = config.entrypoint.iter().flatten().chain(config.cmd.iter().flatten());
    words.into_iter().next().filter(|word| !word.is_empty()).cloned()
}

/// Where a program may be, as `execvp` looks for it.
fn places(config: &ContainerConfig, name: &str) -> Vec<String> {
    let folder = config.working_dir.as_deref().unwrap_or_default();
    let absolute = |path: String| if path.starts_with('/') { path } else { format!("{folder}/{path}") };
    if name.contains('/') {
        return vec![absolute(name.to_owned())];
    }
    let path = config.env.iter().flatten().filter_map(|variable| variable.strip_prefix("PATH=")).next_back();
    path.unwrap_or(USUAL_PATH).split(':').map(|folder| absolute(format!("{folder}/{name}"))).collect()
}

/// `None`: the engine does not tell.
async fn look(docker: &DockerClient, id: &str, mut path: String) -> Option<Found> {
    for _ in 0..LINKS {
        let options = ContainerArchiveInfoOptionsBuilder::default().path(&path).build();
        match docker.client.get_container_archive_info(id, Some(options)).await {
            Ok(about) if about.file_mode & LINK != 0 => path = about.link_target,
            Ok(about) if about.file_mode & FOLDER != 0 || about.file_mode & EXECUTABLE == 0 => {
                return Some(Found::Other);
            }
            Ok(_) => return Some(Found::Program),
            Err(BollardError::DockerResponseServerError { status_code: 404, .. }) => return Some(Found::Nothing),
            Err(_) => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_looked_for_as_the_kernel_is_asked_for_them() {
        let of = |folder: &str, env: &[&str], name: &str| {
            let env = env.iter().map(|&variable| variable.to_owned()).collect();
            let config = ContainerConfig { working_dir: Some(folder.to_owned()), env: Some(env), ..Default::default() };
            places(&config, name).join(" ")
        };
        assert_eq!(of("/w", &[], "/a/b"), "/a/b");
        assert_eq!(of("/w", &["PATH=/x"], "a/b"), "/w/a/b");
        assert_eq!(of("", &["PATH=/x"], "./b"), "/./b");
        assert_eq!(of("/w", &["A=b", "PATH=/y", "PATH=/x:bin"], "b"), "/x/b /w/bin/b");
        assert!(of("/w", &[], "b").ends_with(" /sbin/b /bin/b"));
        let words = |words: &[&str]| Some(words.iter().map(|&word| word.to_owned()).collect());
        let config = ContainerConfig { entrypoint: words(&["a"]), cmd: words(&["b"]), ..Default::default() };
        assert_eq!(program(&config).as_deref(), Some("a"));
        assert_eq!(program(&ContainerConfig { entrypoint: words(&[]), ..config }).as_deref(), Some("b"));
    }
}
