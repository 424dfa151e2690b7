//! A disk that is soon full.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::output;

/// A tmpfs. A machine that lets nobody mount fails the test: what a full disk does cannot be shown there.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    pub fn at(folder: &Path, mib: u32) -> Self {
        let size = format!("size={mib}m");
        output(Command::new("mount").args(["-t", "tmpfs", "-o", &size, "silo-test"]).arg(folder));
        Self(folder.to_owned())
    }

    /// Writes until nothing more can be written.
    pub fn fill(&self) {
        let mut filler = File::create(self.filler()).expect("a file");
        while filler.write_all(&[1; 4096]).is_ok() {}
    }

    /// Gives the room back.
    pub fn empty(&self) {
        fs::remove_file(self.filler()).expect("it was filled");
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
