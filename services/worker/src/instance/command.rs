//! What the edge asks of an instance.

use super::{
    Mail,
    actor::{Actor, Intent},
};
use std::ops::ControlFlow;
use tokio::sync::oneshot;
use warren_domain::{InstanceState, MessageId, Result};
use warren_ports::bus::{Action, Ask, Measured, PairingState, Refusal, RefusalKind, Reply};

impl Actor {
    /// Reads mail while there is no connection.
    pub(super) async fn read_at_rest(&mut self, mail: Mail) -> ControlFlow<()> {
        match mail {
            // Without a connection nothing can be sent; the next one looks by itself.
            Mail::Ring => ControlFlow::Continue(()),
            Mail::Stop => ControlFlow::Break(()),
            Mail::Command(Action::CancelMessage(message), reply) => self.cancel_at_rest(message, reply).await,
            Mail::Command(Action::CheckProxy, reply) => {
                self.check_proxy(reply);
                ControlFlow::Continue(())
            }
            Mail::Command(action, reply) => match self.answer(&action) {
                Some(answer) => {
                    let _ = reply.send(answer);
                    ControlFlow::Continue(())
                }
                None => match action {
                    Action::Ask(ask) => {
                        self.ask_at_rest(ask, reply);
                        ControlFlow::Continue(())
                    }
                    action => self.obey(action, reply).await,
                },
            },
        }
    }

    /// An ask while there is no connection: it waits for one that is to come soon.
    fn ask_at_rest(&mut self, ask: Ask, reply: oneshot::Sender<Reply>) {
        let comes_soon = matches!(self.instance.state, InstanceState::Connecting | InstanceState::Online);
        if self.intent == Intent::Online && comes_soon {
            self.waiting.push(ask, reply);
        } else {
            let _ = reply.send(not_online());
        }
    }

    /// The answer to a command that needs nothing done, or cannot be done; `None`: it is to be carried out.
    pub(super) fn answer(&self, action: &Action) -> Option<Reply> {
        let linked = self.is_linked();
        match action {
            Action::PairingStatus => Some(Reply::Pairing(self.pairing.status.clone())),
            Action::Health => Some(Reply::Health(Measured {
                status: self.instance.health.status,
                reason: self.instance.health.reason.clone(),
                last_stanza_at: self.instance.health.last_stanza_at,
                rtt_ms: self.instance.health.rtt_ms,
            })),
            Action::PairByQr | Action::PairByCode(_) if self.intent == Intent::Pair => {
                Some(refused("pairing_in_progress", "This instance is being paired; cancel that first, or use its code."))
            }
            Action::PairByQr | Action::PairByCode(_) if linked => {
                Some(refused("already_paired", "This instance is linked to an account; log it out first."))
            }
            Action::PairByCode(_) if !self.pairing.may_ask_for_code() => Some(Reply::Refused(Refusal::new(
                RefusalKind::Exhausted,
                "too_many_codes",
                "WhatsApp locks numbers that codes are asked for again and again; wait ten minutes, or pair by QR code.",
            ))),
            Action::CancelPairing if self.intent != Intent::Pair => {
                Some(refused("not_pairing", "There is no pairing to cancel."))
            }
            Action::Connect | Action::Disconnect | Action::Restart | Action::Logout | Action::Ask(_) if !linked => {
                Some(refused("not_paired", "This instance is not linked to an account; pair it first."))
            }
            Action::Connect if self.intent == Intent::Online => Some(Reply::Accepted),
            Action::Disconnect if self.instance.state == InstanceState::Disconnected => Some(Reply::Accepted),
            _ => None,
        }
    }

    fn is_linked(&self) -> bool {
        self.instance.account.is_some()
            && !matches!(self.instance.state, InstanceState::LoggedOut | InstanceState::Created | InstanceState::Pairing)
    }

    /// Carries a command out. The connection, if there was one, has ended.
    pub(super) async fn carry_out(&mut self, action: Action) -> Result<ControlFlow<()>> {
        match action {
            Action::PairByQr => self.begin_pairing(None).await?,
            Action::PairByCode(phone) => self.begin_pairing(Some(phone)).await?,
            Action::CancelPairing => self.end_pairing(PairingState::Cancelled, "cancelled").await?,
            Action::Connect | Action::Restart => {
                self.intent = Intent::Online;
                self.failures.forget();
                self.set_state(InstanceState::Connecting, None).await?;
            }
            Action::Disconnect => {
                self.intent = Intent::Rest;
                self.set_state(InstanceState::Disconnected, Some("requested")).await?;
            }
            Action::Logout => self.forget_session("requested").await?,
            Action::Deleted => {
                // The row is marked deleted: its session state goes with the rest of it, in small batches.
                let _ = self.forget_records(None).await;
                return Ok(ControlFlow::Break(()));
            }
            // Answered, or refused, before it comes here.
            Action::PairingStatus | Action::Health | Action::CheckProxy | Action::Ask(_) | Action::CancelMessage(_) => {}
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Mail while there is a connection: answered at once, or it ends the connection.
    pub(super) fn read_live(&self, mail: Mail) -> LiveMail {
        match mail {
            Mail::Ring => LiveMail::Ring,
            Mail::Stop => LiveMail::Stop,
            Mail::Command(Action::CheckProxy, reply) => {
                self.check_proxy(reply);
                LiveMail::Answered
            }
            Mail::Command(action, reply) => match self.answer(&action) {
                Some(answer) => {
                    let _ = reply.send(answer);
                    LiveMail::Answered
                }
                None => match action {
                    Action::Ask(ask) => LiveMail::Ask(ask, reply),
                    Action::CancelMessage(message) => LiveMail::Cancel(message, reply),
                    action => LiveMail::Command(action, reply),
                },
            },
        }
    }
}

/// What a letter means for a live connection.
pub(super) enum LiveMail {
    Answered,
    Ring,
    Stop,
    Command(Action, oneshot::Sender<Reply>),
    Ask(Ask, oneshot::Sender<Reply>),
    Cancel(MessageId, oneshot::Sender<Reply>),
}

fn refused(code: &str, detail: &str) -> Reply {
    Reply::Refused(Refusal::conflict(code, detail))
}

/// The answer to a cancel that came too late.
pub(super) fn already_sent() -> Reply {
    refused("already_sent", "This message is being sent, or is not in the queue any more.")
}

/// The answer to an ask while there is no connection to ask through.
pub(super) fn not_online() -> Reply {
    refused("not_online", "This instance is not connected to WhatsApp now; try again once its state is online.")
}
