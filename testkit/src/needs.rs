//! The table `tests/needs`: what a test may use beside Rust. `tests/run` starts and installs only what the table has
//! for the chosen tests, so the harness refuses everything else to a test.

use std::thread;

const TABLE: &str = include_str!("../../tests/needs");

/// The rows: a module, and what it needs.
pub fn rows() -> impl Iterator<Item = (&'static str, Vec<&'static str>)> {
    let lines = TABLE.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| {
        let mut words = line.split_whitespace();
        let module = words.next().expect("a row begins with a module");
        (module, words.filter(|word| *word != "-").collect())
    })
}

/// The needs of a test by its path; `None`: it has no row.
pub fn needs_of(test: &str) -> Option<Vec<&'static str>> {
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
