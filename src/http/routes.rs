//! The table of routes, with the access each requires. Tests compare it with `openapi.yaml`, and call every route with
//! every role.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::handler::Handler;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use http::{HeaderValue, Method, header};

use super::admission::{BodyAdmission, LONGEST_LOGIN};
use super::cookies::{SessionCookie, SessionFromCookie};
use super::error::HttpFailure;
use super::extract::UnknownSession;
use super::pages::frame::{PageFrame, wants_html};
use super::pages::next_page::log_in_first;
use super::quota_holder::QuotaHolder;
use super::request_origin::RequestOrigin;
use super::serve::SpareConnection;
use super::stream::until_over;
use crate::app::{App, Error, UserSession};
use crate::catalog::{RegistryId, UserRole};

/// Who may call a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteAccess {
    Anyone,
    /// Any user with a valid token.
    User,
    /// Users that may run jobs.
    Runner,
    /// Admins, and the maintainers of the registry in the path.
    Maintainer,
    Admin,
}

/// What a route replies with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteContent {
    /// Data for programs, described in `openapi.yaml`.
    Data,
    /// A page, or a file that pages need.
    Page,
    /// A page to clients that name `text/html` in `Accept`, else data.
    Negotiated,
}

/// One entry of the table. `path` is in OpenAPI's form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteEntry {
    pub method: Method,
    pub path: &'static str,
    pub access: RouteAccess,
    pub content: RouteContent,
}

/// The router under construction, and its table.
pub struct RouteTable {
    pub(super) app: App,
    pub(super) router: Router<App>,
    table: Vec<RouteEntry>,
    /// Routes whose `POST` requests have the time limit of streamed bodies.
    pub(super) streamed: Vec<&'static str>,
    admission: Arc<BodyAdmission>,
}

impl RouteTable {
    /// A table without routes.
    pub(super) fn new(app: App) -> Self {
        let admission = Arc::new(BodyAdmission::new(app.settings().http.body_mib));
        Self { app, router: Router::new(), table: Vec::new(), streamed: Vec::new(), admission }
    }

