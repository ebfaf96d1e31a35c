//! Session state.

use super::{Subject, World, record};
use crate::ledger::{Op, Record, RecordKind, Sessions};

const KIND: RecordKind = RecordKind::Session;

fn simple(key: &[u8], mark: i64) -> Record {
    record(KIND, key, b"v", mark)
}

async fn keys<L: crate::ledger::EdgeLedger + crate::ledger::OwnerLedger>(world: &World<'_, L>) -> Vec<Vec<u8>> {
    let all = world.ledger.records_with_prefix(world.instance, KIND, b"").await.unwrap();
    all.into_iter().map(|record| record.key).collect()
}

/// A put replaces the record with the same kind and key, and no other.
pub async fn records_are_replaced_by_key(subject: impl Subject) {
    let world = World::new(subject.ledger()).await;
    let records = vec![record(KIND, b"a", b"1", 0), record(KIND, b"b", b"", 5), record(RecordKind::Identity, b"a", b"3", 0)];
    assert_eq!(world.commit(Op::Put(records)).await, "done");
    assert_eq!(world.commit(Op::Put(vec![record(KIND, b"a", b"2", 7)])).await, "done");
    let wanted = [b"a".to_vec(), b"b".to_vec(), b"absent".to_vec()];
    let mut found = world.ledger.records(world.instance, KIND, &wanted).await.unwrap();
    found.sort_by(|left, right| left.key.cmp(&right.key));
    assert_eq!(found, [record(KIND, b"a", b"2", 7), record(KIND, b"b", b"", 5)]);
    let other = World::new(world.ledger).await;
    assert_eq!(world.ledger.records(other.instance, KIND, &wanted).await.unwrap(), []);
    assert_eq!(world.commit(Op::Put(Vec::new())).await, "no change");
}

/// A prefix finds the keys that start with it, by key.
pub async fn records_are_found_by_prefix(subject: impl Subject) {
    let world = World::new(subject.ledger()).await;
    let names: [&[u8]; 6] = [b"b", b"a\xff\xff", b"ab", b"a", b"\xff", b"\xff\xff"];
    assert_eq!(world.commit(Op::Put(names.iter().map(|key| simple(key, 0)).collect())).await, "done");
    let found = async |prefix: &[u8]| -> Vec<Vec<u8>> {
        let found = world.ledger.records_with_prefix(world.instance, KIND, prefix).await.unwrap();
        found.into_iter().map(|record| record.key).collect()
    };
    assert_eq!(found(b"a").await, [b"a".as_slice(), b"ab", b"a\xff\xff"]);
    assert_eq!(found(b"a\xff").await, [b"a\xff\xff"]);
    assert_eq!(found(b"\xff").await, [b"\xff".as_slice(), b"\xff\xff"]);
    assert_eq!(found(b"").await.len(), 6);
    assert_eq!(world.commit(Op::DeletePrefix { kind: KIND, prefix: b"a".to_vec() }).await, "done");
    assert_eq!(found(b"").await, [b"b".as_slice(), b"\xff", b"\xff\xff"]);
    assert_eq!(world.commit(Op::DeletePrefix { kind: KIND, prefix: b"a".to_vec() }).await, "no change");
    assert_eq!(world.commit(Op::DeletePrefix { kind: KIND, prefix: Vec::new() }).await, "done");
    assert_eq!(found(b"").await, Vec::<Vec<u8>>::new());
}

/// The last record is the one with the largest mark, or key.
pub async fn the_last_record_is_found(subject: impl Subject) {
    let world = World::new(subject.ledger()).await;
    assert_eq!(world.ledger.last_record(world.instance, KIND, true).await.unwrap(), None);
    assert_eq!(world.commit(Op::Put(vec![simple(b"a", 3), simple(b"b", 9), simple(b"c", 5)])).await, "done");
    let last = async |by_mark| world.ledger.last_record(world.instance, KIND, by_mark).await.unwrap().unwrap().key;
    assert_eq!(last(true).await, b"b");
    assert_eq!(last(false).await, b"c");
}

/// A mark is set where the record exists; marked records expire, those with mark 0 never.
pub async fn marks_are_set_and_expire(subject: impl Subject) {
    let world = World::new(subject.ledger()).await;
    assert_eq!(world.commit(Op::Put(vec![simple(b"a", 0), simple(b"b", 0), simple(b"c", 8)])).await, "done");
    let mark = |key: &[u8], mark| Op::Mark { kind: KIND, keys: vec![key.to_vec(), b"absent".to_vec()], mark };
    assert_eq!(world.commit(mark(b"b", 5)).await, "done");
    assert_eq!(world.commit(mark(b"absent", 5)).await, "no change");
    assert_eq!(world.ledger.records(world.instance, KIND, &[b"b".to_vec()]).await.unwrap(), [simple(b"b", 5)]);
    let before = |before| Op::DeleteMarkedBefore { kind: KIND, before };
    assert_eq!(world.commit(before(5)).await, "no change");
    assert_eq!(world.commit(before(8)).await, "done");
    assert_eq!(keys(&world).await, [b"a".as_slice(), b"c"]);
}

/// A delete removes what it names; an empty one is no change.
pub async fn records_are_deleted(subject: impl Subject) {
    let world = World::new(subject.ledger()).await;
    assert_eq!(world.commit(Op::Put(vec![simple(b"a", 0), simple(b"b", 0)])).await, "done");
    let delete = |key: &[u8]| Op::Delete { kind: KIND, keys: vec![key.to_vec()] };
    assert_eq!(world.commit(delete(b"a")).await, "done");
    assert_eq!(world.commit(delete(b"a")).await, "no change");
    assert_eq!(keys(&world).await, [b"b".as_slice()]);
}

/// One kind's records of many instances load at once.
pub async fn many_instances_load_at_once(subject: impl Subject) {
    let ledger = subject.ledger();
    let (one, other, bare) = (World::new(ledger).await, World::new(ledger).await, World::new(ledger).await);
    assert_eq!(one.commit(Op::Put(vec![simple(b"a", 0), record(RecordKind::Device, b"", b"d", 0)])).await, "done");
    assert_eq!(other.commit(Op::Put(vec![simple(b"a", 0), simple(b"b", 0)])).await, "done");
    let instances = [one.instance, other.instance, bare.instance];
    let mut found = ledger.records_of(&instances, KIND).await.unwrap();
    found.sort_by(|left, right| (left.0, &left.1.key).cmp(&(right.0, &right.1.key)));
    let mut expected =
        vec![(one.instance, simple(b"a", 0)), (other.instance, simple(b"a", 0)), (other.instance, simple(b"b", 0))];
    expected.sort_by(|left, right| (left.0, &left.1.key).cmp(&(right.0, &right.1.key)));
    assert_eq!(found, expected);
}

/// A read sees every write whose outcome was returned before it, also where the sync is not awaited.
pub async fn a_read_sees_what_was_answered(subject: impl Subject) {
    let world = World::new(subject.ledger()).await;
    let kind = RecordKind::PendingInbound;
    for number in 0..50_u8 {
        let key = vec![number];
        let pending = record(kind, &key, b"plaintext", 1);
        assert_eq!(world.commit(Op::Put(vec![pending.clone()])).await, "done");
        let found = world.ledger.records(world.instance, kind, std::slice::from_ref(&key)).await.unwrap();
        assert_eq!(found, [pending]);
        assert_eq!(world.commit(Op::Delete { kind, keys: vec![key] }).await, "done");
        assert_eq!(world.ledger.records_with_prefix(world.instance, kind, b"").await.unwrap(), []);
    }
}
