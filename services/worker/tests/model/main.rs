//! The pure protocol, all interleavings to a stated size: no loss, no visible duplicate, order, fencing. `outbound` asks the
//! product's own `decide()` and `refusal()`; `inbound` follows a message in. A property that cannot fail is worth nothing,
//! so every mistake that the rules exist for is made on purpose and must be caught by the property named in its test.
//!
//! Exhaustive within its scope, breadth first; the scope of each test is its size, and a test fails if it was not explored
//! to the end. Outside of the scopes: three workers, more than one chat, Signal sessions other than their counters, clocks.

#![expect(clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod inbound;
mod outbound;

use outbound::{Mutation, Scope, properties};
use stateright::{Checker, HasDiscoveries, Model};
use std::{fmt::Debug, hash::Hash, time::{Duration, Instant}};
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
    delivery: Delivery::AtLeastOnce,
    mutation: None,
    witness: false,
};

/// One message, with everything that may happen to its stanza.
const SINGLE: Scope = Scope { messages: 1, refusals: 1, ages: true, ..PAIR };

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

/// 2 messages, 2 epochs, 1 cut, replies in doubt.
#[test]
fn two_messages_are_seen_once_and_in_order() {
    holds(Scope { doubt: true, ..PAIR }, 200_000);
}

#[test]
fn two_messages_with_aged_and_refused_stanzas() {
    holds(Scope { refusals: 1, ages: true, ..PAIR }, 100_000);
}

#[test]
fn two_messages_at_most_once() {
    holds(Scope { refusals: 1, ages: true, delivery: Delivery::AtMostOnce, ..PAIR }, 100_000);
}

#[test]
fn one_message_over_three_owners() {
    holds(Scope { epochs: 3, cuts: 0, ..SINGLE }, 100_000);
}

#[test]
fn one_message_over_three_owners_amo() {
    holds(Scope { epochs: 3, cuts: 0, delivery: Delivery::AtMostOnce, ..SINGLE }, 100_000);
}

#[test]
fn witnesses() {
    holds(Scope { witness: true, ..SINGLE }, 1000);
    holds(Scope { witness: true, delivery: Delivery::AtMostOnce, ..SINGLE }, 1000);
}

#[test]
fn inb() {
    for (messages, epochs, cuts, ledger_crashes) in [(2,2,1,0),(2,3,1,0),(1,3,1,1),(2,2,1,1)] {
    println!("{messages} {epochs} {cuts} {ledger_crashes}");
    holds(inbound::Scope { messages, epochs, cuts, ledger_crashes, mutation: None }, 1000);
    }
}
