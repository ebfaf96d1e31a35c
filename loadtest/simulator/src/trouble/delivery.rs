//! What goes wrong between the server and a companion.

use bytes::Bytes;
use wacore_binary::{Node, NodeContent};
use wacore_libsignal::protocol::PreKeySignalMessage;

use super::Trouble;
use crate::account::Account;
use crate::world::World;

/// What happens to a message that is written to a companion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Written,
    /// Written twice.
    Repeated,
    /// Not written; it comes again at the next login.
    Lost,
    /// Written, but nobody can open it.
    Damaged,
}

impl Trouble {
    fn touches_deliveries(&self) -> bool {
        self.drop_deliveries.is_set() || self.repeat_deliveries.is_set() || self.damage_deliveries.is_set()
    }

    fn fate(&mut self) -> Fate {
        if self.drop_deliveries.strike(&mut self.dice) {
            Fate::Lost
        } else if self.damage_deliveries.strike(&mut self.dice) {
            Fate::Damaged
        } else if self.repeat_deliveries.strike(&mut self.dice) {
            Fate::Repeated
        } else {
            Fate::Written
        }
    }
}

/// The fates of the next messages to a companion of this account: its own trouble goes before everybody's.
pub(crate) fn fates(world: &World, account: &Account, count: usize) -> Vec<Fate> {
    if count == 0 {
        return Vec::new();
    }
    let own = account.state().trouble.touches_deliveries();
    let all = world.trouble().touches_deliveries();
    let mut fates = vec![Fate::Written; count];
    if own {
        let mut state = account.state();
        fates.fill_with(|| state.trouble.fate());
    }
    if all {
        let mut trouble = world.trouble();
        for fate in fates.iter_mut().filter(|fate| **fate == Fate::Written) {
            *fate = trouble.fate();
        }
    }
    fates
}

/// How the line to a companion of this account is now.
pub(crate) fn line(world: &World, account: &Account) -> Line {
    let own = Line::of(&account.state().trouble);
    let all = Line::of(&world.trouble());
    let slower = |own: u64, all: u64| if own == 0 { all } else { own };
    Line { delay_ms: own.delay_ms.max(all.delay_ms), bytes_per_second: slower(own.bytes_per_second, all.bytes_per_second) }
}

/// A line: how long what is delivered takes, and how many bytes pass; 0 is no limit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line {
    pub(crate) delay_ms: u64,
    pub(crate) bytes_per_second: u64,
}

impl Line {
    fn of(trouble: &Trouble) -> Self {
        Self { delay_ms: trouble.delivery_delay_ms, bytes_per_second: trouble.bytes_per_second }
    }
}

/// The same stanza with ciphertexts that do not authenticate.
pub(crate) fn damaged(marshaled: &[u8]) -> Option<Bytes> {
    let (_, body) = marshaled.split_first()?;
    let mut node = wacore_binary::marshal::unmarshal_ref(body).ok()?.to_owned();
    damage(&mut node);
    wacore_binary::marshal(&node).ok().map(Bytes::from)
}

fn damage(node: &mut Node) {
    let Some(NodeContent::Nodes(children)) = &mut node.content else { return };
    for child in children.iter_mut().filter(|child| child.tag == "enc") {
        let starts_session = child.attrs.get("type").is_some_and(|kind| kind.as_str() == "pkmsg");
        if let Some(NodeContent::Bytes(bytes)) = &child.content {
            let mut bytes = bytes.to_vec();
            let end = if starts_session { end_of_inner(&bytes) } else { bytes.len().checked_sub(1) };
            if let Some(byte) = end.and_then(|end| bytes.get_mut(end)) {
                *byte ^= 1;
            }
            child.content = Some(NodeContent::Bytes(bytes));
        }
    }
}

/// Where the message ends that a pre-key message wraps: what stands behind it is not looked at in a session that stands.
fn end_of_inner(bytes: &[u8]) -> Option<usize> {
    let wrapping = PreKeySignalMessage::try_from(bytes).ok()?;
    let inner = wrapping.message().serialized();
    let begin = bytes.windows(inner.len()).position(|part| part == inner)?;
    (begin + inner.len()).checked_sub(1)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use wacore_binary::builder::NodeBuilder;

    #[test]
    fn damage_is_to_the_ciphertext_alone() {
        let enc = |bytes: &[u8]| NodeBuilder::new("enc").attr("type", "msg").bytes(bytes.to_vec()).build();
        let message = |bytes: &[u8]| NodeBuilder::new("message").attr("id", "1").children([enc(bytes)]).build();
        let damaged = damaged(&wacore_binary::marshal(&message(b"abc")).unwrap()).unwrap();
        assert_eq!(damaged, wacore_binary::marshal(&message(b"abb")).unwrap());
        assert!(super::damaged(b"").is_none());
    }
}
