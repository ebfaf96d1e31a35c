//! Whose turn it is: which steps are owed, and which may happen or not.

use super::{
    authority::Stream,
    ledger::Status,
    scope::{Mutation, Rule, Scope},
    site::{Attention, Connection, Link, Phase, Process, Reach, Site, Tenure},
    world::{Action, State, World},
};

impl World {
    /// Steps that happen sooner or later, whatever else happens.
    pub(crate) fn owed(&self, state: &State, actions: &mut Vec<Action>) {
        let nobody_has_it = state.sites.iter().all(|site| site.member.assignment.is_none());
        if nobody_has_it && self.may_issue(state) {
            actions
                .extend(state.numbered().filter(|(_, site)| site.member.is_candidate()).map(|(at, _)| Action::Assign(at)));
        }
        if self.scope.rule == Rule::Verdicts && state.after_a_period() != *state {
            actions.push(Action::Tick);
        }
        if state.authority.store_away {
            actions.push(Action::FindStore);
        }
        for (at, site) in state.numbered() {
            self.owed_by_the_leader(state, at, site, actions);
            if !site.runs() {
                continue;
            }
            if site.lane.is_some() {
                actions.push(Action::Land(at));
            }
            if site.is_attached() {
                if site.report.is_some() {
                    actions.push(Action::Deliver(at));
                }
                if site.has_news() {
                    actions.push(Action::Follow(at));
                }
                if site.has_taken() {
                    actions.push(Action::Confirm(at));
                }
            }
            if site.may_exit() {
                actions.push(Action::Exit(at));
            }
            if site.attention == Attention::Suspended && !matches!(site.tenure, Tenure::Taking(_)) {
                actions.push(Action::Revalidate(at));
            }
            self.owed_by_the_tenure(at, site, actions);
        }
    }

    fn owed_by_the_leader(&self, state: &State, at: u8, site: &Site, actions: &mut Vec<Action>) {
        let member = &site.member;
        if state.authority.is_dead(&self.scope, member) {
            actions.push(Action::Judge(at));
        }
        if member.draining && state.may_leave(&self.scope, at) {
            actions.push(Action::Move(at));
        }
        if member.stream == Stream::Open && site.process == Process::Down {
            actions.push(Action::EndStream(at));
        }
        if site.is_reachable() && !member.is_attached() {
            actions.push(Action::OpenStream(at));
        }
        // As long as another one is there, nobody has to come back.
        if !state.sites.iter().any(Site::is_reachable) {
            match site.process {
                Process::Absent => {}
                Process::Down => actions.push(Action::Restart(at)),
                Process::Paused => actions.push(Action::Resume(at)),
                Process::Running => actions.push(Action::Heal(at)),
            }
        }
    }

    fn owed_by_the_tenure(&self, at: u8, site: &Site, actions: &mut Vec<Action>) {
        match &site.tenure {
            Tenure::None => {}
            Tenure::Taking(taking) => {
                let raise_first = !self.scope.mutated(Mutation::LoadBeforeRaise);
                let load = if raise_first { taking.raised } else { taking.loaded.is_none() };
                actions.push(if load { Action::Load(at) } else { Action::Raise(at) });
            }
            Tenure::Ending(_) => {
                if site.lane.is_none() && (site.shown().is_some() || site.report.is_none()) {
                    actions.push(Action::Release(at));
                }
            }
            Tenure::Owner(owner) => match &owner.link {
                Link::Closed if site.lane.is_none() => actions.push(Action::Clear(at)),
                Link::Closed => {}
                Link::Cleared if site.attention != Attention::Full => {}
                Link::Cleared => actions.push(Action::Login(at)),
                Link::Open(connection) => self.owed_by_the_connection(at, site, connection, actions),
            },
        }
    }

    fn owed_by_the_connection(&self, at: u8, site: &Site, connection: &Connection, actions: &mut Vec<Action>) {
        if connection.kicked {
            actions.push(Action::NoticeKick(at));
        } else if connection.out.is_some() && connection.answer.is_none() {
            actions.push(Action::Accept(at));
        }
        let lane_is_free = site.lane.is_none();
        if connection.answer.is_some() && lane_is_free {
            actions.push(Action::Hear(at));
        }
        if !connection.fenced && lane_is_free {
            actions.push(Action::Fence(at));
        }
        let claimed = connection.sending.is_some_and(|sending| sending.phase == Phase::Claimed);
        if claimed && lane_is_free && connection.out.is_none() && self.may_act(site) {
            actions.push(Action::Write(at));
        }
        if lane_is_free && connection.sending.is_none() && self.head(connection).is_some() {
            actions.push(Action::Decide(at));
        }
    }

    /// The first message of the chat that is not settled.
    pub(crate) fn head(&self, connection: &Connection) -> Option<(u8, Status)> {
        let rows = connection.known.iter().copied().take(usize::from(self.scope.messages));
        let open = rows.enumerate().find(|(_, status)| *status != Status::Sent);
        open.filter(|_| connection.fenced).map(|(row, status)| (row as u8, status))
    }

    /// The send gate.
    pub(crate) fn may_act(&self, site: &Site) -> bool {
        let unaware =
            [Mutation::SendGateOff, Mutation::WakesUnaware].into_iter().any(|mutation| self.scope.mutated(mutation));
        site.runs() && (site.attention == Attention::Full || unaware)
    }

    fn may_issue(&self, state: &State) -> bool {
        self.scope.rule == Rule::Verdicts || state.authority.issued < self.scope.epochs
    }

