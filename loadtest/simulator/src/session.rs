//! The conversation with a logged-in companion: its stanzas in, its queue out.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use tokio::time::Instant;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Node, NodeRef, NodeValue, SERVER_JID};

use crate::account::Account;
use crate::handset::Job;
use crate::iq::{self, After};
use crate::link::{Command, Link, LinkEnd};
use crate::queue::{Class, Due};
use crate::trouble::{self, Fate};
use crate::wire::{self, Wire};
use crate::world::World;
use crate::{calls, message, presence, receipt};

/// Queue entries taken under one lock.
const PUMP: usize = 128;
/// Stanzas handled before their answers are flushed.
const BURST: usize = 64;
/// Bytes gathered before a flush.
const FLUSH_BYTES: usize = 64 * 1024;
/// A slow line takes at most so long for what is written at once.
const SLOWEST: Duration = Duration::from_secs(60);

/// A logged-in connection.
pub(crate) struct Session {
    world: Arc<World>,
    account: Arc<Account>,
    device: u16,
    wire: Wire,
    link: Link,
    end: LinkEnd,
    /// Everything up to this place of the device's queue was written to this connection.
    cursor: u64,
    /// The client asked for its messages.
    active: bool,
    /// When what waits is written, if the line takes its time.
    pump_at: Option<Instant>,
    /// Nothing is written any more, but frames of a replaced client are still taken until then.
    lingering: Option<Instant>,
}

/// How the loop goes on.
enum Flow {
    On,
    Close,
}

impl Session {
    pub(crate) fn new(world: Arc<World>, account: Arc<Account>, device: u16, wire: Wire, link: Link, end: LinkEnd) -> Self {
        Self { world, account, device, wire, link, end, cursor: 0, active: false, pump_at: None, lingering: None }
    }

    /// Serves until one side ends it. When it returns, the socket is closed and the device is free for another login.
    pub(crate) async fn run(mut self) -> Result<(), wire::Error> {
        let ended = self.converse().await;
        let last = {
            let mut state = self.account.state();
            let known = state.devices.get_mut(&self.device);
            // A successor has taken the place already.
            known.is_none_or(|known| {
                let own = known.link.as_ref().is_some_and(|link| link.id == self.link.id);
                if own {
                    known.link = None;
                    known.left = Some(std::time::Instant::now());
                }
                own
            })
        };
        if last {
            presence::gone(&self.world, &self.account, self.device);
        }
        // A cut or broken connection is dropped without a word.
        if ended.is_ok() {
            self.wire.close().await;
        }
        ended
    }

    async fn converse(&mut self) -> Result<(), wire::Error> {
        let stop = self.world.stop.clone();
        let mut heard = Instant::now();
        loop {
            let silent = self.lingering.unwrap_or(heard + self.world.options.idle_timeout);
            let pump_at = self.pump_at.unwrap_or(silent);
            let flow = tokio::select! {
                biased;
                () = stop.cancelled() => Flow::Close,
                command = self.end.commands.recv() => self.obey(command).await?,
                received = self.wire.next() => {
                    heard = Instant::now();
                    self.hear(received?).await?
                }
                () = self.end.wake.notified(), if self.active && self.pump_at.is_none() => {
                    self.deliver().await?;
                    Flow::On
                }
                () = tokio::time::sleep_until(pump_at), if self.pump_at.is_some() => {
                    self.pump_at = None;
                    self.pump().await?;
                    Flow::On
                }
                () = tokio::time::sleep_until(silent) => Flow::Close,
            };
            if matches!(flow, Flow::Close) {
                return Ok(());
            }
        }
    }

    /// Handles one stanza and those that came with it, then answers all of them in one write.
    async fn hear(&mut self, first: (wacore_binary::OwnedNodeRef, bytes::Bytes)) -> Result<Flow, wire::Error> {
        let mut next = Some(first);
        let mut handled = 0;
        while let Some((node, raw)) = next.take() {
            let flow = self.handle(node.get(), &raw).await?;
            if matches!(flow, Flow::Close) {
                self.flush().await?;
                return Ok(Flow::Close);
            }
            handled += 1;
            if handled < BURST && self.wire.pending() < FLUSH_BYTES {
                next = self.wire.next().now_or_never().transpose()?;
            }
        }
        self.flush().await?;
        Ok(Flow::On)
    }

