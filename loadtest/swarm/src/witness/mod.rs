//! The witnesses of a load, for any number of instances: the API and its event log, the simulator's ground truth, those who
//! follow the log, a stranger, the ledger's tables.

mod log;
mod receiver;
mod stranger;
mod stream;
mod tables;

pub use receiver::{Mood, Receiver};
pub use stranger::Stranger;
pub use stream::ResumedStream;
pub use tables::{owners, ownership};

use crate::history::{Emitted, End, Entry, History, Reader, Received, Send, Sessions, Taken};
pub use crate::load::Record;
use crate::load::{Call, Client, Fleet, Outcome, Sent};
use crate::place::Place;
use crate::simulator::Stats;
use anyhow::{Context, Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _};
use log::{Log, Progress};
use reqwest::Method;
use serde_json::Value;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// Requests to the simulator under way at once.
const AT_ONCE: usize = 32;
/// Between two looks while something settles.
const PAUSE: Duration = Duration::from_millis(500);
/// How long asking how a message ended may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Gathers what happened to a fleet.
#[derive(Debug)]
pub struct Witness {
    place: Place,
    fleet: Arc<Fleet>,
    client: Client,
    log: Log,
}

/// A moment from which on something is counted.
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    stats: Stats,
    undecryptable: usize,
}

impl Witness {
    /// Of this fleet.
    ///
    /// # Errors
    /// A client cannot be made.
    pub fn new(place: &Place, fleet: &Arc<Fleet>) -> Result<Self> {
        let client = Client::new(&place.endpoints, &place.key)?;
        Ok(Self { place: place.clone(), fleet: fleet.clone(), log: Log::new(client.clone()), client })
    }

    /// Now.
    ///
    /// # Errors
    /// The API or the simulator does not answer.
    pub async fn mark(&mut self) -> Result<Mark> {
        self.log.refresh().await?;
        Ok(Mark { stats: self.place.simulator.stats().await?, undecryptable: self.log.undecryptable.len() })
    }

    /// The whole log.
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn log(&mut self) -> Result<Vec<Entry>> {
        self.log.refresh().await?;
        Ok(self.log.entries.clone())
    }

    /// Waits until nothing of this is under way: every send has ended, every text is in the log, and recipients have what they
    /// should. Says whether that came to pass within `patience`.
    ///
    /// # Errors
    /// The API or the simulator does not answer.
    pub async fn settled(&mut self, record: &Record, patience: Duration) -> Result<bool> {
        let until = Instant::now() + patience;
        loop {
            self.log.refresh().await?;
            let open = record.sent.iter().any(|sent| self.log.progress(&sent.id) == Progress::Open);
            let missing = record.written.iter().any(|text| !self.log.has_received(&text.whatsapp_id));
            if !open && !missing && self.received(record).await? {
                return Ok(true);
            }
            if Instant::now() >= until {
                return Ok(false);
            }
            sleep(PAUSE).await;
        }
    }

    /// Whether every send that did not fail is with its recipient.
    async fn received(&self, record: &Record) -> Result<bool> {
        let mut history = History::default();
        self.recipients(record, &mut history).await?;
        let seen: HashSet<_> = history.received.iter().map(|received| received.whatsapp_id.as_str()).collect();
        let is_there = |sent: &&Sent| seen.contains(sent.whatsapp_id.as_str());
        Ok(record.sent.iter().filter(|sent| self.log.progress(&sent.id) == Progress::Sent).all(|sent| is_there(&sent)))
    }

