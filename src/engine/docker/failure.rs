//! Classifies errors of an engine. Engines give most causes as text only, which is parsed here.

use bollard::errors::Error as BollardError;

use crate::engine::runtime::{Error, PullFailure};

/// Longest engine message that is passed on, in characters.
const LONGEST: usize = 500;

/// A failed request and the address of its engine.
pub(super) struct EngineFailure<'a> {
    pub address: &'a str,
    pub why: BollardError,
}

impl EngineFailure<'_> {
    /// Error of a request that can only fail because of the engine.
    pub(super) fn other(self) -> Error {
        let reason = words(&self.why);
        match self.why {
            BollardError::DockerResponseServerError { .. } | BollardError::DockerStreamError { .. } => {
                if is_disk_full(&reason) { Error::DiskFull { reason } } else { Error::Refused { reason } }
            }
            _ => Error::Lost { address: self.address.to_owned(), reason },
        }
    }

    /// Error of looking up an image.
    pub(super) fn image(self, name: &str) -> Error {
        match self.why {
            BollardError::DockerResponseServerError { status_code: 404, .. } => {
                Error::NoImage { image: name.to_owned() }
            }
            // Docker's status for an invalid image name.
            BollardError::DockerResponseServerError { status_code: 400, .. } => {
                Error::NoImage { image: name.to_owned() }
            }
            _ => self.other(),
        }
    }

    /// Error of creating a container.
    pub(super) fn container(self, image: &str) -> Error {
        let reason = words(&self.why);
        match self.why {
            BollardError::DockerResponseServerError { status_code: 404, .. } if says(&reason, &["image"]) => {
                Error::NoImage { image: image.to_owned() }
            }
            BollardError::DockerResponseServerError { .. } if says(&reason, &["no command specified"]) => {
                Error::Command { exit_code: 127, reason }
            }
            _ => self.start(),
        }
    }

    /// Error of starting a container.
    pub(super) fn start(self) -> Error {
        let reason = words(&self.why);
        if !matches!(self.why, BollardError::DockerResponseServerError { .. }) {
            return self.other();
        }
        if says(&reason, &["could not select device driver", "nvidia-container", "unresolvable cdi devices"]) {
            Error::NoGpu { reason }
        } else if says(&reason, &["exec format error"]) {
            Error::Command { exit_code: 126, reason: format!("it is built for another platform: {reason}") }
        } else if says(&reason, &["executable file not found", "exec:", "starting container process"]) {
            let exit_code = if says(&reason, &["permission denied", "is a directory"]) { 126 } else { 127 };
            Error::Command { exit_code, reason }
        } else {
            self.other()
        }
    }

    /// Error of a pull.
    pub(super) fn pull(self, image: &str) -> Error {
        let reason = words(&self.why);
        let status = match self.why {
            BollardError::DockerResponseServerError { status_code, .. } => status_code,
            BollardError::DockerStreamError { .. } => 0,
            BollardError::RequestTimeoutError => return unreachable(image, "it took too long".to_owned()),
            _ => return self.other(),
        };
        if is_disk_full(&reason) {
            return Error::DiskFull { reason };
        }
        let image = image.to_owned();
        Error::Pull { image, cause: pull_failure(status, &reason), reason }
    }
}

pub(super) fn unreachable(image: &str, reason: String) -> Error {
    Error::Pull { image: image.to_owned(), cause: PullFailure::Unreachable, reason }
}

/// Cause of a failed pull, by HTTP status (0: an error in the middle of the stream) and message.
fn pull_failure(status: u16, reason: &str) -> PullFailure {
    // The order matters: Docker Hub mentions authentication also for missing repositories.
    if says(reason, &["no matching manifest", "does not match the specified platform", "no image found in image index"])
    {
        PullFailure::Platform
    } else if says(reason, &["toomanyrequests", "too many requests"]) {
        PullFailure::Busy
    } else if status == 401
        || status == 403
        || says(reason, &["unauthorized", "authentication required", "no basic auth", "denied", "forbidden"])
    {
        PullFailure::Unauthorized
    } else if matches!(status, 400 | 404) || says(reason, &["manifest unknown", "name unknown", "not found"]) {
        PullFailure::NotFound
    } else {
        PullFailure::Unreachable
    }
}

/// Whether a container cannot be created because the engine's init binary is missing.
pub(super) fn is_without_init(why: &BollardError) -> bool {
    says(&words(why), &["container-init binary not found"])
}

/// Parses the message of an init process (tini, catatonit) that could not execute the job: exit code as in a shell,
/// and the message.
pub(super) fn init_exec_failure(said: &str) -> Option<(i64, String)> {
    let said = said.trim();
    let tini = said.starts_with("[FATAL tini (") && said.contains("] exec ");
    let catatonit = said.starts_with("ERROR (catatonit:") && said.contains("failed to exec pid1");
    if !tini && !catatonit {
        return None;
    }
    let exit_code = if says(said, &["no such file or directory"]) { 127 } else { 126 };
    Some((exit_code, said.to_owned()))
}

/// Whether the container does not exist or is not running.
pub(super) fn is_gone(why: &BollardError) -> bool {
    let BollardError::DockerResponseServerError { status_code, message } = why else { return false };
    *status_code == 404
        || *status_code == 409 && says(message, &["not running", "is already in progress", "can only kill running"])
}

