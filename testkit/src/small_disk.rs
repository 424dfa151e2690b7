//! A small file system, to test a full disk.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{needs, output};

/// A tmpfs. The test fails on machines that do not allow mounting.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    pub fn at(folder: &Path, mib: u32) -> Self {
        needs::check("root");
        let size = format!("size={mib}m");
        output(Command::new("mount").args(["-t", "tmpfs", "-o", &size, "silo-test"]).arg(folder));
        Self(folder.to_owned())
    }

    /// Writes until the disk is full.
    pub fn fill(&self) {
        let mut filler = File::create(self.filler()).expect("a file");
        while filler.write_all(&[1; 4096]).is_ok() {}
    }

    /// Frees the space.
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
