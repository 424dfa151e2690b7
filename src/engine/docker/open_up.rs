//! Opens files and folders of other users with the engine, which is root, or root of a user namespace. A tar archive
//! is unpacked over them into a container that is never started: a directory entry for a folder, a hard link for a
//! file, each with the wanted owner and mode. So no program runs, and no image has to provide one.

use std::io;
use std::path::{Path, PathBuf};

use bollard::query_parameters::{CreateImageOptionsBuilder, TagImageOptionsBuilder, UploadToContainerOptionsBuilder};
use bytes::Bytes;
use chrono::TimeDelta;
use futures_util::StreamExt as _;
use rustix::process::{getegid, geteuid};

use super::{DockerClient, container_id};
use crate::clock::Clock;
use crate::engine::plan::container::{BindMount, ContainerSpec, MaskedText, NetworkMode, StdinMode};
use crate::engine::run::removal_guard::{KeepContainer, create};
use crate::engine::runtime::{ClosedPath, ContainerRuntime as _, Error, Result};
use crate::seed::image_reference::ImageReference;

/// An empty image, imported by SILO. Docker and Podman both take the name for that of a local image.
const NAME: &str = "localhost/silo-nothing";
const TAG: &str = "1";
/// Mount target of the folder in the container.
const PLACE: &str = "folder";
/// Label of the container.
const OPENING: &str = "silo.opening";
/// Name prefix of the hard links; the container id follows.
const LINK: &str = ".silo-opening-";
/// Maximum age of such a container; an older one was left by a killed process.
const LONGEST: TimeDelta = TimeDelta::minutes(10);

impl DockerClient {
    /// Implements [`crate::engine::runtime::ContainerRuntime::open_up`].
    pub(super) async fn open_by_archive(&self, root: &Path, closed: &[ClosedPath]) -> Result<()> {
        let image: ImageReference = format!("{NAME}:{TAG}").parse().expect("a name by the grammar");
        if let Err(Error::NoImage { .. }) = self.image(&image).await {
            self.import_empty_image().await?;
        }
        let Some(source) = root.to_str() else {
            return Err(Error::Refused { reason: format!("{} is not UTF-8", root.display()) });
        };
        self.remove_stale_containers().await?;
        let owner = self.our_owner().await?;
        let made = create(self, &container(image, source.to_owned()), &KeepContainer::default()).await?;
        // Docker resolves the target of a link from the container's root, Podman from the folder that is unpacked to.
        let (to, inside) =
            if self.is_podman { (format!("/{PLACE}"), Path::new("")) } else { ("/".to_owned(), Path::new(PLACE)) };
        let links: Vec<PathBuf> =
            (0..closed.len()).map(|count| format!("{LINK}{}-{count}", made.id()).into()).collect();
        let archive =
            archive(closed, &links, inside, owner).map_err(|why| Error::Refused { reason: why.to_string() })?;
        let options = UploadToContainerOptionsBuilder::default().path(&to).build();
        let body = bollard::body_full(Bytes::from(archive));
        let unpacked = self.client.upload_to_container(container_id(made.id())?, Some(options), body).await;
        let unpacked = unpacked.map_err(|why| self.failure(why).other());
        for (link, _) in links.iter().zip(closed).filter(|(_, closed)| !closed.is_folder) {
            match std::fs::remove_file(root.join(link)) {
                Err(why) if why.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!(link = %root.join(link).display(), %why, "a leftover link cannot be removed");
                }
                _ => {}
            }
        }
        made.now().await.map_or(unpacked, Err)
    }

    /// UID and GID of this process as the engine sees them; `None` if UIDs are mapped.
    async fn our_owner(&self) -> Result<Option<(u32, u32)>> {
        let ours = geteuid().as_raw();
        Ok(match self.maps_users().await? {
            false => Some((ours, getegid().as_raw())),
            // Rootless: root in its containers is the user who started the engine.
            true if self.peer().await.is_some_and(|peer| peer.uid() == ours) => Some((0, 0)),
            true => None,
        })
    }

    /// Removes containers that a killed process left.
    async fn remove_stale_containers(&self) -> Result<()> {
        let now = Clock::system().now();
        for found in self.containers(OPENING).await? {
            if found.created.is_none_or(|created| now - created > LONGEST) {
                self.remove(&found.id).await?;
            }
        }
        Ok(())
    }

    /// Imports the empty image.
    async fn import_empty_image(&self) -> Result<()> {
        let folder = ClosedPath { path: PLACE.into(), is_folder: true, mode: 0o755, modified: 0 };
        let archive = archive(&[folder], &[PathBuf::new()], Path::new(""), Some((0, 0)));
        let archive = archive.map_err(|why| Error::Refused { reason: why.to_string() })?;
        let options = CreateImageOptionsBuilder::default().from_src("-").repo(NAME).tag(TAG).build();
        let body = bollard::body_full(Bytes::from(archive));
        let mut answers = std::pin::pin!(self.client.create_image(Some(options), Some(body), None));
        while let Some(answer) = answers.next().await {
            answer.map_err(|why| self.failure(why).other())?;
        }
        // Podman always tags it `latest`.
        let options = TagImageOptionsBuilder::default().repo(NAME).tag(TAG).build();
        if self.is_podman {
            self.client.tag_image(NAME, Some(options)).await.map_err(|why| self.failure(why).other())?;
        }
        Ok(())
    }
}

/// A tar archive of these paths, owned by `owner` with full access; `None`: owned by root with access for everybody.
fn archive(closed: &[ClosedPath], links: &[PathBuf], inside: &Path, owner: Option<(u32, u32)>) -> io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for (closed, link) in closed.iter().zip(links) {
        let needed = match (closed.is_folder, owner) {
            (true, Some(_)) => 0o700,
            (true, None) => 0o777,
            (false, Some(_)) => 0o600,
            (false, None) => 0o666,
        };
        let mut header = tar::Header::new_gnu();
        header.set_mode(closed.mode | needed);
        header.set_mtime(closed.modified);
        header.set_size(0);
        let (user, group) = owner.unwrap_or_default();
        header.set_uid(user.into());
        header.set_gid(group.into());
        let path = inside.join(&closed.path);
        if closed.is_folder {
            header.set_entry_type(tar::EntryType::Directory);
            archive.append_data(&mut header, path, io::empty())?;
        } else {
            header.set_entry_type(tar::EntryType::Link);
            archive.append_link(&mut header, inside.join(link), path)?;
        }
    }
    archive.into_inner()
}

fn container(image: ImageReference, source: String) -> ContainerSpec {
    ContainerSpec {
        image,
        entrypoint: None,
        // Never started, but engines require a command.
        command: Some(vec![MaskedText::plain("nothing")]),
        environment: Vec::new(),
        binds: vec![BindMount { source, target: format!("/{PLACE}"), read_only: false, held: None }],
        memory: None,
        cpus: None,
        shared_memory: None,
        processes: None,
        gpus: 0,
        network: NetworkMode::None,
        user: None,
        timeout: None,
        grace: std::time::Duration::ZERO,
        // To find it after a kill.
        labels: [(OPENING.to_owned(), String::new())].into(),
        platform: None,
        input: StdinMode::Nothing,
    }
}
