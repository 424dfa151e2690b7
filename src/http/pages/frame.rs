//! What the frame around every page needs: addresses, theme, the text in the search field; and who gets pages.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{HeaderMap, HeaderName, Uri, header};

use super::assets;
use super::next_page::login_path;
use crate::app::{App, UserSession};
use crate::catalog::{ImageId, UserRole};
use crate::http::cookies::cookie;
use crate::http::path_part::job_path;
use crate::http::proxied::PublicPrefix;

/// Asks for the content of `<main>` only, to replace it in a page that is open.
static FRAGMENT: HeaderName = HeaderName::from_static("x-fragment");

/// Cookie in which a browser keeps the theme, so that the first byte of a page has it.
const THEME_COOKIE: &str = "silo-theme";

/// The part of the main navigation that a page belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum PageSection {
    #[default]
    Jobs,
    Runs,
    News,
    Validate,
    Help,
    Account,
    /// What only admins see: registries, users, the system.
    Admin,
    /// None of them.
    Other,
}

/// What `layout.html` needs. A handler gets it as an extractor and hands it to its template in the field `frame`.
#[derive(Clone, Debug, Default)]
pub(crate) struct PageFrame {
    /// The path prefix that a proxy adds; empty at the root.
    prefix: String,
    /// `light` or `dark`; `None` follows the browser.
    theme: Option<&'static str>,
    is_fragment: bool,
    section: PageSection,
    /// Text in the search field.
    query: String,
    /// Path and query of the page, to come back to after a login.
    here: String,
    /// Name and role of the user who is logged in.
    user: Option<(String, UserRole)>,
}

impl PageFrame {
    pub(crate) fn of(headers: &HeaderMap, uri: &Uri, app: &App) -> Self {
        Self {
            prefix: PublicPrefix::of(headers, app).0,
            theme: theme(headers),
            is_fragment: headers.contains_key(&FRAGMENT),
            section: PageSection::default(),
            query: String::new(),
            here: uri.path_and_query().map(|here| here.as_str().to_owned()).unwrap_or_default(),
            user: None,
        }
    }

    /// The same frame for the user of this session.
    pub(crate) fn with_session(self, session: Option<&UserSession>) -> Self {
        Self { user: session.map(|session| (session.user.username.clone(), session.user.role)), ..self }
    }

    /// Name of the user who is logged in.
    pub(crate) fn user(&self) -> Option<&str> {
        self.user.as_ref().map(|(name, _)| name.as_str())
    }

    /// Whether the user who is logged in may run jobs.
    pub(crate) fn may_run(&self) -> bool {
        self.user.as_ref().is_some_and(|(_, role)| matches!(role, UserRole::Admin | UserRole::Runner))
    }

    /// Whether an admin is logged in.
    pub(crate) fn is_admin(&self) -> bool {
        self.user.as_ref().is_some_and(|(_, role)| *role == UserRole::Admin)
    }

    /// The address of the page to log in, which leads back to this one.
    pub(crate) fn login_url(&self) -> String {
        self.url(&login_path(&self.here))
    }

    /// The same frame around a page of another section.
    pub(crate) fn in_section(self, section: PageSection) -> Self {
        Self { section, ..self }
    }

    /// The same frame with a text in the search field.
    pub(crate) fn with_query(self, query: &str) -> Self {
        Self { query: query.to_owned(), ..self }
    }

    /// The text in the search field.
    pub(crate) fn query(&self) -> &str {
        &self.query
    }

    /// An address of our own, from a path such as `/search`.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.prefix)
    }

    /// The address of a file of `assets/`; it changes with the content.
    pub(crate) fn asset(&self, name: &str) -> String {
        self.url(&format!("/assets/{}/{name}", assets::revision()))
    }

    /// The address of a job's page.
    pub(crate) fn job_url(&self, name: &str) -> String {
        self.url(&job_path(name))
    }

    /// The address of an image, which leads to its job's page.
    pub(crate) fn image_url(&self, id: ImageId) -> String {
        self.url(&format!("/image/{id}"))
    }

    /// Whether only the content of `<main>` is asked for.
    pub(crate) fn is_fragment(&self) -> bool {
        self.is_fragment
    }

    /// The value of `data-theme`; empty if the browser decides.
    pub(crate) fn theme(&self) -> &'static str {
        self.theme.unwrap_or_default()
    }

    pub(crate) fn is_in_jobs(&self) -> bool {
        self.section == PageSection::Jobs
    }

    pub(crate) fn is_in_runs(&self) -> bool {
        self.section == PageSection::Runs
    }

    pub(crate) fn is_in_admin(&self) -> bool {
        self.section == PageSection::Admin
    }

    pub(crate) fn is_in_news(&self) -> bool {
        self.section == PageSection::News
    }

    pub(crate) fn is_in_validate(&self) -> bool {
        self.section == PageSection::Validate
    }

    pub(crate) fn is_in_help(&self) -> bool {
        self.section == PageSection::Help
    }

    pub(crate) fn is_in_account(&self) -> bool {
        self.section == PageSection::Account
    }

    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Version of this program.
    pub(crate) fn version(&self) -> &'static str {
        env!("CARGO_PKG_VERSION")
    }
}

impl FromRequestParts<App> for PageFrame {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.headers, &parts.uri, app).with_session(parts.extensions.get()))
    }
}

/// Whether a client asks for pages: browsers name `text/html`, programs do not (`*/*` does not count).
pub(crate) fn wants_html(headers: &HeaderMap) -> bool {
    let lists = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| list.split(',')).any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let is_html = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("text/html"));
        let weight = parts.find_map(|part| part.strip_prefix("q="));
        is_html && weight.is_none_or(|weight| weight.parse::<f32>().is_ok_and(|weight| weight > 0.0))
    })
}

fn theme(headers: &HeaderMap) -> Option<&'static str> {
    let value = cookie(headers, THEME_COOKIE)?;
    ["light", "dark"].into_iter().find(|theme| *theme == value)
}

#[cfg(test)]
mod tests {

    use super::*;

    #[test]
    fn only_those_who_name_html_get_it() {
        for (accept, expected) in [
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", true),
            ("application/json, TEXT/HTML ; q=0.5", true),
            ("*/*", false),
            ("text/*", false),
            ("text/html;q=0", false),
            ("text/html;q=x", false),
            ("application/json, text/plain, */*", false),
            ("text/htmlx", false),
        ] {
            let headers = HeaderMap::from_iter([(header::ACCEPT, accept.parse().expect("a value"))]);
            assert_eq!(wants_html(&headers), expected, "{accept}");
        }
        assert!(!wants_html(&HeaderMap::new()));
    }

    #[test]
    fn the_theme_is_one_of_two() {
        for (cookie, expected) in [
            ("silo-theme=dark", Some("dark")),
            ("a=b; silo-theme=light; c=d", Some("light")),
            ("silo-theme=\"><script>", None),
            ("xsilo-theme=dark", None),
        ] {
            let headers = HeaderMap::from_iter([(header::COOKIE, cookie.parse().expect("a value"))]);
            assert_eq!(theme(&headers), expected, "{cookie}");
        }
    }
}
