//! What is sealed of files with the session's key, and kept in the rows of files and messages.

use super::SessionStore;
use crate::{media::Source, sealing::Elsewhere};
use waproto::{codec, whatsapp as wa};
use warren_domain::{Error, MediaId, MessageId, Result, message::Outbound};

impl SessionStore {
    /// What is needed to fetch a received file, for its row.
    pub(crate) fn seal_source(&self, media: MediaId, source: &Source) -> Result<Vec<u8>> {
        let plain = serde_json::to_vec(source).map_err(Error::internal)?;
        self.data_key.seal_elsewhere(Elsewhere::MediaSource, media.as_bytes(), &plain)
    }

    /// The same out of its row.
    pub(crate) fn open_source(&self, media: MediaId, sealed: &[u8]) -> Result<Source> {
        let plain = self.data_key.open_elsewhere(Elsewhere::MediaSource, media.as_bytes(), sealed)?;
        serde_json::from_slice(&plain).map_err(Error::internal)
    }

    /// What the file of an outbound message became at WhatsApp, for the message's row.
    pub(crate) fn seal_upload(&self, message: MessageId, file: &wa::Message) -> Result<Vec<u8>> {
        self.data_key.seal_elsewhere(Elsewhere::Upload, message.as_bytes(), &codec::message_to_vec(file))
    }

    /// The same out of the row; `None` of a message without a file, and of one that is not uploaded yet.
    pub(crate) fn upload_of(&self, row: &Outbound) -> Option<wa::Message> {
        let sealed = row.upload.as_deref()?;
        let plain = self.data_key.open_elsewhere(Elsewhere::Upload, row.message.id.as_bytes(), sealed).ok()?;
        codec::message_decode(&plain).ok()
    }
}