    /// What happened to everything in `record` and to the `probes` sent after it; sessions are counted from `mark` on. Who
    /// followed the log, the tables, the memory and the stranger are the caller's to add.
    ///
    /// # Errors
    /// The API or the simulator does not answer.
    pub async fn history(&mut self, record: &Record, probes: &Record, mark: &Mark) -> Result<History> {
        self.log.refresh().await?;
        let mut history = History::default();
        for part in [record, probes] {
            history.sends.extend(self.sends(part).await?);
            self.recipients(part, &mut history).await?;
            self.accounts(part, &mut history).await?;
        }
        let ours: HashSet<_> = record.written.iter().chain(&probes.written).map(|text| text.whatsapp_id.as_str()).collect();
        let received = self.log.received.iter().filter(|logged| ours.contains(logged.whatsapp_id.as_str()));
        history.logged = received.cloned().collect();
        history.log.clone_from(&self.log.entries);
        history.sessions = self.sessions(probes, mark, &history).await?;
        Ok(history)
    }

    async fn sends(&self, record: &Record) -> Result<Vec<Send>> {
        let send = |sent: &Sent| {
            let sent = sent.clone();
            async move {
                let chat = self.fleet.chats.get(sent.chat).context("no such chat")?;
                let end = match self.log.progress(&sent.id) {
                    Progress::Sent => End::Sent,
                    Progress::Failed => End::Failed,
                    Progress::Open => self.end_of(&sent.id).await,
                };
                anyhow::Ok(Send {
                    whatsapp_id: sent.whatsapp_id,
                    instance: self.fleet.member(chat)?.id.clone(),
                    recipient: chat.person.phone.clone(),
                    payload: sent.payload,
                    at_most_once: sent.at_most_once,
                    end,
                })
            }
        };
        futures::stream::iter(record.sent.iter().map(send)).buffered(AT_ONCE).try_collect().await
    }

    /// How a message ended, by asking for it. Nobody knowing it is as bad as open.
    async fn end_of(&self, message: &str) -> End {
        let path = format!("/v1/messages/{message}");
        let call = Call { method: Method::GET, path, body: None, key: None, gateway: 0, patience: PATIENCE };
        let Outcome::Done(body) = self.client.call(&call).await else { return End::Open };
        match body.get("status").and_then(Value::as_str).unwrap_or_default() {
            "sent" | "delivered" | "read" | "played" => End::Sent,
            "failed" => End::Failed,
            _ => End::Open,
        }
    }

    /// What the people saw of these sends.
    async fn recipients(&self, record: &Record, history: &mut History) -> Result<()> {
        let chats: BTreeSet<_> = record.sent.iter().map(|sent| sent.chat).collect();
        let payloads: HashSet<_> =
            record.sent.iter().map(|sent| sent.payload.as_str()).chain(record.unknown.iter().map(String::as_str)).collect();
        let inboxes = chats.into_iter().map(|chat| async move {
            let chat = self.fleet.chats.get(chat).context("no such chat")?;
            anyhow::Ok((chat, self.place.simulator.inbox(&chat.person.phone, 0).await?))
        });
        let mut inboxes = futures::stream::iter(inboxes).buffered(AT_ONCE);
        while let Some((chat, inbox)) = inboxes.try_next().await? {
            let instance = &self.fleet.member(chat)?.id;
            for message in inbox.messages {
                let payload = message.text.unwrap_or_default();
                if payloads.contains(payload.as_str()) {
                    history.received.push(Received {
                        recipient: chat.person.phone.clone(),
                        instance: instance.clone(),
                        whatsapp_id: message.id,
                        payload,
                        surfaced: message.surfaced,
                    });
                }
            }
        }
        Ok(())
    }

