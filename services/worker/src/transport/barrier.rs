//! The write barrier: the encrypted stanza of a message is committed, with its claim, before its frame leaves.
//!
//! The client library resolves a sent-node waiter synchronously when it marshals a stanza, before it queues the frame; the
//! frame reaches [`super::SendGate`] only afterwards. So by the time a write is at the gate, the stanzas it may carry are
//! captured here, and it is enough to store all that were captured before letting any write through: which sealed frame
//! carries which stanza need not be known. (whatsapp-rust 0.7: `Client::marshal_node_for_send`, `NoiseSocket::sender_task`.)

use futures::channel::oneshot::{Canceled, Receiver};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};
use wacore_binary::Node;
use warren_domain::{MessageId, group::Member};

/// A message whose stanza is awaited.
pub(crate) struct Armed {
    /// Resolves with the stanza when the library marshals it.
    pub(crate) stanza: Receiver<Arc<Node>>,
    /// Whether a stanza that is stored already may be replaced (encrypted anew by policy).
    pub(crate) replace_stanza: bool,
    /// Who it goes to, for a message to a group: committed with the claim.
    pub(crate) audience: Option<Vec<Member>>,
}

/// A stanza on its way out.
pub(crate) struct Captured {
    pub(crate) message: MessageId,
    pub(crate) stanza: Vec<u8>,
    pub(crate) replace_stanza: bool,
    pub(crate) audience: Option<Vec<Member>>,
}

/// Why the captured stanzas cannot be told: nothing may leave.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BarrierError {
    #[error("the library dropped a waiter: the connection is being torn down")]
    Disarmed,
    #[error("a stanza could not be encoded")]
    Encoding,
}

/// The armed messages of one connection. At most one a chat in flight bounds it.
#[derive(Default)]
pub(crate) struct Barrier {
    armed: Mutex<HashMap<MessageId, Armed>>,
}

impl Barrier {
    /// From now on, the message's stanza is captured. Must be called before the library is asked to send it.
    pub(crate) fn arm(&self, message: MessageId, armed: Armed) {
        self.armed.lock().unwrap_or_else(PoisonError::into_inner).insert(message, armed);
    }

    /// Ends the capture; says whether the message was still armed, that is: nothing of it reached the gate. Only after the
    /// library's send returned: until then its frame may be queued.
    pub(crate) fn disarm(&self, message: MessageId) -> bool {
        self.armed.lock().unwrap_or_else(PoisonError::into_inner).remove(&message).is_some()
    }

    /// Takes what was captured since the last call.
    pub(super) fn take_captured(&self) -> Result<Vec<Captured>, BarrierError> {
        let mut armed = self.armed.lock().unwrap_or_else(PoisonError::into_inner);
        if armed.is_empty() {
            return Ok(Vec::new());
        }
        let mut captured = Vec::new();
        for (message, entry) in armed.iter_mut() {
            match entry.stanza.try_recv() {
                Ok(None) => {}
                Ok(Some(node)) => captured.push((*message, node)),
                Err(Canceled) => return Err(BarrierError::Disarmed),
            }
        }
        captured
            .into_iter()
            .map(|(message, node)| {
                let entry = armed.remove(&message);
                let replace_stanza = entry.as_ref().is_some_and(|entry| entry.replace_stanza);
                let audience = entry.and_then(|entry| entry.audience);
                let stanza = wacore_binary::marshal::marshal_exact(&node).map_err(|_| BarrierError::Encoding)?;
                Ok(Captured { message, stanza, replace_stanza, audience })
            })
            .collect()
    }
}
