//! The table of routes: what is served, and who may ask. Tests hold it against `openapi.yaml` and walk it as everybody.

use std::convert::Infallible;

use axum::Extension;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::handler::Handler;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use http::{HeaderValue, Method, header};

use super::error::Failure;
use super::stream::Places;
use super::{api, envelope, hooks, operations, schemas};
use crate::app::{App, Error};
use crate::catalog::Role;

/// Who may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Anyone,
    /// Anybody with a valid token.
    User,
    /// Whoever may run jobs.
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

/// The router while it is built, and its table.
pub struct Routes {
    app: App,
    router: Router<App>,
    table: Vec<Route>,
    /// Paths whose requests may take as long as their bodies do.
    streamed: Vec<&'static str>,
}

/// Everything that is served.
pub fn routes(app: App) -> Routes {
    let routes = Routes { app, router: Router::new(), table: Vec::new(), streamed: Vec::new() };
    api::v1::add(api::legacy::add(schemas::add(hooks::add(operations::add(routes)))))
}

impl Routes {
    /// Serves `path` (OpenAPI's form; a part written `{*name}` takes slashes too).
    pub fn add<H, T>(self, method: Method, path: &'static str, access: Access, handler: H) -> Self
    where
        H: Handler<T, App>,
        T: 'static,
    {
        self.serve(method, path, access, |filter| on(filter, handler))
    }

    /// The same, for bodies of at most so many bytes.
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
        self.serve(method, path, access, |filter| on(filter, handler).layer(DefaultBodyLimit::max(longest)))
    }

    /// The same, for bodies that are read as they come: the handler bounds their size and their time.
    pub fn add_streamed<H, T>(self, method: Method, path: &'static str, access: Access, handler: H) -> Self
    where
        H: Handler<T, App>,
        T: 'static,
    {
        let served = |filter| on(filter, handler).layer(DefaultBodyLimit::disable());
        let mut routes = self.serve(method, path, access, served);
        routes.streamed.push(path);
        routes
    }

    fn serve(
        mut self,
        method: Method,
        path: &'static str,
        access: Access,
        served: impl FnOnce(MethodFilter) -> MethodRouter<App>,
    ) -> Self {
        let filter = MethodFilter::try_from(method.clone()).expect("routes use the methods that MethodFilter knows");
        let app = self.app.clone();
        let guard = middleware::from_fn(move |request: Request, next: Next| {
            let app = app.clone();
            async move { Ok::<_, Infallible>(guarded(app, access, request, next).await) }
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
        let places = Places::new(self.app.settings().http.streams);
        envelope::around(router.layer(Extension(places)).with_state(self.app.clone()), &self.app, self.streamed)
    }
}

/// What a route's access means for its replies.
async fn guarded(app: App, access: Access, request: Request, next: Next) -> Response {
    let is_open = access == Access::Anyone && request.method().is_safe();
    let is_known = request.headers().contains_key(header::AUTHORIZATION);
    let mut response = admitted(app, access, request, next).await;
    // What is for one person, and what holds a token or a new secret, is kept by no cache.
    let no_store = HeaderValue::from_static("no-store");
    if !is_open {
        response.headers_mut().insert(header::CACHE_CONTROL, no_store);
    } else if is_known {
        response.headers_mut().entry(header::CACHE_CONTROL).or_insert(no_store);
    }
    response
}

/// Lets a request pass that may. Before the body is read, so that a stranger learns nothing from a body's errors. Who
/// asks, where that is known, is handed on as an extension.
async fn admitted(app: App, access: Access, mut request: Request, next: Next) -> Response {
    let header = request.headers().get(header::AUTHORIZATION).map(|value| value.to_str().unwrap_or_default());
    match (access, app.authenticate(header).await) {
        (Access::Admin, Ok(session)) if session.user.role != Role::Admin => {
            return Failure::from(Error::Forbidden).into_response();
        }
        (Access::Runner, Ok(session)) if session.user.role == Role::User => {
            return Failure::from(Error::Forbidden).into_response();
        }
        (_, Ok(session)) => _ = request.extensions_mut().insert(session),
        (Access::Anyone, Err(Error::Unauthenticated(_))) => {}
        (_, Err(why)) => return Failure::from(why).into_response(),
    }
    next.run(request).await
}

async fn not_found() -> Failure {
    Error::NotFound("There is nothing at this address; GET / lists what there is".to_owned()).into()
}

async fn method_not_allowed() -> Failure {
    Error::MethodNotAllowed.into()
}
