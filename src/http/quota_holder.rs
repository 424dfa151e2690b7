//! The client to which a request's resources are charged.

use http::request::Parts;

use super::proxied::client_address;
use crate::app::{App, UserSession};
use crate::auth::ClientNetwork;
use crate::catalog::UserId;

/// A user; for requests without a session, their network (an IPv4 address, or a /64 of IPv6).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum QuotaHolder {
    User(UserId),
    Stranger(Option<ClientNetwork>),
}

impl QuotaHolder {
    /// Of a request that has passed the route's access check.
    pub(super) async fn of(parts: &mut Parts, app: &App) -> Self {
        if let Some(session) = parts.extensions.get::<UserSession>() {
            return Self::User(session.user.id);
        }
        let address = client_address(&parts.headers, &parts.extensions, app.settings().http.trust_forwarded_for);
        Self::Stranger(address.map(ClientNetwork::of))
    }

    pub(super) fn is_user(&self) -> bool {
        matches!(self, Self::User(_))
    }
}

/// A stranger for tests.
#[cfg(test)]
pub(super) fn stranger(number: u8) -> QuotaHolder {
    QuotaHolder::Stranger(Some(ClientNetwork::of([10, 0, 0, number].into())))
}
