//! How many requests a second a client's address may make: counted by all gateways together.

use super::{Surface, envelope::Failure};
use crate::{auth::subject, problem::Problem, server::Peer};
use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use warren_domain::ErrorKind;
use warren_ports::limiter::Verdict;

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