    /// Adds a route at `path` (in OpenAPI's form; a part written `{*name}` matches slashes, too).
    pub fn add<H, T>(self, method: Method, path: &'static str, access: RouteAccess, handler: H) -> Self
    where
        H: Handler<T, App>,
        T: 'static,
    {
        self.serve(RouteEntry { method, path, access, content: RouteContent::Data }, false, |filter| {
            on(filter, handler)
        })
    }

    /// Adds a page, which replies to `GET`.
    pub fn add_page<H, T>(self, path: &'static str, access: RouteAccess, handler: H) -> Self
    where
        H: Handler<T, App>,
        T: 'static,
    {
        let entry = RouteEntry { method: Method::GET, path, access, content: RouteContent::Page };
        self.serve(entry, false, |filter| on(filter, handler))
    }

    /// Adds the target of a page's form, which is sent with `POST`. Its handler reads the form as `PageForm`, and
    /// replies with a redirect, or with the page and what is wrong with the form.
    pub fn add_form<H, T>(self, path: &'static str, access: RouteAccess, handler: H) -> Self
    where
        H: Handler<T, App>,
        T: 'static,
    {
        self.add_form_capped(path, access, handler, LONGEST_LOGIN)
    }

    /// The same for larger forms, with a limit in bytes.
    pub fn add_form_capped<H, T>(self, path: &'static str, access: RouteAccess, handler: H, longest: usize) -> Self
    where
        H: Handler<T, App>,
        T: 'static,
    {
        let entry = RouteEntry { method: Method::POST, path, access, content: RouteContent::Page };
        self.serve(entry, false, |filter| on(filter, handler).layer(DefaultBodyLimit::max(longest)))
    }

    /// The same with the usual limit on the body. The handler of one of `HARMLESS` reads the form as it likes.
    pub fn add_long_form<H, T>(self, path: &'static str, access: RouteAccess, handler: H) -> Self
    where
        H: Handler<T, App>,
        T: 'static,
    {
        let entry = RouteEntry { method: Method::POST, path, access, content: RouteContent::Page };
        self.serve(entry, false, |filter| on(filter, handler))
    }

    /// The same for a form with files, which its handler reads with `FileForm` as they arrive.
    pub fn add_file_form<H, T>(self, path: &'static str, access: RouteAccess, handler: H) -> Self
    where
        H: Handler<T, App>,
        T: 'static,
    {
        let entry = RouteEntry { method: Method::POST, path, access, content: RouteContent::Page };
        let mut routes = self.serve(entry, true, |filter| on(filter, handler).layer(DefaultBodyLimit::disable()));
        routes.streamed.push(path);
        routes
    }

    /// Adds a route that replies to `GET` with a page or with data, as the client asks.
    pub fn add_negotiated<H, T>(self, path: &'static str, access: RouteAccess, handler: H) -> Self
    where
        H: Handler<T, App>,
        T: 'static,
    {
        let entry = RouteEntry { method: Method::GET, path, access, content: RouteContent::Negotiated };
        self.serve(entry, false, |filter| on(filter, handler))
    }

    /// The same, with a limit on the body in bytes.
    pub fn add_capped<H, T>(
        self,
        method: Method,
        path: &'static str,
        access: RouteAccess,
        handler: H,
        longest: usize,
    ) -> Self
    where
        H: Handler<T, App>,
        T: 'static,
    {
        let served = |filter| on(filter, handler).layer(DefaultBodyLimit::max(longest));
        self.serve(RouteEntry { method, path, access, content: RouteContent::Data }, false, served)
    }

    /// The same for bodies that are read as they arrive: the handler limits their size and time.
    pub fn add_streamed<H, T>(self, method: Method, path: &'static str, access: RouteAccess, handler: H) -> Self
    where
        H: Handler<T, App>,
        T: 'static,
    {
        let served = |filter| on(filter, handler).layer(DefaultBodyLimit::disable());
        let mut routes = self.serve(RouteEntry { method, path, access, content: RouteContent::Data }, true, served);
        routes.streamed.push(path);
        routes
    }

    fn serve(
        mut self,
        entry: RouteEntry,
        is_streamed: bool,
        served: impl FnOnce(MethodFilter) -> MethodRouter<App>,
    ) -> Self {
        let RouteEntry { method, path, access, content } = &entry;
        let filter = MethodFilter::try_from(method.clone()).expect("routes use the methods that MethodFilter knows");
        let guard = Arc::new(RouteGuard {
            app: self.app.clone(),
            path,
            admission: Arc::clone(&self.admission),
            access: *access,
            content: *content,
            is_streamed,
            is_harmless: HARMLESS.contains(path),
            takes_ticket: TICKETED.contains(path) && *method == Method::GET,
            takes_cookie: path.starts_with("/api/v1/") || (*content == RouteContent::Page && *path != ASSETS),
        });
        let guard = middleware::from_fn(move |request: Request, next: Next| {
            let guard = Arc::clone(&guard);
            async move { Ok::<_, Infallible>(guarded(&guard, request, next).await) }
        });
        self.router = self.router.route(path, served(filter).layer(guard));
        self.table.push(entry);
        self
    }

    /// The table.
    pub fn table(&self) -> &[RouteEntry] {
        &self.table
    }
}

/// The checks before the handler of a route.
struct RouteGuard {
    app: App,
    path: &'static str,
    admission: Arc<BodyAdmission>,
    access: RouteAccess,
    content: RouteContent,
    /// The handler reads the body as it arrives, and acquires memory for what it keeps of it.
    is_streamed: bool,
    is_harmless: bool,
    takes_ticket: bool,
    /// The cookie of a browser may authenticate. Never for the legacy interface: there a `GET` starts a scan, so any
    /// link could.
    takes_cookie: bool,
}

/// How a request says whose it is.
enum RequestCredentials {
    Missing,
    /// The `Authorization` header.
    Header(String),
    Ticket(String),
    /// The token in a browser's cookie.
    Cookie(String),
}

impl RequestCredentials {
    /// A header counts before a ticket and the cookie. A ticket is taken out of the request's URL.
    fn take(guard: &RouteGuard, request: &mut Request, is_page: bool) -> Self {
        let ticket = if guard.takes_ticket { take_ticket(request) } else { None };
        let headers = request.headers();
        if let Some(value) = headers.get(header::AUTHORIZATION) {
            return Self::Header(value.to_str().unwrap_or_default().to_owned());
        }
        if let Some(ticket) = ticket {
            return Self::Ticket(ticket);
        }
        let takes_cookie = guard.takes_cookie || (guard.content == RouteContent::Negotiated && is_page);
        let cookie = takes_cookie.then(|| SessionCookie::of(headers, request.uri(), &guard.app));
        match cookie.as_ref().and_then(|cookie| cookie.token(headers)) {
            Some(token) => Self::Cookie(token.to_owned()),
            None => Self::Missing,
        }
    }

    /// # Errors
    /// [`Error::Unauthenticated`]; [`Error::StoreAway`].
    async fn session(&self, app: &App) -> Result<UserSession, Error> {
        match self {
            Self::Missing => app.authenticate(None).await,
            Self::Header(header) => app.authenticate(Some(header)).await,
            Self::Ticket(ticket) => app.authenticate_ticket(ticket).await,
            Self::Cookie(token) => app.authenticate_cookie(token).await,
        }
    }

    /// Whether a page of another site could have made a browser send the request: everything but a header and a ticket
    /// is sent by browsers on their own. To the pages, also without a session: a stranger must not log a browser in.
    fn may_be_forged(&self, guard: &RouteGuard, method: &Method, is_page: bool) -> bool {
        let is_stranger = is_page && !guard.is_harmless && matches!(self, Self::Missing);
        !method.is_safe() && (matches!(self, Self::Cookie(_)) || is_stranger)
    }
}

/// The path of files that are the same to everybody.
const ASSETS: &str = "/assets/{hash}/{name}";

/// Forms that change nothing: without a session it does not matter which page sends them, and they carry no token.
const HARMLESS: [&str; 1] = ["/validate"];

/// Paths that are served even on spare connections.
const PROBES: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// Paths whose replies do not depend on the session.
const SAME_TO_ALL: [&str; 5] = ["/", "/healthz", "/readyz", "/metrics", "/openapi.yaml"];

/// Streams that accept a ticket in the URL (`?ticket=`) instead of a token in a header.
const TICKETED: [&str; 4] =
    ["/api/v1/events", "/api/v1/scans/{id}/events", "/api/v1/runs/{id}/events", "/api/v1/runs/{id}/logs/{log}"];

/// Removes the ticket from a request's URL, and returns it.
fn take_ticket(request: &mut Request) -> Option<String> {
    let uri = request.uri();
    let pairs: Vec<(String, String)> = url::form_urlencoded::parse(uri.query()?.as_bytes()).into_owned().collect();
    let ticket = pairs.iter().find(|(name, _)| name == "ticket").map(|(_, value)| value.clone())?;
    let rest = pairs.iter().filter(|(name, _)| name != "ticket");
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(rest).finish();
    let address = if query.is_empty() { uri.path().to_owned() } else { format!("{}?{query}", uri.path()) };
    *request.uri_mut() = address.parse().ok()?;
    Some(ticket)
}

/// Checks access and adds the cache headers that follow from it.
async fn guarded(guard: &RouteGuard, mut request: Request, next: Next) -> Response {
    let is_open = guard.access == RouteAccess::Anyone && request.method().is_safe();
    let is_page = match guard.content {
        RouteContent::Data => false,
        RouteContent::Page => true,
        RouteContent::Negotiated => wants_html(request.headers()),
    };
    let frame = is_page.then(|| PageFrame::of(request.headers(), request.uri(), &guard.app));
    let credentials = RequestCredentials::take(guard, &mut request, is_page);
    let is_known = matches!(credentials, RequestCredentials::Header(_) | RequestCredentials::Cookie(_));
    let mut response = check_access(guard, &credentials, is_page, request, next).await;
    // Pages have more of it.
    if guard.content == RouteContent::Negotiated && !is_page {
        response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
    }
    // The envelope makes pages of errors by it, and adds the headers of pages.
    if let Some(frame) = frame {
        let session = response.extensions().get::<UserSession>().cloned();
        response.extensions_mut().insert(frame.with_session(session.as_ref()));
    }
    // Replies to one user, and replies with a token or a new secret, must not be cached.
    let no_store = HeaderValue::from_static("no-store");
    if !is_open {
        response.headers_mut().insert(header::CACHE_CONTROL, no_store);
    } else if is_known {
        // What a user sees of the catalogue may be more than what others see.
        let own = match response.headers().get(header::CACHE_CONTROL).map(HeaderValue::as_bytes) {
            Some(given) if given.starts_with(b"private") => None,
            Some(b"no-cache") => Some(HeaderValue::from_static("private, no-cache")),
            _ => Some(no_store),
        };
        own.map(|own| response.headers_mut().insert(header::CACHE_CONTROL, own));
    }
    response
}

/// Checks access before the body is read, so that a stranger learns nothing from errors in a body. The session, if any,
/// is passed on as an extension.
async fn check_access(
    guard: &RouteGuard,
    credentials: &RequestCredentials,
    is_page: bool,
    mut request: Request,
    next: Next,
) -> Response {
    let RouteGuard { app, access, .. } = guard;
    let origin = match credentials.may_be_forged(guard, request.method(), is_page) {
        true => RequestOrigin::of(request.headers(), request.uri(), app),
        false => RequestOrigin::Own,
    };
    if origin == RequestOrigin::Foreign {
        return refused(FOREIGN);
    }
    // Routes that are the same to everybody need no database; only on spare connections the session matters.
    let is_same = !is_page && SAME_TO_ALL.contains(&request.uri().path()) && !has_spare_connection(&request);
    let authenticated = if is_same { Err(Error::Unauthenticated("")) } else { credentials.session(app).await };
    if let Ok(session) = &authenticated {
        // So that every log line of the request names the user.
        tracing::Span::current().record("user", session.user.username.as_str());
        if matches!(credentials, RequestCredentials::Cookie(_)) {
            request.extensions_mut().insert(SessionFromCookie);
        }
    }
    // Old proxies strip both headers. Then the token in a form of the session must do.
    if origin == RequestOrigin::Unknown && (!is_page || matches!(authenticated, Err(Error::Unauthenticated(_)))) {
        return refused(NO_ORIGIN);
    }
    match (*access, authenticated) {
        (RouteAccess::Admin, Ok(session)) if session.user.role != UserRole::Admin => {
            return role_refused(session, UserRole::Admin);
        }
        (RouteAccess::Runner, Ok(session)) if session.user.role == UserRole::User => {
            return role_refused(session, UserRole::Runner);
        }
        (RouteAccess::Maintainer, Ok(session)) => match may_maintain(guard, &session, request.uri().path()).await {
            Ok(true) => _ = request.extensions_mut().insert(session),
            Ok(false) => return role_refused(session, UserRole::Admin),
            Err(why) => return HttpFailure::from(why).into_response(),
        },
        (_, Ok(session)) => _ = request.extensions_mut().insert(session),
        (RouteAccess::Anyone, Err(Error::Unauthenticated(_))) => {}
        // Only handlers that need the session fail.
        (RouteAccess::Anyone, Err(Error::StoreAway(why))) => _ = request.extensions_mut().insert(UnknownSession(why)),
        (_, Err(Error::Unauthenticated(_))) if is_page => return log_in_first(request.method(), request.uri()),
        (_, Err(why)) => return HttpFailure::from(why).into_response(),
    }
    let session = request.extensions().get::<UserSession>().cloned();
    let is_admin = session.as_ref().is_some_and(|session| session.user.role == UserRole::Admin);
    if has_spare_connection(&request) && !is_admin && !PROBES.contains(&request.uri().path()) {
        let full = "All connections are taken; try again later".to_owned();
        return HttpFailure::from(Error::Unavailable(full)).into_response();
    }
    // Routes that are the same to everybody read nothing of the catalogue that depends on the reader.
    match if is_same { Ok(app.clone()) } else { app.seen_by(session.as_ref()).await } {
        Ok(seen) => _ = request.extensions_mut().insert(seen),
        Err(why) => return HttpFailure::from(why).into_response(),
    }
    let mut response = read(guard, request, next).await;
    match session {
        Some(session) => {
            // A page of an error shows who is logged in.
            response.extensions_mut().insert(session.clone());
            until_over(app, session, response)
        }
        None => response,
    }
}

/// Whether the session's user may maintain the registry that the path names in the place of `{id}`.
async fn may_maintain(guard: &RouteGuard, session: &UserSession, path: &str) -> Result<bool, Error> {
    let at = guard.path.split('/').position(|part| part == "{id}");
    let id = at.and_then(|at| path.split('/').nth(at)).and_then(|id| id.parse().ok());
    match id {
        Some(id) => guard.app.maintains(session, RegistryId(id)).await,
        None => Ok(session.user.role == UserRole::Admin),
    }
}

const FOREIGN: &str = "This request was sent by a page of another site. Open the page here and try again";
const NO_ORIGIN: &str = "The browser, or a proxy before this server, does not say which page sent this request \
    (Sec-Fetch-Site, Origin). Use a current browser; programs send a token in the Authorization header";

fn refused(why: &'static str) -> Response {
    HttpFailure::from(Error::ForeignOrigin(why)).into_response()
}

fn role_refused(session: UserSession, needed: UserRole) -> Response {
    let mut response = HttpFailure::from(session.refused(needed)).into_response();
    response.extensions_mut().insert(session);
    response
}

fn has_spare_connection(request: &Request) -> bool {
    request.extensions().get::<SpareConnection>().is_some()
}

/// Runs the handler, with memory for the body.
async fn read(guard: &RouteGuard, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let meter = guard.admission.meter(QuotaHolder::of(&mut parts, &guard.app).await);
    parts.extensions.insert(Arc::clone(&meter));
    let request = Request::from_parts(parts, body);
    let response = next.run(if guard.is_streamed { request } else { meter.read(request) }).await;
    meter.refusal().map_or(response, IntoResponse::into_response)
}