    /// Faults, and what somebody may or may not do.
    pub(crate) fn possible(&self, state: &State, actions: &mut Vec<Action>) {
        let left = &state.left;
        if self.scope.rule == Rule::Whim && self.may_issue(state) {
            actions.extend(state.numbered().map(|(at, _)| Action::Assign(at)));
        }
        if left.elections > 0 {
            actions.push(Action::Elect);
        }
        if left.flushes > 0 {
            actions.push(Action::Flush);
        }
        if left.outages > 0 && !state.authority.store_away {
            actions.push(Action::LoseStore);
        }
        for (at, site) in state.numbered() {
            match site.process {
                Process::Absent => {}
                Process::Down => actions.push(Action::Restart(at)),
                Process::Paused => actions.push(Action::Resume(at)),
                Process::Running => {
                    self.may_befall(state, at, site, actions);
                    self.may_befall_its_statements(state, at, site, actions);
                    self.may_be_done(state, at, site, actions);
                }
            }
        }
        actions.extend((0..state.ledger.late.len() as u8).map(Action::LandLate));
        actions.extend((0..state.whatsapp.stragglers.len() as u8).map(Action::AcceptStraggler));
    }

    fn may_befall(&self, state: &State, at: u8, site: &Site, actions: &mut Vec<Action>) {
        let left = &state.left;
        let whole = site.reach == Reach::All;
        let befalls = [
            (left.crashes > 0 && self.may_issue(state), Action::Crash(at)),
            (left.pauses > 0, Action::Pause(at)),
            (left.isolations > 0 && whole, Action::Isolate(at, Reach::Nobody)),
            (left.isolations > 0 && whole, Action::Isolate(at, Reach::NoStore)),
            (!whole, Action::Heal(at)),
            (site.reach == Reach::Nobody && site.member.stream == Stream::Open, Action::EndStream(at)),
            (left.streams > 0 && site.is_attached(), Action::CutStream(at)),
            (left.moves > 0 && !site.member.draining && state.may_leave(&self.scope, at), Action::Move(at)),
            (left.drains > 0 && !site.stopping && site.report.is_none(), Action::Stop(at)),
            (left.elections > 0 && site.is_attached() && site.report.is_some(), Action::LoseReport(at)),
            (left.cuts > 0 && site.connection().is_some_and(|connection| !connection.kicked), Action::Cut(at)),
        ];
        actions.extend(befalls.into_iter().filter(|(possible, _)| *possible).map(|(_, action)| action));
    }

    fn may_befall_its_statements(&self, state: &State, at: u8, site: &Site, actions: &mut Vec<Action>) {
        if state.left.doubts == 0 {
            return;
        }
        if site.is_attached() && site.report.is_some() {
            actions.push(Action::DeliverUnheard(at));
        }
        if site.attention == Attention::Suspended && site.owner().is_some() {
            actions.push(Action::FailRevalidate(at));
        }
        let raising = matches!(&site.tenure, Tenure::Taking(taking) if !taking.raised);
        if raising && site.report.is_none() && self.may_issue(state) {
            actions.push(Action::FailRaise(at));
        }
        let Some(statement) = site.lane else { return };
        if !statement.in_doubt {
            actions.push(Action::LandUnheard(at));
            if self.scope.retries_anywhere || self.scope.mutated(Mutation::RetriedBeforeClosed) {
                actions.push(Action::Retry(at));
            }
        }
        if site.owner().is_some() && !statement.unheard {
            actions.push(Action::GiveUp(at));
        }
    }

    fn may_be_done(&self, state: &State, at: u8, site: &Site, actions: &mut Vec<Action>) {
        let Some(connection) = site.connection() else { return };
        let free = connection.out.is_none() && site.lane.is_none() && connection.fenced;
        if state.own_frames > 0 && free && self.may_act(site) {
            actions.push(Action::WriteOwn(at));
        }
    }
}

impl State {
    /// Whether the shard can be taken from this worker in peace: there is another one.
    ///
    /// Only what is known to be served is taken away: what vanished before the worker saw it would never be released.
    fn may_leave(&self, scope: &Scope, at: u8) -> bool {
        let member = &self.sites[usize::from(at)].member;
        let unknown = scope.mutated(Mutation::WithdrawnBeforeTaken);
        let leaves = member.serves() || unknown && member.assignment.is_some_and(|assignment| !assignment.leaving);
        leaves && member.is_attached() && self.numbered().any(|(other, site)| other != at && site.member.is_candidate())
    }

    fn after_a_period(&self) -> Self {
        let mut next = *self;
        next.tick();
        next
    }
}

impl Site {
    /// Whether what it is shown differs from what it has.
    fn has_news(&self) -> bool {
        let shown = self.shown();
        match &self.tenure {
            Tenure::None => shown.is_some(),
            Tenure::Ending(_) => false,
            Tenure::Taking(_) => shown != self.epoch() && (shown.is_some() || self.report.is_none()),
            Tenure::Owner(_) => shown != self.epoch(),
        }
    }

    /// Whether it serves what the leader does not know to be served.
    fn has_taken(&self) -> bool {
        let unknown = self.member.assignment.filter(|assignment| !assignment.taken);
        self.owner().is_some_and(|owner| unknown.is_some_and(|assignment| assignment.epoch == owner.epoch))
    }

    fn may_exit(&self) -> bool {
        let idle = self.tenure == Tenure::None && self.lane.is_none() && self.report.is_none();
        self.stopping && self.member.draining && self.member.assignment.is_none() && idle
    }
}
