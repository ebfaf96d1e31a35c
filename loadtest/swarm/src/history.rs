//! What happened, from three witnesses: the API's answers, the simulator's ledger, the event log.

/// A finished run, after everything under way had settled.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// What the API acknowledged, in the order of acceptance per chat.
    pub sends: Vec<Send>,
    /// What the server took from the instances.
    pub taken: Vec<Taken>,
    /// What the recipients saw, in the order of first arrival per recipient.
    pub received: Vec<Received>,
    /// What was on its way to the instances, in the order in which it was written per author.
    pub emitted: Vec<Emitted>,
    /// The received messages of the event log, in its order per instance.
    pub logged: Vec<Logged>,
    /// Every sequence number of the event log, in its order per instance.
    pub sequences: Vec<(String, i64)>,
    /// What the Signal sessions went through.
    pub sessions: Sessions,
}

/// A send that the API acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Send {
    /// Its id at WhatsApp.
    pub whatsapp_id: String,
    /// Which instance sent it.
    pub instance: String,
    /// To whom.
    pub recipient: String,
    /// Text that no other send has.
    pub payload: String,
    /// Whether it must not be tried again when in doubt.
    pub at_most_once: bool,
    /// How it ended.
    pub end: End,
}

/// How a send ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The API says that it was sent (or more).
    Sent,
    /// The API says that it failed, and why.
    Failed,
    /// The API says that it is still open: after everything settled, that is as bad as lost.
    Open,
}

/// A message id that the server took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// Its id at WhatsApp.
    pub whatsapp_id: String,
    /// How many stanzas had it.
    pub copies: u32,
    /// How many different ones.
    pub distinct_stanzas: u32,
}

/// A message that a recipient saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Who.
    pub recipient: String,
    /// From which instance.
    pub instance: String,
    /// Its id at WhatsApp.
    pub whatsapp_id: String,
    /// Its text.
    pub payload: String,
    /// How often the plaintext surfaced; the recipient does not drop repeated ids.
    pub surfaced: u32,
}

/// A message on its way to an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Emitted {
    /// To which instance.
    pub instance: String,
    /// Who wrote it.
    pub author: String,
    /// Its id at WhatsApp.
    pub whatsapp_id: String,
    /// Whether the instance acknowledged it: the server has forgotten it since.
    pub acked: bool,
}

/// A received message in the event log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logged {
    /// Of which instance.
    pub instance: String,
    /// Its id at WhatsApp.
    pub whatsapp_id: String,
}

/// What the Signal sessions went through.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sessions {
    /// Retry receipts, of both directions: each is a message that somebody could not read.
    pub retry_receipts: u64,
    /// Messages that a recipient could not decrypt.
    pub undecryptable_outbound: u64,
    /// `message.undecryptable` in the event log.
    pub undecryptable_inbound: u64,
    /// Probes sent after the fault, in both directions: what they are, and whether they were read.
    pub probes: Vec<(String, bool)>,
}
