//! The file that a received message carries: what its sender says of it, and what is needed to fetch it.

use crate::{
    media::{Source, is_path},
    session::SessionStore,
};
use wacore::types::events::InboundMessage;
use wacore::{download::Downloadable, proto_helpers::MessageExt};
use wacore_binary::JidExt as _;
use waproto::whatsapp as wa;
use warren_domain::{
    MediaId, Message, Timestamp,
    media::{Media, MediaFailure, MediaKind, MediaLimits, MediaOrigin, MediaState, sanitised_filename},
    message::{Attachment, Content},
};

/// The longest type that is kept, bytes.
const TYPE_LENGTH: usize = 255;

/// What the message shows of its file, under a fresh id; `None` if it carries none.
pub(super) fn read(base: &wa::Message) -> Option<Content> {
    let (kind, file) = file(base)?;
    let mut attachment = Attachment {
        id: MediaId::generate(),
        caption: None,
        filename: None,
        mime_type: None,
        size: file.file_length(),
        sha256: file.file_sha256().filter(|hash| hash.len() == 32).map(hex::encode),
        voice: false,
        animated: false,
        width: None,
        height: None,
        seconds: None,
    };
    let mime_type = particulars(base, kind, &mut attachment);
    attachment.mime_type = mime_type
        .filter(|mime| mime.len() <= TYPE_LENGTH && mime.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' '));
    Some(match kind {
        MediaKind::Image => Content::Image { image: attachment },
        MediaKind::Video => Content::Video { video: attachment },
        MediaKind::Audio => Content::Audio { audio: attachment },
        MediaKind::Document => Content::Document { document: attachment },
        MediaKind::Sticker => Content::Sticker { sticker: attachment },
    })
}

/// The context of a message that carries a file: what it answers.
pub(super) fn context(base: &wa::Message) -> Option<&wa::ContextInfo> {
    let of_image = base.image_message.as_option().and_then(|image| image.context_info.as_option());
    let of_video = || film(base).and_then(|video| video.context_info.as_option());
    let of_audio = || base.audio_message.as_option().and_then(|audio| audio.context_info.as_option());
    let of_document = || base.document_message.as_option().and_then(|document| document.context_info.as_option());
    let of_sticker = || base.sticker_message.as_option().and_then(|sticker| sticker.context_info.as_option());
    of_image.or_else(of_video).or_else(of_audio).or_else(of_document).or_else(of_sticker)
}

/// The file of a received message, to be kept with it: pending, or failed if the message does not say where it is (one that
/// is to be seen once is told to the phone alone).
pub(super) fn of(
    inbound: &InboundMessage,
    message: &Message,
    store: &SessionStore,
    limits: &MediaLimits,
    now: Timestamp,
) -> Option<Media> {
    let (_, attachment) = message.content.attachment()?;
    let (kind, file) = file(inbound.message.get_base_message())?;
    let source = source(inbound, message, kind, file).and_then(|source| store.seal_source(attachment.id, &source).ok());
    Some(Media {
        id: attachment.id,
        tenant: message.tenant,
        instance: Some(message.instance),
        origin: MediaOrigin::Whatsapp,
        state: if source.is_some() { MediaState::Pending } else { MediaState::Failed },
        reason: if source.is_some() { None } else { Some(MediaFailure::Gone) },
        mime_type: attachment.mime_type.clone(),
        size: attachment.size,
        sha256: file.file_sha256().and_then(|hash| hash.try_into().ok()),
        filename: attachment.filename.clone(),
        link: None,
        source,
        created_at: now,
        expires_at: limits.kept_until(now),
    })
}

fn source(inbound: &InboundMessage, message: &Message, kind: MediaKind, file: &dyn Downloadable) -> Option<Source> {
    let from = &inbound.info.source;
    Some(Source {
        kind,
        path: file.direct_path().filter(|path| is_path(path))?.to_owned(),
        key: file.media_key()?.to_vec(),
        encrypted_sha256: file.file_enc_sha256()?.to_vec(),
        message: message.id,
        whatsapp_id: message.whatsapp_id.clone(),
        chat: message.chat.clone(),
        author: from.chat.is_group().then(|| from.sender.to_non_ad().to_string()),
        from_me: from.is_from_me,
    })
}

