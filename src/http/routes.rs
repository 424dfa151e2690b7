//! The table of routes, with the access each requires. Tests compare it with `openapi.yaml`, and call every route with
//! every role.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Extension;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::handler::Handler;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use http::{HeaderValue, Method, header};

use super::admission::Admission;
use super::error::Failure;
use super::extract::UnknownSession;
use super::holder::Holder;
use super::serve::Spare;
use super::stream::{Places, until_over};
use super::{api, envelope, hooks, operations, schemas};
use crate::app::{App, Error, UserSession};
use crate::catalog::UserRole;

/// Who may call a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Anyone,
    /// Any user with a valid token.
    User,
    /// Users that may run jobs.
    Runner,
    Admin,
}

/// One entry of the table. `path` is in OpenAPI's form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    pub method: Method,
    pub path: &'static str,
    pub access: Access,
}

/// The router under construction, and its table.
pub struct Routes {
    app: App,
    router: Router<App>,
    table: Vec<Route>,
    /// Paths whose requests have the time limit of streamed bodies.
    streamed: Vec<&'static str>,
    admission: Arc<Admission>,
}

/// All routes.
pub fn routes(app: App) -> Routes {
    let admission = Arc::new(Admission::new(app.settings().http.body_mib));
    let routes = Routes { app, router: Router::new(), table: Vec::new(), streamed: Vec::new(), admission };
    api::v1::add(api::legacy::add(schemas::add(hooks::add(operations::add(routes)))))
}

