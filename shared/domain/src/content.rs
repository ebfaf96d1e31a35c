//! What a message says: `{"type": "text", "text": {...}}`, the same for a send, a resource and an event.

use crate::{MediaId, MessageId, media::MediaKind};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a message says. Its `Debug` shows the type and nothing of what was written.
#[derive(Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
#[schema(description = "What a message says: `type`, and the object of that name.")]
pub enum Content {
    /// A text.
    Text {
        /// The text.
        text: Text,
    },
    /// A place.
    Location {
        /// The place.
        location: Location,
    },
    /// Contact cards.
    Contacts {
        /// The cards: 1 to 100.
        #[schema(min_items = 1, max_items = 100)]
        contacts: Vec<Contact>,
    },
    /// A picture.
    Image {
        /// The picture.
        image: Attachment,
    },
    /// A film.
    Video {
        /// The film.
        video: Attachment,
    },
    /// Sound: a file, or a voice note.
    Audio {
        /// The sound.
        audio: Attachment,
    },
    /// Any file.
    Document {
        /// The file.
        document: Attachment,
    },
    /// A sticker.
    Sticker {
        /// The sticker.
        sticker: Attachment,
    },
    /// An emoji on another message.
    Reaction {
        /// Which emoji, on which message.
        reaction: Reaction,
    },
    /// A new text for a text sent before.
    Edit {
        /// Which text, and the new one.
        edit: Edit,
    },
    /// A message taken back for everybody.
    Revoke {
        /// Which message.
        revoke: Target,
    },
    /// Something that WhatsApp delivered and this version does not read yet.
    Unsupported,
}

impl Content {
    /// The `type` as the API writes it.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Text { .. } => "text",
            Self::Location { .. } => "location",
            Self::Contacts { .. } => "contacts",
            Self::Image { .. } => "image",
            Self::Video { .. } => "video",
            Self::Audio { .. } => "audio",
            Self::Document { .. } => "document",
            Self::Sticker { .. } => "sticker",
            Self::Reaction { .. } => "reaction",
            Self::Edit { .. } => "edit",
            Self::Revoke { .. } => "revoke",
            Self::Unsupported => "unsupported",
        }
    }

    /// The file that this carries, and as what.
    #[must_use]
    pub const fn attachment(&self) -> Option<(MediaKind, &Attachment)> {
        match self {
            Self::Image { image } => Some((MediaKind::Image, image)),
            Self::Video { video } => Some((MediaKind::Video, video)),
            Self::Audio { audio } => Some((MediaKind::Audio, audio)),
            Self::Document { document } => Some((MediaKind::Document, document)),
            Self::Sticker { sticker } => Some((MediaKind::Sticker, sticker)),
            _ => None,
        }
    }

    /// The message that this is about, if it is about one.
    #[must_use]
    pub const fn target(&self) -> Option<&Target> {
        match self {
            Self::Reaction { reaction } => Some(&reaction.target),
            Self::Edit { edit } => Some(&edit.target),
            Self::Revoke { revoke } => Some(revoke),
            _ => None,
        }
    }

    /// The same, to be changed.
    pub const fn target_mut(&mut self) -> Option<&mut Target> {
        match self {
            Self::Reaction { reaction } => Some(&mut reaction.target),
            Self::Edit { edit } => Some(&mut edit.target),
            Self::Revoke { revoke } => Some(revoke),
            _ => None,
        }
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Content({})", self.kind())
    }
}

/// What people wrote shows in no log, by whichever way it would get there.
macro_rules! redacted {
    ($($name:ident),*) => {
        $(impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        })*
    };
}

redacted!(Text, Location, Contact, Attachment, Target, Reaction, Edit);

/// A text.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Text {
    /// 1 to 65,536 characters, at least one of them visible.
    #[schema(min_length = 1, max_length = 65_536)]
    pub body: String,
    /// Addresses of people whom the text mentions as `@` and their digits; at most 256.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 256)]
    pub mentions: Vec<String>,
}

