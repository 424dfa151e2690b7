//! `/admin/registries/new`: the address first, from which the kind is found out; then the fields of that kind.

use askama::Template;
use axum::response::Response;

use super::registry_fields::{RegistryFields, RegistryFieldsView};
use crate::app::{App, Error, RegistryCheck, RegistryFieldProblem, UserSession, registry_field_problems};
use crate::catalog::{RegistryKind, ScanTrigger};
use crate::http::error::Result;
use crate::http::extract::RequestApp;
use crate::http::pages::form::PageForm;
use crate::http::pages::frame::PageSection;
use crate::http::pages::{PageFrame, filters, reply, reply_to_form, see_other};

#[derive(Template)]
#[template(path = "admin_registry_add.html")]
struct RegistryAddPage {
    frame: PageFrame,
    token: String,
    /// The address that was given.
    url: String,
    /// The fields, once the kind is known.
    view: Option<RegistryFieldsView>,
    /// What was wrong with the form as a whole, or with the address.
    problem: Option<String>,
    /// What a check found out.
    checked: Option<RegistryCheck>,
}

impl RegistryAddPage {
    fn new(app: &App, frame: PageFrame, session: &UserSession) -> Self {
        Self {
            token: app.form_token(session),
            frame: frame.in_section(PageSection::Admin),
            url: String::new(),
            view: None,
            problem: None,
            checked: None,
        }
    }

    fn with_fields(self, fields: &RegistryFields, kind: RegistryKind, problems: &[RegistryFieldProblem]) -> Self {
        Self { url: fields.url.clone(), view: Some(fields.view(kind, problems, true)), ..self }
    }
}

pub(super) async fn show(RequestApp(app): RequestApp, frame: PageFrame, session: UserSession) -> Result<Response> {
    reply(&RegistryAddPage::new(&app, frame, &session))
}

/// One step of the form: `find` the kind, show the fields of another `kind`, `check`, `add`.
pub(super) async fn send(
    RequestApp(app): RequestApp,
    frame: PageFrame,
    session: UserSession,
    form: PageForm,
) -> Result<Response> {
    let page = RegistryAddPage::new(&app, frame, &session);
    let fields = RegistryFields::read(&form);
    let step = form.text("step");
    let Some(kind) = RegistryKind::parse(form.text("kind")).filter(|_| step != "find") else {
        return find_kind(&app, page, &fields).await;
    };
    if step == "kind" {
        return reply(&page.with_fields(&fields, kind, &[]));
    }
    let new = fields.form(kind, form.text("password"), form.text("client_key"));
    let problems = registry_field_problems(&new);
    if !problems.is_empty() {
        let page = RegistryAddPage {
            problem: Some("Nothing was added: see the fields below".to_owned()),
            ..page.with_fields(&fields, kind, &problems)
        };
        return reply_to_form(Error::Invalid(String::new()), &page);
    }
    let outcome = match step {
        "add" => match app.registry_add(&new).await {
            Ok(added) => {
                let id = added.registry.id;
                app.scan_request(id, ScanTrigger::Manual).await?;
                return Ok(see_other(&format!("/admin/registries/{id}?done=added")));
            }
            Err(why) => Err(why),
        },
        _ => app.registry_check(&new).await,
    };
    let page = page.with_fields(&fields, kind, &[]);
    match outcome {
        Ok(checked) => reply(&RegistryAddPage { checked: Some(checked), ..page }),
        Err(why @ (Error::Invalid(_) | Error::Duplicate(_))) => {
            let page = RegistryAddPage { problem: Some(why.to_string()), ..page };
            reply_to_form(why, &page)
        }
        Err(why) => Err(why.into()),
    }
}

async fn find_kind(app: &App, page: RegistryAddPage, fields: &RegistryFields) -> Result<Response> {
    match app.registry_kind(&fields.url).await {
        Ok(kind) => reply(&page.with_fields(fields, kind, &[])),
        Err(why @ Error::Invalid(_)) => {
            let page = RegistryAddPage { url: fields.url.clone(), problem: Some(why.to_string()), ..page };
            reply_to_form(why, &page)
        }
        Err(why) => Err(why.into()),
    }
}
