//! What must hold in every state, and what must happen at least somewhere.

use super::{Scope, State, network::bit};
use stateright::Property;
use warren_domain::{Delivery, MessageStatus};

/// Something that the exploration must have come across, or the properties prove little.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Witness {
    CopyDropped,
    StaleClaimRefused,
    StragglerSeen,
    SettledByReceipt,
    EncryptedAnew,
    GivenUp,
}

impl Witness {
    pub(crate) const fn bit(self) -> u8 {
        1 << self as u8
    }
}

pub(crate) const NO_LOSS: &str = "a settled message was seen, or reported as unknown with a reason";
pub(crate) const NOT_STUCK: &str = "an accepted message is settled in the end";
pub(crate) const NO_DUPLICATE: &str = "nothing is seen twice that policy does not allow";
pub(crate) const ORDER: &str = "messages of a chat are first seen in their order";
pub(crate) const SETTLED_FIRST: &str = "nothing new goes to a chat before what was handed is settled";
pub(crate) const FENCE: &str = "no write of a former owner takes effect";
pub(crate) const GATE: &str = "nothing leaves after its claim was refused";
pub(crate) const COUNTERS: &str = "no counter carries two messages";
pub(crate) const CLAIMED: &str = "what left is claimed";

pub(crate) const PROGRESS: &str = "the claim of an open row is not refused to its owner";

pub(super) fn all(scope: &Scope) -> Vec<Property<Scope>> {
    let mut properties = vec![
        Property::always(NO_LOSS, no_loss),
        Property::always(NOT_STUCK, not_stuck),
        Property::always(NO_DUPLICATE, no_duplicate),
        Property::always(ORDER, order),
        Property::always(SETTLED_FIRST, |_, state: &State| !state.unsettled_overtaken),
        Property::always(FENCE, |_, state: &State| !state.ledger.stale_landed),
        Property::always(GATE, |_, state: &State| !state.sent_after_refusal),
        Property::always(COUNTERS, |_, state: &State| !state.network.counter_reused),
        Property::always(CLAIMED, claimed),
        Property::always(PROGRESS, |_, state: &State| !state.claimed_in_vain),
    ];
    if scope.witness {
        properties.extend([
            Property::sometimes("a repeated copy is dropped", |_, state| saw(state, Witness::CopyDropped)),
            Property::sometimes("a stale claim is refused", |_, state| saw(state, Witness::StaleClaimRefused)),
            Property::sometimes("late bytes are seen", |_, state| saw(state, Witness::StragglerSeen)),
            Property::sometimes("a receipt settles a row", |_, state| saw(state, Witness::SettledByReceipt)),
            Property::sometimes("everything is sent", |scope, state| {
                rows(scope, state).all(|(_, status)| status == MessageStatus::Sent)
            }),
            match scope.delivery {
                Delivery::AtLeastOnce => {
                    Property::sometimes("a row is encrypted anew", |_, state| saw(state, Witness::EncryptedAnew))
                }
                Delivery::AtMostOnce => {
                    Property::sometimes("a row is given up as unknown", |_, state| saw(state, Witness::GivenUp))
                }
            },
        ]);
    }
    properties
}

fn saw(state: &State, witness: Witness) -> bool {
    state.witnessed & witness.bit() != 0
}

fn rows<'a>(scope: &Scope, state: &'a State) -> impl Iterator<Item = (u8, MessageStatus)> + 'a {
    (0..scope.messages).map(|row| (row, state.ledger.rows[usize::from(row)].status))
}

fn no_loss(scope: &Scope, state: &State) -> bool {
    rows(scope, state).all(|(row, status)| match status {
        MessageStatus::Sent => state.network.times_seen(row) > 0,
        MessageStatus::Failed => scope.delivery == Delivery::AtMostOnce && state.excused & bit(row) != 0,
        _ => true,
    })
}

/// Counters and budgets only grow, and [`PROGRESS`] excludes claims that are refused for ever: every path of steps that are
/// owed ends, so it is enough that none ends with an open row.
fn not_stuck(scope: &Scope, state: &State) -> bool {
    if rows(scope, state).all(|(_, status)| !status.is_open()) {
        return true;
    }
    let mut owed = Vec::new();
    scope.owed(state, &mut owed);
    !owed.is_empty()
}

fn no_duplicate(scope: &Scope, state: &State) -> bool {
    (0..scope.messages).all(|row| {
        let excused = scope.delivery == Delivery::AtLeastOnce && state.excused & bit(row) != 0;
        excused || state.network.times_seen(row) <= 1
    })
}

/// A message that is let go after the next one was begun goes behind it.
fn order(scope: &Scope, state: &State) -> bool {
    scope.scheduled || !state.network.out_of_order() || state.excused & bit(0) != 0
}

/// A queued row never reached the wire.
fn claimed(scope: &Scope, state: &State) -> bool {
    rows(scope, state).all(|(row, status)| status != MessageStatus::Queued || !state.network.was_written(row))
}
