//! Who delivers to webhooks, and what of it is kept.

use super::webhooks::{MANY, Whole, made, replay, tidied, webhook};
use super::{Subject, World, at};
use crate::contract::until;
use crate::ledger::{
    Assignment, AttemptFilter, Claim, Claimed, Claiming, Deliveries, FlowProgress, Lane, Progress, WebhookPatch, Webhooks,
};
use serde_json::Map;
use std::collections::HashSet;
use std::time::Duration;
use warren_domain::webhook::{Attempt, DeadLetter, DeliveryFailure, Disabled, Replay, Replayed, Standing};
use warren_domain::{
    DispatcherId, Event, EventId, EventType, InstanceId, ReplayId, TenantId, Timestamp, Webhook, WebhookId,
};

/// Longer than any sentence takes.
const LONG: Duration = Duration::from_secs(600);
/// Over at once.
const SHORT: Duration = Duration::from_millis(20);

async fn claim(ledger: &impl Deliveries, dispatcher: DispatcherId, ttl: Duration) -> Claimed {
    ledger.claim(Claiming { dispatcher, ttl, most: MANY }).await.unwrap()
}

/// A webhook of its own tenant that is held by a dispatcher.
struct Scene<'a, L> {
    ledger: &'a L,
    tenant: TenantId,
    instance: InstanceId,
    webhook: Webhook,
    claim: Claim,
}

impl<'a, L: Whole> Scene<'a, L> {
    async fn new(ledger: &'a L) -> Self {
        let world = World::new(ledger).await;
        let webhook = made(ledger, world.tenant).await;
        let claimed = claim(ledger, DispatcherId::generate(), LONG).await;
        let taken = claimed.taken.into_iter().find(|taken| taken.webhook.id == webhook.id).unwrap();
        Self { ledger, tenant: world.tenant, instance: world.instance, webhook, claim: taken.claim }
    }

    fn progress(&self) -> Progress {
        Progress {
            claim: self.claim,
            flows: Vec::new(),
            attempts: Vec::new(),
            dead: Vec::new(),
            revived: Vec::new(),
            standing: Standing::default(),
            disable: None,
        }
    }

    async fn record(&self, progress: Progress) -> bool {
        let verdicts = self.ledger.record(vec![progress]).await.unwrap();
        assert_eq!(verdicts.len(), 1);
        verdicts.first().copied().unwrap()
    }

    async fn assignment(&self) -> Assignment {
        self.ledger.assignment(self.claim).await.unwrap().expect("a claim that holds")
    }

    async fn stored(&self) -> Webhook {
        self.ledger.webhook(self.tenant, self.webhook.id).await.unwrap().unwrap()
    }

    fn event(&self, position: i64) -> Event {
        Event {
            id: EventId::generate(),
            seq: position,
            position,
            kind: EventType::PairingFailed,
            tenant: self.tenant,
            instance: self.instance,
            occurred_at: at(position),
            data: Map::from_iter([("number".to_owned(), position.into())]),
        }
    }

    fn letter(&self, position: i64, died_at: Timestamp) -> DeadLetter {
        let failure = DeliveryFailure::ServerError;
        DeadLetter { event: self.event(position), tries: 8, status: Some(500), failure, at: died_at }
    }

    fn attempt(&self, failure: Option<DeliveryFailure>, millis: i64) -> Attempt {
        Attempt {
            number: 0,
            event: EventId::generate(),
            kind: EventType::PairingFailed,
            instance: self.instance,
            tries: 1,
            status: failure.is_none().then_some(204),
            failure,
            took_ms: 12,
            at: at(millis),
            replay: failure.is_some(),
        }
    }
}

fn live(position: i64) -> FlowProgress {
    FlowProgress { replay: None, position, lanes: Vec::new(), caught_up: Vec::new(), ended: false }
}

fn lane(instance: InstanceId, position: i64) -> Lane {
    Lane { instance, position, tries: 2, next_at: at(position), failure: Some(DeliveryFailure::TimedOut) }
}

