//! Files, as they are kept: memory that does not grow with them, what a crash leaves, and their end.

use crate::{binary, stage};
use futures::{StreamExt, stream};
use reqwest::{Body, Client, Response};
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use warren_testkit::{Api, PATIENCE, Stage, Warren, eventually};

const MB: usize = 1024 * 1024;
const BOUNDARY: &str = "6f0c1d";
/// The largest file that is taken by default.
const LARGEST: usize = 100 * MB;
/// How much memory may grow while it passes.
const GROWTH: u64 = 30 * 1024 * 1024;

fn head(name: &str) -> String {
    format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n")
}

fn tail() -> String {
    format!("\r\n--{BOUNDARY}--\r\n")
}

/// A megabyte that no other one is like.
fn megabyte(number: usize) -> Vec<u8> {
    (0..MB).map(|at| u8::try_from((at / 7 + number * 13) % 251).unwrap()).collect()
}

fn client() -> Client {
    Client::builder().no_proxy().build().unwrap()
}

/// Sends a file of so many megabytes, and looks at the memory of the process after each.
async fn upload(warren: &Warren, api: &Api, megabytes: usize, most: &Arc<AtomicU64>) -> Response {
    let ids = warren.process_ids().unwrap();
    let seen = Arc::clone(most);
    let bytes = stream::iter(0..megabytes).map(move |number| {
        seen.fetch_max(ids.iter().map(|id| warren_testkit::memory_of(*id).unwrap()).sum(), Ordering::Relaxed);
        megabyte(number)
    });
    let parts = stream::iter([head("large.bin").into_bytes()]).chain(bytes).chain(stream::iter([tail().into_bytes()]));
    let length = head("large.bin").len() + megabytes * MB + tail().len();
    client()
        .post(format!("{}/v1/media", api.base()))
        .bearer_auth(api.key())
        .header("content-type", format!("multipart/form-data; boundary={BOUNDARY}"))
        .header("content-length", length)
        .body(Body::wrap_stream(parts.map(Ok::<_, std::io::Error>)))
        .send()
        .await
        .unwrap()
}

async fn stored(warren: &Warren, api: &Api, megabytes: usize, most: &Arc<AtomicU64>) -> String {
    let answer = upload(warren, api, megabytes, most).await;
    let (status, text) = (answer.status(), answer.text().await.unwrap());
    assert_eq!(status, 201, "{text}");
    serde_json::from_str::<Value>(&text).unwrap()["id"].as_str().unwrap().to_owned()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn kept(warren: &Warren) -> Vec<PathBuf> {
    files(&warren.media_folder())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_megabytes_pass_in_flat_memory() {
    let stage = stage().await;
    let most = Arc::new(AtomicU64::new(0));
    // What the first of anything costs is no growth.
    let small = stored(&stage.warren, &stage.api, 3, &most).await;
    let path = |id: &str| format!("{}/v1/media/{id}", stage.api.base());
    client().get(path(&small)).bearer_auth(stage.api.key()).send().await.unwrap().bytes().await.unwrap();
    let before = stage.warren.memory().unwrap();
    most.store(0, Ordering::Relaxed);

    let id = stored(&stage.warren, &stage.api, LARGEST / MB, &most).await;
    let mut answer = client().get(path(&id)).bearer_auth(stage.api.key()).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.content_length()), (200, Some(LARGEST as u64)));
    let (mut received, mut waiting) = (0, Vec::new());
    while let Some(bytes) = answer.chunk().await.unwrap() {
        waiting.extend_from_slice(&bytes);
        while waiting.len() >= MB {
            let rest = waiting.split_off(MB);
            assert!(waiting == megabyte(received), "megabyte {received} came back as another one");
            (waiting, received) = (rest, received + 1);
            most.fetch_max(stage.warren.memory().unwrap(), Ordering::Relaxed);
        }
    }
    assert_eq!((received, waiting.len()), (LARGEST / MB, 0));
    let growth = most.load(Ordering::Relaxed).saturating_sub(before);
    assert!(growth < GROWTH, "memory grew by {growth} bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_crash_left_of_an_upload_goes_at_the_next_start() {
    let mut stage = stage().await;
    let begun = stream::iter([head("half.bin").into_bytes(), megabyte(0), megabyte(1)]).chain(stream::pending());
    let request = client()
        .post(format!("{}/v1/media", stage.api.base()))
        .bearer_auth(stage.api.key())
        .header("content-type", format!("multipart/form-data; boundary={BOUNDARY}"))
        .body(Body::wrap_stream(begun.map(Ok::<_, std::io::Error>)));
    let sending = tokio::spawn(request.send());
    eventually("its bytes arrive", PATIENCE, async || Ok((!kept(&stage.warren).is_empty()).then_some(()))).await.unwrap();
    stage.warren.kill().await.unwrap();
    assert!(sending.await.unwrap().is_err());
    assert_eq!(kept(&stage.warren).len(), 1);
    stage.restart().await.unwrap();
    assert_eq!(kept(&stage.warren), Vec::<PathBuf>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_kept_as_long_as_the_settings_say() {
    let stage = Stage::start_with(binary(), |options| options.env("WARREN_MEDIA__RETENTION_S", "3")).await.unwrap();
    let id = stored(&stage.warren, &stage.api, 2, &Arc::default()).await;
    assert_eq!(kept(&stage.warren).len(), 1);
    eventually("its bytes are gone", PATIENCE, async || Ok(kept(&stage.warren).is_empty().then_some(()))).await.unwrap();
    let answer = stage.api.get(&format!("/v1/media/{id}")).await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.code()), (410, "media_failed"));
    assert_eq!(answer.body["reason"], "expired");
}
