//! The demo registry: an image layout embedded in the binary, scanned by the same code as any other registry.

use std::path::{Path, PathBuf};

use rust_embed::RustEmbed;

use super::{App, Error, RegistryForm, Result};
use crate::catalog::{ScanId, ScanTrigger};

/// Name of the registry that `--demo` adds.
pub const DEMO_REGISTRY: &str = "demo";

#[derive(RustEmbed)]
#[folder = "demo/layout"]
struct DemoLayout;

impl App {
    /// Unpacks the layout into the data directory, adds it as a registry unless it exists, and requests a scan.
    ///
    /// # Errors
    /// As [`App::registry_add`]; [`Error::Internal`] if the layout cannot be written.
    pub async fn demo_start(&self) -> Result<ScanId> {
        let folder = self.demo_folder();
        let target = folder.clone();
        tokio::task::spawn_blocking(move || unpack(&target)).await??;
        let known = self.registry_list().await?.into_iter().find(|registry| registry.name == DEMO_REGISTRY);
        let registry = match known {
            Some(registry) => registry,
            None => self.registry_add(&demo_form(&folder)).await?.registry,
        };
        self.scan_request(registry.id, ScanTrigger::Manual).await
    }

    /// Folder that the layout is unpacked into.
    pub(super) fn demo_folder(&self) -> PathBuf {
        let folder = self.settings().in_data("demo-layout");
        std::path::absolute(&folder).unwrap_or(folder)
    }
}

fn unpack(folder: &Path) -> Result<()> {
    for name in DemoLayout::iter() {
        let path = folder.join(name.as_ref());
        let file = DemoLayout::get(&name).expect("the name was listed");
        let write = || {
            path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
            std::fs::write(&path, &file.data)
        };
        write().map_err(|why| Error::Internal(format!("{} cannot be written: {why}", path.display())))?;
    }
    Ok(())
}

fn demo_form(folder: &Path) -> RegistryForm {
    RegistryForm {
        name: DEMO_REGISTRY.to_owned(),
        url: folder.display().to_string(),
        schedule: "off".to_owned(),
        ..RegistryForm::default()
    }
}
