//! Suggestions for mistyped names.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Command;
use clap::error::{ContextKind, ContextValue, Error, ErrorKind};

/// The known names with the least edit distance to a word, if that is small: one letter in three, two in seven, or two
/// letters exchanged.
pub(super) fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Vec<&'k str> {
    let word = word.to_lowercase();
    let most = (word.chars().count() + 1) / 4;
    let distance = |known: &'k str| (strsim::damerau_levenshtein(&word, &known.to_lowercase()), known);
    let near: Vec<_> = known.into_iter().map(distance).filter(|(distance, _)| *distance <= most).collect();
    let least = near.iter().map(|(distance, _)| *distance).min();
    near.into_iter().filter(|(distance, _)| Some(*distance) == least).map(|(_, known)| known).collect()
}

/// The path in the same folder that is most similar to a missing one.
pub(super) fn nearest_path(missing: &Path) -> Option<PathBuf> {
    /// Limit of directory entries.
    const MOST: usize = 10_000;
    let name = missing.file_name()?.to_str()?;
    let folder = missing.parent()?;
    let entries = fs::read_dir(if folder.as_os_str().is_empty() { Path::new(".") } else { folder }).ok()?;
    let names = entries.take(MOST).filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|other| other != name).collect();
    names.sort();
    Some(folder.join(nearest(name, names.iter().map(String::as_str)).first()?))
}

/// Improves clap's usage errors: the usage line has only what is required, and suggestions for an unknown command are
/// better: clap suggests whatever begins alike, and does not know commands of other levels.
pub(super) fn mend(mut error: Error, program: &Command, words: &[String]) -> Error {
    // clap's usage line lists every option that is set in the environment, as if it were required.
    if error.get(ContextKind::Usage).is_some() {
        let named = words.iter().skip(1).take_while(|word| *word != "--");
        let command = named.fold(program, |above, word| above.find_subcommand(word).unwrap_or(above));
        error.insert(ContextKind::Usage, ContextValue::StyledStr(command.clone().render_usage()));
    }
    if let Some(tip) = about_stray_argument(&error, words) {
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
        return error;
    }
    let Some(ContextValue::String(typed)) = error.get(ContextKind::InvalidSubcommand) else { return error };
    let typed = typed.clone();
    let mut above = program;
    for word in words.iter().skip(1).take_while(|word| **word != typed) {
        above = above.find_subcommand(word).unwrap_or(above);
    }
    let siblings = || above.get_subcommands().filter(|it| !it.is_hide_set()).map(Command::get_name);
    let mut near = nearest(&typed, siblings());
    if near.is_empty() && typed.chars().count() > 1 {
        near = siblings().filter(|name| name.starts_with(&typed)).collect();
    }
    let mut meant: Vec<String> = near.into_iter().map(str::to_owned).collect();
    if meant.is_empty() {
        let groups = program.get_subcommands().filter(|group| group.find_subcommand(&typed).is_some());
        meant = groups.map(|group| format!("{} {typed}", group.get_name())).collect();
    }
    error.remove(ContextKind::SuggestedSubcommand);
    if !meant.is_empty() {
        error.insert(ContextKind::SuggestedSubcommand, ContextValue::Strings(meant));
    }
    error
}

/// The tip for a stray argument, such as a file given without `-i`.
fn about_stray_argument(error: &Error, words: &[String]) -> Option<String> {
    let Some(ContextValue::String(stray)) = error.get(ContextKind::InvalidArg) else { return None };
    let command = words.get(1).map(String::as_str)?;
    let is_stray = error.kind() == ErrorKind::UnknownArgument && !stray.starts_with('-');
    match command {
        _ if !is_stray => None,
        "run" | "shell" | "batch" => Some(format!(
            "give files by the name of their input: -i NAME={stray}; `silo {command} JOB --dry-run` lists the inputs"
        )),
        _ => Some(format!("`silo {command}` takes only the arguments below; options begin with --")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_near_is_suggested() {
        let known = ["serve", "search", "batch", "user", "spec", "test", "run", "runs", "publish", "unpublish", "list"];
        for (word, meant) in [
            ("serach", &["search"][..]),
            ("Search", &["search"]),
            ("tst", &["test"]),
            ("publsh", &["publish"]),
            ("unpubilsh", &["unpublish"]),
            ("rnu", &["run"]),
            ("server", &["serve"]),
            ("lst", &["list"]),
            ("frobnicate", &[]),
            ("start", &[]),
            ("1", &[]),
        ] {
            assert_eq!(nearest(word, known), meant, "{word}");
        }
    }
}
