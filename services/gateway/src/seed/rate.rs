//! How many requests a second a client's address may make: counted by all gateways together.

use super::{Surface, envelope::Failure};
use crate::{auth::subject, problem::Problem, server::Peer};
use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use std::net::{IpAddr, Ipv4Addr};
use warren_domain::ErrorKind;
use warren_ports::limiter::Verdict;

/// Lets requests pass that are within the rate of their address.
pub(super) async fn limit(State(seed): State<Surface>, request: Request, next: Next) -> Result<Response, Failure> {
    let address = subject(peer(&request));
    match seed.app.limiter.take(&format!("seed:{address}"), seed.rate).await {
        Verdict::Allowed { .. } => Ok(next.run(request).await),
        Verdict::Limited { retry_after } => {
            let seconds = u32::try_from(retry_after.as_secs().saturating_add(1)).unwrap_or(u32::MAX);
            let problem = Problem::new(ErrorKind::Exhausted, "rate_limited", "This address makes too many requests.");
            Err(problem.retry_after(seconds).into())
        }
    }
}

/// The client's end of the connection.
pub(super) fn peer(request: &Request) -> IpAddr {
    request.extensions().get::<Peer>().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0)
}