fn ids(claimed: &Claimed) -> HashSet<WebhookId> {
    claimed.held.iter().map(|held| held.claim.webhook).collect()
}

/// Of dispatchers that ask at the same time no two take the same webhook, and a retry takes nothing twice.
pub async fn a_webhook_is_taken_by_one(subject: impl Subject) {
    let ledger = subject.ledger();
    let world = World::new(ledger).await;
    let mut made_ids = HashSet::new();
    for _ in 0..12 {
        made_ids.insert(made(ledger, world.tenant).await.id);
    }
    let dispatchers = [DispatcherId::generate(), DispatcherId::generate(), DispatcherId::generate()];
    let mut owned: [HashSet<WebhookId>; 3] = Default::default();
    until("each has its share", async || {
        let claims = dispatchers.map(|dispatcher| claim(ledger, dispatcher, LONG));
        for (own, claimed) in owned.iter_mut().zip(futures::future::join_all(claims).await) {
            let now = ids(&claimed);
            assert!(own.is_subset(&now), "what is held stays");
            assert!(claimed.taken.iter().all(|taken| !own.contains(&taken.webhook.id)));
            *own = now;
            // The first to ask knew of nobody else: it gives back what is more than its share.
            let excess = claimed.held.len().saturating_sub(claimed.share as usize);
            let claims: Vec<_> = claimed.held.iter().take(excess).map(|held| held.claim).collect();
            ledger.give_back(&claims).await.unwrap();
            claims.iter().for_each(|claim| _ = own.remove(&claim.webhook));
        }
        owned.iter().all(|own| own.len() == 4)
    })
    .await;
    let all: HashSet<_> = owned.iter().flatten().copied().collect();
    assert_eq!(all, made_ids);
}

/// What a dead dispatcher held is taken when its claims ran out, and what it still records is refused.
pub async fn claims_run_out(subject: impl Subject) {
    let ledger = subject.ledger();
    let world = World::new(ledger).await;
    let webhook = made(ledger, world.tenant).await;
    let (dead, living) = (DispatcherId::generate(), DispatcherId::generate());
    let old = claim(ledger, dead, LONG).await.taken.pop().unwrap();
    assert_eq!(claim(ledger, living, LONG).await.held, []);
    claim(ledger, dead, SHORT).await;
    let mut taken = None;
    until("it is taken", async || {
        taken = claim(ledger, living, LONG).await.taken.pop();
        taken.is_some()
    })
    .await;
    let taken = taken.unwrap();
    assert_eq!(taken.webhook.id, webhook.id);
    assert!(taken.claim.fence > old.claim.fence);
    assert!(ledger.assignment(old.claim).await.unwrap().is_none());
    assert_eq!(claim(ledger, dead, LONG).await.held, []);
    let progress = |claim| Progress {
        claim,
        flows: vec![live(50)],
        attempts: Vec::new(),
        dead: Vec::new(),
        revived: Vec::new(),
        standing: Standing::default(),
        disable: None,
    };
    // Each on its own verdict.
    let verdicts = ledger.record(vec![progress(old.claim), progress(taken.claim)]).await.unwrap();
    assert_eq!(verdicts, [false, true]);
}

/// A dispatcher that was late keeps what nobody took.
pub async fn a_late_dispatcher_keeps_what_nobody_took(subject: impl Subject) {
    let scene = World::new(subject.ledger()).await;
    let webhook = made(scene.ledger, scene.tenant).await;
    let me = DispatcherId::generate();
    let first = claim(scene.ledger, me, Duration::ZERO).await;
    let again = claim(scene.ledger, me, Duration::ZERO).await;
    assert_eq!(first.held, again.held);
    assert_eq!(ids(&again), HashSet::from([webhook.id]));
    assert!(again.taken.is_empty());
}

