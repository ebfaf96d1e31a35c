//! What a message says, as the person who reads it would tell: its kind and particulars, and of media the bytes behind
//! it, fetched and decrypted the way a phone does it.

use std::io::Write;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use wacore::download::{DownloadUtils, Downloadable, MediaType};
use wacore::proto_helpers::MessageExt as _;
use wacore::types::message::EditAttribute;
use wacore_binary::Jid;
use waproto::buffa::Message as _;
use waproto::whatsapp::message::{ProtocolMessage, ReactionMessage, protocol_message};
use waproto::whatsapp::{ContextInfo, Message};

use crate::account::Account;
use crate::world::World;

/// A message is kept for the account's other devices up to this size, in bytes; of a larger one only the particulars.
const ENCODED_LIMIT: usize = 64 * 1024;
/// People mentioned and contact cards noted of one message.
const LIST_LIMIT: usize = 256;

/// What a message says.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Content {
    pub(crate) kind: Kind,
    /// The text of a text, the new text of an edit; `None` for everything else.
    pub(crate) text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) caption: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) quoted_id: Option<String>,
    /// Phone numbers; the address itself of somebody who is not known here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) mentions: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) media: Option<Media>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) location: Option<Location>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) contacts: Vec<Card>,
    /// The message a reaction, an edit or a revocation is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) target_id: Option<String>,
    /// Of a reaction; empty takes the reaction back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) emoji: Option<String>,
    /// The message itself, for the account's companions. Not kept over a restart.
    #[serde(skip)]
    pub(crate) encoded: Option<Vec<u8>>,
    #[serde(skip)]
    source: Option<Source>,
}

/// The types of messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    #[default]
    Text,
    Image,
    Video,
    Audio,
    /// An audio recorded in the chat.
    Voice,
    Document,
    Sticker,
    Location,
    Contacts,
    Reaction,
    Edit,
    Revoke,
    /// A type nobody here reads: polls, calls, settings of the chat.
    Unknown,
}

/// The particulars of media. Sizes in bytes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Media {
    pub(crate) mime_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) file_name: Option<String>,
    /// What the sender says.
    pub(crate) declared_size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) seconds: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) width: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) height: Option<u32>,
    pub(crate) has_thumbnail: bool,
    pub(crate) direct_path: Option<String>,
    pub(crate) state: Fetched,
    /// Why it is not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
    /// Of the decrypted bytes.
    pub(crate) size: Option<u64>,
    /// Of the decrypted bytes, in hex.
    pub(crate) sha256: Option<String>,
}

/// How far a phone is with media.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Fetched {
    #[default]
    Pending,
    Ready,
    Failed,
}

/// A place.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Location {
    pub(crate) latitude: f64,
    pub(crate) longitude: f64,
    pub(crate) name: Option<String>,
    pub(crate) address: Option<String>,
}

/// A contact card.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Card {
    pub(crate) name: Option<String>,
    pub(crate) vcard: String,
}

/// Where a phone fetches media and how it opens it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Source {
    path: String,
    key: Vec<u8>,
    media_type: MediaType,
    sha256: Vec<u8>,
}

/// What the stanza of a message says about it, outside the encryption.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Form {
    pub(crate) kind: &'static str,
    pub(crate) media: Option<&'static str>,
    pub(crate) edit: Option<String>,
}

impl Form {
    pub(crate) fn of(message: &Message) -> Self {
        Self {
            kind: wacore::send::stanza_type_from_message(message),
            media: wacore::send::media_type_from_message(message),
            edit: EditAttribute::infer_from_message(message).map(|edit| edit.to_string_val().to_owned()),
        }
    }
}

impl Content {
    /// Reads a decrypted message.
    pub(crate) fn read(world: &World, message: &Message) -> Self {
        let base = message.get_base_message();
        let base = base.edited_message.as_option().and_then(|edited| edited.message.as_option()).unwrap_or(base);
        let mut content = Self::particulars(base);
        if let Some(context) = context(base) {
            content.quoted_id = context.stanza_id.clone();
            content.mentions = context.mentioned_jid.iter().take(LIST_LIMIT).map(|jid| number(world, jid)).collect();
        }
        let encoded = message.encode_to_vec();
        content.encoded = (encoded.len() <= ENCODED_LIMIT).then_some(encoded);
        content
    }

    fn particulars(message: &Message) -> Self {
        let of = |kind: Kind| Self { kind, ..Self::default() };
        if let Some(text) = &message.conversation {
            return Self { text: Some(text.clone()), ..of(Kind::Text) };
        }
        if let Some(extended) = message.extended_text_message.as_option() {
            return Self { text: extended.text.clone(), ..of(Kind::Text) };
        }
        if let Some(reaction) = message.reaction_message.as_option() {
            return Self::reaction(reaction);
        }
        if let Some(protocol) = message.protocol_message.as_option() {
            return Self::protocol(protocol);
        }
        if let Some(place) = message.location_message.as_option() {
            let location = Location {
                latitude: place.degrees_latitude.unwrap_or_default(),
                longitude: place.degrees_longitude.unwrap_or_default(),
                name: place.name.clone(),
                address: place.address.clone(),
            };
            return Self { location: Some(location), ..of(Kind::Location) };
        }
        let one = message.contact_message.as_option().map(std::slice::from_ref);
        let many = message.contacts_array_message.as_option().map(|array| array.contacts.as_slice());
        if let Some(cards) = one.or(many) {
            let contacts = cards
                .iter()
                .take(LIST_LIMIT)
                .map(|card| Card { name: card.display_name.clone(), vcard: card.vcard.clone().unwrap_or_default() });
            return Self { contacts: contacts.collect(), ..of(Kind::Contacts) };
        }
        Self::media(message).unwrap_or_else(|| of(Kind::Unknown))
    }

