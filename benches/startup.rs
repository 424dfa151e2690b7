//! Duration of short commands, compared with a program that does nothing; and the program's size.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Instant;

use silo_testkit::figures::{self, Times, line};

const PROGRAM: &str = env!("CARGO_BIN_EXE_silo");

fn main() {
    let count = figures::size(200);
    let job = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/image-rotate");
    let lines: [(&str, &[&str]); 5] = [
        ("nothing (/bin/true)", &["/bin/true"]),
        ("silo --version", &[PROGRAM, "--version"]),
        ("silo --help", &[PROGRAM, "--help"]),
        ("silo validate examples/image-rotate", &[PROGRAM, "validate", job]),
        ("silo completions bash", &[PROGRAM, "completions", "bash"]),
    ];
    // In turns, so that disturbances affect all alike. The first turn fills the caches.
    let mut times = lines.map(|_| Times::default());
    for turn in 0..=count {
        for (times, (what, words)) in times.iter_mut().zip(lines) {
            let began = Instant::now();
            let ended = Command::new(words[0]).args(&words[1..]).stdout(Stdio::null()).status();
            let took = began.elapsed();
            assert!(ended.is_ok_and(|ended| ended.success()), "{what}");
            if turn > 0 {
                times.add(took);
            }
        }
    }
    println!("From a process's start to its end, {count} times each:");
    for (times, (what, _)) in times.iter().zip(lines) {
        line(what, times);
    }
    let bytes = fs::metadata(PROGRAM).expect("it was just run").len();
    line("size of the program", format_args!("{:.1} MiB", bytes as f64 / 1024.0 / 1024.0));
}
