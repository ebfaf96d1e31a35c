//! A file on its way out, as whole, as damaged and as slow as it is to be.

use std::io;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use tokio::fs::File;
use tokio_util::io::ReaderStream;

use super::fault::Fault;

const CHUNK: usize = 64 * 1024;
/// Slow files come in pieces of this part of a second.
const BEAT: Duration = Duration::from_millis(100);

pub(super) fn of(file: File, size: u64, fault: Fault) -> Body {
    let (chunk, pause) = match fault.bytes_per_second {
        None => (CHUNK, None),
        Some(rate) => (usize::try_from(rate / 10).unwrap_or(CHUNK).clamp(1, CHUNK), Some(BEAT)),
    };
    let whole = ReaderStream::with_capacity(file, chunk);
    let damaged = fault.corrupt.then_some(size / 2);
    Body::from_stream(slowed(spoiled(whole, damaged), pause))
}

/// Flips one bit of the byte at this place.
fn spoiled(
    stream: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    place: Option<u64>,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let mut position = 0_u64;
    stream.map(move |chunk| {
        let chunk = chunk?;
        let start = position;
        position += chunk.len() as u64;
        let inside = place.and_then(|place| usize::try_from(place.checked_sub(start)?).ok()).filter(|at| *at < chunk.len());
        let Some(at) = inside else { return Ok(chunk) };
        let mut spoiled = chunk.to_vec();
        if let Some(byte) = spoiled.get_mut(at) {
            *byte ^= 1;
        }
        Ok(Bytes::from(spoiled))
    })
}

fn slowed(
    stream: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    pause: Option<Duration>,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    stream.then(move |chunk| async move {
        if let Some(pause) = pause {
            tokio::time::sleep(pause).await;
        }
        chunk
    })
}
