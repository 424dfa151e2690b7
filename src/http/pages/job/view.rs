//! What the page of a job shows.

use askama::Template;
use chrono::{DateTime, SecondsFormat, Utc};

use super::commands::CommandGroup;
use super::get;
use super::manifest_view::{ManifestView, OutsideLink};
use crate::app::{JobImageDetail, JobOverview};
use crate::catalog::{CatalogueImage, ImagePlace, JobGroup, JobPackageSummary, PastDigest};
use crate::http::pages::ports::{cut, mebibytes};
use crate::http::pages::problems::sign;
use crate::http::pages::{PageFrame, filters};
use crate::http::path_part::{job_key_part, job_path, job_version_path, version_part, version_value};
use crate::seed::listing::{JsonSpanKind, ListingSpan, ManifestListing};
use crate::seed::{ManifestProblem, ProblemSeverity, manifest};

/// Most versions that a page lists and offers.
const MOST_VERSIONS: usize = 200;
/// Longest part of a line of the manifest, in characters.
const LONGEST_SPAN: usize = 4_000;

#[derive(Template)]
#[template(path = "job.html")]
pub(super) struct JobPage {
    pub frame: PageFrame,
    name: String,
    title: String,
    description: String,
    /// Maintainer and organization.
    people: String,
    job_version: String,
    package_version: String,
    is_valid: bool,
    errors: usize,
    warnings: usize,
    /// What is unusual about the image: it does not represent the job, or is an older one.
    notes: Vec<PageNote>,
    versions: Vec<ListedVersion>,
    more_versions: usize,
    job_url: String,
    compare_url: String,
    manifest: ManifestView,
    problems: Vec<ListedProblem>,
    lines: Vec<ListingLine>,
    is_cut: bool,
    image_url: String,
    /// The form of a batch of this image.
    batch_url: String,
    groups: Vec<CommandGroup>,
    facts: ImageFacts,
    history: Vec<HistoryRow>,
    places: Vec<ListedPlace>,
    others: Vec<ListedPlace>,
    tags: Vec<TagLink>,
    feed_url: String,
    badge_url: String,
    badge_markdown: String,
    canonical_url: String,
    /// The form of a run.
    run_url: String,
}

/// A sentence above the page, with a way on.
struct PageNote {
    text: String,
    url: String,
    link: &'static str,
}

/// A version of the job.
pub(super) struct ListedVersion {
    pub job_version: String,
    pub package_version: String,
    /// The value that the forms send.
    pub value: String,
    url: String,
    compare_url: String,
    pub is_shown: bool,
    /// Another maintainer's.
    is_foreign: bool,
    images: u64,
    built: Option<TimeView>,
    first_seen: TimeView,
    size: String,
    platforms: String,
    registry: String,
    is_valid: bool,
}

/// A problem of the manifest.
struct ListedProblem {
    severity: &'static str,
    /// CSS class of its sign.
    sign: &'static str,
    code: String,
    /// JSON pointer; empty for the whole manifest.
    path: String,
    message: String,
    help: String,
    /// Line in the manifest as shown; `None` if that part is left out.
    line: Option<usize>,
}

/// A line of the manifest.
struct ListingLine {
    number: usize,
    spans: Vec<LineSpan>,
}

struct LineSpan {
    /// CSS class; empty for none.
    class: &'static str,
    text: String,
}

/// Facts of the image.
struct ImageFacts {
    maintainer: String,
    mail: Option<String>,
    organization: String,
    phone: String,
    home: Option<OutsideLink>,
    registry: String,
    registry_url: Option<String>,
    is_verified: bool,
    reference: String,
    digest: String,
    platforms: String,
    size: String,
    built: Option<TimeView>,
    first_seen: TimeView,
    moved: Option<TimeView>,
    seed_version: String,
}

/// A time: for machines, and the day for people.
pub(crate) struct TimeView {
    pub iso: String,
    pub text: String,
    pub day: String,
}

/// A digest that the tag had before.
struct HistoryRow {
    digest: String,
    since: TimeView,
    until: TimeView,
}