/// Nobody works on a disabled or deleted webhook.
pub async fn only_enabled_webhooks_are_held(subject: impl Subject) {
    let ledger = subject.ledger();
    let world = World::new(ledger).await;
    let me = DispatcherId::generate();
    let paused = Webhook { disabled: Some(Disabled::Paused), ..webhook(world.tenant) };
    ledger.create_webhook(&paused, MANY).await.unwrap();
    let [kept, disabled, deleted] = [(); 3].map(|()| made(ledger, world.tenant));
    let (kept, disabled, deleted) = (kept.await, disabled.await, deleted.await);
    let claimed = claim(ledger, me, LONG).await;
    assert_eq!(ids(&claimed), HashSet::from([kept.id, disabled.id, deleted.id]));
    let patch = |disabled| WebhookPatch { disabled: Some(disabled), ..WebhookPatch::default() };
    ledger.update_webhook(world.tenant, disabled.id, patch(Some(Disabled::Paused)), at(9)).await.unwrap().unwrap();
    assert!(ledger.delete_webhook(world.tenant, deleted.id).await.unwrap());
    assert_eq!(ids(&claim(ledger, me, LONG).await), HashSet::from([kept.id]));
    for taken in claimed.taken.iter().filter(|taken| taken.webhook.id != kept.id) {
        assert!(ledger.assignment(taken.claim).await.unwrap().is_none());
    }
    ledger.update_webhook(world.tenant, paused.id, patch(None), at(10)).await.unwrap().unwrap();
    assert_eq!(ids(&claim(ledger, me, LONG).await), HashSet::from([kept.id, paused.id]));
}

/// A change by the tenant is seen by the next claim.
pub async fn changes_are_seen_by_the_dispatcher(subject: impl Subject) {
    let world = World::new(subject.ledger()).await;
    let (ledger, me) = (world.ledger, DispatcherId::generate());
    let webhook = made(ledger, world.tenant).await;
    let claim_version = async || claim(ledger, me, LONG).await.held.pop().unwrap().version;
    let taken = claim(ledger, me, LONG).await.taken.pop().unwrap();
    assert_eq!(claim_version().await, taken.version);
    let url = "https://new.example.com/".to_owned();
    let patch = WebhookPatch { url: Some(url.clone()), ..WebhookPatch::default() };
    ledger.update_webhook(world.tenant, webhook.id, patch, at(5)).await.unwrap().unwrap();
    let changed = claim_version().await;
    assert!(changed > taken.version);
    let replay = replay();
    ledger.start_replay(world.tenant, webhook.id, &replay, 5).await.unwrap();
    let started = claim_version().await;
    assert!(started > changed);
    let read = ledger.assignment(taken.claim).await.unwrap().unwrap();
    assert_eq!((read.version, read.webhook.url, read.replays), (started, url, vec![replay.clone()]));
    ledger.rotate_secret(world.tenant, webhook.id, &warren_domain::webhook::Secret::generate(), at(9), at(6)).await.unwrap();
    let rotated = claim_version().await;
    assert!(rotated > started);
    assert!(ledger.cancel_replay(world.tenant, webhook.id, replay.id).await.unwrap());
    assert!(claim_version().await > rotated);
}

/// What is given back is free at once, and so is everything of a dispatcher that leaves.
pub async fn what_is_given_back_is_free(subject: impl Subject) {
    let world = World::new(subject.ledger()).await;
    let ledger = world.ledger;
    let (one, other) = (made(ledger, world.tenant).await, made(ledger, world.tenant).await);
    let (first, second) = (DispatcherId::generate(), DispatcherId::generate());
    let claimed = claim(ledger, first, LONG).await;
    let given = claimed.held.iter().find(|held| held.claim.webhook == one.id).unwrap().claim;
    ledger.give_back(&[given]).await.unwrap();
    assert_eq!(ids(&claim(ledger, second, LONG).await), HashSet::from([one.id]));
    // It is another's now.
    ledger.give_back(&[given]).await.unwrap();
    assert_eq!(ids(&claim(ledger, second, LONG).await), HashSet::from([one.id]));
    ledger.leave(first).await.unwrap();
    assert_eq!(ids(&claim(ledger, second, LONG).await), HashSet::from([one.id, other.id]));
}

