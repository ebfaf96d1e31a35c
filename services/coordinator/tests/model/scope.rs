//! How large the explored world is, and what is broken in it on purpose.

/// Faults, each at most so often in one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Faults {
    /// Processes that are killed. A new incarnation may start at any time after.
    pub(crate) crashes: u8,
    /// Sockets to WhatsApp that are cut by something else than a login.
    pub(crate) cuts: u8,
    /// Replies that are lost and statements that are given up: they took effect, or will, or never do.
    pub(crate) doubts: u8,
    /// Processes that are stopped and may be continued (SIGSTOP, SIGCONT).
    pub(crate) pauses: u8,
    /// Processes that do not reach the lease store, or neither that nor the coordinators; but the ledger and WhatsApp.
    pub(crate) isolations: u8,
    /// The lease store forgets everything.
    pub(crate) flushes: u8,
    /// The lease store is away for a time, for everybody.
    pub(crate) outages: u8,
    /// The coordinators elect a new leader.
    pub(crate) elections: u8,
    /// A worker's stream to the leader is cut.
    pub(crate) streams: u8,
    /// The leader moves the shard to another worker.
    pub(crate) moves: u8,
    /// A worker is told to stop (SIGTERM) and drains.
    pub(crate) drains: u8,
}

impl Faults {
    pub(crate) const NONE: Self = Self {
        crashes: 0,
        cuts: 0,
        doubts: 0,
        pauses: 0,
        isolations: 0,
        flushes: 0,
        outages: 0,
        elections: 0,
        streams: 0,
        moves: 0,
        drains: 0,
    };
}

/// Who decides when ownership changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// Anybody, at any time, for no reason: what holds under it needs no clock, no lease and no right verdict.
    Whim,
    /// The coordinator as it is: streams, leases, elections, releases.
    Verdicts,
}

/// What is explored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope {
    pub(crate) workers: u8,
    /// Messages in the chat.
    pub(crate) messages: u8,
    pub(crate) rule: Rule,
    /// Under [`Rule::Whim`]: ownerships, the first included.
    pub(crate) epochs: u8,
    /// How many Signal counters are leased at once; below the ceiling nobody is asked.
    pub(crate) block: u8,
    /// Frames that the library sends of its own.
    pub(crate) own_frames: u8,
    pub(crate) faults: Faults,
    /// The other way of rule 5: a statement in doubt is retried although its old connection may live, and ceilings only grow.
    pub(crate) retries_anywhere: bool,
    pub(crate) mutation: Option<Mutation>,
    /// Workers that differ in nothing but their number are one state. Off where a trace is to be read.
    pub(crate) symmetric: bool,
}

impl Scope {
    pub(crate) fn mutated(&self, mutation: Mutation) -> bool {
        self.mutation == Some(mutation)
    }
}

/// A mistake that the properties must catch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutation {
    /// No statement compares its epoch.
    NoFence,
    /// The epoch is compared when the statement is made, not in it.
    FenceBeforeStatement,
    /// A raise does not compare.
    RaiseLowers,
    /// The taker reads session state before it raises.
    LoadBeforeRaise,
    /// What was read under an older epoch is kept when the same process is given a new one.
    MemoryKept,
    /// A login is not followed by a fenced statement.
    NoFenceAfterLogin,
    /// The send gate looks at nothing.
    SendGateOff,
    /// What happened during a pause is not looked up after it.
    WakesUnaware,
    /// It is looked up once, and if the ledger cannot say, never again.
    LooksUpOnce,
    /// The frame leaves before its claim is asked for.
    ClaimAfterWire,
    /// What was handed is encrypted anew instead of repeated.
    EncryptedAnew,
    /// As above, under a new id.
    EncryptedAnewUnderNewId,
    /// The next message does not wait for the answer to the one before.
    NoHeadOfLine,
    /// The lane goes on with the next statement after it gave one up, on another connection.
    LateStatement,
    /// A statement in doubt is repeated before the connection that it was made on is known to be closed.
    RetriedBeforeClosed,
    /// Where retries may overtake: a ceiling is what was written last.
    CeilingsOverwritten,
    /// A new leader goes on from an older log.
    EpochReused,
    /// A new incarnation keeps what the old one was given.
    IncarnationIgnored,
    /// A report is taken whatever epoch it speaks of.
    ReportsWithoutEpoch,
    /// A release is reported first and acted on later.
    ReleasedBeforeStopped,
    /// A lease that is not there is an expired one, whatever happened to the lease store.
    DeathByFlushedLease,
    /// Leases ran out while the lease store was away, and that counts.
    DeathByOutage,
    /// A new leader takes streams it does not have for ended and leases that are not there for expired, at once.
    OldStreamEnds,
    /// The end of a stream is enough.
    DeathByStreamAlone,
    /// A new leader judges only whom it had a stream from.
    NeverConnectedIsNeverDead,
    /// A shard is taken away from a worker that may not have seen it yet.
    WithdrawnBeforeTaken,
    /// What one leader heard is not told to the next.
    ReportedOnce,
    /// What ended here under an epoch may be shown again under it.
    ShownAgain,
    /// Whoever is replaced takes the shard for lost, without a look at the ledger.
    KickIsLoss,
}
