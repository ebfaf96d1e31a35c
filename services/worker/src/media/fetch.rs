//! A pending file: down from WhatsApp's media hosts, or from its link, into the object store. One fetch a file at a time;
//! whoever asks meanwhile waits for the same.

use super::{FETCHES_WAITING, Files, Trouble, media_type};
use crate::client::WebClient;
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{
    io::{self, Read, Write},
    str::FromStr,
    sync::{Arc, PoisonError},
    time::Duration,
};
use tokio::sync::{mpsc, watch};
use wacore::{
    download::{DownloadUtils, MediaHost, MediaRoute},
    net::{HttpClient, HttpRequest},
};
use wacore_binary::Jid;
use warren_domain::{
    Error, ErrorKind, FailureReason, MediaId, MessageId, Result,
    media::{Media, MediaFailure, MediaKind, MediaOutcome, MediaState},
};
use warren_ports::objects::Bytestream;
use whatsapp_rust::{MediaRetryResult, MediaReuploadRequest, download::DownloadParams};

/// How often one request tries, and how long it waits between.
const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_secs(1);
/// How long the sender's phone may take to bring a file again that WhatsApp has no more.
const PHONE: Duration = Duration::from_secs(20);
/// Bytes on their way into the object store: pieces of this many, and how many of them.
const PIECE: usize = 64 * 1024;
const PIECES: usize = 4;
/// What the encryption adds to a file at most.
const SEAL: u64 = 16 + 10;

/// What became of a request for a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fetched {
    /// Its bytes are in the object store.
    Ready,
    /// They cannot be had.
    Failed(MediaFailure),
    /// They cannot be had now.
    Later,
    /// Too many wait already.
    Full,
    /// The tenant's files take all the room they may.
    NoRoom,
    /// This instance has no such file.
    Unknown,
}

impl Fetched {
    /// As a metric's label.
    const fn label(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Failed(_) | Self::Unknown => "failed",
            Self::Later | Self::Full | Self::NoRoom => "later",
        }
    }
}

/// What a file is fetched for.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wanted {
    /// As what it is to be sent: what a link leads to has to be that.
    pub(crate) kind: Option<MediaKind>,
    /// In which message it is to be sent.
    pub(crate) message: Option<MessageId>,
}

/// What is in the object store now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) size: u64,
    pub(super) sha256: [u8; 32],
    /// Its type, if that is known better now.
    pub(super) mime_type: Option<String>,
}

/// What is needed to fetch a received file, and to ask its sender for it again. Sealed in the file's row.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Source {
    /// As what it was sent.
    pub(crate) kind: MediaKind,
    /// Its place on the media hosts: a path, whose query may carry a signature.
    pub(crate) path: String,
    /// Opens it.
    pub(crate) key: Vec<u8>,
    /// SHA-256 of the encrypted bytes.
    pub(crate) encrypted_sha256: Vec<u8>,
    /// The message that brought it.
    pub(crate) message: MessageId,
    /// Its id at WhatsApp.
    pub(crate) whatsapp_id: String,
    /// Address of its chat.
    pub(crate) chat: String,
    /// Address of its author, in a group.
    pub(crate) author: Option<String>,
    /// Whether another device of this account wrote it.
    pub(crate) from_me: bool,
}

/// Why a file did not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Miss {
    /// The token of this connection is stale.
    Stale,
    /// The host does not have it.
    Gone,
    /// It cannot be had from any host.
    Final(MediaFailure),
    /// The host, the network or the object store does not do its part.
    Away,
}

impl Files {
    /// Fetches a pending file of this instance, from WhatsApp or from its link; one that is fetched already is ready at once.
    /// A fetch that was begun goes on when nobody waits for it any more, until the connection ends.
    pub(crate) async fn fetch(self: &Arc<Self>, id: MediaId, wanted: Wanted) -> Fetched {
        let mut outcome = {
            let mut fetching = self.fetching.lock().unwrap_or_else(PoisonError::into_inner);
            match fetching.get(&id) {
                Some(running) => running.clone(),
                None if fetching.len() >= FETCHES_WAITING => return Fetched::Full,
                None => {
                    let (done, outcome) = watch::channel(None);
                    fetching.insert(id, outcome.clone());
                    let files = self.clone();
                    self.tasks.run(async move {
                        let fetched = Box::pin(files.fetch_once(id, wanted)).await;
                        files.shared.metrics.media.with_label_values(&["in", fetched.label()]).inc();
                        files.fetching.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
                        done.send_replace(Some(fetched));
                    });
                    outcome
                }
            }
        };
        let fetched = outcome.wait_for(Option::is_some).await.ok().and_then(|fetched| *fetched);
        // Without an outcome the connection has ended.
        fetched.unwrap_or(Fetched::Later)
    }

