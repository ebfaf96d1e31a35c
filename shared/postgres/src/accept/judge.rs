//! How messages are judged and stored: by `accept_messages()` in the schema, which knows the rules. Here is what it is given,
//! on which connection, and what its verdicts mean.

use crate::failure::{Class, class, corrupt};
use crate::media;
use crate::messages;
use crate::rows::{self, Id, delivery_number, json, maybe_json, millis, object};
use serde_json::{Value, json as value};
use sqlx::postgres::{PgConnectOptions, PgRow};
use sqlx::{ConnectOptions, Connection, Error, PgConnection, Result, Row};
use std::collections::{HashMap, HashSet};
use std::time::Duration;
use warren_domain::message::Times;
use warren_domain::{Direction, InstanceId, Message, MessageId, MessageStatus, TenantId, Timestamp};
use warren_ports::ledger::{Accepted, NewMessage};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(2);
/// How long a statement may take before the connection counts as broken: longer than the server lets it run.
const ANSWER: Duration = Duration::from_secs(6);
/// What a message takes besides its texts, about.
const ROW_BYTES: usize = 512;
/// The constraint that says that a key was taken meanwhile, by somebody who wrote to another instance.
const KEYS: &str = "idempotency_pkey";

/// A message that was asked for, as it is stored.
pub(super) struct Asked {
    message: NewMessage,
    content: String,
    quoted: Option<String>,
    metadata: Option<String>,
    /// The name of the part beside the caller's key, which has no space in it.
    part: Option<String>,
}

impl Asked {
    pub(super) fn new(message: NewMessage) -> Result<Self> {
        let part = message.idempotency.as_ref().zip(message.part).map(|(key, part)| format!("{} {part}", key.key));
        Ok(Self {
            content: json(&message.content)?,
            quoted: maybe_json(message.quoted.as_ref())?,
            metadata: object(&message.metadata)?,
            part,
            message,
        })
    }

    pub(super) fn bytes(&self) -> usize {
        let texts = [Some(&self.content), self.quoted.as_ref(), self.metadata.as_ref()];
        ROW_BYTES + texts.into_iter().flatten().map(String::len).sum::<usize>()
    }

    fn key(&self) -> Option<&str> {
        self.message.idempotency.as_ref().map(|key| key.key.as_str())
    }
}

/// A batch that did not get its verdicts.
#[derive(Debug)]
pub(super) struct Undone {
    pub(super) error: Error,
    /// Whether it may be committed all the same.
    pub(super) in_doubt: bool,
    /// Whether the data is good, and was only overtaken.
    pub(super) passes: bool,
}

impl Undone {
    fn new(error: Error) -> Self {
        // An answer of the server says that nothing was done; no answer says nothing.
        let in_doubt = !matches!(error, Error::Database(_));
        let passes = matches!(&error, Error::Database(error) if error.constraint() == Some(KEYS));
        Self { error, in_doubt, passes }
    }

    fn before(error: Error) -> Self {
        Self { in_doubt: false, ..Self::new(error) }
    }
}

/// The connection.
pub(super) struct Line {
    connect: PgConnectOptions,
    conn: Option<PgConnection>,
}

impl Line {
    pub(super) fn new(connect: PgConnectOptions) -> Self {
        Self { connect, conn: None }
    }

    /// Judges messages and stores what is accepted, in one transaction; a verdict each, in their order. `again` if an earlier
    /// try may have been committed.
    pub(super) async fn judge(&mut self, asked: &[&Asked], now: Timestamp, again: bool) -> Result<Vec<Accepted>, Undone> {
        // Taken out, so that a connection whose statement was not waited for to its end is not used again.
        let mut conn = match self.conn.take() {
            Some(conn) => conn,
            None => open(&self.connect).await.map_err(Undone::before)?,
        };
        let judged = tokio::time::timeout(ANSWER, judge(&mut conn, asked, now, again)).await;
        let judged = judged.unwrap_or_else(|late| Err(Undone::new(Error::Io(late.into()))));
        if judged.as_ref().err().is_none_or(|undone| class(&undone.error) != Class::Broken) {
            self.conn = Some(conn);
        }
        judged
    }

