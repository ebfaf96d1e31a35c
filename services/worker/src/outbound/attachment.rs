//! A message that carries a file: what the media host answered, with what the caller says beside it.

use waproto::buffa::MessageField;
use waproto::whatsapp as wa;
use waproto::whatsapp::message::FutureProofMessage;
use warren_domain::{media::MediaKind, message::Attachment};

/// The message of `kind`. `file` is the part that describes the file; an empty one makes a message that only recalls it.
pub(super) fn message(
    kind: MediaKind,
    attachment: &Attachment,
    file: wa::Message,
    context: Option<wa::ContextInfo>,
) -> wa::Message {
    let caption = attachment.caption.clone();
    let context_info = context.map_or_else(MessageField::none, MessageField::some);
    let (width, height, seconds) = (attachment.width, attachment.height, attachment.seconds);
    let animated = attachment.animated.then_some(true);
    let mut message = wa::Message::default();
    match kind {
        MediaKind::Image => {
            let mut image = taken(file.image_message);
            (image.width, image.height) = (image.width.or(width), image.height.or(height));
            (image.caption, image.context_info) = (caption, context_info);
            message.image_message = image.into();
        }
        MediaKind::Video => {
            let mut video = taken(file.video_message);
            (video.width, video.height, video.seconds) = (width, height, seconds);
            (video.caption, video.gif_playback, video.context_info) = (caption, animated, context_info);
            message.video_message = video.into();
        }
        MediaKind::Audio => {
            let mut audio = taken(file.audio_message);
            (audio.seconds, audio.ptt, audio.context_info) = (seconds, Some(attachment.voice), context_info);
            message.audio_message = audio.into();
        }
        MediaKind::Document => {
            let mut document = taken(file.document_message);
            document.mimetype = attachment.mime_type.clone().or(document.mimetype);
            document.file_name = attachment.filename.clone();
            document.title = attachment.filename.clone();
            (document.caption, document.context_info) = (caption, context_info);
            message.document_message = document.into();
            if attachment.caption.is_some() {
                return with_words(message);
            }
        }
        MediaKind::Sticker => {
            let mut sticker = taken(file.sticker_message);
            (sticker.width, sticker.height) = (sticker.width.or(width), sticker.height.or(height));
            (sticker.is_animated, sticker.context_info) = (animated, context_info);
            message.sticker_message = sticker.into();
        }
    }
    message
}

/// Phones show words under a document only in this wrapping.
fn with_words(message: wa::Message) -> wa::Message {
    let wrapped = FutureProofMessage { message: MessageField::from_box(Box::new(message)) };
    wa::Message { document_with_caption_message: wrapped.into(), ..Default::default() }
}

fn taken<T: Clone + Default>(field: MessageField<T>) -> T {
    field.as_option().cloned().unwrap_or_default()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use waproto::whatsapp::message::{AudioMessage, DocumentMessage};
    use warren_domain::MediaId;

    fn attachment() -> Attachment {
        serde_json::from_value(serde_json::json!({"id": MediaId::generate()})).unwrap()
    }

    #[test]
    fn a_voice_note_says_so_and_keeps_its_file() {
        let uploaded = AudioMessage { direct_path: Some("/v/x".into()), ..Default::default() };
        let file = wa::Message { audio_message: uploaded.into(), ..Default::default() };
        let voice = Attachment { voice: true, seconds: Some(3), ..attachment() };
        let sent = taken(message(MediaKind::Audio, &voice, file, None).audio_message);
        assert_eq!((sent.ptt, sent.seconds, sent.direct_path.as_deref()), (Some(true), Some(3), Some("/v/x")));
    }

    #[test]
    fn a_document_with_words_is_wrapped() {
        let uploaded = DocumentMessage { mimetype: Some("application/pdf".into()), ..Default::default() };
        let file = wa::Message { document_message: uploaded.into(), ..Default::default() };
        let plain = message(MediaKind::Document, &attachment(), file.clone(), None);
        assert_eq!(taken(plain.document_message).mimetype.as_deref(), Some("application/pdf"));
        let words = Attachment { caption: Some("read".into()), filename: Some("a.pdf".into()), ..attachment() };
        let sent = message(MediaKind::Document, &words, file, None);
        let inner = sent.document_with_caption_message.as_option().and_then(|wrapped| wrapped.message.as_option()).unwrap();
        let document = inner.document_message.as_option().unwrap();
        assert_eq!((document.caption.as_deref(), document.file_name.as_deref()), (Some("read"), Some("a.pdf")));
    }
}
