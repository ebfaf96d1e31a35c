//! Settling: acks, receipts and health of a connection, committed in the order in which they came, one batch under way at
//! a time; what comes meanwhile is the next batch.

use futures::future::BoxFuture;
use std::sync::Arc;
use tokio::sync::oneshot;
use warren_domain::MessageId;
use warren_ports::{
    bus::Reply,
    ledger::{Op, Outcome, OwnerLedger, Write},
};

/// A write that waits, and the message in flight that it settles.
pub(super) struct Item {
    pub(super) write: Write,
    /// WhatsApp id of the message whose chat is free once this is committed.
    pub(super) frees: Option<String>,
    /// The message that somebody may wait for.
    pub(super) message: Option<MessageId>,
    /// Who waits for what came of it.
    pub(super) reply: Option<oneshot::Sender<Reply>>,
}

/// A committed batch.
pub(super) type Committed = Vec<(Item, Outcome)>;

/// Items a connection may have waiting; beyond, the connection is rebuilt rather than memory grown.
const LIMIT: usize = 8_192;
/// Items in one commit.
const BATCH: usize = 256;

pub(super) struct Settler {
    ledger: Arc<dyn OwnerLedger>,
    waiting: Vec<Item>,
    under_way: Option<BoxFuture<'static, Committed>>,
}

impl Settler {
    pub(super) fn new(ledger: Arc<dyn OwnerLedger>) -> Self {
        Self { ledger, waiting: Vec::new(), under_way: None }
    }

    /// Adds a write. `false`: too many wait.
    pub(super) fn push(&mut self, item: Item) -> bool {
        if self.waiting.len() >= LIMIT {
            return false;
        }
        self.waiting.push(item);
        true
    }

    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.under_way.is_none()
    }

    /// The next committed batch; pending for ever while nothing waits. Safe to drop and call again.
    pub(super) async fn next(&mut self) -> Committed {
        if self.under_way.is_none() && !self.waiting.is_empty() {
            let rest = self.waiting.split_off(self.waiting.len().min(BATCH));
            let batch = std::mem::replace(&mut self.waiting, rest);
            self.under_way = Some(Box::pin(commit(self.ledger.clone(), batch)));
        }
        match &mut self.under_way {
            Some(commit) => {
                let committed = commit.await;
                self.under_way = None;
                committed
            }
            None => std::future::pending().await,
        }
    }
}

async fn commit(ledger: Arc<dyn OwnerLedger>, batch: Vec<Item>) -> Committed {
    let writes = batch.iter().map(|item| item.write.clone()).collect();
    let outcomes = ledger.commit(writes).await;
    batch.into_iter().zip(outcomes).collect()
}

/// How a message that an operation settled left the queue, as a metric's label.
pub(super) fn result_label(op: &Op) -> &'static str {
    match op {
        Op::Fail { .. } => "failed",
        _ => "sent",
    }
}
