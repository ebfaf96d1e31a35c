//! The pure protocol, all interleavings to a stated size: no loss, no visible duplicate, order, fencing. `outbound` asks the
//! product's own `decide()` and `refusal()`; `inbound` follows a message in. A property that cannot fail is worth nothing,
//! so every mistake that the rules exist for is made on purpose and must be caught by the property named in its test.
//!
//! Exhaustive within the scope that each test names, breadth first; a test fails if its scope was not explored to the end.
//! About 1.1 million states, up to 54 steps deep, in well under a minute; the ignored tests add 4 million.
//! Outside of all scopes: a third worker, a second chat, Signal sessions other than their counters, clocks.

#![expect(clippy::indexing_slicing, reason = "tests")]

mod inbound;
mod outbound;

use outbound::{Mutation, Scope, properties};
use stateright::{Checker, HasDiscoveries, Model};
use std::{
    fmt::Debug,
    hash::Hash,
    time::{Duration, Instant},
};
use warren_domain::Delivery;

/// Far more than any of these needs; an exploration that was cut short counts as failed.
const PATIENCE: Duration = Duration::from_secs(300);

/// Two messages of one chat, one restart or takeover, one cut socket.
const PAIR: Scope = Scope {
    messages: 2,
    epochs: 2,
    cuts: 1,
    refusals: 0,
    ages: false,
    doubt: false,
    scheduled: false,
    delivery: Delivery::AtLeastOnce,
    mutation: None,
    witness: false,
};

/// One message, with everything that may happen to its stanza.
const SINGLE: Scope = Scope { messages: 1, refusals: 1, ages: true, ..PAIR };

/// Two messages in, one restart or takeover, one cut socket.
const INBOUND: inbound::Scope = inbound::Scope { messages: 2, epochs: 2, cuts: 1, ledger_crashes: 0, mutation: None };

/// Explores to the end, and finds nothing wrong and everything that has to be possible.
fn holds<M>(model: M, at_least: usize)
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync,
    M::Action: Clone + Debug + PartialEq + Send + Sync,
{
    let start = Instant::now();
    let checker = model.checker().threads(2).timeout(PATIENCE).spawn_bfs().join();
    println!("{} states, {} steps deep, {:?}", checker.unique_state_count(), checker.max_depth(), start.elapsed());
    assert!(start.elapsed() < PATIENCE, "not explored to the end");
    checker.assert_properties();
    assert!(checker.unique_state_count() >= at_least, "the scope shrank to {}", checker.unique_state_count());
}

