//! What a person is to write, as a test says it, and the message a phone makes of it.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use wacore::download::MediaType;
use wacore_binary::Jid;
use waproto::buffa::MessageField;
use waproto::whatsapp::message::{
    AudioMessage, ContactMessage, ContactsArrayMessage, DocumentMessage, ExtendedTextMessage, ImageMessage, LocationMessage,
    ProtocolMessage, ReactionMessage, StickerMessage, VideoMessage, protocol_message,
};
use waproto::whatsapp::{ContextInfo, Message, MessageKey};

use super::content::{Card, Kind, Location};
use crate::account::Account;
use crate::address::{Addressing, PHONE, parse_phone};
use crate::groups;
use crate::media::{self, Sealed};
use crate::stanza;
use crate::world::World;

/// A message to write.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Draft {
    pub(crate) kind: Kind,
    pub(crate) text: Option<String>,
    pub(crate) caption: Option<String>,
    pub(crate) quoted_id: Option<String>,
    /// Phone numbers.
    pub(crate) mentions: Vec<String>,
    pub(crate) media: Option<File>,
    pub(crate) location: Option<Location>,
    pub(crate) contacts: Vec<Card>,
    pub(crate) target_id: Option<String>,
    pub(crate) emoji: Option<String>,
}

/// The media of a draft: given bytes, or as many made-up ones as `size` says.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct File {
    pub(crate) base64: Option<String>,
    pub(crate) size: Option<u64>,
    pub(crate) mime_type: Option<String>,
    pub(crate) file_name: Option<String>,
    pub(crate) seconds: Option<u32>,
    pub(crate) width: Option<u32>,
    pub(crate) height: Option<u32>,
    /// What the message says in place of the true hash (hex) and size.
    pub(crate) declared_sha256: Option<String>,
    pub(crate) declared_size: Option<u64>,
}

/// What a test gets to know about the media that was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Attached {
    pub(crate) direct_path: String,
    /// Of the plain bytes, in hex.
    pub(crate) sha256: String,
    /// Of the plain bytes.
    pub(crate) size: u64,
}

