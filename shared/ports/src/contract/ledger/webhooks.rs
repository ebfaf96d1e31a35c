//! Webhooks, as tenants make, change and list them.

use super::{Subject, World, at, tenant};
use crate::ledger::{
    AttemptFilter, Deliveries, DispatcherLedger, EdgeLedger, Instances, OwnerLedger, Tenants, WebhookPatch, Webhooks,
};
use warren_domain::webhook::{Disabled, Format, Former, Replay, Replayed, Secret, Secrets, Standing};
use warren_domain::{ErrorKind, EventType, InstanceId, ReplayId, TenantId, Webhook, WebhookId};

/// More webhooks than any sentence needs.
pub(crate) const MANY: u32 = 1_000;

/// A webhook like any other.
pub(crate) fn webhook(tenant: TenantId) -> Webhook {
    Webhook {
        id: WebhookId::generate(),
        tenant,
        url: "https://hooks.example.com/a?b=c".to_owned(),
        description: Some("orders".to_owned()),
        events: Vec::new(),
        instances: Vec::new(),
        headers: vec![("Authorization".to_owned(), "Bearer x".to_owned())],
        secrets: Secrets::new(Secret::generate()),
        format: Format::Standard,
        disabled: None,
        created_at: at(1),
        updated_at: at(1),
        position: 7,
        standing: Standing::default(),
    }
}

/// Makes one in the ledger.
pub(crate) async fn made(ledger: &impl Webhooks, tenant: TenantId) -> Webhook {
    let made = webhook(tenant);
    ledger.create_webhook(&made, MANY).await.unwrap();
    made
}

fn kind(result: warren_domain::Result<()>) -> (ErrorKind, &'static str) {
    let error = result.unwrap_err();
    (error.kind, error.code)
}

/// What was stored reads back, whole.
pub async fn a_webhook_reads_back(subject: impl Subject) {
    let world = World::new(subject.ledger()).await;
    let bare = Webhook { description: None, headers: Vec::new(), ..webhook(world.tenant) };
    let full = Webhook {
        events: vec![EventType::MessageReceived, EventType::MessageStatus],
        instances: vec![world.instance],
        secrets: Secrets {
            current: Secret::generate(),
            former: Some(Former { secret: Secret::generate(), until: at(100) }),
        },
        disabled: Some(Disabled::Paused),
        standing: Standing {
            failing_since: Some(at(3)),
            delivered_at: Some(at(2)),
            paused_until: Some(at(9)),
            missed_at: Some(at(4)),
        },
        ..webhook(world.tenant)
    };
    for made in [bare, full] {
        world.ledger.create_webhook(&made, MANY).await.unwrap();
        assert!(world.ledger.webhook(world.tenant, made.id).await.unwrap() == Some(made));
    }
}

/// A retry makes no second one; the limit and the tenant count.
pub async fn webhooks_are_made_once_and_few(subject: impl Subject) {
    let world = World::new(subject.ledger()).await;
    let first = made(world.ledger, world.tenant).await;
    let changed = Webhook { url: "https://other.example.com/".to_owned(), ..first.clone() };
    world.ledger.create_webhook(&changed, 1).await.unwrap();
    assert!(world.ledger.webhook(world.tenant, first.id).await.unwrap() == Some(first.clone()));
    let second = webhook(world.tenant);
    let limit = (ErrorKind::Exhausted, "webhook_limit");
    assert_eq!(kind(world.ledger.create_webhook(&second, 1).await), limit);
    assert!(world.ledger.delete_webhook(world.tenant, first.id).await.unwrap());
    world.ledger.create_webhook(&second, 1).await.unwrap();
    let nobodys = webhook(TenantId::generate());
    assert_eq!(kind(world.ledger.create_webhook(&nobodys, MANY).await).0, ErrorKind::NotFound);
    let stranger = World::new(world.ledger).await;
    let taken = Webhook { tenant: stranger.tenant, ..second };
    assert_eq!(kind(world.ledger.create_webhook(&taken, MANY).await).0, ErrorKind::NotFound);
}

