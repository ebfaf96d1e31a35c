//! The owner's part, played by the test: it owns every shard that is asked for, pairs, sends and receives.

use crate::support::Gateway;
use futures::StreamExt as _;
use serde_json::Map;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use warren_domain::{
    Direction, Epoch, Fence, HealthStatus, InstanceId, InstanceState, MediaId, Message, MessageId, MessageStatus, Person,
    Shard, ShardCount, TenantId, Timestamp,
    event::NewEvent,
    instance::Account,
    media::{MediaFailure, MediaOutcome},
    message::{Content, Text, Times},
};
use warren_ports::{
    bus::{
        Action, Answer, Ask, Bus as _, Measured, Pairing, PairingState, Refusal, Reply, Ring, Topic,
        ask::{ContactAsk, MediaAsk},
    },
    ledger::{Committer as _, Inbound, Messages as _, Op, Outcome, Ownership as _, ReceiptTarget, Write},
    objects::{ObjectName, Objects as _},
};

/// Plays the owner of one instance.
#[derive(Clone)]
pub(crate) struct Worker {
    ledger: warren_sqlite::Sqlite,
    bus: warren_memory::Bus,
    fence: Fence,
    tenant: TenantId,
    pub(crate) instance: InstanceId,
}

impl Worker {
    pub(crate) async fn own(gateway: &Gateway, tenant: &str, instance: &str) -> Self {
        let instance: InstanceId = instance.parse().unwrap();
        let fence = Fence { shard: Shard::of(instance, ShardCount::default()), epoch: Epoch(1) };
        gateway.ledger.take(&[(fence.shard, fence.epoch)]).await.unwrap();
        Self { ledger: gateway.ledger.clone(), bus: gateway.bus.clone(), fence, tenant: tenant.parse().unwrap(), instance }
    }

    pub(crate) async fn commit(&self, op: Op) {
        self.commit_silently(op).await;
        self.bus.ring(Topic::Log(self.tenant), Ring::Log);
    }

    /// Commits, and the ring is lost.
    pub(crate) async fn commit_silently(&self, op: Op) {
        let write = Write { fence: self.fence, tenant: self.tenant, instance: self.instance, op };
        let outcomes = self.ledger.commit(vec![write]).await;
        assert!(matches!(outcomes[..], [Outcome::Done]), "{outcomes:?}");
    }

    pub(crate) async fn set_state(&self, state: InstanceState) {
        self.commit(Op::SetState { state, reason: None, at: Timestamp::default() }).await;
    }

    /// Links the instance to an account and brings it online: two events.
    pub(crate) async fn pair(&self, phone: &str) {
        let account = Account {
            phone: phone.to_owned(),
            jid: format!("{phone}:5@s.whatsapp.net"),
            lid: Some("77:5@lid".into()),
            push_name: None,
        };
        let event = NewEvent::new(warren_domain::EventType::PairingSucceeded, Timestamp::default(), Map::new());
        self.commit(Op::SetAccount { account, event: Some(event) }).await;
        self.set_state(InstanceState::Online).await;
    }

    /// Takes in a text, with its event.
    pub(crate) async fn receive(&self, body: &str) -> MessageId {
        let message = Message {
            id: MessageId::generate(),
            tenant: self.tenant,
            instance: self.instance,
            direction: Direction::Inbound,
            whatsapp_id: MessageId::generate().to_string().to_uppercase(),
            chat: "628999@s.whatsapp.net".into(),
            author: Some(Person {
                jid: "628999:3@s.whatsapp.net".into(),
                pn: Some("628999@s.whatsapp.net".into()),
                ..Person::default()
            }),
            content: Content::Text { text: Text { body: body.to_owned(), ..Text::default() } },
            quoted: None,
            status: MessageStatus::Delivered,
            reason: None,
            delivery: warren_domain::Delivery::default(),
            expires_at: None,
            send_at: None,
            metadata: Map::new(),
            backfilled: false,
            times: Times::default(),
        };
        let event = NewEvent::message_received(&message, Timestamp::default());
        let id = message.id;
        self.commit(Op::Receive(Box::new(Inbound { message, event, media: None }))).await;
        id
    }

