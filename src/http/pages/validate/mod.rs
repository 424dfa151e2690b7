//! `/validate`: a manifest that somebody pastes, uploads or edits, checked as `/api/v1/validate` does.

mod report;

use askama::Template;
use axum::body::Bytes;
use axum::extract::{FromRequest, Multipart, Request};
use axum::response::Response;
use serde::Deserialize;

use self::report::ReportView;
use super::frame::PageSection;
use super::{PageFrame, filters, reply};
use crate::app::{App, Error, ManifestSource, RequestCaller};
use crate::http::error::{HttpFailure, Result};
use crate::http::extract::{QueryParameters, RequestApp};
use crate::http::routes::{RouteAccess, RouteTable};
use crate::seed::ValidationProfile;
use crate::seed::starter::{self, EXAMPLE_INPUT, InitAnswers, StarterMaintainer};
use crate::seed::validate::{self, ValidationRules};

const PATH: &str = "/validate";

pub(super) fn add(routes: RouteTable) -> RouteTable {
    routes.add_page(PATH, RouteAccess::Anyone, form).add_long_form(PATH, RouteAccess::Anyone, check)
}

#[derive(Template)]
#[template(path = "validate.html")]
struct ValidatePage {
    frame: PageFrame,
    /// Begins with the result, if there is one.
    title: String,
    /// The manifest in the field where it can be edited.
    text: String,
    profiles: Vec<ProfileChoice>,
    is_strict: bool,
    report: Option<ReportView>,
}

/// The result alone, for a page that is open.
#[derive(Template)]
#[template(path = "validate_report.html")]
struct ReportFragment {
    frame: PageFrame,
    report: Option<ReportView>,
}

/// A profile to choose.
struct ProfileChoice {
    word: &'static str,
    label: &'static str,
    is_chosen: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ValidateQuery {
    example: Option<ExampleWord>,
    #[serde(default)]
    profile: ValidationProfile,
    #[serde(default)]
    strict: bool,
}

/// Which example to begin with.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ExampleWord {
    Valid,
    Faulty,
}

/// What the form sends.
#[derive(Default)]
struct SubmittedManifest {
    manifest: Bytes,
    rules: ValidationRules,
}

/// The form: empty, or with an example and its report.
async fn form(
    RequestApp(app): RequestApp,
    frame: PageFrame,
    caller: RequestCaller,
    QueryParameters(ValidateQuery { example, profile, strict }): QueryParameters<ValidateQuery>,
) -> Result<Response> {
    let manifest = example.map(example_text).unwrap_or_default().into();
    show(&app, &caller, frame, SubmittedManifest { manifest, rules: ValidationRules { profile, strict } }).await
}

/// The form with what was sent, and its report.
async fn check(
    RequestApp(app): RequestApp,
    frame: PageFrame,
    caller: RequestCaller,
    submitted: SubmittedManifest,
) -> Result<Response> {
    show(&app, &caller, frame, submitted).await
}

async fn show(app: &App, caller: &RequestCaller, frame: PageFrame, submitted: SubmittedManifest) -> Result<Response> {
    let SubmittedManifest { manifest, rules } = submitted;
    let text = validate::readable(&manifest).into_owned();
    let report = if text.trim().is_empty() {
        None
    } else {
        let report = app.validate(caller, ManifestSource::Manifest(manifest), rules).await?;
        Some(ReportView::new(&report, &text))
    };
    if frame.is_fragment() {
        return reply(&ReportFragment { frame, report });
    }
    let result = report.as_ref().map(|report| format!("{}: ", report.heading)).unwrap_or_default();
    reply(&ValidatePage {
        frame: frame.in_section(PageSection::Validate),
        title: format!("{result}check a manifest"),
        text,
        profiles: profiles(rules.profile),
        is_strict: rules.strict,
        report,
    })
}

fn profiles(chosen: ValidationProfile) -> Vec<ProfileChoice> {
    let choice = |profile: ValidationProfile| ProfileChoice {
        word: profile.as_str(),
        label: match profile {
            ValidationProfile::Spec => "Seed 1.0.0",
            ValidationProfile::SeedCli => "Seed CLI 1.3",
            ValidationProfile::Scale => "Scale",
        },
        is_chosen: profile == chosen,
    };
    ValidationProfile::ALL.into_iter().map(choice).collect()
}

fn example_text(example: ExampleWord) -> String {
    let [name, media_type] = [EXAMPLE_INPUT.0, EXAMPLE_INPUT.1].map(str::to_owned);
    let valid = starter::manifest(&InitAnswers {
        name: "my-job".to_owned(),
        title: "My job".to_owned(),
        maintainer: StarterMaintainer::default(),
        inputs: vec![(name, media_type)],
    });
    match example {
        ExampleWord::Valid => valid,
        ExampleWord::Faulty => valid
            .replace("\"tags\"", "\"tag\"")
            .replace("\"jobVersion\": \"1.0.0\"", "\"jobVersion\": \"1.0\"")
            .replace("\"timeout\": 3600", "\"timeout\": \"1 hour\""),
    }
}

impl<S: Send + Sync> FromRequest<S> for SubmittedManifest {
    type Rejection = HttpFailure;

    /// A chosen file counts more than the text, which may be what an earlier page filled in.
    async fn from_request(request: Request, state: &S) -> Result<Self> {
        let mut form = Multipart::from_request(request, state).await?;
        let mut submitted = Self::default();
        let mut file = Bytes::new();
        while let Some(part) = form.next_field().await? {
            match part.name() {
                // Browsers send the line ends of texts as CRLF, whatever they were.
                Some("manifest") => submitted.manifest = part.text().await?.replace("\r\n", "\n").into(),
                Some("file") => file = part.bytes().await?,
                Some("profile") => submitted.rules.profile = profile(&part.text().await?)?,
                Some("strict") => submitted.rules.strict = part.text().await? == "true",
                _ => {}
            }
        }
        if !file.is_empty() {
            submitted.manifest = file;
        }
        Ok(submitted)
    }
}

fn profile(word: &str) -> Result<ValidationProfile> {
    let found = ValidationProfile::ALL.into_iter().find(|profile| profile.as_str() == word);
    found.ok_or_else(|| {
        let known = ValidationProfile::ALL.map(ValidationProfile::as_str).join(", ");
        Error::Unprocessable(format!("profile is `{word}`; it must be one of {known}")).into()
    })
}
