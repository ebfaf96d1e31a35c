//! A file behind a link: fetched through the egress guard into the object store, and looked at on the way.

use super::{
    Files,
    fetch::{Kept, Miss, Wanted},
};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use sha2::{Digest, Sha256};
use std::sync::{Arc, Mutex, PoisonError};
use warren_domain::{
    Error, ErrorKind,
    media::{HEAD_BYTES, Media, MediaFailure, MediaKind, inspect},
};
use warren_egress::{Body, FetchError, Limits};

impl Files {
    /// Fetches the file behind a link.
    pub(super) async fn follow(&self, media: &Media, link: &str, wanted: Wanted) -> Result<Kept, Miss> {
        let limits = &self.shared.ports.limits;
        let most = wanted.kind.map_or_else(|| limits.most_bytes(), |kind| limits.bytes(kind));
        let most = Limits { bytes: most, ..Limits::UNLIMITED };
        let fetched = self.shared.ports.egress.fetch(link, most).await.map_err(meaning)?;
        let (head, body) = beginning(fetched.body).await.map_err(meaning)?;
        // Servers know little of what they serve; only a document has nothing better to say what it is.
        let is_document = matches!(wanted.kind, None | Some(MediaKind::Document));
        let said = fetched.content_type.as_deref().filter(|_| is_document);
        let looks = inspect(&concatenated(&head), said, wanted.kind, limits.max_pixels).map_err(Miss::Final)?;
        let (size, sha256) = self.keep(media, head, body).await?;
        Ok(Kept { size, sha256, mime_type: Some(looks.mime_type) })
    }

    /// Stores the bytes; their number and hash.
    async fn keep(&self, media: &Media, head: Vec<Bytes>, body: Body) -> Result<(u64, [u8; 32]), Miss> {
        let progress = Arc::new(Mutex::new((Sha256::new(), None)));
        let seen = progress.clone();
        let bytes = futures::stream::iter(head).map(Ok).chain(body).map(move |piece| {
            let (hash, failure) = &mut *seen.lock().unwrap_or_else(PoisonError::into_inner);
            piece.inspect(|piece| hash.update(piece)).map_err(|error: FetchError| {
                *failure = Some(error);
                Error::new(ErrorKind::Unavailable, error.code(), "The link broke off.").with_source(error)
            })
        });
        let stored = self.shared.ports.objects.put(self.object(media.id), bytes.boxed()).await;
        let (hash, failure) = std::mem::take(&mut *progress.lock().unwrap_or_else(PoisonError::into_inner));
        match (stored, failure) {
            (Ok(stored), _) => Ok((stored.size, hash.finalize().into())),
            (Err(_), Some(failure)) => Err(meaning(failure)),
            (Err(error), None) => {
                tracing::warn!(instance = %self.store.instance, code = error.code, "a linked file could not be stored");
                Err(Miss::Away)
            }
        }
    }
}

/// The first pieces of a body: enough to look at, or all of it.
async fn beginning(mut body: Body) -> Result<(Vec<Bytes>, Body), FetchError> {
    let (mut head, mut length) = (Vec::new(), 0);
    while length < HEAD_BYTES
        && let Some(piece) = body.try_next().await?
    {
        length += piece.len();
        head.push(piece);
    }
    Ok((head, body))
}

fn concatenated(pieces: &[Bytes]) -> Bytes {
    match pieces {
        [only] => only.clone(),
        pieces => pieces.concat().into(),
    }
}

fn meaning(error: FetchError) -> Miss {
    match error {
        FetchError::UrlNotAllowed(_) | FetchError::RedirectBlocked(_) => Miss::Final(MediaFailure::RedirectBlocked),
        FetchError::TooLarge => Miss::Final(MediaFailure::TooLarge),
        passing if passing.is_passing() => Miss::Away,
        _ => Miss::Final(MediaFailure::MediaFetch),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_guard_refuses_is_final_and_a_server_that_is_away_is_not() {
        assert_eq!(meaning(FetchError::TooLarge), Miss::Final(MediaFailure::TooLarge));
        assert_eq!(meaning(FetchError::TooManyRedirects), Miss::Final(MediaFailure::MediaFetch));
        assert_eq!(meaning(FetchError::Status(404)), Miss::Final(MediaFailure::MediaFetch));
        assert_eq!(meaning(FetchError::Status(503)), Miss::Away);
        assert_eq!(meaning(FetchError::TimedOut), Miss::Away);
    }
}
