//! `/batches/new`: one job for each row of a table. "Check" tells all problems and the first rows, "Run" queues them.

use askama::Template;
use axum::response::Response;
use serde::Deserialize;

use super::filters;
use super::form::PageForm;
use super::frame::PageSection;
use super::{PageFrame, reply, reply_to_form, see_other};
use crate::app::{
    App, BatchRows, Error, FileSpec, InputFile, MOST_ROWS, PlannedBatch, RequestedImage, RunChange, RunForm, RunInputs,
    RunOptions, RunnableJob, SettingValue, UserSession,
};
use crate::catalog::ImageId;
use crate::http::error::Result;
use crate::http::extract::{QueryParameters, RequestApp};
use crate::seed::model::{SeedJob, SeedManifest};

/// Longest form, in bytes.
pub(super) const LONGEST_FORM: usize = 4 * 1024 * 1024;

/// Prefixes of the names of fields for settings and mounts.
const SETTING: &str = "setting.";
const MOUNT: &str = "mount.";

#[derive(Template)]
#[template(path = "batch_form.html")]
struct BatchFormPage {
    frame: PageFrame,
    /// The image, as it was given.
    image: String,
    job: Option<BatchJob>,
    /// What is wrong with the image or the form as a whole.
    problem: Option<String>,
    problems: Vec<RowProblem>,
    /// The rows that were checked, if all of them can be run.
    checked: Option<CheckedRows>,
    table: String,
    label: String,
    tags: String,
    token: String,
}

/// The job that runs.
struct BatchJob {
    title: String,
    url: String,
    version: String,
    inputs: Vec<BatchInput>,
    /// First line and a row, to begin with.
    example: String,
    settings: Vec<BatchField>,
    mounts: Vec<BatchField>,
}

/// An input that a column can be for.
struct BatchInput {
    name: String,
    takes: String,
    is_required: bool,
}

/// A value that all rows share.
struct BatchField {
    /// Name of the form's field.
    field: String,
    name: String,
    /// What was given; empty for secrets.
    value: String,
    is_secret: bool,
}

/// Rows that can be run.
struct CheckedRows {
    /// Such as `All 3 rows can be run.`.
    verdict: String,
    /// The first ones.
    first: Vec<Vec<ShownCell>>,
    /// Number of the others.
    more: usize,
}

/// A problem of a row.
struct RowProblem {
    place: String,
    message: String,
    help: String,
}

/// A value of a row, as it was read.
struct ShownCell {
    input: String,
    value: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BatchFormQuery {
    /// Id in the catalogue, or reference.
    #[serde(default)]
    image: String,
}

/// The form: for the image, if none is given yet.
pub(super) async fn show(
    RequestApp(app): RequestApp,
    frame: PageFrame,
    session: UserSession,
    QueryParameters(BatchFormQuery { image }): QueryParameters<BatchFormQuery>,
) -> Result<Response> {
    let mut page = BatchFormPage::new(&app, frame, &session, image);
    if page.image.is_empty() {
        return reply(&page);
    }
    match page.find_job(&app).await {
        Ok(job) => {
            page.job = Some(BatchJob::of(&page.frame, &job, &[]));
            reply(&page)
        }
        Err(why) => page.refused(why),
    }
}

pub(super) async fn send(
    RequestApp(app): RequestApp,
    frame: PageFrame,
    session: UserSession,
    form: PageForm,
) -> Result<Response> {
    let mut page = BatchFormPage::new(&app, frame, &session, form.text("image").to_owned());
    page.fill(&form);
    let job = match page.find_job(&app).await {
        Ok(job) => job,
        Err(why) => return page.refused(why),
    };
    let given: Vec<(&str, &str)> = form.below("").collect();
    page.job = Some(BatchJob::of(&page.frame, &job, &given));
    let (all, rows) = (page.shared(&form), BatchRows::Table(page.table.clone()));
    if form.text("do") == "run" {
        return match app.run_submit_batch(&session, &all, rows).await {
            Ok(id) => Ok(see_other(&format!("/batch/{id}"))),
            Err(why) => page.refused(why),
        };
    }
    match app.run_plan_batch(&session, &all, rows).await {
        Ok(PlannedBatch { rows, first, .. }) => {
            let verdict = match rows {
                1 => "The row can be run.".to_owned(),
                rows => format!("All {rows} rows can be run."),
            };
            let first: Vec<_> = first.iter().map(shown_row).collect();
            page.checked = Some(CheckedRows { verdict, more: rows - first.len(), first });
            reply(&page)
        }
        Err(why) => page.refused(why),
    }
}

impl BatchFormPage {
    fn new(app: &App, frame: PageFrame, session: &UserSession, image: String) -> Self {
        Self {
            frame: frame.in_section(PageSection::Runs),
            image: image.trim().to_owned(),
            job: None,
            problem: None,
            problems: Vec::new(),
            checked: None,
            table: String::new(),
            label: String::new(),
            tags: String::new(),
            token: app.form_token(session),
        }
    }

