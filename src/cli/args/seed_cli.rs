//! The flags of Seed CLI: long names with one dash (`-in IMAGE`, `-pp`) or two, and values after a blank or `=`. They
//! are rewritten to today's flags before clap parses the arguments. Pure.

use std::ffi::{OsStr, OsString};

use crate::cli::suggest::nearest;
use crate::seed::VERSION;

/// What a flag of Seed CLI maps to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FlagReplacement {
    /// A flag without a value.
    Flag(&'static str),
    /// A flag with a value.
    Value(&'static str),
    /// A positional argument.
    Argument,
    /// A flag without a value that has no function any more.
    Nothing,
    /// A flag with a value that has no function any more, and why.
    Unused(&'static str),
    /// The version of the standard; only one exists.
    Standard,
}
use FlagReplacement::{Argument, Flag, Nothing, Standard, Unused, Value};

/// Flags of a command: the names in Seed CLI, and what they map to.
type SeedCliFlags = &'static [(&'static [&'static str], FlagReplacement)];

const NO_SCHEMA: FlagReplacement = Unused(
    "manifests and metadata are checked against the built-in rules of the standard; to check them against your own \
     schema too, use a JSON Schema validator",
);

// Flags that several commands share.
const IMAGE: SeedCliFlags = &[(&["in", "imageName"], Argument)];
const FOLDER: SeedCliFlags = &[(&["d", "directory"], Argument)];
const MANIFEST: SeedCliFlags = &[(&["M", "manifest"], Value("manifest"))];
const STANDARD: SeedCliFlags = &[(&["v", "version"], Standard)];
const WARNINGS: SeedCliFlags = &[(&["w", "warnings"], Flag("strict"))];
const SCHEMA: SeedCliFlags = &[(&["s", "schema"], NO_SCHEMA)];
const REGISTRY: SeedCliFlags = &[
    (&["r", "registry"], Value("registry")),
    (&["O", "org"], Value("org")),
    (&["u", "user"], Value("username")),
    (&["p", "password"], Value("password")),
];
const PUBLISHING: SeedCliFlags = &[
    (&["f", "force"], Flag("force")),
    (&["pp"], Flag("package-patch")),
    (&["pm"], Flag("package-minor")),
    (&["P"], Flag("package-major")),
    (&["jp"], Flag("job-patch")),
    (&["jm"], Flag("job-minor")),
    // Seed CLI's help says -JM, but Seed CLI does not accept that.
    (&["J", "JM"], Flag("job-major")),
];
const JOB: SeedCliFlags = &[
    (&["M", "manifest"], Argument),
    (&["i", "inputs"], Value("input")),
    (&["j", "json"], Value("json-input")),
    (&["e", "setting"], Value("setting")),
    (&["m", "mount"], Value("mount")),
    (&["o", "outDir"], Value("output")),
    (&["q", "quiet"], Flag("quiet")),
];
const BUILD: SeedCliFlags = &[
    (&["D", "dockerfile"], Value("dockerfile")),
    (&["c", "cache-from"], Value("cache-from")),
    (&["publish"], Flag("publish")),
];
const RUN: SeedCliFlags = &[(&["rm"], Flag("rm")), (&["rep", "repetitions"], Value("rep"))];
const BATCH: SeedCliFlags =
    &[(&["b", "batch"], Value("batch")), (&["d", "directory"], Value("directory")), (&["rm"], Nothing)];

/// All commands of Seed CLI with their flags.
const VERBS: [(&str, &[SeedCliFlags]); 12] = [
    ("init", &[FOLDER, STANDARD]),
    ("validate", &[FOLDER, STANDARD, SCHEMA, WARNINGS]),
    ("build", &[FOLDER, MANIFEST, BUILD, STANDARD, WARNINGS, REGISTRY, PUBLISHING]),
    ("run", &[IMAGE, JOB, SCHEMA, RUN]),
    ("batch", &[IMAGE, JOB, SCHEMA, BATCH]),
    ("publish", &[IMAGE, MANIFEST, &[(&["d", "directory"], Value("directory"))], REGISTRY, PUBLISHING]),
    ("unpublish", &[IMAGE, MANIFEST, REGISTRY]),
    ("pull", &[IMAGE, REGISTRY]),
    ("search", &[REGISTRY, &[(&["f", "filter"], Argument)]]),
    ("list", &[]),
    ("spec", &[]),
    ("version", &[]),
];

/// Global options with a value that may precede the command.
const BEFORE: [&str; 2] = ["--config", "--data"];

/// Arguments in today's spelling.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::cli) struct RewrittenArguments {
    pub arguments: Vec<OsString>,
    /// Notes for the user about rewritten flags.
    pub notes: Vec<String>,
    /// Whether it was called as Seed CLI: `seed …` or `silo seed …`.
    pub is_seed: bool,
}

/// How the program was called: `silo`, `seed`, or `silo seed`.
pub(in crate::cli) fn called_as(arguments: &[OsString]) -> &'static str {
    let program = arguments.first().and_then(|it| std::path::Path::new(it).file_stem());
    match arguments.get(1) {
        _ if program.is_some_and(|name| name == "seed") => "seed",
        Some(word) if word == "seed" => "silo seed",
        _ => "silo",
    }
}

/// Names of Seed CLI's commands.
pub(in crate::cli) fn verbs() -> impl Iterator<Item = &'static str> {
    VERBS.into_iter().map(|(verb, _)| verb)
}

