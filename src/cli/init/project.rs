//! Files of a new job beside its manifest: a Dockerfile, a program, and a case.

use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::json;

use crate::cli::args::manifest_file::{create, shown};
use crate::engine::disk::file_ending;
use crate::seed::starter::{EXAMPLE_THRESHOLD, InitAnswers, threshold};

/// Content of the example's input file.
const EXAMPLE: &str = "An example.\n";

/// A file to write unless it exists.
struct ProjectFile {
    path: PathBuf,
    text: String,
    is_program: bool,
}

/// Whether the folder has a project already.
pub(super) fn is_begun(folder: &Path) -> bool {
    folder.join("Dockerfile").symlink_metadata().is_ok()
}

/// Writes the files that do not exist yet; returns their names.
///
/// # Errors
/// An I/O error.
pub(super) fn write(folder: &Path, answers: &InitAnswers) -> anyhow::Result<Vec<String>> {
    let mut made = Vec::new();
    for ProjectFile { path, text, is_program } in files(answers) {
        let target = folder.join(&path);
        let failed = || format!("{} cannot be written", shown(&target));
        fs::create_dir_all(target.parent().unwrap_or(folder)).with_context(failed)?;
        match create(&target, text.as_bytes(), is_program.then(|| Permissions::from_mode(0o755))) {
            Ok(()) => made.push(shown(&path)),
            Err(why) if why.kind() == ErrorKind::AlreadyExists => {}
            Err(why) => return Err(why).with_context(failed),
        }
    }
    Ok(made)
}

fn files(answers: &InitAnswers) -> Vec<ProjectFile> {
    let wanted = |path: &str, text: String| ProjectFile { path: path.into(), text, is_program: false };
    let case = Path::new("cases/example");
    let inputs = answers.inputs.iter().enumerate().map(|(number, (input, media_type))| {
        let file = format!(
            "example{}.{}",
            if number == 0 { String::new() } else { number.to_string() },
            file_ending(media_type)
        );
        (case.join("input").join(input).join(&file), file)
    });
    let inputs: Vec<(PathBuf, String)> = inputs.collect();
    let listed: String = inputs.iter().map(|(_, file)| format!("{file} {}\n", EXAMPLE.len())).collect();
    let values = json!({"json": {threshold(answers): EXAMPLE_THRESHOLD}});
    let mut files = vec![
        wanted("Dockerfile", include_str!("Dockerfile.txt").to_owned()),
        ProjectFile { is_program: true, ..wanted("run.sh", include_str!("run.sh").to_owned()) },
        wanted("cases/example/inputs.json", format!("{values}\n")),
        wanted("cases/example/expected/result.txt", listed),
        wanted("cases/example/expected/seed.outputs.json", format!("{{\"resultCount\": {}}}\n", inputs.len())),
    ];
    files.extend(inputs.into_iter().map(|(path, _)| ProjectFile { path, text: EXAMPLE.to_owned(), is_program: false }));
    files
}