/// What was recorded is where the next one goes on: positions, lanes, standing.
pub async fn progress_is_read_back(subject: impl Subject) {
    let scene = Scene::new(subject.ledger()).await;
    let other = InstanceId::generate();
    let replay = replay();
    scene.ledger.start_replay(scene.tenant, scene.webhook.id, &replay, 5).await.unwrap();
    let standing = Standing { failing_since: Some(at(3)), paused_until: Some(at(8)), ..Standing::default() };
    let flows = vec![
        FlowProgress { lanes: vec![lane(scene.instance, 12), lane(other, 13)], ..live(20) },
        FlowProgress { replay: Some(replay.id), lanes: vec![lane(other, 5)], ..live(9) },
    ];
    assert!(scene.record(Progress { flows, standing, ..scene.progress() }).await);
    let read = scene.assignment().await;
    assert_eq!((read.webhook.position, read.webhook.standing, read.dead_letters), (20, standing, 0));
    assert_eq!(read.replays, [Replay { position: 9, ..replay.clone() }]);
    let sorted = |mut lanes: Vec<(Option<ReplayId>, Lane)>| {
        lanes.sort_by_key(|(flow, lane)| (*flow, lane.position));
        lanes
    };
    let expected = [(None, lane(scene.instance, 12)), (None, lane(other, 13)), (Some(replay.id), lane(other, 5))];
    assert_eq!(sorted(read.lanes), expected);
    let moved = Lane { tries: 0, failure: None, ..lane(other, 17) };
    let flows = vec![FlowProgress { lanes: vec![moved.clone()], caught_up: vec![scene.instance], ..live(25) }];
    assert!(scene.record(Progress { flows, ..scene.progress() }).await);
    let read = scene.assignment().await;
    assert_eq!((read.webhook.position, read.webhook.standing), (25, Standing::default()));
    assert_eq!(sorted(read.lanes), [(None, moved), (Some(replay.id), lane(other, 5))]);
}

/// A replay that is at its end goes with its lanes; one that was cancelled is passed over, and the rest is written.
pub async fn a_replay_ends(subject: impl Subject) {
    let scene = Scene::new(subject.ledger()).await;
    let (first, second) = (replay(), replay());
    for replay in [&first, &second] {
        scene.ledger.start_replay(scene.tenant, scene.webhook.id, replay, 5).await.unwrap();
    }
    let of = |replay: &Replay, position| FlowProgress {
        replay: Some(replay.id),
        lanes: vec![lane(scene.instance, 5)],
        ..live(position)
    };
    assert!(scene.record(Progress { flows: vec![of(&first, 9), of(&second, 9)], ..scene.progress() }).await);
    let ended = FlowProgress { lanes: Vec::new(), ended: true, ..of(&first, 40) };
    assert!(scene.record(Progress { flows: vec![ended], ..scene.progress() }).await);
    assert!(scene.ledger.cancel_replay(scene.tenant, scene.webhook.id, second.id).await.unwrap());
    assert!(scene.record(Progress { flows: vec![of(&second, 11), live(30)], ..scene.progress() }).await);
    let read = scene.assignment().await;
    assert_eq!((read.webhook.position, read.replays, read.lanes), (30, Vec::new(), Vec::new()));
}

