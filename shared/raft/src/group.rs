//! The coordinators of a cluster, and how they are.

use crate::{
    Caller, Credential, Failure, Request, Status,
    tls::Trust,
    wire::{NodeId, STATUS},
};
use std::{sync::Arc, time::Duration};
use warren_domain::{Error, Result};

/// How long one coordinator is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where the coordinators of a cluster are, and what they are spoken to with. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Group {
    credential: Credential,
    coordinators: Arc<[String]>,
    trust: Option<Trust>,
}

impl Group {
    /// The coordinators, `host:port` each, in the order that is the same everywhere: the first is number 1. They are spoken to
    /// over plain HTTP.
    ///
    /// # Errors
    /// `Invalid` if they are not 1, 3 or 5.
    pub fn new(cluster: &str, secret: &str, coordinators: Vec<String>) -> Result<Self> {
        if !matches!(coordinators.len(), 1 | 3 | 5) {
            return Err(Error::invalid("coordinators", "cluster.coordinators must name 1, 3 or 5 of them."));
        }
        Ok(Self { credential: Credential::new(cluster, secret), coordinators: coordinators.into(), trust: None })
    }

    /// The same, spoken to over TLS and nothing else.
    #[must_use]
    pub fn trusting(self, trust: Trust) -> Self {
        Self { trust: Some(trust), ..self }
    }

    /// A caller of its own connections.
    pub(crate) fn caller(&self) -> Caller {
        Caller::trusting(self.credential.clone(), self.trust.as_ref())
    }

    pub(crate) fn size(&self) -> usize {
        self.coordinators.len()
    }

    /// Where a coordinator is.
    pub(crate) fn address(&self, node: NodeId) -> Option<&str> {
        let place = usize::try_from(node.checked_sub(1)?).ok()?;
        self.coordinators.get(place).map(String::as_str)
    }

    fn nodes(&self) -> impl Iterator<Item = (NodeId, &str)> {
        (1..).zip(self.coordinators.iter().map(String::as_str))
    }
}

/// How a cluster is: as its leader tells it, or, while nobody leads, as the first coordinator that answers.
///
/// # Errors
/// `Unavailable` with the reason of each if none answers.
pub async fn status(group: &Group) -> Result<Status> {
    let caller = group.caller();
    let mut reasons = Vec::new();
    let mut first = None;
    for (node, address) in group.nodes() {
        match ask(&caller, node, address).await {
            Ok(status) if status.leader == Some(node) => return Ok(status),
            Ok(status) => {
                if let Some((leader, address)) = status.leader.and_then(|leader| Some((leader, group.address(leader)?)))
                    && let Ok(status) = ask(&caller, leader, address).await
                {
                    return Ok(status);
                }
                first = first.or(Some(status));
            }
            Err(failure) => reasons.push(format!("{address}: {failure}")),
        }
    }
    first.ok_or_else(|| Error::unavailable(format!("no coordinator answers ({})", reasons.join("; "))))
}

/// Looks at every coordinator: one line that says that all is well, or one that says what is wrong.
///
/// # Errors
/// What is wrong: one that does not answer or refuses, or that nobody leads.
pub async fn check(group: &Group) -> Result<String, String> {
    let caller = group.caller();
    let asked = group.nodes().map(|(node, address)| ask(&caller, node, address));
    let answers = futures::future::join_all(asked).await;
    let size = group.size();
    let wrong: Vec<_> = answers
        .iter()
        .zip(group.nodes())
        .filter_map(|(answer, (_, address))| answer.as_ref().err().map(|failure| format!("{address}: {failure}")))
        .collect();
    let well = size - wrong.len();
    if !wrong.is_empty() {
        return Err(format!("{well} of {size} coordinators answer ({})", wrong.join("; ")));
    }
    match answers.iter().flatten().find(|status| status.leader == Some(status.node)) {
        Some(status) => Ok(format!("{well} of {size} coordinators answer, and number {} leads", status.node)),
        None => Err(format!("{well} of {size} coordinators answer, and nobody leads")),
    }
}

async fn ask(caller: &Caller, node: NodeId, address: &str) -> Result<Status, Failure> {
    caller.get(Request { address, path: STATUS, sender: 0, target: node }, PATIENCE).await
}
