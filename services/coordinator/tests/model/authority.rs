//! The coordinator of the model: who is a member, who is dead, who owns the shard, under which epoch.
//!
//! Time goes in periods of lease renewal. Whoever runs and reaches the lease store has renewed within each of them.

use super::scope::{Mutation, Scope};

/// How many periods a lease lasts, and a new leader waits. Fewer than in the product, but more than one.
pub(crate) const TTL: u8 = 2;

/// What the leader knows of a worker's incarnation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Standing {
    /// It is a member, and the process of that name is the one that joined.
    Current,
    /// It is a member, but its process is gone; another of that name may run and has not joined yet.
    Former,
    /// It was judged dead, or left.
    Out,
}

/// The worker's stream, as the leader that judges has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Stream {
    /// This leader never had one.
    Never,
    Open,
    /// It ended so many periods ago.
    Ended(u8),
}

/// The shard is a worker's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Assignment {
    pub(crate) epoch: u8,
    /// The worker said that it serves it. Forgotten with the leader.
    pub(crate) taken: bool,
    /// It was taken away, and is to be released. Forgotten with the leader.
    pub(crate) leaving: bool,
}

/// A worker, as the authority sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Member {
    pub(crate) standing: Standing,
    pub(crate) stream: Stream,
    /// It said that it stops.
    pub(crate) draining: bool,
    pub(crate) assignment: Option<Assignment>,
    /// How many periods ago it renewed its lease; `None`: the lease store knows of none.
    pub(crate) lease: Option<u8>,
    /// For how many periods this leader has not heard it.
    pub(crate) silent: u8,
}

impl Member {
    pub(crate) const OUT: Self =
        Self { standing: Standing::Out, stream: Stream::Never, draining: false, assignment: None, lease: None, silent: TTL };
    pub(crate) const JOINED: Self =
        Self { standing: Standing::Current, stream: Stream::Open, lease: Some(0), silent: 0, ..Self::OUT };

    /// Whether it hears the leader and is heard.
    pub(crate) fn is_attached(&self) -> bool {
        self.standing == Standing::Current && self.stream == Stream::Open
    }

    /// Whether the shard may be given to it.
    pub(crate) fn is_candidate(&self) -> bool {
        self.is_attached() && !self.draining
    }

    /// Whether the shard is its own, and it serves it, as far as this leader knows.
    pub(crate) fn serves(&self) -> bool {
        self.assignment.is_some_and(|assignment| assignment.taken && !assignment.leaving)
    }

    fn age(&mut self, renews: bool, is_heard: bool) {
        if let Stream::Ended(ago) = self.stream {
            self.stream = Stream::Ended((ago + 1).min(TTL));
        }
        self.silent = if is_heard { 0 } else { (self.silent + 1).min(TTL) };
        self.lease = match self.lease {
            _ if self.standing == Standing::Out => None,
            _ if renews => Some(0),
            Some(age) if age + 1 < TTL => Some(age + 1),
            _ => None,
        };
    }
}

/// What a period means to a worker.
pub(crate) struct Period<'a> {
    pub(crate) member: &'a mut Member,
    pub(crate) renews: bool,
    pub(crate) is_heard: bool,
}

/// The leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Authority {
    /// The last epoch issued: the index of its entry.
    pub(crate) issued: u8,
    /// For how many periods it leads.
    leading: u8,
    /// For how many periods it knows that the lease store forgot nothing, and could be reached.
    remembered: u8,
    /// The lease store cannot be reached.
    pub(crate) store_away: bool,
    /// Epochs that some memory was made for, one bit each. Known to the checker alone.
    taken: u16,
}

impl Authority {
    pub(crate) fn new() -> Self {
        Self { issued: 0, leading: TTL, remembered: TTL, store_away: false, taken: 0 }
    }

    /// A leader after so many periods of leading, and so many in which the lease store answered.
    pub(crate) fn after(leading: u8, remembered: u8) -> Self {
        Self { leading, remembered, ..Self::new() }
    }

    /// The next epoch.
    pub(crate) fn issue(&mut self) -> u8 {
        self.issued += 1;
        self.issued
    }

    /// Notes that a memory of the epoch is made; says whether it is not the first.
    pub(crate) fn is_taken_again(&mut self, epoch: u8) -> bool {
        let bit = 1 << epoch;
        let again = self.taken & bit != 0;
        self.taken |= bit;
        again
    }

    /// Whether the worker is dead by what is known now. Its lease says nothing while the lease store is away, and what is not in
    /// it says nothing before everybody had the time to renew.
    pub(crate) fn is_dead(&self, scope: &Scope, member: &Member) -> bool {
        if member.standing == Standing::Out || self.store_away {
            return false;
        }
        let remembers = self.remembered >= TTL || scope.mutated(Mutation::DeathByFlushedLease);
        let expired = member.lease.is_none() && remembers;
        match member.stream {
            Stream::Ended(_) if scope.mutated(Mutation::DeathByStreamAlone) => true,
            // It had a period to renew in since, and did not.
            Stream::Ended(ago) => {
                let overdue = member.lease.is_some_and(|age| age > 0) && self.remembered > 0;
                ago > 0 && member.silent > 0 && (expired || overdue)
            }
            Stream::Never if scope.mutated(Mutation::NeverConnectedIsNeverDead) => false,
            Stream::Open | Stream::Never => expired && self.leading >= TTL && member.silent >= TTL,
        }
    }

    /// A period passes.
    pub(crate) fn age<'a>(&mut self, workers: impl Iterator<Item = Period<'a>>) {
        self.leading = (self.leading + 1).min(TTL);
        self.remembered = (self.remembered + 1).min(TTL);
        for Period { member, renews, is_heard } in workers {
            member.age(renews, is_heard);
        }
    }

    /// The lease store forgot everything.
    pub(crate) fn forgets<'a>(&mut self, members: impl Iterator<Item = &'a mut Member>) {
        self.remembered = 0;
        for member in members {
            member.lease = None;
        }
    }

    /// The lease store is back, with what it had: nobody could renew meanwhile.
    pub(crate) fn reaches_the_store(&mut self, scope: &Scope) {
        self.store_away = false;
        if !scope.mutated(Mutation::DeathByOutage) {
            self.remembered = 0;
        }
    }

    /// Another node leads: it has the log, and no stream.
    pub(crate) fn succeeds<'a>(&mut self, scope: &Scope, members: impl Iterator<Item = &'a mut Member>) {
        let hasty = scope.mutated(Mutation::OldStreamEnds);
        (self.leading, self.remembered) = if hasty { (TTL, TTL) } else { (0, 0) };
        for member in members {
            member.stream = match member.stream {
                Stream::Open if hasty => Stream::Ended(1),
                ended if hasty => ended,
                _ => Stream::Never,
            };
            member.silent = TTL;
            if let Some(assignment) = &mut member.assignment {
                (assignment.taken, assignment.leaving) = (false, false);
            }
        }
        if scope.mutated(Mutation::EpochReused) {
            self.issued = self.issued.saturating_sub(1);
        }
    }
}
