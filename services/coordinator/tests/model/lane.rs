//! What each step of a committer lane does, and what a verdict means to who hears it.

use super::{
    ledger::{Op, Stanza, Statement, Status, Verdict},
    properties::Witness,
    scope::Mutation,
    site::{Phase, Site, Taking, Tenure},
    world::{State, World},
};

impl State {
    pub(crate) fn land(&mut self, world: &World, at: u8) {
        let Some(statement) = self.site(at).lane.take() else { return };
        let verdict = self.apply(world, statement);
        let heard = self.site(at).owner().is_some_and(|owner| owner.epoch == statement.epoch) && !statement.unheard;
        if !heard {
            return;
        }
        let claims = matches!(statement.op, Op::Claim { .. });
        if verdict == Verdict::OwnershipLost && !(claims && world.scope.mutated(Mutation::SendGateOff)) {
            return self.lose(at);
        }
        match statement.op {
            Op::Raise => {}
            Op::Lease(up_to) => {
                if let Some(owner) = self.site(at).owner_mut() {
                    owner.session.ceiling = up_to;
                }
            }
            Op::Claim { row, stanza, .. } => self.claimed(world, at, row, stanza, verdict),
            Op::Sent(row) => {
                let Some(connection) = self.connection(at) else { return };
                connection.known[usize::from(row)] = Status::Sent;
                connection.sending = connection.sending.filter(|sending| sending.row != row);
            }
            Op::Barrier => self.fenced(at),
        }
    }

    pub(crate) fn claimed(&mut self, world: &World, at: u8, row: u8, stanza: Stanza, verdict: Verdict) {
        let Some(sending) = self.connection(at).and_then(|connection| connection.sending.as_mut()) else { return };
        if (sending.row, sending.stanza, sending.phase) != (row, stanza, Phase::Claiming) {
            return;
        }
        if verdict == Verdict::Done || world.scope.mutated(Mutation::SendGateOff) {
            sending.phase = Phase::Claimed;
            sending.refused = verdict != Verdict::Done;
        } else {
            // Nothing of it left: the connection is rebuilt and the rows are read again.
            self.close(at);
        }
    }

    pub(crate) fn land_unheard(&mut self, world: &World, at: u8) {
        self.left.doubts -= 1;
        let Some(statement) = &mut self.site(at).lane else { return };
        statement.in_doubt = true;
        let statement = *statement;
        self.apply(world, statement);
    }

    pub(crate) fn retry(&mut self, at: u8) {
        self.left.doubts -= 1;
        if let Some(statement) = self.site(at).lane {
            self.becomes_late(statement);
        }
    }

    /// The client is rebuilt from what the ledger says, while its statement may still be under way in the lane.
    pub(crate) fn give_up(&mut self, world: &World, at: u8) {
        self.left.doubts -= 1;
        self.close(at);
        let site = self.site(at);
        let Tenure::Owner(owner) = site.tenure else { return };
        site.tenure = Tenure::Taking(Taking { epoch: owner.epoch, twin: owner.twin, raised: true, loaded: None });
        if !world.scope.mutated(Mutation::LateStatement) {
            if let Some(statement) = &mut site.lane {
                statement.unheard = true;
            }
            return;
        }
        if let Some(statement) = site.lane.take() {
            self.becomes_late(statement);
        }
    }

    pub(crate) fn land_late(&mut self, world: &World, which: u8) {
        let Some(statement) = self.ledger.late.remove(usize::from(which)) else { return };
        let verdict = self.apply(world, statement);
        if verdict == Verdict::Done && statement.op != Op::Raise {
            world.witness(Witness::LateLanded);
        }
    }
}

impl Site {
    /// Puts a statement into the lane.
    pub(crate) fn ask(&mut self, stored_epoch: u8, op: Op) {
        let (epoch, twin) = match &self.tenure {
            Tenure::Owner(owner) => (owner.epoch, owner.twin),
            _ => return,
        };
        assert!(self.lane.is_none(), "one statement at a time");
        let admitted = epoch == stored_epoch;
        self.lane = Some(Statement { epoch, twin, op, admitted, in_doubt: false, unheard: false });
    }
}