    async fn handle(&mut self, node: &NodeRef<'_>, raw: &[u8]) -> Result<Flow, wire::Error> {
        self.world.counters.stanzas.one();
        let mut jobs = Vec::new();
        let mut after = After::Nothing;
        match node.tag.as_ref() {
            "message" => {
                let handled = message::handle(&self.world, &self.account, self.device, node, raw);
                jobs = handled.jobs;
                if let Some((delay, reply)) = handled.reply {
                    self.reply_later(delay, reply)?;
                }
            }
            "receipt" => {
                let handled = receipt::handle(&self.world, &self.account, self.device, node);
                jobs = handled.jobs;
                if let Some(reply) = handled.reply {
                    self.reply(&reply)?;
                }
            }
            "ack" => receipt::handle_ack(&self.world, &self.account, self.device, node),
            "iq" => {
                let answer = iq::answer(&self.world, &self.account, self.device, node);
                if let Some(reply) = &answer.reply {
                    self.reply(reply)?;
                }
                jobs = answer.jobs;
                after = answer.after;
            }
            "call" => {
                if let Some(reply) = calls::take(&self.world, &self.account, self.device, node) {
                    self.reply(&reply)?;
                }
            }
            "presence" => presence::take(&self.world, &self.account, self.device, node),
            "chatstate" => presence::chat_state(&self.world, &self.account, node),
            // Clients ask for more of the offline queue; it was sent as a whole.
            "ib" => {}
            _ => self.world.counters.stanzas_unknown.one(),
        }
        for job in jobs {
            self.submit(job).await;
        }
        match after {
            After::Nothing => Ok(Flow::On),
            After::Activate if self.active => Ok(Flow::On),
            After::Activate => self.deliver_offline().await.map(|()| Flow::On),
            After::Deactivate => {
                self.active = false;
                Ok(Flow::On)
            }
            After::Close => Ok(Flow::Close),
        }
    }

    async fn submit(&self, job: Job) {
        self.world.handsets.submit(job).await;
    }

    fn reply(&mut self, node: &Node) -> Result<(), wire::Error> {
        if self.lingering.is_some() {
            return Ok(());
        }
        self.wire.queue(node)
    }

