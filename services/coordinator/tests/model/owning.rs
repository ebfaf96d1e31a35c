//! What each step of an owner does: its connection, its sends, and what comes of them outside.

use super::{
    ledger::{Op, Stanza, Status},
    properties::{Witness, Wrong},
    scope::{Mutation, Rule},
    site::{Attention, Connection, Link, Phase, Sending, Session, Site},
    whatsapp::{Frame, OWN},
    world::{State, World},
};

impl State {
    // ---- the connection

    pub(super) fn close(&mut self, at: u8) {
        let out = self.connection(at).and_then(|connection| connection.out.take());
        if let Some(owner) = self.site(at).owner_mut() {
            owner.link = Link::Closed;
        }
        self.strands(out);
    }

    /// Bytes on a socket that died under them.
    pub(crate) fn strands(&mut self, frame: Option<Frame>) {
        if let Some(frame) = frame {
            self.whatsapp.stragglers.put(frame);
        }
    }

    pub(crate) fn is_mine(&self, at: u8) -> bool {
        self.sites[usize::from(at)].epoch() == Some(self.ledger.epoch)
    }

    pub(crate) fn clear(&mut self, at: u8) {
        if !self.is_mine(at) {
            return self.lose(at);
        }
        if let Some(owner) = self.site(at).owner_mut() {
            owner.link = Link::Cleared;
        }
    }

    pub(crate) fn login(&mut self, world: &World, at: u8) {
        let stale = !self.is_mine(at);
        let mut replaces = false;
        let mut out = None;
        for site in &mut self.sites {
            let Some(connection) = site.connection_mut() else { continue };
            replaces |= !connection.kicked;
            connection.kicked = true;
            // Of two, the first that is kicked has nothing out any more.
            out = out.or(connection.out.take());
        }
        self.strands(out);
        if replaces && stale {
            world.witness(Witness::StaleLogin);
        }
        if replaces && world.scope.rule == Rule::Verdicts && self.is_peaceful(&world.scope) {
            self.wrongs.note(Wrong::ReplacedInPeace);
        }
        if let Some(owner) = self.site(at).owner_mut() {
            owner.link = Link::Open(Connection::new(stale));
        }
    }

    pub(crate) fn notice_kick(&mut self, world: &World, at: u8) {
        if self.is_mine(at) && !world.scope.mutated(Mutation::KickIsLoss) {
            world.witness(Witness::KickedOwnerReturns);
            return self.close(at);
        }
        self.lose(at);
    }

    pub(crate) fn revalidate(&mut self, world: &World, at: u8) {
        self.site(at).attention = Attention::Full;
        if self.site(at).owner().is_some() && !self.is_mine(at) {
            world.witness(Witness::WokeLost);
            self.lose(at);
        }
    }

    pub(crate) fn fence(&mut self, world: &World, at: u8) {
        if world.scope.mutated(Mutation::NoFenceAfterLogin) {
            return self.fenced(at);
        }
        let stored = self.ledger.epoch;
        self.site(at).ask(stored, Op::Barrier);
    }

    pub(crate) fn fenced(&mut self, at: u8) {
        let rows = self.ledger.rows;
        if let Some(connection) = self.connection(at) {
            connection.fenced = true;
            connection.known = rows;
        }
    }

    // ---- the send

    /// A queued message is encrypted, one that was handed is repeated as it is stored: the rest of the decision is explored in
    /// the worker's own model.
    pub(crate) fn decide(&mut self, world: &World, at: u8) {
        let stored_epoch = self.ledger.epoch;
        let site = self.site(at);
        let Some((row, status)) = site.connection().and_then(|connection| world.head(connection)) else { return };
        let anew = world.scope.mutated(Mutation::EncryptedAnew) || world.scope.mutated(Mutation::EncryptedAnewUnderNewId);
        let (stanza, replace) = match status {
            Status::Handed(_, stored) if !anew => (stored, false),
            Status::Handed(..) | Status::Queued | Status::Sent => match next_counter(world, site, stored_epoch) {
                Some(stanza) => (stanza, status != Status::Queued),
                None => return,
            },
        };
        let after_wire = world.scope.mutated(Mutation::ClaimAfterWire);
        if !after_wire {
            site.ask(stored_epoch, Op::Claim { row, stanza, replace });
        }
        let phase = if after_wire { Phase::Claimed } else { Phase::Claiming };
        if let Some(connection) = site.connection_mut() {
            connection.sending = Some(Sending { row, stanza, phase, refused: false });
        }
    }

