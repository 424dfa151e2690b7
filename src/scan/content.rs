//! Turns what a registry returned into what the catalogue keeps: reads the Seed label and validates the manifest.

use chrono::{DateTime, Utc};

use crate::catalog::{
    ContentOutcome, ContentProblem, DigestContent, KnownConfig, ManifestFacts, RevalidatedContent, StaleContent,
    TagOutcome,
};
use crate::registry::{DEEP_INDEX, FetchedContent, ImageConfig};
use crate::seed::manifest::{self, ManifestEssentials};
use crate::seed::validate::{self, ValidationReport, ValidationRules};
use crate::seed::{LABEL, ProblemSeverity, label};

/// Code of the problem in a scan's report if a manifest has errors.
const INVALID: &str = "manifest-invalid";

/// The content of a fetched manifest digest. Validation can take a tenth of a second for a hostile manifest.
pub fn content_of(digest: &str, fetched: FetchedContent) -> DigestContent {
    let mut content = DigestContent {
        digest: digest.to_owned(),
        outcome: ContentOutcome::NotAnImage(TagOutcome::Artifact),
        platforms: Vec::new(),
        size: None,
        built_at: None,
        problems: Vec::new(),
        is_hearsay: false,
        configs: Vec::new(),
    };
    let configs = match fetched {
        FetchedContent::Image(configs) => configs,
        FetchedContent::Other(kind) => {
            content.outcome = ContentOutcome::NotAnImage(classify_artifact(&kind));
            return content;
        }
    };
    content.platforms = configs.iter().map(|config| config.platform.clone()).filter(|p| !p.is_empty()).collect();
    content.size = configs.first().and_then(|config| config.size);
    content.built_at = configs.first().and_then(|config| built_at(&config.created));
    content.outcome = outcome_of(&configs, &mut content.problems);
    content
}

/// Classifies an artifact that is not an image, by its media type or artifact type. Matches words common to the tools
/// that write them, because the full types change from version to version.
fn classify_artifact(kind: &str) -> TagOutcome {
    const KINDS: [(&[&str], TagOutcome); 7] = [
        (&[DEEP_INDEX], TagOutcome::DeepIndex),
        (&["helm"], TagOutcome::Chart),
        (&["spdx", "cyclonedx", "syft", "sbom"], TagOutcome::Sbom),
        (&["in-toto", "dsse", "slsa", "attest", "provenance"], TagOutcome::Attestation),
        (&["signature", "signing", "cosign", "sigstore", "notary"], TagOutcome::Signature),
        (&["image.index", "manifest.list"], TagOutcome::EmptyIndex),
        (&["distribution.manifest.v1"], TagOutcome::OldSchema),
    ];
    let kind = kind.to_ascii_lowercase();
    let found = KINDS.iter().find(|(words, _)| words.iter().any(|word| kind.contains(word)));
    found.map_or(TagOutcome::Artifact, |(_, outcome)| *outcome)
}

/// Build time of an image. Reproducible builds state 1970 or the year 1, which means unknown.
fn built_at(created: &str) -> Option<DateTime<Utc>> {
    let time = DateTime::parse_from_rfc3339(created).ok()?.to_utc();
    (time > DateTime::UNIX_EPOCH).then_some(time)
}

/// The part of a config that is kept after it was read.
pub(super) fn known_config(config: &ImageConfig) -> KnownConfig {
    let ImageConfig { digest, platform, labels, created, size: _ } = config;
    let label = labels.get(LABEL).cloned();
    KnownConfig { digest: digest.clone(), platform: platform.clone(), created: created.clone(), label }
}

/// Restores a config from the part that was kept.
pub(super) fn restore_config(known: KnownConfig) -> ImageConfig {
    let KnownConfig { digest, platform, created, label } = known;
    let labels = label.map(|label| (LABEL.to_owned(), label)).into_iter().collect();
    ImageConfig { digest, platform, labels, created, size: None }
}

