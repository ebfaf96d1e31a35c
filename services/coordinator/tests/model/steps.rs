//! Which function does what each step says, and what befalls processes.

use super::{
    authority::{Member, Standing, Stream},
    ledger::Statement,
    scope::{Mutation, Rule},
    site::{Attention, Connection, Process, Reach, Report, Site, Tenure},
    world::{Action, State, World},
};

impl State {
    pub(crate) fn take(&mut self, world: &World, action: Action) {
        match action {
            Action::Assign(at) => self.assign(world, at),
            Action::Move(at) => self.leave(at),
            Action::Judge(at) => self.judge(world, at),
            Action::EndStream(at) => self.site(at).member.stream = Stream::Ended(0),
            Action::OpenStream(at) => self.open_stream(world, at),
            Action::CutStream(at) => {
                self.left.streams -= 1;
                self.site(at).member.stream = Stream::Ended(0);
            }
            Action::Elect => self.elect(world),
            Action::LoseReport(at) => {
                self.site(at).report = None;
                self.elect(world);
            }
            Action::Confirm(at) => {
                if let Some(assignment) = &mut self.site(at).member.assignment {
                    assignment.taken = true;
                }
            }
            Action::Flush => {
                self.left.flushes -= 1;
                self.authority.forgets(self.sites.iter_mut().map(|site| &mut site.member));
            }
            Action::LoseStore => {
                self.left.outages -= 1;
                self.authority.store_away = true;
            }
            Action::FindStore => self.authority.reaches_the_store(&world.scope),
            Action::Tick => self.tick(),
            Action::Deliver(at) => {
                self.hear_report(world, at);
                self.site(at).report = None;
            }
            Action::DeliverUnheard(at) => {
                self.left.doubts -= 1;
                self.hear_report(world, at);
            }
            Action::Crash(at) => self.crash(world, at),
            Action::Restart(at) => self.restart(at),
            Action::Pause(at) => {
                self.left.pauses -= 1;
                let site = self.site(at);
                (site.process, site.healthy) = (Process::Paused, false);
            }
            Action::Resume(at) => {
                let site = self.site(at);
                site.process = Process::Running;
                if site.tenure != Tenure::None {
                    site.attention = Attention::Suspended;
                }
            }
            Action::Isolate(at, reach) => {
                self.left.isolations -= 1;
                let site = self.site(at);
                site.reach = reach;
                site.healthy &= reach == Reach::NoStore && site.member.is_attached();
            }
            Action::Heal(at) => self.site(at).reach = Reach::All,
            Action::Stop(at) => {
                self.left.drains -= 1;
                let site = self.site(at);
                (site.stopping, site.report) = (true, Some(Report::Draining));
            }
            Action::Exit(at) => *self.site(at) = Site { process: Process::Down, ..Site::ABSENT },
            Action::Follow(at) => self.follow(world, at),
            Action::Raise(at) => self.raise(world, at),
            Action::FailRaise(at) => self.fail_raise(at),
            Action::Load(at) => self.load(at),
            Action::Release(at) => self.release(at),
            Action::Clear(at) => self.clear(at),
            Action::Login(at) => self.login(world, at),
            Action::Fence(at) => self.fence(world, at),
            Action::Decide(at) => self.decide(world, at),
            Action::Write(at) => self.write(world, at),
            Action::WriteOwn(at) => self.write_own(world, at),
            Action::Hear(at) => self.hear(at),
            Action::NoticeKick(at) => self.notice_kick(world, at),
            Action::Revalidate(at) => self.revalidate(world, at),
            Action::FailRevalidate(at) => {
                self.left.doubts -= 1;
                if world.scope.mutated(Mutation::LooksUpOnce) {
                    self.site(at).attention = Attention::Resigned;
                }
            }
            Action::Land(at) => self.land(world, at),
            Action::LandUnheard(at) => self.land_unheard(world, at),
            Action::Retry(at) => self.retry(at),
            Action::GiveUp(at) => self.give_up(world, at),
            Action::LandLate(which) => self.land_late(world, which),
            Action::Accept(at) => self.accept(world, at),
            Action::AcceptStraggler(which) => self.accept_straggler(world, which),
            Action::Cut(at) => {
                self.left.cuts -= 1;
                self.close(at);
            }
        }
    }

    pub(crate) fn site(&mut self, at: u8) -> &mut Site {
        &mut self.sites[usize::from(at)]
    }

    pub(crate) fn connection(&mut self, at: u8) -> Option<&mut Connection> {
        self.site(at).connection_mut()
    }

    /// Memory is gone; what was asked of the ledger may still happen, and what was written may still arrive.
    pub(crate) fn crash(&mut self, world: &World, at: u8) {
        self.left.crashes -= 1;
        self.close(at);
        let site = self.site(at);
        let member = site.member;
        let lane = site.lane;
        *site = match world.scope.rule {
            // The authority knows, and another incarnation runs, at once.
            Rule::Whim => {
                let kept = member.assignment.filter(|_| world.scope.mutated(Mutation::IncarnationIgnored));
                Site { member: Member { assignment: kept, ..Member::JOINED }, ..Site::JOINED }
            }
            Rule::Verdicts => {
                let standing = if member.standing == Standing::Out { Standing::Out } else { Standing::Former };
                Site { process: Process::Down, member: Member { standing, ..member }, ..Site::ABSENT }
            }
        };
        if let Some(statement) = lane {
            self.becomes_late(statement);
        }
    }

    pub(crate) fn restart(&mut self, at: u8) {
        let site = self.site(at);
        *site = Site { process: Process::Running, member: site.member, ..Site::ABSENT };
    }

    pub(crate) fn becomes_late(&mut self, statement: Statement) {
        self.ledger.late.put(Statement { in_doubt: false, unheard: true, ..statement });
    }
}