/// Another place of the job.
struct ListedPlace {
    url: String,
    label: String,
    registry: String,
    is_shown: bool,
}

struct TagLink {
    url: String,
    tag: String,
}

impl JobPage {
    pub(super) fn new(frame: PageFrame, public_url: &str, detail: JobImageDetail) -> Self {
        let groups = get::groups(public_url, &detail);
        let JobImageDetail { job, image, history, places, .. } = detail;
        let facts = &image.facts;
        let name = facts.job_name.clone();
        let view = ManifestView::of(&manifest::with_defaults(&facts.manifest));
        let listing = ManifestListing::of(&facts.manifest, facts.problems.iter().map(|problem| problem.path.as_str()));
        let count = |severity| facts.problems.iter().filter(|problem| problem.severity == severity).count();
        let all: usize = job.versions.iter().map(|version| version.packages.len()).sum();
        let job_part = job_key_part(&name);
        let page = format!("{public_url}{}", job_path(&name));
        Self {
            notes: notes(&frame, &job, &image),
            versions: versions(&frame, &job, &image),
            more_versions: all.saturating_sub(MOST_VERSIONS),
            job_url: frame.job_url(&name),
            compare_url: frame.url(&format!("{}/compare", job_path(&name))),
            problems: facts.problems.iter().map(|problem| problem_row(problem, &listing)).collect(),
            is_cut: listing.is_cut,
            image_url: frame.url(&format!("/api/v1/images/{}", image.id)),
            batch_url: frame.url(&format!("/batches/new?image={}", image.id)),
            groups,
            facts: image_facts(&frame, &image, &view),
            history: history.into_iter().map(history_row).collect(),
            places: place_rows(&frame, &image, places),
            others: other_groups(&frame, &name, &job),
            tags: manifest::essentials(&facts.manifest).tags.into_iter().map(|tag| tag_link(&frame, tag)).collect(),
            feed_url: frame.url(&format!("/api/v1/feed?{}", query("q", &format!("name:\"{name}\"")))),
            badge_url: frame.url(&format!("/api/v1/jobs/{job_part}/badge.svg")),
            badge_markdown: format!("[![Seed job]({public_url}/api/v1/jobs/{job_part}/badge.svg)]({page})"),
            canonical_url: format!(
                "{public_url}{}",
                job_version_path(&name, &facts.job_version, &facts.package_version)
            ),
            run_url: run_url(&frame, &job, &image),
            title: if facts.title.trim().is_empty() { name.clone() } else { facts.title.clone() },
            description: facts.description.clone(),
            people: people(&facts.maintainer, &facts.maint_org),
            job_version: facts.job_version.clone(),
            package_version: facts.package_version.clone(),
            is_valid: facts.valid,
            errors: count(ProblemSeverity::Error),
            warnings: count(ProblemSeverity::Warning),
            lines: lines(listing),
            manifest: view,
            name,
            frame,
        }
    }

    /// The description of the page for search engines.
    fn summary(&self) -> String {
        const LONGEST: usize = 160;
        cut(&self.description, LONGEST)
    }
}

impl TimeView {
    pub(crate) fn of(time: DateTime<Utc>) -> Self {
        Self {
            iso: time.to_rfc3339_opts(SecondsFormat::Millis, true),
            text: time.format("%Y-%m-%d %H:%M:%S UTC").to_string(),
            day: time.format("%Y-%m-%d").to_string(),
        }
    }
}

/// Bytes for people.
pub(crate) fn bytes(size: u64) -> String {
    const KIB: f64 = 1024.0;
    let size = size as f64;
    if size < KIB {
        format!("{size} B")
    } else if size < KIB * KIB {
        format!("{:.1} KiB", size / KIB)
    } else {
        mebibytes(size / KIB / KIB)
    }
}

fn query(name: &str, value: &str) -> String {
    url::form_urlencoded::Serializer::new(String::new()).append_pair(name, value).finish()
}