/// Finds a counterexample to the property.
fn is_caught<M>(model: M, property: &'static str)
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync,
    M::Action: Clone + Debug + PartialEq + Send + Sync,
{
    let wanted = HasDiscoveries::AnyOf([property].into());
    let checker = model.checker().threads(2).timeout(PATIENCE).finish_when(wanted).spawn_bfs().join();
    let steps = checker.assert_any_discovery(property).into_actions();
    println!("{} states; {property}: {steps:?}", checker.unique_state_count());
}

/// 216,152 states, 50 steps: 2 messages, 2 owners, 1 cut, every reply of the ledger may be lost.
#[test]
fn two_messages_are_seen_once_and_in_order() {
    holds(Scope { doubt: true, ..PAIR }, 200_000);
}

/// 33,095 states, 50 steps: 2 messages, 2 owners, stanzas that are refused or too old.
#[test]
fn two_messages_survive_dead_stanzas() {
    holds(Scope { refusals: 1, ages: true, cuts: 0, ..PAIR }, 30_000);
}

/// 2 messages, 2 owners, 1 cut; the first is let go at any moment.
#[test]
fn a_scheduled_message_takes_its_turn() {
    holds(Scope { scheduled: true, ..PAIR }, 50_000);
}

/// 297,012 states, 52 steps: as above with 1 cut, and a caller who wants nothing sent twice, ever.
#[test]
fn two_messages_at_most_once_are_never_seen_twice() {
    holds(Scope { refusals: 1, ages: true, delivery: Delivery::AtMostOnce, ..PAIR }, 280_000);
}

/// 187,190 and 75,948 states, 54 steps: 1 message, 3 owners, a stanza that is refused or too old.
#[test]
fn one_message_survives_three_owners() {
    let scope = Scope { epochs: 3, cuts: 0, ..SINGLE };
    holds(scope, 180_000);
    holds(Scope { delivery: Delivery::AtMostOnce, ..scope }, 70_000);
}

/// 120,840 and 43,877 states, 49 steps. Besides the properties: dropped copies, refused claims, late bytes and the rest do
/// occur in what is explored.
#[test]
fn the_interesting_things_happen() {
    let scope = Scope { witness: true, ..SINGLE };
    holds(scope, 110_000);
    holds(Scope { delivery: Delivery::AtMostOnce, ..scope }, 40_000);
}

/// 105,896 states, 47 steps: 2 messages, 2 owners, 1 cut. And 117,430 states, 37 steps: 1 message, 3 owners, 1 cut, 1 crash
/// of the ledger; a process that dies right after such a crash can lose a message, which is then found and told.
#[test]
fn what_is_acknowledged_inbound_is_committed_once() {
    holds(INBOUND, 100_000);
    holds(inbound::Scope { messages: 1, epochs: 3, ledger_crashes: 1, ..INBOUND }, 110_000);
}

/// 541,169, 443,886 and 856,035 states, up to 59 steps.
#[test]
#[ignore = "a minute or two; run it after a change of the protocol"]
fn deeper_outbound() {
    holds(Scope { epochs: 3, cuts: 0, ..PAIR }, 500_000);
    holds(Scope { cuts: 2, ..PAIR }, 400_000);
    holds(Scope { refusals: 1, ages: true, ..PAIR }, 800_000);
}

/// 2,322,348 states, 61 steps.
#[test]
#[ignore = "a minute or two; run it after a change of the protocol"]
fn deeper_inbound() {
    holds(inbound::Scope { epochs: 3, ..INBOUND }, 2_000_000);
}

#[test]
fn a_claim_after_the_wire_is_caught() {
    let scope = Scope { mutation: Some(Mutation::ClaimAfterWire), ..PAIR };
    is_caught(scope, properties::NO_DUPLICATE);
    is_caught(scope, properties::CLAIMED);
}

#[test]
fn a_resend_that_encrypts_again_is_caught() {
    is_caught(Scope { mutation: Some(Mutation::ReencryptOnResend), ..PAIR }, properties::NO_DUPLICATE);
}

#[test]
fn a_claim_without_a_fence_is_caught() {
    let scope = Scope { mutation: Some(Mutation::NoFenceOnClaim), ..PAIR };
    is_caught(scope, properties::FENCE);
    is_caught(scope, properties::ORDER);
}

/// The same stanza twice does no harm; what a receipt in the backlog would have settled and was encrypted anew or given up
/// instead does.
#[test]
fn a_send_before_the_drain_is_caught() {
    let scope = Scope { mutation: Some(Mutation::SendBeforeDrain), ..SINGLE };
    is_caught(scope, properties::NO_DUPLICATE);
    is_caught(Scope { delivery: Delivery::AtMostOnce, ..scope }, properties::NO_LOSS);
}

#[test]
fn a_takeover_that_reads_before_it_raises_is_caught() {
    let scope = Scope { mutation: Some(Mutation::ReadBeforeRaise), ..PAIR };
    is_caught(scope, properties::COUNTERS);
    is_caught(scope, properties::NO_LOSS);
}

#[test]
fn an_ignored_refusal_is_caught() {
    is_caught(Scope { mutation: Some(Mutation::IgnoredRefusal), ..PAIR }, properties::GATE);
}

#[test]
fn an_ignored_age_is_caught() {
    is_caught(Scope { mutation: Some(Mutation::IgnoredAge), ..SINGLE }, properties::NO_DUPLICATE);
}

#[test]
fn a_second_message_that_does_not_wait_is_caught() {
    is_caught(Scope { mutation: Some(Mutation::NoHeadOfLine), ..PAIR }, properties::ORDER);
}

#[test]
fn a_scheduled_message_that_overtakes_what_was_begun_is_caught() {
    let mutation = Some(Mutation::BegunIsOvertaken);
    is_caught(Scope { scheduled: true, mutation, ..PAIR }, properties::SETTLED_FIRST);
}

#[test]
fn an_ack_before_the_commit_is_caught() {
    let mutation = Some(inbound::Mutation::AckBeforeCommit);
    is_caught(inbound::Scope { mutation, ..INBOUND }, inbound::ACKED_IS_COMMITTED);
}

#[test]
fn a_ratchet_before_the_buffer_is_caught() {
    let mutation = Some(inbound::Mutation::RatchetBeforePending);
    is_caught(inbound::Scope { mutation, ..INBOUND }, inbound::ACKED_IS_COMMITTED);
}

#[test]
fn inbound_writes_without_a_fence_are_caught() {
    is_caught(inbound::Scope { mutation: Some(inbound::Mutation::NoFence), ..INBOUND }, inbound::FENCE);
}

#[test]
fn inbound_events_without_deduplication_are_caught() {
    is_caught(inbound::Scope { mutation: Some(inbound::Mutation::NoDeduplication), ..INBOUND }, inbound::ONCE);
}
