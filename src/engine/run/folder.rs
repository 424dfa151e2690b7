//! Paths of a run's folder on the host, and how it is created. Blocking.
//!
//! `job.json` the record, `inputs.json` the given inputs, `context.json` the input metadata for the job, `run.sh` the
//! command line to repeat the run, `attempt-N/` the logs and samples of an attempt, `input/` staged input files, `output/` the
//! job's outputs.

use std::path::{Path, PathBuf};
use std::{fs, io};

use chrono::NaiveDate;
use serde::Serialize;

use crate::seed::model::SeedManifest;

/// The folder of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunPaths {
    /// The run's files; absolute.
    pub root: PathBuf,
    /// The output directory; absolute.
    pub output: PathBuf,
}

impl RunPaths {
    /// A folder with `output` in it.
    pub fn new(root: PathBuf) -> Self {
        Self { output: root.join("output"), root }
    }

    /// The folder of a run below `runs`: by job and version, by tag of a series of runs, by day.
    pub fn of(runs: &Path, manifest: &SeedManifest, tag: Option<&str>, day: NaiveDate, run: &str) -> Self {
        let job = &manifest.job;
        let mut root = runs.join(safe(&job.name)).join(safe(&format!("{}-{}", job.job_version, job.package_version)));
        root.extend(tag.map(safe));
        Self::new(root.join(day.format("%Y/%m/%d").to_string()).join(safe(run)))
    }

    /// The input metadata file for the job.
    pub fn context(&self) -> PathBuf {
        self.root.join("context.json")
    }

    /// Staging folder of an input: its files become one folder in the container.
    pub fn input(&self, name: &str) -> PathBuf {
        self.root.join("input").join(name)
    }

    /// Log folder of an attempt, counted from 1.
    pub fn attempt(&self, number: u32) -> PathBuf {
        self.root.join(format!("attempt-{number}"))
    }

    /// Creates the folder with mode 0700 and the output directory with mode 0777, so that any container user can
    /// write to it. An existing output directory keeps its mode.
    ///
    /// # Errors
    /// The disk fails or permission is denied.
    pub fn create(&self) -> io::Result<()> {
        fs::create_dir_all(&self.root)?;
        set_mode(&self.root, 0o700)?;
        if let Err(why) = fs::create_dir(&self.output) {
            let is_there = why.kind() == io::ErrorKind::AlreadyExists && self.output.is_dir();
            return if is_there { Ok(()) } else { Err(why) };
        }
        set_mode(&self.output, 0o777)
    }
}

pub(in crate::engine) fn pretty(value: &impl Serialize) -> Vec<u8> {
    let mut text = serde_json::to_vec_pretty(value).expect("texts, numbers, lists and maps of texts are JSON");
    text.push(b'\n');
    text
}

/// Replaces a file atomically: readers see either the old or the new content.
pub(in crate::engine) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    fs::write(&new, bytes)?;
    fs::rename(new, path)
}

/// The run's folder is private; what a container sees must be accessible to its user, who may be anyone.
#[cfg(unix)]
pub(in crate::engine) fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode))
}

#[cfg(not(unix))]
pub(in crate::engine) fn set_mode(_: &Path, _: u32) -> io::Result<()> {
    Ok(())
}

/// A text as a single path component.
pub fn safe(text: &str) -> String {
    let keep = |c: char| if c.is_ascii_alphanumeric() || "-_+.".contains(c) { c } else { '_' };
    let name: String = text.chars().take(200).map(keep).collect();
    if name.trim_start_matches('.').is_empty() { format!("_{name}") } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_cannot_be_led_elsewhere() {
        let mut manifest = SeedManifest::parse(crate::engine::testing::MANIFEST).expect("it is valid");
        let day = NaiveDate::from_ymd_opt(2026, 3, 1).expect("a day");
        let of = |manifest: &SeedManifest, tag| RunPaths::of(Path::new("/runs"), manifest, tag, day, "7").root;
        assert_eq!(of(&manifest, None), Path::new("/runs/sea-ice/1.0.0-2.0.0/2026/03/01/7"));
        assert_eq!(of(&manifest, Some("night")), Path::new("/runs/sea-ice/1.0.0-2.0.0/night/2026/03/01/7"));
        manifest.job.name = "..".to_owned();
        manifest.job.job_version = "/../../etc".to_owned();
        let expected = Path::new("/runs/_../_.._.._etc-2.0.0/_/2026/03/01/7");
        assert_eq!(of(&manifest, Some("")), expected);
    }

    #[test]
    fn only_the_output_is_open_to_others() {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
        let runs = tempfile::tempdir().expect("a folder");
        let folder = RunPaths::new(runs.path().join("a/b"));
        folder.create().expect("it can be made");
        assert_eq!((mode(&folder.root), mode(&folder.output)), (0o700, 0o777));
        // An existing output directory keeps its mode; calling it again changes nothing.
        let mine = runs.path().join("mine");
        fs::create_dir(&mine).expect("a folder");
        set_mode(&mine, 0o750).expect("it is ours");
        let folder = RunPaths { root: folder.root, output: mine };
        folder.create().expect("it is there");
        folder.create().expect("it is there");
        assert_eq!(mode(&folder.output), 0o750);
        fs::write(runs.path().join("file"), "").expect("a file");
        assert!(RunPaths { output: runs.path().join("file"), ..folder }.create().is_err());
    }
}
