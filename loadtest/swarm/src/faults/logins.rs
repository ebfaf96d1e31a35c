//! Which instances logged in again because of a fault: those that were hit have to, once; nobody else does.

use super::scene::Scene;
use crate::witness::owners;
use anyhow::{Context, Result};
use std::collections::HashMap;

/// Instances that are named where some logged in too often.
const NAMED: usize = 5;

/// How often each instance has logged in, and which epoch owned it, at one moment.
#[derive(Debug, Default)]
pub(super) struct Logins(HashMap<String, Instance>);

#[derive(Debug, Clone, Copy)]
struct Instance {
    logins: u64,
    epoch: i64,
}

/// The instances that logged in more often than they had to between two moments.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct TooMany {
    /// Those whose owner stayed the same: none of them had to.
    pub(super) kept: Vec<String>,
    /// Those whose owner changed: one login was due.
    pub(super) moved: Vec<String>,
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

    /// Who logged in more often since `before` than it had to.
    pub(super) fn too_many_since(&self, before: &Self) -> TooMany {
        let mut found = TooMany::default();
        for (id, now) in &self.0 {
            let Some(before) = before.0.get(id) else { continue };
            let logins = now.logins.saturating_sub(before.logins);
            if now.epoch == before.epoch && logins > 0 {
                found.kept.push(id.clone());
            } else if now.epoch != before.epoch && logins > 1 {
                found.moved.push(id.clone());
            }
        }
        found.kept.sort_unstable();
        found.moved.sort_unstable();
        found
    }
}

impl std::fmt::Display for TooMany {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let some = |ids: &[String]| ids.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
        write!(formatter, "{} kept their owner ({})", self.kept.len(), some(&self.kept))?;
        write!(formatter, ", {} logged in twice at another ({})", self.moved.len(), some(&self.moved))
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
        let wanted = TooMany { kept: vec!["b".to_owned()], moved: vec!["d".to_owned()] };
        assert_eq!(after.too_many_since(&before), wanted);
        assert_eq!(wanted.to_string(), "1 kept their owner (b), 1 logged in twice at another (d)");
    }
}
