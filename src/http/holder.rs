//! Whose share of something a request takes.

use axum::extract::FromRequestParts as _;
use http::request::Parts;

use super::connections::network_of;
use super::extract::ClientAddress;
use crate::app::{App, Session};
use crate::catalog::UserId;

/// A user; or, of those who are not logged in, an address (a /64 of IPv6).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Holder {
    User(UserId),
    Address(String),
}

impl Holder {
    /// Of a request that has passed the guard.
    pub(super) async fn of(parts: &mut Parts, app: &App) -> Self {
        if let Some(session) = parts.extensions.get::<Session>() {
            return Self::User(session.user.id);
        }
        let address = match ClientAddress::from_request_parts(parts, app).await {
            Ok(ClientAddress(address)) => address,
            Err(_) => String::new(),
        };
        Self::Address(address.parse().map_or(address, |address| network_of(address).to_string()))
    }

    pub(super) fn is_user(&self) -> bool {
        matches!(self, Self::User(_))
    }
}
