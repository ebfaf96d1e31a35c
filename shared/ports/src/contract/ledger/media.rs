//! Files: what is known of them, who settles them, when they go.

use super::{Subject, World, at, tenant, verdict};
use crate::ledger::{
    Committer, Expired, Inbound, Instances, Maintenance, MediaFiles, NewMessage, Op, ReceiptTarget, Retention, Tenants,
};
use serde_json::Map;
use std::time::Duration;
use warren_domain::event::NewEvent;
use warren_domain::media::{Media, MediaFailure, MediaOrigin, MediaOutcome, MediaState};
use warren_domain::time::{Clock, SystemClock};
use warren_domain::{EventType, InstanceId, MediaId, MessageStatus, TenantId, Timestamp};

/// A file that is not here yet.
fn pending(tenant: TenantId, instance: Option<InstanceId>, expires_at: Timestamp) -> Media {
    Media {
        id: MediaId::generate(),
        tenant,
        instance,
        origin: if instance.is_some() { MediaOrigin::Whatsapp } else { MediaOrigin::Upload },
        state: MediaState::Pending,
        reason: None,
        mime_type: Some("image/jpeg".to_owned()),
        size: Some(u64::MAX >> 1),
        sha256: Some([1; 32]),
        filename: Some("cat.jpg".to_owned()),
        link: instance.map(|_| "https://files.example/cat.jpg".to_owned()),
        source: instance.map(|_| vec![1, 2, 3]),
        created_at: at(5),
        expires_at,
    }
}

fn ready(size: u64, expires_at: Timestamp) -> MediaOutcome {
    MediaOutcome::Ready { size, sha256: [9; 32], mime_type: Some("image/png".to_owned()), expires_at }
}

fn updated() -> NewEvent {
    NewEvent::new(EventType::MediaUpdated, at(70), Map::new())
}

async fn state(ledger: &impl MediaFiles, file: &Media) -> (MediaState, Option<MediaFailure>) {
    let now = ledger.media(file.tenant, file.id).await.unwrap().unwrap();
    (now.state, now.reason)
}

/// A file reads back as it was made known; making it known again changes nothing.
pub async fn a_file_reads_back(subject: impl Subject) {
    let world = World::new(subject.ledger()).await;
    let ledger = world.ledger;
    for file in [pending(world.tenant, None, at(9)), pending(world.tenant, Some(world.instance), at(9))] {
        ledger.create_media(file.clone()).await.unwrap();
        ledger.create_media(Media { filename: None, ..file.clone() }).await.unwrap();
        assert!(ledger.media(world.tenant, file.id).await.unwrap().unwrap() == file);
    }
    let nobodys = pending(TenantId::generate(), None, at(9));
    assert_eq!(ledger.create_media(nobodys).await.unwrap_err().code, "not_found");
}

/// Another tenant's file answers as an unknown one, and stays as it is.
pub async fn another_tenants_file_is_unknown(subject: impl Subject) {
    let world = World::new(subject.ledger()).await;
    let ledger = world.ledger;
    let file = pending(world.tenant, None, at(9));
    ledger.create_media(file.clone()).await.unwrap();
    let stranger = tenant();
    ledger.create_tenant(&stranger).await.unwrap();
    assert!(ledger.media(stranger.id, file.id).await.unwrap().is_none());
    assert!(!ledger.settle_upload(stranger.id, file.id, ready(5, at(9))).await.unwrap());
    assert!(!ledger.delete_media(stranger.id, file.id).await.unwrap());
    ledger.media_deleted(&[(stranger.id, file.id)]).await.unwrap();
    assert!(ledger.media(world.tenant, file.id).await.unwrap().unwrap() == file);
}