/// The raw Seed label that counts: the first readable label in the order of platforms, else the first label.
pub fn seed_label(configs: &[ImageConfig]) -> Option<&str> {
    let mut labels = configs.iter().filter_map(|config| config.labels.get(LABEL)).map(String::as_str);
    let first = labels.next()?;
    match label::read(first) {
        Ok(_) => Some(first),
        Err(_) => labels.find(|text| label::read(text).is_ok()).or(Some(first)),
    }
}

fn outcome_of(configs: &[ImageConfig], problems: &mut Vec<ContentProblem>) -> ContentOutcome {
    let Some(label) = seed_label(configs) else { return ContentOutcome::Unlabelled };
    let text = match label::read(label) {
        Ok(text) => text,
        Err(why) => return refused(problems, why.to_string()),
    };
    let essentials = manifest::essentials(&text);
    if !essentials.identifies_a_job() {
        return refused(problems, missing(&essentials));
    }
    if manifests_differ(configs, &text) {
        problems.push(ContentProblem {
            code: "platforms-differ".to_owned(),
            message: "the platforms of this image have different Seed manifests; the first is used. Build all \
                      platforms from one manifest"
                .to_owned(),
        });
    }
    ContentOutcome::Seed(Box::new(facts(text, essentials, problems)))
}

fn refused(problems: &mut Vec<ContentProblem>, message: String) -> ContentOutcome {
    problems.push(ContentProblem { code: "label-refused".to_owned(), message });
    ContentOutcome::Refused
}

fn missing(essentials: &ManifestEssentials) -> String {
    let missing: Vec<&str> = [
        ("job.name", &essentials.job_name),
        ("job.jobVersion", &essentials.job_version),
        ("job.packageVersion", &essentials.package_version),
    ]
    .into_iter()
    .filter(|(_, value)| value.is_empty())
    .map(|(field, _)| field)
    .collect();
    format!(
        "the Seed manifest has no {}, so the job has no name; add it and build the image again",
        missing.join(", no ")
    )
}

/// Whether the labelled platforms have different manifests.
fn manifests_differ(configs: &[ImageConfig], text: &str) -> bool {
    let parse = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
    let taken = parse(text);
    configs
        .iter()
        .filter_map(|config| config.labels.get(LABEL))
        .any(|raw| label::read(raw).ok().as_deref().and_then(parse) != taken)
}

fn facts(text: String, essentials: ManifestEssentials, problems: &mut Vec<ContentProblem>) -> ManifestFacts {
    let report = validate::judge(text.as_bytes(), ValidationRules::default());
    problems.extend(invalid(&report));
    ManifestFacts {
        job_name: essentials.job_name,
        job_version: essentials.job_version,
        package_version: essentials.package_version,
        title: essentials.title,
        description: essentials.description,
        maintainer: essentials.maintainer,
        email: essentials.email,
        maint_org: essentials.maint_org,
        manifest: text,
        valid: report.valid,
        problems: report.problems,
    }
}

/// Validates a manifest stored under older rules again.
pub fn judge_again(content: StaleContent) -> RevalidatedContent {
    let report = validate::judge(content.manifest.as_bytes(), ValidationRules::default());
    let mut problems = content.problems;
    problems.retain(|problem| problem.code != INVALID);
    problems.extend(invalid(&report));
    RevalidatedContent { digest: content.digest, problems, valid: report.valid, manifest_problems: report.problems }
}

/// The scan problem for a manifest with errors.
fn invalid(report: &ValidationReport) -> Option<ContentProblem> {
    let errors = || report.problems.iter().filter(|found| found.severity == ProblemSeverity::Error);
    let first = errors().next()?;
    let at = if first.path.is_empty() { "/" } else { &first.path };
    let more = match errors().count() {
        1 => String::new(),
        n => format!(" ({n} errors in all)"),
    };
    let message = format!("the manifest breaks the Seed standard at {at}: {}{more}", first.message);
    Some(ContentProblem { code: INVALID.to_owned(), message })
}
