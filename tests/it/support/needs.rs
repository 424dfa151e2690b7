//! The table `tests/needs`: what a test may use beside Rust. `tests/run` starts and installs only what the table has
//! for the chosen tests, so the harness refuses everything else to a test.

use std::thread;

const TABLE: &str = include_str!("../../needs");

/// The rows: a module, and what it needs.
fn rows() -> impl Iterator<Item = (&'static str, Vec<&'static str>)> {
    let lines = TABLE.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| {
        let mut words = line.split_whitespace();
        let module = words.next().expect("a row begins with a module");
        (module, words.filter(|word| *word != "-").collect())
    })
}

/// The needs of a test by its path; `None`: it has no row.
fn needs_of(test: &str) -> Option<Vec<&'static str>> {
    let is_inside = |module: &str| test.strip_prefix(module).is_some_and(|rest| rest.starts_with("::"));
    rows().filter(|(module, _)| is_inside(module)).max_by_key(|(module, _)| module.len()).map(|(_, needs)| needs)
}

/// Called by the harness before it uses something.
///
/// # Panics
/// If the row of the running test lacks it.
#[track_caller]
pub fn check(need: &str) {
    let thread = thread::current();
    // The test harness names a test's thread after the test; other threads are not checked.
    let Some(needs) = thread.name().and_then(needs_of) else { return };
    let name = thread.name().expect("seen above");
    assert!(needs.contains(&need), "{name} uses {need}: write it into the row of its module in tests/needs");
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::{needs_of, rows};

    #[test]
    fn each_module_has_a_row_and_each_row_a_module() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
        let listed: BTreeSet<&str> = rows().map(|(module, _)| module).collect();
        assert_eq!(listed.len(), rows().count(), "a module has two rows");
        for entry in fs::read_dir(&root).expect("the tests can be listed") {
            let name = entry.expect("an entry").file_name().into_string().expect("names are UTF-8");
            let module = name.trim_end_matches(".rs");
            let is_module = !["main", "snapshots"].contains(&module);
            assert!(!is_module || listed.contains(module), "say in tests/needs what {module} needs");
        }
        for module in listed {
            let path = root.join(module.replace("::", "/"));
            assert!(path.is_dir() || path.with_extension("rs").is_file(), "tests/needs: there is no module {module}");
        }
    }

    #[test]
    fn tests_run_knows_each_need() {
        let script = include_str!("../../run");
        for need in rows().flat_map(|(_, needs)| needs) {
            assert!(script.contains(&format!("[{need}]=")), "tests/run has no packages for {need}");
        }
    }

    #[test]
    fn the_row_of_the_longest_path_counts() {
        assert_eq!(needs_of("api::search::pages"), Some(vec![]));
        assert_eq!(needs_of("api::hooks::pushes"), Some(vec!["registry"]));
        assert_eq!(needs_of("searching::words"), None);
        assert_eq!(needs_of("main"), None);
    }
}