/// Attempts have rising numbers, newest first; of each kind the last 500 are kept.
pub async fn attempts_are_kept_in_rings(subject: impl Subject) {
    let scene = Scene::new(subject.ledger()).await;
    let (tenant, id) = (scene.tenant, scene.webhook.id);
    let failed = scene.attempt(Some(DeliveryFailure::Redirect), 1);
    let done = scene.attempt(None, 2);
    assert!(scene.record(Progress { attempts: vec![failed.clone(), done.clone()], ..scene.progress() }).await);
    let list = async |failed, before, limit| {
        scene.ledger.attempts(tenant, id, AttemptFilter { failed, before }, limit).await.unwrap()
    };
    let (failed, done) = (Attempt { number: 1, ..failed }, Attempt { number: 2, ..done });
    assert_eq!(list(None, None, 10).await, [done.clone(), failed.clone()]);
    assert_eq!(list(Some(true), None, 10).await, std::slice::from_ref(&failed));
    assert_eq!(list(Some(false), None, 10).await, std::slice::from_ref(&done));
    assert_eq!(list(None, Some(2), 10).await, std::slice::from_ref(&failed));
    assert_eq!(list(None, None, 1).await, [done]);
    for _ in 0..6 {
        let attempts = (0..100).map(|millis| scene.attempt(None, millis)).collect();
        assert!(scene.record(Progress { attempts, ..scene.progress() }).await);
    }
    let numbers: Vec<i64> = list(None, None, 2_000).await.iter().map(|attempt| attempt.number).collect();
    let expected: Vec<i64> = (103..=602).rev().chain([1]).collect();
    assert_eq!(numbers, expected);
    assert!(scene.ledger.attempts(TenantId::generate(), id, AttemptFilter::default(), 9).await.unwrap().is_empty());
}

/// A dead letter holds the event; it is replaced, revived, and found by its event and its position.
pub async fn dead_letters_are_kept_until_they_are_delivered(subject: impl Subject) {
    let scene = Scene::new(subject.ledger()).await;
    let (ledger, tenant, id) = (scene.ledger, scene.tenant, scene.webhook.id);
    let letters: Vec<_> = [5, 7, 9].map(|position| scene.letter(position, at(100))).into();
    assert!(scene.record(Progress { dead: letters.clone(), ..scene.progress() }).await);
    assert_eq!(ledger.dead_letters(tenant, id, 0, 10).await.unwrap(), letters);
    assert_eq!(ledger.letters(id, 5, 1).await.unwrap().iter().map(|letter| letter.event.position).collect::<Vec<_>>(), [7]);
    assert!(ledger.dead_letters(TenantId::generate(), id, 0, 10).await.unwrap().is_empty());
    let events: Vec<_> = letters.iter().rev().map(|letter| letter.event.id).chain([EventId::generate()]).collect();
    let positions = ledger.dead_letter_positions(tenant, id, &events).await.unwrap();
    assert_eq!(positions, [Some(9), Some(7), Some(5), None]);
    assert_eq!(ledger.dead_letter_positions(TenantId::generate(), id, &events).await.unwrap(), [None; 4]);
    assert_eq!(scene.assignment().await.dead_letters, 3);
    let again: Vec<_> = letters
        .iter()
        .filter(|letter| letter.event.position == 7)
        .map(|letter| DeadLetter {
            tries: 16,
            status: None,
            failure: DeliveryFailure::TimedOut,
            at: at(200),
            ..letter.clone()
        })
        .collect();
    assert!(scene.record(Progress { dead: again.clone(), revived: vec![5, 9], ..scene.progress() }).await);
    assert_eq!(ledger.letters(id, 0, 10).await.unwrap(), again);
}

/// A dispatcher's reason to stop does not replace another one.
pub async fn a_webhook_is_disabled_for_the_first_reason(subject: impl Subject) {
    let scene = Scene::new(subject.ledger()).await;
    assert!(scene.record(Progress { disable: Some(Disabled::Gone), ..scene.progress() }).await);
    assert_eq!(scene.stored().await.disabled, Some(Disabled::Gone));
    // What was under way is still recorded.
    let progress = Progress { flows: vec![live(77)], disable: Some(Disabled::Failing), ..scene.progress() };
    assert!(scene.record(progress).await);
    assert_eq!((scene.stored().await.disabled, scene.stored().await.position), (Some(Disabled::Gone), 77));
}

