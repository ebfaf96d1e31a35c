//! A file on its way to WhatsApp: fetched if need be, uploaded, and what the media host answered kept in the message's row
//! before the message is encrypted, so that every encryption of it carries the same.

use super::{
    Fetched, Files, Trouble, Wanted, media_type,
    source::{Encrypted, Plain},
};
use std::{
    io::{self, Read},
    sync::Arc,
};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use wacore::upload::{EncryptedMediaInfo, encrypt_media_streaming_with_key};
use waproto::whatsapp as wa;
use waproto::whatsapp::message::{AudioMessage, DocumentMessage, ImageMessage, StickerMessage, VideoMessage};
use warren_domain::{
    FailureReason, MediaId,
    media::{HEAD_BYTES, Inspected, Media, MediaFailure, MediaKind, MediaOutcome, MediaState, inspect},
    message::Outbound,
};
use warren_ports::ledger::Op;
use warren_runtime::fault;
use whatsapp_rust::{ErrorChainExt, upload::UploadResponse};

/// A link that does not answer is not asked more often.
const LINK_ATTEMPTS: u32 = 3;

/// What became of the file of a message that is to be sent.
#[derive(Debug)]
pub(crate) enum Prepared {
    /// It is at WhatsApp, and the message's row holds this.
    Ready(Vec<u8>),
    /// Not now.
    Later,
    /// It cannot be sent.
    Failed(FailureReason),
    /// The row is not open any more.
    NotMine,
    /// The connection has to end: whoever owns the instance next goes on with the row.
    Lost,
}

impl Files {
    /// Brings the file of a message to WhatsApp. `attempt` says how often that was tried, from 0.
    pub(crate) async fn prepare(self: &Arc<Self>, row: &Outbound, attempt: u32) -> Prepared {
        let Some((kind, attachment)) = row.message.content.attachment() else {
            return Prepared::Failed(FailureReason::Media);
        };
        match self.bring(row, kind, attachment.id).await {
            Ok(upload) => Prepared::Ready(upload),
            Err(Trouble::NotOpen) => Prepared::NotMine,
            Err(Trouble::Lost) => Prepared::Lost,
            Err(Trouble::Message(reason)) => Prepared::Failed(reason),
            Err(Trouble::Passing) => self.wait_or_give_up(row, attachment.id, attempt).await,
        }
    }

    async fn bring(self: &Arc<Self>, row: &Outbound, kind: MediaKind, id: MediaId) -> Result<Vec<u8>, Trouble> {
        let media = self.present(row, kind, id).await?;
        if media.size.is_some_and(|size| size > self.shared.ports.limits.bytes(kind)) {
            return Err(Trouble::Message(FailureReason::TooLarge));
        }
        let key = (self.store.instance, id, kind);
        let file = self.shared.media.sent.try_get_with(key, self.upload(&media, kind)).await.map_err(|trouble| *trouble)?;
        let upload = self.store.seal_upload(row.message.id, &file).map_err(|_| Trouble::Lost)?;
        if !self.commit(Op::SetUpload { message: row.message.id, upload: upload.clone() }).await? {
            return Err(Trouble::NotOpen);
        }
        fault::point("media.uploaded");
        Ok(upload)
    }

    /// The file, once its bytes are in the object store.
    async fn present(self: &Arc<Self>, row: &Outbound, kind: MediaKind, id: MediaId) -> Result<Media, Trouble> {
        let media = self.known(id).await?;
        match media.state {
            MediaState::Ready => return Ok(media),
            MediaState::Failed => return Err(Trouble::Message(FailureReason::Media)),
            MediaState::Pending => {}
        }
        match self.fetch(id, Wanted { kind: Some(kind), message: Some(row.message.id) }).await {
            Fetched::Ready => self.known(id).await,
            Fetched::Failed(_) | Fetched::Unknown => Err(Trouble::Message(FailureReason::Media)),
            Fetched::Later | Fetched::Full | Fetched::NoRoom => Err(Trouble::Passing),
        }
    }

