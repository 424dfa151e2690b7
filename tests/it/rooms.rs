//! The architecture: which module may use which (see `ARCHITECTURE.md`). Reads the source, so that a forbidden `use`
//! fails here and not in a review.

mod circles;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The modules, and what each may use of the others: a whole module, or one item of it (`module::Item`).
const ROOMS: [(&str, &[&str]); 20] = [
    ("seed", &[]),
    ("catalog", &["seed"]),
    ("api", &["catalog", "seed"]),
    ("clock", &[]),
    ("config", &[]),
    ("lock", &[]),
    ("auth", &[]),
    ("store", &["catalog", "seed"]),
    ("search", &["catalog", "seed", "lock"]),
    // AWS requests are signed with the current time.
    ("registry", &["catalog::RegistryKind", "catalog::TagOutcome", "clock"]),
    ("scan", &["registry", "store", "catalog", "seed", "clock"]),
    ("engine", &["catalog", "seed", "clock", "lock"]),
    ("app", &["catalog", "seed", "clock", "config", "lock", "auth", "store", "search", "registry", "scan", "engine"]),
    ("tasks", &["app"]),
    ("telemetry", &["config"]),
    // A pair is plain data; request ids are random, and randomness comes from `auth` only; clients are told apart in
    // one way for all limits.
    (
        "http",
        &[
            "api",
            "app",
            "catalog",
            "seed",
            "engine::run::logs",
            "engine::run::outputs",
            "engine::run::record",
            "engine::run::samples",
            "engine::run::verdict::RunError",
            "engine::plan::request",
            "engine::plan::docker_run::quoted",
            "telemetry",
            "xml",
            "store::JobVersionWithImages",
            "auth::random_id",
            "auth::ClientNetwork",
        ],
    ),
    // TLS is set up once per process.
    ("client", &["api", "registry::install_tls"]),
    // `serve` assembles the service.
    (
        "cli",
        &[
            "api",
            "app",
            "catalog",
            "seed",
            "engine",
            "clock",
            "config",
            "client",
            "http",
            "lock",
            "tasks",
            "telemetry",
            "xml",
        ],
    ),
    ("xml", &[]),
    ("main", &[]),
];

/// Third-party frameworks, and the modules that may use each.
const FRAMEWORKS: [(&str, &[&str]); 38] = [
    ("axum", &["http"]),
    ("headers", &["http"]),
    ("tower", &["http"]),
    ("tower_http", &["http"]),
    ("hyper", &["http"]),
    // Whether a request goes through a proxy.
    ("hyper_util", &["http", "registry"]),
    // The pages.
    ("askama", &["http"]),
    ("vte", &["http"]),
    ("sqlx", &["store"]),
    ("tantivy", &["search"]),
    ("reqwest", &["registry", "client"]),
    ("bollard", &["engine"]),
    ("oci_client", &["registry"]),
    // Image archives; build contexts; archives of runs.
    ("tar", &["app", "engine", "registry"]),
    ("zip", &["app"]),
    ("glob", &["engine"]),
    ("mime_guess", &["engine"]),
    // Disks in `engine`, terminals in `cli`, the limit of file handles in `http`.
    ("rustix", &["cli", "engine", "http"]),
    ("socket2", &["http"]),
    ("shlex", &["engine"]),
    ("clap", &["cli"]),
    ("clap_complete", &["cli"]),
    ("clap_mangen", &["cli"]),
    // Tables of rows, of outputs, and files that are compared.
    ("csv", &["cli", "engine", "http"]),
    ("regex", &["app", "cli"]),
    ("indicatif", &["cli"]),
    ("rpassword", &["cli"]),
    ("annotate_snippets", &["cli"]),
    ("anstream", &["cli"]),
    ("tempfile", &["cli", "engine"]),
    ("jsonwebtoken", &["auth"]),
    ("argon2", &["auth"]),
    ("chacha20poly1305", &["auth"]),
    // Signs AWS requests in `registry`.
    ("hmac", &["auth", "registry"]),
    // Jitter of retries in `registry`; no secrets.
    ("rand", &["auth", "registry"]),
    ("tokio_cron_scheduler", &["tasks"]),
    ("metrics_exporter_prometheus", &["telemetry"]),
    // Whether a log filter is valid.
    ("tracing_subscriber", &["config", "telemetry"]),
];

/// What the pure modules must not use: I/O, async, logging, the current time.
const IMPURE: [&str; 9] =
    ["tokio", "futures_util", "tracing", "metrics", "std::fs", "std::net", "std::env", "std::time", "std::process"];
const PURE: [&str; 3] = ["seed", "catalog", "api"];

/// The pure files of `engine`, although they use durations.
const PURE_ENGINE: [&str; 6] = [
    "engine/batch_rows.rs",
    "engine/export/",
    "engine/plan/",
    "engine/run/input_metadata.rs",
    "engine/run/record.rs",
    "engine/run/verdict.rs",
];

