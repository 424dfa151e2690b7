//! `/admin/users`: all users, and one of them.

use askama::Template;
use axum::response::Response;
use http::{HeaderMap, Uri};
use secrecy::SecretString;
use serde::Deserialize;

use crate::app::{App, Error, NewUser, UserChange, UserSession, role_named};
use crate::catalog::{ListPage, ListPosition, NameOrder, SortKey, UserFilter, UserId, UserOverview};
use crate::http::error::Result;
use crate::http::extract::{PathId, QueryParameters, RequestApp};
use crate::http::pages::form::PageForm;
use crate::http::pages::frame::PageSection;
use crate::http::pages::session::logged_out;
use crate::http::pages::shown_time::ShownTime;
use crate::http::pages::{PageFrame, filters, reply, reply_to_form, see_other};

/// A user as it is shown.
struct UserRow {
    id: UserId,
    username: String,
    role: &'static str,
    added: ShownTime,
    /// `None` if there was none for long.
    last_login: Option<ShownTime>,
    sessions: u64,
    is_self: bool,
}

impl UserRow {
    fn new(overview: UserOverview, session: &UserSession) -> Self {
        let UserOverview { user, last_login_at, sessions } = overview;
        Self {
            is_self: user.id == session.user.id,
            id: user.id,
            username: user.username,
            role: user.role.as_str(),
            added: ShownTime::of(user.created_at),
            last_login: last_login_at.map(ShownTime::of),
            sessions,
        }
    }
}

#[derive(Template)]
#[template(path = "admin_users.html")]
struct UsersPage {
    frame: PageFrame,
    token: String,
    done: Option<&'static str>,
    users: Vec<UserRow>,
    /// Name and id after which the next page begins.
    next: Option<(String, i64)>,
    /// What the form of a new user contains.
    username: String,
    role: String,
    /// What was wrong with it.
    problem: Option<String>,
}

