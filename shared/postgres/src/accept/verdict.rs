//! What the verdicts of `accept_messages()` mean to the caller.

use crate::failure::corrupt;
use crate::messages;
use crate::rows;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Result, Row};
use std::collections::{BTreeMap, HashMap};
use warren_domain::message::Times;
use warren_domain::{Direction, Message, MessageId, MessageStatus, TenantId};
use warren_ports::ledger::{Accepted, NewMessage};

const NEW: i16 = 0;
const REPLAY: i16 = 1;
const MISMATCH: i16 = 2;
const QUEUE_FULL: i16 = 3;
const NO_INSTANCE: i16 = 4;
const NOT_PAIRED: i16 = 5;
const THERE_ALREADY: i16 = 6;

/// A verdict as the database gives it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Verdict {
    number: i16,
    /// The message that was made with the same key.
    made: Option<MessageId>,
}

impl Verdict {
    pub(super) fn read(row: &PgRow) -> Result<Self> {
        Ok(Self { number: row.try_get(0)?, made: rows::maybe_id(row, 1)? })
    }

    /// The message that was made before, if it was not this one: then an earlier try was committed.
    fn replays(self, message: &NewMessage) -> Option<MessageId> {
        self.made.filter(|made| self.number == REPLAY && *made != message.id)
    }
}

/// What each caller is told of each message. Those that were made before are read as they are now.
pub(super) async fn accepted(
    conn: &mut PgConnection,
    messages: &[&NewMessage],
    verdicts: &[Verdict],
) -> Result<Vec<Accepted>> {
    let mut made: BTreeMap<TenantId, Vec<MessageId>> = BTreeMap::new();
    for (message, verdict) in messages.iter().zip(verdicts) {
        if let Some(before) = verdict.replays(message) {
            made.entry(message.tenant).or_default().push(before);
        }
    }
    let mut found: HashMap<MessageId, Message> = HashMap::new();
    for (tenant, ids) in made {
        let messages = messages::find(&mut *conn, tenant, &ids).await?;
        found.extend(messages.into_iter().map(|message| (message.id, message)));
    }
    messages.iter().zip(verdicts).map(|(message, verdict)| told(message, *verdict, &found)).collect()
}

fn told(message: &NewMessage, verdict: Verdict, found: &HashMap<MessageId, Message>) -> Result<Accepted> {
    Ok(match verdict.number {
        NEW | THERE_ALREADY => Accepted::New(as_queued(message)),
        REPLAY => match verdict.replays(message) {
            // The key outlives its message only where the instance was deleted: retention keeps messages longer than keys.
            Some(made) => found.get(&made).cloned().map_or(Accepted::NoInstance, Accepted::Replay),
            None => Accepted::New(as_queued(message)),
        },
        MISMATCH => Accepted::Mismatch,
        QUEUE_FULL => Accepted::QueueFull,
        NO_INSTANCE => Accepted::NoInstance,
        NOT_PAIRED => Accepted::NotPaired,
        _ => return Err(corrupt(0)),
    })
}

fn as_queued(message: &NewMessage) -> Message {
    Message {
        id: message.id,
        tenant: message.tenant,
        instance: message.instance,
        direction: Direction::Outbound,
        whatsapp_id: message.whatsapp_id.clone(),
        chat: message.chat.clone(),
        author: None,
        content: message.content.clone(),
        quoted: message.quoted.clone(),
        status: MessageStatus::Queued,
        reason: None,
        delivery: message.delivery,
        expires_at: message.expires_at,
        send_at: message.send_at,
        metadata: message.metadata.clone(),
        backfilled: false,
        times: Times { created: message.created_at, ..Times::default() },
    }
}
