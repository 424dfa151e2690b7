//! What validation reports: problems, each with a stable code, and how bad each is for whom.

use serde::{Deserialize, Serialize};

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The manifest breaks the standard, or the profile it is judged by.
    Error,
    /// It will bite some tool.
    Warning,
    /// It could be better.
    Advice,
}

impl Severity {
    pub const ALL: [Self; 3] = [Self::Error, Self::Warning, Self::Advice];

    /// As in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Advice => "advice",
        }
    }
}

/// Whose rules a manifest is judged by, where they differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// The text of Seed 1.0.0.
    #[default]
    Spec,
    /// What Seed CLI 1.3 accepts.
    SeedCli,
    /// What Scale accepts.
    Scale,
}

impl Profile {
    pub const ALL: [Self; 3] = [Self::Spec, Self::SeedCli, Self::Scale];

    /// As in JSON and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Spec => "spec",
            Self::SeedCli => "seed-cli",
            Self::Scale => "scale",
        }
    }
}

/// One finding about a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Stable word, one of [`Code`]'s; `docs/problems.md` explains each.
    pub code: String,
    pub severity: Severity,
    /// JSON pointer (RFC 6901) to the value; to the object, where a field is missing; empty for the document.
    pub path: String,
    /// Line of the text that was judged, from 1; 0 where the problem has no place.
    #[serde(default)]
    pub line: u32,
    /// Character of the line, from 1; 0 where the problem has no place.
    #[serde(default)]
    pub column: u32,
    /// One sentence: what is wrong.
    pub message: String,
    /// One sentence: how to mend it.
    #[serde(default)]
    pub help: String,
}

/// Every code with its severity by profile. The names are a contract: a code may come, none may change its meaning.
macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $text:literal, $spec:ident $seed_cli:ident $scale:ident;)+) => {
        /// What can be wrong with a manifest.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Code {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Code {
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// As in JSON.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }

            /// How bad it is in a profile.
            pub fn severity(self, profile: Profile) -> Severity {
                let [spec, seed_cli, scale] = match self {
                    $(Self::$variant => [Severity::$spec, Severity::$seed_cli, Severity::$scale],)+
                };
                match profile {
                    Profile::Spec => spec,
                    Profile::SeedCli => seed_cli,
                    Profile::Scale => scale,
                }
            }
        }
    };
}

