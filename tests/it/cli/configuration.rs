//! Help, usage errors, and `silo config`.

use std::process::Stdio;

use insta::assert_snapshot;

use super::plain;
use crate::support::process::{silo, silo_into};

#[tokio::test]
async fn help_lists_the_commands() {
    let help = silo(&["--help"], &[]).await.expect_success();
    assert_snapshot!(plain(&help, &[]), @r#"
    Finds Seed images in container registries, understands their manifests, and lets people and
    frameworks search them.

    Usage: silo [OPTIONS] [COMMAND]

    Make a job:
      init         Write a manifest to start from
      validate     Check a manifest and say how to fix each problem
      upgrade      Upgrade a manifest from Seed 0.x to 1.0.0
      build        Build a Seed image from a Dockerfile and a manifest
      test         Run a job's test cases and compare actual with expected outputs
      spec         Print the Seed standard as JSON Schema, for editors

    Run jobs on this machine:
      run          Run a job on this machine's container engine
      batch        Run a job for every row of a file, or every file of a folder
      shell        Open a shell in a job's container, with its files and variables

    Share images:
      publish      Push an image to a registry, under a tag that is not in use
      unpublish    Delete a tag from a registry
      pull         Pull an image from a registry
      list         List the Seed images of this machine's container engine
      image        Inspect images without a container engine
      export       Export a job as a CWL tool or as a docker script

    Use a server:
      search       Search a server's catalogue
      runs         Submit runs to a server and manage them
      scan         Scan a server's registries
      registry     Manage a server's registries
      group        Manage a server's groups of users, the members of registries
      login        Log in to a server and store the token for later commands
      logout       Log out of a server and delete the stored token
      whoami       Show the user who is logged in to a server

    Run the service:
      serve        Run the service
      doctor       Check that this machine has what the service needs
      config       Show the merged configuration, secrets masked
      user         Manage the users in this machine's database
      keys         Manage the key that seals the stored secrets
      health       Check whether the service on this machine is running

    This program:
      completions  Print a shell completion script
      man          Write a man page for every command
      version      Print the versions of this program and of the Seed standard
      help         Explain a command

    Options:
          --config <FILE>     A configuration file in TOML; `silo config --defaults` shows every option
          --data <FOLDER>     Folder of the database, the search index and the keys [env: SILO_DATA]
                              [default: silo-data]
          --listen <ADDRESS>  The address to listen on [env: SILO_LISTEN] [default: 127.0.0.1:9000]
          --demo              Also add and scan the built-in registry of example images
      -v, --verbose...        Log requests to servers and registries; -vv logs more
          --color <WHEN>      When to use colours; NO_COLOR is respected [default: auto] [possible
                              values: auto, always, never]
      -h, --help              Print help
      -V, --version           Print version

    Exit codes: 0 success; 1 failure, or a check found a problem; 2 wrong usage; 3 a job failed; 4 a
    test case gave other results than expected; 130 stopped by a signal.
    "#);
}

/// No service is started by mistake.
#[tokio::test]
async fn without_a_command_there_is_help() {
    let help = silo(&["--help"], &[]).await.expect_success();
    assert_eq!(silo(&[], &[]).await.expect_failure(2), help);
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    for flag in ["--data", "--config"] {
        let said = silo(&[flag, data.to_str().unwrap()], &[]).await.expect_failure(2);
        assert!(said.contains("`silo serve` runs the service"), "{said}");
    }
    assert!(!data.exists());
}

/// The service's flags imply `serve`.
#[tokio::test]
async fn flags_of_the_service_need_no_command() {
    for arguments in [&["--listen", "nowhere"][..], &["--demo", "--listen", "nowhere"]] {
        let error = silo(arguments, &[]).await.expect_failure(1);
        assert!(error.contains("the configuration cannot be used") && error.contains("listen"), "{error}");
    }
}

#[tokio::test]
async fn commands_on_local_data_make_none() {
    let folder = tempfile::tempdir().unwrap();
    let (nothing, empty) = (folder.path().join("nothing"), folder.path().join("empty"));
    std::fs::create_dir(&empty).unwrap();
    for data in [&nothing, &empty] {
        let data = data.to_str().unwrap();
        for command in [
            &["user", "list"][..],
            &["user", "list", "--json"],
            &["user", "add", "ada"],
            &["user", "passwd", "ada"],
            &["user", "rm", "ada"],
            &["keys", "rotate"],
        ] {
            let said = silo(&[command, &["--data", data]].concat(), &[]).await.expect_failure(1);
            assert!(said.contains(&format!("there is no SILO data in {data}: ")), "{command:?}: {said}");
            assert!(said.contains("--data or SILO_DATA"), "{said}");
        }
        for command in [&["doctor"][..], &["config"], &["health", "--server", "http://127.0.0.1:1"]] {
            silo(&[command, &["--data", data]].concat(), &[]).await;
        }
    }
    assert!(!nothing.exists() && std::fs::read_dir(&empty).unwrap().next().is_none());
}

#[tokio::test]
async fn each_command_explains_itself() {
    for command in [
        "serve",
        "config",
        "user",
        "login",
        "search",
        "scan",
        "registry",
        "health",
        "spec",
        "init",
        "validate",
        "upgrade",
        "run",
        "batch",
        "test",
        "shell",
        "export",
        "completions",
        "man",
    ] {
        let help = silo(&[command, "--help"], &[]).await.expect_success();
        assert!(help.contains(&format!("Usage: silo {command}")), "{help}");
    }
    let version = silo(&["--version"], &[]).await.expect_success();
    assert_eq!(version, format!("silo {}\n", env!("CARGO_PKG_VERSION")));
}

#[tokio::test]
async fn wrong_usage_is_exit_code_two() {
    for (arguments, words) in [
        (&["--nonsense"][..], "unexpected argument '--nonsense'"),
        (&["nonsense"], "unrecognized subcommand 'nonsense'"),
        (&["search"], "<WORDS>..."),
        (&["search", "--limit", "many", "x"], "invalid value 'many'"),
        (&["search", "--kind", "dog", "x"], "possible values: job, image"),
        (&["registry"], "Usage: silo registry"),
        (&["spec", "poem"], "possible values: manifest, metadata"),
    ] {
        let error = silo(arguments, &[]).await.expect_failure(2);
        assert!(error.contains(words), "{arguments:?}: {error}");
    }
}

#[tokio::test]
async fn the_defaults_are_the_file() {
    let shown = silo(&["config", "--defaults"], &[]).await.expect_success();
    assert_eq!(shown, include_str!("../../../config/silo.toml"));
}

#[tokio::test]
async fn the_configuration_is_shown_merged_and_without_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("silo.toml");
    std::fs::write(&file, "[scan]\nworkers = 7\ntries = 6\n[admin]\npassword = 'from-the-file'\n").unwrap();
    let key = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    let environment = [
        ("SILO__SCAN__TRIES", "5"),
        ("SILO__AUTH__TOKEN_KEY", key),
        ("DATABASE_URL", "postgres://silo:hunter2@db/silo"),
        ("SILO_DATA", "somewhere"),
    ];
    let arguments = ["config", "--config", file.to_str().unwrap(), "--data", "elsewhere"];
    let shown = silo(&arguments, &environment).await.expect_success();
    let read: toml::Table = shown.parse().expect("what is shown can be read again");
    assert_eq!(read["scan"]["workers"].as_integer(), Some(7), "the file's");
    assert_eq!(read["scan"]["tries"].as_integer(), Some(5), "the environment's");
    assert_eq!(read["data"].as_str(), Some("elsewhere"), "the flag's");
    for secret in ["from-the-file", key, "hunter2"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[tokio::test]
async fn a_configuration_that_cannot_be_used_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("silo.toml");
    let path = file.to_str().unwrap();
    for (text, words) in [
        ("[scan]\nworker = 7\n", "worker"),
        ("[scans]\nworkers = 7\n", "scans"),
        ("[scan]\nworkers = 'many'\n", "scan.workers"),
        ("[scan]\nworkers = 0\n", "scan.workers is 0"),
        ("[scan\n", "silo.toml:1: this is not valid TOML"),
        ("[scan]\nschedule = 'hourly'\n", "silo.toml:2: scan.schedule is 'hourly'"),
        (
            "[scan]\n\nshedule = 'off'\n",
            "silo.toml:3: scan.shedule: there is no such option; did you mean scan.schedule?",
        ),
    ] {
        std::fs::write(&file, text).unwrap();
        for command in ["config", "serve"] {
            let error = silo(&[command, "--config", path], &[]).await.expect_failure(1);
            assert!(error.starts_with("silo: ") && error.contains(words), "{text}: {error}");
            assert!(error.contains("silo config --defaults"), "{error}");
        }
    }
    let error = silo(&["config", "--config", "/nowhere/silo.toml"], &[]).await.expect_failure(1);
    assert!(error.contains("/nowhere/silo.toml"), "{error}");
    let error = silo(&["serve", "--listen", "nowhere"], &[]).await.expect_failure(1);
    assert!(error.contains("listen"), "{error}");
}

#[tokio::test]
async fn a_reader_who_has_seen_enough_is_no_failure() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let exit = silo_into(writer.into(), Stdio::piped(), &["config", "--defaults"]).await;
    assert_eq!((exit.code, exit.stderr.as_str()), (Some(0), ""));
}

#[tokio::test]
async fn output_that_cannot_be_written_is_a_failure() {
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let exit = silo_into(full.into(), Stdio::piped(), &["config"]).await;
    assert_eq!(exit.code, Some(1));
    assert!(exit.stderr.starts_with("silo: the output cannot be written: No space left"), "{}", exit.stderr);
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let error = silo(&["serve", "--listen", &address], &[]).await.expect_failure(1);
    assert!(error.contains(&format!("cannot listen on {address}; give another address with --listen")), "{error}");
}
