//! I3: one owner.

use super::{Invariant, Violation};
use crate::History;
use crate::history::Claim;
use std::collections::HashMap;

/// I3: of every instance, the epochs under which messages were claimed never fall with time, none is above the one that owns
/// its shard at the end, and no connection was ended by a second login beyond those of an owner that was paused.
///
/// A counter that is on the wire with two different ciphertexts shows elsewhere: the recipient's ratchet drops the second one,
/// and its message is missing (I1).
#[must_use]
pub fn one_owner(history: &History) -> Vec<Violation> {
    let ownership = &history.ownership;
    let mut violations = falling(&ownership.claims);
    let owners: HashMap<_, _> = ownership.owners.iter().map(|(instance, epoch)| (instance.as_str(), *epoch)).collect();
    for claim in &ownership.claims {
        let Some(owner) = owners.get(claim.instance.as_str()) else { continue };
        if claim.epoch > *owner {
            let what = format!("{} has a claim of epoch {}, its owner has {owner}", claim.instance, claim.epoch);
            violations.push(Violation::new(Invariant::I3, what));
        }
    }
    if ownership.replaced > ownership.replaced_at_most {
        let what = format!("{} logins were replaced, of at most {}", ownership.replaced, ownership.replaced_at_most);
        violations.push(Violation::new(Invariant::I3, what));
    }
    violations
}

/// Claims of an epoch below that of an earlier one. What happened in the same millisecond is in either order; of what was
/// claimed again it is not known when.
fn falling(claims: &[Claim]) -> Vec<Violation> {
    let mut claims: Vec<_> = claims.iter().filter(|claim| claim.at.is_some()).collect();
    claims.sort_by_key(|claim| (claim.at, claim.epoch));
    let mut highest = HashMap::new();
    let mut violations = Vec::new();
    for claim in claims {
        let highest = highest.entry(claim.instance.as_str()).or_insert(claim.epoch);
        if claim.epoch < *highest {
            let what = format!("{} was claimed for by epoch {} after {highest}", claim.instance, claim.epoch);
            violations.push(Violation::new(Invariant::I3, what));
        } else {
            *highest = claim.epoch;
        }
    }
    violations
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;
    use crate::invariant::tests::{sound, violated};

    #[test]
    fn sees_a_claim_of_an_owner_that_was_replaced() {
        let mut history = sound();
        history.ownership.claims[1].at = Some(301);
        assert_eq!(violated(&history), [Invariant::I3]);
    }

    #[test]
    fn claims_of_one_millisecond_have_no_order() {
        let mut history = sound();
        history.ownership.claims[1].at = Some(300);
        history.ownership.claims.swap(1, 2);
        assert_eq!(violated(&history), []);
    }

    #[test]
    fn the_epochs_of_another_instance_do_not_count() {
        let mut history = sound();
        history.ownership.claims[2].instance = "j".into();
        history.ownership.claims[1].at = Some(301);
        assert_eq!(violated(&history), []);
    }

    /// Its row has the time of the first claim and the epoch of the last.
    #[test]
    fn a_message_that_was_claimed_again_tells_no_order() {
        let mut history = sound();
        history.ownership.claims[1].at = Some(301);
        history.ownership.claims[2].at = None;
        assert_eq!(violated(&history), []);
    }

    #[test]
    fn sees_a_claim_above_the_owner() {
        let mut history = sound();
        history.ownership.owners[0].1 = 8;
        assert_eq!(violated(&history), [Invariant::I3]);
    }

    #[test]
    fn sees_logins_that_kicked_each_other() {
        let mut history = sound();
        history.ownership.replaced = 1;
        assert_eq!(violated(&history), [Invariant::I3]);
        history.ownership.replaced_at_most = 1;
        assert_eq!(violated(&history), []);
    }
}