    /// Answers requests as a worker would; returns how many it got.
    pub(crate) fn answer(&self, gateway: &Gateway) -> Arc<AtomicU32> {
        let (worker, count) = (self.clone(), Arc::new(AtomicU32::new(0)));
        let counted = Arc::clone(&count);
        gateway.lifecycle.spawn(async move {
            let mut requests = worker.bus.serve(worker.fence.shard).await;
            let mut pairing = Pairing { state: PairingState::None, qr: None, code: None, expires_at: None, reason: None };
            while let Some(request) = requests.recv().await {
                counted.fetch_add(1, Ordering::SeqCst);
                let reply = match request.command.action {
                    Action::PairByQr => {
                        let (state, qr) = (PairingState::Waiting, Some("2@abc,def".to_owned()));
                        pairing = Pairing { state, qr, code: None, expires_at: Some(Timestamp::default()), reason: None };
                        Reply::Accepted
                    }
                    Action::PairingStatus => Reply::Pairing(pairing.clone()),
                    Action::CancelPairing => {
                        pairing =
                            Pairing { state: PairingState::Cancelled, qr: None, code: None, expires_at: None, reason: None };
                        Reply::Accepted
                    }
                    Action::Health => Reply::Health(Measured {
                        status: HealthStatus::Degraded,
                        reason: Some("store".into()),
                        last_stanza_at: Some(Timestamp::default()),
                        rtt_ms: Some(42),
                    }),
                    Action::Restart => Reply::Refused(Refusal::conflict("not_paired", "Pair it first.")),
                    _ => Reply::Accepted,
                };
                let _ = request.reply.send(reply);
            }
        });
        count
    }

    /// Fetches whatever file it is asked for: it says hello.
    pub(crate) fn fetch(&self, gateway: &Gateway) {
        let (worker, objects) = (self.clone(), gateway.objects.clone());
        let expires_at = gateway.now().after(Duration::from_secs(3_600));
        gateway.lifecycle.spawn(async move {
            let mut requests = worker.bus.serve(worker.fence.shard).await;
            while let Some(request) = requests.recv().await {
                let Action::Ask(Ask::Media(MediaAsk::Fetch { media })) = request.command.action else { continue };
                let bytes = futures::stream::iter([Ok("hello".into())]);
                let stored = objects.put(ObjectName { tenant: worker.tenant, media }, bytes.boxed()).await.unwrap();
                let outcome = MediaOutcome::Ready { size: stored.size, sha256: [5; 32], mime_type: None, expires_at };
                worker.commit(Op::SettleMedia { media, outcome, event: None }).await;
                let _ = request.reply.send(Reply::Answer(Answer::Done));
            }
        });
    }

    /// Asks WhatsApp about numbers, which answers and says nothing of them.
    pub(crate) fn hear_nothing_of_numbers(&self, gateway: &Gateway) {
        let worker = self.clone();
        gateway.lifecycle.spawn(async move {
            let mut requests = worker.bus.serve(worker.fence.shard).await;
            while let Some(request) = requests.recv().await {
                let Action::Ask(Ask::Contacts(ContactAsk::Check { .. })) = request.command.action else { continue };
                let _ = request.reply.send(Reply::Answer(Answer::Numbers(Vec::new())));
            }
        });
    }

    /// WhatsApp does not have a file any more.
    pub(crate) async fn lose(&self, media: MediaId) {
        let outcome = MediaOutcome::Failed(MediaFailure::Gone);
        self.commit(Op::SettleMedia { media, outcome, event: None }).await;
    }

    /// Sends what is queued whenever it is rung: claims, takes the server's ack, and rings.
    pub(crate) fn deliver(&self, gateway: &Gateway) {
        let worker = self.clone();
        gateway.lifecycle.spawn(async move {
            let mut listener = worker.bus.listen(Topic::Outbound(worker.fence.shard)).await;
            worker.send_open().await;
            while listener.next().await.is_some() {
                worker.send_open().await;
            }
        });
    }

    async fn send_open(&self) {
        for open in self.ledger.open_messages(&[self.instance], 100).await.unwrap() {
            let (message, at) = (open.message.id, Timestamp::default());
            self.commit(Op::Claim { message, stanza: vec![1], replace_stanza: false, at }).await;
            let whatsapp_ids = vec![open.message.whatsapp_id];
            self.commit(Op::Receipt(ReceiptTarget { whatsapp_ids, status: MessageStatus::Sent, at })).await;
            self.bus.ring(Topic::Settled(message), Ring::Settled);
        }
    }
}