/// Rewrites the flags of Seed CLI's commands; other arguments are unchanged.
///
/// # Errors
/// A flag or command that does not exist, or a missing value.
pub(in crate::cli) fn rewrite(arguments: impl IntoIterator<Item = OsString>) -> Result<RewrittenArguments, String> {
    let mut given: Vec<OsString> = arguments.into_iter().collect();
    let is_seed = called_as(&given) != "silo";
    if given.get(1).is_some_and(|word| word == "seed") {
        given.remove(1);
    }
    if is_seed {
        given[0] = "silo".into();
    }
    let mut rewritten = RewrittenArguments { arguments: Vec::new(), notes: Vec::new(), is_seed };
    let Some(at) = command(&given) else {
        rewritten.arguments = given;
        return Ok(rewritten);
    };
    let verb = given[at].to_string_lossy().into_owned();
    let flags = VERBS.iter().find(|(name, _)| *name == verb).map(|(_, flags)| *flags);
    let flags = match flags {
        Some(flags) => flags,
        None if is_seed && verb != "help" => return Err(unknown_verb(&verb)),
        None => {
            rewritten.arguments = given;
            return Ok(rewritten);
        }
    };
    let rest = given.split_off(at + 1);
    rewritten.arguments = given;
    rewrite_flags(&verb, flags, rest, &mut rewritten)?;
    // Seed CLI uses the current folder if no rows are given.
    let has_rows = |argument: &OsString| {
        let text = argument.to_string_lossy();
        ["--batch", "--directory"].iter().any(|name| text.starts_with(name)) || text == "-h" || text == "--help"
    };
    if is_seed && verb == "batch" && !rewritten.arguments.iter().any(has_rows) {
        rewritten.arguments.push("--directory=.".into());
    }
    Ok(rewritten)
}

/// Index of the command.
fn command(arguments: &[OsString]) -> Option<usize> {
    let mut at = 1;
    loop {
        let argument = arguments.get(at)?;
        if BEFORE.iter().any(|name| argument == name) {
            at += 2;
        } else if argument.to_string_lossy().starts_with('-') {
            at += 1;
        } else {
            return Some(at);
        }
    }
}