impl Routes {
    /// Adds a route at `path` (in OpenAPI's form; a part written `{*name}` matches slashes, too).
    pub fn add<H, T>(self, method: Method, path: &'static str, access: Access, handler: H) -> Self
    where
        H: Handler<T, App>,
        T: 'static,
    {
        self.serve(method, path, access, false, |filter| on(filter, handler))
    }

    /// The same, with a limit on the body in bytes.
    pub fn add_capped<H, T>(
        self,
        method: Method,
        path: &'static str,
        access: Access,
        handler: H,
        longest: usize,
    ) -> Self
    where
        H: Handler<T, App>,
        T: 'static,
    {
        let served = |filter| on(filter, handler).layer(DefaultBodyLimit::max(longest));
        self.serve(method, path, access, false, served)
    }

    /// The same for bodies that are read as they arrive: the handler limits their size and time.
    pub fn add_streamed<H, T>(self, method: Method, path: &'static str, access: Access, handler: H) -> Self
    where
        H: Handler<T, App>,
        T: 'static,
    {
        let served = |filter| on(filter, handler).layer(DefaultBodyLimit::disable());
        let mut routes = self.serve(method, path, access, true, served);
        routes.streamed.push(path);
        routes
    }

    fn serve(
        mut self,
        method: Method,
        path: &'static str,
        access: Access,
        is_streamed: bool,
        served: impl FnOnce(MethodFilter) -> MethodRouter<App>,
    ) -> Self {
        let filter = MethodFilter::try_from(method.clone()).expect("routes use the methods that MethodFilter knows");
        let guard = Arc::new(Guard {
            app: self.app.clone(),
            admission: Arc::clone(&self.admission),
            access,
            is_streamed,
            takes_ticket: TICKETED.contains(&path) && method == Method::GET,
        });
        let guard = middleware::from_fn(move |request: Request, next: Next| {
            let guard = Arc::clone(&guard);
            async move { Ok::<_, Infallible>(guarded(&guard, request, next).await) }
        });
        self.router = self.router.route(path, served(filter).layer(guard));
        self.table.push(Route { method, path, access });
        self
    }

    /// The table.
    pub fn table(&self) -> &[Route] {
        &self.table
    }

    /// The finished router with all layers.
    pub fn into_router(self) -> Router {
        let router = self.router.fallback(not_found).method_not_allowed_fallback(method_not_allowed);
        let http = &self.app.settings().http;
        let places = Places::new(http.streams, http.streams_per_client);
        envelope::around(router.layer(Extension(places)).with_state(self.app.clone()), &self.app, self.streamed)
    }
}

/// The checks before the handler of a route.
struct Guard {
    app: App,
    admission: Arc<Admission>,
    access: Access,
    /// The handler reads the body as it arrives, and acquires memory for what it keeps of it.
    is_streamed: bool,
    takes_ticket: bool,
}

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
async fn guarded(guard: &Guard, request: Request, next: Next) -> Response {
    let is_open = guard.access == Access::Anyone && request.method().is_safe();
    let is_known = request.headers().contains_key(header::AUTHORIZATION);
    let mut response = admitted(guard, request, next).await;
    // Replies to one user, and replies with a token or a new secret, must not be cached.
    let no_store = HeaderValue::from_static("no-store");
    if !is_open {
        response.headers_mut().insert(header::CACHE_CONTROL, no_store);
    } else if is_known {
        response.headers_mut().entry(header::CACHE_CONTROL).or_insert(no_store);
    }
    response
}

/// Checks access before the body is read, so that a stranger learns nothing from errors in a body. The session, if any,
/// is passed on as an extension.
async fn admitted(guard: &Guard, mut request: Request, next: Next) -> Response {
    let Guard { app, access, .. } = guard;
    let ticket = if guard.takes_ticket { take_ticket(&mut request) } else { None };
    let header = request.headers().get(header::AUTHORIZATION).map(|value| value.to_str().unwrap_or_default());
    // Routes that are the same to everybody need no database; only on spare connections the session matters.
    let is_same = SAME_TO_ALL.contains(&request.uri().path()) && request.extensions().get::<Spare>().is_none();
    let authenticated = match (header, ticket) {
        _ if is_same => Err(Error::Unauthenticated("")),
        (None, Some(ticket)) => app.authenticate_ticket(&ticket).await,
        (header, _) => app.authenticate(header).await,
    };
    if let Ok(session) = &authenticated {
        // So that every log line of the request names the user.
        tracing::Span::current().record("user", session.user.username.as_str());
    }
    match (*access, authenticated) {
        (Access::Admin, Ok(session)) if session.user.role != UserRole::Admin => {
            return Failure::from(session.refused(UserRole::Admin)).into_response();
        }
        (Access::Runner, Ok(session)) if session.user.role == UserRole::User => {
            return Failure::from(session.refused(UserRole::Runner)).into_response();
        }
        (_, Ok(session)) => _ = request.extensions_mut().insert(session),
        (Access::Anyone, Err(Error::Unauthenticated(_))) => {}
        // Only handlers that need the session fail.
        (Access::Anyone, Err(Error::StoreAway(why))) => _ = request.extensions_mut().insert(UnknownSession(why)),
        (_, Err(why)) => return Failure::from(why).into_response(),
    }
    let session = request.extensions().get::<UserSession>().cloned();
    let is_admin = session.as_ref().is_some_and(|session| session.user.role == UserRole::Admin);
    if request.extensions().get::<Spare>().is_some() && !is_admin && !PROBES.contains(&request.uri().path()) {
        let full = "All connections are taken; try again later".to_owned();
        return Failure::from(Error::Unavailable(full)).into_response();
    }
    let response = read(guard, request, next).await;
    match session {
        Some(session) => until_over(app, session, response),
        None => response,
    }
}

/// Runs the handler, with memory for the body.
async fn read(guard: &Guard, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let meter = guard.admission.meter(Holder::of(&mut parts, &guard.app).await);
    parts.extensions.insert(Arc::clone(&meter));
    let request = Request::from_parts(parts, body);
    let response = next.run(if guard.is_streamed { request } else { meter.read(request) }).await;
    meter.refusal().map_or(response, IntoResponse::into_response)
}

async fn not_found() -> Failure {
    Error::NotFound("There is nothing at this address; GET / lists what there is".to_owned()).into()
}

async fn method_not_allowed() -> Failure {
    Error::MethodNotAllowed.into()
}
