//! `/admin/registries/{id}/hook`: makes, replaces and removes the address for a registry's notifications.

use askama::Template;
use axum::response::Response;
use secrecy::{ExposeSecret as _, SecretString};

use crate::app::{App, Error, NewHook, UserSession};
use crate::catalog::RegistryId;
use crate::http::error::Result;
use crate::http::extract::{PathId, RequestApp};
use crate::http::pages::form::PageForm;
use crate::http::pages::frame::PageSection;
use crate::http::pages::{PageFrame, filters, reply, reply_to_form, see_other};
use crate::http::proxied::PublicUrl;

#[derive(Template)]
#[template(path = "admin_hook.html")]
struct HookPage {
    frame: PageFrame,
    token: String,
    id: RegistryId,
    name: String,
    has_hook: bool,
    /// Only in the reply that makes it.
    made: Option<NewHook>,
    problem: Option<String>,
}

impl HookPage {
    async fn read(app: &App, frame: PageFrame, session: &UserSession, id: RegistryId) -> Result<Self> {
        let registry = app.registry_get(id).await?;
        Ok(Self {
            token: app.form_token(session),
            frame: frame.in_section(PageSection::Admin),
            id,
            name: registry.name,
            has_hook: registry.has_hook,
            made: None,
            problem: None,
        })
    }
}

pub(super) async fn show(
    RequestApp(app): RequestApp,
    frame: PageFrame,
    session: UserSession,
    PathId(id): PathId<RegistryId>,
) -> Result<Response> {
    reply(&HookPage::read(&app, frame, &session, id).await?)
}

/// Makes a hook. The reply is the page with its address, not a redirect: only its hash is stored, so no other page can
/// show it.
pub(super) async fn make(
    RequestApp(app): RequestApp,
    frame: PageFrame,
    session: UserSession,
    PublicUrl(base): PublicUrl,
    PathId(id): PathId<RegistryId>,
    form: PageForm,
) -> Result<Response> {
    let secret = SecretString::from(form.text("secret"));
    match app.hook_make(id, &base, Some(&secret)).await {
        Ok(made) => reply(&HookPage { made: Some(made), ..HookPage::read(&app, frame, &session, id).await? }),
        Err(why @ Error::Invalid(_)) => {
            let page = HookPage::read(&app, frame, &session, id).await?;
            let page = HookPage { problem: Some(why.to_string()), ..page };
            reply_to_form(why, &page)
        }
        Err(why) => Err(why.into()),
    }
}

pub(super) async fn remove(
    RequestApp(app): RequestApp,
    PathId(id): PathId<RegistryId>,
    _form: PageForm,
) -> Result<Response> {
    app.hook_remove(id).await?;
    Ok(see_other(&format!("/admin/registries/{id}?done=unhooked")))
}
