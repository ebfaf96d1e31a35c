//! What each step of a worker does that takes the shard, gives it up, or loses it.

use super::{
    ledger::{Op, Statement, Verdict},
    properties::{Witness, Wrong},
    scope::Mutation,
    site::{Link, Owner, Report, Session, Site, Taking, Tenure},
    world::{State, World},
};

impl State {
    pub(crate) fn follow(&mut self, world: &World, at: u8) {
        let site = self.site(at);
        let shown = site.shown();
        match (site.tenure, shown) {
            (Tenure::Owner(owner), Some(epoch)) if world.scope.mutated(Mutation::MemoryKept) => {
                let session = owner.session;
                self.close(at);
                self.start_taking(at, epoch, Some(session));
            }
            (Tenure::Owner(owner), None)
                if world.scope.mutated(Mutation::ReleasedBeforeStopped) && site.report.is_none() =>
            {
                site.report = Some(Report::Released(owner.epoch));
            }
            (Tenure::Owner(owner), _) => {
                self.close(at);
                let site = self.site(at);
                site.tenure = Tenure::Ending(owner.epoch);
                if !world.scope.mutated(Mutation::ShownAgain) {
                    site.ends(owner.epoch);
                }
            }
            (_, Some(epoch)) => self.start_taking(at, epoch, None),
            (Tenure::Taking(taking), None) => {
                site.ends(taking.epoch);
                site.report = Some(Report::Released(taking.epoch));
                site.tenure = Tenure::None;
            }
            (Tenure::None | Tenure::Ending(_), None) => {}
        }
    }

    pub(crate) fn start_taking(&mut self, at: u8, epoch: u8, loaded: Option<Session>) {
        let twin = self.authority.is_taken_again(epoch);
        self.site(at).tenure = Tenure::Taking(Taking { epoch, twin, raised: false, loaded });
    }

    pub(crate) fn raise(&mut self, world: &World, at: u8) {
        let Tenure::Taking(taking) = &mut self.sites[usize::from(at)].tenure else { return };
        let statement = raising(taking);
        taking.raised = true;
        if self.apply(world, statement) == Verdict::OwnershipLost {
            return self.lose(at);
        }
        self.finish_taking(at);
    }

    pub(crate) fn fail_raise(&mut self, at: u8) {
        self.left.doubts -= 1;
        let site = self.site(at);
        let Tenure::Taking(taking) = &site.tenure else { return };
        let statement = raising(taking);
        let epoch = taking.epoch;
        site.report = Some(Report::NotTaken(epoch));
        site.ends(epoch);
        site.tenure = Tenure::None;
        self.becomes_late(statement);
    }

    pub(crate) fn load(&mut self, at: u8) {
        let ceiling = self.ledger.ceiling;
        let Tenure::Taking(taking) = &mut self.sites[usize::from(at)].tenure else { return };
        // What was leased may have been used.
        taking.loaded = Some(Session { counter: ceiling, ceiling });
        self.finish_taking(at);
    }

    pub(crate) fn finish_taking(&mut self, at: u8) {
        let tenure = &mut self.site(at).tenure;
        if let Tenure::Taking(Taking { epoch, twin, raised: true, loaded: Some(session) }) = *tenure {
            *tenure = Tenure::Owner(Owner { epoch, twin, session, link: Link::Closed });
        }
    }

    /// What was given up is settled. It is released, unless it comes back under a new epoch.
    pub(crate) fn release(&mut self, at: u8) {
        let site = self.site(at);
        if let (Some(epoch), None) = (site.epoch(), site.shown()) {
            site.report = Some(Report::Released(epoch));
        }
        site.tenure = Tenure::None;
    }

    /// The ledger has a higher epoch.
    pub(crate) fn lose(&mut self, at: u8) {
        self.close(at);
        let site = self.site(at);
        let Some(epoch) = site.epoch() else { return };
        site.ends(epoch);
        if site.report.is_none() {
            site.report = Some(Report::NotTaken(epoch));
        }
        site.tenure = Tenure::None;
    }

    /// One statement takes effect.
    pub(crate) fn apply(&mut self, world: &World, statement: Statement) -> Verdict {
        let before = self.ledger.epoch;
        let verdict = self.ledger.apply(&world.scope, &mut self.wrongs, statement);
        if self.ledger.epoch < before {
            self.wrongs.note(Wrong::EpochFell);
        }
        if verdict == Verdict::OwnershipLost {
            world.witness(Witness::StaleRefused);
        }
        verdict
    }
}

impl Site {
    fn ends(&mut self, epoch: u8) {
        self.ended = self.ended.max(epoch);
    }
}

/// The statement that raises.
fn raising(taking: &Taking) -> Statement {
    let Taking { epoch, twin, .. } = *taking;
    Statement { epoch, twin, op: Op::Raise, admitted: true, in_doubt: false, unheard: false }
}