    /// What the server took from the accounts, and what was on its way to them.
    async fn accounts(&self, record: &Record, history: &mut History) -> Result<()> {
        let chats = record.sent.iter().map(|sent| sent.chat).chain(record.written.iter().map(|text| text.chat));
        let members: BTreeSet<_> = chats.filter_map(|chat| self.fleet.chats.get(chat)).map(|chat| chat.member).collect();
        let sent: HashSet<_> = record.sent.iter().map(|sent| sent.whatsapp_id.as_str()).collect();
        let written: HashSet<_> = record.written.iter().map(|text| text.whatsapp_id.as_str()).collect();
        let truths = members.into_iter().map(|member| async move {
            let member = self.fleet.members.get(member).context("no such instance")?;
            anyhow::Ok((member, self.place.simulator.ground_truth(&member.phone).await?))
        });
        let mut truths = futures::stream::iter(truths).buffered(AT_ONCE);
        while let Some((member, truth)) = truths.try_next().await? {
            ensure!(truth.forgotten == 0, "the simulator has forgotten part of the truth");
            let taken = truth.accepted.into_iter().filter(|taken| sent.contains(taken.id.as_str()));
            history.taken.extend(taken.map(|taken| Taken {
                whatsapp_id: taken.id,
                copies: taken.copies,
                distinct_stanzas: taken.distinct_stanzas,
            }));
            let emitted = truth.emitted.into_iter().filter(|emitted| written.contains(emitted.id.as_str()));
            history.emitted.extend(emitted.map(|emitted| Emitted {
                instance: member.id.clone(),
                author: emitted.from,
                whatsapp_id: emitted.id,
                acked: emitted.acked,
            }));
        }
        Ok(())
    }

    async fn sessions(&self, probes: &Record, mark: &Mark, history: &History) -> Result<Sessions> {
        let stats = self.place.simulator.stats().await?;
        // What the own phone told after all is no harm done: the log has it.
        let unread = self.log.undecryptable.iter().skip(mark.undecryptable).filter(|id| !self.log.has_received(id));
        let seen: HashMap<_, _> =
            history.received.iter().map(|received| (received.whatsapp_id.as_str(), received.surfaced)).collect();
        let out = probes.sent.iter().map(|sent| ("out".to_owned(), seen.contains_key(sent.whatsapp_id.as_str())));
        let inward = probes.written.iter().map(|text| ("in".to_owned(), self.log.has_received(&text.whatsapp_id)));
        Ok(Sessions {
            retry_receipts: stats.retry_receipts.saturating_sub(mark.stats.retry_receipts),
            undecryptable_outbound: stats.handset_undecryptable.saturating_sub(mark.stats.handset_undecryptable),
            undecryptable_inbound: unread.count() as u64,
            probes: out.chain(inward).collect(),
        })
    }

    /// Waits until everybody who follows the log has its last event, then adds to `history` what each was given up to there. Each
    /// comes with how many events there were when it began.
    ///
    /// # Errors
    /// The log cannot be read.
    pub async fn readers(
        &mut self,
        history: &mut History,
        followers: &[(usize, &dyn Follower)],
        patience: Duration,
    ) -> Result<()> {
        let until = Instant::now() + patience;
        self.log.refresh().await?;
        let length = self.log.entries.len();
        let has_all = |from: usize, follower: &dyn Follower| {
            self.log.entries.iter().skip(from).rev().all(|entry| follower.has(&entry.id))
        };
        while !followers.iter().all(|(from, follower)| has_all(*from, *follower)) && Instant::now() < until {
            sleep(PAUSE).await;
        }
        let mut heard: Vec<_> = followers.iter().map(|(_, follower)| follower.entries()).collect();
        // What came after the look at the log is in it by now, and is nobody's to have heard.
        self.log.refresh().await?;
        let later: HashSet<_> = self.log.entries.iter().skip(length).map(|entry| entry.id.as_str()).collect();
        heard.iter_mut().for_each(|heard| heard.retain(|entry| !later.contains(entry.id.as_str())));
        history.log = self.log.entries.iter().take(length).cloned().collect();
        history.readers = followers
            .iter()
            .zip(heard)
            .map(|((from, follower), heard)| Reader {
                name: follower.name().to_owned(),
                from: *from,
                heard,
                given_up: Vec::new(),
            })
            .collect();
        Ok(())
    }
}

/// Somebody who follows the event log.
pub trait Follower {
    /// What it is, for people.
    fn name(&self) -> &'static str;
    /// Whether it was given this event.
    fn has(&self, event: &str) -> bool;
    /// What it was given so far, in the order in which it came; repeats too.
    fn entries(&self) -> Vec<Entry>;
}
