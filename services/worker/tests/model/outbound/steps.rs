//! What each step does.

use super::{
    Action, Mutation, Scope, State,
    ledger::{MESSAGES, Op, Statement, Verdict},
    network::{Answer, Frame, bit},
    properties::Witness,
    worker::{Connection, Link, Owner, Phase, Sending, Taking, Worker},
};
use warren_domain::MessageStatus;
use warren_worker::outbound::decide::{Refused, Step, refusal};

/// How many counters are reserved at once; below, nobody is asked.
const RESERVATION: u8 = 2;

impl State {
    pub(super) fn take(&mut self, scope: &Scope, action: Action) {
        match action {
            Action::Assign(at) => self.assign(at),
            Action::Raise(at) => self.raise(at),
            Action::Read(at) => self.read(at),
            Action::Clear(at) => self.clear(at),
            Action::Login(at) => self.login(at),
            Action::Drain(at) => self.drain(at),
            Action::Fence(at) => self.fence(at),
            Action::Release => self.held = false,
            Action::Fetch(at) => self.fetch(scope, at),
            Action::Decide(at) => self.decide(scope, at),
            Action::Write(at) => self.write(scope, at),
            Action::WriteStray(at) => self.write_stray(at),
            Action::Land(at) => self.land(scope, at),
            Action::LandUnheard(at) => self.land_unheard(scope, at),
            Action::LandOrphan(at) => self.land_orphan(scope, at),
            Action::Accept(at) => self.accept(at),
            Action::Refuse(at) => self.refuse(at),
            Action::Hear(at) => self.hear(at),
            Action::AcceptStraggler(which) => self.accept_straggler(which),
            Action::Receipt(row) => {
                self.network.receipts |= bit(row);
                self.network.receipted |= bit(row);
            }
            Action::Deliver(at, row) => self.deliver(at, row),
            Action::NoticeKick(at) => self.notice_kick(at),
            Action::Cut(at) => {
                self.cuts -= 1;
                self.close(at);
            }
            Action::Crash => self.down(self.assigned),
            Action::Age => self.age(),
        }
        if !scope.witness {
            self.witnessed = 0;
        }
    }

    fn owner(&mut self, at: u8) -> Option<&mut Owner> {
        self.workers[usize::from(at)].owner_mut()
    }

    fn connection(&mut self, at: u8) -> Option<&mut Connection> {
        self.workers[usize::from(at)].connection_mut()
    }

    fn witness(&mut self, witness: Witness) {
        self.witnessed |= witness.bit();
    }

    // ---- ownership

    fn assign(&mut self, at: u8) {
        self.down(at);
        self.epoch += 1;
        self.assigned = at;
        self.workers[usize::from(at)] = Worker::Taking(Taking { epoch: self.epoch, raised: false, read: None });
    }

    /// Memory is gone; what was asked of the ledger may still happen, and what was written may still arrive.
    fn down(&mut self, at: u8) {
        self.close(at);
        self.workers[usize::from(at)] = Worker::Down;
        let lane = &mut self.lanes[usize::from(at)];
        while let Some(statement) = lane.pop() {
            self.orphans[usize::from(at)].push(Statement { in_doubt: false, ..statement });
        }
    }

    fn raise(&mut self, at: u8) {
        let Worker::Taking(taking) = &mut self.workers[usize::from(at)] else { return };
        if !self.ledger.raise(taking.epoch) {
            return self.down(at);
        }
        taking.raised = true;
        self.finish_taking(at);
    }

    fn read(&mut self, at: u8) {
        let Worker::Taking(taking) = &mut self.workers[usize::from(at)] else { return };
        taking.read = Some(self.ledger.reserved);
        self.finish_taking(at);
    }

    fn finish_taking(&mut self, at: u8) {
        let worker = &mut self.workers[usize::from(at)];
        if let Worker::Taking(Taking { epoch, raised: true, read: Some(counter) }) = *worker {
            *worker = Worker::Up(Owner::new(epoch, counter));
        }
    }

