//! What each step of the leading coordinator does.

use super::{
    authority::{Assignment, Member, Period, Standing, Stream},
    properties::{Witness, Wrong},
    scope::{Mutation, Rule},
    site::{Process, Reach, Report, Tenure},
    world::{State, World},
};

impl State {
    pub(crate) fn assign(&mut self, world: &World, at: u8) {
        let epoch = self.authority.issue();
        let at_whim = world.scope.rule == Rule::Whim;
        if at_whim {
            for site in &mut self.sites {
                site.member.assignment = None;
            }
        }
        self.site(at).member.assignment = Some(Assignment { epoch, taken: at_whim, leaving: false });
    }

    /// The first of two phases: the worker does not see the shard any more.
    pub(crate) fn leave(&mut self, at: u8) {
        let member = &mut self.site(at).member;
        let draining = member.draining;
        if let Some(assignment) = &mut member.assignment {
            assignment.leaving = true;
        }
        if !draining {
            self.left.moves -= 1;
        }
    }

    pub(crate) fn elect(&mut self, world: &World) {
        self.left.elections -= 1;
        self.authority.succeeds(&world.scope, self.sites.iter_mut().map(|site| &mut site.member));
    }

    pub(crate) fn judge(&mut self, world: &World, at: u8) {
        let site = self.site(at);
        let healthy = site.healthy && site.member.standing == Standing::Current;
        let by_stream = matches!(site.member.stream, Stream::Ended(_));
        site.member = Member::OUT;
        world.witness(if by_stream { Witness::DeadByStream } else { Witness::DeadByLease });
        if healthy {
            self.wrongs.note(Wrong::HealthyDeclaredDead);
        }
    }

    /// The worker joins. A process that is not the one that the authority knows is a new incarnation: the old one is gone, and
    /// what it had is free.
    pub(crate) fn open_stream(&mut self, world: &World, at: u8) {
        let site = self.site(at);
        if site.member.standing == Standing::Former && !world.scope.mutated(Mutation::IncarnationIgnored) {
            site.member = Member::OUT;
            world.witness(Witness::Superseded);
        }
        let Member { assignment, draining, .. } = site.member;
        site.member = Member { assignment, draining, ..Member::JOINED };
        if site.reach == Reach::NoStore {
            site.member.lease = None;
        }
        site.healthy = true;
        // A leader that was not there before is told what it does not know.
        if site.report.is_none() && !world.scope.mutated(Mutation::ReportedOnce) {
            let ended = assignment.is_some_and(|assignment| assignment.epoch == site.ended);
            site.report = match site.tenure {
                Tenure::None if ended => Some(Report::Released(site.ended)),
                _ if site.stopping && !draining => Some(Report::Draining),
                _ => None,
            };
        }
    }

    pub(crate) fn tick(&mut self) {
        let away = self.authority.store_away;
        let workers = self.sites.iter_mut().map(|site| {
            let is_heard = site.is_attached();
            let known = site.runs() && site.member.standing == Standing::Current;
            // Whoever could renew if the lease store were there is as healthy as any.
            site.healthy = match site.reach {
                Reach::All => known,
                Reach::NoStore => is_heard,
                Reach::Nobody => false,
            };
            let renews = known && site.reach == Reach::All && !away;
            Period { member: &mut site.member, renews, is_heard }
        });
        self.authority.age(workers);
    }

    pub(crate) fn hear_report(&mut self, world: &World, at: u8) {
        let Some(report) = self.site(at).report else { return };
        let (epoch, released) = match report {
            Report::NotTaken(epoch) => (epoch, false),
            Report::Released(epoch) => (epoch, true),
            Report::Draining => return self.site(at).member.draining = true,
        };
        let assigned = self.site(at).member.assignment.map(|assignment| assignment.epoch);
        let believed = if world.scope.mutated(Mutation::ReportsWithoutEpoch) { assigned } else { Some(epoch) };
        let Some(freed) = assigned.filter(|_| assigned == believed) else { return world.witness(Witness::LateReport) };
        self.site(at).member.assignment = None;
        if released {
            world.witness(Witness::Moved);
        }
        if self.sites.iter().any(|site| site.process != Process::Down && site.epoch() == Some(freed)) {
            self.wrongs.note(Wrong::ReleasedActs);
        }
    }
}
