//! What a batch does is what its writes do one after the other: random writes of two instances, one in batches of all lengths,
//! the other in commits of one.

use crate::world::{World, fresh};
use serde_json::{Map, Value};
use warren_domain::event::NewEvent;
use warren_domain::group::{Member, MemberReceipt};
use warren_domain::instance::Account;
use warren_domain::message::Outbound;
use warren_domain::{
    EventType, FailureReason, Health, HealthStatus, Instance, InstanceState, Message, MessageId, MessageStatus, Restriction,
    RestrictionReason, RestrictionScope, Timestamp,
};
use warren_ports::ledger::{
    Committer, Instances, Messages, Op, Outcome, ReceiptTarget, Record, RecordKind, Sessions, Write,
};
use warren_postgres::Postgres;

const ROUNDS: usize = 60;
const GROUP: &str = "120363000000000001@g.us";

/// A small generator: the same numbers for the same seed, on every machine.
struct Dice(u64);

impl Dice {
    /// A number below `sides`.
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % sides as u64).unwrap()
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.roll(of.len())]
    }
}

/// An instance and its messages, named by number.
struct Side {
    world: World,
    messages: Vec<MessageId>,
}

impl Side {
    async fn new(store: &Postgres) -> Self {
        let world = World::new(store).await;
        let mut messages = Vec::new();
        for number in 0..6 {
            let chat = if number < 3 { "15550111@s.whatsapp.net" } else { GROUP };
            messages.push(world.queued(store, &format!("M{number}"), chat).await);
        }
        Self { world, messages }
    }
}

fn member(number: usize, form: usize) -> Member {
    let (pn, lid) = (format!("62{number}@s.whatsapp.net"), format!("{number}@lid"));
    match form {
        0 => Member { jid: lid.clone(), pn: Some(pn), lid: Some(lid) },
        1 => Member { jid: pn.clone(), pn: Some(pn), lid: None },
        _ => Member { jid: lid, pn: None, lid: None },
    }
}

/// A write as it is for any of the sides.
type Draft = Box<dyn Fn(&Side) -> Op>;

fn draft(dice: &mut Dice, moment: i64) -> Draft {
    let at = Timestamp::from_millis(moment);
    let message = dice.roll(6);
    let name = format!("M{message}");
    let status = dice.one(&[MessageStatus::Sent, MessageStatus::Delivered, MessageStatus::Read, MessageStatus::Played]);
    let kind = dice.one(&[RecordKind::Session, RecordKind::PreKey]);
    let key = vec![u8::try_from(dice.roll(3)).unwrap(), 7];
    let mark = i64::try_from(dice.roll(4)).unwrap();
    let number = dice.roll(4);
    match dice.roll(22) {
        0..=2 => {
            let (stanza, replace_stanza) = (vec![u8::try_from(number / 2).unwrap()], dice.roll(4) == 0);
            Box::new(move |side| Op::Claim { message: side.messages[message], stanza: stanza.clone(), replace_stanza, at })
        }
        3 => {
            let reason = dice.one(&[FailureReason::OutcomeUnknown, FailureReason::Rejected]);
            Box::new(move |side| Op::Fail { message: side.messages[message], reason, at })
        }
        4 => Box::new(move |side| Op::Cancel { message: side.messages[message], at }),
        5..=7 => Box::new(move |_| {
            Op::Receipt(ReceiptTarget { whatsapp_ids: vec![name.clone(), "M0".into(), "no".into()], status, at })
        }),
        8..=10 => {
            let member = member(number, dice.roll(3));
            let names = vec![name, format!("M{}", 3 + dice.roll(3))];
            Box::new(move |_| Op::MemberReceipt {
                target: ReceiptTarget { whatsapp_ids: names.clone(), status, at },
                member: member.clone(),
            })
        }
        11 => {
            let members: Vec<Member> = (0..=number).map(|number| member(number, 0)).collect();
            Box::new(move |side| Op::Audience { message: side.messages[message], members: members.clone() })
        }
        12..=13 => Box::new(move |_| Op::Put(vec![Record { kind, key: key.clone(), value: vec![1; number], mark }])),
        14 => Box::new(move |_| Op::Delete { kind, keys: vec![key.clone(), vec![9]] }),
        15 => Box::new(move |_| Op::Mark { kind, keys: vec![key.clone()], mark }),
        16 => match number {
            0 => Box::new(move |_| Op::DeleteMarkedBefore { kind, before: mark }),
            1 => Box::new(move |_| Op::DeletePrefix { kind, prefix: key.get(..1).unwrap().to_vec() }),
            2 => Box::new(move |_| Op::ForgetSession { fail_open: None }),
            _ => Box::new(move |side| Op::SetUpload { message: side.messages[message], upload: vec![5] }),
        },
        17 => {
            let state = dice.one(&[InstanceState::Online, InstanceState::Connecting]);
            Box::new(move |_| Op::SetState { state, reason: (number == 0).then(|| "why".to_owned()), at })
        }
        18 => {
            let status = dice.one(&[HealthStatus::Ok, HealthStatus::Degraded]);
            Box::new(move |_| Op::SetHealth { health: Health { status, ..Health::OK }, at })
        }
        19 => {
            let restriction = Restriction {
                reason: RestrictionReason::ReachoutLimit,
                scope: RestrictionScope::NewChats,
                until: None,
                restarts_at: Timestamp::from_millis(mark),
            };
            Box::new(move |_| Op::SetRestriction { restriction: (number > 0).then_some(restriction), at })
        }
        20 => Box::new(move |side| Op::Receive(Box::new(side.world.incoming(&format!("in{number}"), "Ann")))),
        _ if number == 0 => Box::new(move |_| {
            let account = Account { phone: format!("1555{mark}"), ..Account::default() };
            Op::SetAccount { account, event: None }
        }),
        _ => Box::new(move |_| Op::Append(NewEvent::new(EventType::MessageUndecryptable, at, Map::new()))),
    }
}

