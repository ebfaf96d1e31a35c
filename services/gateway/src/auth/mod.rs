//! Who is calling: `Authorization: Bearer KEY` or `X-Api-Key: KEY`.
//!
//! Every way to fail costs the same and answers the same, so that nothing is learned about which keys exist.

mod failures;
mod keys;
mod rates;
mod usage;

use crate::{
    AdminKey,
    problem::{Problem, Result},
    server::Peer,
    state::App,
};
use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header, request::Parts},
};
pub(crate) use failures::subject;
use failures::{Failures, Verdict};
use keys::Keys;
use prometheus::IntCounterVec;
pub(crate) use rates::Rates;
use sha2::{Digest, Sha256};
use std::{net::IpAddr, sync::Arc};
use subtle::ConstantTimeEq;
use usage::Usage;
use warren_domain::{
    ErrorKind, KeyId, TenantId, Timestamp,
    key::{ApiKey, Scope, Secret},
};
use warren_ports::ledger::EdgeLedger;
use warren_runtime::Lifecycle;

/// Names under which people put keys into URLs, where every log on the way keeps them.
const CREDENTIAL_PARAMETERS: [&str; 9] =
    ["key", "api_key", "apikey", "api-key", "x-api-key", "token", "access_token", "authorization", "secret"];

/// Who called.
pub(crate) enum Caller {
    /// The operator.
    Admin,
    /// The holder of a tenant's key.
    Key(Arc<ApiKey>),
}

/// Checks credentials.
pub(crate) struct Authentication {
    admin: Option<AdminKey>,
    keys: Keys,
    failures: Failures,
    usage: Usage,
    refused: IntCounterVec,
    /// Compared with when there is no such key, so that it takes as long as when there is.
    nobody: [u8; 32],
}

impl Authentication {
    pub(crate) fn new(
        ledger: Arc<dyn EdgeLedger>,
        admin: Option<AdminKey>,
        wrong_keys_per_minute: u32,
        refused: IntCounterVec,
        lifecycle: &Lifecycle,
    ) -> Self {
        Self {
            admin,
            keys: Keys::new(Arc::clone(&ledger)),
            failures: Failures::new(wrong_keys_per_minute),
            usage: Usage::start(ledger, lifecycle),
            refused,
            nobody: rand::random(),
        }
    }

    /// Who presents these credentials.
    async fn caller(&self, parts: &Parts, now: Timestamp) -> Result<Caller> {
        if query_holds_credentials(parts.uri.query().unwrap_or_default()) {
            self.count("url");
            return Err(Problem::new(
                ErrorKind::Unauthenticated,
                "credentials_in_url",
                "Keys do not belong into URLs, where logs keep them: send the Authorization header, and replace that key.",
            ));
        }
        let Some(text) = presented(&parts.headers) else {
            self.count("missing");
            return Err(unauthenticated());
        };
        let peer = Peer::of(&parts.extensions);
        match self.verify(text, peer, now).await? {
            Some(caller) => Ok(caller),
            None => {
                self.count("wrong");
                Err(self.failed(peer))
            }
        }
    }

    async fn verify(&self, text: &str, peer: IpAddr, now: Timestamp) -> Result<Option<Caller>> {
        let hash: [u8; 32] = Sha256::digest(text.as_bytes()).into();
        let is_admin = self.admin.as_ref().is_some_and(|admin| admin.matches(&hash));
        if is_admin {
            return Ok(Some(Caller::Admin));
        }
        let Some(secret) = Secret::parse(text) else { return Ok(None) };
        let may_ask_the_ledger = self.failures.verdict(peer) != Verdict::Flood;
        let found = self.keys.find(secret.prefix(), may_ask_the_ledger).await?;
        let expected = found.as_ref().map_or(&self.nobody, |key| &key.hash);
        let same: bool = expected.ct_eq(&hash).into();
        let Some(key) = found.filter(|key| same && key.is_live(now)) else { return Ok(None) };
        self.usage.note(key.id, now);
        Ok(Some(Caller::Key(key)))
    }

    /// Counts a failure and says what to answer.
    pub(crate) fn failed(&self, peer: IpAddr) -> Problem {
        match self.failures.count(peer) {
            Verdict::Few => unauthenticated(),
            Verdict::Many | Verdict::Flood => too_many_failures(),
        }
    }