pub(super) fn is_disk_full(reason: &str) -> bool {
    says(reason, &["no space left on device", "disk quota exceeded"])
}

pub(super) fn says(reason: &str, any_of: &[&str]) -> bool {
    let reason = reason.to_lowercase();
    any_of.iter().any(|words| reason.contains(words))
}

/// The engine's message, or else the innermost cause of the error.
pub(super) fn words(why: &BollardError) -> String {
    let text = match why {
        BollardError::DockerResponseServerError { status_code, message } if message.is_empty() => {
            format!("status {status_code}")
        }
        BollardError::DockerResponseServerError { message, .. } => message.trim().to_owned(),
        BollardError::DockerStreamError { error } => error.trim().to_owned(),
        BollardError::SocketNotFoundError(path) => format!("there is no socket {path}"),
        BollardError::UnsupportedURISchemeError { .. } => {
            "only unix://, tcp:// and http:// addresses are supported; for an engine behind SSH or TLS, forward its \
             socket"
                .to_owned()
        }
        BollardError::RequestTimeoutError => "it took too long".to_owned(),
        other => {
            let mut cause: &dyn std::error::Error = other;
            while let Some(inner) = cause.source() {
                cause = inner;
            }
            cause.to_string()
        }
    };
    // An engine passes on text of registries and images: no control characters.
    let tame = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    tame.take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status_code: u16, message: &str) -> EngineFailure<'static> {
        let why = BollardError::DockerResponseServerError { status_code, message: message.to_owned() };
        EngineFailure { address: "unix:///x", why }
    }

    /// Messages of Docker 20 to 28 and of Podman 4.
    #[test]
    fn reasons_of_pulls_are_told_apart() {
        use PullFailure::{Busy, NotFound, Platform, Unauthorized, Unreachable};
        let table = [
            (404, "manifest for localhost:5000/a:1 not found: manifest unknown: manifest unknown", NotFound),
            (500, "Get \"https://x/v2/\": dial tcp 127.0.0.1:1: connect: connection refused", Unreachable),
            (500, "Get \"https://x/v2/\": net/http: TLS handshake timeout", Unreachable),
            (500, "Head \"http://x/v2/a/manifests/1\": no basic auth credentials", Unauthorized),
            (500, "unauthorized: authentication required", Unauthorized),
            (404, "pull access denied for a, repository does not exist or may require 'docker login'", Unauthorized),
            (0, "no matching manifest for linux/arm64/v8 in the manifest list entries", Platform),
            (500, "toomanyrequests: You have reached your pull rate limit", Busy),
        ];
        for (status, message, expected) in table {
            let Error::Pull { cause, .. } = answer(status, message).pull("a:1") else { panic!("{message}") };
            assert_eq!(cause, expected, "{message}");
        }
        assert!(matches!(answer(500, "write /x: no space left on device").pull("a"), Error::DiskFull { .. }));
    }

    #[test]
    fn reasons_of_starts_are_told_apart() {
        let runc = "failed to create shim task: OCI runtime create failed: runc create failed: unable to start container \
                    process: exec: ";
        let code = |message: &str| match answer(400, message).start() {
            Error::Command { exit_code, .. } => Some(exit_code),
            _ => None,
        };
        assert_eq!(code(&format!("{runc}\"a\": executable file not found in $PATH: unknown")), Some(127));
        assert_eq!(code(&format!("{runc}\"/a\": stat /a: no such file or directory: unknown")), Some(127));
        assert_eq!(code(&format!("{runc}\"/a\": permission denied: unknown")), Some(126));
        assert_eq!(code(&format!("{runc}exec format error")), Some(126));
        let podman = "preparing container 4a for attach: runc: runc create failed: unable to start container process: exec: \
                      \"/a\": stat /a: no such file or directory: OCI runtime attempted to invoke a command that was not found";
        assert_eq!(code(podman), Some(127));
        assert_eq!(code("cgroups: cannot enter"), None);
        let gpu = "could not select device driver \"\" with capabilities: [[gpu]]";
        assert!(matches!(answer(500, gpu).start(), Error::NoGpu { .. }));
    }

    #[test]
    fn what_an_init_program_cannot_begin_has_the_codes_of_a_shell() {
        let code = |said: &str| init_exec_failure(said).map(|(code, _)| code);
        assert_eq!(code("[FATAL tini (7)] exec /x failed: No such file or directory\n"), Some(127));
        assert_eq!(code("[FATAL tini (8)] exec /x failed: Permission denied"), Some(126));
        assert_eq!(code("[FATAL tini (8)] exec /x failed: Exec format error"), Some(126));
        assert_eq!(code("ERROR (catatonit:6): failed to exec pid1: No such file or directory"), Some(127));
        assert_eq!(code("exec /x failed: No such file or directory"), None);
    }

    #[test]
    fn words_are_tame_and_short() {
        let text = words(&answer(500, &format!("a\u{1b}[31m\n{}", "x".repeat(9999))).why);
        assert!(text.starts_with("a [31m x") && text.chars().count() == LONGEST);
    }
}