/// Who moves the place of a webhook takes it from its dispatcher, and what waited is forgotten; replays stay.
pub async fn moving_a_webhook_ends_its_claim(subject: impl Subject) {
    let scene = Scene::new(subject.ledger()).await;
    let replay = replay();
    scene.ledger.start_replay(scene.tenant, scene.webhook.id, &replay, 5).await.unwrap();
    let flows = vec![
        FlowProgress { lanes: vec![lane(scene.instance, 12)], ..live(20) },
        FlowProgress { replay: Some(replay.id), lanes: vec![lane(scene.instance, 5)], ..live(9) },
    ];
    assert!(scene.record(Progress { flows, ..scene.progress() }).await);
    let patch = WebhookPatch { position: Some(500), ..WebhookPatch::default() };
    scene.ledger.update_webhook(scene.tenant, scene.webhook.id, patch, at(60)).await.unwrap().unwrap();
    assert!(!scene.record(Progress { flows: vec![live(21)], ..scene.progress() }).await);
    let taken = claim(scene.ledger, DispatcherId::generate(), LONG).await.taken;
    let taken = taken.into_iter().find(|taken| taken.webhook.id == scene.webhook.id).unwrap();
    assert_eq!(taken.webhook.position, 500);
    assert_eq!(taken.lanes, [(Some(replay.id), lane(scene.instance, 5))]);
}

/// Another address is tried at once.
pub async fn a_new_address_is_tried_at_once(subject: impl Subject) {
    let scene = Scene::new(subject.ledger()).await;
    let flows = vec![FlowProgress { lanes: vec![lane(scene.instance, 900)], ..live(950) }];
    assert!(scene.record(Progress { flows, ..scene.progress() }).await);
    let patch = WebhookPatch { url: Some("https://new.example.com/".to_owned()), ..WebhookPatch::default() };
    scene.ledger.update_webhook(scene.tenant, scene.webhook.id, patch, at(60)).await.unwrap().unwrap();
    let lanes = scene.assignment().await.lanes;
    assert_eq!(lanes, [(None, Lane { next_at: at(60), ..lane(scene.instance, 900) })]);
}

/// Old dead letters go, and everything of a deleted webhook does, in batches; nothing else.
pub async fn what_is_left_of_webhooks_goes(subject: impl Subject) {
    let scene = Scene::new(subject.ledger()).await;
    let other = Scene::new(scene.ledger).await;
    let (ledger, id) = (scene.ledger, scene.webhook.id);
    let dead = (1..=5).map(|position| scene.letter(position, at(position * 10))).collect();
    let attempts = vec![scene.attempt(None, 1); 5];
    let flows = vec![FlowProgress { lanes: vec![lane(scene.instance, 12)], ..live(20) }];
    assert!(scene.record(Progress { dead, attempts, flows, ..scene.progress() }).await);
    let replay = Replay { what: Replayed::Positions(vec![1]), ..replay() };
    ledger.start_replay(scene.tenant, id, &replay, 5).await.unwrap();
    assert!(other.record(Progress { dead: vec![other.letter(1, at(900))], ..other.progress() }).await);
    assert!(ledger.tidy_webhooks(at(31), 2).await.unwrap());
    assert!(!ledger.tidy_webhooks(at(31), 2).await.unwrap());
    let left: Vec<_> = ledger.letters(id, 0, 10).await.unwrap().iter().map(|letter| letter.event.position).collect();
    assert_eq!(left, [4, 5]);
    assert!(ledger.delete_webhook(scene.tenant, id).await.unwrap());
    assert!(!scene.record(Progress { flows: vec![live(21)], ..scene.progress() }).await);
    tidied(ledger).await;
    assert_eq!(ledger.letters(id, 0, 10).await.unwrap(), []);
    assert_eq!(ledger.letters(other.webhook.id, 0, 10).await.unwrap().len(), 1);
    assert!(other.record(other.progress()).await);
}
