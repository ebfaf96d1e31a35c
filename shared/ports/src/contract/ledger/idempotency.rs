//! Idempotency of mutating requests.

use super::{Subject, at};
use crate::ledger::{Idempotency, IdempotencyKey, Reservation, Reserved, StoredResponse};
use warren_domain::{ErrorKind, MessageId, TenantId, Timestamp};

fn reservation(tenant: TenantId, fingerprint: u8) -> Reservation {
    Reservation {
        tenant,
        key: IdempotencyKey { key: "k".to_owned(), fingerprint: [fingerprint; 32] },
        resource: MessageId::generate(),
        at: at(1_000),
        abandoned_before: at(0),
    }
}

fn nobody() -> TenantId {
    TenantId::from_bytes([0; 16])
}

fn answer() -> StoredResponse {
    StoredResponse { status: 201, body: b"{\"id\":1}".to_vec() }
}

/// Of parallel calls exactly one is fresh, the others wait.
pub async fn of_parallel_calls_one_is_fresh(subject: impl Subject) {
    let ledger = subject.ledger();
    let tenant = TenantId::generate();
    let asked = [reservation(tenant, 1), reservation(tenant, 1), reservation(tenant, 1), reservation(tenant, 1)];
    let [a, b, c, d] = &asked;
    let answers = tokio::join!(ledger.reserve(a), ledger.reserve(b), ledger.reserve(c), ledger.reserve(d));
    let answers = [answers.0, answers.1, answers.2, answers.3].map(|answer| answer.unwrap());
    let fresh = answers.iter().filter(|answer| matches!(answer, Reserved::Fresh(_))).count();
    let waiting = answers.iter().filter(|answer| **answer == Reserved::InFlight).count();
    assert_eq!((fresh, waiting), (1, 3));
}

/// What was answered is answered again; the first answer stays; an unknown key cannot be answered.
pub async fn an_answer_is_replayed(subject: impl Subject) {
    let ledger = subject.ledger();
    let asked = reservation(nobody(), 1);
    assert_eq!(ledger.reserve(&asked).await.unwrap(), Reserved::Fresh(asked.resource));
    ledger.complete(nobody(), "k", &answer()).await.unwrap();
    ledger.complete(nobody(), "k", &StoredResponse { status: 500, body: Vec::new() }).await.unwrap();
    assert_eq!(ledger.reserve(&reservation(nobody(), 1)).await.unwrap(), Reserved::Done(answer()));
    ledger.release(nobody(), "k").await.unwrap();
    assert_eq!(ledger.reserve(&reservation(nobody(), 1)).await.unwrap(), Reserved::Done(answer()));
    assert_eq!(ledger.complete(nobody(), "other", &answer()).await.unwrap_err().kind, ErrorKind::NotFound);
}

/// The key of another request is a mismatch, whether or not that was answered.
pub async fn another_request_is_a_mismatch(subject: impl Subject) {
    let ledger = subject.ledger();
    ledger.reserve(&reservation(nobody(), 1)).await.unwrap();
    assert_eq!(ledger.reserve(&reservation(nobody(), 2)).await.unwrap(), Reserved::Mismatch);
    ledger.complete(nobody(), "k", &answer()).await.unwrap();
    assert_eq!(ledger.reserve(&reservation(nobody(), 2)).await.unwrap(), Reserved::Mismatch);
}

/// A retry after a crash gets the first one's id, once.
pub async fn an_abandoned_reservation_keeps_its_resource(subject: impl Subject) {
    let ledger = subject.ledger();
    let first = reservation(nobody(), 1);
    ledger.reserve(&first).await.unwrap();
    let later = |at: Timestamp, before: Timestamp| Reservation { at, abandoned_before: before, ..reservation(nobody(), 1) };
    assert_eq!(ledger.reserve(&later(at(5_000), at(1_000))).await.unwrap(), Reserved::InFlight);
    assert_eq!(ledger.reserve(&later(at(5_000), at(1_001))).await.unwrap(), Reserved::Fresh(first.resource));
    assert_eq!(ledger.reserve(&later(at(5_001), at(1_001))).await.unwrap(), Reserved::InFlight);
}

/// A reservation given back is free for any request.
pub async fn a_released_key_is_free(subject: impl Subject) {
    let ledger = subject.ledger();
    ledger.reserve(&reservation(nobody(), 1)).await.unwrap();
    ledger.release(nobody(), "k").await.unwrap();
    let next = reservation(nobody(), 2);
    assert_eq!(ledger.reserve(&next).await.unwrap(), Reserved::Fresh(next.resource));
    ledger.release(nobody(), "unknown").await.unwrap();
}

/// A key is its tenant's own.
pub async fn keys_belong_to_a_tenant(subject: impl Subject) {
    let ledger = subject.ledger();
    let (one, other) = (reservation(TenantId::generate(), 1), reservation(TenantId::generate(), 2));
    assert_eq!(ledger.reserve(&one).await.unwrap(), Reserved::Fresh(one.resource));
    assert_eq!(ledger.reserve(&other).await.unwrap(), Reserved::Fresh(other.resource));
}
