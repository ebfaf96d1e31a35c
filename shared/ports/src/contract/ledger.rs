//! What every ledger does: the sentences of [`crate::ledger`], a suite a trait.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a contract suite reports by panicking")]

pub mod commit;
pub mod contacts;
pub mod deliveries;
pub mod events;
pub mod idempotency;
pub mod instances;
pub mod maintenance;
pub mod media;
pub mod members;
pub mod messages;
pub mod movement;
pub mod numbers;
pub mod ownership;
pub mod queue;
pub mod sessions;
pub mod tenants;
pub mod webhooks;

use crate::ledger::{
    Accepted, DispatcherLedger, EdgeLedger, EventFilter, Inbound, NewMessage, Op, Outcome, OwnerLedger, Record, RecordKind,
    Taken, Write,
};
use serde_json::Map;
use warren_domain::event::{Event, NewEvent};
use warren_domain::instance::Account;
use warren_domain::message::{Content, Outbound, Text, Times};
use warren_domain::proxy::Proxy;
use warren_domain::tenant::Limits;
use warren_domain::{
    Delivery, Direction, Epoch, Fence, Health, Instance, InstanceId, InstanceState, Message, MessageId, MessageStatus,
    Person, Shard, ShardCount, Tenant, TenantId, Timestamp,
};

/// A ledger to test; whatever keeps it alive lives in it too. It has 1,024 shards and the machine's clock.
pub trait Subject: Send + Sync {
    /// The ledger.
    type Ledger: EdgeLedger + OwnerLedger + DispatcherLedger;
    /// The ledger, empty at first.
    fn ledger(&self) -> &Self::Ledger;
}

/// The epoch under which the suites own their shards.
pub(crate) const EPOCH: Epoch = Epoch(10);
/// More open messages than any sentence needs.
pub(crate) const ROOM: u32 = 10_000;

/// A fixed moment.
pub(crate) const fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(1_767_225_600_000 + millis)
}

/// A tenant like any other, not stored yet: for whoever tests over a ledger.
#[must_use]
pub fn tenant() -> Tenant {
    Tenant { id: TenantId::generate(), name: "Acme".to_owned(), limits: Limits::default(), created_at: at(0) }
}

/// An instance of it that is paired and online, not stored yet.
#[must_use]
pub fn instance(tenant: TenantId) -> Instance {
    Instance {
        id: InstanceId::generate(),
        tenant,
        name: Some("Sales".to_owned()),
        metadata: Map::new(),
        state: InstanceState::Online,
        reason: None,
        since: at(1),
        account: Some(Account {
            phone: "15550100".to_owned(),
            jid: "15550100:5@s.whatsapp.net".to_owned(),
            lid: Some("777:5@lid".to_owned()),
            push_name: Some("Sales".to_owned()),
        }),
        health: Health::OK,
        restriction: None,
        created_at: at(0),
        device_name: Some("Kasir".to_owned()),
        proxy: Proxy::parse("socks5://user:secret@proxy.example.com:1080").ok(),
    }
}

/// A text.
pub(crate) fn text(body: &str) -> Content {
    Content::Text { text: Text { body: body.to_owned(), ..Text::default() } }
}

/// The fence of an instance at an epoch.
pub(crate) fn fence(instance: InstanceId, epoch: Epoch) -> Fence {
    Fence { shard: Shard::of(instance, ShardCount::default()), epoch }
}

/// A record of session state.
pub(crate) fn record(kind: RecordKind, key: &[u8], value: &[u8], mark: i64) -> Record {
    Record { kind, key: key.to_vec(), value: value.to_vec(), mark }
}

/// Claims a message with these bytes.
pub(crate) fn claim(message: MessageId, stanza: &[u8]) -> Op {
    Op::Claim { message, stanza: stanza.to_vec(), replace_stanza: false, at: at(200) }
}

/// The verdict's name: outcomes themselves do not compare.
pub(crate) fn verdict(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Done => "done",
        Outcome::NoChange => "no change",
        Outcome::OwnershipLost => "ownership lost",
        Outcome::LedgerBehind => "ledger behind",
        Outcome::Refused(error) => error.code,
    }
}

