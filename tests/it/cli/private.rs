//! File permissions of the service's data.

use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::Path;

use crate::support::process::Setup;

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// The folder exists with open permissions, as created by a package or an admin.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_in_an_open_folder_are_private() {
    let setup = Setup::new().without("SILO_ADMIN_PASSWORD");
    let data = setup.data();
    fs::DirBuilder::new().mode(0o755).create(&data).expect("a folder");
    fs::set_permissions(&data, fs::Permissions::from_mode(0o755)).expect("our own folder");
    let mut silo = setup.start().await;
    silo.terminate().await;
    let all = files(&data);
    assert!(all.iter().any(|path| path.ends_with("silo.db")), "{all:?}");
    for path in &all {
        let mode = fs::metadata(path).expect("a file").permissions().mode();
        assert_eq!(mode & 0o077, 0, "{} has mode {mode:o}", path.display());
    }
    let doctor = ["doctor", "--json", "--engine", "unix:///nowhere.sock"];
    assert_eq!(silo.cli(&doctor).await.code, Some(0));
    // As an earlier version left it.
    fs::set_permissions(data.join("silo.db"), fs::Permissions::from_mode(0o644)).expect("our own file");
    let exit = silo.cli(&doctor).await;
    assert!(exit.code == Some(1) && exit.stdout.contains("and read") && exit.stdout.contains("silo.db"), "{exit:?}");
}

#[tokio::test]
async fn a_first_admin_needs_a_password_of_some_length_and_a_plain_name() {
    let exit = Setup::new().env("SILO_ADMIN_PASSWORD", "seven c").start_error().await;
    assert!(exit.stderr.contains("SILO_ADMIN_PASSWORD") && exit.stderr.contains("8 characters"), "{exit:?}");
    let exit = Setup::new().env("SILO_ADMIN", "\u{430}dmin").start_error().await;
    assert!(exit.stderr.contains("SILO_ADMIN") && exit.stderr.contains("scripts"), "{exit:?}");
}