    async fn fetch_once(&self, id: MediaId, wanted: Wanted) -> Fetched {
        let Ok(found) = self.shared.ports.ledger.media(self.store.tenant, id).await else { return Fetched::Later };
        let mine = |media: &Media| media.instance == Some(self.store.instance) || media.state == MediaState::Ready;
        let Some(media) = found.filter(mine) else { return Fetched::Unknown };
        match (media.state, media.reason) {
            (MediaState::Ready, _) => return Fetched::Ready,
            (MediaState::Failed, reason) => return Fetched::Failed(reason.unwrap_or(MediaFailure::Gone)),
            (MediaState::Pending, _) => {}
        }
        if !self.has_room(&media).await {
            return Fetched::NoRoom;
        }
        let (message, kept) = match self.down(&media, wanted).await {
            Ok(fetched) => fetched,
            Err(Trouble::Message(_)) => return Fetched::Unknown,
            Err(_) => return Fetched::Later,
        };
        let outcome = match kept {
            Ok(Kept { size, sha256, mime_type }) => {
                let expires_at = self.shared.ports.limits.kept_until(self.shared.ports.clock.now());
                MediaOutcome::Ready { size, sha256, mime_type, expires_at }
            }
            Err(Miss::Final(cause)) => MediaOutcome::Failed(cause),
            Err(Miss::Gone) => MediaOutcome::Failed(MediaFailure::Gone),
            Err(Miss::Stale | Miss::Away) => return Fetched::Later,
        };
        self.conclude(id, message, outcome).await
    }

    /// Fetches from where the file is; also the message that it belongs to.
    async fn down(&self, media: &Media, wanted: Wanted) -> Result<(Option<MessageId>, Result<Kept, Miss>), Trouble> {
        let _own = self.fetches.acquire().await.map_err(|_| Trouble::Lost)?;
        let _all = self.shared.media.fetches.acquire().await.map_err(|_| Trouble::Lost)?;
        if let Some(link) = &media.link {
            return Ok((wanted.message, self.follow(media, link, wanted).await));
        }
        let sealed = media.source.as_deref().ok_or(Trouble::Message(FailureReason::Media))?;
        let source = self.store.open_source(media.id, sealed).map_err(|_| Trouble::Message(FailureReason::Media))?;
        Ok((Some(source.message), self.download(media, &source).await))
    }

    async fn conclude(&self, id: MediaId, message: Option<MessageId>, outcome: MediaOutcome) -> Fetched {
        let fetched = match &outcome {
            MediaOutcome::Ready { .. } => Fetched::Ready,
            MediaOutcome::Failed(cause) => Fetched::Failed(*cause),
        };
        match self.settle(id, message, outcome).await {
            Ok(true) => fetched,
            Ok(false) => {
                // It was deleted, or its time was over, while it came.
                let _ = self.shared.ports.objects.delete(self.object(id)).await;
                Fetched::Unknown
            }
            Err(_) => Fetched::Later,
        }
    }

    async fn has_room(&self, media: &Media) -> bool {
        let used = self.shared.ports.ledger.media_bytes(self.store.tenant).await;
        used.is_ok_and(|used| used.saturating_add(media.size.unwrap_or_default()) <= self.shared.ports.limits.storage_bytes)
    }

    async fn download(&self, media: &Media, source: &Source) -> Result<Kept, Miss> {
        let limit = self.shared.ports.limits.bytes(source.kind);
        if media.size.is_some_and(|size| size > limit) {
            return Err(Miss::Final(MediaFailure::TooLarge));
        }
        let mut attempt = 0;
        loop {
            let fetched = match self.ask_hosts(media, source, limit).await {
                Err(Miss::Gone) => match self.ask_the_phone(source).await {
                    Some(path) => self.ask_hosts(media, &Source { path, ..source.clone() }, limit).await,
                    None => Err(Miss::Gone),
                },
                fetched => fetched,
            };
            attempt += 1;
            match fetched {
                Err(Miss::Away | Miss::Stale) if attempt < ATTEMPTS => tokio::time::sleep(PAUSE * attempt).await,
                settled => return settled,
            }
        }
    }