/// One tenant, one paired instance, and its owner.
pub(crate) struct World<'a, L> {
    pub(crate) ledger: &'a L,
    pub(crate) tenant: TenantId,
    pub(crate) instance: InstanceId,
    pub(crate) fence: Fence,
}

impl<'a, L: EdgeLedger + OwnerLedger> World<'a, L> {
    /// Makes it in the ledger.
    pub(crate) async fn new(ledger: &'a L) -> Self {
        let owner = tenant();
        ledger.create_tenant(&owner).await.unwrap();
        Self::of(ledger, owner.id).await
    }

    /// Another instance of a tenant, owned.
    pub(crate) async fn of(ledger: &'a L, tenant: TenantId) -> Self {
        let made = instance(tenant);
        ledger.create_instance(&made, ROOM).await.unwrap();
        let fence = fence(made.id, EPOCH);
        assert_eq!(ledger.take(&[(fence.shard, EPOCH)]).await.unwrap(), [Taken::Raised]);
        Self { ledger, tenant, instance: made.id, fence }
    }

    pub(crate) fn write(&self, op: Op) -> Write {
        Write { fence: self.fence, tenant: self.tenant, instance: self.instance, op }
    }

    /// Commits one write; its verdict's name.
    pub(crate) async fn commit(&self, op: Op) -> &'static str {
        let outcomes = self.ledger.commit(vec![self.write(op)]).await;
        assert_eq!(outcomes.len(), 1);
        outcomes.first().map(verdict).unwrap()
    }

    /// A message to be accepted.
    pub(crate) fn outgoing(&self, whatsapp_id: &str) -> NewMessage {
        NewMessage {
            id: MessageId::generate(),
            tenant: self.tenant,
            instance: self.instance,
            whatsapp_id: whatsapp_id.to_owned(),
            secret: [3; 32],
            chat: "15550111@s.whatsapp.net".to_owned(),
            content: text("hello"),
            media: None,
            quoted: None,
            delivery: Delivery::AtLeastOnce,
            expires_at: None,
            send_at: None,
            metadata: Map::new(),
            created_at: at(100),
            idempotency: None,
            part: None,
            queue_limit: ROOM,
        }
    }

    /// Accepts messages; their verdicts.
    pub(crate) async fn accept(&self, messages: Vec<NewMessage>) -> Vec<Accepted> {
        let count = messages.len();
        let verdicts = self.ledger.accept(messages).await.unwrap();
        assert_eq!(verdicts.len(), count);
        verdicts
    }

    /// Accepts one message with this WhatsApp id.
    pub(crate) async fn queued(&self, whatsapp_id: &str) -> Message {
        match self.accept(vec![self.outgoing(whatsapp_id)]).await.pop() {
            Some(Accepted::New(message)) => message,
            other => unreachable_verdict(other),
        }
    }

    pub(crate) async fn message(&self, id: MessageId) -> Message {
        self.ledger.message(self.tenant, id).await.unwrap().expect("a stored message")
    }

    pub(crate) async fn open(&self) -> Vec<Outbound> {
        self.ledger.open_messages(&[self.instance], 1_000).await.unwrap()
    }

    /// All events of the instance.
    pub(crate) async fn events(&self) -> Vec<Event> {
        let filter = EventFilter { instances: vec![self.instance], types: Vec::new() };
        let (mut events, mut after) = (Vec::new(), 0);
        loop {
            let page = self.ledger.read_events(self.tenant, &filter, after, 500).await.unwrap();
            events.extend(page.events);
            if !page.more {
                return events;
            }
            after = page.next;
        }
    }

    /// The events' `seq`s: gapless from 1, whatever happened.
    pub(crate) async fn assert_gapless(&self) -> usize {
        let numbers: Vec<i64> = self.events().await.iter().map(|event| event.seq).collect();
        let expected: Vec<i64> = (1..).take(numbers.len()).collect();
        assert_eq!(numbers, expected);
        numbers.len()
    }

    /// A message that came in, with its event.
    pub(crate) fn incoming(&self, whatsapp_id: &str) -> Inbound {
        let message = self.came_in(whatsapp_id);
        let event = NewEvent::message_received(&message, at(60));
        Inbound { message, event, media: None }
    }

    /// The message alone.
    pub(crate) fn came_in(&self, whatsapp_id: &str) -> Message {
        Message {
            id: MessageId::generate(),
            tenant: self.tenant,
            instance: self.instance,
            direction: Direction::Inbound,
            whatsapp_id: whatsapp_id.to_owned(),
            chat: "15550111@s.whatsapp.net".to_owned(),
            author: Some(Person {
                jid: "15550111@s.whatsapp.net".to_owned(),
                pn: Some("15550111@s.whatsapp.net".to_owned()),
                lid: Some("888@lid".to_owned()),
                push_name: Some("Ann".to_owned()),
            }),
            content: text("good morning"),
            quoted: None,
            status: MessageStatus::Delivered,
            reason: None,
            delivery: Delivery::AtLeastOnce,
            expires_at: None,
            send_at: None,
            metadata: Map::new(),
            backfilled: false,
            times: Times { created: at(50), ..Times::default() },
        }
    }
}