    fn reaction(reaction: &ReactionMessage) -> Self {
        Self {
            kind: Kind::Reaction,
            target_id: reaction.key.as_option().and_then(|key| key.id.clone()),
            emoji: Some(reaction.text.clone().unwrap_or_default()),
            ..Self::default()
        }
    }

    fn protocol(protocol: &ProtocolMessage) -> Self {
        let target_id = protocol.key.as_option().and_then(|key| key.id.clone());
        if protocol.r#type == Some(protocol_message::Type::REVOKE) {
            return Self { kind: Kind::Revoke, target_id, ..Self::default() };
        }
        let Some(edited) = protocol.edited_message.as_option() else {
            return Self { kind: Kind::Unknown, ..Self::default() };
        };
        let new = Self::particulars(edited.get_base_message());
        Self { kind: Kind::Edit, target_id, text: new.text.or_else(|| new.caption.clone()), ..Self::default() }
    }

    fn media(message: &Message) -> Option<Self> {
        if let Some(image) = message.image_message.as_option() {
            let media = Media {
                width: image.width,
                height: image.height,
                has_thumbnail: image.jpeg_thumbnail.is_some(),
                ..Media::of(image, image.mimetype.as_ref())
            };
            return Some(Self::with_media(Kind::Image, image, media, image.caption.clone()));
        }
        if let Some(video) = message.video_message.as_option() {
            let media = Media {
                width: video.width,
                height: video.height,
                seconds: video.seconds,
                has_thumbnail: video.jpeg_thumbnail.is_some(),
                ..Media::of(video, video.mimetype.as_ref())
            };
            return Some(Self::with_media(Kind::Video, video, media, video.caption.clone()));
        }
        if let Some(audio) = message.audio_message.as_option() {
            let kind = if audio.ptt == Some(true) { Kind::Voice } else { Kind::Audio };
            let media = Media { seconds: audio.seconds, ..Media::of(audio, audio.mimetype.as_ref()) };
            return Some(Self::with_media(kind, audio, media, None));
        }
        if let Some(document) = message.document_message.as_option() {
            let media = Media {
                file_name: document.file_name.clone(),
                has_thumbnail: document.jpeg_thumbnail.is_some(),
                ..Media::of(document, document.mimetype.as_ref())
            };
            return Some(Self::with_media(Kind::Document, document, media, document.caption.clone()));
        }
        let sticker = message.sticker_message.as_option()?;
        let media = Media {
            width: sticker.width,
            height: sticker.height,
            has_thumbnail: sticker.png_thumbnail.is_some(),
            ..Media::of(sticker, sticker.mimetype.as_ref())
        };
        Some(Self::with_media(Kind::Sticker, sticker, media, None))
    }

    fn with_media(kind: Kind, file: &dyn Downloadable, mut media: Media, caption: Option<String>) -> Self {
        let source = Source::of(file);
        if source.is_none() {
            media.state = Fetched::Failed;
            media.error = Some("the message names no file, or no key for it".to_owned());
        }
        Self { kind, caption, media: Some(media), source, ..Self::default() }
    }

    /// Whether there is media the phone has yet to fetch.
    pub(crate) fn awaits_media(&self) -> bool {
        self.source.is_some()
    }

    /// After a restart nobody fetches any more.
    pub(super) fn settle(&mut self) {
        if let Some(media) = self.media.as_mut().filter(|media| media.state == Fetched::Pending) {
            media.state = Fetched::Failed;
            media.error = Some("the simulator was restarted before it was fetched".to_owned());
        }
    }
}

impl Media {
    fn of(file: &dyn Downloadable, mime_type: Option<&String>) -> Self {
        Self {
            mime_type: mime_type.cloned(),
            declared_size: file.file_length(),
            direct_path: file.direct_path().map(ToOwned::to_owned),
            ..Self::default()
        }
    }
}

impl Source {
    fn of(file: &dyn Downloadable) -> Option<Self> {
        Some(Self {
            path: file.direct_path()?.to_owned(),
            key: file.media_key()?.to_vec(),
            media_type: file.app_info(),
            sha256: file.file_sha256()?.to_vec(),
        })
    }