fn rewrite_flags(
    verb: &str,
    flags: &[SeedCliFlags],
    given: Vec<OsString>,
    to: &mut RewrittenArguments,
) -> Result<(), String> {
    let mut left = given.into_iter();
    while let Some(argument) = left.next() {
        if argument == "--" {
            to.arguments.push(argument);
            to.arguments.extend(left);
            break;
        }
        let Some((name, value)) = flag(&argument) else {
            to.arguments.push(argument);
            continue;
        };
        let is_today = name == "json" && argument.to_string_lossy().starts_with("--");
        let known =
            flags.iter().copied().flatten().find(|(names, _)| names.contains(&name.as_str())).filter(|_| !is_today);
        let Some((_, today)) = known else {
            if name.chars().count() > 1 && !argument.to_string_lossy().starts_with("--") {
                return Err(unknown_flag(verb, flags, &name));
            }
            to.arguments.push(argument);
            continue;
        };
        let next_is_version = is_version(left.as_slice().first());
        let mut needed = || {
            let value = value.clone().or_else(|| left.next());
            value.ok_or_else(|| format!("the flag -{name} of {verb} needs a value"))
        };
        match today {
            Flag(long) if is_on(verb, &name, value.as_deref())? => to.arguments.push(format!("--{long}").into()),
            Nothing => _ = is_on(verb, &name, value.as_deref())?,
            Flag(_) => {}
            Value(long) => {
                let mut whole = OsString::from(format!("--{long}="));
                whole.push(needed()?);
                to.arguments.push(whole);
            }
            Argument => {
                let value = needed()?;
                if value.to_string_lossy().starts_with('-') && value != "-" {
                    return Err(format!("the flag -{name} of {verb} needs a value"));
                }
                to.arguments.push(value);
            }
            Unused(why) => {
                let value = needed()?;
                to.notes.push(format!("-{name} {} is ignored: {why}", value.to_string_lossy()));
            }
            // Today `-v` means verbose; a version of the standard starts with a digit.
            Standard if name == "v" && value.is_none() && !next_is_version => {
                to.arguments.push("--verbose".into());
            }
            Standard => {
                let version = needed()?;
                if version != VERSION {
                    let version = version.to_string_lossy();
                    return Err(format!("only version {VERSION} of the standard is supported, not {version}"));
                }
            }
        }
    }
    Ok(())
}

fn is_version(word: Option<&OsString>) -> bool {
    word.is_some_and(|word| word.to_string_lossy().starts_with(|c: char| c.is_ascii_digit()))
}

/// Name of a flag, and its attached value. `None` for an argument that is no flag, or whose name is not UTF-8.
fn flag(argument: &OsStr) -> Option<(String, Option<OsString>)> {
    use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
    let bytes = argument.as_bytes();
    let name = bytes.strip_prefix(b"--").or(bytes.strip_prefix(b"-")).filter(|name| !name.is_empty())?;
    let (name, value) = match name.iter().position(|byte| *byte == b'=') {
        Some(at) => (&name[..at], Some(OsString::from_vec(name[at + 1..].to_vec()))),
        None => (name, None),
    };
    let name = std::str::from_utf8(name).ok().filter(|name| !name.is_empty() && !name.starts_with('-'))?;
    Some((name.to_owned(), value))
}

/// Whether a flag without a value is set, by the rules of Go's `flag` package.
fn is_on(verb: &str, name: &str, value: Option<&OsStr>) -> Result<bool, String> {
    match value.map(OsStr::to_string_lossy).as_deref() {
        None | Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Ok(true),
        Some("0" | "f" | "F" | "false" | "FALSE" | "False") => Ok(false),
        Some(other) => Err(format!("the flag -{name} of {verb} takes no value, but got {other}")),
    }
}

fn unknown_flag(verb: &str, flags: &[SeedCliFlags], name: &str) -> String {
    let names =
        flags.iter().copied().flatten().flat_map(|(names, _)| names.iter().copied()).filter(|known| known.len() > 1);
    let advice = match nearest(name, names).first() {
        Some(known) => format!("did you mean -{known}?"),
        None => format!("`silo help {verb}` lists the flags; put a space between a one-letter flag and its value"),
    };
    format!("{verb} has no flag -{name}: {advice}")
}

