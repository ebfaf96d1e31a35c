//! What follows when a connection ends: one table.

use crate::{client::LogoutCause, session::Poison, transport::Loss};
use std::time::Duration;
use wacore::types::events::ConnectFailureReason;

/// How a connection ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Ending {
    /// The socket closed without a word, or never opened.
    Closed(Loss),
    /// The server announced a stream error.
    Stream(String),
    /// The login was refused.
    Failure(ConnectFailureReason),
    /// Another connection of this device took over.
    Replaced,
    /// The device is not linked any more.
    LoggedOut(LogoutCause),
    /// The account is banned for a time.
    Banned(Duration),
    /// The server left messages unanswered, or the signals overflowed.
    Unanswered,
    /// The store had to give the client up.
    Poisoned(Poison),
    /// The phone scanned the code and the keys are exchanged: log in.
    Paired,
    /// The codes of this connection ran out.
    CodesExhausted,
    /// The phone took the code and the pairing failed.
    PairingFailed,
    /// WhatsApp gives no code to type.
    NoTypedCode(&'static str),
    /// The instance's proxy does not work.
    ProxyFailed,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Policy {
    /// Connect again at once.
    Now,
    /// Connect again after the backoff, and not before this span.
    Later(Duration),
    /// Not before the span is over; the account is shown as restricted for this reason.
    Restricted(&'static str, Duration),
    /// The session is over: forget its keys.
    Forget(&'static str),
    /// Check whether the instance is still ours; if so, connect again with jitter; too many kicks quarantine it.
    CheckOwner,
    /// Somebody newer owns the shard: give it up.
    DropShard,
    /// Show new codes, or end the pairing if its time is over.
    NewCodes,
    /// The pairing is over.
    EndPairing(&'static str),
}

/// The reason of the state while the account is banned.
pub(crate) const TEMPORARY_BAN: &str = "temporary_ban";

const HOUR: Duration = Duration::from_secs(3_600);
const PROXY_PAUSE: Duration = Duration::from_secs(5);
const MINUTE: Duration = Duration::from_secs(60);

/// The table. Codes: whatsapp-rust 0.7, `handle_stream_error` and `ConnectFailureReason`.
pub(crate) fn policy(ending: &Ending) -> Policy {
    match ending {
        Ending::Closed(_) | Ending::Unanswered => Policy::Later(Duration::ZERO),
        Ending::Stream(code) => stream(code),
        Ending::Failure(reason) => failure(*reason),
        Ending::Replaced => Policy::CheckOwner,
        Ending::LoggedOut(LogoutCause::Removed) => Policy::Forget("removed"),
        Ending::LoggedOut(LogoutCause::Locked) => Policy::Forget("account_locked"),
        Ending::Banned(span) => Policy::Restricted(TEMPORARY_BAN, *span),
        Ending::Poisoned(Poison::OwnershipLost | Poison::LedgerBehind) => Policy::DropShard,
        Ending::Poisoned(Poison::Timeout | Poison::Refused) => Policy::Later(Duration::ZERO),
        Ending::Paired => Policy::Now,
        Ending::CodesExhausted => Policy::NewCodes,
        Ending::PairingFailed => Policy::EndPairing("refused"),
        Ending::NoTypedCode(reason) => Policy::EndPairing(reason),
        Ending::ProxyFailed => Policy::Later(PROXY_PAUSE),
    }
}

fn stream(code: &str) -> Policy {
    match code {
        // The server restarts the stream, as after every pairing.
        "515" => Policy::Now,
        "429" => Policy::Later(MINUTE),
        "401" | "516" => Policy::Forget("removed"),
        "409" => Policy::CheckOwner,
        _ => Policy::Later(Duration::ZERO),
    }
}

fn failure(reason: ConnectFailureReason) -> Policy {
    match reason {
        ConnectFailureReason::LoggedOut | ConnectFailureReason::UnknownLogout => Policy::Forget("removed"),
        ConnectFailureReason::AccountLocked => Policy::Forget("account_locked"),
        ConnectFailureReason::TempBanned => Policy::Restricted(TEMPORARY_BAN, HOUR),
        ConnectFailureReason::ClientOutdated => Policy::Restricted("client_outdated", HOUR),
        ConnectFailureReason::InternalServerError
        | ConnectFailureReason::Experimental
        | ConnectFailureReason::ServiceUnavailable => Policy::Later(Duration::ZERO),
        _ => Policy::Later(MINUTE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row() {
        let now = Duration::ZERO;
        let rows = [
            (Ending::Closed(Loss::Network), Policy::Later(now)),
            (Ending::Closed(Loss::NotReached), Policy::Later(now)),
            (Ending::Closed(Loss::WriteRefused), Policy::Later(now)),
            (Ending::Closed(Loss::GivenUp), Policy::Later(now)),
            (Ending::Unanswered, Policy::Later(now)),
            (Ending::Stream("515".into()), Policy::Now),
            (Ending::Stream("503".into()), Policy::Later(now)),
            (Ending::Stream("429".into()), Policy::Later(MINUTE)),
            (Ending::Stream("401".into()), Policy::Forget("removed")),
            (Ending::Stream("516".into()), Policy::Forget("removed")),
            (Ending::Stream("409".into()), Policy::CheckOwner),
            (Ending::Stream(String::new()), Policy::Later(now)),
            (Ending::Failure(ConnectFailureReason::LoggedOut), Policy::Forget("removed")),
            (Ending::Failure(ConnectFailureReason::AccountLocked), Policy::Forget("account_locked")),
            (Ending::Failure(ConnectFailureReason::TempBanned), Policy::Restricted("temporary_ban", HOUR)),
            (Ending::Failure(ConnectFailureReason::ClientOutdated), Policy::Restricted("client_outdated", HOUR)),
            (Ending::Failure(ConnectFailureReason::ServiceUnavailable), Policy::Later(now)),
            (Ending::Failure(ConnectFailureReason::CatExpired), Policy::Later(MINUTE)),
            (Ending::Replaced, Policy::CheckOwner),
            (Ending::LoggedOut(LogoutCause::Removed), Policy::Forget("removed")),
            (Ending::LoggedOut(LogoutCause::Locked), Policy::Forget("account_locked")),
            (Ending::Banned(HOUR), Policy::Restricted("temporary_ban", HOUR)),
            (Ending::Poisoned(Poison::OwnershipLost), Policy::DropShard),
            (Ending::Poisoned(Poison::LedgerBehind), Policy::DropShard),
            (Ending::Poisoned(Poison::Timeout), Policy::Later(now)),
            (Ending::Poisoned(Poison::Refused), Policy::Later(now)),
            (Ending::Paired, Policy::Now),
            (Ending::CodesExhausted, Policy::NewCodes),
            (Ending::PairingFailed, Policy::EndPairing("refused")),
            (Ending::ProxyFailed, Policy::Later(PROXY_PAUSE)),
            (Ending::NoTypedCode("code_limit"), Policy::EndPairing("code_limit")),
        ];
        for (ending, expected) in rows {
            assert_eq!(policy(&ending), expected, "{ending:?}");
        }
    }
}
