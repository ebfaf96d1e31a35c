//! Who may call: whoever has the secret, belongs to this cluster and speaks this version. No body is read before that is known.

use crate::node::Node;
use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::{HeaderMap, Method, Request, body::Incoming};
use std::time::Duration;
use tokio::time::timeout;
use warren_raft::{
    credential::{
        CLUSTER_HEADER, DIGEST_HEADER, PROTOCOL_HEADER, SENDER_HEADER, SIGNATURE_HEADER, Signed, TARGET_HEADER, digest,
    },
    wire::{Code, LONGEST_CALL, NodeId, PROTOCOL},
};

/// How long a caller may take to send its body.
const PATIENCE: Duration = Duration::from_secs(5);
/// Entries of the log, and pieces of a snapshot, may be longer than what a worker says.
const LONGEST: usize = 4 * LONGEST_CALL;

/// A call that is let in.
pub(super) struct Admitted {
    pub(super) method: Method,
    pub(super) path: String,
    /// The coordinator that calls; 0 for everybody else.
    pub(super) sender: NodeId,
    pub(super) body: Bytes,
}

/// Reads a call and checks who makes it.
pub(super) async fn admit(node: &Node, request: Request<Incoming>) -> Result<Admitted, Code> {
    let (head, body) = request.into_parts();
    if number(&head.headers, PROTOCOL_HEADER) != Some(u64::from(PROTOCOL)) {
        return Err(Code::UnknownProtocol);
    }
    let signature = head.headers.get(SIGNATURE_HEADER).ok_or(Code::WrongSecret)?;
    let sender = number(&head.headers, SENDER_HEADER).ok_or(Code::WrongSecret)?;
    let target = number(&head.headers, TARGET_HEADER).ok_or(Code::WrongSecret)?;
    let cluster = text(&head.headers, CLUSTER_HEADER).ok_or(Code::WrongSecret)?;
    let named = text(&head.headers, DIGEST_HEADER).ok_or(Code::WrongSecret)?;
    let signed = Signed { method: head.method.as_str(), path: head.uri.path(), sender, target, digest: named };
    if !node.seat.credential.verify(cluster, signed, signature.as_bytes()) {
        return Err(Code::WrongSecret);
    }
    if cluster != node.seat.credential.cluster() {
        return Err(Code::OtherCluster);
    }
    if target != 0 && target != node.seat.node {
        return Err(Code::WrongTarget);
    }
    if sender != 0 && (sender == node.seat.node || !node.network.peers.contains(sender)) {
        return Err(Code::NotAMember);
    }
    let body = timeout(PATIENCE, Limited::new(body, LONGEST).collect()).await.map_err(|_| Code::Malformed)?;
    let body = body.map_err(|error| if error.is::<LengthLimitError>() { Code::TooLarge } else { Code::Malformed })?;
    let body = body.to_bytes();
    if digest(&body) != named {
        return Err(Code::WrongSecret);
    }
    Ok(Admitted { path: head.uri.path().to_owned(), method: head.method, sender, body })
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    text(headers, name)?.parse().ok()
}