/// An instance's setting of the seed.
fn setting(tenant: TenantId, instance: InstanceId) -> Webhook {
    Webhook {
        instances: vec![instance],
        secrets: Secrets::new(Secret::of_text("any text")),
        format: Format::Seed(instance),
        ..webhook(tenant)
    }
}

/// It is made, read back, and replaced in place; its secret can be kept; it takes nobody's room.
pub async fn an_instance_has_one_setting_of_the_seed(subject: impl Subject) {
    let world = World::new(subject.ledger()).await;
    let (ledger, tenant, instance) = (world.ledger, world.tenant, world.instance);
    let first = setting(tenant, instance);
    assert!(ledger.set_seed_webhook(&first, true).await.unwrap() == first);
    assert!(ledger.webhook(tenant, first.id).await.unwrap() == Some(first.clone()));
    let paused = WebhookPatch { disabled: Some(Some(Disabled::Gone)), ..WebhookPatch::default() };
    ledger.update_webhook(tenant, first.id, paused, at(2)).await.unwrap().unwrap();
    let other = Webhook {
        url: "https://other.example.com/".to_owned(),
        secrets: Secrets::new(Secret::of_text("another")),
        position: 90,
        updated_at: at(3),
        ..setting(tenant, instance)
    };
    let kept = Webhook { url: other.url.clone(), updated_at: at(3), ..first.clone() };
    assert!(ledger.set_seed_webhook(&other, true).await.unwrap() == kept);
    let replaced = Webhook { secrets: other.secrets.clone(), ..kept };
    assert!(ledger.set_seed_webhook(&other, false).await.unwrap() == replaced);
    assert!(ledger.webhooks(tenant, None, 10).await.unwrap() == [replaced]);
    ledger.create_webhook(&webhook(tenant), 1).await.unwrap();

    let stranger = World::new(ledger).await;
    let foreign = setting(stranger.tenant, instance);
    assert_eq!(ledger.set_seed_webhook(&foreign, false).await.unwrap_err().kind, ErrorKind::NotFound);
    assert!(!ledger.delete_seed_webhook(stranger.tenant, instance).await.unwrap());
    assert!(ledger.delete_seed_webhook(tenant, instance).await.unwrap());
    assert!(!ledger.delete_seed_webhook(tenant, instance).await.unwrap());
    assert!(ledger.webhook(tenant, first.id).await.unwrap().is_none());
    // A new one, although rows of the one before may be left.
    let again = setting(tenant, instance);
    assert!(ledger.set_seed_webhook(&again, true).await.unwrap() == again);
    let both = futures::join!(ledger.set_seed_webhook(&first, false), ledger.set_seed_webhook(&other, false));
    assert_eq!((both.0.unwrap().id, both.1.unwrap().id), (again.id, again.id));
}

/// Nothing is posted of an instance that is gone, and none can be set for it.
pub async fn a_setting_of_the_seed_goes_with_its_instance(subject: impl Subject) {
    let world = World::new(subject.ledger()).await;
    let made = setting(world.tenant, world.instance);
    world.ledger.set_seed_webhook(&made, false).await.unwrap();
    assert!(world.ledger.delete_instance(world.tenant, world.instance).await.unwrap());
    assert!(world.ledger.webhook(world.tenant, made.id).await.unwrap().is_none());
    assert_eq!(world.ledger.set_seed_webhook(&made, false).await.unwrap_err().kind, ErrorKind::NotFound);
}

/// Nothing of a webhook is visible to another tenant, or changed by one.
pub async fn another_tenants_webhook_is_unknown(subject: impl Subject) {
    let ledger = subject.ledger();
    let (world, stranger) = (World::new(ledger).await, World::new(ledger).await);
    let made = made(ledger, world.tenant).await;
    let other = stranger.tenant;
    assert!(ledger.webhook(other, made.id).await.unwrap().is_none());
    assert!(ledger.webhooks(other, None, 10).await.unwrap().is_empty());
    let patch = WebhookPatch { url: Some("https://x.example.com/".to_owned()), ..WebhookPatch::default() };
    assert!(ledger.update_webhook(other, made.id, patch, at(5)).await.unwrap().is_none());
    assert!(ledger.rotate_secret(other, made.id, &Secret::generate(), at(9), at(5)).await.unwrap().is_none());
    assert!(!ledger.delete_webhook(other, made.id).await.unwrap());
    let replay = replay();
    assert_eq!(kind(ledger.start_replay(other, made.id, &replay, 5).await).0, ErrorKind::NotFound);
    ledger.start_replay(world.tenant, made.id, &replay, 5).await.unwrap();
    assert!(ledger.replays(other, made.id).await.unwrap().is_empty());
    assert!(!ledger.cancel_replay(other, made.id, replay.id).await.unwrap());
    assert!(ledger.webhook(world.tenant, made.id).await.unwrap() == Some(made));
}

