//! Which network a store belongs to: the real one, or one simulator. A store never moves between them.

use std::{fmt, str::FromStr};

/// The network whose accounts a store holds. Fixed when the store is made; a store refuses every other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Network {
    /// WhatsApp itself.
    Whatsapp,
    /// A simulator, known by its static public key.
    Simulator {
        /// The key with which the simulator proves who it is.
        static_key: [u8; 32],
    },
}

/// The text names no network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a network is `whatsapp`, or `simulator:` and 64 hex digits")]
pub struct ParseNetworkError;

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whatsapp => f.write_str("whatsapp"),
            Self::Simulator { static_key } => write!(f, "simulator:{}", hex::encode(static_key)),
        }
    }
}

impl FromStr for Network {
    type Err = ParseNetworkError;

    fn from_str(text: &str) -> Result<Self, ParseNetworkError> {
        if text == "whatsapp" {
            return Ok(Self::Whatsapp);
        }
        let digits = text.strip_prefix("simulator:").ok_or(ParseNetworkError)?;
        let mut static_key = [0; 32];
        hex::decode_to_slice(digits, &mut static_key).map_err(|_| ParseNetworkError)?;
        Ok(Self::Simulator { static_key })
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn reads_back_what_it_writes() {
        for network in [Network::Whatsapp, Network::Simulator { static_key: [7; 32] }] {
            assert_eq!(network.to_string().parse::<Network>().unwrap(), network);
        }
        for text in ["", "Whatsapp", "simulator", "simulator:", "simulator:00"] {
            assert!(text.parse::<Network>().is_err(), "{text} was accepted");
        }
    }
}
