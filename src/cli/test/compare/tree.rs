//! Comparison of two folders, file by file. Blocking. One of them was written by a job, so no link is followed, and
//! count, depth and sizes are limited.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, Metadata};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{ComparisonRules, CompiledMethod, table, text, value};

/// Limit for the files and folders of a tree.
const MAX_ENTRIES: usize = 100_000;
/// Limit for the depth of folders.
const MAX_DEPTH: usize = 64;
/// Largest text, in bytes, whose first differing line is shown.
const MAX_TEXT: u64 = 1024 * 1024;
/// Largest file, in bytes, that is parsed to compare it.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// Result of comparing a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ComparisonState {
    Equal,
    Differs,
    Missing,
    Extra,
    Ignored,
}

/// The result for a path of either folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ComparisonFinding {
    /// Relative to the folder, with `/`.
    pub path: String,
    pub state: ComparisonState,
    /// The difference.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
}

impl ComparisonFinding {
    /// Whether the result lets a test case pass.
    pub(crate) fn is_fine(&self) -> bool {
        matches!(self.state, ComparisonState::Equal | ComparisonState::Ignored)
    }
}

/// Compares the output of a job with the expected folder; results are sorted by path. Folders without files are
/// ignored.
///
/// # Errors
/// A folder cannot be read or exceeds a limit.
pub(crate) fn compare(rules: &ComparisonRules, expected: &Path, actual: &Path) -> io::Result<Vec<ComparisonFinding>> {
    let (old, new) = (walk(expected)?, walk(actual)?);
    let paths: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let finding = |path: &String| {
        let method = rules.of(path);
        let (state, message) = match (method, old.get(path), new.get(path)) {
            (CompiledMethod::Ignore, ..) => (ComparisonState::Ignored, String::new()),
            (_, Some(_), None) => {
                (ComparisonState::Missing, "it was expected, but the job did not write it".to_owned())
            }
            (_, None, _) => (ComparisonState::Extra, "the job wrote it, but it was not expected".to_owned()),
            (method, Some(old), Some(new)) => match files(&method, old, new) {
                Ok(()) => (ComparisonState::Equal, String::new()),
                Err(why) => (ComparisonState::Differs, why),
            },
        };
        ComparisonFinding { path: path.clone(), state, message }
    };
    Ok(paths.into_iter().map(finding).collect())
}

/// Replaces the expected folder by the output of a job, without the files that a rule ignores. The old folder is kept
/// until the new one is complete.
///
/// # Errors
/// There is something other than a regular file, or the disk fails.
pub(crate) fn update(rules: &ComparisonRules, expected: &Path, actual: &Path) -> io::Result<()> {
    let beside = |ending: &str| {
        let mut name = expected.as_os_str().to_owned();
        name.push(ending);
        PathBuf::from(name)
    };
    let (fresh, old) = (beside(".new"), beside(".old"));
    for left in [&fresh, &old] {
        if left.symlink_metadata().is_ok() {
            return Err(io::Error::other(format!("{} is in the way; move it elsewhere", left.display())));
        }
    }
    fs::create_dir_all(&fresh)?;
    let written = copy(rules, actual, &fresh);
    if written.is_err() {
        fs::remove_dir_all(&fresh)?;
        return written;
    }
    let was_there = expected.symlink_metadata().is_ok();
    if was_there {
        fs::rename(expected, &old)?;
    }
    fs::rename(&fresh, expected)?;
    if was_there { fs::remove_dir_all(&old) } else { Ok(()) }
}

fn copy(rules: &ComparisonRules, from: &Path, to: &Path) -> io::Result<()> {
    for (path, (source, metadata)) in walk(from)? {
        if matches!(rules.of(&path), CompiledMethod::Ignore) {
            continue;
        }
        if !metadata.is_file() {
            return Err(io::Error::other(format!("{path} is not a regular file; add a rule that ignores it")));
        }
        let target = to.join(&path);
        fs::create_dir_all(target.parent().unwrap_or(to))?;
        io::copy(&mut File::open(&source)?, &mut File::create(&target)?)?;
    }
    Ok(())
}

type FileEntry = (PathBuf, Metadata);

/// Everything but folders, by path.
fn walk(root: &Path) -> io::Result<BTreeMap<String, FileEntry>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![(root.to_owned(), String::new(), 0)];
    let mut count = 0;
    while let Some((folder, prefix, depth)) = folders.pop() {
        let unreadable = |why| io::Error::other(format!("{} cannot be read: {why}", folder.display()));
        for entry in fs::read_dir(&folder).map_err(unreadable)? {
            let entry = entry?;
            count += 1;
            if count > MAX_ENTRIES || depth > MAX_DEPTH {
                return Err(io::Error::other(format!("{} holds too many entries to compare", root.display())));
            }
            let name = entry.file_name().into_string().map_err(|name| {
                io::Error::other(format!("{} holds a name that is not UTF-8: {}", folder.display(), name.display()))
            })?;
            let path = format!("{prefix}{name}");
            let metadata = entry.path().symlink_metadata()?;
            if metadata.is_dir() {
                folders.push((entry.path(), format!("{path}/"), depth + 1));
            } else {
                found.insert(path, (entry.path(), metadata));
            }
        }
    }
    Ok(found)
}

