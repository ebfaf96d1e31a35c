//! A file that is being sent here: made known first, so that its bytes are never forgotten; gone again unless it is settled.

use super::{form::Part, has_room, refused, too_large};
use crate::{
    problem::{Problem, Result},
    state::App,
};
use axum::body::Bytes;
use futures::{StreamExt as _, stream};
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;
use warren_domain::{
    Error, MediaId, TenantId,
    media::{Media, MediaFailure, MediaKind, MediaOrigin, MediaOutcome, MediaState},
};
use warren_ports::objects::{Bytestream, ObjectName};

/// Pieces between the request and the object store.
const PIECES: usize = 2;

/// A file that is on its way. Dropped before it is settled, it leaves nothing.
pub(crate) struct Incoming {
    app: App,
    kind: Option<MediaKind>,
    /// `None` once it is settled.
    media: Option<Media>,
    shown: Media,
}

impl Incoming {
    /// Makes a file known whose bytes come next.
    pub(super) async fn begin(
        app: &App,
        tenant: TenantId,
        kind: Option<MediaKind>,
        mime_type: String,
        filename: Option<String>,
    ) -> Result<Self> {
        let now = app.now();
        let media = Media {
            id: MediaId::generate(),
            tenant,
            instance: None,
            origin: MediaOrigin::Upload,
            state: MediaState::Pending,
            reason: None,
            mime_type: Some(mime_type),
            size: None,
            sha256: None,
            filename,
            link: None,
            source: None,
            created_at: now,
            expires_at: app.limits.kept_until(now),
        };
        app.ledger.create_media(media.clone()).await?;
        Ok(Self { app: app.clone(), kind, media: Some(media.clone()), shown: media })
    }

    /// What is known of it.
    pub(super) const fn media(&self) -> &Media {
        &self.shown
    }

    /// What it is to be sent as, if that was said.
    pub(super) const fn kind(&self) -> Option<MediaKind> {
        self.kind
    }

    /// Stores its bytes, at most so many, as they come.
    pub(super) async fn store(&mut self, part: &mut Part<'_>, most: u64) -> Result<()> {
        let (pieces, stored) = mpsc::channel(PIECES);
        let name = ObjectName { tenant: self.shown.tenant, media: self.shown.id };
        let storing = self.app.objects.put(name, received(stored));
        let (passed, stored) = tokio::join!(pass(pieces, most, part), storing);
        let (size, sha256) = passed?;
        if stored?.size != size {
            return Err(Problem::internal("the object store has another size than was sent"));
        }
        (self.shown.size, self.shown.sha256) = (Some(size), Some(sha256));
        Ok(())
    }

    /// Checks what a part behind the file said.
    pub(super) fn sent_as(mut self, kind: MediaKind) -> Result<Self> {
        let most = self.app.limits.bytes(kind);
        if !kind.takes(self.shown.mime_type.as_deref().unwrap_or_default()) {
            return Err(refused(&self.app, MediaFailure::TypeMismatch));
        }
        if self.shown.size.is_some_and(|size| size > most) {
            return Err(too_large(most));
        }
        self.kind = Some(kind);
        Ok(self)
    }

    /// Says that it is ready.
    pub(crate) async fn settle(mut self) -> Result<Media> {
        let mut media = self.shown.clone();
        let (Some(size), Some(sha256)) = (media.size, media.sha256) else {
            return Err(Problem::internal("a file without bytes was settled"));
        };
        // What came at the same time, or did not say how long it would be.
        has_room(&self.app, media.tenant, size).await?;
        let expires_at = self.app.limits.kept_until(self.app.now());
        let ready = MediaOutcome::Ready { size, sha256, mime_type: None, expires_at };
        if !self.app.ledger.settle_upload(media.tenant, media.id, ready).await? {
            // Its tenant was deleted meanwhile.
            return Err(Problem::not_found());
        }
        self.media = None;
        (media.state, media.expires_at) = (MediaState::Ready, expires_at);
        Ok(media)
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        let Some(media) = self.media.take() else { return };
        let app = self.app.clone();
        self.app.lifecycle.spawn(async move {
            let name = ObjectName { tenant: media.tenant, media: media.id };
            let removed = match app.objects.delete(name).await {
                Ok(()) => app.ledger.forget_upload(media.tenant, media.id).await,
                Err(error) => Err(error),
            };
            if let Err(error) = removed {
                // It expires like any other file, and goes then.
                tracing::warn!(code = error.code, "an upload that broke off could not be removed yet");
            }
        });
    }
}

fn received(pieces: mpsc::Receiver<warren_domain::Result<Bytes>>) -> Bytestream {
    stream::unfold(pieces, |mut pieces| async move { Some((pieces.recv().await?, pieces)) }).boxed()
}

/// Passes the bytes on to the object store: how many, and their hash. What breaks off is said to the store, too.
async fn pass(
    pieces: mpsc::Sender<warren_domain::Result<Bytes>>,
    most: u64,
    part: &mut Part<'_>,
) -> Result<(u64, [u8; 32])> {
    let (mut size, mut hash) = (0_u64, Sha256::new());
    let refused = loop {
        match part.next().await {
            Ok(None) => return Ok((size, hash.finalize().into())),
            Ok(Some(bytes)) => {
                size = size.saturating_add(bytes.len() as u64);
                if size > most {
                    break too_large(most);
                }
                hash.update(&bytes);
                if pieces.send(Ok(bytes)).await.is_err() {
                    // The store gave up, and says itself why.
                    return Ok((size, [0; 32]));
                }
            }
            Err(problem) => break problem,
        }
    };
    // If nobody listens any more, the store gave up by itself.
    let _ = pieces.send(Err(Error::invalid("broken_off", "The upload broke off."))).await;
    Err(refused)
}
