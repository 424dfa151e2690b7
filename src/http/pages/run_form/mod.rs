//! `/job/{name}/{jobVersion}/{packageVersion}/run`: the form of a run, made from the manifest.

mod asked;
mod choices;
mod fields;
mod plan_view;
mod prefilled;
mod problem;
mod runner;
mod view;

use axum::extract::Request;
use axum::response::Response;
use serde::Deserialize;

use self::asked::AskedRun;
use self::plan_view::PlanView;
use self::prefilled::prefilled;
use self::runner::FormRunner;
use self::view::{FormResult, FormSubject, RunFormPage};
use super::file_form::FileForm;
use super::{PageFrame, reply, reply_to_form, see_other};
use crate::app::{App, EarlierRun, Error, JobKey, JobVersionChoice, SubmitOutcome, UserSession};
use crate::catalog::ImageId;
use crate::http::error::Result;
use crate::http::extract::{PathParameters, QueryParameters, RequestApp};
use crate::http::path_part::read_part;
use crate::http::proxied::PublicUrl;
use crate::http::routes::{RouteAccess, RouteTable};

pub(super) fn add(routes: RouteTable) -> RouteTable {
    const PATH: &str = "/job/{name}/{job_version}/{package_version}/run";
    routes.add_page(PATH, RouteAccess::Anyone, show).add_file_form(PATH, RouteAccess::Runner, send)
}

/// Name, job version and package version in the path.
type VersionPath = (String, String, String);

#[derive(Deserialize)]
struct RunFormQuery {
    /// One of several images with the same versions.
    image: Option<i64>,
    /// Id of an earlier run that the form begins with.
    #[serde(default)]
    from: String,
}

/// The form; for those who may not run jobs, why.
async fn show(
    RequestApp(app): RequestApp,
    frame: PageFrame,
    session: Option<UserSession>,
    PathParameters(version): PathParameters<VersionPath>,
    QueryParameters(asked): QueryParameters<RunFormQuery>,
) -> Result<Response> {
    let subject = subject(&app, version, asked.image).await?;
    let session = session.filter(|_| frame.may_run());
    let (Some(session), Some(manifest)) = (session, &subject.manifest) else {
        return reply(&RunFormPage::closed(frame, &subject));
    };
    let earlier = earlier(&app, &session, &asked.from).await?;
    let texts = earlier.as_ref().map(|earlier| prefilled(manifest, earlier)).unwrap_or_default();
    let runner = FormRunner::of(&app, &session).await?;
    reply(&RunFormPage::open(frame, &subject, manifest, &runner, earlier.as_ref(), &texts, FormResult::default()))
}

/// Checks the form, or runs the job.
async fn send(
    RequestApp(app): RequestApp,
    frame: PageFrame,
    PublicUrl(public_url): PublicUrl,
    session: UserSession,
    PathParameters(version): PathParameters<VersionPath>,
    QueryParameters(query): QueryParameters<RunFormQuery>,
    request: Request,
) -> Result<Response> {
    let mut form = FileForm::read(&app, &session, request, asked::is_wanted).await?;
    let subject = subject(&app, version, query.image).await?;
    let Some(manifest) = &subject.manifest else {
        return reply_to_form(
            Error::Invalid("The manifest has errors".to_owned()),
            &RunFormPage::closed(frame, &subject),
        );
    };
    let earlier = earlier(&app, &session, form.texts.text("from")).await?;
    let asked = AskedRun::read(subject.image_id, manifest, earlier.as_ref(), &mut form);
    let texts = form.texts;
    let planned = if texts.text("do") == "run" && asked.problems.is_empty() {
        match app.run_submit(&session, &asked.form).await {
            Ok(SubmitOutcome::Queued(run)) => return Ok(see_other(&format!("/run/{}", run.id))),
            Ok(SubmitOutcome::Alike(run)) => return Ok(see_other(&format!("/run/{}", run.id))),
            Err(why) => Err(why),
        }
    } else {
        app.run_plan(&session, &asked.form).await
    };
    let (result, why) = match planned {
        Ok(planned) if asked.problems.is_empty() => {
            (FormResult::Plan(Box::new(PlanView::new(planned, &public_url, &asked.form))), None)
        }
        Ok(_) => (FormResult::Problems(asked.problems), Some(Error::Invalid("The form has problems".to_owned()))),
        Err(why) if is_for_the_form(&why) => (FormResult::Problems(asked.with_problems_of(&why)), Some(why)),
        Err(why) => return Err(why.into()),
    };
    let runner = FormRunner::of(&app, &session).await?;
    let page = RunFormPage::open(frame, &subject, manifest, &runner, earlier.as_ref(), &texts, result);
    match why {
        Some(why) => reply_to_form(why, &page),
        None => reply(&page),
    }
}

/// Whether an error tells the user what to change, or that the server cannot run it now: the form stays.
fn is_for_the_form(why: &Error) -> bool {
    matches!(
        why,
        Error::Unrunnable(_)
            | Error::Invalid(_)
            | Error::NotFound(_)
            | Error::Conflict(_)
            | Error::TooLarge(_)
            | Error::Unavailable(_)
    )
}

async fn subject(app: &App, version: VersionPath, image: Option<i64>) -> Result<FormSubject> {
    let (name, job_version, package_version) = version;
    let choice =
        JobVersionChoice { job_version: read_part(&job_version), package_version: Some(read_part(&package_version)) };
    let key = JobKey::Name(read_part(&name));
    let detail = app.job_image(&key, Some(&choice), image.map(ImageId)).await?;
    Ok(FormSubject::new(detail, image.is_some()))
}

async fn earlier(app: &App, session: &UserSession, id: &str) -> Result<Option<EarlierRun>> {
    Ok(if id.is_empty() { None } else { Some(app.run_earlier(session, id).await?) })
}
