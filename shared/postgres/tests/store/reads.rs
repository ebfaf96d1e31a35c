//! Reads of session state that come at the same time share a statement.

use crate::world::{World, fresh, open};
use futures::future::join_all;
use warren_ports::ledger::{Op, Record, RecordKind, Sessions as _};
use warren_testkit::Chaos;
use warren_testkit::services::Postgres as Server;

fn record(kind: RecordKind, number: u32) -> Record {
    Record {
        kind,
        key: number.to_be_bytes().to_vec(),
        value: vec![kind as u8, number.to_le_bytes()[0]],
        mark: number.into(),
    }
}

/// More of them than a statement takes, of several kinds, some for many keys, some for nothing.
#[tokio::test(flavor = "multi_thread")]
async fn each_of_many_reads_gets_its_own_answer() {
    let (_database, store) = fresh().await;
    let world = World::new(&store).await;
    let kinds = [RecordKind::PreKey, RecordKind::Session];
    for kind in kinds {
        world.done(&store, Op::Put((0..100).map(|number| record(kind, number)).collect())).await;
    }
    let reads = (0..400_u32).map(|number| {
        let (store, instance) = (store.clone(), world.instance);
        let kind = kinds[number as usize % 2];
        async move {
            let keys: Vec<_> = [number, number / 2, number].iter().map(|number| number.to_be_bytes().to_vec()).collect();
            let mut found = store.records(instance, kind, &keys).await.unwrap();
            let mut expected: Vec<_> =
                [number / 2, number].into_iter().filter(|number| *number < 100).map(|number| record(kind, number)).collect();
            expected.dedup();
            found.sort_by(|a, b| a.key.cmp(&b.key));
            assert_eq!(found, expected, "read {number}");
            let listed = store.records_with_prefix(instance, kind, &[0, 0, 0]).await.unwrap();
            assert_eq!(listed, (0..100).map(|number| record(kind, number)).collect::<Vec<_>>());
        }
    });
    join_all(reads.map(tokio::spawn)).await.into_iter().for_each(|read| read.unwrap());
}

/// What waits when the connection breaks is read once there is another one.
#[tokio::test(flavor = "multi_thread")]
async fn reads_outlive_a_broken_connection() {
    let server = Server::start().await.unwrap();
    let chaos = Chaos::before(server.address()).await.unwrap();
    let store = open(&server.url_at(chaos.address())).await;
    let world = World::new(&store).await;
    let key = [1_u32.to_be_bytes().to_vec()];
    world.done(&store, Op::Put(vec![record(RecordKind::Session, 1)])).await;
    assert_eq!(store.records(world.instance, RecordKind::Session, &key).await.unwrap().len(), 1);
    chaos.cut().await.unwrap();
    let reads = (0..50).map(|_| {
        let (store, instance, key) = (store.clone(), world.instance, key.clone());
        tokio::spawn(async move { store.records(instance, RecordKind::Session, &key).await })
    });
    let reads: Vec<_> = reads.collect();
    chaos.pass().await.unwrap();
    for read in reads {
        assert_eq!(read.await.unwrap().unwrap(), [record(RecordKind::Session, 1)]);
    }
}