/// A place.
#[derive(Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Location {
    /// Degrees, -90 to 90.
    #[schema(minimum = -90, maximum = 90)]
    pub latitude: f64,
    /// Degrees, -180 to 180.
    #[schema(minimum = -180, maximum = 180)]
    pub longitude: f64,
    /// Its name, at most 1,000 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its address, at most 1,000 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

/// A contact card: a name with phone numbers, or a vCard.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Contact {
    /// The name shown, 1 to 1,000 characters.
    #[schema(min_length = 1, max_length = 1_000)]
    pub name: String,
    /// Phone numbers with their country code; at most 20. Left out where a vCard is given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 20)]
    pub phones: Vec<String>,
    /// The whole card (RFC 6350 or older), at most 16 KiB. Of a received card always present.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vcard: Option<String>,
}

/// A file that a message carries. Where the file itself stands is told by the file: `GET /v1/media/{id}/info`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Attachment {
    /// Which file.
    pub id: MediaId,
    /// Words under it, at most 4,096 characters (image, video, document).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caption: Option<String>,
    /// Its name for people (document).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
    /// Its type, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mime_type: Option<String>,
    /// Bytes, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// SHA-256 of its bytes, 64 hex digits, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Whether it is a voice note (audio).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub voice: bool,
    /// Whether it moves without sound: a film shown as a GIF, an animated sticker.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub animated: bool,
    /// Pixels across, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Pixels down, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// How long it plays, seconds, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u32>,
}

/// Another message, named as WhatsApp does: its ids are unique only per chat and author.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Target {
    /// Its id here, if it is stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<MessageId>,
    /// Its id at WhatsApp.
    pub whatsapp_id: String,
    /// Whether the one who says this wrote it.
    pub from_me: bool,
    /// Address of its author, without a device, where that is neither the one who says this nor the chat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
}

/// An emoji on another message.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Reaction {
    /// On which message.
    #[serde(flatten)]
    pub target: Target,
    /// One emoji; empty takes an earlier reaction back.
    pub emoji: String,
}

/// A new text for a text sent before.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Edit {
    /// For which text.
    #[serde(flatten)]
    pub target: Target,
    /// The new text.
    pub body: String,
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn is_written_as_its_type_and_the_object_of_that_name() {
        let target = Target { message_id: None, whatsapp_id: "3EB0".into(), from_me: true, author: None };
        let written = [
            (
                Content::Text { text: Text { body: "hi".into(), mentions: vec![] } },
                json!({"type": "text", "text": {"body": "hi"}}),
            ),
            (
                Content::Location { location: Location { latitude: 1.5, longitude: -2.0, name: None, address: None } },
                json!({"type": "location", "location": {"latitude": 1.5, "longitude": -2.0}}),
            ),
            (
                Content::Reaction { reaction: Reaction { target: target.clone(), emoji: "👍".into() } },
                json!({"type": "reaction", "reaction": {"whatsapp_id": "3EB0", "from_me": true, "emoji": "👍"}}),
            ),
            (
                Content::Edit { edit: Edit { target: target.clone(), body: "new".into() } },
                json!({"type": "edit", "edit": {"whatsapp_id": "3EB0", "from_me": true, "body": "new"}}),
            ),
            (
                Content::Revoke { revoke: target },
                json!({"type": "revoke", "revoke": {"whatsapp_id": "3EB0", "from_me": true}}),
            ),
        ];
        for (content, expected) in written {
            assert_eq!(serde_json::to_value(&content).unwrap(), expected);
            assert_eq!(serde_json::from_value::<Content>(expected).unwrap(), content);
        }
    }

    #[test]
    fn debug_shows_nothing_that_people_wrote() {
        let content = Content::Text { text: Text { body: "secret".into(), mentions: vec![] } };
        assert_eq!(format!("{content:?}"), "Content(text)");
    }
}
