//! What must hold in every state; what must never have happened; what must have happened somewhere.

use super::{
    ledger::Status,
    scope::{Faults, Mutation, Rule, Scope},
    site::Site,
    world::{State, World},
};
use stateright::Property;

/// Something that must never happen.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wrong {
    StaleWrite,
    TwoWriters,
    CounterReused,
    SentAfterRefusal,
    ActedAfterPause,
    EpochFell,
    HealthyDeclaredDead,
    ReleasedActs,
    ReplacedInPeace,
}

/// What of it happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Wrongs(u16);

impl Wrongs {
    pub(crate) fn note(&mut self, wrong: Wrong) {
        self.0 |= 1 << wrong as u16;
    }

    fn has(self, wrong: Wrong) -> bool {
        self.0 & (1 << wrong as u16) != 0
    }
}

/// Something that the exploration must have come across, or the properties prove little.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Witness {
    /// A statement of a former owner is refused.
    StaleRefused,
    /// A statement that nobody waits for takes effect under its own epoch.
    LateLanded,
    /// A superseded owner logs in and kicks the new one.
    StaleLogin,
    /// An owner that was kicked and still is the owner comes back.
    KickedOwnerReturns,
    /// Bytes of a dead socket are seen.
    StragglerSeen,
    /// A repeated copy is dropped.
    CopyDropped,
    /// A worker is dead: its stream ended and it does not renew.
    DeadByStream,
    /// A worker is dead that this leader never had a stream from.
    DeadByLease,
    /// A new incarnation took the place of one that was not judged yet.
    Superseded,
    /// A shard was released and given to another worker.
    Moved,
    /// A report of an epoch that is not the assigned one changed nothing.
    LateReport,
    /// A worker that was continued finds that it lost the shard.
    WokeLost,
}

impl Witness {
    pub(crate) const fn bit(self) -> u32 {
        1 << self as u32
    }
}

pub(crate) const NO_LOSS: &str = "I1: what is sent was seen";
pub(crate) const SETTLES: &str = "I1, I9: nothing is stuck";
pub(crate) const NO_DUPLICATE_ID: &str = "I2a: a recipient that drops repeated ids sees nothing twice";
pub(crate) const NO_DUPLICATE: &str = "I2b: a recipient with nothing but its ratchet sees nothing twice";
pub(crate) const EPOCHS: &str = "I3: epochs of committed writes never fall";
pub(crate) const ONE_WRITER: &str = "I3: an epoch has one writer";
pub(crate) const COUNTERS: &str = "I3, I6: no counter carries two ciphertexts";
pub(crate) const ORDER: &str = "I5: messages of a chat are first seen in their order";
pub(crate) const CLAIMED: &str = "what left is claimed";
pub(crate) const GATE: &str = "nothing leaves after its claim was refused";
pub(crate) const LOGIN: &str = "a login that came after a newer owner may do nothing";
pub(crate) const AWAKE: &str = "nothing leaves after a pause before the epoch was looked up";
pub(crate) const ALIVE: &str = "whoever runs and renews is not declared dead";
pub(crate) const RELEASED: &str = "what is released acts no more";
pub(crate) const PEACE: &str = "without a fault no socket is replaced";
pub(crate) const CALM: &str = "a fault costs at most one takeover, a flush or an election none";