/// The address of the form of a run. It names the image, unless it is the one that stands for its versions.
fn run_url(frame: &PageFrame, job: &JobOverview, image: &CatalogueImage) -> String {
    let facts = &image.facts;
    let mut packages = job.versions.iter().flat_map(|version| &version.packages);
    let query = if packages.any(|it| it.image_id == image.id) { String::new() } else { format!("?image={}", image.id) };
    let path = job_version_path(&facts.job_name, &facts.job_version, &facts.package_version);
    frame.url(&format!("{path}/run{query}"))
}

fn people(maintainer: &str, organization: &str) -> String {
    [maintainer, organization].into_iter().filter(|text| !text.trim().is_empty()).collect::<Vec<_>>().join(", ")
}

fn notes(frame: &PageFrame, job: &JobOverview, image: &CatalogueImage) -> Vec<PageNote> {
    let url = frame.job_url(&image.facts.job_name);
    if !image.represents {
        let by = people(&image.facts.maintainer, &image.facts.maint_org);
        let text = format!(
            "This image of {} does not represent the job: other images have this name, and were here first or are verified.",
            if by.is_empty() { "another maintainer" } else { &by }
        );
        return vec![PageNote { text, url, link: "The job itself" }];
    }
    let latest = &job.summary.job;
    if (&latest.latest_job_version, &latest.latest_package_version)
        == (&image.facts.job_version, &image.facts.package_version)
    {
        return Vec::new();
    }
    let text =
        format!("There is a later version: {}, package {}.", latest.latest_job_version, latest.latest_package_version);
    vec![PageNote { text, url, link: "Show it" }]
}

/// All versions with their packages, highest first.
pub(super) fn versions(frame: &PageFrame, job: &JobOverview, image: &CatalogueImage) -> Vec<ListedVersion> {
    let shown = version_part(&image.facts.job_version, &image.facts.package_version);
    let row = |job_version: &str, package: &JobPackageSummary| {
        let name = &image.facts.job_name;
        let version = version_part(job_version, &package.package_version);
        ListedVersion {
            url: frame.url(&job_version_path(name, job_version, &package.package_version)),
            compare_url: frame.url(&format!("{}/compare/{version}..{shown}", job_path(name))),
            job_version: job_version.to_owned(),
            package_version: package.package_version.clone(),
            is_shown: version == shown,
            value: version_value(job_version, &package.package_version),
            is_foreign: !package.origin.represents,
            images: package.images,
            built: package.built_at.map(TimeView::of),
            first_seen: TimeView::of(package.first_seen_at),
            size: package.size.map(bytes).unwrap_or_default(),
            platforms: package.platforms.join(", "),
            registry: package.origin.registry.clone(),
            is_valid: package.valid,
        }
    };
    let pairs = job
        .versions
        .iter()
        .flat_map(|version| version.packages.iter().map(|package| (version.version.job_version.as_str(), package)));
    pairs.take(MOST_VERSIONS).map(|(version, package)| row(version, package)).collect()
}

fn problem_row(problem: &ManifestProblem, listing: &ManifestListing) -> ListedProblem {
    let line = listing.line_of(&problem.path);
    ListedProblem {
        severity: problem.severity.as_str(),
        sign: sign(problem.severity),
        code: problem.code.clone(),
        path: problem.path.clone(),
        message: problem.message.clone(),
        help: problem.help.clone(),
        line: Some(line).filter(|line| *line <= listing.lines.len()),
    }
}

fn lines(listing: ManifestListing) -> Vec<ListingLine> {
    let span = |ListingSpan { kind, text }: ListingSpan| LineSpan {
        class: match kind {
            JsonSpanKind::Key => "k",
            JsonSpanKind::Text => "s",
            JsonSpanKind::Literal => "n",
            JsonSpanKind::Punctuation => "",
        },
        text: cut(&text, LONGEST_SPAN),
    };
    let line = |(index, spans): (usize, Vec<ListingSpan>)| ListingLine {
        number: index + 1,
        spans: spans.into_iter().map(span).collect(),
    };
    listing.lines.into_iter().enumerate().map(line).collect()
}