    // ---- the connection

    fn close(&mut self, at: u8) {
        let Some(owner) = self.owner(at) else { return };
        let out = owner.connection().and_then(|connection| connection.out);
        owner.link = Link::Closed;
        if let Some(frame) = out {
            self.network.strands(frame);
        }
    }

    fn clear(&mut self, at: u8) {
        let stored = self.ledger.epoch;
        let Some(owner) = self.owner(at) else { return };
        if owner.epoch == stored {
            owner.link = Link::Cleared;
        } else {
            self.down(at);
        }
    }

    fn login(&mut self, at: u8) {
        for other in 0..self.workers.len() as u8 {
            let Some(connection) = self.connection(other) else { continue };
            connection.kicked = true;
            if let Some(frame) = connection.out.take() {
                self.network.strands(frame);
            }
        }
        let backlog = self.network.receipts;
        if let Some(owner) = self.owner(at) {
            owner.link = Link::Open(Connection::new(backlog));
        }
    }

    fn notice_kick(&mut self, at: u8) {
        let stored = self.ledger.epoch;
        let mine = self.owner(at).is_some_and(|owner| owner.epoch == stored);
        if mine { self.close(at) } else { self.down(at) }
    }

    fn drain(&mut self, at: u8) {
        for row in 0..MESSAGES as u8 {
            if self.network.receipts & bit(row) != 0 {
                self.deliver(at, row);
            }
        }
        let Some(connection) = self.connection(at) else { return };
        connection.drained = true;
        connection.backlog = 0;
    }

    /// The library acknowledges a receipt right after it handed it over: the server forgets it.
    fn deliver(&mut self, at: u8, row: u8) {
        self.network.receipts &= !bit(row);
        let Some(connection) = self.connection(at) else { return };
        let frees = connection.sending.is_some_and(|sending| sending.frame.row == row);
        self.ask(at, Op::Receipt { row, frees });
    }

    fn fence(&mut self, at: u8) {
        let stored = self.ledger.epoch;
        match self.owner(at) {
            Some(owner) if owner.epoch == stored => {
                if let Some(connection) = owner.connection_mut() {
                    connection.fenced = true;
                }
            }
            _ => self.down(at),
        }
    }

    fn fetch(&mut self, scope: &Scope, at: u8) {
        let rows = self.ledger.rows;
        let shown: Vec<_> = (0..usize::from(scope.messages)).filter(|row| self.is_shown(*row)).collect();
        let Some(connection) = self.connection(at) else { return };
        for row in shown {
            connection.known[row].get_or_insert(rows[row]);
        }
    }

    // ---- the send

    fn decide(&mut self, scope: &Scope, at: u8) {
        let Some(owner) = self.workers[usize::from(at)].owner().copied() else { return };
        let now = scope.circumstances(owner.epoch, &self.lanes[usize::from(at)], self);
        let decision = owner.connection().and_then(|connection| connection.next_step(&now).zip(Some(connection.backlog)));
        let Some(((row, known, step), backlog)) = decision else { return };
        let step = match step {
            Step::Resend if scope.mutated(Mutation::ReencryptOnResend) => Step::EncryptAnew,
            step => step,
        };
        // A stale owner knows no better; its claim is refused.
        let is_fresh = step == Step::Encrypt && owner.epoch == self.ledger.epoch;
        let others = self.ledger.rows.iter().enumerate().filter(|(other, _)| *other != usize::from(row));
        let unsettled = others.filter(|(_, other)| other.status == MessageStatus::Handed).count();
        self.unsettled_overtaken |= is_fresh && unsettled > 0;
        let counter = match step {
            Step::Encrypt | Step::EncryptAnew => match self.next_counter(at) {
                Some(counter) => counter,
                None => return self.down(at),
            },
            _ => known.stanza,
        };
        if matches!(step, Step::EncryptAnew | Step::FailUnknown) {
            let in_doubt = (self.network.aged | self.network.refused) & bit(row) != 0;
            if in_doubt && backlog & bit(row) == 0 {
                self.excused |= bit(row);
            }
        }
        let (op, phase) = match step {
            Step::FailUnknown => (Some(Op::FailUnknown { row }), Phase::Settling),
            _ if scope.mutated(Mutation::ClaimAfterWire) => (None, Phase::Claimed),
            _ => (Some(Op::Claim { row, stanza: counter, replace: step == Step::EncryptAnew }), Phase::Claiming),
        };
        if let Some(op) = op {
            self.ask(at, op);
        }
        if step == Step::EncryptAnew {
            self.witness(Witness::EncryptedAnew);
        }
        let frame = Frame { row, counter };
        if let Some(connection) = self.connection(at) {
            connection.sending = Some(Sending { frame, step, phase, refused: false });
        }
    }