    pub(super) async fn close(self) {
        if let Some(conn) = self.conn {
            // It ends with the process in any case.
            let _ = tokio::time::timeout(CONNECT, conn.close()).await;
        }
    }
}

async fn open(connect: &PgConnectOptions) -> Result<PgConnection> {
    tokio::time::timeout(CONNECT, connect.connect()).await.unwrap_or_else(|late| Err(Error::Io(late.into())))
}

async fn judge(conn: &mut PgConnection, asked: &[&Asked], now: Timestamp, again: bool) -> Result<Vec<Accepted>, Undone> {
    let verdicts = if together(asked) == asked.len() {
        call(conn, asked, now, again).await.map_err(Undone::new)?
    } else {
        one_after_the_other(conn, asked, now, again).await.map_err(Undone::new)?
    };
    // They are committed: whatever fails from here on leaves them so.
    let committed = |error| Undone { in_doubt: true, ..Undone::new(error) };
    let replays = replays(conn, asked, &verdicts).await.map_err(committed)?;
    asked.iter().zip(verdicts).map(|(asked, verdict)| accepted(asked, verdict, &replays).map_err(committed)).collect()
}

/// Messages that do not bear being judged side by side, in as many statements as it takes; still one transaction.
async fn one_after_the_other(
    conn: &mut PgConnection,
    asked: &[&Asked],
    now: Timestamp,
    again: bool,
) -> Result<Vec<(i16, Option<MessageId>)>> {
    let mut transaction = conn.begin().await?;
    // All at once and in their order, as a single statement would.
    sqlx::query("SELECT 1 FROM instance_counters WHERE instance_id = ANY ($1) ORDER BY instance_id FOR NO KEY UPDATE")
        .bind(column(asked, |asked| asked.message.instance.uuid()))
        .execute(&mut *transaction)
        .await?;
    let (mut verdicts, mut rest) = (Vec::with_capacity(asked.len()), asked);
    while !rest.is_empty() {
        let (next, later) = rest.split_at(together(rest).clamp(1, rest.len()));
        verdicts.extend(call(&mut transaction, next, now, again).await?);
        rest = later;
    }
    transaction.commit().await?;
    Ok(verdicts)
}

/// How many of these, from the first, can be judged side by side: as long as none shares its key with another, other parts of
/// the same request excepted, and all of an instance have the same limit.
fn together(asked: &[&Asked]) -> usize {
    let mut limits: HashMap<InstanceId, u32> = HashMap::new();
    let mut keys: HashMap<(TenantId, &str), ([u8; 32], HashSet<Option<u32>>)> = HashMap::new();
    asked
        .iter()
        .take_while(|asked| {
            let message = &asked.message;
            let limit = *limits.entry(message.instance).or_insert(message.queue_limit);
            let Some(key) = &message.idempotency else { return limit == message.queue_limit };
            let (fingerprint, parts) =
                keys.entry((message.tenant, &key.key)).or_insert_with(|| (key.fingerprint, HashSet::new()));
            let is_first = parts.is_empty();
            let is_a_part = message.part.is_some() && !parts.contains(&None) && *fingerprint == key.fingerprint;
            limit == message.queue_limit && parts.insert(message.part) && (is_first || is_a_part)
        })
        .count()
}

fn column<'a, T>(asked: &[&'a Asked], of: impl Fn(&'a Asked) -> T) -> Vec<T> {
    asked.iter().map(|asked| of(asked)).collect()
}