    /// Decrypts the stored file; the size and the SHA-256 of what is in it.
    fn open(&self, world: &World) -> anyhow::Result<(u64, [u8; 32])> {
        let file = world.media.open_path(&self.path)?;
        let mut hash = Hash::default();
        DownloadUtils::decrypt_stream_to_writer(file, &self.key, self.media_type, &mut hash)?;
        let digest: [u8; 32] = hash.digest.finalize().into();
        anyhow::ensure!(digest.as_slice() == self.sha256, "the decrypted bytes do not have the hash the message names");
        Ok((hash.size, digest))
    }
}

/// Hashes what is written to it, and keeps none of it.
#[derive(Default)]
struct Hash {
    digest: Sha256,
    size: u64,
}

impl Write for Hash {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.digest.update(bytes);
        self.size += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Fetches the media of one message of the inbox and notes what came of it. Reads a file: not for the runtime's threads.
pub(super) fn fetch(world: &World, account: &Account, from: u64, id: &str) {
    let source = account.handset().inbox.find(from, id).and_then(|item| item.content.source.take());
    let Some(source) = source else { return };
    let opened = source.open(world);
    let mut handset = account.handset();
    let Some(media) = handset.inbox.find(from, id).and_then(|item| item.content.media.as_mut()) else { return };
    match opened {
        Ok((size, digest)) => {
            media.state = Fetched::Ready;
            media.size = Some(size);
            media.sha256 = Some(hex::encode(digest));
            world.counters.media_fetched.one();
        }
        Err(error) => {
            media.state = Fetched::Failed;
            media.error = Some(error.to_string());
            world.counters.media_failed.one();
        }
    }
}

/// The part of a message that quotes and mentions.
fn context(message: &Message) -> Option<&ContextInfo> {
    None.or_else(|| message.extended_text_message.as_option()?.context_info.as_option())
        .or_else(|| message.image_message.as_option()?.context_info.as_option())
        .or_else(|| message.video_message.as_option()?.context_info.as_option())
        .or_else(|| message.audio_message.as_option()?.context_info.as_option())
        .or_else(|| message.document_message.as_option()?.context_info.as_option())
        .or_else(|| message.sticker_message.as_option()?.context_info.as_option())
        .or_else(|| message.location_message.as_option()?.context_info.as_option())
        .or_else(|| message.contact_message.as_option()?.context_info.as_option())
        .or_else(|| message.contacts_array_message.as_option()?.context_info.as_option())
}

fn number(world: &World, address: &str) -> String {
    let account = address.parse::<Jid>().ok().and_then(|jid| world.directory.locate(&jid));
    account.map_or_else(|| address.to_owned(), |account| account.phone.to_string())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use waproto::buffa::MessageField;
    use waproto::whatsapp::MessageKey;
    use waproto::whatsapp::message::{AudioMessage, FutureProofMessage, ImageMessage};

    use super::*;

    fn key(id: &str) -> MessageField<MessageKey> {
        MessageField::some(MessageKey { id: Some(id.to_owned()), ..Default::default() })
    }

    #[test]
    fn an_edit_names_its_target_and_the_new_text() {
        let new = Message { conversation: Some("new".to_owned()), ..Default::default() };
        let protocol = ProtocolMessage {
            key: key("A"),
            r#type: Some(protocol_message::Type::MESSAGE_EDIT),
            edited_message: MessageField::some(new),
            ..Default::default()
        };
        let content =
            Content::particulars(&Message { protocol_message: MessageField::some(protocol), ..Default::default() });
        assert_eq!(
            (content.kind, content.target_id.as_deref(), content.text.as_deref()),
            (Kind::Edit, Some("A"), Some("new"))
        );
    }

    #[test]
    fn a_reaction_taken_back_is_an_empty_one() {
        let reaction = ReactionMessage { key: key("A"), ..Default::default() };
        let content =
            Content::particulars(&Message { reaction_message: MessageField::some(reaction), ..Default::default() });
        assert_eq!((content.kind, content.emoji.as_deref()), (Kind::Reaction, Some("")));
    }

    #[test]
    fn media_without_a_key_says_so_at_once() {
        let image = ImageMessage { caption: Some("c".to_owned()), ..Default::default() };
        let content = Content::particulars(&Message { image_message: MessageField::some(image), ..Default::default() });
        assert_eq!(content.media.as_ref().unwrap().state, Fetched::Failed);
        assert!(!content.awaits_media());
    }

    #[test]
    fn a_voice_note_inside_a_wrapper_is_a_voice_note() {
        let audio = AudioMessage { ptt: Some(true), ..Default::default() };
        let inner = Message { audio_message: MessageField::some(audio), ..Default::default() };
        let outer = Message {
            ephemeral_message: MessageField::some(FutureProofMessage { message: MessageField::some(inner) }),
            ..Default::default()
        };
        assert_eq!(Content::particulars(outer.get_base_message()).kind, Kind::Voice);
    }

    #[test]
    fn an_inbox_of_an_older_snapshot_is_read() {
        let content: Content = serde_json::from_str(r#"{"text":"a","quoted_id":"q"}"#).unwrap();
        assert_eq!(
            (content.kind, content.text.as_deref(), content.quoted_id.as_deref()),
            (Kind::Text, Some("a"), Some("q"))
        );
    }
}
