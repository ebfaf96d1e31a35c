//! Members of messages' audiences as they are stored: read in sets, written in sets.

use sqlx::{PgConnection, Row};
use std::collections::HashMap;
use warren_domain::group::Member;
use warren_domain::{MessageStatus, Timestamp};

/// What a member can be noted with, in this order: what came later passed what comes before it.
const STEPS: [MessageStatus; 3] = [MessageStatus::Delivered, MessageStatus::Read, MessageStatus::Played];

/// A member of one message's audience.
struct Noted {
    order: i64,
    jid: String,
    /// When it reached each of [`STEPS`].
    reached: [Option<i64>; 3],
    changed: bool,
}

/// The members that receipts speak of, and how many of each audience lack what.
pub(super) struct Listed {
    all: Vec<Noted>,
    /// By message, and by the address of who gave the receipt.
    by_giver: HashMap<(i64, String), usize>,
    /// Of each message, how many have not reached each of [`STEPS`].
    lacking: HashMap<i64, [i64; 3]>,
}

impl Listed {
    /// Reads the members that receipts for these messages name.
    ///
    /// A member is found by the name that the audience has, or else by any other: a group may have changed from numbers to
    /// hidden addresses meanwhile.
    pub(super) async fn load(conn: &mut PgConnection, asked: &[(i64, &Member)]) -> sqlx::Result<Self> {
        let mut listed = Self { all: Vec::new(), by_giver: HashMap::new(), lacking: HashMap::new() };
        if asked.is_empty() {
            return Ok(listed);
        }
        let orders: Vec<i64> = asked.iter().map(|(order, _)| *order).collect();
        let rows = sqlx::query(
            "SELECT asked.place, found.jid, found.delivered_at, found.read_at, found.played_at
             FROM unnest($1::BIGINT[], $2::TEXT[], $3::TEXT[], $4::TEXT[]) WITH ORDINALITY
                  AS asked (queue_order, jid, pn, lid, place)
             CROSS JOIN LATERAL (
                 SELECT * FROM message_members m WHERE m.queue_order = asked.queue_order AND m.jid = asked.jid
                 UNION ALL
                 SELECT * FROM message_members m
                 WHERE m.queue_order = asked.queue_order
                       AND (m.jid IN (asked.pn, asked.lid) OR m.pn IN (asked.jid, asked.pn)
                            OR m.lid IN (asked.jid, asked.lid))
                 LIMIT 1) AS found",
        )
        .bind(&orders)
        .bind(asked.iter().map(|(_, member)| member.jid.as_str()).collect::<Vec<_>>())
        .bind(asked.iter().map(|(_, member)| member.pn.as_deref()).collect::<Vec<_>>())
        .bind(asked.iter().map(|(_, member)| member.lid.as_deref()).collect::<Vec<_>>())
        .fetch_all(&mut *conn)
        .await?;
        let mut by_name: HashMap<(i64, String), usize> = HashMap::new();
        for row in rows {
            let place = usize::try_from(row.try_get::<i64, _>(0)?).unwrap_or_default();
            let Some((order, giver)) = place.checked_sub(1).and_then(|place| asked.get(place)) else { continue };
            let jid: String = row.try_get(1)?;
            let at = *by_name.entry((*order, jid.clone())).or_insert(listed.all.len());
            if at == listed.all.len() {
                let reached = [row.try_get(2)?, row.try_get(3)?, row.try_get(4)?];
                listed.all.push(Noted { order: *order, jid, reached, changed: false });
            }
            listed.by_giver.insert((*order, giver.jid.clone()), at);
        }
        listed.count(conn, &orders).await?;
        Ok(listed)
    }

    async fn count(&mut self, conn: &mut PgConnection, orders: &[i64]) -> sqlx::Result<()> {
        let rows = sqlx::query(
            "SELECT queue_order, count(*) - count(delivered_at), count(*) - count(read_at), count(*) - count(played_at)
             FROM message_members WHERE queue_order = ANY($1) GROUP BY queue_order",
        )
        .bind(orders)
        .fetch_all(conn)
        .await?;
        for row in rows {
            self.lacking.insert(row.try_get(0)?, [row.try_get(1)?, row.try_get(2)?, row.try_get(3)?]);
        }
        Ok(())
    }

    /// Notes what a member did with a message; whether that is news.
    pub(super) fn note(&mut self, order: i64, giver: &Member, status: MessageStatus, at: Timestamp) -> bool {
        let place = self.by_giver.get(&(order, giver.jid.clone()));
        let Some(noted) = place.and_then(|place| self.all.get_mut(*place)) else { return false };
        let lacking = self.lacking.entry(order).or_default();
        let mut is_news = false;
        for ((step, reached), lacking) in STEPS.iter().zip(&mut noted.reached).zip(lacking) {
            if step.rank() <= status.rank() && reached.is_none() {
                *reached = Some(at.as_millis());
                *lacking -= 1;
                is_news = true;
            }
        }
        noted.changed |= is_news;
        is_news
    }

    /// How far the weakest of a message's audience is.
    pub(super) fn weakest(&self, order: i64) -> MessageStatus {
        // Without an audience nobody is known to have it.
        let Some(lacking) = self.lacking.get(&order) else { return MessageStatus::Sent };
        let reached = STEPS.into_iter().zip(lacking).take_while(|(_, lacking)| **lacking <= 0).last();
        reached.map_or(MessageStatus::Sent, |(step, _)| step)
    }

    /// Writes what is news.
    pub(super) async fn store(mut self, conn: &mut PgConnection) -> sqlx::Result<()> {
        self.all.retain(|noted| noted.changed);
        if self.all.is_empty() {
            return Ok(());
        }
        let time = |step: usize| self.all.iter().map(|noted| noted.reached.get(step).copied().flatten()).collect::<Vec<_>>();
        sqlx::query(
            "UPDATE message_members m SET delivered_at = n.delivered_at, read_at = n.read_at, played_at = n.played_at
             FROM unnest($1::BIGINT[], $2::TEXT[], $3::BIGINT[], $4::BIGINT[], $5::BIGINT[])
                  AS n (queue_order, jid, delivered_at, read_at, played_at)
             WHERE m.queue_order = ANY($1) AND m.queue_order = n.queue_order AND m.jid = n.jid",
        )
        .bind(self.all.iter().map(|noted| noted.order).collect::<Vec<_>>())
        .bind(self.all.iter().map(|noted| noted.jid.as_str()).collect::<Vec<_>>())
        .bind(time(0))
        .bind(time(1))
        .bind(time(2))
        .execute(conn)
        .await?;
        Ok(())
    }
}