    /// Asks the hosts that WhatsApp names, in their order; with a fresh token once, where it may be that.
    async fn ask_hosts(&self, media: &Media, source: &Source, limit: u64) -> Result<Kept, Miss> {
        let mut missed = Miss::Away;
        for fresh in [false, true] {
            let named = self.client.refresh_media_conn(fresh).await.map_err(|_| Miss::Away)?;
            for host in named.hosts {
                let route = MediaRoute::authenticated(vec![MediaHost::new(host.hostname)], named.auth.clone());
                match self.ask_host(media, source, &route, limit).await {
                    Ok(fetched) => return Ok(fetched),
                    Err(miss) => missed = miss,
                }
                if matches!(missed, Miss::Stale | Miss::Gone) {
                    break;
                }
            }
            if !matches!(missed, Miss::Stale | Miss::Gone) {
                break;
            }
        }
        Err(missed)
    }

    async fn ask_host(&self, media: &Media, source: &Source, route: &MediaRoute, limit: u64) -> Result<Kept, Miss> {
        let params = DownloadParams::encrypted(
            source.path.as_str(),
            &source.key,
            &[],
            &source.encrypted_sha256,
            media.size.unwrap_or_default(),
            media_type(source.kind),
        );
        let requests = DownloadUtils::prepare_download_requests(&params, route).map_err(|_| Miss::Away)?;
        let url = requests.into_iter().next().ok_or(Miss::Away)?.url;
        let (pieces, arriving) = mpsc::channel(PIECES);
        let download =
            Download { web: self.web.clone(), url, source: source.clone(), limit, size: media.size, sha256: media.sha256 };
        let stored = self.shared.ports.objects.put(self.object(media.id), until_end(arriving));
        let (stored, downloaded) = tokio::join!(stored, tokio::task::spawn_blocking(move || download.run(pieces)));
        let fetched = downloaded.map_err(|_| Miss::Away)?;
        match stored {
            Ok(_) => fetched,
            // The stream's own error stands beside it.
            Err(_) if fetched.as_ref().is_err_and(|miss| *miss != Miss::Away) => fetched,
            Err(error) => {
                tracing::warn!(instance = %self.store.instance, code = error.code, "a received file could not be stored");
                Err(Miss::Away)
            }
        }
    }

    /// Where the sender's phone put the file again, if it did.
    async fn ask_the_phone(&self, source: &Source) -> Option<String> {
        let chat = Jid::from_str(&source.chat).ok()?;
        let author = source.author.as_deref().and_then(|author| Jid::from_str(author).ok());
        let request = MediaReuploadRequest {
            msg_id: &source.whatsapp_id,
            chat_jid: &chat,
            media_key: &source.key,
            is_from_me: source.from_me,
            participant: author.as_ref(),
        };
        let reupload = self.client.media_reupload();
        match tokio::time::timeout(PHONE, Box::pin(reupload.request(&request))).await {
            Ok(Ok(MediaRetryResult::Success { direct_path })) => Some(direct_path).filter(|path| is_path(path)),
            _ => None,
        }
    }
}

/// A sender chooses the path of a file: what does not begin as one would change the host that is asked.
pub(crate) fn is_path(path: &str) -> bool {
    path.starts_with('/') && path.len() <= 4_096
}

/// The arriving pieces as a stream that ends well only after the last one was announced as such.
fn until_end(arriving: mpsc::Receiver<Option<Bytes>>) -> Bytestream {
    let broken = || Error::new(ErrorKind::Unavailable, "broken_off", "The file did not come to its end.");
    futures::stream::unfold(Some(arriving), move |arriving| async move {
        let mut arriving = arriving?;
        match arriving.recv().await {
            Some(Some(piece)) => Some((Ok(piece), Some(arriving))),
            Some(None) => None,
            None => Some((Err(broken()), None)),
        }
    })
    .boxed()
}

/// One download from one host; runs in a blocking task.
struct Download {
    web: WebClient,
    url: String,
    source: Source,
    limit: u64,
    size: Option<u64>,
    sha256: Option<[u8; 32]>,
}

