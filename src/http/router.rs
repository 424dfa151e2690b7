//! The finished router: the routes of a table, replies where none fits, and the layers around them.

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router};
use http::{HeaderValue, header};

use super::api::has_addresses_at;
use super::cookies::SessionCookie;
use super::envelope::around;
use super::error::HttpFailure;
use super::pages::frame::{PageFrame, wants_html};
use super::routes::RouteTable;
use super::stream::StreamSlots;
use crate::app::{App, Error};

impl RouteTable {
    /// The finished router with all layers.
    pub fn into_router(self) -> Router {
        let router = self.router.fallback(not_found).method_not_allowed_fallback(method_not_allowed);
        let http = &self.app.settings().http;
        let places = StreamSlots::new(http.streams, http.streams_per_client);
        around(router.layer(Extension(places)).with_state(self.app.clone()), &self.app, self.streamed)
    }
}

/// Browsers get a page, except below the addresses of programs.
async fn not_found(State(app): State<App>, request: Request) -> Response {
    let is_page = wants_html(request.headers()) && !has_addresses_at(request.uri().path());
    let text = if is_page {
        "There is no page at this address"
    } else {
        "There is no resource at this address; GET / lists the addresses"
    };
    let mut response = HttpFailure::from(Error::NotFound(text.to_owned())).into_response();
    if is_page {
        let frame = PageFrame::of(request.headers(), request.uri(), &app);
        let cookie = SessionCookie::of(request.headers(), request.uri(), &app);
        let token = cookie.token(request.headers()).map(str::to_owned);
        let session = match token {
            Some(token) => app.authenticate_cookie(&token).await.ok(),
            None => None,
        };
        if session.is_some() {
            response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        response.extensions_mut().insert(frame.with_session(session.as_ref()));
    }
    response
}

async fn method_not_allowed() -> HttpFailure {
    Error::MethodNotAllowed.into()
}