fn files(method: &CompiledMethod, old: &FileEntry, new: &FileEntry) -> Result<(), String> {
    for ((_, metadata), whose) in [(old, "expected"), (new, "new")] {
        if !metadata.is_file() {
            return Err(format!("the {whose} one is not a regular file"));
        }
    }
    let (expected, actual) = (old.1.len(), new.1.len());
    match method {
        CompiledMethod::Exists | CompiledMethod::Ignore => Ok(()),
        CompiledMethod::Size(percent) => {
            let apart = expected.abs_diff(actual) as f64;
            match apart <= expected as f64 * percent / 100.0 {
                true => Ok(()),
                false => Err(format!("it has {actual} bytes, expected {expected} ± {percent} %")),
            }
        }
        CompiledMethod::Exact if expected != actual => {
            Err(line(old, new).unwrap_or_else(|| format!("it has {actual} bytes, expected {expected}")))
        }
        CompiledMethod::Exact => bytes(&old.0, &new.0)
            .map_err(|why| format!("it cannot be read: {why}"))?
            .map_or(Ok(()), |at| Err(line(old, new).unwrap_or_else(|| format!("it differs from byte {at}")))),
        CompiledMethod::Text(masks) => text(masks, &whole(old)?, &whole(new)?),
        CompiledMethod::Json(bound, ignore) => value::compare(*bound, ignore, &whole(old)?, &whole(new)?),
        CompiledMethod::Csv(columns) => table::compare(columns, &whole(old)?, &whole(new)?),
    }
}

/// The first differing line, if both files are texts of at most [`MAX_TEXT`] bytes.
fn line(old: &FileEntry, new: &FileEntry) -> Option<String> {
    let is_small = |(_, metadata): &FileEntry| metadata.len() <= MAX_TEXT;
    let read = |(path, _): &FileEntry| String::from_utf8(fs::read(path).ok()?).ok().filter(|text| !text.contains('\0'));
    let (old, new) = (Some(old).filter(|it| is_small(it))?, Some(new).filter(|it| is_small(it))?);
    match text(&[], read(old)?.as_bytes(), read(new)?.as_bytes()) {
        Ok(()) => Some("only line ends or trailing blanks differ: a rule with \"text\" ignores them".to_owned()),
        Err(why) => Some(why),
    }
}

fn whole((path, metadata): &FileEntry) -> Result<Vec<u8>, String> {
    if metadata.len() > MAX_BYTES {
        return Err(format!("{} bytes are too many for this comparison; use exact or size", metadata.len()));
    }
    fs::read(path).map_err(|why| format!("{} cannot be read: {why}", path.display()))
}

/// Offset of the first differing byte.
fn bytes(old: &Path, new: &Path) -> io::Result<Option<u64>> {
    let (mut old, mut new) = (BufReader::new(File::open(old)?).bytes(), BufReader::new(File::open(new)?).bytes());
    let mut at = 0;
    loop {
        match (old.next().transpose()?, new.next().transpose()?) {
            (None, None) => return Ok(None),
            (old, new) if old != new => return Ok(Some(at)),
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for (path, content) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            fs::write(path, content).expect("a file");
        }
        folder
    }

    #[test]
    fn every_path_is_told_of_and_a_new_tree_is_what_is_expected() {
        let rules = serde_json::from_value::<Vec<_>>(json!([
            {"files": "*.log", "compare": "ignore"}, {"files": "big", "compare": {"size": {"percent": 50}}}
        ]));
        let rules = ComparisonRules::new(&rules.expect("rules")).expect("sound rules");
        let old = tree(&[
            ("a", "1"),
            ("b/c", "12"),
            ("gone", ""),
            ("big", "1234"),
            ("x", "ab"),
            ("lf", "a\n"),
            ("nul", "\0"),
            ("nul-same", "\0a"),
        ]);
        let new = tree(&[
            ("a", "1"),
            ("b/c", "13"),
            ("come", ""),
            ("a.log", "x"),
            ("big", "12345"),
            ("x", "a"),
            ("lf", "a\r\n"),
            ("nul", "\0\0"),
            ("nul-same", "\0b"),
        ]);
        #[cfg(unix)]
        std::os::unix::fs::symlink("/etc/passwd", new.path().join("gone")).expect("a link");
        let told = |new: &Path| {
            let all = compare(&rules, &old.path().join("."), new).expect("both can be read");
            all.into_iter().map(|it| format!("{} {:?} {}", it.path, it.state, it.message)).collect::<Vec<_>>()
        };
        insta::assert_snapshot!(told(new.path()).join("\n"), @r#"
        a Equal 
        a.log Ignored 
        b/c Differs line 1 is "13", expected "12"
        big Equal 
        come Extra the job wrote it, but it was not expected
        gone Differs the new one is not a regular file
        lf Differs only line ends or trailing blanks differ: a rule with "text" ignores them
        nul Differs it has 2 bytes, expected 1
        nul-same Differs it differs from byte 1
        x Differs line 1 is "a", expected "ab"
        "#);
        let expected = old.path().join("expected");
        let refused = update(&rules, &expected, new.path()).expect_err("a link");
        assert!(refused.to_string().contains("gone is not a regular file") && !expected.exists(), "{refused}");
        fs::remove_file(new.path().join("gone")).expect("the link");
        for _ in 0..2 {
            update(&rules, &expected, new.path()).expect("it can be written");
            let all = compare(&rules, &expected, new.path()).expect("both can be read");
            assert!(all.iter().all(ComparisonFinding::is_fine) && !expected.join("a.log").exists(), "{all:?}");
        }
        assert!(compare(&rules, &old.path().join("nothing"), new.path()).is_err());
    }
}
