//! Opening folders of other users by the engine, which is root or acts for it: their names are unpacked over them, with another
//! mode, into a container that is never started. So no program runs, and no image has to have one.

use std::path::{Path, PathBuf};

use bollard::query_parameters::{CreateImageOptionsBuilder, UploadToContainerOptionsBuilder};
use bytes::Bytes;
use chrono::TimeDelta;
use futures_util::StreamExt as _;

use super::{Docker, container_id};
use crate::clock::Clock;
use crate::engine::container::{Bind, Container, Input, Network, Text};
use crate::engine::removal::{Leave, create};
use crate::engine::runtime::{Error, Result, Runtime as _};
use crate::seed::image_reference::ImageReference;

/// The image of the container: an empty one, made by us.
const NAME: &str = "silo-nothing";
const TAG: &str = "1";
/// Where the folder is in it.
const PLACE: &str = "/folder";
/// The label of the container.
const OPENING: &str = "silo.opening";
/// How long such a container may be there; one that is older was left by a kill.
const LONGEST: TimeDelta = TimeDelta::minutes(10);

impl Docker {
    /// See [`crate::engine::runtime::Runtime::open_folders`].
    pub(super) async fn unpack_over(&self, root: &Path, folders: &[PathBuf]) -> Result<()> {
        let image: ImageReference = format!("{NAME}:{TAG}").parse().expect("a name by the grammar");
        if let Err(Error::NoImage { .. }) = self.image(&image).await {
            self.make_nothing().await?;
        }
        let Some(source) = root.to_str() else {
            return Err(Error::Refused { reason: format!("{} is not UTF-8", root.display()) });
        };
        self.remove_left_openings().await?;
        let archive = archive(folders).map_err(|why| Error::Refused { reason: why.to_string() })?;
        let container = container(image, source.to_owned());
        let made = create(self, &container, &Leave::default()).await?;
        let options = UploadToContainerOptionsBuilder::default().path(PLACE).build();
        let body = bollard::body_full(Bytes::from(archive));
        let unpacked = self.client.upload_to_container(container_id(made.id())?, Some(options), body).await;
        let unpacked = unpacked.map_err(|why| self.failure(why).other());
        made.now().await.map_or(unpacked, Err)
    }

    /// Removes what a killed silo has left of this.
    async fn remove_left_openings(&self) -> Result<()> {
        let now = Clock::system().now();
        for found in self.containers(OPENING).await? {
            if found.created.is_none_or(|created| now - created > LONGEST) {
                self.remove(&found.id).await?;
            }
        }
        Ok(())
    }

    /// Makes the empty image.
    async fn make_nothing(&self) -> Result<()> {
        let archive = archive(&[PathBuf::from(PLACE.trim_start_matches('/'))]);
        let archive = archive.map_err(|why| Error::Refused { reason: why.to_string() })?;
        let options = CreateImageOptionsBuilder::default().from_src("-").repo(NAME).tag(TAG).build();
        let body = bollard::body_full(Bytes::from(archive));
        let mut answers = std::pin::pin!(self.client.create_image(Some(options), Some(body), None));
        while let Some(answer) = answers.next().await {
            answer.map_err(|why| self.failure(why).other())?;
        }
        Ok(())
    }
}

/// An archive of folders that everybody may do everything with.
fn archive(folders: &[PathBuf]) -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for folder in folders {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Directory);
        header.set_mode(0o777);
        header.set_size(0);
        archive.append_data(&mut header, folder, std::io::empty())?;
    }
    archive.into_inner()
}

fn container(image: ImageReference, source: String) -> Container {
    Container {
        image,
        entrypoint: None,
        // Never started, but engines want one.
        command: Some(vec![Text::plain("nothing")]),
        environment: Vec::new(),
        binds: vec![Bind { source, target: PLACE.to_owned(), read_only: false, held: None }],
        memory: None,
        cpus: None,
        shared_memory: None,
        processes: None,
        gpus: 0,
        network: Network::None,
        user: None,
        timeout: None,
        grace: std::time::Duration::ZERO,
        // What a kill leaves is found by it.
        labels: [(OPENING.to_owned(), String::new())].into(),
        platform: None,
        input: Input::Nothing,
    }
}