/// An upload becomes ready or failed once; only what is ready takes room.
pub async fn an_upload_is_settled_once(subject: impl Subject) {
    let world = World::new(subject.ledger()).await;
    let ledger = world.ledger;
    let (good, bad) = (pending(world.tenant, None, at(9)), pending(world.tenant, None, at(9)));
    ledger.create_media(good.clone()).await.unwrap();
    ledger.create_media(bad.clone()).await.unwrap();
    assert_eq!(ledger.media_bytes(world.tenant).await.unwrap(), 0);
    assert!(ledger.settle_upload(world.tenant, good.id, ready(500, at(77))).await.unwrap());
    assert!(!ledger.settle_upload(world.tenant, good.id, MediaOutcome::Failed(MediaFailure::TooLarge)).await.unwrap());
    let now = ledger.media(world.tenant, good.id).await.unwrap().unwrap();
    assert_eq!((now.state, now.size, now.sha256, now.expires_at), (MediaState::Ready, Some(500), Some([9; 32]), at(77)));
    assert_eq!(now.mime_type.as_deref(), Some("image/png"));
    assert!(ledger.settle_upload(world.tenant, bad.id, MediaOutcome::Failed(MediaFailure::TooLarge)).await.unwrap());
    assert_eq!(state(ledger, &bad).await, (MediaState::Failed, Some(MediaFailure::TooLarge)));
    assert!(!ledger.settle_upload(world.tenant, MediaId::generate(), ready(5, at(9))).await.unwrap());
    assert_eq!(ledger.media_bytes(world.tenant).await.unwrap(), 500);
}

/// An upload that never became ready is forgotten without a trace; nothing else is.
pub async fn an_upload_that_failed_is_forgotten(subject: impl Subject) {
    let world = World::new(subject.ledger()).await;
    let ledger = world.ledger;
    let (broken, good) = (pending(world.tenant, None, at(9)), pending(world.tenant, None, at(9)));
    let received = pending(world.tenant, Some(world.instance), at(9));
    for file in [&broken, &good, &received] {
        ledger.create_media(file.clone()).await.unwrap();
    }
    ledger.settle_upload(world.tenant, good.id, ready(5, at(9))).await.unwrap();
    ledger.forget_upload(TenantId::generate(), broken.id).await.unwrap();
    assert!(ledger.linked_media(broken.id).await.unwrap().unwrap() == broken);
    for file in [&broken, &good, &received] {
        ledger.forget_upload(world.tenant, file.id).await.unwrap();
    }
    assert!(ledger.linked_media(broken.id).await.unwrap().is_none());
    assert_eq!(state(ledger, &good).await, (MediaState::Ready, None));
    assert_eq!(state(ledger, &received).await, (MediaState::Pending, None));
}

/// A file of an instance is settled by its owner alone, once, with its event; link and source are dropped.
pub async fn a_file_of_an_instance_is_its_owners(subject: impl Subject) {
    let (world, other) = (World::new(subject.ledger()).await, World::new(subject.ledger()).await);
    let ledger = world.ledger;
    let file = pending(world.tenant, Some(world.instance), at(9));
    ledger.create_media(file.clone()).await.unwrap();
    assert!(!ledger.settle_upload(world.tenant, file.id, ready(5, at(9))).await.unwrap());
    let settle = |outcome| Op::SettleMedia { media: file.id, outcome, event: Some(updated()) };
    assert_eq!(other.commit(settle(ready(5, at(9)))).await, "no change");
    let mut stale = world.write(settle(ready(5, at(9))));
    stale.fence.epoch.0 -= 1;
    assert_eq!(ledger.commit(vec![stale]).await.iter().map(verdict).collect::<Vec<_>>(), ["ownership lost"]);
    assert_eq!(world.commit(settle(ready(5, at(9)))).await, "done");
    assert_eq!(world.commit(settle(MediaOutcome::Failed(MediaFailure::Gone))).await, "no change");
    let now = ledger.media(world.tenant, file.id).await.unwrap().unwrap();
    assert_eq!((now.state, now.link, now.source, now.filename), (MediaState::Ready, None, None, file.filename.clone()));
    assert_eq!((world.assert_gapless().await, other.assert_gapless().await), (1, 0));
}

