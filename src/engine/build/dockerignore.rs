//! `.dockerignore` patterns. The rules are Docker's, which differ from Git's and a shell's. Pure.

/// The patterns of a `.dockerignore` in file order: the last match decides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DockerIgnore(Vec<IgnorePattern>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct IgnorePattern {
    tokens: Vec<PatternToken>,
    /// An exception (`!`): includes what matches again.
    keeps: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum PatternToken {
    One(char),
    /// `?`
    Any,
    /// `*`
    Run,
    /// `**/`, and `**` in the middle: any number of path components.
    Folders,
    /// `**` at the end of a pattern: everything below.
    Rest,
    /// `[a-z]`, `[^a-z]`
    Class {
        is_negated: bool,
        ranges: Vec<(char, char)>,
    },
}

/// A line that is not a valid pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of .dockerignore, `{text}`, is not a pattern: {why}")]
pub struct InvalidIgnorePattern {
    pub line: usize,
    pub text: String,
    pub why: &'static str,
}

impl DockerIgnore {
    /// Parses the text of a `.dockerignore`.
    ///
    /// # Errors
    /// The first invalid pattern.
    pub fn parse(text: &str) -> Result<Self, InvalidIgnorePattern> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut patterns = Vec::new();
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.starts_with('#')) {
            let bad = |why| InvalidIgnorePattern { line: number + 1, text: line.trim().to_owned(), why };
            let (keeps, written) = match line.trim().strip_prefix('!') {
                Some(rest) => (true, rest.trim()),
                None => (false, line.trim()),
            };
            if keeps && written.is_empty() {
                return Err(bad("there is nothing after the `!`"));
            }
            let path = cleaned(written);
            if path.is_empty() {
                continue; // Docker ignores `.` and `/`, too
            }
            patterns.push(IgnorePattern { tokens: tokens(&path).map_err(bad)?, keeps });
        }
        Ok(Self(patterns))
    }

    /// Whether a file or folder is excluded. `path` is relative to the build context, with `/` as separator.
    pub fn excludes(&self, path: &str) -> bool {
        let mut is_out = false;
        for pattern in &self.0 {
            // A pattern that matches a folder matches everything below it.
            if pattern.keeps == is_out && with_parents(path).any(|path| pattern.matches(path)) {
                is_out = !pattern.keeps;
            }
        }
        is_out
    }

    /// Whether there are exceptions, so that files in an excluded folder may be included.
    pub fn has_exceptions(&self) -> bool {
        self.0.iter().any(|pattern| pattern.keeps)
    }
}

/// The parent folders of a path, then the path itself.
fn with_parents(path: &str) -> impl Iterator<Item = &str> {
    let parents = path.match_indices('/').map(|(at, _)| &path[..at]);
    parents.chain([path])
}

/// As Go's `path.Clean`: resolves `.`, `..` and empty components; also strips the leading slash.
fn cleaned(written: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in written.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => _ = parts.pop(),
            // `/..` is `/`.
            ".." if written.starts_with('/') => {}
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn tokens(path: &str) -> Result<Vec<PatternToken>, &'static str> {
    let mut tokens = Vec::new();
    let mut left = path.chars().peekable();
    while let Some(c) = left.next() {
        tokens.push(match c {
            '*' if left.next_if_eq(&'*').is_some() => {
                left.next_if_eq(&'/');
                if left.peek().is_none() { PatternToken::Rest } else { PatternToken::Folders }
            }
            '*' => PatternToken::Run,
            '?' => PatternToken::Any,
            '[' => class(&mut left)?,
            '\\' => PatternToken::One(left.next().ok_or("there is nothing after the `\\`")?),
            c => PatternToken::One(c),
        });
    }
    Ok(tokens)
}

fn class(left: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<PatternToken, &'static str> {
    const OPEN: &str = "its `[` has no `]`";
    let is_negated = left.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    loop {
        let from = match left.next().ok_or(OPEN)? {
            ']' if !ranges.is_empty() => return Ok(PatternToken::Class { is_negated, ranges }),
            '\\' => left.next().ok_or(OPEN)?,
            c => c,
        };
        let mut to = from;
        if left.peek() == Some(&'-') {
            left.next();
            to = match left.next().ok_or(OPEN)? {
                // A `-` before the `]` is literal.
                ']' => {
                    ranges.extend([(from, from), ('-', '-')]);
                    return Ok(PatternToken::Class { is_negated, ranges });
                }
                '\\' => left.next().ok_or(OPEN)?,
                c => c,
            };
        }
        if to < from {
            return Err("a range in its `[…]` runs backwards");
        }
        ranges.push((from, to));
    }
}

fn has(ranges: &[(char, char)], c: char) -> bool {
    ranges.iter().any(|(from, to)| (*from..=*to).contains(&c))
}

impl IgnorePattern {
    /// Simulates the pattern as a nondeterministic automaton: linear in the length of the path, without backtracking.
    fn matches(&self, path: &str) -> bool {
        let mut at = vec![false; self.tokens.len() + 1];
        self.enter(&mut at, 0);
        for c in path.chars() {
            let mut next = vec![false; at.len()];
            for (place, token) in self.tokens.iter().enumerate().filter(|(place, _)| at[*place]) {
                match token {
                    PatternToken::One(one) if *one == c => self.enter(&mut next, place + 1),
                    PatternToken::Any if c != '/' => self.enter(&mut next, place + 1),
                    PatternToken::Class { is_negated, ranges } if c != '/' && has(ranges, c) != *is_negated => {
                        self.enter(&mut next, place + 1);
                    }
                    PatternToken::Run if c != '/' => self.enter(&mut next, place),
                    PatternToken::Rest => self.enter(&mut next, place),
                    PatternToken::Folders => {
                        next[place] = true;
                        if c == '/' {
                            self.enter(&mut next, place + 1);
                        }
                    }
                    _ => {}
                }
            }
            at = next;
        }
        at[self.tokens.len()]
    }