/// The folder of a room that is a crate of its own: there `crate::` stands for the room.
const SEED: &str = "seed";

/// A source file: its module, and its code without comments and unit tests.
struct Source {
    path: PathBuf,
    room: String,
    code: String,
}

fn sources() -> Vec<Source> {
    fn visit(root: &Path, folder: &Path, found: &mut Vec<Source>) {
        for entry in fs::read_dir(folder).expect("the source can be listed") {
            let path = entry.expect("an entry").path();
            if is_for_tests(&path) {
                continue;
            }
            if path.is_dir() {
                visit(root, &path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let inside = path.strip_prefix(root).expect("below the root");
                let first = inside.components().next().expect("a file has a name").as_os_str();
                let room = first.to_str().expect("names are UTF-8").trim_end_matches(".rs").to_owned();
                let code = code(&fs::read_to_string(&path).expect("source is text"));
                found.push(Source { path: inside.to_owned(), room, code });
            }
        }
    }
    /// Whether a file or folder is compiled for tests only.
    fn is_for_tests(path: &Path) -> bool {
        path.file_stem().is_some_and(|name| name == "tests" || name == "testing")
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut found, mut seed) = (Vec::new(), Vec::new());
    visit(&root.join("src"), &root.join("src"), &mut found);
    // The crate root declares the modules and uses none.
    found.retain(|source| source.room != "lib");
    let seed_root = root.join(SEED).join("src");
    visit(&seed_root, &seed_root, &mut seed);
    found.extend(seed.into_iter().map(|source| Source {
        path: Path::new(SEED).join(if source.room == "lib" { Path::new("mod.rs") } else { &source.path }),
        room: SEED.to_owned(),
        code: source.code.replace("crate::", "crate::seed::"),
    }));
    assert!(found.len() > 50, "the source is not where it should be");
    found
}

fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().expect("a split gives at least one part");
    text.lines().map(|line| line.split("//").next().expect("as above")).collect::<Vec<_>>().join("\n")
}

/// Whether the code contains a path that begins with these words.
fn knows(code: &str, words: &str) -> bool {
    let needle = format!("{words}::");
    code.match_indices(&needle).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':')
    })
}

/// Every path below `crate::`, with groups expanded: `crate::{a::b, c::{d, e}}` gives `a::b`, `c::d` and `c::e`.
fn own_paths(code: &str) -> BTreeSet<String> {
    fn leaves(prefix: &str, text: &str, found: &mut BTreeSet<String>) {
        let name: String = text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let joined = if prefix.is_empty() { name.clone() } else { format!("{prefix}::{name}") };
        let rest = &text[name.len()..];
        if let Some(group) = text.strip_prefix('{') {
            group_members(group).iter().for_each(|member| leaves(prefix, member, found));
        } else if let Some(rest) = rest.strip_prefix("::") {
            leaves(&joined, rest, found);
        } else {
            found.insert(joined.trim_end_matches("::").to_owned());
        }
    }
    let mut found = BTreeSet::new();
    for (at, word) in code.match_indices("crate::") {
        leaves("", &code[at + word.len()..], &mut found);
    }
    found
}

/// The members of a group, given without its opening brace.
fn group_members(text: &str) -> Vec<String> {
    let (mut depth, mut members) = (0, vec![String::new()]);
    for c in text.chars() {
        match c {
            '}' if depth == 0 => break,
            ',' if depth == 0 => members.push(String::new()),
            c if c.is_whitespace() => {}
            c => {
                depth += i32::from(c == '{') - i32::from(c == '}');
                members.last_mut().expect("there is always one").push(c);
            }
        }
    }
    members.retain(|member| !member.is_empty());
    members
}

fn row(room: &str) -> &'static [&'static str] {
    let row = ROOMS.iter().find(|(name, _)| *name == room);
    row.unwrap_or_else(|| panic!("{room} is a new room: say in this table what it may use")).1
}

fn fail_for(violations: &[String]) {
    assert!(
        violations.is_empty(),
        "the house is built otherwise (see ARCHITECTURE.md):\n  {}",
        violations.join("\n  ")
    );
}

#[test]
fn rooms_use_what_the_table_allows() {
    let mut violations = Vec::new();
    for source in sources() {
        let allowed = row(&source.room);
        for path in own_paths(&source.code) {
            let room = path.split("::").next().expect("a split gives at least one part");
            // The first segment could also be a macro or an item at the root; there are none.
            let is_allowed = allowed.iter().any(|item| path == *item || path.starts_with(&format!("{item}::")));
            if room != source.room && !is_allowed {
                violations.push(format!("{} uses {path}", source.path.display()));
            }
        }
    }
    fail_for(&violations);
}