    pub(crate) fn count(&self, reason: &'static str) {
        self.refused.with_label_values(&[reason]).inc();
    }

    /// The live key with these 8 characters, as remembered for at most 30 s.
    pub(crate) async fn live_key(&self, prefix: &str, now: Timestamp) -> Result<Option<Arc<ApiKey>>> {
        Ok(self.keys.find(prefix, true).await?.filter(|key| key.is_live(now)))
    }

    /// Forgets what is remembered of a revoked key, so that this gateway refuses it at once.
    pub(crate) async fn forget_key(&self, key: KeyId) {
        self.keys.forget(|remembered| remembered.id == key).await;
    }

    /// Forgets what is remembered of a deleted tenant's keys.
    pub(crate) async fn forget_tenant(&self, tenant: TenantId) {
        self.keys.forget(|remembered| remembered.tenant == tenant).await;
    }
}

/// The one answer to no, unknown, wrong, revoked and expired credentials.
pub(crate) fn unauthenticated() -> Problem {
    Problem::new(
        ErrorKind::Unauthenticated,
        "unauthenticated",
        "Send a valid key: `Authorization: Bearer KEY` or `X-Api-Key: KEY`.",
    )
}

pub(crate) fn too_many_failures() -> Problem {
    let detail = "Too many wrong credentials from this address; try again in a minute.";
    Problem::new(ErrorKind::Exhausted, "too_many_failures", detail).retry_after(60)
}

fn presented(headers: &HeaderMap) -> Option<&str> {
    if headers.contains_key(header::AUTHORIZATION) {
        return bearer(headers);
    }
    headers.get("x-api-key")?.to_str().ok().map(str::trim)
}

/// What `Authorization: Bearer` presents.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, key) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}

fn query_holds_credentials(query: &str) -> bool {
    query.split('&').any(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = name.to_ascii_lowercase();
        CREDENTIAL_PARAMETERS.contains(&name.as_str()) || Secret::parse(value).is_some()
    })
}

/// A caller with any key of a tenant: may read.
pub(crate) struct Reader {
    /// Whose key it is.
    pub(crate) tenant: TenantId,
    /// The key.
    pub(crate) key: Arc<ApiKey>,
}

/// A caller whose key may send, pair and change.
pub(crate) struct Writer {
    /// Whose key it is.
    pub(crate) tenant: TenantId,
}

/// The operator. To everybody else the admin routes do not exist.
pub(crate) struct Admin;

impl FromRequestParts<App> for Reader {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        match app.authentication.caller(parts, app.now()).await? {
            Caller::Key(key) => {
                app.rates.take(key.tenant).await?;
                Ok(Self { tenant: key.tenant, key })
            }
            Caller::Admin => Err(Problem::new(
                ErrorKind::Forbidden,
                "tenant_key_required",
                "This belongs to a tenant: use a key of that tenant, not the admin key.",
            )),
        }
    }
}

impl FromRequestParts<App> for Writer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        let Reader { tenant, key } = Reader::from_request_parts(parts, app).await?;
        if !key.scopes.contains(&Scope::Write) {
            app.authentication.count("scope");
            return Err(Problem::new(ErrorKind::Forbidden, "insufficient_scope", "This key may only read."));
        }
        Ok(Self { tenant })
    }
}

impl FromRequestParts<App> for Admin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        match app.authentication.caller(parts, app.now()).await? {
            Caller::Admin => Ok(Self),
            Caller::Key(_) => Err(Problem::not_found()),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn reads_both_headers() {
        let headers =
            |name: &'static str, value: &str| HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())]);
        assert_eq!(presented(&headers("authorization", "Bearer abc")), Some("abc"));
        assert_eq!(presented(&headers("authorization", "bearer abc")), Some("abc"));
        assert_eq!(presented(&headers("authorization", "Basic abc")), None);
        assert_eq!(presented(&headers("x-api-key", "abc")), Some("abc"));
        assert_eq!(presented(&HeaderMap::new()), None);
    }

    #[test]
    fn finds_keys_in_urls() {
        let key = Secret::generate();
        assert!(query_holds_credentials("API_KEY=x"));
        assert!(query_holds_credentials(&format!("a=b&name={}", key.reveal())));
        assert!(!query_holds_credentials("name=wrn_x&ticket=abc&limit=5"));
        assert!(!query_holds_credentials(""));
    }
}