/// A file is made known with its message, sent or received, or not at all.
pub async fn a_file_comes_with_its_message(subject: impl Subject) {
    let (world, other) = (World::new(subject.ledger()).await, World::new(subject.ledger()).await);
    let ledger = world.ledger;
    let file = || pending(world.tenant, Some(world.instance), at(9));
    let (sent, refused, received, again, foreign) = (file(), file(), file(), file(), file());
    world.accept(vec![NewMessage { media: Some(sent.clone()), ..world.outgoing("A") }]).await;
    world.accept(vec![NewMessage { media: Some(refused.clone()), queue_limit: 1, ..world.outgoing("B") }]).await;
    let incoming = world.incoming("C");
    let with = |media: &Media| Op::Receive(Box::new(Inbound { media: Some(media.clone()), ..incoming.clone() }));
    assert_eq!(world.commit(with(&received)).await, "done");
    assert_eq!(world.commit(with(&again)).await, "no change");
    let theirs = Inbound { media: Some(foreign.clone()), ..other.incoming("D") };
    assert_eq!(other.commit(Op::Receive(Box::new(theirs))).await, "foreign_media");
    for (file, is_known) in [(sent, true), (refused, false), (received, true), (again, false), (foreign, false)] {
        assert_eq!(ledger.media(world.tenant, file.id).await.unwrap().is_some(), is_known);
    }
}

/// What the media host answered is kept from then on; a message that is not open takes none.
pub async fn what_the_media_host_answered_is_kept(subject: impl Subject) {
    let (world, other) = (World::new(subject.ledger()).await, World::new(subject.ledger()).await);
    let message = world.queued("A").await;
    let set = |upload: &[u8]| Op::SetUpload { message: message.id, upload: upload.to_vec() };
    assert_eq!(other.commit(set(b"theirs")).await, "no change");
    assert_eq!(world.commit(set(b"first")).await, "done");
    assert_eq!(world.commit(set(b"second")).await, "done");
    assert_eq!(world.open().await.first().unwrap().upload.as_deref(), Some(&b"second"[..]));
    let sent = ReceiptTarget { whatsapp_ids: vec!["A".to_owned()], status: MessageStatus::Sent, at: at(300) };
    assert_eq!(world.commit(Op::Receipt(sent)).await, "done");
    assert_eq!(world.commit(set(b"third")).await, "no change");
    let kept = crate::ledger::Messages::outbound_by_whatsapp_id(world.ledger, world.instance, "A").await.unwrap().unwrap();
    assert_eq!(kept.upload.as_deref(), Some(&b"second"[..]));
}

/// Files whose time is over are named, oldest first, until their bytes are gone; then they failed, with the first reason.
pub async fn files_expire_oldest_first(subject: impl Subject) {
    let world = World::new(subject.ledger()).await;
    let ledger = world.ledger;
    let until = |millis| pending(world.tenant, None, at(millis));
    let (later, first, second, failed) = (until(900), until(100), until(200), until(300));
    for file in [&later, &first, &second, &failed] {
        ledger.create_media(file.clone()).await.unwrap();
    }
    ledger.settle_upload(world.tenant, failed.id, MediaOutcome::Failed(MediaFailure::TooLarge)).await.unwrap();
    let named = |files: &[&Media]| files.iter().map(|file| (file.tenant, file.id)).collect::<Vec<_>>();
    assert_eq!(ledger.expired_media(at(99), 10).await.unwrap(), []);
    assert_eq!(ledger.expired_media(at(300), 2).await.unwrap(), named(&[&first, &second]));
    assert_eq!(ledger.expired_media(at(300), 10).await.unwrap(), named(&[&first, &second, &failed]));
    ledger.media_deleted(&named(&[&first, &second, &failed])).await.unwrap();
    assert_eq!(ledger.expired_media(at(300), 10).await.unwrap(), []);
    assert_eq!(state(ledger, &first).await, (MediaState::Failed, Some(MediaFailure::Expired)));
    assert_eq!(state(ledger, &failed).await, (MediaState::Failed, Some(MediaFailure::TooLarge)));
    assert_eq!(state(ledger, &later).await, (MediaState::Pending, None));
    assert!(!ledger.settle_upload(world.tenant, first.id, ready(5, at(999))).await.unwrap());
}