    /// Adds a state, and the states behind it that match the empty string.
    fn enter(&self, at: &mut [bool], mut place: usize) {
        at[place] = true;
        while let Some(PatternToken::Run | PatternToken::Rest | PatternToken::Folders) = self.tokens.get(place) {
            place += 1;
            at[place] = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn excludes(patterns: &str, path: &str) -> bool {
        DockerIgnore::parse(patterns).unwrap().excludes(path)
    }

    #[test]
    fn patterns_match_from_the_root() {
        for (pattern, path, is_out) in [
            ("a", "a", true),
            ("a", "a/b/c", true),
            ("a", "b/a", false),
            ("a", "ab", false),
            ("/a", "a", true),
            ("a/", "a/b", true),
            ("./a/../b", "b", true),
            ("../../x", "x", false),
            ("/../x", "x", true),
            ("*/temp*", "sub/temporary.txt", true),
            ("*/temp*", "a/b/temporary.txt", false),
            ("temp?", "tempa", true),
            ("temp?", "temp", false),
            ("temp?", "temp/", false),
            ("*.md", "README.md", true),
            ("*.md", "docs/README.md", false),
            ("**/*.md", "README.md", true),
            ("**/*.md", "a/b/README.md", true),
            ("**/b", "ab", false),
            ("a/**/b", "a/b", true),
            ("a/**/b", "a/x/y/b", true),
            ("a/**/b", "axb", false),
            ("a/**", "a/b/c", true),
            ("a/**", "a", false),
            ("**", "a/b", true),
            ("a**b", "ab", true),
            ("a**b", "ax/b", true),
            ("a**b", "axb", false),
            ("[a-c]x", "bx", true),
            ("[^a-c]x", "bx", false),
            ("[a-]x", "-x", true),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("a.b$", "a.b$", true),
            ("a.b", "axb", false),
            (".", "a", false),
            ("/", "a", false),
            ("ä?", "äö", true),
            ("#a\n #b", "#a", false),
            ("#a\n #b", "#b", true),
            ("\u{feff}a", "a", true),
        ] {
            assert_eq!(excludes(pattern, path), is_out, "{pattern:?} {path}");
        }
    }

    #[test]
    fn the_last_match_decides() {
        let text = "*.md\n!README*.md\nREADME-secret.md\r\n\n  data  \n! data/keep \n";
        for (path, is_out) in [
            ("notes.md", true),
            ("README.md", false),
            ("README-secret.md", true),
            ("data/drop", true),
            ("data/keep", false),
            ("data/keep/all", false),
            ("src", false),
        ] {
            assert_eq!(excludes(text, path), is_out, "{path}");
        }
        assert!(!excludes("*.md\nREADME-secret.md\n!README*.md", "README-secret.md"));
        assert!(
            DockerIgnore::parse("!a").unwrap().has_exceptions() && !DockerIgnore::parse("a").unwrap().has_exceptions()
        );
    }

    #[test]
    fn what_cannot_be_meant_is_told_with_its_line() {
        for (text, line) in [("a\n!", 2), ("[a", 1), ("a\\", 1), ("\n\n[b-a]", 3), ("[]", 1)] {
            let bad = DockerIgnore::parse(text).unwrap_err();
            assert_eq!(bad.line, line, "{text:?}: {bad}");
        }
    }

    proptest! {
        /// Reference implementation by backtracking: slow, but simple.
        #[test]
        fn agrees_with_trying_everything(pattern in "([ab*?/]|\\*\\*/?){1,7}", path in "[ab]{1,3}(/[ab]{1,2}){0,2}") {
            fn tried(tokens: &[PatternToken], path: &str) -> bool {
                let rest = |at: usize| path.char_indices().map(|(at, _)| at).chain([path.len()]).find(|i| *i >= at);
                let Some((first, tokens_left)) = tokens.split_first() else { return path.is_empty() };
                let begins = path.chars().next();
                match first {
                    PatternToken::One(c) => begins == Some(*c) && tried(tokens_left, &path[1..]),
                    PatternToken::Any => begins.is_some_and(|c| c != '/') && tried(tokens_left, &path[1..]),
                    PatternToken::Class { .. } => unreachable!("the strategy makes none"),
                    PatternToken::Run => (0..=path.find('/').unwrap_or(path.len()))
                        .filter(|at| rest(*at) == Some(*at))
                        .any(|at| tried(tokens_left, &path[at..])),
                    PatternToken::Rest => (0..=path.len()).any(|at| tried(tokens_left, &path[at..])),
                    PatternToken::Folders => {
                        let after = path.match_indices('/').map(|(at, _)| at + 1);
                        [0].into_iter().chain(after).any(|at| tried(tokens_left, &path[at..]))
                    }
                }
            }
            let tokens = tokens(&cleaned(&pattern)).unwrap();
            let pattern = IgnorePattern { tokens, keeps: false };
            prop_assert_eq!(pattern.matches(&path), tried(&pattern.tokens, &path));
        }

        #[test]
        fn never_panics(text in "(\\PC|[\\[\\]\\\\!*?/.\n-]){0,20}", path in "\\PC{0,12}") {
            if let Ok(ignore) = DockerIgnore::parse(&text) {
                let _ = ignore.excludes(&path);
            }
        }
    }
}