async fn call(
    conn: &mut PgConnection,
    asked: &[&Asked],
    now: Timestamp,
    again: bool,
) -> Result<Vec<(i16, Option<MessageId>)>> {
    let rows = sqlx::query(
        "SELECT verdict, made FROM accept_messages($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17,
             $18::JSON, $19, $20)",
    )
    .bind(column(asked, |asked| asked.message.id.uuid()))
    .bind(column(asked, |asked| asked.message.tenant.uuid()))
    .bind(column(asked, |asked| asked.message.instance.uuid()))
    .bind(column(asked, |asked| i64::from(asked.message.queue_limit)))
    .bind(column(asked, Asked::key))
    .bind(column(asked, |asked| asked.part.as_deref()))
    .bind(column(asked, |asked| asked.message.idempotency.as_ref().map(|key| key.fingerprint.as_slice())))
    .bind(column(asked, |asked| asked.message.whatsapp_id.as_str()))
    .bind(column(asked, |asked| asked.message.secret.as_slice()))
    .bind(column(asked, |asked| asked.message.chat.as_str()))
    .bind(column(asked, |asked| asked.content.as_str()))
    .bind(column(asked, |asked| asked.quoted.as_deref()))
    .bind(column(asked, |asked| delivery_number(asked.message.delivery)))
    .bind(column(asked, |asked| millis(asked.message.expires_at)))
    .bind(column(asked, |asked| millis(asked.message.send_at)))
    .bind(column(asked, |asked| asked.metadata.as_deref()))
    .bind(column(asked, |asked| asked.message.created_at.as_millis()))
    .bind(files(asked)?)
    .bind(now.as_millis())
    .bind(again)
    .fetch_all(conn)
    .await?;
    if rows.len() != asked.len() {
        return Err(corrupt(0));
    }
    rows.iter().map(|row: &PgRow| Ok((row.try_get(0)?, rows::maybe_id(row, 1)?))).collect()
}

/// The files that come with messages, as JSON; few messages bring one.
fn files(asked: &[&Asked]) -> Result<Option<String>> {
    let files: Vec<Value> = (1..).zip(asked).filter_map(|(place, asked)| file(place, asked)).collect();
    if files.is_empty() { Ok(None) } else { json(&files).map(Some) }
}

fn file(place: i64, asked: &Asked) -> Option<Value> {
    let file = asked.message.media.as_ref()?;
    Some(value!({
        "place": place,
        "id": file.id.uuid().to_string(),
        "tenant_id": file.tenant.uuid().to_string(),
        "instance_id": file.instance.map(|instance| instance.uuid().to_string()),
        "origin": media::origin_number(file.origin),
        "state": media::state_number(file.state),
        "reason": file.reason.map(warren_domain::media::MediaFailure::as_str),
        "mime_type": file.mime_type,
        "size": file.size.map(media::size_number),
        "sha256": file.sha256.map(hex::encode),
        "filename": file.filename,
        "link": file.link,
        "source": file.source.as_ref().map(hex::encode),
        "created_at": file.created_at.as_millis(),
        "expires_at": file.expires_at.as_millis(),
    }))
}

const NEW: i16 = 0;
const REPLAY: i16 = 1;
const MISMATCH: i16 = 2;
const QUEUE_FULL: i16 = 3;
const NO_INSTANCE: i16 = 4;
const NOT_PAIRED: i16 = 5;
const THERE_ALREADY: i16 = 6;

/// The messages that were made before, as they are now.
async fn replays(
    conn: &mut PgConnection,
    asked: &[&Asked],
    verdicts: &[(i16, Option<MessageId>)],
) -> Result<HashMap<MessageId, Message>> {
    let made = asked.iter().zip(verdicts).filter_map(|(asked, (verdict, made))| match verdict {
        &REPLAY => made.filter(|made| *made != asked.message.id),
        _ => None,
    });
    let made: Vec<MessageId> = made.collect();
    if made.is_empty() {
        return Ok(HashMap::new());
    }
    Ok(messages::find(conn, &made).await?.into_iter().map(|message| (message.id, message)).collect())
}

fn accepted(
    asked: &Asked,
    (verdict, made): (i16, Option<MessageId>),
    replays: &HashMap<MessageId, Message>,
) -> Result<Accepted> {
    Ok(match verdict {
        NEW | THERE_ALREADY => Accepted::New(as_queued(&asked.message)),
        // The earlier try was committed.
        REPLAY if made == Some(asked.message.id) => Accepted::New(as_queued(&asked.message)),
        // The key outlives its message only where the instance was deleted: retention keeps messages longer than keys.
        REPLAY => made.and_then(|made| replays.get(&made)).cloned().map_or(Accepted::NoInstance, Accepted::Replay),
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
