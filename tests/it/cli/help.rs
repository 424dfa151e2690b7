//! Completions and man pages, and the messages about unknown commands.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use super::program::{silo, silo_in, silo_on_terminal};

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
    // The completions call a program `silo`: here one that prints its arguments.
    fs::write(folder.path().join("silo"), "#!/bin/sh\necho $1-$2\necho other\n").unwrap();
    fs::set_permissions(folder.path().join("silo"), fs::Permissions::from_mode(0o755)).unwrap();
    let named = |words: &str, last: &str| {
        let count = words.split(' ').count();
        bash(&format!(
            "set +eu; PATH=$PWD:/usr/bin:/bin; . ./bash; COMP_WORDS=({words} {last}) COMP_CWORD={count}; \
             _silo_with_names silo '{last}' x; echo ${{COMPREPLY[*]}}"
        ))
    };
    for (words, kind) in [
        ("silo scan", "registries"),
        ("silo registry rm", "registries"),
        ("silo search", "jobs"),
        ("silo runs list --job", "jobs"),
        ("silo runs submit", "images"),
        ("silo run", "local-images"),
        ("silo test", "local-images"),
    ] {
        assert_eq!(named(words, "na").trim(), format!("names-{kind}"), "{words}");
    }
    assert!(!named("silo pull", "na").contains("names") && !named("silo scan", "--").contains("names"));
    let help = silo(folder.path(), &["completions", "--help"]).expect_success();
    let tells = |part: &str| help.contains(part);
    assert!(tells("source <(silo completions bash)") && tells("mkdir -p") && tells("bash-completion"), "{help}");
    for (shell, syntax) in [("zsh", "compdef _silo_with_names silo"), ("fish", "(silo names registries 2>/dev/null)")] {
        assert!(fs::read_to_string(folder.path().join(shell)).unwrap().contains(syntax), "{shell}");
    }
}

/// Colours on terminals, unless configured otherwise.
#[test]
fn colours_are_as_somebody_wants_them() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("seed.manifest.json"), "{").unwrap();
    let piped = |arguments: &[&str]| silo(folder.path(), arguments).stdout;
    let shown = |environment: &[(&str, &str)], more: &[&str]| {
        silo_on_terminal(folder.path(), environment, &[&["validate"], more].concat(), "").stdout
    };
    assert!(!piped(&["validate"]).contains('\u{1b}') && shown(&[], &[]).contains('\u{1b}'));
    assert!(piped(&["validate", "--color", "always"]).contains('\u{1b}'));
    assert!(!shown(&[], &["--color=never"]).contains('\u{1b}') && !shown(&[("NO_COLOR", "1")], &[]).contains('\u{1b}'));
    for arguments in [&["--help"][..], &["nonsense"]] {
        let exit = silo(folder.path(), &[&["--color=always"], arguments].concat());
        assert!((exit.stdout + &exit.stderr).contains('\u{1b}'), "{arguments:?}");
        let exit = silo_on_terminal(folder.path(), &[], &[arguments, &["--color", "never"]].concat(), "");
        assert!(!exit.stdout.contains('\u{1b}'), "{arguments:?}: {exit:?}");
    }
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
    assert!(page("silo-registry-add.1").contains("https://hub.docker.com"));
    let own = silo(&["man"]).expect_success();
    assert_eq!(own, page("silo.1"));
    let nowhere = silo(&["man", "/dev/null/x"]).expect_failure(1);
    assert!(nowhere.contains("/dev/null/x"), "{nowhere}");
}

/// Options set in the environment are not shown as required.
#[test]
fn usage_lines_say_what_is_required() {
    let folder = tempfile::tempdir().unwrap();
    let environment = [("SILO_URL", "http://127.0.0.1:1"), ("SILO_TOKEN", "x"), ("DOCKER_HOST", "unix:///nowhere")];
    for (arguments, usage) in [
        (&["registry", "add"][..], "Usage: silo registry add [OPTIONS] <NAME> <URL>\n"),
        (&["registry", "add", "--server", "http://x", "mine"], "Usage: silo registry add [OPTIONS] <NAME> <URL>\n"),
        (&["runs", "submit", "-v"], "Usage: silo runs submit [OPTIONS] <IMAGE>\n"),
        (&["login", "a", "b"], "Usage: silo login [OPTIONS] [NAME]\n"),
    ] {
        let error = silo_in(folder.path(), &environment, arguments, "").expect_failure(2);
        assert!(error.contains(usage), "{error}");
    }
    let help = silo(folder.path(), &["registry", "add", "--help"]).expect_success();
    assert_eq!(help.matches("--server <ADDRESS>").count(), 1, "{help}");
    assert!(help.replace("\n", " ").contains("scan.layout_roots"), "{help}");
}

#[test]
fn who_mistypes_is_helped() {
    for (arguments, part) in [
        (&["publsh"][..], "a similar subcommand exists: 'publish'\n"),
        (&["serach", "x"], "a similar subcommand exists: 'search'\n"),
        (&["registry", "lst"], "a similar subcommand exists: 'list'\n"),
        (&["cancel", "x"], "a similar subcommand exists: 'runs cancel'\n"),
        (&["ru"], "some similar subcommands exist: 'run', 'runs'\n"),
        (&["registry", "ad"], "a similar subcommand exists: 'add'\n"),
        (&["run", "rotate", "a.txt"], "tip: give files by the name of their input: -i NAME=a.txt;"),
        (&["list", "rotate"], "tip: `silo list` takes only the arguments below"),
        (&["frobnicate"], "unrecognized subcommand 'frobnicate'\n\nUsage"),
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
