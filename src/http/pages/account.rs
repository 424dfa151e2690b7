//! `/account`: the user's password and sessions.

use askama::Template;
use axum::response::Response;
use http::{HeaderMap, Uri};
use secrecy::SecretString;
use serde::Deserialize;

use super::filters;
use super::form::PageForm;
use super::frame::PageSection;
use super::session::logged_out;
use super::shown_time::ShownTime;
use super::{PageFrame, reply, reply_to_form, see_other};
use crate::app::{App, Error, UserSession};
use crate::catalog::{SessionKind, SessionRecord};
use crate::http::error::Result;
use crate::http::extract::{PathParameters, QueryParameters, RequestApp};

#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage {
    frame: PageFrame,
    username: String,
    role: &'static str,
    /// What the last form did.
    done: Option<&'static str>,
    /// What was wrong with the form of the password.
    problem: Option<String>,
    sessions: Vec<SessionRow>,
    /// Of the forms of this session.
    token: String,
}

/// A session in the list.
struct SessionRow {
    /// Target of the form that ends it.
    url: String,
    is_current: bool,
    label: String,
    /// The whole `User-Agent`.
    agent: String,
    address: String,
    begun: ShownTime,
    used: ShownTime,
}

impl AccountPage {
    async fn read(app: &App, frame: PageFrame, session: &UserSession) -> Result<Self> {
        let sessions = app.session_list(session).await?;
        let row = |one: SessionRecord| SessionRow {
            url: frame.url(&format!("/account/sessions/{}", one.id)),
            is_current: one.id == session.id(),
            label: label(&one),
            agent: one.agent,
            address: one.address,
            begun: ShownTime::of(one.created_at),
            used: ShownTime::of(one.last_used_at),
        };
        Ok(Self {
            sessions: sessions.into_iter().map(row).collect(),
            username: session.user.username.clone(),
            role: session.user.role.as_str(),
            done: None,
            problem: None,
            token: app.form_token(session),
            frame: frame.in_section(PageSection::Account),
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AccountQuery {
    /// What the form did that led here: `password` or `session`.
    done: Option<String>,
}

pub(super) async fn show(
    RequestApp(app): RequestApp,
    frame: PageFrame,
    session: UserSession,
    QueryParameters(AccountQuery { done }): QueryParameters<AccountQuery>,
) -> Result<Response> {
    let mut page = AccountPage::read(&app, frame, &session).await?;
    page.done = match done.as_deref() {
        Some("password") => Some("Your password is changed. All your other sessions have ended."),
        Some("session") => Some("The session has ended."),
        _ => None,
    };
    reply(&page)
}

pub(super) async fn change_password(
    RequestApp(app): RequestApp,
    frame: PageFrame,
    session: UserSession,
    form: PageForm,
) -> Result<Response> {
    let [old, new] = ["old", "new"].map(|name| SecretString::from(form.text(name)));
    let changed = match form.text("new") == form.text("again") {
        true => app.password_change(&session, &old, &new).await,
        false => Err(Error::Invalid("The two new passwords differ".to_owned())),
    };
    match changed {
        Ok(()) => Ok(see_other("/account?done=password")),
        Err(why @ (Error::Invalid(_) | Error::Throttled { .. })) => {
            let mut page = AccountPage::read(&app, frame, &session).await?;
            page.problem = Some(why.to_string());
            reply_to_form(why, &page)
        }
        Err(why) => Err(why.into()),
    }
}

/// Ends one session; this one, too, which logs out.
pub(super) async fn end_session(
    RequestApp(app): RequestApp,
    session: UserSession,
    PathParameters(id): PathParameters<String>,
    (headers, uri): (HeaderMap, Uri),
    _form: PageForm,
) -> Result<Response> {
    app.session_revoke(&session, &id).await?;
    Ok(if id == session.id() { logged_out(&app, &headers, &uri) } else { see_other("/account?done=session") })
}

/// Logs out everywhere.
pub(super) async fn end_all_sessions(
    RequestApp(app): RequestApp,
    session: UserSession,
    (headers, uri): (HeaderMap, Uri),
    _form: PageForm,
) -> Result<Response> {
    app.session_revoke_all(&session).await?;
    Ok(logged_out(&app, &headers, &uri))
}

/// What people know a session by: its name, else its browser and system, else its program.
fn label(session: &SessionRecord) -> String {
    /// In characters.
    const LONGEST: usize = 60;
    if !session.name.is_empty() {
        return session.name.clone();
    }
    match browser(&session.agent) {
        Some(browser) if session.kind == SessionKind::Page => browser,
        _ if session.agent.is_empty() => "Unknown program".to_owned(),
        _ => session.agent.chars().take(LONGEST).collect(),
    }
}

/// Browser and system of a `User-Agent`. Most browsers claim to be others, too: the first word that fits counts.
fn browser(agent: &str) -> Option<String> {
    const BROWSERS: [(&str, &str); 6] = [
        ("Edg/", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("Chromium/", "Chromium"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
    ];
    const SYSTEMS: [(&str, &str); 6] = [
        ("Windows", "Windows"),
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Mac OS X", "macOS"),
        ("Linux", "Linux"),
    ];
    let find =
        |words: &[(&str, &'static str)]| words.iter().find(|(word, _)| agent.contains(word)).map(|(_, name)| *name);
    let name = find(&BROWSERS)?;
    Some(find(&SYSTEMS).map_or_else(|| name.to_owned(), |system| format!("{name} on {system}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_is_named_as_people_know_it() {
        for (agent, expected) in [
            ("Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0", Some("Firefox on Linux")),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 \
                 Safari/537.36 Edg/156.0.0.0",
                Some("Edge on Windows"),
            ),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_0) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/19.0 \
                 Safari/605.1.15",
                Some("Safari on macOS"),
            ),
            ("curl/8.5.0", None),
            ("", None),
        ] {
            assert_eq!(browser(agent).as_deref(), expected, "{agent}");
        }
    }
}