    /// The session's next Signal counter. The ledger is asked only when a reservation is used up: the library's own writes do
    /// not stop a stale owner below it. `None`: the ledger refused.
    fn next_counter(&mut self, at: u8) -> Option<u8> {
        let owner = self.workers[usize::from(at)].owner_mut()?;
        if owner.counter == owner.reserved {
            let up_to = owner.reserved + RESERVATION;
            if self.ledger.reserve(owner.epoch, up_to) != Verdict::Done {
                return None;
            }
            owner.reserved = up_to;
        }
        owner.counter += 1;
        Some(owner.counter)
    }

    fn write(&mut self, scope: &Scope, at: u8) {
        let Some(connection) = self.connection(at) else { return };
        let Some(sending) = &mut connection.sending else { return };
        sending.phase = Phase::Written;
        let (frame, step, refused) = (sending.frame, sending.step, sending.refused);
        let kicked = connection.kicked;
        if !kicked {
            connection.out = Some(frame);
        }
        if scope.mutated(Mutation::NoHeadOfLine) {
            connection.sending = None;
            connection.known[usize::from(frame.row)] = None;
        }
        if scope.mutated(Mutation::ClaimAfterWire) {
            self.ask(at, Op::Claim { row: frame.row, stanza: frame.counter, replace: step == Step::EncryptAnew });
        }
        self.sent_after_refusal |= refused;
        self.network.leaves(frame);
        if kicked {
            self.network.strands(frame);
        }
    }

    fn write_stray(&mut self, at: u8) {
        let Some(frame) = self.connection(at).and_then(|connection| connection.stray.take()) else { return };
        self.network.leaves(frame);
        self.network.strands(frame);
    }

    fn hear(&mut self, at: u8) {
        let Some(connection) = self.connection(at) else { return };
        let Some((row, answer)) = connection.answer.take() else { return };
        let sending = connection.sending.as_mut().filter(|sending| sending.frame.row == row);
        match answer {
            Answer::Ack => {
                if let Some(sending) = sending {
                    sending.phase = Phase::Settling;
                }
                self.ask(at, Op::Receipt { row, frees: true });
            }
            Answer::Stale => {
                let Some(sending) = sending else { return };
                if refusal("479", sending.is_repeated()) == Refused::StaleStanza {
                    connection.dead |= bit(row);
                    connection.sending = None;
                }
            }
        }
    }

    // ---- the ledger

    fn ask(&mut self, at: u8, op: Op) {
        let Some(epoch) = self.owner(at).map(|owner| owner.epoch) else { return };
        self.lanes[usize::from(at)].push(Statement { epoch, op, in_doubt: false });
    }

    fn effect(&mut self, scope: &Scope, statement: Statement) -> Verdict {
        let claims = matches!(statement.op, Op::Claim { .. });
        let verdict = self.ledger.apply(statement, !(claims && scope.mutated(Mutation::NoFenceOnClaim)));
        if verdict == Verdict::OwnershipLost && claims {
            self.witness(Witness::StaleClaimRefused);
        }
        verdict
    }