/// Why a draft is no message.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{0}")]
    Invalid(&'static str),
    #[error(transparent)]
    Store(#[from] media::Error),
}

impl Draft {
    /// Builds the message for a chat, storing its media. Reads and writes files: not for the runtime's threads.
    ///
    /// # Errors
    /// [`Error::Invalid`] when what the kind needs is missing; the others when the media cannot be stored.
    pub(crate) fn compose(self, world: &World, writer: &Account, chat: &Jid) -> Result<(Message, Option<Attached>), Error> {
        let context = self.context(world, writer, chat)?;
        match self.kind {
            Kind::Text => Ok((self.text_message(context)?, None)),
            Kind::Location => Ok((self.location_message(context)?, None)),
            Kind::Contacts => Ok((self.contacts_message(context)?, None)),
            Kind::Reaction | Kind::Edit | Kind::Revoke => Ok((self.about_another(world, writer, chat)?, None)),
            Kind::Image | Kind::Video | Kind::Audio | Kind::Voice | Kind::Document | Kind::Sticker => {
                self.media_message(world, context)
            }
            Kind::Unknown => Err(Error::Invalid("kind cannot be unknown")),
        }
    }

    fn context(&self, world: &World, writer: &Account, chat: &Jid) -> Result<MessageField<ContextInfo>, Error> {
        if self.quoted_id.is_none() && self.mentions.is_empty() {
            return Ok(MessageField::none());
        }
        let addressing = groups::addressing_in(world, chat);
        let mut mentioned = Vec::with_capacity(self.mentions.len());
        for text in &self.mentions {
            let phone = parse_phone(text).ok_or(Error::Invalid("a mention is not a phone number"))?;
            let known = world.directory.by_phone(phone);
            let jid = known.map_or_else(|| Jid::pn(phone.to_string()), |account| account.jid(PHONE, addressing));
            mentioned.push(jid.to_string());
        }
        let quoted = self.quoted_id.as_deref().map(|id| Target::find(world, writer, chat, id));
        Ok(MessageField::some(ContextInfo {
            stanza_id: self.quoted_id.clone(),
            participant: quoted.as_ref().map(|target| target.author.to_string()),
            quoted_message: quoted.and_then(|target| target.message).map_or_else(MessageField::none, MessageField::some),
            mentioned_jid: mentioned,
            ..Default::default()
        }))
    }

    fn text_message(self, context: MessageField<ContextInfo>) -> Result<Message, Error> {
        let text = self.text.ok_or(Error::Invalid("a text needs text"))?;
        if !context.is_set() {
            return Ok(Message { conversation: Some(text), ..Default::default() });
        }
        let extended = ExtendedTextMessage { text: Some(text), context_info: context, ..Default::default() };
        Ok(Message { extended_text_message: MessageField::some(extended), ..Default::default() })
    }

    fn location_message(self, context_info: MessageField<ContextInfo>) -> Result<Message, Error> {
        let place = self.location.ok_or(Error::Invalid("a location needs location"))?;
        let location = LocationMessage {
            degrees_latitude: Some(place.latitude),
            degrees_longitude: Some(place.longitude),
            name: place.name,
            address: place.address,
            context_info,
            ..Default::default()
        };
        Ok(Message { location_message: MessageField::some(location), ..Default::default() })
    }

    fn contacts_message(self, context_info: MessageField<ContextInfo>) -> Result<Message, Error> {
        let card = |card: Card| ContactMessage { display_name: card.name, vcard: Some(card.vcard), ..Default::default() };
        let mut cards: Vec<ContactMessage> = self.contacts.into_iter().map(card).collect();
        if cards.len() > 1 {
            let display_name = Some(format!("{} contacts", cards.len()));
            let array = ContactsArrayMessage { display_name, contacts: cards, context_info };
            return Ok(Message { contacts_array_message: MessageField::some(array), ..Default::default() });
        }
        let mut only = cards.pop().ok_or(Error::Invalid("contacts needs contacts"))?;
        only.context_info = context_info;
        Ok(Message { contact_message: MessageField::some(only), ..Default::default() })
    }

    fn about_another(self, world: &World, writer: &Account, chat: &Jid) -> Result<Message, Error> {
        let id = self.target_id.ok_or(Error::Invalid("a reaction, an edit and a revocation need target_id"))?;
        let now = i64::try_from(stanza::unix_millis()).unwrap_or_default();
        let target = Target::find(world, writer, chat, &id);
        let key = MessageField::some(target.key(chat, id));
        let protocol = match self.kind {
            Kind::Reaction => {
                let text = Some(self.emoji.unwrap_or_default());
                let reaction = ReactionMessage { key, text, sender_timestamp_ms: Some(now), ..Default::default() };
                return Ok(Message { reaction_message: MessageField::some(reaction), ..Default::default() });
            }
            Kind::Edit => {
                let text = self.text.ok_or(Error::Invalid("an edit needs text"))?;
                ProtocolMessage {
                    key,
                    r#type: Some(protocol_message::Type::MESSAGE_EDIT),
                    edited_message: MessageField::some(Message { conversation: Some(text), ..Default::default() }),
                    timestamp_ms: Some(now),
                    ..Default::default()
                }
            }
            _ => ProtocolMessage { key, r#type: Some(protocol_message::Type::REVOKE), ..Default::default() },
        };
        Ok(Message { protocol_message: MessageField::some(protocol), ..Default::default() })
    }

    fn media_message(
        self,
        world: &World,
        context_info: MessageField<ContextInfo>,
    ) -> Result<(Message, Option<Attached>), Error> {
        let file = self.media.ok_or(Error::Invalid("this kind needs media"))?;
        let media_type = match self.kind {
            Kind::Image => MediaType::Image,
            Kind::Video => MediaType::Video,
            Kind::Document => MediaType::Document,
            Kind::Sticker => MediaType::Sticker,
            _ => MediaType::Audio,
        };
        let mut sealed = file.seal(world, media_type)?;
        let attached = Attached {
            direct_path: sealed.direct_path.clone(),
            sha256: hex::encode(sealed.info.file_sha256),
            size: sealed.info.file_length,
        };
        if let Some(text) = &file.declared_sha256 {
            hex::decode_to_slice(text, &mut sealed.info.file_sha256)
                .map_err(|_| Error::Invalid("media.declared_sha256 is not 64 hex digits"))?;
        }
        sealed.info.file_length = file.declared_size.unwrap_or(sealed.info.file_length);
        Ok((file.message(self.kind, sealed, self.caption, context_info), Some(attached)))
    }
}

impl File {
    fn seal(&self, world: &World, media_type: MediaType) -> Result<Sealed, Error> {
        match (&self.base64, self.size) {
            (Some(text), None) => {
                let bytes = BASE64_STANDARD.decode(text).map_err(|_| Error::Invalid("media.base64 is not base64"))?;
                Ok(world.media.seal(media_type, &mut bytes.as_slice())?)
            }
            (None, Some(size)) if size <= media::FILE_LIMIT => {
                Ok(world.media.seal(media_type, &mut media::Pattern::new(size))?)
            }
            (None, Some(_)) => Err(Error::Invalid("media.size is over the limit of a file")),
            _ => Err(Error::Invalid("media has either base64 or size")),
        }
    }

    fn message(
        self,
        kind: Kind,
        sealed: Sealed,
        caption: Option<String>,
        context_info: MessageField<ContextInfo>,
    ) -> Message {
        let mime = |default: &str| Some(self.mime_type.clone().unwrap_or_else(|| default.to_owned()));
        let info = sealed.info;
        let (url, direct_path) = (Some(sealed.url), Some(sealed.direct_path));
        let (media_key, file_sha256) = (Some(info.media_key.to_vec()), Some(info.file_sha256.to_vec()));
        let (file_enc_sha256, file_length) = (Some(info.file_enc_sha256.to_vec()), Some(info.file_length));
        let media_key_timestamp = i64::try_from(stanza::unix_seconds()).ok();
        let (seconds, width, height) = (self.seconds, self.width, self.height);
        macro_rules! with_file {
            ($message:ident, $mime:literal { $($field:ident $(: $value:expr)?),* }) => {
                MessageField::some($message {
                    url, direct_path, media_key, file_sha256, file_enc_sha256, file_length, media_key_timestamp, context_info,
                    mimetype: mime($mime), $($field $(: $value)?,)* ..Default::default()
                })
            };
        }
        let mut message = Message::default();
        match kind {
            Kind::Image => message.image_message = with_file!(ImageMessage, "image/jpeg" { caption, width, height }),
            Kind::Video => {
                message.video_message = with_file!(VideoMessage, "video/mp4" {
                    caption, width, height, seconds, streaming_sidecar: info.streaming_sidecar
                });
            }
            Kind::Document => {
                message.document_message = with_file!(DocumentMessage, "application/octet-stream" {
                    caption, title: self.file_name.clone(), file_name: self.file_name
                });
            }
            Kind::Sticker => message.sticker_message = with_file!(StickerMessage, "image/webp" { width, height }),
            _ => {
                message.audio_message = with_file!(AudioMessage, "audio/ogg; codecs=opus" {
                    seconds, ptt: Some(kind == Kind::Voice), streaming_sidecar: info.streaming_sidecar
                });
            }
        }
        message
    }
}

/// A message that another one is about.
struct Target {
    author: Jid,
    from_me: bool,
    message: Option<Message>,
}

impl Target {
    /// Looks through what the phone received; what it did not receive, it wrote.
    fn find(world: &World, writer: &Account, chat: &Jid, id: &str) -> Self {
        let addressing = groups::addressing_in(world, chat);
        let received = writer.handset().inbox.by_ids(&[id.to_owned()]).pop();
        let author = received
            .as_ref()
            .and_then(|item| item.from.parse().ok())
            .and_then(|phone| world.directory.by_phone(phone))
            .map(|author: Arc<Account>| author.jid(PHONE, addressing));
        let from_me = author.is_none();
        let author = author.unwrap_or_else(|| writer.jid(PHONE, addressing));
        Self { author, from_me, message: received.and_then(|item| item.message()) }
    }

    fn key(&self, chat: &Jid, id: String) -> MessageKey {
        let in_group = Addressing::of(chat).is_none();
        MessageKey {
            remote_jid: Some(chat.to_string()),
            from_me: Some(self.from_me),
            id: Some(id),
            participant: in_group.then(|| self.author.to_string()),
        }
    }
}