    /// Takes what was sent. A chosen file counts more than the text, which may be what an earlier page filled in.
    fn fill(&mut self, form: &PageForm) {
        let table = Some(form.text("file")).filter(|file| !file.is_empty()).unwrap_or(form.text("table"));
        // Browsers send the line ends of texts as CRLF, whatever they were.
        self.table = table.replace("\r\n", "\n");
        self.label = form.text("label").trim().to_owned();
        self.tags = form.text("tags").trim().to_owned();
    }

    fn requested(&self) -> RequestedImage {
        match self.image.parse() {
            Ok(id) => RequestedImage::Id(ImageId(id)),
            Err(_) => RequestedImage::Reference(self.image.clone()),
        }
    }

    async fn find_job(&self, app: &App) -> std::result::Result<RunnableJob, Error> {
        app.run_job(&self.requested()).await
    }

    /// What all rows share.
    fn shared(&self, form: &PageForm) -> RunForm {
        let secret = |(name, value): (&str, &str)| (name.to_owned(), SettingValue::Secret(value.into()));
        let tags = self.tags.split(',').map(str::trim).filter(|tag| !tag.is_empty()).map(str::to_owned);
        let mounts = form.below(MOUNT).filter(|(_, path)| !path.is_empty());
        RunForm {
            image: self.requested(),
            inputs: RunInputs {
                // Which of them are secret, the manifest says.
                settings: form.below(SETTING).filter(|(_, value)| !value.is_empty()).map(secret).collect(),
                mounts: mounts.map(|(name, path)| (name.to_owned(), path.into())).collect(),
                ..RunInputs::default()
            },
            options: RunOptions {
                label: Some(self.label.clone()),
                tags: Some(tags.collect()),
                ..RunOptions::default()
            },
            ..RunForm::default()
        }
    }

    /// The page again, with what is wrong.
    fn refused(mut self, why: Error) -> Result<Response> {
        match &why {
            Error::Unrunnable(problems) => {
                let rows = problems.iter().map(|problem| RowProblem {
                    place: problem.subject.clone(),
                    message: problem.message.clone(),
                    help: problem.help.clone(),
                });
                self.problems = rows.collect();
            }
            Error::Invalid(text)
            | Error::NotFound(text)
            | Error::Conflict(text)
            | Error::TooLarge(text)
            | Error::Unavailable(text) => self.problem = Some(text.clone()),
            _ => return Err(why.into()),
        }
        reply_to_form(why, &self)
    }

    /// What a table may have at most.
    fn most_rows(&self) -> usize {
        MOST_ROWS
    }
}

impl BatchJob {
    fn of(frame: &PageFrame, job: &RunnableJob, given: &[(&str, &str)]) -> Self {
        let RunnableJob {
            manifest: SeedManifest { job: SeedJob { name, job_version, title, interface, .. }, .. }, ..
        } = job;
        let value = |field: &str| given.iter().find(|(known, _)| *known == field).map_or("", |(_, value)| value);
        let field = |prefix: &str, name: &str, is_secret: bool| {
            let field = format!("{prefix}{name}");
            let value = if is_secret { String::new() } else { value(&field).to_owned() };
            BatchField { field, name: name.to_owned(), value, is_secret }
        };
        let inputs = &interface.inputs;
        let files = inputs.files.iter().map(|input| BatchInput {
            name: input.name.clone(),
            takes: if input.multiple { "files, one on each line".to_owned() } else { "a file".to_owned() },
            is_required: input.required,
        });
        let json = inputs.json.iter().map(|input| BatchInput {
            name: input.name.clone(),
            takes: format!("a value of the type {}", input.json_type.as_str()),
            is_required: input.required,
        });
        let inputs: Vec<BatchInput> = files.chain(json).collect();
        Self {
            title: if title.trim().is_empty() { name.clone() } else { title.clone() },
            url: frame.job_url(name),
            version: job_version.clone(),
            example: example(&inputs),
            inputs,
            settings: interface.settings.iter().map(|one| field(SETTING, &one.name, one.secret)).collect(),
            mounts: interface.mounts.iter().map(|one| field(MOUNT, &one.name, false)).collect(),
        }
    }
}

/// The first line of a table with all inputs.
fn example(inputs: &[BatchInput]) -> String {
    inputs.iter().map(|input| input.name.as_str()).collect::<Vec<_>>().join(",")
}

fn shown_row(row: &RunChange) -> Vec<ShownCell> {
    let files = row.inputs.files.iter().map(|InputFile { input, source }| {
        let value = match source {
            FileSpec::Upload { sha256, .. } => format!("upload:{sha256}"),
            FileSpec::Url { url, .. } => url.masked(),
            FileSpec::Output { run, output, .. } => format!("run:{run}/{}", output.as_deref().unwrap_or_default()),
            FileSpec::Path { path, .. } => path.display().to_string(),
            FileSpec::Unclear => String::new(),
        };
        ShownCell { input: input.clone(), value }
    });
    let json =
        row.inputs.json.iter().map(|(input, value)| ShownCell { input: input.clone(), value: value.to_string() });
    files.chain(json).collect()
}
