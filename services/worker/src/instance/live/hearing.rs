//! What the client says: pairing, login, endings. Acks and receipts go on to [`super::settling`].

use super::{Live, LiveEnd, Round};
use crate::{
    client::{Signal, groups::GroupSignal},
    instance::{actor::Intent, policy::Ending},
};
use std::sync::Arc;
use wacore_binary::{Jid, OwnedNodeRef};
use warren_domain::event::NewEvent;
use warren_ports::ledger::Op;
use whatsapp_rust::NodeFilter;

impl Live<'_> {
    pub(super) async fn hear(&mut self, signal: Signal) -> Round {
        if matches!(signal, Signal::QrExhausted) && self.typed_code.is_good() {
            // No QR code is left to scan, but the one to type is good for a while.
            return None;
        }
        if let Some(ending) = ending_of(&signal) {
            return Some(LiveEnd::Ended(ending));
        }
        match signal {
            Signal::Qr { .. } if self.actor.pairing.by_code.is_some() => self.ask_for_code(),
            Signal::Qr { code, valid_for } => self.actor.show_code(code, valid_for),
            Signal::TypedCode { code, valid_for } => self.show_typed_code(&code, valid_for),
            Signal::TypedCodeOver { by_hand } => return self.typed_code_over(by_hand),
            Signal::NoTypedCode(rejection) => return self.no_typed_code(rejection),
            Signal::Contact(change) => return self.contact_changed(change),
            Signal::Sign(sign) => self.tell_sign(&sign),
            Signal::Paired { pn, lid, push_name } => return self.scanned(pn, lid, push_name).await,
            Signal::Ready => {
                self.ready = true;
                return self.review_name();
            }
            Signal::Drained => self.drained = true,
            Signal::Ack { id, error } => return self.acked(id, error),
            Signal::Receipt(receipt) => return self.receipt(receipt),
            Signal::Undecryptable { id, chat, sender } => return self.undecryptable(&id, &chat, &sender),
            Signal::Group(signal) => return self.group_updated(*signal),
            Signal::Renamed => return self.review_name(),
            _ => {}
        }
        None
    }

    /// The run loop ended. What was signalled before it is heard first: it may tell why, and a pairing or an ack among it
    /// counts like any other.
    pub(super) async fn run_ended(&mut self) -> LiveEnd {
        while let Ok(signal) = self.link.signals.try_recv() {
            if let Some(end) = self.hear(signal).await {
                return end;
            }
        }
        if self.actor.intent == Intent::Pair && !self.paired {
            // The server may end the stream before the library says that the pairing succeeded: its device knows.
            let device = self.link.client.persistence_manager().get_device_snapshot();
            if let (Some(_), Some(pn)) = (&device.account, &device.pn) {
                let lid = device.lid.clone().unwrap_or_default();
                if let Some(end) = self.scanned(pn.clone(), lid, None).await {
                    return end;
                }
            }
        }
        let gate = &self.link.gate;
        let closed = if gate.proxy_failure().is_some() { Ending::ProxyFailed } else { Ending::Closed(gate.loss()) };
        LiveEnd::Ended(if self.paired { Ending::Paired } else { closed })
    }

    /// What a connection that is over had still to say: nothing is done about it, but acks and receipts are kept.
    pub(super) fn keep_last_words(&mut self) {
        while let Ok(signal) = self.link.signals.try_recv() {
            match signal {
                Signal::Ack { id, error } => {
                    self.acked(id, error);
                }
                Signal::Receipt(receipt) => {
                    self.receipt(receipt);
                }
                Signal::Contact(change) => {
                    self.contact_changed(change);
                }
                Signal::Undecryptable { id, chat, sender } => {
                    self.undecryptable(&id, &chat, &sender);
                }
                // The library acknowledged it to the server already.
                Signal::Group(signal) => {
                    self.group_updated(*signal);
                }
                _ => {}
            }
        }
    }

    fn group_updated(&mut self, signal: GroupSignal) -> Round {
        let account = self.actor.instance.account.as_ref();
        let names = account.into_iter().flat_map(|account| [Some(&account.jid), account.lid.as_ref()]).flatten();
        let own: Vec<_> = names.filter_map(|name| name.parse::<Jid>().ok()).map(|jid| jid.to_non_ad().to_string()).collect();
        let at = self.actor.now();
        let events = signal.updates(&own).into_iter().map(|update| NewEvent::group_updated(&update, at));
        events.collect::<Vec<_>>().into_iter().find_map(|event| self.settle(Op::Append(event), None, None))
    }

    /// Keeps the account's name as the device has it now. Looked at whenever it may have changed: the library announces the
    /// names that come from elsewhere, but not always those that are given here.
    pub(super) fn review_name(&mut self) -> Round {
        let device = self.link.client.persistence_manager().get_device_snapshot();
        let mut account = self.actor.instance.account.clone()?;
        if device.push_name.is_empty() || account.push_name.as_ref() == Some(&device.push_name) {
            return None;
        }
        account.push_name = Some(device.push_name.clone());
        self.actor.instance.account = Some(account.clone());
        self.settle(Op::SetAccount { account, event: None }, None, None)
    }

    /// The phone scanned the code. The keys are stored before anybody is told; then the server restarts the stream.
    pub(super) async fn scanned(&mut self, pn: Jid, lid: Jid, push_name: Option<String>) -> Round {
        if self.link.store.store_device().await.is_err() {
            return Some(LiveEnd::Ended(Ending::PairingFailed));
        }
        match self.actor.paired(&pn, &lid, push_name).await {
            Ok(()) => {
                self.paired = true;
                None
            }
            Err(_) => Some(LiveEnd::Ended(Ending::PairingFailed)),
        }
    }

    pub(super) fn heard_stream_error(&mut self, node: Option<Arc<OwnedNodeRef>>) -> Round {
        let node = node?;
        self.stream_error = self.link.client.wait_for_node(NodeFilter::tag("stream:error"));
        let code = node.get().get_attr("code").map(|code| code.as_str().to_string()).unwrap_or_default();
        // The library leaves the socket open after these two; the others it announces itself.
        matches!(code.as_str(), "429" | "503").then_some(LiveEnd::Ended(Ending::Stream(code)))
    }
}

/// The ending that a signal announces.
fn ending_of(signal: &Signal) -> Option<Ending> {
    Some(match signal {
        Signal::Replaced => Ending::Replaced,
        Signal::LoggedOut(cause) => Ending::LoggedOut(*cause),
        Signal::Banned { expires_in } => Ending::Banned(*expires_in),
        Signal::Failure(reason) => Ending::Failure(*reason),
        Signal::QrExhausted => Ending::CodesExhausted,
        Signal::PairingFailed => Ending::PairingFailed,
        _ => return None,
    })
}
