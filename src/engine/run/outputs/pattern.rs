//! Output patterns: `*`, `?` and `[…]` within one path component (Seed 1.0.0, "Outputs": globs that do not descend).

use glob::MatchOptions;

/// `*` and `?` do not match a leading dot, as in shells and in Scale.
const OPTIONS: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };

/// A pattern, one part for each path component.
pub(super) struct OutputGlob(Vec<PatternPart>);

enum PatternPart {
    Glob(glob::Pattern),
    /// An invalid glob, matched literally.
    Text(String),
}

impl OutputGlob {
    pub(super) fn new(pattern: &str) -> Self {
        let parts = pattern.split('/').filter(|part| *part != ".");
        Self(parts.map(PatternPart::new).collect())
    }

    /// Whether it matches a path relative to the output directory.
    pub(super) fn matches(&self, path: &str) -> bool {
        let names = path.split('/');
        names.clone().count() == self.0.len() && names.zip(&self.0).all(|(name, part)| part.matches(name))
    }
}

impl PatternPart {
    fn new(part: &str) -> Self {
        let mut glob = part.to_owned();
        // `**` does not descend: it is treated as `*`.
        while glob.contains("**") {
            glob = glob.replace("**", "*");
        }
        glob::Pattern::new(&glob).map_or_else(|_| Self::Text(part.to_owned()), Self::Glob)
    }

    fn matches(&self, name: &str) -> bool {
        match self {
            Self::Glob(glob) => glob.matches_with(name, OPTIONS),
            Self::Text(text) => text == name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_stay_in_their_folder() {
        let table = [
            ("*.tif", "a.tif", true),
            ("*.tif", "a.TIF", false),
            ("*.tif", "b/a.tif", false),
            ("*.tif", ".a.tif", false),
            (".*", ".a", true),
            ("base/sub-*/*.ext", "base/sub-1/x.ext", true),
            ("base/sub-*/*.ext", "base/sub-1/x/y.ext", false),
            ("**/*.tif", "a.tif", false),
            ("**/*.tif", "b/a.tif", true),
            ("**/*.tif", "c/b/a.tif", false),
            ("a**b", "axxb", true),
            ("./a?.[ch]", "ab.c", true),
            ("a?.[!ch]", "ab.c", false),
            ("{a,b}.txt", "a.txt", false),
            ("{a,b}.txt", "{a,b}.txt", true),
            ("a[.txt", "a[.txt", true),
            ("../*", "a", false),
            ("/etc/*", "etc/a", false),
            ("", "a", false),
            ("é?", "éa", true),
        ];
        for (pattern, path, matches) in table {
            assert_eq!(OutputGlob::new(pattern).matches(path), matches, "{pattern} {path}");
        }
    }
}