codes! {
    // The label.
    /// The image carries no Seed label.
    NoLabel = "no-label", Error Error Error;
    /// The label holds no manifest in any known quoting.
    UnreadableLabel = "unreadable-label", Error Error Error;
    // The text.
    /// More bytes than are read.
    TooLarge = "too-large", Error Error Error;
    /// Bytes that are not UTF-8.
    NotUtf8 = "not-utf8", Error Error Error;
    /// A byte order mark at the start.
    ByteOrderMark = "byte-order-mark", Error Error Error;
    /// Breaks the grammar of JSON (RFC 8259).
    JsonSyntax = "json-syntax", Error Error Error;
    /// More levels of nesting than are read.
    TooDeep = "too-deep", Error Error Error;
    /// A number that fits neither 64-bit integers nor doubles.
    NumberOutOfRange = "number-out-of-range", Error Error Error;
    /// Text after the end of the document.
    TrailingText = "trailing-text", Error Error Error;
    /// The same key twice in one object.
    DuplicateKey = "duplicate-key", Error Error Error;
    // The structure.
    /// A manifest of an old version of the standard (0.x).
    OldVersion = "old-version", Error Error Error;
    /// `seedVersion` names no known version of the standard.
    UnsupportedVersion = "unsupported-version", Error Error Error;
    /// A required field is missing.
    MissingField = "missing-field", Error Error Error;
    /// A field that the standard does not know.
    UnknownField = "unknown-field", Error Error Error;
    /// A value of another type than the standard says.
    WrongType = "wrong-type", Error Error Error;
    /// A text that is none of those allowed.
    UnknownValue = "unknown-value", Error Error Error;
    /// A name with characters that the standard does not allow.
    BadName = "bad-name", Error Error Error;
    /// A version that is not SemVer 2.0.0.
    BadVersion = "bad-version", Error Error Error;
    /// `scalar` is null, as Seed CLI 1.3 itself wrote it.
    NullScalar = "null-scalar", Warning Error Error;
    /// `resources` without `scalar`, which Scale cannot read.
    EmptyResources = "empty-resources", Warning Advice Error;
    /// A mount's path inside the container is not absolute.
    RelativePath = "relative-path", Error Error Error;
    /// An output pattern that leaves the output directory.
    EscapingPattern = "escaping-pattern", Error Error Error;
    // Names that meet.
    /// An input or setting becomes a variable that the executor sets.
    ReservedName = "reserved-name", Error Error Error;
    /// Two inputs or settings become the same variable.
    NameCollision = "name-collision", Error Error Error;
    /// The same name twice in a list of outputs, mounts, resources or errors.
    DuplicateName = "duplicate-name", Error Error Error;
    /// Two names of a list of outputs, mounts, resources or errors that are alike after normalisation. An error in Scale where
    /// two resources differ only in case.
    SimilarName = "similar-name", Warning Error Advice;
    /// A name that another list has too; Seed CLI has one name space for all. A warning in Scale where a file and a value of the
    /// outputs share it.
    SharedName = "shared-name", Warning Error Advice;
    /// A name that becomes a variable which no shell can refer to.
    UnusableVariable = "unusable-variable", Warning Warning Warning;
    /// A name that changes under normalisation.
    UnnormalisedName = "unnormalised-name", Warning Warning Warning;
    // Values that will not do what their author meant.
    /// The same exit code twice.
    DuplicateCode = "duplicate-code", Warning Warning Warning;
    /// An error's code that no failing process ends with: 0, or outside 1 to 255.
    BadExitCode = "bad-exit-code", Warning Warning Warning;
    /// A timeout of no time.
    BadTimeout = "bad-timeout", Warning Warning Warning;
    /// A negative resource, or a part of a GPU, which Scale refuses.
    BadAmount = "bad-amount", Warning Warning Warning;
    /// A reserved resource in another spelling.
    ResourceSpelling = "resource-spelling", Warning Warning Warning;
    /// A resource that no executor knows by itself.
    UnknownResource = "unknown-resource", Advice Advice Advice;
    /// No cpus, mem or disk, which the standard recommends. Never an error in Seed CLI, whatever its flags.
    MissingResource = "missing-resource", Warning Advice Warning;
    /// A name or version that Docker refuses in an image name.
    DockerName = "docker-name", Warning Warning Warning;
    /// A label longer than a Docker build keeps.
    LongLabel = "long-label", Warning Warning Warning;
    /// The command uses a variable that nothing provides.
    UnsetVariable = "unset-variable", Warning Warning Warning;
    /// The command does not use an input.
    UnusedInput = "unused-input", Advice Advice Advice;
    /// No errors are listed, so no failure gets a name.
    UnmappedExitCodes = "unmapped-exit-codes", Advice Advice Advice;
    /// A media type that is not `type/subtype` (RFC 6838).
    OddMediaType = "odd-media-type", Advice Advice Advice;
    /// An empty text where people search.
    EmptyText = "empty-text", Advice Advice Advice;
    /// A text that `silo init` has written for somebody to replace.
    Placeholder = "placeholder", Advice Advice Advice;
    /// An empty `key`, which counts as absent.
    EmptyKey = "empty-key", Advice Advice Advice;
    /// Control characters in a text.
    ControlCharacter = "control-character", Warning Warning Warning;
}

/// What `docs/problems.md` says about a code: Markdown, without the title. `None` for a word that is no code.
pub fn explanation(code: &str) -> Option<&'static str> {
    const PAGE: &str = include_str!("../../docs/problems.md");
    let mut sections = PAGE.split("\n### ").skip(1).filter_map(|section| section.split_once('\n'));
    let (_, text) = sections.find(|(title, _)| title.trim_matches('`') == code)?;
    Some(text.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_explained() {
        for code in Code::ALL {
            let text = explanation(code.as_str()).unwrap_or_else(|| panic!("{code:?} has no section"));
            assert!(!text.is_empty() && !text.contains("\n#"), "{code:?}: {text}");
        }
        assert!(explanation("bad-name").is_some_and(|text| text.contains("lake_depth") && text.ends_with("```")));
        for unknown in ["", "bad", "bad-name-", "`bad-name`", "BadName", "All codes"] {
            assert_eq!(explanation(unknown), None, "{unknown}");
        }
    }
}
