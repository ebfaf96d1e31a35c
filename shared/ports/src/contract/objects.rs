//! What every [`Objects`] does.

#![expect(clippy::unwrap_used, reason = "a contract suite reports by panicking")]

use crate::objects::{Bytestream, ObjectName, Objects};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use warren_domain::{Error, MediaId, Result, TenantId};

/// Larger than any adapter's part, and no multiple of one.
const LARGE: usize = 11 * 1024 * 1024 + 17;
const CHUNK: usize = 100_003;

fn name() -> ObjectName {
    ObjectName { tenant: TenantId::generate(), media: MediaId::generate() }
}

fn of(chunks: Vec<Result<Bytes>>) -> Bytestream {
    stream::iter(chunks).boxed()
}

fn text(text: &'static str) -> Bytestream {
    of(vec![Ok(Bytes::from_static(text.as_bytes()))])
}

async fn all(objects: &impl Objects, name: ObjectName, from: u64) -> Option<Vec<u8>> {
    let bytes = objects.get(name, from).await.unwrap()?;
    Some(
        bytes
            .try_fold(Vec::new(), async |mut read, chunk| {
                read.extend_from_slice(&chunk);
                Ok(read)
            })
            .await
            .unwrap(),
    )
}

/// What was stored reads back, from any place on; beyond its end there is nothing more.
pub async fn bytes_read_back_from_any_place(objects: impl Objects) {
    let name = name();
    let stored = objects.put(name, of(vec![Ok("he".into()), Ok(Bytes::new()), Ok("llo".into())])).await.unwrap();
    assert_eq!(stored.size, 5);
    assert_eq!(all(&objects, name, 0).await.unwrap(), b"hello");
    assert_eq!(all(&objects, name, 4).await.unwrap(), b"o");
    assert_eq!(all(&objects, name, 5).await.unwrap(), b"");
    assert_eq!(all(&objects, name, 500).await.unwrap(), b"");
}

/// An empty file is a file.
pub async fn nothing_can_be_stored(objects: impl Objects) {
    let name = name();
    assert_eq!(objects.put(name, of(vec![])).await.unwrap().size, 0);
    assert_eq!(all(&objects, name, 0).await.unwrap(), b"");
}

/// A file of many parts reads back as it was.
pub async fn a_large_file_reads_back(objects: impl Objects) {
    let name = name();
    let bytes: Vec<u8> = (0..LARGE).map(|at| u8::try_from(at % 251).unwrap()).collect();
    let chunks = bytes.chunks(CHUNK).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
    assert_eq!(objects.put(name, of(chunks)).await.unwrap().size, LARGE as u64);
    assert!(all(&objects, name, 0).await.unwrap() == bytes, "other bytes came back");
    let from = LARGE - 5;
    assert_eq!(all(&objects, name, from as u64).await.unwrap(), bytes.get(from..).unwrap());
}

/// A write replaces what is there; after a broken one, short or long, the former bytes are there.
pub async fn a_write_is_all_or_nothing(objects: impl Objects) {
    let name = name();
    let broken = |chunks: usize| {
        let good = (0..chunks).map(|_| Ok(Bytes::from(vec![1; CHUNK])));
        of(good.chain([Err(Error::invalid("broken_off", "Broken off."))]).collect())
    };
    let many = LARGE / CHUNK;
    assert_eq!(objects.put(name, broken(many)).await.unwrap_err().code, "broken_off");
    assert_eq!(all(&objects, name, 0).await, None);
    objects.put(name, text("first")).await.unwrap();
    for chunks in [0, 1, many] {
        assert_eq!(objects.put(name, broken(chunks)).await.unwrap_err().code, "broken_off");
        assert_eq!(all(&objects, name, 0).await.unwrap(), b"first");
    }
    objects.put(name, text("2nd")).await.unwrap();
    assert_eq!(all(&objects, name, 0).await.unwrap(), b"2nd");
}

/// What was removed is gone; removing it again, or what never was, is no error. Others stay.
pub async fn a_removed_file_is_gone(objects: impl Objects) {
    let first = name();
    let others = [ObjectName { media: MediaId::generate(), ..first }, ObjectName { tenant: TenantId::generate(), ..first }];
    for other in others {
        objects.delete(other).await.unwrap();
        objects.put(other, text("other")).await.unwrap();
    }
    assert_eq!(all(&objects, first, 0).await, None);
    assert_eq!(all(&objects, first, 3).await, None);
    objects.put(first, text("first")).await.unwrap();
    objects.delete(first).await.unwrap();
    objects.delete(first).await.unwrap();
    assert_eq!(all(&objects, first, 0).await, None);
    for other in others {
        assert_eq!(all(&objects, other, 0).await.unwrap(), b"other");
    }
}

/// Stamps a `#[tokio::test]` for each sentence. `$make` is an expression that is awaited for a fresh, empty
/// [`Objects`](crate::objects::Objects).
#[macro_export]
macro_rules! objects_contract {
    ($make:expr) => {
        $crate::contract_tests!(
            $crate::contract::objects,
            $make,
            [
                bytes_read_back_from_any_place,
                nothing_can_be_stored,
                a_large_file_reads_back,
                a_write_is_all_or_nothing,
                a_removed_file_is_gone,
            ]
        );
    };
}
