//! What happened, from its witnesses: the API's answers, the simulator's ledger, the event log and those who follow it, the
//! store's tables, the processes' memory.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// A finished run, after everything under way had settled.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// What the API acknowledged, in the order of acceptance per chat.
    pub sends: Vec<Send>,
    /// What the server took from the instances.
    pub taken: Vec<Taken>,
    /// What the recipients saw, in the order of first arrival per recipient.
    pub received: Vec<Received>,
    /// What was on its way to the instances, in the order in which it was written per author.
    pub emitted: Vec<Emitted>,
    /// The received messages of the event log, in its order per instance.
    pub logged: Vec<Logged>,
    /// The whole event log, in its order.
    pub log: Vec<Entry>,
    /// Who followed the log, and what each was given.
    pub readers: Vec<Reader>,
    /// What the Signal sessions went through.
    pub sessions: Sessions,
    /// Who wrote to the ledger, and who may.
    pub ownership: Ownership,
    /// What the processes held.
    pub memory: Vec<Memory>,
    /// What a stranger's key was shown.
    pub looks: Vec<Look>,
    /// What went through before the fault and after it; `None` if nobody measured.
    pub throughput: Option<Throughput>,
}

/// A send that the API acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Send {
    /// Its id at WhatsApp.
    pub whatsapp_id: String,
    /// Which instance sent it.
    pub instance: String,
    /// To whom.
    pub recipient: String,
    /// Text that no other send has.
    pub payload: String,
    /// Whether it must not be tried again when in doubt.
    pub at_most_once: bool,
    /// How it ended.
    pub end: End,
}

/// How a send ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The API says that it was sent (or more).
    Sent,
    /// The API says that it failed, and why.
    Failed,
    /// The API says that it is still open: after everything settled, that is as bad as lost.
    Open,
}

/// A message id that the server took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// Its id at WhatsApp.
    pub whatsapp_id: String,
    /// How many stanzas had it.
    pub copies: u32,
    /// How many different ones.
    pub distinct_stanzas: u32,
}

/// A message that a recipient saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Who.
    pub recipient: String,
    /// From which instance.
    pub instance: String,
    /// Its id at WhatsApp.
    pub whatsapp_id: String,
    /// Its text.
    pub payload: String,
    /// How often the plaintext surfaced; the recipient does not drop repeated ids.
    pub surfaced: u32,
}

/// A message on its way to an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Emitted {
    /// To which instance.
    pub instance: String,
    /// Who wrote it.
    pub author: String,
    /// Its id at WhatsApp.
    pub whatsapp_id: String,
    /// Whether the instance acknowledged it: the server has forgotten it since.
    pub acked: bool,
}

/// A received message in the event log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logged {
    /// Of which instance.
    pub instance: String,
    /// Its id at WhatsApp.
    pub whatsapp_id: String,
    /// Whether it was lost in a crash, and told by the account's own phone later: out of its order.
    pub recovered: bool,
}

/// What the Signal sessions went through.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sessions {
    /// Retry receipts, of both directions: each is a message that somebody could not read.
    pub retry_receipts: u64,
    /// Messages that a recipient could not decrypt.
    pub undecryptable_outbound: u64,
    /// `message.undecryptable` in the event log.
    pub undecryptable_inbound: u64,
    /// Probes sent after the fault, in both directions: what they are, and whether they were read.
    pub probes: Vec<(String, bool)>,
}

/// An event of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Of which instance.
    pub instance: String,
    /// Its number among the instance's events.
    pub seq: i64,
    /// Its id.
    pub id: String,
}

/// Somebody who followed the log: a WebSocket with its resumptions, a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reader {
    /// Who, for people.
    pub name: String,
    /// The place in [`History::log`] from which it followed.
    pub from: usize,
    /// What it was given and took, in the order in which it came; repeats are allowed.
    pub heard: Vec<Entry>,
    /// The ids of events that were given up for it, openly: dead letters.
    pub given_up: Vec<String>,
}

/// Who wrote to the ledger, and who may.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ownership {
    /// Messages that were claimed for sending.
    pub claims: Vec<Claim>,
    /// The epoch that owns each instance's shard at the end.
    pub owners: Vec<(String, i64)>,
    /// Connections that another login of the same device ended.
    pub replaced: u64,
    /// How many of those there may be: a paused owner's connections end this way, nobody else's.
    pub replaced_at_most: u64,
}

/// A message as its owner claimed it before it went to the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Of which instance.
    pub instance: String,
    /// By which epoch.
    pub epoch: i64,
    /// When, milliseconds since 1970. `None` if it was claimed again: its row has the first time and the last epoch.
    pub at: Option<i64>,
}

/// What the processes of a kind held for themselves (`RssAnon`), together, bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Memory {
    /// Which kind of process.
    pub kind: String,
    /// Before the fault, under the same load.
    pub steady: u64,
    /// The most of any moment since.
    pub worst: u64,
}

impl Memory {
    /// Of looks at what each kind of process held, bytes: what is steady is the most of those until this moment.
    #[must_use]
    pub fn of(looks: &[(Instant, HashMap<&str, u64>)], steady_until: Instant) -> Vec<Self> {
        let mut kinds = HashMap::new();
        for (at, held) in looks {
            for (kind, bytes) in held {
                let memory =
                    kinds.entry(kind).or_insert_with(|| Self { kind: (*kind).to_owned(), steady: *bytes, worst: *bytes });
                if *at <= steady_until {
                    memory.steady = memory.steady.max(*bytes);
                }
                memory.worst = memory.worst.max(*bytes);
            }
        }
        kinds.into_values().collect()
    }
}

/// Something of one tenant, asked for with another one's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// What was asked for; names ids only.
    pub what: String,
    /// Whether anything of it was shown.
    pub seen: bool,
}

/// What the server took, before the fault and after it, under the same load.
#[derive(Debug, Clone, PartialEq)]
pub struct Throughput {
    /// Messages a second before.
    pub steady_per_s: f64,
    /// Messages a second after everything had healed by itself.
    pub healed_per_s: f64,
    /// How long healing took.
    pub healed_after: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_against_the_most_of_the_steady_part() {
        let now = Instant::now();
        let look = |second: u64, bytes: u64| (now + Duration::from_secs(second), HashMap::from([("worker", bytes)]));
        let memory = Memory::of(&[look(0, 1), look(1, 5), look(2, 4), look(3, 9)], now + Duration::from_secs(1));
        assert_eq!(memory, [Memory { kind: "worker".to_owned(), steady: 5, worst: 9 }]);
        assert_eq!(Memory::of(&[], now), []);
    }
}
