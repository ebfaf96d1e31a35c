//! Tickets: one WebSocket each, within 30 seconds, on any gateway.
//!
//! A ticket is 32 random bytes and the tenant's id. The ledger keeps only its hash, in the table of idempotency keys: as
//! the stored answer of a request that made it, and, once it is used, as a second reservation that only one can get. The
//! names of both hold a space, which no caller's key can.

use crate::{
    problem::{Problem, Result},
    state::App,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{sync::Arc, time::Duration};
use warren_domain::{MessageId, TenantId, Timestamp, key::ApiKey};
use warren_ports::ledger::{IdempotencyKey, Reservation, Reserved, StoredResponse};

const LIFE: Duration = Duration::from_secs(30);
const SECRET_BYTES: usize = 32;

/// A ticket to be shown once.
pub(crate) struct Issued {
    pub(crate) text: String,
    pub(crate) expires_at: Timestamp,
}

/// What the ledger keeps of a ticket.
#[derive(Serialize, Deserialize)]
struct Kept {
    expires_at: Timestamp,
    /// The 8 characters of the key that asked for it: revoking that key ends the ticket and its stream.
    key: String,
}

/// Makes a ticket for the holder of a key.
pub(crate) async fn issue(app: &App, key: &ApiKey) -> Result<Issued> {
    let secret: [u8; SECRET_BYTES] = rand::random();
    let text = format!("wst_{}_{}", key.tenant, URL_SAFE_NO_PAD.encode(secret));
    let expires_at = app.now().after(LIFE);
    let name = Name::of(&text);
    let kept = serde_json::to_vec(&Kept { expires_at, key: key.prefix.clone() }).map_err(Problem::internal)?;
    app.ledger.reserve(&name.reservation(key.tenant, "ticket", app.now())).await?;
    app.ledger.complete(key.tenant, &name.key("ticket"), &StoredResponse { status: 201, body: kept }).await?;
    Ok(Issued { text, expires_at })
}

/// The key of a ticket that is good and was not used before. Uses it up.
pub(crate) async fn redeem(app: &App, text: &str) -> Result<Option<Arc<ApiKey>>> {
    let Some(tenant) = tenant_of(text) else { return Ok(None) };
    // Reserving under a tenant that does not exist can be refused by the ledger; such a ticket is wrong like any other.
    if app.ledger.tenant(tenant).await?.is_none() {
        return Ok(None);
    }
    let (name, now) = (Name::of(text), app.now());
    let stored = match app.ledger.reserve(&name.reservation(tenant, "ticket", now)).await? {
        Reserved::Done(stored) => stored,
        Reserved::Fresh(_) => {
            app.ledger.release(tenant, &name.key("ticket")).await?;
            return Ok(None);
        }
        Reserved::InFlight | Reserved::Mismatch => return Ok(None),
    };
    let kept: Kept = serde_json::from_slice(&stored.body).map_err(Problem::internal)?;
    if kept.expires_at <= now {
        return Ok(None);
    }
    let used = app.ledger.reserve(&name.reservation(tenant, "used", now)).await?;
    if !matches!(used, Reserved::Fresh(_)) {
        return Ok(None);
    }
    let key = app.authentication.live_key(&kept.key, now).await?;
    Ok(key.filter(|key| key.tenant == tenant))
}

fn tenant_of(text: &str) -> Option<TenantId> {
    let (tenant, secret) = text.strip_prefix("wst_")?.split_once('_')?;
    let bytes = URL_SAFE_NO_PAD.decode(secret).ok()?;
    if bytes.len() != SECRET_BYTES {
        return None;
    }
    tenant.parse().ok()
}

/// The hash by which the ledger knows a ticket.
struct Name([u8; 32]);

impl Name {
    fn of(text: &str) -> Self {
        Self(Sha256::digest(text.as_bytes()).into())
    }

    fn key(&self, purpose: &str) -> String {
        format!("{purpose} {}", hex::encode(self.0))
    }

    fn reservation(&self, tenant: TenantId, purpose: &str, at: Timestamp) -> Reservation {
        Reservation {
            tenant,
            key: IdempotencyKey { key: self.key(purpose), fingerprint: self.0 },
            resource: MessageId::generate(),
            at,
            // A use is never abandoned.
            abandoned_before: Timestamp::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_looks_like_a_ticket_is_looked_up() {
        let tenant = TenantId::generate();
        let secret = URL_SAFE_NO_PAD.encode([7; SECRET_BYTES]);
        assert_eq!(tenant_of(&format!("wst_{tenant}_{secret}")), Some(tenant));
        for text in
            ["", "wst_", &format!("wst_{tenant}_short"), &format!("wst_x_{secret}"), &format!("wrn_{tenant}_{secret}")]
        {
            assert_eq!(tenant_of(text), None, "{text}");
        }
    }

    #[test]
    fn no_callers_key_can_name_a_ticket() {
        assert!(Name::of("x").key("ticket").contains(' '));
    }
}
