//! The ownership protocol, all interleavings to a stated size: coordinators, workers, ledger, lease store and WhatsApp, with
//! epochs, raises, late and in-doubt statements, flushed leases, kicks. Nothing is lost, nothing is seen twice, no counter is used
//! twice, and from everywhere it settles.
//!
//! Two rules of assignment. Under [`Rule::Whim`] anybody is given the shard at any time, which is more than any verdict could do
//! wrong: what holds there needs no clock and no lease. Under [`Rule::Verdicts`] it goes by streams, leases, releases and reports,
//! as the coordinators do it: there nobody healthy is declared dead and nothing is replaced without need.
//!
//! A property that cannot fail is worth nothing: each mistake that the rules exist for is made on purpose and must be caught by
//! the property named in its test. Explored breadth first and to the end, within the faults that each test names, each at most
//! as often as it says; workers that differ by their number alone are one state.
//!
//! Simplified: one shard, one instance, one chat; what to do with a row and what its receipts do is explored in
//! `services/worker/tests/model`, as is the way in. Harsher than the product: a session may be read again while its last
//! statement is under way; the server takes repeated ids; the recipient has nothing but a ratchet; a worker that is not paused
//! may be as slow as one that is. Outside: a ledger that goes back in time, shards that depend on each other, the log of the
//! coordinators itself.

#![expect(clippy::indexing_slicing, reason = "tests")]

mod authority;
mod caught;
mod fifo;
mod holding;
mod lane;
mod leading;
mod ledger;
mod owning;
mod product;
mod properties;
mod scope;
mod settling;
mod site;
mod steps;
mod takeover;
mod turns;
mod whatsapp;
mod world;

use properties::Witness;
use scope::{Faults, Mutation, Rule, Scope};
use stateright::{Checker, HasDiscoveries, Model as _};
use std::time::{Duration, Instant};
use world::World;

/// The product's own judge, state and scheduler; see [`product`].
#[path = "../../src"]
#[expect(dead_code, reason = "the rest of the product uses the rest of it")]
mod coordinator {
    pub(crate) mod command;
    pub(crate) mod evidence;
    pub(crate) mod scheduler;
    pub(crate) mod state;
}
use coordinator::{command, state};

/// Far more than any of these needs; an exploration that was cut short counts as failed.
const PATIENCE: Duration = Duration::from_secs(900);

const NONE: Faults = Faults::NONE;

/// Two messages, two ownerships of two workers, at any time.
const WHIM: Scope = Scope {
    workers: 2,
    messages: 2,
    rule: Rule::Whim,
    epochs: 2,
    block: 1,
    own_frames: 0,
    faults: NONE,
    retries_anywhere: false,
    mutation: None,
    symmetric: true,
};

/// One message, two workers, and coordinators.
const VERDICTS: Scope = Scope { rule: Rule::Verdicts, messages: 1, ..WHIM };

/// Explores to the end; nothing is wrong, from everywhere it settles, and what makes it interesting does happen.
fn holds(scope: Scope, at_least: usize, witnesses: &[Witness]) {
    let start = Instant::now();
    let world = World::new(scope);
    let explored = settling::explore(&world);
    println!("{} states, {} steps deep, {:?}", explored.states, explored.depth, start.elapsed());
    assert_eq!(explored.wrong, None);
    assert!(explored.states >= at_least, "the scope shrank to {}", explored.states);
    for witness in witnesses {
        assert!(world.has_witnessed(*witness), "{witness:?} never happened");
    }
}

/// As above for scopes that are too large to remember every step: nothing is wrong, and nothing is at a dead end.
fn holds_deeper(scope: Scope, at_least: usize) {
    let start = Instant::now();
    let checker = World::new(scope).checker().threads(2).timeout(PATIENCE).spawn_bfs().join();
    println!("{} states, {} steps deep, {:?}", checker.unique_state_count(), checker.max_depth(), start.elapsed());
    assert!(start.elapsed() < PATIENCE, "not explored to the end");
    checker.assert_properties();
    assert!(checker.unique_state_count() >= at_least, "the scope shrank to {}", checker.unique_state_count());
}

/// Finds a counterexample to the property.
fn is_caught(scope: Scope, mutation: Mutation, property: &'static str) {
    let start = Instant::now();
    let world = World::new(Scope { mutation: Some(mutation), symmetric: false, ..scope });
    let wanted = HasDiscoveries::AnyOf([property].into());
    let checker = world.checker().threads(2).timeout(PATIENCE).finish_when(wanted).spawn_bfs().join();
    let steps = checker.assert_any_discovery(property).into_actions();
    println!("{} states, {:?}; {property}: {steps:?}", checker.unique_state_count(), start.elapsed());
}