fn unknown_verb(verb: &str) -> String {
    match nearest(verb, verbs()).first() {
        Some(known) => format!("there is no command {verb}: did you mean {known}?"),
        None => format!("there is no command {verb}: there are {}", verbs().collect::<Vec<_>>().join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;
    use proptest::prelude::*;

    use super::*;

    fn rewritten(line: &str) -> Result<String, String> {
        let words = line.split(' ').filter(|word| !word.is_empty()).map(OsString::from);
        let found = rewrite(words)?;
        Ok(found.arguments.iter().map(|it| it.to_string_lossy()).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn lines_of_the_guides() {
        for (old, today) in [
            ("seed init", "silo init"),
            ("seed init -d x -v 1.0.0", "silo init x"),
            ("seed validate -d x -w", "silo validate x --strict"),
            ("silo validate -v", "silo validate --verbose"),
            ("silo validate -v x -v 1.0.0", "silo validate --verbose x"),
            ("seed build", "silo build"),
            (
                "seed build -d x -M m.json -D Dockerfile.gpu -c base:1 -publish -r r.org -O geo -pp -JM",
                "silo build x --manifest=m.json --dockerfile=Dockerfile.gpu --cache-from=base:1 --publish --registry=r.org \
                 --org=geo --package-patch --job-major",
            ),
            (
                "seed run -rm -in a-1.0.0-seed:1.0.0 -i IN=a,b -i X=c -j D={\"k\":1,\"l\":2} -e S=-x -m M=/m -o out -q -rep 3",
                "silo run --rm a-1.0.0-seed:1.0.0 --input=IN=a,b --input=X=c --json-input=D={\"k\":1,\"l\":2} \
                 --setting=S=-x --mount=M=/m --output=out --quiet --rep=3",
            ),
            (
                "seed run -imageName=a:1 --inputs A=b -json D=1 -repetitions=2",
                "silo run a:1 --input=A=b --json-input=D=1 --rep=2",
            ),
            ("silo run a:1 --json -i A=b", "silo run a:1 --json --input=A=b"),
            (
                "seed batch -b rows.csv -in a:1 -e S=1 -o out",
                "silo batch --batch=rows.csv a:1 --setting=S=1 --output=out",
            ),
            ("seed batch -in a:1", "silo batch a:1 --directory=."),
            ("silo batch a:1", "silo batch a:1"),
            (
                "seed publish -in a:1 -r r.org -O g/p -u ada -p -hunter2 -f -P -J",
                "silo publish a:1 --registry=r.org --org=g/p --username=ada --password=-hunter2 --force --package-major --job-major",
            ),
            ("silo seed publish -in a:1", "silo publish a:1"),
            ("/usr/bin/seed unpublish -in a:1 -O g", "silo unpublish a:1 --org=g"),
            ("seed pull -in a:1 -r r.org", "silo pull a:1 --registry=r.org"),
            ("seed search -r r.org -f x", "silo search --registry=r.org x"),
            ("seed run -rm=false -q=true", "silo run --quiet"),
            ("silo --data d run -in x -- -in y", "silo --data d run x -- -in y"),
            ("silo scan -in x", "silo scan -in x"),
            ("silo", "silo"),
            ("seed --help", "silo --help"),
            ("seed help build", "silo help build"),
            ("silo validate - -", "silo validate - -"),
        ] {
            assert_eq!(rewritten(old).as_deref(), Ok(today), "{old}");
        }
    }

    #[test]
    fn what_does_not_exist_is_told_with_advice() {
        for (line, said) in [
            ("seed run -outdir x", "did you mean -outDir?"),
            ("seed run -inn x", "did you mean -in?"),
            ("silo run -ofolder", "silo help run"),
            ("seed init --bogus", ""),
            ("seed init -bogus", "init has no flag -bogus"),
            ("seed publsh", "did you mean publish?"),
            ("seed xyzzy", "there are init"),
            ("seed scan", "there is no command scan"),
            ("seed run -in", "-in of run needs a value"),
            ("seed run -in -rm", "-in of run needs a value"),
            ("seed run -rm=maybe", "takes no value"),
            ("seed validate -v 0.1.0", "version 1.0.0"),
        ] {
            match rewritten(line) {
                Err(why) => assert!(!said.is_empty() && why.contains(said), "{line}: {why}"),
                Ok(_) => assert!(said.is_empty(), "{line}"),
            }
        }
        let notes = rewrite(["seed", "run", "-s", "x.json"].map(OsString::from)).unwrap();
        assert!(notes.notes[0].contains("-s x.json is ignored") && notes.arguments.len() == 2, "{notes:?}");
    }

    /// Every target in the tables is a flag of the command.
    #[test]
    fn todays_flags_exist() {
        let program = crate::cli::CliArguments::command();
        for (verb, flags) in VERBS {
            let command = program.find_subcommand(verb).unwrap_or_else(|| panic!("there is no command {verb}"));
            for (names, today) in flags.iter().copied().flatten() {
                let found = match today {
                    Flag(long) | Value(long) => {
                        let found = command.get_arguments().find(|argument| argument.get_long() == Some(long));
                        let found = found.unwrap_or_else(|| panic!("{verb} has no --{long}"));
                        found.get_action().takes_values() == matches!(today, Value(_))
                    }
                    Argument => command.get_positionals().next().is_some(),
                    Nothing | Unused(_) | Standard => true,
                };
                assert!(found, "{verb} {names:?}");
            }
        }
    }

    fn any_flag() -> impl Strategy<Value = (&'static str, &'static str, FlagReplacement)> {
        let all: Vec<_> = VERBS
            .into_iter()
            .flat_map(|(verb, flags)| flags.iter().copied().flatten().map(move |(names, today)| (verb, names, *today)))
            .flat_map(|(verb, names, today)| names.iter().map(move |name| (verb, *name, today)))
            .collect();
        prop::sample::select(all)
    }

    proptest! {
        /// All spellings that Go's `flag` package accepts give the same result, and values are passed unchanged.
        #[test]
        fn spellings_agree((verb, name, today) in any_flag(), value in "[-=,{}\" a-z]{1,8}|\\PC{1,4}") {
            let lines = [
                vec![format!("-{name}"), value.clone()],
                vec![format!("--{name}"), value.clone()],
                vec![format!("-{name}={value}")],
                vec![format!("--{name}={value}")],
            ];
            let run = |line: &[String]| {
                let line = ["seed", verb].map(String::from).into_iter().chain(line.to_vec());
                rewrite(line.map(OsString::from)).map(|found| found.arguments)
            };
            match today {
                Value(long) => {
                    let expected = OsString::from(format!("--{long}={value}"));
                    for line in lines.iter().filter(|line| !(name == "json" && line[0].starts_with("--"))) {
                        prop_assert!(run(line).unwrap().contains(&expected), "{:?}", line);
                    }
                }
                Argument if !value.starts_with('-') => {
                    for line in &lines {
                        prop_assert!(run(line).unwrap().contains(&OsString::from(&value)), "{:?}", line);
                    }
                }
                _ => {}
            }
        }

        /// Arguments after `--`, and those of other commands, are unchanged.
        #[test]
        fn the_rest_stays(words in prop::collection::vec("-{0,2}[a-zA-Z=]{0,6}", 0..6)) {
            let line = |verb: &str, stop: &[&str]| -> Vec<OsString> {
                let head = ["silo", verb].into_iter().chain(stop.iter().copied()).map(OsString::from);
                head.chain(words.iter().map(OsString::from)).collect()
            };
            for line in [line("scan", &[]), line("run", &["--"])] {
                prop_assert_eq!(rewrite(line.clone()).unwrap().arguments, line);
            }
        }

        #[test]
        fn never_panics(words in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..6), 0..6)) {
            use std::os::unix::ffi::OsStringExt as _;
            let words: Vec<OsString> = words.into_iter().map(OsString::from_vec).collect();
            let _ = rewrite(words.clone());
            for verb in verbs() {
                let line = ["seed", verb].map(OsString::from).into_iter().chain(words.clone());
                let _ = rewrite(line);
            }
        }
    }
}
