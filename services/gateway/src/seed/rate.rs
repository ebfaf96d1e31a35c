//! How many requests a second a client's address may make, and how many wrong logins a minute: counted by all gateways together.

use super::{Seed, Surface, envelope::Failure};
use crate::{
    auth::{subject, too_many_failures},
    problem::Problem,
    server::Peer,
};
use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use std::{net::IpAddr, num::NonZeroU32};
use warren_domain::ErrorKind;
use warren_ports::limiter::{Rate, Verdict};

/// Lets requests pass that are within the rate of their address.
pub(super) async fn limit(State(seed): State<Surface>, request: Request, next: Next) -> Result<Response, Failure> {
    let address = subject(Peer::of(request.extensions()));
    match seed.app.limiter.take(&format!("seed:{address}"), seed.rate).await {
        Verdict::Allowed { .. } => Ok(next.run(request).await),
        Verdict::Limited { retry_after } => {
            let problem = Problem::new(ErrorKind::Exhausted, "rate_limited", "This address makes too many requests.");
            Err(problem.retry_in(retry_after).into())
        }
    }
}

/// Wrong logins: a password can be guessed, a key cannot.
const WRONG_LOGINS: NonZeroU32 = NonZeroU32::MIN.saturating_add(19);

/// Whether an address may try to log in: not after too many wrong passwords, not even with the right one.
pub(super) async fn may_log_in(seed: &Seed, peer: IpAddr) -> Result<(), Failure> {
    match seed.app.limiter.look(&login_key(peer), Rate::per_minute(WRONG_LOGINS)).await {
        Verdict::Allowed { .. } => Ok(()),
        Verdict::Limited { retry_after } => Err(too_many_failures().retry_in(retry_after).into()),
    }
}

/// Counts a wrong login. That there were too many is told from the next one on.
pub(super) async fn wrong_login(seed: &Seed, peer: IpAddr) {
    let _ = seed.app.limiter.take(&login_key(peer), Rate::per_minute(WRONG_LOGINS)).await;
}

fn login_key(peer: IpAddr) -> String {
    format!("seed-login:{}", subject(peer))
}