    async fn upload(&self, media: &Media, kind: MediaKind) -> Result<Arc<wa::Message>, Trouble> {
        let refused = |_| Trouble::Lost;
        let _own = self.uploads.acquire().await.map_err(refused)?;
        let _all = self.shared.media.uploads.acquire().await.map_err(refused)?;
        let ended = CancellationToken::new();
        let _end = ended.clone().drop_guard();
        let plain = Plain {
            objects: self.shared.ports.objects.clone(),
            name: self.object(media.id),
            runtime: Handle::current(),
            ended,
        };
        let key: [u8; 32] = rand::random();
        let (source, max_pixels) = (plain.clone(), self.shared.ports.limits.max_pixels);
        let read = tokio::task::spawn_blocking(move || read(&source, kind, &key, max_pixels));
        let (looks, info) = read.await.map_err(|_| Trouble::Passing)??;
        let length = usize::try_from(info.file_length).map_err(|_| Trouble::Message(FailureReason::TooLarge))?;
        let length = wacore::upload::encrypted_len(length) as u64;
        let encrypted = Encrypted { plain, key, media_type: media_type(kind), length };
        let answer = Box::pin(self.client.upload_stream(encrypted, info, media_type(kind))).await;
        let answer = answer.map_err(|error| refusal(&error))?;
        // Of a document its bytes tell little: an office file is an archive to them.
        let said = media.mime_type.clone().filter(|_| kind == MediaKind::Document);
        let mime_type = said.unwrap_or(looks.mime_type);
        Ok(Arc::new(described(kind, answer, mime_type, looks.pixels)))
    }

    /// What follows an attempt that failed for a passing reason.
    async fn wait_or_give_up(&self, row: &Outbound, id: MediaId, attempt: u32) -> Prepared {
        let awaited = self.known(id).await.is_ok_and(|media| media.state == MediaState::Pending && media.link.is_some());
        let limit = self.shared.options.media_attempts;
        if attempt.saturating_add(1) < if awaited { limit.min(LINK_ATTEMPTS) } else { limit } {
            return Prepared::Later;
        }
        // A link that did not answer is not asked again; a file that is here, or at WhatsApp, stays what it is.
        if awaited && self.settle(id, Some(row.message.id), MediaOutcome::Failed(MediaFailure::MediaFetch)).await.is_err() {
            return Prepared::Lost;
        }
        Prepared::Failed(FailureReason::Media)
    }
}

/// Reads the file once: what it looks like, and the hashes under which it is uploaded.
fn read(
    plain: &Plain,
    kind: MediaKind,
    key: &[u8; 32],
    max_pixels: u64,
) -> Result<(Inspected, EncryptedMediaInfo), Trouble> {
    let away = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Trouble::Message(FailureReason::Media),
        _ => Trouble::Passing,
    };
    let mut reader = plain.reader().map_err(away)?;
    let mut head = Vec::new();
    reader.by_ref().take(HEAD_BYTES as u64).read_to_end(&mut head).map_err(away)?;
    let looks = inspect(&head, None, Some(kind), max_pixels).map_err(|_| Trouble::Message(FailureReason::Media))?;
    let whole = head.as_slice().chain(reader);
    let info = encrypt_media_streaming_with_key(whole, io::sink(), media_type(kind), Some(key), None);
    Ok((looks, info.map_err(|_| Trouble::Passing)?))
}

/// What the media host's refusal of an upload means. Which of these WhatsApp sends is not known but for 401 and 403, which
/// the library answers with a fresh token.
fn refusal(error: &anyhow::Error) -> Trouble {
    let cause: &(dyn std::error::Error + 'static) = error.as_ref();
    match cause.http_status() {
        Some(413) => Trouble::Message(FailureReason::TooLarge),
        Some(400 | 415 | 422) => Trouble::Message(FailureReason::Media),
        _ => Trouble::Passing,
    }
}

/// The part of WhatsApp's message that describes the file, whoever it is sent to.
fn described(kind: MediaKind, answer: UploadResponse, mime_type: String, pixels: Option<(u32, u32)>) -> wa::Message {
    let (width, height) = pixels.unzip();
    macro_rules! file {
        ($message:ident { $($field:ident),* }) => {
            $message {
                url: Some(answer.url),
                direct_path: Some(answer.direct_path),
                media_key: Some(answer.media_key.to_vec()),
                file_sha256: Some(answer.file_sha256.to_vec()),
                file_enc_sha256: Some(answer.file_enc_sha256.to_vec()),
                file_length: Some(answer.file_length),
                media_key_timestamp: Some(answer.media_key_timestamp),
                mimetype: Some(mime_type),
                $($field,)*
                ..Default::default()
            }
            .into()
        };
    }
    let streaming_sidecar = answer.streaming_sidecar;
    let mut message = wa::Message::default();
    match kind {
        MediaKind::Image => message.image_message = file!(ImageMessage { width, height }),
        MediaKind::Video => message.video_message = file!(VideoMessage { streaming_sidecar }),
        MediaKind::Audio => message.audio_message = file!(AudioMessage { streaming_sidecar }),
        MediaKind::Document => message.document_message = file!(DocumentMessage {}),
        MediaKind::Sticker => message.sticker_message = file!(StickerMessage { width, height }),
    }
    message
}