fn verdict(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Done => "done",
        Outcome::NoChange => "no change",
        Outcome::OwnershipLost => "ownership lost",
        Outcome::LedgerBehind => "ledger behind",
        Outcome::Refused(error) => error.code,
    }
}

/// Everything that is stored of a side, without what differs between two: ids, and when it was stored.
#[derive(Debug, PartialEq)]
struct Seen {
    messages: Vec<Message>,
    outbound: Vec<Outbound>,
    members: Vec<Vec<MemberReceipt>>,
    records: Vec<Record>,
    events: Vec<(i64, EventType, Timestamp, Map<String, Value>)>,
    instance: Option<Instance>,
    open: Vec<String>,
}

async fn seen(store: &Postgres, side: &Side) -> Seen {
    let world = &side.world;
    let anonymous = |mut message: Message| {
        (message.id, message.tenant, message.instance) = (side.messages[0], world.tenant, world.instance);
        let nobody = [0; 16];
        message.id = MessageId::from_bytes(nobody);
        message.tenant = warren_domain::TenantId::from_bytes(nobody);
        message.instance = warren_domain::InstanceId::from_bytes(nobody);
        message
    };
    let (mut messages, mut outbound, mut members) = (Vec::new(), Vec::new(), Vec::new());
    for (number, id) in side.messages.iter().enumerate() {
        messages.push(anonymous(store.message(world.tenant, *id).await.unwrap().unwrap()));
        let found = store.outbound_by_whatsapp_id(world.instance, &format!("M{number}")).await.unwrap().unwrap();
        outbound.push(Outbound { order: 0, message: anonymous(found.message.clone()), ..found });
        members.push(store.member_receipts(world.tenant, *id).await.unwrap());
    }
    let mut records = Vec::new();
    for kind in [RecordKind::Session, RecordKind::PreKey] {
        records.extend(store.records_with_prefix(world.instance, kind, b"").await.unwrap());
    }
    let events = world.events(store).await.into_iter().map(|mut event| {
        event.data.remove("message_id");
        (event.seq, event.kind, event.occurred_at, event.data)
    });
    let nobody = [0; 16];
    let instance = store.owned_instance(world.instance).await.unwrap().map(|instance| Instance {
        id: warren_domain::InstanceId::from_bytes(nobody),
        tenant: warren_domain::TenantId::from_bytes(nobody),
        ..instance
    });
    let open = store.open_messages(&[world.instance], 100).await.unwrap();
    let open = open.into_iter().map(|open| open.message.whatsapp_id).collect();
    Seen { messages, outbound, members, records, events: events.collect(), instance, open }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_does_what_its_writes_do_one_after_the_other() {
    let (_database, store) = fresh().await;
    for seed in 1..=u64::try_from(ROUNDS).unwrap() {
        let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let (together, apart) = (Side::new(&store).await, Side::new(&store).await);
        for batch in 0..4_i64 {
            let length = 1 + dice.roll(30);
            let drafts: Vec<Draft> =
                (0..length).map(|place| draft(&mut dice, batch * 1_000 + i64::try_from(place).unwrap())).collect();
            let writes: Vec<Write> = drafts.iter().map(|draft| together.world.write(draft(&together))).collect();
            let named =
                format!("seed {seed}, batch {batch}: {:?}", writes.iter().map(|write| &write.op).collect::<Vec<_>>());
            let outcomes = store.commit(writes).await;
            let mut expected = Vec::new();
            for draft in &drafts {
                expected.push(apart.world.commit(&store, draft(&apart)).await);
            }
            let verdicts = |outcomes: &[Outcome]| outcomes.iter().map(verdict).collect::<Vec<_>>();
            assert_eq!(verdicts(&outcomes), verdicts(&expected), "{named}");
            assert_eq!(seen(&store, &together).await, seen(&store, &apart).await, "{named}");
        }
    }
}
