//! Files of a room form no circle. A file uses another if it names the other's module or an item of it, also one that a
//! third file brings in by `use`. Module files of ancestors do not count: by them files reach what their room shares.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{Source, fail_for, sources};

/// A file: the paths in its code, and what its `use` items bring in, by name.
struct ModuleFile<'a> {
    file: &'a str,
    paths: Vec<Vec<&'a str>>,
    names: BTreeMap<&'a str, Vec<&'a str>>,
}

/// All files, by the paths of their modules.
type ModuleFiles<'a> = BTreeMap<Vec<&'a str>, ModuleFile<'a>>;

impl<'a> ModuleFile<'a> {
    fn of(source: &'a Source) -> Self {
        let words = words(&source.code);
        let (mut rest, mut paths, mut names) = (words.as_slice(), Vec::new(), BTreeMap::new());
        loop {
            let mut found = Vec::new();
            rest = match rest {
                [] => break,
                ["use", after @ ..] => {
                    let after = read_paths(after, Vec::new(), &mut found);
                    names.extend(found.iter().map(|(path, name)| (*name, path.clone())));
                    after
                }
                // A field or method, or the rest of another path.
                ["." | "::", _, after @ ..] => after,
                [_, "::", ..] => read_paths(rest, Vec::new(), &mut found),
                [_, after @ ..] => after,
            };
            paths.extend(found.into_iter().map(|(path, _)| path));
        }
        Self { file: utf8(&source.path), paths, names }
    }
}

fn utf8(path: &Path) -> &str {
    path.to_str().expect("names are UTF-8")
}

fn module_of(file: &str) -> Vec<&str> {
    let mut names: Vec<&str> = file.trim_end_matches(".rs").split('/').collect();
    if names.last() == Some(&"mod") {
        names.pop();
    }
    names
}

/// The names and signs of a text.
fn words(text: &str) -> Vec<&str> {
    let is_letter = |c: char| c.is_alphanumeric() || c == '_';
    let (mut words, mut rest) = (Vec::new(), text.trim_start());
    while let Some(first) = rest.chars().next() {
        let length = match first {
            c if is_letter(c) => rest.find(|c: char| !is_letter(c)).unwrap_or(rest.len()),
            ':' if rest.starts_with("::") => 2,
            c => c.len_utf8(),
        };
        let (word, after) = rest.split_at(length);
        words.push(word);
        rest = after.trim_start();
    }
    words
}

/// Reads paths such as `a::{b, c::d as e}`, each with the name that a `use` of it brings in; returns the words after
/// them.
fn read_paths<'w, 'a>(
    mut words: &'w [&'a str],
    mut path: Vec<&'a str>,
    found: &mut Vec<(Vec<&'a str>, &'a str)>,
) -> &'w [&'a str] {
    loop {
        match words {
            [] => return words,
            ["{", rest @ ..] => {
                words = rest;
                while let [first, after @ ..] = words
                    && *first != "}"
                {
                    words = if *first == "," { after } else { read_paths(words, path.clone(), found) };
                }
                return words.get(1..).unwrap_or_default();
            }
            [name, "::", rest @ ..] => {
                path.push(*name);
                words = rest;
            }
            [name, "as", alias, rest @ ..] => {
                path.push(*name);
                found.push((path, *alias));
                return rest;
            }
            ["self", rest @ ..] => {
                let name = path.last().copied().unwrap_or("self");
                found.push((path, name));
                return rest;
            }
            [name, rest @ ..] => {
                path.push(*name);
                found.push((path, *name));
                return rest;
            }
        }
    }
}

/// The module that a path leads to, as it is read in the module `from`. `None`: to an item there, or to another crate.
fn resolve<'a>(files: &ModuleFiles<'a>, from: &[&'a str], path: &[&'a str]) -> Option<Vec<&'a str>> {
    let mut at = from.to_vec();
    for (index, name) in path.iter().copied().enumerate() {
        match name {
            "crate" => at.clear(),
            "super" => _ = at.pop(),
            "self" => {}
            _ => {
                at.push(name);
                if files.contains_key(&at) {
                    continue;
                }
                at.pop();
                let brought_in = files.get(&at).and_then(|file| file.names.get(name));
                // `use axum::{self, Router}` brings in a crate by its own name.
                let Some(brought_in) = brought_in.filter(|path| path.first() != Some(&name)) else {
                    return (index > 0).then_some(at);
                };
                return resolve(files, &at, &[brought_in.as_slice(), &path[index + 1..]].concat());
            }
        }
    }
    Some(at)
}

/// Which file uses which other one of its room.
fn uses(sources: &[Source]) -> BTreeSet<(&str, &str)> {
    let files: ModuleFiles<'_> =
        sources.iter().map(|source| (module_of(utf8(&source.path)), ModuleFile::of(source))).collect();
    let mut uses = BTreeSet::new();
    for (module, file) in &files {
        for path in &file.paths {
            let Some(target) = resolve(&files, module, path) else { continue };
            let is_ancestor = module.starts_with(&target);
            if let Some(used) = files.get(&target)
                && !is_ancestor
                && target.first() == module.first()
            {
                uses.insert((file.file, used.file));
            }
        }
    }
    uses
}

/// The uses that are part of a circle.
fn circles<'a>(uses: &BTreeSet<(&'a str, &'a str)>) -> Vec<(&'a str, &'a str)> {
    let leads_to = |from: &'a str, to: &'a str| {
        let (mut seen, mut next) = (BTreeSet::new(), vec![from]);
        while let Some(file) = next.pop() {
            if file == to {
                return true;
            }
            if seen.insert(file) {
                next.extend(uses.range((file, "")..).take_while(|(user, _)| *user == file).map(|(_, used)| *used));
            }
        }
        false
    };
    uses.iter().copied().filter(|&(user, used)| leads_to(used, user)).collect()
}

#[test]
fn files_of_a_room_form_no_circle() {
    let sources = sources();
    let found = circles(&uses(&sources));
    let violations: Vec<String> =
        found.iter().map(|(user, used)| format!("{user} uses {used}, which leads back to it")).collect();
    fail_for(&violations);
}

#[test]
fn circles_are_found_also_through_a_third_file() {
    let file = |path: &str, code: &str| Source { path: path.into(), room: "a".to_owned(), code: code.to_owned() };
    let sources = [
        file("a/mod.rs", "mod x;\nmod y;\npub use x::{self as first, Thing};\npub(super) struct Shared;"),
        file("a/x.rs", "use axum::{self, Router};\nuse super::{Shared, y::{self, Other}};\nfn x() { axum::serve() }"),
        file("a/y.rs", "mod below;\nfn y() { below::work(super::Thing::new(1..2)) }"),
        file("a/y/below.rs", "use super::Other;\nuse crate::{a::Shared, b::Stranger};"),
        file("a/z.rs", "use super::first as whole;\nuse crate::a::y::below::work;"),
        file("b.rs", "use crate::a::Thing;"),
    ];
    let all = uses(&sources);
    let expected = [
        ("a/mod.rs", "a/x.rs"),
        ("a/x.rs", "a/y.rs"),
        ("a/y.rs", "a/x.rs"),
        ("a/y.rs", "a/y/below.rs"),
        ("a/z.rs", "a/x.rs"),
        ("a/z.rs", "a/y/below.rs"),
    ];
    assert_eq!(all, BTreeSet::from(expected));
    assert_eq!(circles(&all), [("a/x.rs", "a/y.rs"), ("a/y.rs", "a/x.rs")]);
}
