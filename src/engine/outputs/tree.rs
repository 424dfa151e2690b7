//! Everything in an output directory, without leaving it.

use std::collections::BTreeMap;
use std::fs::{self, DirEntry};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::Entry;

/// How deep folders may be in each other.
const MAX_DEPTH: usize = 50;
/// The most warnings; what is behind them looks alike.
const MAX_WARNINGS: usize = 100;

/// What is there.
#[derive(Default)]
pub(super) struct Tree {
    /// Files by their path, relative and with `/`.
    pub files: BTreeMap<String, Entry>,
    /// Why not everything could be listed, a sentence.
    pub fault: Option<String>,
    /// There are more entries than are listed.
    pub is_cut: bool,
    pub warnings: Vec<String>,
}

/// Lists a directory with so many files and folders at most. One that is not there any more holds nothing.
pub(super) fn walk(folder: &Path, most: usize) -> Tree {
    let mut tree = Tree::default();
    let root = match folder.canonicalize() {
        Ok(root) => root,
        Err(why) => {
            tree.fault = Some(format!("the output directory cannot be read: {why}."));
            return tree;
        }
    };
    let mut entries = 0;
    let mut left = vec![(root.clone(), String::new(), 0)];
    while let Some((folder, prefix, depth)) = left.pop() {
        let listed = fs::read_dir(&folder);
        let listed = listed.and_then(|it| it.take(most + 1).collect::<io::Result<Vec<DirEntry>>>());
        let listed = match listed {
            Ok(listed) => listed,
            Err(why) => {
                tree.fault = Some(format!("the folder {} cannot be read: {why}.", shown(&prefix)));
                continue;
            }
        };
        entries += listed.len();
        if entries > most {
            tree.fault = Some(format!("the job left more than {most} files and folders."));
            tree.is_cut = true;
            break;
        }
        for entry in listed {
            let Ok(name) = entry.file_name().into_string() else {
                tree.warn(format!("A name in {} is not UTF-8; what bears it is left out.", shown(&prefix)));
                continue;
            };
            let path = format!("{prefix}{name}");
            match classified(&root, &entry) {
                Ok(Class::File(file)) => _ = tree.files.insert(path, file),
                Ok(Class::Folder) if depth < MAX_DEPTH => left.push((entry.path(), format!("{path}/"), depth + 1)),
                Ok(Class::Folder) => tree.warn(format!("The folder {path} is too deep; it is left out.")),
                Ok(Class::Other(what)) => tree.warn(format!("{path} is {what}; it is left out.")),
                Err(why) => tree.warn(format!("{path} is left out: {why}.")),
            }
        }
    }
    tree
}

impl Tree {
    fn warn(&mut self, warning: String) {
        if self.warnings.len() < MAX_WARNINGS {
            self.warnings.push(warning);
        }
    }
}

fn shown(prefix: &str) -> &str {
    if prefix.is_empty() { "OUTPUT_DIR" } else { prefix.trim_end_matches('/') }
}

enum Class {
    File(Entry),
    Folder,
    Other(&'static str),
}

fn classified(root: &Path, entry: &DirEntry) -> io::Result<Class> {
    let path = entry.path();
    let metadata = entry.metadata()?;
    if metadata.is_dir() {
        return Ok(Class::Folder);
    }
    if metadata.is_file() {
        return Ok(Class::File(Entry { size: metadata.len(), real: path }));
    }
    if metadata.is_symlink() { linked(root, &path) } else { Ok(Class::Other("no regular file")) }
}

/// A link is the file that it leads to, as long as that is in the directory too.
fn linked(root: &Path, path: &Path) -> io::Result<Class> {
    let real: PathBuf = match path.canonicalize() {
        Ok(real) => real,
        Err(why) if why.kind() == ErrorKind::NotFound => return Ok(Class::Other("a link that leads nowhere")),
        Err(why) => return Err(why),
    };
    if !real.starts_with(root) {
        return Ok(Class::Other("a link that leads out of OUTPUT_DIR"));
    }
    let metadata = real.symlink_metadata()?;
    if metadata.is_file() {
        Ok(Class::File(Entry { size: metadata.len(), real }))
    } else {
        Ok(Class::Other("a link to a folder or something special"))
    }
}
