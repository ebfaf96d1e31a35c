//! Each mistake is caught by the property that it breaks.

use super::{Faults, Mutation, NONE, Scope, VERDICTS, WHIM, is_caught, properties};

const OWN: Scope = Scope { own_frames: 1, ..WHIM };

fn with(faults: Faults) -> Scope {
    Scope { faults, ..VERDICTS }
}

// ---- the fence

#[test]
fn a_missing_fence_is_caught() {
    is_caught(OWN, Mutation::NoFence, properties::EPOCHS);
    is_caught(OWN, Mutation::NoFence, properties::COUNTERS);
    is_caught(OWN, Mutation::NoFence, properties::NO_LOSS);
}

#[test]
fn a_fence_before_the_statement_is_caught() {
    is_caught(OWN, Mutation::FenceBeforeStatement, properties::EPOCHS);
    is_caught(OWN, Mutation::FenceBeforeStatement, properties::COUNTERS);
}

#[test]
fn a_raise_that_lowers_is_caught() {
    let scope = Scope { epochs: 3, faults: Faults { doubts: 1, ..NONE }, ..WHIM };
    is_caught(scope, Mutation::RaiseLowers, properties::EPOCHS);
}

#[test]
fn a_taker_that_loads_before_it_raises_is_caught() {
    is_caught(OWN, Mutation::LoadBeforeRaise, properties::COUNTERS);
    is_caught(OWN, Mutation::LoadBeforeRaise, properties::NO_LOSS);
}

#[test]
fn memory_that_outlives_its_epoch_is_caught() {
    is_caught(Scope { epochs: 3, ..WHIM }, Mutation::MemoryKept, properties::COUNTERS);
}

// ---- effects

#[test]
fn a_login_without_a_fence_after_it_is_caught() {
    is_caught(WHIM, Mutation::NoFenceAfterLogin, properties::LOGIN);
}

/// The bytes of the kicked socket arrive.
#[test]
fn an_open_send_gate_is_caught() {
    is_caught(WHIM, Mutation::SendGateOff, properties::GATE);
    is_caught(WHIM, Mutation::SendGateOff, properties::NO_DUPLICATE);
}

#[test]
fn a_claim_after_the_wire_is_caught() {
    is_caught(WHIM, Mutation::ClaimAfterWire, properties::CLAIMED);
    is_caught(WHIM, Mutation::ClaimAfterWire, properties::NO_DUPLICATE);
}

#[test]
fn a_resend_that_encrypts_again_is_caught() {
    is_caught(WHIM, Mutation::EncryptedAnew, properties::NO_DUPLICATE);
    is_caught(WHIM, Mutation::EncryptedAnewUnderNewId, properties::NO_DUPLICATE_ID);
}

#[test]
fn a_second_message_that_does_not_wait_is_caught() {
    is_caught(WHIM, Mutation::NoHeadOfLine, properties::ORDER);
}

#[test]
fn a_worker_that_wakes_unaware_is_caught() {
    is_caught(with(Faults { pauses: 1, ..NONE }), Mutation::WakesUnaware, properties::AWAKE);
}

#[test]
fn a_worker_that_looks_up_its_epoch_only_once_is_caught() {
    is_caught(with(Faults { pauses: 1, doubts: 1, ..NONE }), Mutation::LooksUpOnce, properties::SETTLES);
}

#[test]
fn a_kick_that_counts_as_a_loss_is_caught() {
    is_caught(with(Faults { isolations: 1, ..NONE }), Mutation::KickIsLoss, properties::CALM);
}

// ---- the lane: one worker is enough

const LANE: Scope = Scope { workers: 1, own_frames: 1, faults: Faults { doubts: 1, ..NONE }, ..WHIM };

#[test]
fn a_late_statement_of_the_same_epoch_is_caught() {
    is_caught(LANE, Mutation::LateStatement, properties::COUNTERS);
}

#[test]
fn a_retry_before_the_old_connection_is_closed_is_caught() {
    is_caught(LANE, Mutation::RetriedBeforeClosed, properties::COUNTERS);
    is_caught(LANE, Mutation::RetriedBeforeClosed, properties::NO_LOSS);
}

#[test]
fn a_ceiling_that_falls_is_caught() {
    is_caught(Scope { retries_anywhere: true, ..LANE }, Mutation::CeilingsOverwritten, properties::COUNTERS);
}

// ---- the coordinators

#[test]
fn an_epoch_that_is_issued_twice_is_caught() {
    let scope = with(Faults { elections: 1, isolations: 1, ..NONE });
    is_caught(scope, Mutation::EpochReused, properties::ONE_WRITER);
}

#[test]
fn an_incarnation_that_inherits_is_caught() {
    is_caught(with(Faults { crashes: 1, ..NONE }), Mutation::IncarnationIgnored, properties::ONE_WRITER);
}

#[test]
fn reports_without_an_epoch_are_caught() {
    is_caught(with(Faults { moves: 1, doubts: 1, ..NONE }), Mutation::ReportsWithoutEpoch, properties::RELEASED);
}

#[test]
fn a_release_before_the_stop_is_caught() {
    let scope = with(Faults { moves: 1, ..NONE });
    is_caught(scope, Mutation::ReleasedBeforeStopped, properties::RELEASED);
    is_caught(scope, Mutation::ReleasedBeforeStopped, properties::PEACE);
    is_caught(with(Faults { drains: 1, ..NONE }), Mutation::ReleasedBeforeStopped, properties::PEACE);
}

#[test]
fn a_shard_that_is_withdrawn_before_it_was_taken_is_caught() {
    is_caught(with(Faults { moves: 1, ..NONE }), Mutation::WithdrawnBeforeTaken, properties::SETTLES);
}

#[test]
fn a_report_that_dies_with_its_leader_is_caught() {
    is_caught(with(Faults { moves: 1, elections: 1, ..NONE }), Mutation::ReportedOnce, properties::SETTLES);
}

#[test]
fn an_epoch_that_is_shown_again_is_caught() {
    is_caught(with(Faults { moves: 1, elections: 1, ..NONE }), Mutation::ShownAgain, properties::RELEASED);
}

#[test]
fn a_death_by_a_flushed_lease_is_caught() {
    let scope = with(Faults { flushes: 1, streams: 1, ..NONE });
    is_caught(scope, Mutation::DeathByFlushedLease, properties::ALIVE);
    is_caught(scope, Mutation::DeathByFlushedLease, properties::CALM);
}

#[test]
fn a_death_by_an_outage_of_the_lease_store_is_caught() {
    is_caught(with(Faults { outages: 1, streams: 1, ..NONE }), Mutation::DeathByOutage, properties::ALIVE);
}

#[test]
fn a_new_leader_that_counts_old_stream_ends_is_caught() {
    let scope = with(Faults { flushes: 1, elections: 1, ..NONE });
    is_caught(scope, Mutation::OldStreamEnds, properties::ALIVE);
    is_caught(scope, Mutation::OldStreamEnds, properties::CALM);
}

#[test]
fn a_death_by_the_end_of_a_stream_alone_is_caught() {
    is_caught(with(Faults { streams: 1, ..NONE }), Mutation::DeathByStreamAlone, properties::ALIVE);
}

#[test]
fn a_new_leader_that_never_judges_strangers_is_caught() {
    let scope = with(Faults { crashes: 1, elections: 1, ..NONE });
    is_caught(scope, Mutation::NeverConnectedIsNeverDead, properties::SETTLES);
}
