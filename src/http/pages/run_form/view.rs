//! The page of the form.

use askama::Template;

use super::fields::FormFields;
use super::plan_view::PlanView;
use super::prefilled::is_kept_possible;
use super::problem::FormProblem;
use super::runner::FormRunner;
use crate::app::{EarlierRun, JobImageDetail, RunLimits};
use crate::catalog::ImageId;
use crate::http::pages::file_form::FormTexts;
use crate::http::pages::job::bytes;
use crate::http::pages::{PageFrame, filters};
use crate::http::path_part::job_version_path;
use crate::seed::model::SeedManifest;

/// Most other versions that the page links to.
const MOST_VERSIONS: usize = 20;

/// The image that the form is for.
pub(super) struct FormSubject {
    pub image_id: ImageId,
    /// `None` for a manifest with errors: nothing is made from it.
    pub manifest: Option<SeedManifest>,
    name: String,
    title: String,
    job_version: String,
    package_version: String,
    /// Whether it is in a folder or an archive on the server, which engines cannot pull from.
    is_on_disk: bool,
    /// Whether the address names the image.
    is_named: bool,
    /// Job version and package version of other images.
    others: Vec<(String, String)>,
}

/// What came of the form that was sent.
#[derive(Default)]
pub(super) enum FormResult {
    /// None was sent.
    #[default]
    Nothing,
    Plan(Box<PlanView>),
    Problems(Vec<FormProblem>),
}

#[derive(Template)]
#[template(path = "run_form.html")]
pub(super) struct RunFormPage {
    frame: PageFrame,
    name: String,
    title: String,
    job_version: String,
    package_version: String,
    job_url: String,
    /// Why there is no form; empty if there is one, or for strangers.
    why_not: &'static str,
    is_on_disk: bool,
    form: Option<OpenForm>,
    others: Vec<OtherVersion>,
}

/// The form of a user who may run jobs.
struct OpenForm {
    action: String,
    token: String,
    /// Id of the earlier run; may be empty.
    from: String,
    /// Whether its files and secrets can be taken over.
    is_keeping: bool,
    fields: FormFields,
    limits: ShownLimits,
    /// The problems, each with the id of its field.
    problems: Vec<(FormProblem, Option<String>)>,
    plan: Option<Box<PlanView>>,
}

struct ShownLimits {
    upload: String,
    user: String,
    days: u32,
    input_roots: Vec<String>,
    mount_roots: Vec<String>,
}

struct OtherVersion {
    url: String,
    label: String,
}

impl FormSubject {
    pub(super) fn new(detail: JobImageDetail, is_named: bool) -> Self {
        let JobImageDetail { job, image, .. } = detail;
        let facts = &image.facts;
        let is_other = |(job_version, package_version): &(String, String)| {
            *job_version != facts.job_version || *package_version != facts.package_version
        };
        let versions = job.versions.iter().flat_map(|version| {
            let job_version = &version.version.job_version;
            version.packages.iter().map(move |package| (job_version.clone(), package.package_version.clone()))
        });
        Self {
            image_id: image.id,
            manifest: SeedManifest::parse(&facts.manifest).ok().filter(|_| facts.valid),
            name: facts.job_name.clone(),
            title: if facts.title.trim().is_empty() { facts.job_name.clone() } else { facts.title.clone() },
            job_version: facts.job_version.clone(),
            package_version: facts.package_version.clone(),
            is_on_disk: image.registry.is_empty(),
            is_named,
            others: versions.filter(is_other).take(MOST_VERSIONS).collect(),
        }
    }

    fn path(&self) -> String {
        job_version_path(&self.name, &self.job_version, &self.package_version)
    }

    fn query(&self) -> String {
        if self.is_named { format!("?image={}", self.image_id) } else { String::new() }
    }
}

impl RunFormPage {
    /// The page without a form.
    pub(super) fn closed(frame: PageFrame, subject: &FormSubject) -> Self {
        let why_not = match subject.manifest {
            None => "The manifest has errors, so SILO does not run this image.",
            Some(_) if frame.user().is_some() => {
                "Running jobs needs the role runner. An administrator can give it to you."
            }
            Some(_) => "",
        };
        Self {
            job_url: frame.url(&format!("{}{}", subject.path(), subject.query())),
            why_not,
            is_on_disk: subject.is_on_disk,
            form: None,
            others: Vec::new(),
            name: subject.name.clone(),
            title: subject.title.clone(),
            job_version: subject.job_version.clone(),
            package_version: subject.package_version.clone(),
            frame,
        }
    }

    /// The page with the form.
    pub(super) fn open(
        frame: PageFrame,
        subject: &FormSubject,
        manifest: &SeedManifest,
        runner: &FormRunner,
        earlier: Option<&EarlierRun>,
        texts: &FormTexts,
        result: FormResult,
    ) -> Self {
        let (plan, problems) = match result {
            FormResult::Nothing => (None, Vec::new()),
            FormResult::Plan(plan) => (Some(plan), Vec::new()),
            FormResult::Problems(problems) => (None, problems),
        };
        let fields = FormFields::new(manifest, texts, earlier, runner, &problems);
        let problems = problems.into_iter().map(|problem| {
            let id = fields.id_of(&problem.subject);
            (problem, id)
        });
        let form = OpenForm {
            action: frame.url(&format!("{}/run{}", subject.path(), subject.query())),
            token: runner.token.clone(),
            from: earlier.map(|earlier| earlier.id.clone()).unwrap_or_default(),
            is_keeping: earlier.is_some_and(|earlier| is_kept_possible(earlier, manifest)),
            problems: problems.collect(),
            limits: shown(&runner.limits),
            fields,
            plan,
        };
        let others = others(&frame, subject, &form.from);
        Self { form: Some(form), others, ..Self::closed(frame, subject) }
    }
}

fn shown(limits: &RunLimits) -> ShownLimits {
    let roots = |roots: &[std::path::PathBuf]| roots.iter().map(|root| root.to_string_lossy().into_owned()).collect();
    ShownLimits {
        upload: bytes(limits.upload_bytes),
        user: bytes(limits.user_bytes),
        days: limits.keep_uploads_days,
        input_roots: roots(&limits.input_roots),
        mount_roots: roots(&limits.mount_roots),
    }
}

fn others(frame: &PageFrame, subject: &FormSubject, from: &str) -> Vec<OtherVersion> {
    let query = match from {
        "" => String::new(),
        from => format!("?{}", url::form_urlencoded::Serializer::new(String::new()).append_pair("from", from).finish()),
    };
    let other = |(job_version, package_version): &(String, String)| OtherVersion {
        url: frame.url(&format!("{}/run{query}", job_version_path(&subject.name, job_version, package_version))),
        label: format!("{job_version}, package {package_version}"),
    };
    subject.others.iter().map(other).collect()
}
