//! The table `tests/needs` and the tests say the same.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::support::needs::{needs_of, rows};

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
    let script = include_str!("../run");
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
