//! What switches the seed's surface on, and how it is to be.

use std::{fmt, num::NonZeroU32};
use warren_domain::TenantId;

/// The settings of the seed's surface. Without them its routes are not served.
#[derive(Clone)]
pub struct Settings {
    /// Who may log in.
    pub username: String,
    /// With which password.
    pub password: String,
    /// What signs the tokens: the same at every gateway.
    pub jwt_secret: String,
    /// Whose instances are shown and used.
    pub tenant: TenantId,
    /// Whether `/ws` asks for no token.
    pub open_websocket: bool,
    /// Origins (`https://app.example.com`) whose pages may use the surface.
    pub cors_origins: Vec<String>,
    /// Requests a second of one client address, at all gateways together.
    pub requests_per_second: NonZeroU32,
    /// How many of them may come at once.
    pub burst: NonZeroU32,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Settings({}, ..)", self.tenant)
    }
}
