//! Identifiers. Each is a UUIDv7 (so that ids sort by creation) written as 32 lower-case hex digits.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{fmt, str::FromStr};
use uuid::Uuid;

/// The text is not 32 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an id is 32 hex digits")]
pub struct ParseIdError;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $example:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, utoipa::ToSchema)]
        #[schema(value_type = String, pattern = "^[0-9a-f]{32}$", examples($example))]
        pub struct $name(Uuid);

        impl $name {
            /// A fresh id: UUIDv7, unique without coordination, sorting by creation time (millisecond resolution).
            #[must_use]
            pub fn generate() -> Self {
                Self(Uuid::now_v7())
            }

            /// The id with exactly these 16 bytes.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }

            /// The 16 bytes, in the order in which the text shows them.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self.0.as_simple(), f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            /// Accepts exactly the form that is printed: 32 hex digits, no dashes, no braces.
            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                if text.len() != 32 {
                    return Err(ParseIdError);
                }
                Uuid::try_parse(text).map(Self).map_err(|_| ParseIdError)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(de::Error::custom)
            }
        }
    };
}

id! {
    /// A customer of this deployment: everything belongs to exactly one.
    TenantId, "0192f0c1a2b37d4e8f90a1b2c3d4e51a"
}
id! {
    /// One WhatsApp account linked to Warren. Decides the shard.
    InstanceId, "0192f0c1a2b37d4e8f90a1b2c3d4e52b"
}
id! {
    /// One message, sent or received.
    MessageId, "0192f0c1a2b37d4e8f90a1b2c3d4e53c"
}
id! {
    /// One file of a message.
    MediaId, "0192f0c1a2b37d4e8f90a1b2c3d4e54d"
}
id! {
    /// One API key (never the secret itself).
    KeyId, "0192f0c1a2b37d4e8f90a1b2c3d4e55e"
}
id! {
    /// One address of a tenant to which its events are posted.
    WebhookId, "0192f0c1a2b37d4e8f90a1b2c3d4e58b"
}
id! {
    /// One replay of events to a webhook.
    ReplayId, "0192f0c1a2b37d4e8f90a1b2c3d4e59c"
}
id! {
    /// One run of a dispatcher: a process start is another.
    DispatcherId, "0192f0c1a2b37d4e8f90a1b2c3d4e5ad"
}
id! {
    /// One request, for logs and error bodies.
    RequestId, "0192f0c1a2b37d4e8f90a1b2c3d4e56f"
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn prints_32_hex_digits_and_reads_them_back() {
        let id = InstanceId::generate();
        let text = id.to_string();
        assert_eq!(text.len(), 32);
        assert_eq!(text.parse::<InstanceId>().unwrap(), id);
        let json = serde_json::to_string(&id).unwrap();
        assert_eq!(serde_json::from_str::<InstanceId>(&json).unwrap(), id);
    }

    #[test]
    fn refuses_every_other_form() {
        for text in ["", "1", "not-an-id", "0190b5c0-0000-7000-8000-000000000000", "zz90b5c0000070008000000000000000"] {
            assert!(text.parse::<MessageId>().is_err(), "{text} was accepted");
        }
    }
}