#[test]
fn frameworks_stay_in_their_rooms() {
    let sources = sources();
    let mut violations = Vec::new();
    for (framework, rooms) in FRAMEWORKS {
        let users: Vec<&Source> = sources.iter().filter(|source| knows(&source.code, framework)).collect();
        assert!(!users.is_empty(), "nobody uses {framework} any more: take it out of this table");
        let strangers = users.iter().filter(|source| !rooms.contains(&source.room.as_str()));
        violations.extend(strangers.map(|source| format!("{} uses {framework}", source.path.display())));
    }
    fail_for(&violations);
}

#[test]
fn pure_rooms_are_pure() {
    let mut violations = Vec::new();
    for source in sources().iter().filter(|source| PURE.contains(&source.room.as_str())) {
        let known = IMPURE.iter().filter(|word| knows(&source.code, word));
        violations.extend(known.map(|word| format!("{} uses {word}", source.path.display())));
        if source.code.contains("async fn") {
            violations.push(format!("{} is async", source.path.display()));
        }
    }
    fail_for(&violations);
}

#[test]
fn the_pure_half_of_the_engine_is_pure() {
    let sources = sources();
    let mut violations = Vec::new();
    for place in PURE_ENGINE {
        let there: Vec<&Source> =
            sources.iter().filter(|source| source.path.to_string_lossy().starts_with(place)).collect();
        assert!(!there.is_empty(), "there is no {place}");
        for source in there {
            let known = IMPURE.iter().filter(|word| **word != "std::time" && knows(&source.code, word));
            violations.extend(known.map(|word| format!("{} uses {word}", source.path.display())));
        }
    }
    fail_for(&violations);
}

#[test]
fn every_row_is_a_room() {
    let rooms: BTreeSet<String> = sources().into_iter().map(|source| source.room).collect();
    let rows: BTreeSet<String> = ROOMS.iter().map(|(room, _)| (*room).to_owned()).collect();
    assert_eq!(rooms, rows);
}

/// Top-level types of a file's code, by name.
fn type_names(code: &str) -> impl Iterator<Item = &str> {
    let keywords = ["struct", "enum", "trait", "union"];
    code.lines().filter_map(move |line| {
        let mut words = line.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty());
        let is_top = line.starts_with("pub") || keywords.iter().any(|keyword| line.starts_with(keyword));
        words.find(|word| keywords.contains(word)).filter(|_| is_top)?;
        words.next()
    })
}

/// Words of a name such as `EtagCache`. An abbreviation is one.
fn words_of(name: &str) -> usize {
    let letters: Vec<char> = name.chars().collect();
    let begins = |at: usize| {
        letters[at].is_uppercase()
            && (at == 0
                || !letters[at - 1].is_uppercase()
                || letters.get(at + 1).is_some_and(|next| next.is_lowercase()))
    };
    (0..letters.len()).filter(|at| begins(*at)).count()
}

#[test]
fn type_names_are_understood_without_their_path() {
    let sources = sources();
    let names: Vec<&str> = sources.iter().flat_map(|source| type_names(&source.code)).collect();
    let mut shared: Vec<&str> = names.clone();
    shared.retain(|name| names.iter().filter(|other| *other == name).count() > 1);
    let short: Vec<&str> = names.iter().copied().filter(|name| words_of(name) < 2).collect();
    assert!(names.len() > 500, "the types are not where they should be");
    let percent = |some: &[&str]| 100 * some.len() / names.len();
    assert!(percent(&shared) < 5, "types that share their names: {shared:?}");
    assert!(percent(&short) < 6, "types that are named by one word: {short:?}");
}

#[test]
fn names_are_taken_apart() {
    let code =
        "pub struct EtagCache {\nenum Error {}\npub(in crate::cli) trait Two<T> {}\n    struct Inner;\nlet x = 1;";
    assert_eq!(type_names(code).collect::<Vec<_>>(), ["EtagCache", "Error", "Two"]);
    for (name, words) in
        [("EtagCache", 2), ("Error", 1), ("OAuthToken", 3), ("TLSSettings", 2), ("Hs256", 1), ("JobIO", 2)]
    {
        assert_eq!(words_of(name), words, "{name}");
    }
}

#[test]
fn paths_are_taken_apart() {
    let text = "use crate::a::b::C;\nuse crate::{d, e::{F, g::H}};\nlet x = crate::i::j(1);\n";
    let found: Vec<String> = own_paths(text).into_iter().collect();
    assert_eq!(found, ["a::b::C", "d", "e::F", "e::g::H", "i::j"]);
    assert!(knows("use axum::Router;", "axum") && knows("(axum::Json(x))", "axum"));
    assert!(!knows("crate::axum::x, my_axum::x, axum_extra::x", "axum"));
    assert_eq!(code("a // crate::b\n#[cfg(test)]\nmod tests { axum::x }").trim(), "a");
    assert!(
        code("#[cfg(test)]\nmod tests;\nuse axum::x;").contains("axum"),
        "tests in a file of their own end no code"
    );
}