impl UsersPage {
    async fn read(app: &App, frame: PageFrame, session: &UserSession, after: Option<ListPosition>) -> Result<Self> {
        const LIMIT: u32 = 50;
        let page = ListPage { order: NameOrder::Name, is_descending: false, after, limit: LIMIT };
        let users = app.user_page(&UserFilter::default(), &page).await?;
        let last = users.last().filter(|_| users.len() == LIMIT as usize);
        Ok(Self {
            token: app.form_token(session),
            frame: frame.in_section(PageSection::Admin),
            done: None,
            next: last.map(|last| (last.user.username.clone(), last.user.id.0)),
            users: users.into_iter().map(|user| UserRow::new(user, session)).collect(),
            username: String::new(),
            role: "user".to_owned(),
            problem: None,
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UsersQuery {
    /// What the form did that led here.
    done: Option<String>,
    /// Name and id of the last user of the page before.
    after: Option<String>,
    #[serde(default)]
    id: i64,
}

pub(super) async fn show(
    RequestApp(app): RequestApp,
    frame: PageFrame,
    session: UserSession,
    QueryParameters(UsersQuery { done, after, id }): QueryParameters<UsersQuery>,
) -> Result<Response> {
    let after = after.map(|name| ListPosition { key: SortKey::Text(name), id });
    let mut page = UsersPage::read(&app, frame, &session, after).await?;
    page.done = match done.as_deref() {
        Some("added") => Some("The user is added."),
        Some("deleted") => Some("The user is deleted."),
        _ => None,
    };
    reply(&page)
}

pub(super) async fn add(
    RequestApp(app): RequestApp,
    frame: PageFrame,
    session: UserSession,
    form: PageForm,
) -> Result<Response> {
    let (username, role) = (form.text("username").trim().to_owned(), form.text("role").to_owned());
    let new = NewUser { username, password: SecretString::from(form.text("password")), role };
    match app.user_add(&new).await {
        Ok(_) => Ok(see_other("/admin/users?done=added")),
        Err(why @ (Error::Invalid(_) | Error::Duplicate(_))) => {
            let page = UsersPage::read(&app, frame, &session, None).await?;
            let NewUser { username, role, .. } = new;
            reply_to_form_of(why, |problem| UsersPage { username, role, problem: Some(problem), ..page })
        }
        Err(why) => Err(why.into()),
    }
}

#[derive(Template)]
#[template(path = "admin_user.html")]
struct UserPage {
    frame: PageFrame,
    token: String,
    done: Option<&'static str>,
    user: UserRow,
    /// What was wrong with the last form.
    problem: Option<String>,
}

impl UserPage {
    async fn read(app: &App, frame: PageFrame, session: &UserSession, id: UserId) -> Result<Self> {
        Ok(Self {
            token: app.form_token(session),
            frame: frame.in_section(PageSection::Admin),
            done: None,
            user: UserRow::new(app.user_overview(id).await?, session),
            problem: None,
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UserQuery {
    done: Option<String>,
}

pub(super) async fn show_one(
    RequestApp(app): RequestApp,
    frame: PageFrame,
    session: UserSession,
    PathId(id): PathId<UserId>,
    QueryParameters(UserQuery { done }): QueryParameters<UserQuery>,
) -> Result<Response> {
    let mut page = UserPage::read(&app, frame, &session, id).await?;
    page.done = match done.as_deref() {
        Some("role") => Some("The role is changed. All sessions of the user have ended."),
        Some("password") => Some("The password is changed. All sessions of the user have ended."),
        _ => None,
    };
    reply(&page)
}

pub(super) async fn change_role(
    RequestApp(app): RequestApp,
    frame: PageFrame,
    session: UserSession,
    PathId(id): PathId<UserId>,
    (headers, uri): (HeaderMap, Uri),
    form: PageForm,
) -> Result<Response> {
    let outcome = match role_named(form.text("role")) {
        // A role that stays ends no session.
        Ok(role) if app.user_get(id).await?.role == role => return Ok(see_other(&format!("/admin/users/{id}"))),
        Ok(role) => app.user_change(id, &UserChange { role: Some(role), password: None }).await,
        Err(why) => Err(why),
    };
    after_change(&app, frame, &session, (id, "role"), outcome, (headers, uri)).await
}

pub(super) async fn reset_password(
    RequestApp(app): RequestApp,
    frame: PageFrame,
    session: UserSession,
    PathId(id): PathId<UserId>,
    (headers, uri): (HeaderMap, Uri),
    form: PageForm,
) -> Result<Response> {
    let change = UserChange { role: None, password: Some(SecretString::from(form.text("password"))) };
    let outcome = app.user_change(id, &change).await;
    after_change(&app, frame, &session, (id, "password"), outcome, (headers, uri)).await
}

pub(super) async fn delete(
    RequestApp(app): RequestApp,
    frame: PageFrame,
    session: UserSession,
    PathId(id): PathId<UserId>,
    (headers, uri): (HeaderMap, Uri),
    _form: PageForm,
) -> Result<Response> {
    let user = app.user_get(id).await?;
    let outcome = app.user_delete(user.id).await;
    after_change(&app, frame, &session, (id, "deleted"), outcome, (headers, uri)).await
}

/// The reply after a change of a user: the page with what was wrong, else a redirect. A change of the own account has
/// ended its session.
async fn after_change(
    app: &App,
    frame: PageFrame,
    session: &UserSession,
    (id, done): (UserId, &str),
    outcome: crate::app::Result<()>,
    (headers, uri): (HeaderMap, Uri),
) -> Result<Response> {
    match outcome {
        Ok(()) if id == session.user.id => Ok(logged_out(app, &headers, &uri)),
        Ok(()) if done == "deleted" => Ok(see_other("/admin/users?done=deleted")),
        Ok(()) => Ok(see_other(&format!("/admin/users/{id}?done={done}"))),
        Err(why @ (Error::Invalid(_) | Error::Conflict(_))) => {
            let page = UserPage::read(app, frame, session, id).await?;
            reply_to_form_of(why, |problem| UserPage { problem: Some(problem), ..page })
        }
        Err(why) => Err(why.into()),
    }
}

fn reply_to_form_of<T: Template>(why: Error, page: impl FnOnce(String) -> T) -> Result<Response> {
    let page = page(why.to_string());
    reply_to_form(why, &page)
}
