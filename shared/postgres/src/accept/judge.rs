//! How messages are judged and stored: by `accept_messages()` in the schema, which knows the rules. Here is what it is given,
//! and on which connection; what it says is read in `verdict`.

use super::verdict::{self, Verdict};
use crate::failure::{Class, class, corrupt};
use crate::media;
use crate::rows::{Id, delivery_number, json, maybe_json, millis, object};
use serde_json::{Value, json as value};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, Error, PgConnection, Result};
use std::collections::{HashMap, HashSet};
use std::time::Duration;
use warren_domain::{InstanceId, TenantId, Timestamp};
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
    let messages: Vec<&NewMessage> = asked.iter().map(|asked| &asked.message).collect();
    verdict::accepted(conn, &messages, &verdicts).await.map_err(committed)
}

/// Messages that do not bear being judged side by side, in as many statements as it takes; still one transaction.
async fn one_after_the_other(
    conn: &mut PgConnection,
    asked: &[&Asked],
    now: Timestamp,
    again: bool,
) -> Result<Vec<Verdict>> {
    let mut transaction = conn.begin().await?;
    // All at once and in their order, as a single statement would.
    sqlx::query("SELECT lock_counters($1)")
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
    let mut keys: HashMap<(TenantId, &str), Request> = HashMap::new();
    asked
        .iter()
        .take_while(|asked| {
            let message = &asked.message;
            let limit = *limits.entry(message.instance).or_insert(message.queue_limit);
            let fits = message.idempotency.as_ref().is_none_or(|key| {
                let request = keys.entry((message.tenant, &key.key)).or_insert_with(|| Request::new(key.fingerprint));
                request.takes(key.fingerprint, message.part)
            });
            limit == message.queue_limit && fits
        })
        .count()
}

/// What a key stands for within a statement.
struct Request {
    fingerprint: [u8; 32],
    /// Which parts of it there are; `None` is a request that has no parts.
    parts: HashSet<Option<u32>>,
}

impl Request {
    fn new(fingerprint: [u8; 32]) -> Self {
        Self { fingerprint, parts: HashSet::new() }
    }

    /// Whether a message is the first with the key, or another part of the same request.
    fn takes(&mut self, fingerprint: [u8; 32], part: Option<u32>) -> bool {
        let is_another_part = part.is_some() && !self.parts.contains(&None) && self.fingerprint == fingerprint;
        (self.parts.is_empty() || is_another_part) && self.parts.insert(part)
    }
}

fn column<'a, T>(asked: &[&'a Asked], of: impl Fn(&'a Asked) -> T) -> Vec<T> {
    asked.iter().map(|asked| of(asked)).collect()
}

async fn call(conn: &mut PgConnection, asked: &[&Asked], now: Timestamp, again: bool) -> Result<Vec<Verdict>> {
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
    rows.iter().map(Verdict::read).collect()
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