/// Lists go by id, in pages.
pub async fn webhooks_are_listed_by_id(subject: impl Subject) {
    let world = World::new(subject.ledger()).await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(made(world.ledger, world.tenant).await.id);
    }
    ids.sort_unstable();
    let list = async |after, limit| -> Vec<WebhookId> {
        world.ledger.webhooks(world.tenant, after, limit).await.unwrap().iter().map(|webhook| webhook.id).collect()
    };
    let first = list(None, 3).await;
    let rest = list(first.last().copied(), 3).await;
    assert_eq!([first, rest].concat(), ids);
}

/// A patch changes what it names, and when it was made.
pub async fn a_patch_of_a_webhook_changes_what_it_names(subject: impl Subject) {
    let world = World::new(subject.ledger()).await;
    let before = Webhook {
        standing: Standing { failing_since: Some(at(2)), paused_until: Some(at(9)), ..Standing::default() },
        ..webhook(world.tenant)
    };
    world.ledger.create_webhook(&before, MANY).await.unwrap();
    let patched = async |patch, millis| {
        world.ledger.update_webhook(world.tenant, before.id, patch, at(millis)).await.unwrap().unwrap()
    };
    let nothing = patched(WebhookPatch::default(), 5).await;
    assert!(nothing == Webhook { updated_at: at(5), ..before.clone() });
    let patch = WebhookPatch {
        description: Some(None),
        events: Some(vec![EventType::MessageReceived]),
        instances: Some(vec![world.instance]),
        headers: Some(Vec::new()),
        disabled: Some(Some(Disabled::Paused)),
        ..WebhookPatch::default()
    };
    let expected = Webhook {
        description: None,
        events: vec![EventType::MessageReceived],
        instances: vec![world.instance],
        headers: Vec::new(),
        disabled: Some(Disabled::Paused),
        updated_at: at(6),
        ..before.clone()
    };
    assert!(patched(patch, 6).await == expected);
    // Enabled again it is not what it was.
    let enabled = patched(WebhookPatch { disabled: Some(None), ..WebhookPatch::default() }, 7).await;
    assert_eq!((enabled.disabled, enabled.standing), (None, Standing::default()));
    let moved =
        WebhookPatch { url: Some("https://new.example.com/".to_owned()), position: Some(99), ..WebhookPatch::default() };
    let moved = patched(moved, 8).await;
    assert_eq!((moved.url.as_str(), moved.position), ("https://new.example.com/", 99));
    assert!(world.ledger.webhook(world.tenant, before.id).await.unwrap() == Some(moved));
}

/// Two secrets live: the new one, and the one before it.
pub async fn a_secret_is_replaced_and_stays_for_a_time(subject: impl Subject) {
    let world = World::new(subject.ledger()).await;
    let made = made(world.ledger, world.tenant).await;
    let (second, third) = (Secret::generate(), Secret::generate());
    let rotate = async |secret: &Secret, until, millis| {
        world.ledger.rotate_secret(world.tenant, made.id, secret, at(until), at(millis)).await.unwrap().unwrap()
    };
    let rotated = rotate(&second, 100, 5).await;
    let former = Former { secret: made.secrets.current.clone(), until: at(100) };
    assert!(rotated.secrets == Secrets { current: second.clone(), former: Some(former) });
    // A retry.
    assert!(rotate(&second, 200, 6).await == rotated);
    let rotated = rotate(&third, 300, 7).await;
    assert!(rotated.secrets == Secrets { current: third, former: Some(Former { secret: second, until: at(300) }) });
    assert_eq!(rotated.updated_at, at(7));
}

