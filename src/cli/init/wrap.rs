//! `silo init --from`: a manifest for an existing image whose entry point takes an input folder and an output folder.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::cli::args::manifest_file::{create, shown};
use crate::cli::output::render::tame;
use crate::seed::image_reference::ImageReference;

/// The image to wrap.
pub(super) enum WrapTarget {
    /// A Dockerfile in the folder.
    Dockerfile(PathBuf),
    Image(ImageReference),
}

impl WrapTarget {
    /// # Errors
    /// `from` is neither an existing file nor a valid image reference.
    pub(super) fn find(from: &str, folder: &Path) -> anyhow::Result<Self> {
        let given = Path::new(from);
        for path in [given.to_owned(), folder.join(given)] {
            let path = if path.is_dir() { path.join("Dockerfile") } else { path };
            if path.is_file() {
                return Ok(Self::Dockerfile(path));
            }
        }
        match from.parse() {
            Ok(image) if !from.starts_with(['.', '/']) && from != "Dockerfile" => Ok(Self::Image(image)),
            _ => bail!("{} is neither a Dockerfile nor a valid image name", tame(from)),
        }
    }

    /// Writes the missing files beside the manifest. Returns their names, and the command that builds the image.
    ///
    /// # Errors
    /// An I/O error, also on reading the Dockerfile.
    pub(super) fn write(&self, folder: &Path) -> anyhow::Result<(Vec<String>, String)> {
        match self {
            Self::Image(image) => {
                let path = folder.join("Dockerfile");
                create(&path, format!("FROM {image}\n").as_bytes(), None)
                    .with_context(|| format!("{} cannot be written", shown(&path)))?;
                Ok((vec!["Dockerfile".to_owned()], "silo build".to_owned()))
            }
            Self::Dockerfile(path) => {
                let text = fs::read_to_string(path).with_context(|| format!("{} cannot be read", shown(path)))?;
                if !text.lines().any(|line| line.trim_start().to_ascii_uppercase().starts_with("ENTRYPOINT")) {
                    stderrln!(
                        "note: {} has no ENTRYPOINT: if its base image has none either, put the program before the \
                         folders in interface.command",
                        shown(path)
                    );
                }
                let is_usual = path.canonicalize().ok() == folder.join("Dockerfile").canonicalize().ok();
                let named = if is_usual { String::new() } else { format!(" -D {}", shown(path)) };
                Ok((Vec::new(), format!("silo build{named}")))
            }
        }
    }
}