    pub(crate) fn write(&mut self, world: &World, at: u8) {
        let stored_epoch = self.ledger.epoch;
        let site = self.site(at);
        let Some(sending) = site.connection_mut().and_then(|connection| connection.sending.as_mut()) else { return };
        sending.phase = Phase::Written;
        let Sending { row, stanza, refused, .. } = *sending;
        if world.scope.mutated(Mutation::ClaimAfterWire) {
            site.ask(stored_epoch, Op::Claim { row, stanza, replace: false });
        }
        if world.scope.mutated(Mutation::NoHeadOfLine)
            && let Some(connection) = site.connection_mut()
        {
            connection.sending = None;
            connection.known[usize::from(row)] = Status::Sent;
        }
        if refused {
            self.wrongs.note(Wrong::SentAfterRefusal);
        }
        self.leaves(at, Frame { row, stanza });
    }

    pub(crate) fn write_own(&mut self, world: &World, at: u8) {
        let stored_epoch = self.ledger.epoch;
        let Some(stanza) = next_counter(world, self.site(at), stored_epoch) else { return };
        self.own_frames -= 1;
        self.leaves(at, Frame { row: OWN, stanza });
    }

    /// A frame leaves, on a live socket or on one that was kicked.
    pub(crate) fn leaves(&mut self, at: u8, frame: Frame) {
        let suspended = self.site(at).attention != Attention::Full;
        let Some(connection) = self.connection(at) else { return };
        let kicked = connection.kicked;
        if !kicked {
            connection.out = Some(frame);
        }
        if suspended {
            self.wrongs.note(Wrong::ActedAfterPause);
        }
        self.whatsapp.leaves(&mut self.wrongs, frame);
        if kicked {
            self.strands(Some(frame));
        }
    }

    pub(crate) fn hear(&mut self, at: u8) {
        let stored_epoch = self.ledger.epoch;
        let site = self.site(at);
        let Some(connection) = site.connection_mut() else { return };
        let Some(row) = connection.answer.take() else { return };
        if let Some(sending) = &mut connection.sending {
            sending.phase = Phase::Settling;
        }
        site.ask(stored_epoch, Op::Sent(row));
    }

    // ---- the outside

    pub(crate) fn accept(&mut self, world: &World, at: u8) {
        let Some(connection) = self.connection(at) else { return };
        let Some(frame) = connection.out.take() else { return };
        if frame.row != OWN {
            connection.answer = Some(frame.row);
        }
        if !self.whatsapp.accept(frame) {
            world.witness(Witness::CopyDropped);
        }
    }

    pub(crate) fn accept_straggler(&mut self, world: &World, which: u8) {
        let Some(frame) = self.whatsapp.stragglers.remove(usize::from(which)) else { return };
        if self.whatsapp.accept(frame) {
            world.witness(Witness::StragglerSeen);
        }
    }
}

/// A message encrypted with the session's next Signal counter. `None`: the lease is used up and another one is asked for.
/// Below the ceiling nobody is asked, whatever happened to the ownership meanwhile.
fn next_counter(world: &World, site: &mut Site, stored_epoch: u8) -> Option<Stanza> {
    let owner = site.owner_mut()?;
    let Session { counter, ceiling } = &mut owner.session;
    if *counter < *ceiling {
        *counter += 1;
        return Some(Stanza { counter: *counter, by: owner.epoch });
    }
    let up_to = *ceiling + world.scope.block;
    site.ask(stored_epoch, Op::Lease(up_to));
    None
}