    fn land_unheard(&mut self, scope: &Scope, at: u8) {
        let Some(front) = self.lanes[usize::from(at)].front_mut() else { return };
        front.in_doubt = true;
        let statement = *front;
        self.effect(scope, statement);
    }

    fn land_orphan(&mut self, scope: &Scope, at: u8) {
        if let Some(statement) = self.orphans[usize::from(at)].pop() {
            self.effect(scope, statement);
        }
    }

    fn land(&mut self, scope: &Scope, at: u8) {
        let Some(statement) = self.lanes[usize::from(at)].pop() else { return };
        let verdict = self.effect(scope, statement);
        let refusal_counts = !scope.mutated(Mutation::IgnoredRefusal);
        if verdict == Verdict::OwnershipLost && refusal_counts {
            return self.down(at);
        }
        match statement.op {
            Op::Claim { row, stanza, .. } => {
                let open = self.ledger.rows[usize::from(row)].status.is_open();
                self.claimed_in_vain |= verdict == Verdict::NoChange && open;
                self.claimed(at, Frame { row, counter: stanza }, verdict, refusal_counts);
            }
            Op::Receipt { row, frees } => {
                if verdict == Verdict::Done && !frees {
                    self.witness(Witness::SettledByReceipt);
                }
                self.settled(at, row, frees);
            }
            Op::FailUnknown { row } => {
                self.witness(Witness::GivenUp);
                self.settled(at, row, true);
            }
        }
    }

    fn claimed(&mut self, at: u8, frame: Frame, verdict: Verdict, refusal_counts: bool) {
        let Some(connection) = self.connection(at) else { return };
        let Some(sending) = &mut connection.sending else { return };
        if sending.frame != frame || sending.phase != Phase::Claiming {
            return;
        }
        let done = verdict == Verdict::Done;
        if done || !refusal_counts {
            sending.phase = Phase::Claimed;
            sending.refused = !done;
        } else if sending.step == Step::Resend {
            connection.sending = None;
            connection.known[usize::from(frame.row)] = None;
        } else {
            // The library was told that its write failed: the connection is rebuilt.
            self.close(at);
        }
    }

    /// A row is done with: its chat goes on.
    fn settled(&mut self, at: u8, row: u8, frees: bool) {
        let Some(connection) = self.connection(at) else { return };
        let sending = connection.sending.filter(|sending| frees && sending.frame.row == row);
        let Some(sending) = sending else { return };
        if sending.phase == Phase::Claimed {
            connection.stray = Some(sending.frame);
        }
        connection.sending = None;
        connection.known[usize::from(row)] = None;
    }

    // ---- the outside

    fn accept(&mut self, at: u8) {
        let Some(connection) = self.connection(at) else { return };
        let Some(frame) = connection.out.take() else { return };
        connection.answer = Some((frame.row, Answer::Ack));
        if !self.network.accept(frame) {
            self.witness(Witness::CopyDropped);
        }
    }

    fn refuse(&mut self, at: u8) {
        let Some(connection) = self.connection(at) else { return };
        let Some(frame) = connection.out.take() else { return };
        connection.answer = Some((frame.row, Answer::Stale));
        self.refusals -= 1;
        self.network.refused |= bit(frame.row);
    }

    fn accept_straggler(&mut self, which: u8) {
        let Some(frame) = self.network.stragglers.remove(usize::from(which)) else { return };
        if self.network.accept(frame) {
            self.witness(Witness::StragglerSeen);
        }
    }

    fn age(&mut self) {
        self.may_age = false;
        while self.network.stragglers.pop().is_some() {}
        for orphans in &mut self.orphans {
            while orphans.pop().is_some() {}
        }
        for row in 0..MESSAGES as u8 {
            if self.ledger.rows[usize::from(row)].status == MessageStatus::Handed {
                self.network.aged |= bit(row);
            }
        }
    }
}
