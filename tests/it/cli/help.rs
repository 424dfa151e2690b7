//! Completions and man pages, and what is said of commands that do not exist.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::program::silo;

#[test]
fn shells_can_complete() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = silo(folder.path(), &["completions", shell]).expect_success();
        assert!(script.contains("unpublish") && script.contains("dry-run"), "{shell}: {script}");
        fs::write(folder.path().join(shell), script).unwrap();
    }
    let wrong = silo(folder.path(), &["completions", "csh"]).expect_failure(2);
    assert!(wrong.contains("bash"), "{wrong}");
    let bash = |line: &str| {
        let mut command = Command::new("bash");
        let ended = command.current_dir(folder.path()).env_clear().args(["-euc", line]).output().unwrap();
        assert!(ended.status.success(), "{line}: {ended:?}");
        String::from_utf8(ended.stdout).unwrap()
    };
    bash("PATH=/usr/bin:/bin bash -n bash");
    let completed = |words: &str, last: &str| {
        let count = words.split(' ').count();
        bash(&format!(
            "set +u; . ./bash; COMP_WORDS=({words} {last}) COMP_CWORD={count}; _silo silo '{last}' x; echo ${{COMPREPLY[*]}}"
        ))
    };
    assert_eq!(completed("silo", "val"), "validate\n");
    assert_eq!(completed("silo export", "d"), "docker\n");
    assert!(completed("silo run", "--dr").contains("--dry-run"));
}

#[test]
fn every_command_has_a_page() {
    let folder = tempfile::tempdir().unwrap();
    let silo = |arguments: &[&str]| silo(folder.path(), arguments);
    assert_eq!(silo(&["man", "share/man1"]).expect_success(), "");
    let page = |name: &str| fs::read_to_string(folder.path().join("share/man1").join(name)).unwrap();
    let help = silo(&["--help"]).expect_success();
    let verbs = help.lines().filter_map(|line| line.strip_prefix("  ")?.split_once("  ")).map(|(verb, _)| verb);
    let verbs: Vec<&str> =
        verbs.filter(|it| !it.is_empty() && it.bytes().all(|b| b.is_ascii_lowercase()) && *it != "help").collect();
    assert!(verbs.len() > 25, "{verbs:?}");
    for verb in verbs {
        let text = page(&format!("silo-{verb}.1"));
        assert!(text.contains(".SH SYNOPSIS") && text.contains(&format!("\\-{verb}")), "{text}");
    }
    assert!(page("silo-registry-add.1").contains("https://registry"));
    let own = silo(&["man"]).expect_success();
    assert_eq!(own, page("silo.1"));
    let nowhere = silo(&["man", "/dev/null/x"]).expect_failure(1);
    assert!(nowhere.contains("/dev/null/x"), "{nowhere}");
}

#[test]
fn who_mistypes_is_helped() {
    for (arguments, part) in [
        (&["publsh"][..], "'publish'"),
        (&["tst"], "'test'"),
        (&["validate", "--stric"], "a similar argument exists: '--strict'"),
        (&["export", "cwll"], "'cwl'"),
        (&["run", "--jsn"], "'--json'"),
        (&["shell", "--nonsense"], "unexpected argument '--nonsense'"),
    ] {
        let said = silo(Path::new("/"), arguments).expect_failure(2);
        assert!(said.contains(part), "{arguments:?}: {said}");
    }
}
