//! The problems that validation reports, with stable codes and a severity for each profile.

use serde::{Deserialize, Serialize};

/// Severity of a problem, most severe first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProblemSeverity {
    /// The manifest violates the standard, or the rules of the profile.
    Error,
    /// The manifest is valid, but some tools will fail on it or misread it.
    Warning,
    /// The manifest could be improved.
    Advice,
}

impl ProblemSeverity {
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

/// Whose rules apply where the standard and its tools differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ValidationProfile {
    /// The text of Seed 1.0.0.
    #[default]
    Spec,
    /// What Seed CLI 1.3 accepts.
    SeedCli,
    /// What Scale accepts.
    Scale,
}

impl ValidationProfile {
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
pub struct ManifestProblem {
    /// Stable identifier, one of [`ProblemCode`]; explained in `docs/problems.md`.
    pub code: String,
    pub severity: ProblemSeverity,
    /// JSON pointer (RFC 6901) to the value; to the containing object if a field is missing; empty for the document.
    pub path: String,
    /// Line in the manifest's text, from 1; 0 if the problem has no position.
    #[serde(default)]
    pub line: u32,
    /// Column in characters, from 1; 0 if the problem has no position.
    #[serde(default)]
    pub column: u32,
    /// What is wrong, in one sentence.
    pub message: String,
    /// How to fix it, in one sentence.
    #[serde(default)]
    pub help: String,
}

/// Declares the codes with their severity in each profile. Codes are part of the API: new ones may be added, but no
/// code may change its meaning.
macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $text:literal, $spec:ident $seed_cli:ident $scale:ident;)+) => {
        /// Identifies a kind of problem.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum ProblemCode {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl ProblemCode {
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// As in JSON.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }

            /// Severity of the problem in a profile.
            pub fn severity(self, profile: ValidationProfile) -> ProblemSeverity {
                let [spec, seed_cli, scale] = match self {
                    $(Self::$variant => [ProblemSeverity::$spec, ProblemSeverity::$seed_cli, ProblemSeverity::$scale],)+
                };
                match profile {
                    ValidationProfile::Spec => spec,
                    ValidationProfile::SeedCli => seed_cli,
                    ValidationProfile::Scale => scale,
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
    /// Larger than the maximum size.
    TooLarge = "too-large", Error Error Error;
    /// Bytes that are not UTF-8.
    NotUtf8 = "not-utf8", Error Error Error;
    /// A byte order mark at the start.
    ByteOrderMark = "byte-order-mark", Error Error Error;
    /// Not valid JSON (RFC 8259).
    JsonSyntax = "json-syntax", Error Error Error;
    /// Nested deeper than the maximum depth.
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
    /// A field that the standard does not define.
    UnknownField = "unknown-field", Error Error Error;
    /// A value of another type than the standard requires.
    WrongType = "wrong-type", Error Error Error;
    /// A string that is none of the allowed values.
    UnknownValue = "unknown-value", Error Error Error;
    /// A name with a character that the standard does not allow.
    BadName = "bad-name", Error Error Error;
    /// A version that is not SemVer 2.0.0.
    BadVersion = "bad-version", Error Error Error;
    /// `scalar` is null, as Seed CLI 1.3 itself wrote it.
    NullScalar = "null-scalar", Warning Error Error;
    /// `resources` without `scalar`, which Scale rejects.
    EmptyResources = "empty-resources", Warning Advice Error;
    /// A mount's path inside the container is not absolute.
    RelativePath = "relative-path", Error Error Error;
    /// An output pattern that matches outside of the output directory.
    EscapingPattern = "escaping-pattern", Error Error Error;
    // Names that collide.
    /// An input's or setting's variable is one that the executor sets.
    ReservedName = "reserved-name", Error Error Error;
    /// Two inputs or settings have the same variable.
    NameCollision = "name-collision", Error Error Error;
    /// The same name twice in a list of outputs, mounts, resources or errors.
    DuplicateName = "duplicate-name", Error Error Error;
    /// Two names in a list of outputs, mounts, resources or errors are equal after normalisation. An error in Scale if
    /// two resources differ only in case.
    SimilarName = "similar-name", Warning Error Advice;
    /// The same name in two lists; Seed CLI has one name space for all lists. A warning in Scale if an output file and
    /// a JSON output share it.
    SharedName = "shared-name", Warning Error Advice;
    /// A name whose variable no shell can reference.
    UnusableVariable = "unusable-variable", Warning Warning Warning;
    /// A name that differs from its normalised form.
    UnnormalisedName = "unnormalised-name", Warning Warning Warning;
    // Valid values that probably do not do what the author meant.
    /// The same exit code in two errors.
    DuplicateCode = "duplicate-code", Warning Warning Warning;
    /// An exit code that no failing process has: outside of 1 to 255.
    BadExitCode = "bad-exit-code", Warning Warning Warning;
    /// A timeout of zero or less.
    BadTimeout = "bad-timeout", Warning Warning Warning;
    /// A negative amount of a resource, or a fraction of a GPU, which Scale rejects.
    BadAmount = "bad-amount", Warning Warning Warning;
    /// A resource of the standard in another spelling.
    ResourceSpelling = "resource-spelling", Warning Warning Warning;
    /// A resource that is not known to executors in general.
    UnknownResource = "unknown-resource", Advice Advice Advice;
    /// No `cpus`, `mem` or `disk`, which the standard recommends. Never an error in Seed CLI, whatever its flags.
    MissingResource = "missing-resource", Warning Advice Warning;
    /// A name or version that Docker rejects in an image name.
    DockerName = "docker-name", Warning Warning Warning;
    /// The label is longer than what every Docker build keeps.
    LongLabel = "long-label", Warning Warning Warning;
    /// The command references a variable that is not set.
    UnsetVariable = "unset-variable", Warning Warning Warning;
    /// The command does not reference an input.
    UnusedInput = "unused-input", Advice Advice Advice;
    /// No errors are declared, so no exit code has a meaning.
    UnmappedExitCodes = "unmapped-exit-codes", Advice Advice Advice;
    /// A media type that is not `type/subtype` (RFC 6838).
    OddMediaType = "odd-media-type", Advice Advice Advice;
    /// An empty text in a field that is searched.
    EmptyText = "empty-text", Advice Advice Advice;
    /// A placeholder written by `silo init` that was not replaced.
    Placeholder = "placeholder", Advice Advice Advice;
    /// An empty `key`, which is treated as absent.
    EmptyKey = "empty-key", Advice Advice Advice;
    /// Control characters in a text.
    ControlCharacter = "control-character", Warning Warning Warning;
}

/// The section of `docs/problems.md` about a code: Markdown, without the title. `None` for an unknown code.
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
        for code in ProblemCode::ALL {
            let text = explanation(code.as_str()).unwrap_or_else(|| panic!("{code:?} has no section"));
            assert!(!text.is_empty() && !text.contains("\n#"), "{code:?}: {text}");
        }
        assert!(explanation("bad-name").is_some_and(|text| text.contains("lake_depth") && text.ends_with("```")));
        for unknown in ["", "bad", "bad-name-", "`bad-name`", "BadName", "All codes"] {
            assert_eq!(explanation(unknown), None, "{unknown}");
        }
    }
}
