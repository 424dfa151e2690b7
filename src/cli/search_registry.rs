//! `silo search -r REGISTRY`: searches a registry directly, without a server.

use serde::Serialize;
use serde_json::value::RawValue;

use super::args::registry::{RegistryOptions, login};
use super::output::render::{json_line, tame};
use super::output::table::{Column, copied, name, table, whole, words};
use super::print;
use crate::app::folded;
use crate::app::remote_images::{ImageBrowser, SeedImage};
use crate::seed::manifest::essentials;

/// Columns of a table of images, from a server or a registry.
pub(super) const COLUMNS: [Column; 5] =
    [name("NAME"), whole("VERSION"), words("TITLE"), words("ORGANIZATION"), copied("IMAGE")];

/// Output of `--json`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RegistrySearchOutcome {
    items: Vec<RegistrySearchItem>,
    total: usize,
    /// Errors, and images that are named like Seed images but are none.
    problems: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RegistrySearchItem {
    image: String,
    digest: String,
    name: String,
    job_version: String,
    package_version: String,
    title: String,
    organization: String,
    valid: bool,
    manifest: Box<RawValue>,
}

/// Lists the Seed images that contain every word; all images if there are no words.
pub(super) async fn run(words: &[String], registry: &RegistryOptions, limit: usize, json: bool) -> anyhow::Result<()> {
    let place = registry.place()?;
    let credentials = registry.account().credentials(&place.host)?;
    let outside = ImageBrowser::registry_of_its_kind(&place, &login(credentials.as_ref())).await?;
    let found = outside.seed_images().await?;
    let words: Vec<String> = words.iter().flat_map(|word| word.split_whitespace()).map(folded).collect();
    let matching: Vec<SeedImage> = found.images.into_iter().filter(|image| holds(image, &words)).collect();
    let total = matching.len();
    let items = matching.into_iter().take(limit).map(item).collect::<Result<Vec<RegistrySearchItem>, _>>()?;
    if json {
        return print(json_line(&RegistrySearchOutcome { items, total, problems: found.problems })?);
    }
    for problem in &found.problems {
        stderrln!("warning: {}", tame(problem));
    }
    if items.is_empty() {
        stderrln!("No Seed image there matches.");
        return Ok(());
    }
    let shown = items.len();
    let rows = items.into_iter().map(|item| {
        let mark = if item.valid { "" } else { "  (invalid manifest)" };
        let texts = [item.name, item.job_version, item.title, item.organization].map(|text| tame(&text));
        let [name, version, title, organization] = texts;
        [name, version, title, organization, tame(&item.image) + mark]
    });
    print(format_args!("{}\n", table(COLUMNS, rows)))?;
    if total > shown {
        stderrln!("{shown} of {total}; more with --limit.");
    }
    Ok(())
}

fn item(SeedImage { reference, digest, facts }: SeedImage) -> serde_json::Result<RegistrySearchItem> {
    Ok(RegistrySearchItem {
        image: reference,
        digest,
        name: facts.job_name,
        job_version: facts.job_version,
        package_version: facts.package_version,
        title: facts.title,
        organization: facts.maint_org,
        valid: facts.valid,
        manifest: RawValue::from_string(facts.manifest)?,
    })
}

/// Whether every word occurs in the fields that a server would search.
fn holds(image: &SeedImage, words: &[String]) -> bool {
    let manifest = essentials(&image.facts.manifest);
    let (inputs, outputs) = (&manifest.inputs, &manifest.outputs);
    let lists = [&manifest.tags, &inputs.names, &inputs.media_types, &outputs.names, &outputs.media_types];
    let texts = [
        &image.reference,
        &manifest.title,
        &manifest.description,
        &manifest.maintainer,
        &manifest.maint_org,
        &lists.map(|list| list.join("\n")).join("\n"),
    ];
    let text = folded(&texts.map(String::as_str).join("\n"));
    words.iter().all(|word| text.contains(word))
}