fn image_facts(frame: &PageFrame, image: &CatalogueImage, view: &ManifestView) -> ImageFacts {
    let facts = &image.facts;
    let host = &image.registry;
    ImageFacts {
        maintainer: facts.maintainer.clone(),
        mail: mail(&facts.email),
        organization: facts.maint_org.clone(),
        phone: view.phone.clone(),
        home: view.home.as_ref().map(|home| OutsideLink { url: home.url.clone(), label: home.label.clone() }),
        registry: image.registry_name.clone(),
        registry_url: (!host.is_empty()).then(|| frame.url(&format!("/search?{}", query("facet.registry", host)))),
        is_verified: image.is_verified,
        reference: image.pull_reference(),
        digest: image.digest.clone(),
        platforms: image.platforms.join(", "),
        size: image.size.map(bytes).unwrap_or_default(),
        built: image.built_at.map(TimeView::of),
        first_seen: TimeView::of(image.first_seen_at),
        moved: (image.changed_at > image.first_seen_at).then(|| TimeView::of(image.changed_at)),
        seed_version: view.seed_version.clone(),
    }
}

/// The address for a link, if it is one: `mailto:` could also set a subject, or other recipients.
fn mail(address: &str) -> Option<String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || ".!#$*+-/=^_`{|}~@".contains(c);
    let (name, host) = address.trim().split_once('@')?;
    let is_address =
        !name.is_empty() && !host.is_empty() && !host.contains('@') && address.trim().chars().all(is_plain);
    is_address.then(|| format!("mailto:{}", address.trim().replace('#', "%23")))
}

fn history_row(PastDigest { digest, since, until }: PastDigest) -> HistoryRow {
    HistoryRow { digest, since: TimeView::of(since), until: TimeView::of(until) }
}

/// The places of images with the same versions; empty if there is only this one.
fn place_rows(frame: &PageFrame, image: &CatalogueImage, places: Vec<ImagePlace>) -> Vec<ListedPlace> {
    if places.len() < 2 {
        return Vec::new();
    }
    let path = job_version_path(&image.facts.job_name, &image.facts.job_version, &image.facts.package_version);
    let row = |place: ImagePlace| ListedPlace {
        url: frame.url(&format!("{path}?image={}", place.image_id)),
        is_shown: place.image_id == image.id,
        label: place.reference,
        registry: place.origin.registry,
    };
    places.into_iter().map(row).collect()
}

/// The latest images of other maintainers' jobs with this name.
fn other_groups(frame: &PageFrame, name: &str, job: &JobOverview) -> Vec<ListedPlace> {
    let row = |JobGroup { leader, .. }: &JobGroup| ListedPlace {
        url: frame.url(&format!(
            "{}?image={}",
            job_version_path(name, &leader.job_version, &leader.package_version),
            leader.image_id
        )),
        is_shown: false,
        label: format!("{} {}", people(&leader.maintainer.name, &leader.maintainer.organization), leader.job_version),
        registry: leader.origin.registry.clone(),
    };
    job.summary.groups.iter().filter(|group| !group.leader.origin.represents).map(row).collect()
}

fn tag_link(frame: &PageFrame, tag: String) -> TagLink {
    TagLink { url: frame.url(&format!("/search?{}", query("facet.tag", &tag))), tag }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_become_mail_links() {
        assert_eq!(mail(" ada@example.org ").as_deref(), Some("mailto:ada@example.org"));
        for odd in ["ada", "a@b?bcc=c@d", "a@b@c", "@b", "a@", "a b@c", "a@b&c", "a@b\u{202e}", "javascript:a@b"] {
            assert_eq!(mail(odd), None, "{odd}");
        }
    }

    #[test]
    fn sizes_are_short() {
        assert_eq!([5, 4_800, 3 << 20, 5 << 30].map(bytes), ["5 B", "4.7 KiB", "3 MiB", "5 GiB"]);
    }
}