#[expect(clippy::panic, reason = "a contract suite reports by panicking")]
fn unreachable_verdict(verdict: Option<Accepted>) -> ! {
    panic!("the message was not accepted: {verdict:?}")
}

/// Stamps the whole suite over what `$make` gives when it is awaited: a [`Subject`].
#[macro_export]
macro_rules! ledger_contract {
    ($make:expr) => {
        $crate::ledger_contract!(@suite tenants, $make, [
            creating_a_tenant_again_changes_nothing, tenants_are_listed_by_id, a_patch_leaves_what_it_does_not_name,
            a_tenant_with_instances_stays, keys_are_found_and_listed, a_key_needs_its_tenant_and_its_prefix,
            a_key_is_revoked_once, a_used_key_says_so,
        ]);
        $crate::ledger_contract!(@suite instances, $make, [
            an_instance_reads_back_as_it_was_stored, the_limit_holds, another_tenants_instance_is_unknown,
            lists_are_narrowed_and_paged, a_patch_changes_what_it_names, the_number_finds_the_one_seen_online_last,
            a_deleted_instance_is_gone_and_its_messages_fail, an_owner_finds_its_instances_by_activity,
        ]);
        $crate::ledger_contract!(@suite messages, $make, [
            an_accepted_message_reads_back, queues_keep_their_order, each_message_has_its_own_verdict,
            the_queue_has_a_limit, a_key_makes_one_message, parallel_calls_make_one_message,
            another_tenants_message_is_unknown, lists_are_newest_first, a_whatsapp_id_finds_both_directions,
            the_sweep_finds_instances_with_open_messages,
        ]);
        $crate::ledger_contract!(@suite queue, $make, [
            a_held_message_waits_for_its_time, a_held_message_counts_and_ends, what_was_handed_is_always_shown,
            only_what_is_queued_is_cancelled, the_parts_of_a_request_are_made_once, strangers_are_told_from_people_known,
            a_restriction_is_told_once,
        ]);
        $crate::ledger_contract!(@suite commit, $make, [
            the_fence_decides, an_absent_epoch_is_behind, the_instance_must_be_the_tenants_and_of_the_shard,
            a_culprit_fails_alone, writes_take_effect_in_the_order_of_their_calls, numbers_are_gapless_under_parallel_writes,
            a_state_is_written_once, an_account_comes_with_its_event, a_health_is_written_once,
            ephemeral_events_are_refused, a_barrier_writes_nothing,
        ]);
        $crate::ledger_contract!(@suite movement, $make, [
            a_claim_keeps_the_first_stanza, a_claim_needs_an_open_message, a_higher_epoch_claims_again,
            receipts_only_raise, a_receipt_names_many_messages, a_failed_message_stays_failed, the_truth_may_come_late,
            an_inbound_message_is_committed_once, forgetting_a_session_ends_what_is_open,
        ]);
        $crate::ledger_contract!(@suite members, $make, [
            the_weakest_member_decides, a_member_is_known_by_either_name, an_audience_is_replaced_while_the_message_is_open,
            a_person_is_no_group,
        ]);
        $crate::ledger_contract!(@suite sessions, $make, [
            records_are_replaced_by_key, records_are_found_by_prefix, the_last_record_is_found, marks_are_set_and_expire,
            records_are_deleted, many_instances_load_at_once, a_read_sees_what_was_answered,
        ]);
        $crate::ledger_contract!(@suite events, $make, [
            a_reader_sees_every_event_once, filters_pass_what_they_name, another_tenants_events_are_unknown,
            the_bounds_move_with_the_log, the_position_never_falls,
        ]);
        $crate::ledger_contract!(@suite media, $make, [
            a_file_reads_back, another_tenants_file_is_unknown, an_upload_is_settled_once, an_upload_that_failed_is_forgotten, a_file_of_an_instance_is_its_owners,
            a_file_comes_with_its_message, what_the_media_host_answered_is_kept, files_expire_oldest_first,
            a_deleted_file_says_so, files_go_with_their_instance_and_tenant, what_is_known_of_a_file_goes_last,
        ]);
        $crate::ledger_contract!(@suite idempotency, $make, [
            of_parallel_calls_one_is_fresh, an_answer_is_replayed, another_request_is_a_mismatch,
            an_abandoned_reservation_keeps_its_resource, a_released_key_is_free, keys_belong_to_a_tenant,
        ]);
        $crate::ledger_contract!(@suite contacts, $make, [
            people_are_listed_once_by_their_latest_name, people_who_come_in_one_commit_are_all_there,
        ]);
        $crate::ledger_contract!(@suite numbers, $make, [
            an_answer_is_kept_for_its_tenant, a_later_answer_replaces_the_first, a_quota_holds_for_instance_and_tenant,
            answers_that_count_no_more_go,
        ]);
        $crate::ledger_contract!(@suite ownership, $make, [
            epochs_only_rise, the_highest_epoch_is_remembered, a_raised_epoch_shuts_the_old_owner_out,
        ]);
        $crate::ledger_contract!(@suite maintenance, $make, [
            what_is_old_goes, open_messages_stay, queued_messages_expire, a_deleted_instance_goes_row_by_row,
        ]);
        $crate::ledger_contract!(@suite webhooks, $make, [
            a_webhook_reads_back, webhooks_are_made_once_and_few, another_tenants_webhook_is_unknown,
            webhooks_are_listed_by_id, a_patch_of_a_webhook_changes_what_it_names,
            a_secret_is_replaced_and_stays_for_a_time, a_deleted_webhook_is_gone, webhooks_go_with_their_tenant,
            replays_are_asked_for_and_cancelled, an_instance_has_one_setting_of_the_seed,
            a_setting_of_the_seed_goes_with_its_instance,
        ]);
        $crate::ledger_contract!(@suite deliveries, $make, [
            a_webhook_is_taken_by_one, claims_run_out, a_late_dispatcher_keeps_what_nobody_took,
            only_enabled_webhooks_are_held, changes_are_seen_by_the_dispatcher, what_is_given_back_is_free,
            progress_is_read_back, a_replay_ends, attempts_are_kept_in_rings,
            dead_letters_are_kept_until_they_are_delivered, a_webhook_is_disabled_for_the_first_reason,
            moving_a_webhook_ends_its_claim, a_new_address_is_tried_at_once, what_is_left_of_webhooks_goes,
        ]);
    };
    (@suite $suite:ident, $make:expr, [$($sentence:ident),+ $(,)?]) => {
        mod $suite {
            use super::*;
            $crate::contract_tests!($crate::contract::ledger::$suite, $make, [$($sentence),+]);
        }
    };
}