    fn reply_later(&mut self, delay: Duration, node: Node) -> Result<(), wire::Error> {
        if delay.is_zero() {
            return self.reply(&node);
        }
        let link = self.link.clone();
        let stop = self.world.stop.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = tokio::time::sleep(delay) => drop(link.command(Command::Write(node))),
                () = link.closed() => {}
                () = stop.cancelled() => {}
            }
        });
        Ok(())
    }

    /// Writes what was gathered, as fast as the line is.
    async fn flush(&mut self) -> Result<(), wire::Error> {
        let bytes = self.wire.pending() as u64;
        if bytes == 0 {
            return Ok(());
        }
        self.wire.flush().await?;
        let rate = trouble::line(&self.world, &self.account).bytes_per_second;
        if rate > 0 {
            let takes = Duration::from_secs_f64(bytes as f64 / rate as f64).min(SLOWEST);
            let stop = self.world.stop.clone();
            tokio::select! {
                () = tokio::time::sleep(takes) => {}
                () = stop.cancelled() => {}
            }
        }
        Ok(())
    }

    async fn obey(&mut self, command: Option<Command>) -> Result<Flow, wire::Error> {
        match command {
            Some(Command::Replaced) => {
                self.world.counters.replaced.one();
                if let Some(known) = self.account.state().devices.get_mut(&self.device) {
                    known.replaced += 1;
                }
                let linger = self.world.options.replaced_linger;
                self.reply(&conflict("replaced"))?;
                self.flush().await?;
                if linger.is_zero() {
                    return Ok(Flow::Close);
                }
                self.active = false;
                self.lingering = Some(Instant::now() + linger);
                Ok(Flow::On)
            }
            Some(Command::Write(node)) => {
                self.reply(&node)?;
                self.flush().await?;
                Ok(Flow::On)
            }
            Some(Command::WriteAndClose(node)) => {
                self.reply(&node)?;
                self.flush().await?;
                Ok(Flow::Close)
            }
            Some(Command::Scan(_) | Command::Typed(_)) => Ok(Flow::On),
            Some(Command::Cut) | None => Err(wire::Error::Closed),
        }
    }

    /// Writes what waited for this device, marked as such, between a preview and the final count.
    async fn deliver_offline(&mut self) -> Result<(), wire::Error> {
        let (backlog, last) = {
            let state = self.account.state();
            let Some(known) = state.devices.get(&self.device) else { return Ok(()) };
            (known.queue.backlog(), known.queue.last_seq())
        };
        let total = backlog.total() as u64;
        self.reply(&information(
            NodeBuilder::new("offline_preview")
                .attr("count", total)
                .attr("message", backlog.messages as u64)
                .attr("receipt", backlog.receipts as u64)
                .attr("notification", backlog.notifications as u64)
                .attr("call", backlog.calls as u64)
                .attr("status", 0_u64)
                .attr("appdata", 0_u64)
                .build(),
        ))?;
        let mut written = 0_u64;
        while self.cursor < last {
            let due = self.take(PUMP);
            if due.is_empty() {
                break;
            }
            for Due { stanza, .. } in due {
                match with_offline_mark(&stanza, written) {
                    Some(node) => self.wire.queue(&node)?,
                    None => self.wire.queue_marshaled(&stanza)?,
                }
                written += 1;
            }
            self.flush().await?;
        }
        self.reply(&information(NodeBuilder::new("offline").attr("count", written).build()))?;
        self.active = true;
        self.pump().await
    }

    /// Writes what was queued since, now or when the line has brought it.
    async fn deliver(&mut self) -> Result<(), wire::Error> {
        let delay = trouble::line(&self.world, &self.account).delay_ms;
        if delay == 0 {
            return self.pump().await;
        }
        self.pump_at = Some(Instant::now() + Duration::from_millis(delay));
        Ok(())
    }

    /// Writes what was queued since.
    async fn pump(&mut self) -> Result<(), wire::Error> {
        loop {
            let due = self.take(PUMP);
            if due.is_empty() {
                return self.flush().await;
            }
            let messages = due.iter().filter(|due| due.class == Class::Message).count();
            let mut fates = trouble::fates(&self.world, &self.account, messages).into_iter();
            for due in due {
                let fate = if due.class == Class::Message { fates.next() } else { None };
                self.write(&due.stanza, fate.unwrap_or(Fate::Written))?;
            }
            self.flush().await?;
        }
    }

    fn write(&mut self, stanza: &[u8], fate: Fate) -> Result<(), wire::Error> {
        match fate {
            Fate::Lost => Ok(()),
            Fate::Written => self.wire.queue_marshaled(stanza),
            Fate::Repeated => {
                self.wire.queue_marshaled(stanza)?;
                self.wire.queue_marshaled(stanza)
            }
            Fate::Damaged => match trouble::damaged(stanza) {
                Some(damaged) => self.wire.queue_marshaled(&damaged),
                None => self.wire.queue_marshaled(stanza),
            },
        }
    }

    fn take(&mut self, limit: usize) -> Vec<Due> {
        let mut state = self.account.state();
        let state = &mut *state;
        let Some(known) = state.devices.get_mut(&self.device) else { return Vec::new() };
        // A connection that was replaced must not write what its successor is to get.
        if known.link.as_ref().is_none_or(|link| link.id != self.link.id) {
            return Vec::new();
        }
        let due = known.queue.take_after(self.cursor, limit);
        for entry in &due {
            self.cursor = entry.seq;
            if let Some(place) = entry.ledger {
                state.ledger.delivered(place);
            }
        }
        due
    }
}

/// `<stream:error><conflict type/></stream:error>`.
pub(crate) fn conflict(kind: &'static str) -> Node {
    NodeBuilder::new("stream:error").children([NodeBuilder::new("conflict").attr("type", kind).build()]).build()
}

fn information(child: Node) -> Node {
    NodeBuilder::new("ib").attr("from", SERVER_JID).children([child]).build()
}

/// The same stanza with the attribute that tells a client it waited.
fn with_offline_mark(marshaled: &[u8], place: u64) -> Option<Node> {
    let (_, body) = marshaled.split_first()?;
    let mut node = wacore_binary::marshal::unmarshal_ref(body).ok()?.to_owned();
    node.attrs.insert("offline", NodeValue::from(place));
    Some(node)
}