/// A deleted webhook is found nowhere; what is left of it goes in batches.
pub async fn a_deleted_webhook_is_gone(subject: impl Subject) {
    let world = World::new(subject.ledger()).await;
    let (ledger, tenant) = (world.ledger, world.tenant);
    let made = made(ledger, tenant).await;
    ledger.start_replay(tenant, made.id, &replay(), 5).await.unwrap();
    assert!(ledger.delete_webhook(tenant, made.id).await.unwrap());
    assert!(!ledger.delete_webhook(tenant, made.id).await.unwrap());
    assert!(ledger.webhook(tenant, made.id).await.unwrap().is_none());
    assert!(ledger.webhooks(tenant, None, 10).await.unwrap().is_empty());
    assert!(ledger.replays(tenant, made.id).await.unwrap().is_empty());
    assert!(ledger.attempts(tenant, made.id, AttemptFilter::default(), 10).await.unwrap().is_empty());
    assert!(ledger.dead_letters(tenant, made.id, 0, 10).await.unwrap().is_empty());
    tidied(ledger).await;
    assert!(!ledger.delete_webhook(tenant, made.id).await.unwrap());
}

/// Tidies until nothing is left to do.
pub(crate) async fn tidied(ledger: &impl Deliveries) {
    for _ in 0..1_000 {
        if !ledger.tidy_webhooks(at(0), 2).await.unwrap() {
            return;
        }
    }
    assert!(!ledger.tidy_webhooks(at(0), 2).await.unwrap(), "it does not end");
}

/// A tenant's webhooks go with it.
pub async fn webhooks_go_with_their_tenant(subject: impl Subject) {
    let ledger = subject.ledger();
    let owner = tenant();
    ledger.create_tenant(&owner).await.unwrap();
    let made = made(ledger, owner.id).await;
    assert!(ledger.delete_tenant(owner.id).await.unwrap());
    assert!(ledger.webhook(owner.id, made.id).await.unwrap().is_none());
}

/// A replay of everything up to a position.
pub(crate) fn replay() -> Replay {
    let what = Replayed::Range { after: 3, to: 40 };
    Replay { id: ReplayId::generate(), position: what.begin(), what, created_at: at(50) }
}

/// Replays are few, read back as they were asked for, and can be ended.
pub async fn replays_are_asked_for_and_cancelled(subject: impl Subject) {
    let world = World::new(subject.ledger()).await;
    let made = made(world.ledger, world.tenant).await;
    let sources = [Replayed::Positions(vec![4, 9, 12]), Replayed::DeadLetters { to: 90 }];
    let replays: Vec<Replay> = sources
        .map(|what| Replay { id: ReplayId::generate(), position: what.begin(), what, created_at: at(5) })
        .into_iter()
        .chain([replay()])
        .collect();
    for asked in &replays {
        world.ledger.start_replay(world.tenant, made.id, asked, 3).await.unwrap();
        world.ledger.start_replay(world.tenant, made.id, asked, 3).await.unwrap();
    }
    let listed = async || world.ledger.replays(world.tenant, made.id).await.unwrap();
    let mut sorted = replays.clone();
    sorted.sort_by_key(|replay| replay.id);
    assert_eq!(listed().await, sorted);
    let limit = (ErrorKind::Exhausted, "replay_limit");
    assert_eq!(kind(world.ledger.start_replay(world.tenant, made.id, &replay(), 3).await), limit);
    for asked in &replays {
        assert!(world.ledger.cancel_replay(world.tenant, made.id, asked.id).await.unwrap());
        assert!(!world.ledger.cancel_replay(world.tenant, made.id, asked.id).await.unwrap());
    }
    assert_eq!(listed().await, []);
}

/// What a suite of webhooks needs of a ledger.
pub(crate) trait Whole: EdgeLedger + OwnerLedger + DispatcherLedger {}
impl<T: EdgeLedger + OwnerLedger + DispatcherLedger> Whole for T {}