impl Download {
    fn run(self, pieces: mpsc::Sender<Option<Bytes>>) -> Result<Kept, Miss> {
        let answer = self.web.execute_streaming(HttpRequest::get(self.url)).map_err(|_| Miss::Away)?;
        match answer.status_code {
            200..=299 => {}
            401 | 403 => return Err(Miss::Stale),
            404 | 410 => return Err(Miss::Gone),
            _ => return Err(Miss::Away),
        }
        let mut body = Capped { body: answer.body, left: self.limit.saturating_add(SEAL), failed: None };
        let mut store = Storing { pieces, piece: BytesMut::new(), hash: Sha256::new(), size: 0, closed: false };
        let media_type = media_type(self.source.kind);
        let decrypted = DownloadUtils::decrypt_stream_to_writer(&mut body, &self.source.key, media_type, &mut store);
        match (decrypted, body.failed) {
            (Ok(_), _) => {}
            (Err(_), Some(miss)) => return Err(miss),
            (Err(_), None) if store.closed => return Err(Miss::Away),
            // All came, and it is not what the key seals.
            (Err(_), None) => return Err(Miss::Final(MediaFailure::MediaIntegrity)),
        }
        let sha256 = store.sha256();
        if self.size.is_some_and(|size| size != store.size) || self.sha256.is_some_and(|announced| announced != sha256) {
            return Err(Miss::Final(MediaFailure::MediaIntegrity));
        }
        let size = store.size;
        store.end().map_err(|_| Miss::Away)?;
        Ok(Kept { size, sha256, mime_type: None })
    }
}

/// A body that ends with an error at a limit.
struct Capped<R> {
    body: R,
    left: u64,
    /// Why it could not be read on.
    failed: Option<Miss>,
}

impl<R: Read> Read for Capped<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.body.read(into).inspect_err(|_| self.failed = Some(Miss::Away))?;
        match self.left.checked_sub(count as u64) {
            Some(left) => self.left = left,
            None => {
                self.failed = Some(Miss::Final(MediaFailure::TooLarge));
                return Err(io::ErrorKind::FileTooLarge.into());
            }
        }
        Ok(count)
    }
}

/// Writes into the object store, counting and hashing.
struct Storing {
    pieces: mpsc::Sender<Option<Bytes>>,
    piece: BytesMut,
    /// Of what was passed on.
    hash: Sha256,
    size: u64,
    /// The object store takes no more.
    closed: bool,
}

impl Storing {
    /// Of all that was written.
    fn sha256(&self) -> [u8; 32] {
        self.hash.clone().chain_update(&self.piece).finalize().into()
    }

    fn pass_on(&mut self) -> io::Result<()> {
        let piece = self.piece.split().freeze();
        self.hash.update(&piece);
        if self.pieces.blocking_send(Some(piece)).is_err() {
            self.closed = true;
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        Ok(())
    }

    /// Only now the object store may keep it.
    fn end(mut self) -> io::Result<()> {
        self.pass_on()?;
        self.pieces.blocking_send(None).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl Write for Storing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.size = self.size.saturating_add(bytes.len() as u64);
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE {
            self.pass_on()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_a_sender_cannot_name_another_host() {
        assert!(is_path("/v/t62.7118-24/1_n.enc?ccb=11-4&oh=a&oe=b"));
        for path in ["", ".example.com/x", "@example.com/x", ":81/x", "v/x", &format!("/{}", "x".repeat(5_000))] {
            assert!(!is_path(path), "{path}");
        }
    }

    #[test]
    fn a_body_ends_at_its_limit() {
        let read = |bytes: &[u8], left: u64| {
            let mut capped = Capped { body: bytes, left, failed: None };
            let ended = capped.read_to_end(&mut Vec::new()).is_ok();
            (ended, capped.failed)
        };
        assert_eq!(read(&[1; 100], 100), (true, None));
        assert_eq!(read(&[1; 101], 100), (false, Some(Miss::Final(MediaFailure::TooLarge))));
    }

    #[tokio::test]
    async fn a_stream_that_breaks_off_is_not_taken_for_a_file() {
        let arriving = |ends: bool| {
            let (pieces, arriving) = mpsc::channel(4);
            pieces.try_send(Some(Bytes::from_static(b"half"))).unwrap();
            if ends {
                pieces.try_send(None).unwrap();
            }
            until_end(arriving).collect::<Vec<_>>()
        };
        assert!(arriving(true).await.iter().all(Result::is_ok));
        let broken = arriving(false).await;
        assert_eq!((broken.len(), broken.last().unwrap().is_err()), (2, true));
    }
}
