//! Which instances logged in again because of a fault: those that were hit have to, once; nobody else does.

use super::scene::Scene;
use crate::witness::owners;
use anyhow::{Context, Result};
use std::collections::HashMap;

/// Instances that are named where some logged in too often.
const NAMED: usize = 5;

/// How often each instance has logged in, and which epoch owned it, at one moment.
#[derive(Debug)]
pub(super) struct Logins(HashMap<String, Instance>);

#[derive(Debug, Clone, Copy)]
struct Instance {
    logins: u64,
    epoch: i64,
}

/// The instances that logged in between two moments, besides those that did so once because their owner changed.
#[derive(Debug, Default)]
pub(super) struct Needless {
    /// Those whose owner stayed the same: none of them had to.
    kept: Vec<String>,
    /// Those whose owner changed, and who logged in more than the once that is due.
    again: Vec<String>,
    /// How many logged in once at a new owner: right, if that many were hit.
    moved: usize,
    /// The most that any one logged in.
    pub(super) most: u64,
}

impl Logins {
    /// As they are now.
    ///
    /// # Errors
    /// The simulator or Postgres does not answer.
    pub(super) async fn now(scene: &Scene) -> Result<Self> {
        let accounts = scene.place.simulator.accounts().await?;
        let by_phone: HashMap<_, _> = accounts.iter().map(|account| (account.phone.as_str(), account.logins())).collect();
        let epochs: HashMap<_, _> = owners(&scene.cluster.servers.ledger).await?.into_iter().collect();
        let members = scene.fleet.members.iter().map(|member| {
            let logins =
                *by_phone.get(member.phone.as_str()).context("the simulator does not know an instance's account")?;
            let epoch = *epochs.get(&member.id).context("the ledger knows no owner of an instance")?;
            Ok((member.id.clone(), Instance { logins, epoch }))
        });
        Ok(Self(members.collect::<Result<_>>()?))
    }

    /// Who logged in since `before`.
    pub(super) fn since(&self, before: &Self) -> Needless {
        let mut found = Needless::default();
        for (id, now) in &self.0 {
            let Some(before) = before.0.get(id) else { continue };
            let logins = now.logins.saturating_sub(before.logins);
            found.most = found.most.max(logins);
            match (logins, now.epoch == before.epoch) {
                (0, _) => {}
                (_, true) => found.kept.push(id.clone()),
                (1, false) => found.moved += 1,
                (_, false) => found.again.push(id.clone()),
            }
        }
        found.kept.sort_unstable();
        found.again.sort_unstable();
        found
    }
}

impl Needless {
    /// How many instances that is.
    pub(super) fn count(&self) -> u64 {
        (self.kept.len() + self.again.len()) as u64
    }
}

impl std::fmt::Display for Needless {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let some = |ids: &[String]| ids.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
        write!(formatter, "{} kept their owner ({})", self.kept.len(), some(&self.kept))?;
        write!(formatter, ", {} logged in again at another ({})", self.again.len(), some(&self.again))?;
        write!(formatter, ", {} logged in once at another", self.moved)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_login_is_due_to_those_whose_owner_changed_and_none_to_the_others() {
        let logins = |all: [(&str, u64, i64); 4]| {
            Logins(all.map(|(id, logins, epoch)| (id.to_owned(), Instance { logins, epoch })).into())
        };
        let before = logins([("a", 1, 7), ("b", 1, 7), ("c", 3, 8), ("d", 2, 8)]);
        let after = logins([("a", 1, 7), ("b", 2, 7), ("c", 4, 9), ("d", 4, 9)]);
        let found = after.since(&before);
        assert_eq!((found.count(), before.since(&before).count()), (2, 0));
        assert_eq!((found.most, before.since(&before).most), (2, 0));
        let wanted = "1 kept their owner (b), 1 logged in again at another (d), 1 logged in once at another";
        assert_eq!(found.to_string(), wanted);
    }
}
