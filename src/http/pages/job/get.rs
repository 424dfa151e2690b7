//! How to get and run the image of a job: what works for this one.

use super::commands::{self, CommandGroup, CopyableCommand};
use crate::app::{ExportedJob, JobImageDetail, Result};
use crate::catalog::RegistryRecord;
use crate::engine::plan::docker_run::quoted;
use crate::seed::model::SeedManifest;

/// The groups of commands; the first one is the one that most people want.
pub(super) fn groups(public_url: &str, detail: &JobImageDetail) -> Vec<CommandGroup> {
    let image = &detail.image;
    let manifest = SeedManifest::parse(&image.facts.manifest).ok().filter(|_| image.facts.valid);
    let disk = detail.registry.as_ref().filter(|_| image.registry.is_empty());
    let mut groups = Vec::new();
    if let Some(manifest) = &manifest {
        groups.extend(runs(public_url, detail, manifest, disk.is_some()));
    }
    match disk {
        Some(registry) => groups.insert(0, from_disk(detail, registry)),
        None => groups.extend(pulls(detail)),
    }
    match &manifest {
        Some(manifest) => groups.extend(exports(public_url, detail, manifest)),
        None => {
            if let Some(first) = groups.first_mut() {
                first.note.insert_str(0, "The manifest has errors, so SILO does not run this image. ");
            }
        }
    }
    groups
}

fn runs(public_url: &str, detail: &JobImageDetail, manifest: &SeedManifest, is_on_disk: bool) -> Vec<CommandGroup> {
    let reference = detail.image.pull_reference();
    let run = commands::silo("silo run", &reference, manifest, true);
    let mut groups =
        vec![CommandGroup::new("Run it here, with silo", vec![CopyableCommand::new("command for silo run", run)])];
    if !is_on_disk {
        let submit =
            commands::silo(&format!("silo runs submit --server {}", quoted(public_url)), &reference, manifest, false);
        let server = vec![
            CopyableCommand::new("command for silo runs submit", submit),
            CopyableCommand::new("command for curl", commands::curl(public_url, &detail.image, manifest)),
        ];
        let note = "Needs an account with the role runner.";
        groups.push(CommandGroup::new("Run it on this server", server).with_note(note));
    }
    groups
}

/// An engine cannot pull from a folder.
fn from_disk(detail: &JobImageDetail, registry: &RegistryRecord) -> CommandGroup {
    let inspect = commands::inspect(registry, &detail.image);
    let look = CopyableCommand::new("command that shows the image", inspect);
    let commands = commands::load(registry, &detail.image).into_iter().chain([look]).collect();
    CommandGroup::new("Load it into a container engine", commands).with_note(
        "This image is in a folder or an archive on the server, which no engine can pull from. These commands work there.",
    )
}

fn pulls(detail: &JobImageDetail) -> Vec<CommandGroup> {
    let pull = |heading, label, reference: &str| {
        CommandGroup::new(heading, vec![CopyableCommand::new(label, format!("docker pull {}", quoted(reference)))])
    };
    vec![
        pull("docker pull", "command for docker pull", &detail.image.pull_reference()),
        pull("By digest, to pin it", "command for docker pull by digest", &detail.image.pinned_reference()),
    ]
}

fn exports(public_url: &str, detail: &JobImageDetail, manifest: &SeedManifest) -> Vec<CommandGroup> {
    let path = |word: &str| format!("/api/v1/images/{}/{word}", detail.image.id);
    let address = |word: &str| format!("{public_url}{}", path(word));
    let file = |extension: &str| format!("{}-{}.{extension}", manifest.job.name, manifest.job.job_version);
    let group = |heading, exported: &Result<ExportedJob>, commands, word: &str, name: String| match exported {
        Ok(exported) => CommandGroup {
            download: Some((path(word), name)),
            differences: exported.notes.clone(),
            ..CommandGroup::new(heading, commands)
        },
        Err(why) => CommandGroup::new(heading, Vec::new()).with_note(why.to_string()),
    };
    let tool = commands::cwltool(&address("cwl"), manifest);
    let tool = vec![CopyableCommand::new("command for cwltool", tool)];
    let [download, run] = commands::script(&address("script"), &file("sh"), manifest);
    let script = vec![
        CopyableCommand::new("command that downloads the script", download),
        CopyableCommand::new("command that runs the script", run),
    ];
    vec![
        group("CWL tool", &detail.cwl, tool, "cwl", file("cwl")),
        group("Script for docker", &detail.script, script, "script", file("sh")),
    ]
}