pub(super) fn all(scope: &Scope) -> Vec<Property<World>> {
    let mut properties = vec![
        Property::always(NO_LOSS, no_loss),
        Property::always(SETTLES, not_stuck),
        Property::always(NO_DUPLICATE_ID, no_duplicate_id),
        Property::always(NO_DUPLICATE, |world: &World, state: &State| {
            rows(world).all(|row| state.whatsapp.times_seen(row) <= 1)
        }),
        Property::always(EPOCHS, |_, state: &State| never(state, &[Wrong::StaleWrite, Wrong::EpochFell])),
        Property::always(ONE_WRITER, |_, state: &State| never(state, &[Wrong::TwoWriters])),
        Property::always(COUNTERS, |_, state: &State| never(state, &[Wrong::CounterReused])),
        Property::always(ORDER, |_, state: &State| !state.whatsapp.out_of_order()),
        Property::always(CLAIMED, claimed),
        Property::always(GATE, |_, state: &State| never(state, &[Wrong::SentAfterRefusal])),
        Property::always(LOGIN, no_stale_login_acts),
    ];
    if scope.rule == Rule::Verdicts {
        properties.extend([
            Property::<World>::always(AWAKE, |_, state: &State| never(state, &[Wrong::ActedAfterPause])),
            Property::always(ALIVE, |_, state: &State| never(state, &[Wrong::HealthyDeclaredDead])),
            Property::always(RELEASED, |_, state: &State| never(state, &[Wrong::ReleasedActs])),
            Property::always(PEACE, |_, state: &State| never(state, &[Wrong::ReplacedInPeace])),
            Property::always(CALM, few_takeovers),
        ]);
    }
    properties
}

fn never(state: &State, wrongs: &[Wrong]) -> bool {
    !wrongs.iter().any(|wrong| state.wrongs.has(*wrong))
}

fn rows(world: &World) -> std::ops::Range<u8> {
    0..world.scope.messages
}

fn no_loss(world: &World, state: &State) -> bool {
    rows(world).all(|row| state.ledger.rows[usize::from(row)] != Status::Sent || state.whatsapp.times_seen(row) > 0)
}

/// No state from which nothing is owed but which is not as it should be. That what is owed leads somewhere is shown in
/// [`super::settling`].
fn not_stuck(world: &World, state: &State) -> bool {
    let mut owed = Vec::new();
    world.owed(state, &mut owed);
    !owed.is_empty() || state.is_settled(&world.scope)
}

fn no_duplicate_id(world: &World, state: &State) -> bool {
    let id_per_stanza = world.scope.mutated(Mutation::EncryptedAnewUnderNewId);
    rows(world).all(|row| state.whatsapp.ids_seen(row, id_per_stanza) <= 1)
}

/// A queued row never reached the wire.
fn claimed(world: &World, state: &State) -> bool {
    rows(world).all(|row| state.ledger.rows[usize::from(row)] != Status::Queued || !state.whatsapp.was_written(row))
}

/// The library acts by itself over a login that was let through.
fn no_stale_login_acts(_: &World, state: &State) -> bool {
    !state.sites.iter().filter_map(Site::connection).any(|connection| connection.stale && connection.fenced)
}

fn few_takeovers(world: &World, state: &State) -> bool {
    let costly =
        |faults: &Faults| faults.crashes + faults.doubts + faults.pauses + faults.isolations + faults.moves + faults.drains;
    state.authority.issued <= 1 + costly(&world.scope.faults) - costly(&state.left)
}

impl State {
    /// Whether everything is as it should be: somebody owns the shard, is connected, and every message is sent.
    pub(crate) fn is_settled(&self, scope: &Scope) -> bool {
        let sent = self.ledger.rows.iter().take(usize::from(scope.messages)).all(|row| *row == Status::Sent);
        sent && self.sites.iter().any(|site| {
            let owns = site.runs() && site.shown().is_some() && site.shown() == site.epoch();
            let connected = site.connection().is_some_and(|connection| {
                connection.fenced && !connection.kicked && connection.sending.is_none() && connection.out.is_none()
            });
            owns && connected && site.lane.is_none()
        })
    }

    /// Whether nothing happened but moves, drains, flushes, elections and cut streams.
    pub(crate) fn is_peaceful(&self, scope: &Scope) -> bool {
        let violence = |faults: &Faults| faults.crashes + faults.cuts + faults.doubts + faults.pauses + faults.isolations;
        violence(&self.left) == violence(&scope.faults)
    }
}