fn file(base: &wa::Message) -> Option<(MediaKind, &dyn Downloadable)> {
    if let Some(image) = base.image_message.as_option() {
        return Some((MediaKind::Image, image));
    }
    if let Some(video) = film(base) {
        return Some((MediaKind::Video, video));
    }
    if let Some(audio) = base.audio_message.as_option() {
        return Some((MediaKind::Audio, audio));
    }
    if let Some(document) = base.document_message.as_option() {
        return Some((MediaKind::Document, document));
    }
    base.sticker_message.as_option().map(|sticker| (MediaKind::Sticker, sticker as &dyn Downloadable))
}

/// A film, or a round one that was recorded in the chat.
fn film(base: &wa::Message) -> Option<&wa::message::VideoMessage> {
    base.video_message.as_option().or_else(|| base.ptv_message.as_option())
}

/// Fills in what the kind has beside the file; its type, as its sender says.
fn particulars(base: &wa::Message, kind: MediaKind, attachment: &mut Attachment) -> Option<String> {
    match kind {
        MediaKind::Image => {
            let image = base.image_message.as_option()?;
            attachment.caption = words(image.caption.as_ref());
            (attachment.width, attachment.height) = (image.width, image.height);
            image.mimetype.clone()
        }
        MediaKind::Video => {
            let video = film(base)?;
            attachment.caption = words(video.caption.as_ref());
            attachment.animated = video.gif_playback.unwrap_or_default();
            (attachment.width, attachment.height, attachment.seconds) = (video.width, video.height, video.seconds);
            video.mimetype.clone()
        }
        MediaKind::Audio => {
            let audio = base.audio_message.as_option()?;
            attachment.voice = audio.ptt.unwrap_or_default();
            attachment.seconds = audio.seconds;
            audio.mimetype.clone()
        }
        MediaKind::Document => {
            let document = base.document_message.as_option()?;
            attachment.caption = words(document.caption.as_ref());
            attachment.filename = document.file_name.as_deref().and_then(sanitised_filename);
            document.mimetype.clone()
        }
        MediaKind::Sticker => {
            let sticker = base.sticker_message.as_option()?;
            attachment.animated = sticker.is_animated.unwrap_or_default();
            (attachment.width, attachment.height) = (sticker.width, sticker.height);
            sticker.mimetype.clone()
        }
    }
}

fn words(caption: Option<&String>) -> Option<String> {
    caption.filter(|caption| !caption.is_empty()).cloned()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use waproto::whatsapp::message::{AudioMessage, DocumentMessage};

    #[test]
    fn a_name_of_a_sender_is_no_path_and_a_type_no_header() {
        let document = DocumentMessage {
            file_name: Some("../../etc/passwd".into()),
            mimetype: Some("text/plain\r\nX: y".into()),
            file_sha256: Some(vec![1; 5]),
            ..Default::default()
        };
        let message = wa::Message { document_message: document.into(), ..Default::default() };
        let Some(Content::Document { document }) = read(&message) else { unreachable!() };
        assert_eq!(document.filename.as_deref(), Some("passwd"));
        assert_eq!((document.mime_type, document.sha256), (None, None));
    }

    #[test]
    fn a_voice_note_is_told_from_a_file_of_sound() {
        let voice = AudioMessage { ptt: Some(true), seconds: Some(4), ..Default::default() };
        let message = wa::Message { audio_message: voice.into(), ..Default::default() };
        let content = read(&message).unwrap();
        let (kind, attachment) = content.attachment().unwrap();
        assert_eq!((kind, attachment.voice, attachment.seconds), (MediaKind::Audio, true, Some(4)));
    }
}