/// A deleted file says so, takes no room, forgets its name, and its bytes are due at once.
pub async fn a_deleted_file_says_so(subject: impl Subject) {
    let world = World::new(subject.ledger()).await;
    let ledger = world.ledger;
    let file = pending(world.tenant, None, SystemClock.now().after(Duration::from_secs(3_600)));
    ledger.create_media(file.clone()).await.unwrap();
    ledger.settle_upload(world.tenant, file.id, ready(5, file.expires_at)).await.unwrap();
    assert!(ledger.delete_media(world.tenant, file.id).await.unwrap());
    assert!(ledger.delete_media(world.tenant, file.id).await.unwrap());
    assert!(!ledger.delete_media(world.tenant, MediaId::generate()).await.unwrap());
    let now = ledger.media(world.tenant, file.id).await.unwrap().unwrap();
    assert_eq!((now.state, now.reason, now.filename), (MediaState::Failed, Some(MediaFailure::Deleted), None));
    assert_eq!(ledger.media_bytes(world.tenant).await.unwrap(), 0);
    let due = [(file.tenant, file.id)];
    assert_eq!(ledger.expired_media(SystemClock.now(), 10).await.unwrap(), due);
    ledger.media_deleted(&due).await.unwrap();
    assert!(ledger.delete_media(world.tenant, file.id).await.unwrap());
    assert_eq!(state(ledger, &file).await, (MediaState::Failed, Some(MediaFailure::Deleted)));
}

/// Files go with their instance, and with their tenant; others stay.
pub async fn files_go_with_their_instance_and_tenant(subject: impl Subject) {
    let (world, bystander) = (World::new(subject.ledger()).await, World::new(subject.ledger()).await);
    let (ledger, far) = (world.ledger, SystemClock.now().after(Duration::from_secs(3_600)));
    let of_instance = pending(world.tenant, Some(world.instance), far);
    let of_tenant = pending(world.tenant, None, far);
    let others = pending(bystander.tenant, Some(bystander.instance), far);
    for file in [&of_instance, &of_tenant, &others] {
        ledger.create_media(file.clone()).await.unwrap();
    }
    let due = async || ledger.expired_media(SystemClock.now(), 10).await.unwrap();
    assert!(ledger.delete_instance(world.tenant, world.instance).await.unwrap());
    assert_eq!(due().await, [(world.tenant, of_instance.id)]);
    ledger.media_deleted(&due().await).await.unwrap();
    assert!(ledger.delete_tenant(world.tenant).await.unwrap());
    assert_eq!(due().await, [(world.tenant, of_tenant.id)]);
    assert!(ledger.media(bystander.tenant, others.id).await.unwrap().unwrap() == others);
}

/// What is known of a file goes as long after its bytes as messages are kept.
pub async fn what_is_known_of_a_file_goes_last(subject: impl Subject) {
    const DAY: Duration = Duration::from_secs(86_400);
    let world = World::new(subject.ledger()).await;
    let ledger = world.ledger;
    let (gone, kept) = (pending(world.tenant, None, at(0)), pending(world.tenant, None, at(0)));
    ledger.create_media(gone.clone()).await.unwrap();
    ledger.create_media(kept.clone()).await.unwrap();
    ledger.media_deleted(&[(world.tenant, gone.id)]).await.unwrap();
    let retention = Retention { events: DAY, messages: 30 * DAY, idempotency: DAY };
    assert_eq!(ledger.expire(at(0).after(30 * DAY), &retention, 10).await.unwrap().media, 0);
    let expired = ledger.expire(at(1).after(30 * DAY), &retention, 10).await.unwrap();
    assert_eq!(expired, Expired { media: 1, ..Expired::default() });
    assert!(ledger.media(world.tenant, gone.id).await.unwrap().is_none());
    assert!(ledger.media(world.tenant, kept.id).await.unwrap().is_some());
}
