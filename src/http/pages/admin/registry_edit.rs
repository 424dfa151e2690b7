//! `/admin/registries/{id}/edit`: changes a registry. Its secrets are kept, removed or replaced, and never shown.

use askama::Template;
use axum::response::Response;
use secrecy::SecretString;

use super::registry_fields::{RegistryFields, RegistryFieldsView};
use crate::app::{
    App, Error, RegistryAccessChange, RegistryChange, RegistryCheck, RegistryFieldProblem, RegistryForm,
    RegistryStatus, UserSession, registry_field_problems,
};
use crate::catalog::{RegistryId, SecretChange};
use crate::http::error::Result;
use crate::http::extract::{PathId, RequestApp};
use crate::http::pages::form::PageForm;
use crate::http::pages::frame::PageSection;
use crate::http::pages::{PageFrame, filters, reply, reply_to_form, see_other};

#[derive(Template)]
#[template(path = "admin_registry_edit.html")]
struct RegistryEditPage {
    frame: PageFrame,
    token: String,
    id: RegistryId,
    name: String,
    view: RegistryFieldsView,
    password: SecretChoice,
    client_key: SecretChoice,
    problem: Option<String>,
    checked: Option<RegistryCheck>,
}

/// What is to be done with a secret: the radio buttons of one.
struct SecretChoice {
    name: &'static str,
    label: &'static str,
    is_stored: bool,
    /// `keep`, `remove` or `set`.
    choice: &'static str,
}

impl SecretChoice {
    fn new(name: &'static str, label: &'static str, is_stored: bool, form: Option<&PageForm>) -> Self {
        let chosen = form.map(|form| form.text(&format!("{name}_choice"))).unwrap_or_default();
        let choice = ["remove", "set"].into_iter().find(|one| *one == chosen).unwrap_or("keep");
        Self { name, label, is_stored, choice }
    }

    fn change(&self, form: &PageForm) -> SecretChange<SecretString> {
        match self.choice {
            "remove" => SecretChange::Remove,
            "set" => Some(SecretString::from(form.text(self.name))).into(),
            _ => SecretChange::Keep,
        }
    }
}

impl RegistryEditPage {
    fn new(
        app: &App,
        frame: PageFrame,
        session: &UserSession,
        status: &RegistryStatus,
        form: Option<&PageForm>,
        problems: &[RegistryFieldProblem],
    ) -> Self {
        let fields = form.map_or_else(|| RegistryFields::of(status), RegistryFields::read);
        let registry = &status.registry;
        let has_certificate = !registry.client_certificate.is_empty();
        Self {
            token: app.form_token(session),
            frame: frame.in_section(PageSection::Admin),
            id: registry.id,
            name: registry.name.clone(),
            view: fields.view(registry.kind, problems, false),
            password: SecretChoice::new("password", "Password", registry.has_password, form),
            client_key: SecretChoice::new("client_key", "Key of the client certificate (PEM)", has_certificate, form),
            problem: None,
            checked: None,
        }
    }
}

pub(super) async fn show(
    RequestApp(app): RequestApp,
    frame: PageFrame,
    session: UserSession,
    PathId(id): PathId<RegistryId>,
) -> Result<Response> {
    let status = app.registry_status(id).await?;
    reply(&RegistryEditPage::new(&app, frame, &session, &status, None, &[]))
}

/// Checks the changed registry, or changes it.
pub(super) async fn send(
    RequestApp(app): RequestApp,
    frame: PageFrame,
    session: UserSession,
    PathId(id): PathId<RegistryId>,
    form: PageForm,
) -> Result<Response> {
    let status = app.registry_status(id).await?;
    let registry = &status.registry;
    let mut new = RegistryFields::read(&form).form(registry.kind, "", "");
    new.name.clone_from(&registry.name);
    let problems = registry_field_problems(&new);
    let page = RegistryEditPage::new(&app, frame, &session, &status, Some(&form), &problems);
    if !problems.is_empty() {
        let page = RegistryEditPage { problem: Some("Nothing was changed: see the fields below".to_owned()), ..page };
        return reply_to_form(Error::Invalid(String::new()), &page);
    }
    let stored = RegistryFields::of(&status).form(registry.kind, "", "");
    let change = RegistryChange {
        password: page.password.change(&form),
        client_key: page.client_key.change(&form),
        ..change_between(stored, new)
    };
    let outcome = if form.text("step") == "check" {
        app.registry_check_change(registry.id, &change).await
    } else {
        match app.registry_change(registry.id, &change).await {
            Ok(_) => return Ok(see_other(&format!("/admin/registries/{}?done=changed", registry.id))),
            Err(why) => Err(why),
        }
    };
    match outcome {
        Ok(checked) => reply(&RegistryEditPage { checked: Some(checked), ..page }),
        Err(why @ (Error::Invalid(_) | Error::Conflict(_))) => {
            let page = RegistryEditPage { problem: Some(why.to_string()), ..page };
            reply_to_form(why, &page)
        }
        Err(why) => Err(why.into()),
    }
}

/// The values that differ. Secrets are kept.
fn change_between(old: RegistryForm, new: RegistryForm) -> RegistryChange {
    fn changed<T: PartialEq>(old: &T, new: T) -> Option<T> {
        (*old != new).then_some(new)
    }
    RegistryChange {
        url: changed(&old.url, new.url),
        org: changed(&old.org, new.org),
        username: changed(&old.username, new.username),
        password: SecretChange::Keep,
        ca: changed(&old.ca, new.ca),
        client_certificate: changed(&old.client_certificate, new.client_certificate),
        client_key: SecretChange::Keep,
        include: changed(&old.include, new.include),
        exclude: changed(&old.exclude, new.exclude),
        repositories: changed(&old.repositories, new.repositories),
        schedule: changed(&old.schedule, new.schedule),
        verified: changed(&old.verified.registry, new.verified.registry),
        verified_namespaces: changed(&old.verified.namespaces, new.verified.namespaces),
        access: RegistryAccessChange {
            visibility: changed(&old.visibility, new.visibility),
            members: changed(&old.members.users, new.members.users),
            groups: changed(&old.members.groups, new.members.groups),
            maintainers: changed(&old.members.maintainers, new.members.maintainers),
        },
    }
}
