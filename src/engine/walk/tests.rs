use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;

use rustix::fs::mkdirat;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::*;

const ANY: WalkBounds = WalkBounds { entries: usize::MAX, bytes: None };

fn measured(folder: &Path, bounds: WalkBounds) -> (FolderUsage, WalkReach) {
    measure(folder, bounds, &HaltSignal::default()).expect("it can be read")
}

/// Nested folders, deeper than `PATH_MAX`; a file of `bytes` bytes in the innermost one.
fn deep(levels: usize, name: &str, bytes: usize) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let mut handle = open(folder.path()).expect("it is there");
    for _ in 0..levels {
        mkdirat(&handle, name, Mode::RWXU).expect("a folder");
        handle = openat(&handle, name, FOLDER, Mode::empty()).expect("it is there");
    }
    let file = openat(&handle, "file", OFlags::CREATE | OFlags::WRONLY, Mode::RUSR).expect("a file");
    rustix::io::write(&file, &vec![7; bytes]).expect("it can be written");
    folder
}

#[test]
fn bytes_are_counted_as_they_are_on_the_disk() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    fs::write(path("a"), vec![1; 100_000]).expect("a file");
    let (one, reach) = measured(folder.path(), ANY);
    assert_eq!((one.length, one.entries, reach), (100_000, 1, WalkReach::Whole));
    assert!((100_000..200_000).contains(&one.on_disk), "{one:?}");
    for number in 0..50 {
        fs::hard_link(path("a"), path(&format!("link{number}"))).expect("a link");
    }
    let (linked, _) = measured(folder.path(), ANY);
    assert_eq!((linked.length, linked.on_disk, linked.entries), (one.length, one.on_disk, 51));
    // Holes count, because a reader reads them.
    fs::File::create(path("sparse")).and_then(|file| file.set_len(1 << 30)).expect("a file");
    assert_eq!(measured(folder.path(), ANY).0.length, 100_000 + (1 << 30));
    assert_eq!(measured(folder.path(), WalkBounds { bytes: Some(1 << 29), ..ANY }).1, WalkReach::TooManyBytes);
    assert_eq!(measured(folder.path(), WalkBounds { entries: 51, ..ANY }).1, WalkReach::TooManyEntries);
    // The target of a link does not count.
    symlink("/", path("root")).expect("a link");
    assert_eq!(measured(folder.path(), ANY).0.length, 100_000 + (1 << 30));
}

#[test]
fn no_path_is_too_deep_or_too_long() {
    for (levels, name) in [(1500, "d".to_owned()), (40, "n".repeat(255))] {
        let folder = deep(levels, &name, 50_000);
        let (usage, reach) = measured(folder.path(), ANY);
        assert_eq!((usage.length, usage.entries, reach), (50_000, levels + 1, WalkReach::Whole));
        crate::engine::file_removal::remove(folder.path(), &HaltSignal::default()).expect("it can be removed");
    }
}

#[test]
fn a_walk_ends_when_it_is_told() {
    let stop = CancellationToken::new();
    let folder = deep(5, "d", 1);
    let mut met = 0;
    let walked = walk(open(folder.path()).expect("it is there"), ANY, &HaltSignal::on(&stop), &mut |_| {
        met += 1;
        if met == 3 {
            stop.cancel();
        }
    });
    assert!(matches!(walked, Err(WalkError::Halted(HaltReason::Cancelled))));
    assert_eq!(met, 3);
}

#[test]
fn where_a_folder_was_moved_the_walk_ends() {
    let (folder, elsewhere) = (deep(2 * HANDLES, "d", 1), tempfile::tempdir().expect("a folder"));
    let half: PathBuf = vec!["d"; HANDLES / 2].iter().collect();
    let mut moved = false;
    let walked = walk(open(folder.path()).expect("it is there"), ANY, &HaltSignal::default(), &mut |met| {
        if matches!(met, FolderWalkEvent::Entry { depth, .. } if depth == 2 * HANDLES) {
            fs::rename(folder.path().join(&half), elsewhere.path().join("d")).expect("it is ours");
            moved = true;
        }
    });
    assert!(moved && matches!(walked, Ok((_, WalkReach::Moved))), "{walked:?}");
}

#[test]
fn folders_that_cannot_be_read_are_told() {
    // Root can read everything.
    if rustix::process::geteuid().is_root() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let closed = folder.path().join("closed");
    fs::create_dir(&closed).expect("a folder");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).expect("it is ours");
    assert_eq!(measured(folder.path(), ANY).0.unreadable, 1);
}
