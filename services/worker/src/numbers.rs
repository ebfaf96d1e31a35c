//! Asking WhatsApp which numbers have an account, and which address a number is reached at.
//!
//! The library's own check does not say which number an answer is for, and a number of Brazil, Mexico or Argentina is answered
//! in the form it was registered with. So the query is made here, and answers are matched by the number that WhatsApp repeats
//! in them (`<contact type="in">+5511987654321</contact>`).

use crate::{metrics::WorkerMetrics, owner::Owner, shared::Shared};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::Mutex,
    time::{Instant, sleep_until, timeout},
};
use wacore::iq::usync::{
    UsyncAddressingMode, UsyncContext, UsyncMode, UsyncOutcome, UsyncProtocol, UsyncProtocolKind, UsyncProtocolResult,
    UsyncQuery, UsyncResponse, UsyncUser, UsyncUserResult,
};
use wacore_binary::{Jid, Server};
use warren_domain::{
    InstanceId, NumberCheck, TenantId,
    number::{KnownNumber, other_form},
};
use warren_ports::ledger::{Op, Outcome, Write};
use whatsapp_rust::{Client, request::IqError};

/// Queries of one connection follow each other at this distance at least: WhatsApp's own clients look up an address book
/// now and then, not numbers by the thousand.
const EVERY: Duration = Duration::from_millis(250);
/// How long WhatsApp may take to answer one.
const ANSWERED_WITHIN: Duration = Duration::from_secs(8);
/// WhatsApp's error for too many queries.
const RATE_LIMITED: u16 = 429;

/// Lets one query of a connection run after the other.
#[derive(Default)]
pub(crate) struct Pace(Mutex<Option<Instant>>);

/// Why nothing is known of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// WhatsApp did not answer, or not with what was asked.
    Unanswered,
    /// WhatsApp wants fewer questions.
    Limited,
}

/// Where a message to a number goes.
pub(crate) enum Reached {
    /// To this address.
    At(Jid),
    /// Nowhere: the number has no account in either form.
    Nowhere,
}

/// Number checks through one connection.
#[derive(Clone)]
pub(crate) struct Numbers {
    pub(crate) client: Arc<Client>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) owner: Arc<Owner>,
    pub(crate) tenant: TenantId,
    pub(crate) instance: InstanceId,
    pub(crate) pace: Arc<Pace>,
}

impl Numbers {
    /// Asks WhatsApp about numbers (E.164 digits, at most 50) and keeps what it says. Numbers that it says nothing of are left
    /// out.
    pub(crate) async fn check(&self, phones: &[String]) -> Result<Vec<NumberCheck>, Unknown> {
        let response = self.query(phones).await?;
        let checks: Vec<_> = phones.iter().filter_map(|phone| answer_for(phone, &response.users)).collect();
        count(&self.shared.metrics, phones.len(), &checks);
        if !checks.is_empty() {
            self.keep(checks.clone()).await;
        }
        Ok(checks)
    }

    async fn query(&self, phones: &[String]) -> Result<UsyncResponse, Unknown> {
        let contact = UsyncProtocol::Contact { addressing_mode: UsyncAddressingMode::Pn };
        let users = phones.iter().map(|phone| UsyncUser::from_phone(phone.as_str())).collect();
        let query = UsyncQuery::new(UsyncMode::Query, UsyncContext::Interactive, vec![contact, UsyncProtocol::Lid], users);
        let query = query.map_err(|_| Unknown::Unanswered)?;
        let mut last = self.pace.0.lock().await;
        if let Some(last) = *last {
            sleep_until(last + EVERY).await;
        }
        *last = Some(Instant::now());
        let response = match timeout(ANSWERED_WITHIN, self.client.query_usync(query)).await {
            Ok(Ok(response)) => response,
            Ok(Err(IqError::ServerError { code: RATE_LIMITED, .. })) => return Err(Unknown::Limited),
            Ok(Err(_)) | Err(_) => return Err(Unknown::Unanswered),
        };
        let error = response.protocol_state(UsyncProtocolKind::Contact).and_then(|state| state.error.as_ref());
        match error {
            None => Ok(response),
            Some(error) if error.code == Some(RATE_LIMITED) => Err(Unknown::Limited),
            Some(_) => Err(Unknown::Unanswered),
        }
    }

    /// Keeps answers for the next question. What is not kept is asked again.
    async fn keep(&self, checks: Vec<NumberCheck>) {
        let op = Op::KeepNumbers { checks, at: self.shared.ports.clock.now() };
        let write = Write { fence: self.owner.fence(), tenant: self.tenant, instance: self.instance, op };
        match self.shared.ports.ledger.commit(vec![write]).await.pop() {
            Some(Outcome::OwnershipLost | Outcome::LedgerBehind) => self.owner.lose(),
            Some(Outcome::Refused(error)) => tracing::error!(instance = %self.instance, %error, "checks were not kept"),
            Some(Outcome::Done | Outcome::NoChange) | None => {}
        }
    }

    /// The address at which a chat is reached. Only numbers that can be written in two ways are asked about, once in the time
    /// that an answer counts; that one has no account is asked anew each time, because it may have joined.
    pub(crate) async fn reached(&self, chat: Jid) -> Result<Reached, Unknown> {
        if chat.server != Server::Pn || other_form(&chat.user).is_none() {
            return Ok(Reached::At(chat));
        }
        let phones = [chat.user.to_string()];
        let known = self.shared.ports.ledger.known_numbers(self.tenant, &phones).await.unwrap_or_default();
        let now = self.shared.ports.clock.now();
        let kept = known.into_iter().filter(|known| known.is_fresh(now)).find_map(KnownNumber::into_address);
        let address = match kept {
            Some(address) => Some(address),
            None => self.check(&phones).await?.into_iter().next().ok_or(Unknown::Unanswered)?.jid,
        };
        let Some(address) = address else { return Ok(Reached::Nowhere) };
        address.parse().map(Reached::At).map_err(|_| Unknown::Unanswered)
    }
}

fn count(metrics: &WorkerMetrics, asked: usize, checks: &[NumberCheck]) {
    let registered = checks.iter().filter(|check| check.is_registered()).count();
    for (result, count) in
        [("registered", registered), ("unregistered", checks.len() - registered), ("unanswered", asked - checks.len())]
    {
        metrics.number_checks.with_label_values(&[result]).inc_by(u64::try_from(count).unwrap_or_default());
    }
}

/// What WhatsApp said of one number; `None`: nothing.
fn answer_for(phone: &str, users: &[UsyncUserResult]) -> Option<NumberCheck> {
    let user = users.iter().find(|user| repeated(user).is_some_and(|number| number == phone)).or_else(|| {
        // An answer that repeats no number is for the one it names, in whichever form.
        let other = other_form(phone);
        let nameless = users.iter().filter(|user| repeated(user).is_none());
        let named = |user: &&UsyncUserResult| number_of(user);
        nameless.clone().find(|user| named(user).as_deref() == Some(phone)).or_else(|| {
            let other = other?;
            nameless.clone().find(|user| named(user).is_some_and(|number| number == other))
        })
    })?;
    let Some(UsyncProtocolResult::Contact(UsyncOutcome::Value(contact))) = user.protocol(UsyncProtocolKind::Contact) else {
        return None;
    };
    if contact.contact_type != "in" {
        return (contact.contact_type == "out").then(|| NumberCheck { phone: phone.to_owned(), jid: None, lid: None });
    }
    let jid = pn_of(user)?.to_non_ad().to_string();
    Some(NumberCheck { phone: phone.to_owned(), jid: Some(jid), lid: lid_of(user) })
}

/// The digits of the number that an answer says it is for.
fn repeated(user: &UsyncUserResult) -> Option<String> {
    let Some(UsyncProtocolResult::Contact(UsyncOutcome::Value(contact))) = user.protocol(UsyncProtocolKind::Contact) else {
        return None;
    };
    let digits: String = contact.content.as_ref()?.chars().filter(char::is_ascii_digit).collect();
    (!digits.is_empty()).then_some(digits)
}

/// The account's address by number.
fn pn_of(user: &UsyncUserResult) -> Option<&Jid> {
    [user.id.as_ref(), user.pn_jid.as_ref()].into_iter().flatten().find(|jid| jid.server == Server::Pn)
}

fn number_of(user: &UsyncUserResult) -> Option<String> {
    pn_of(user).map(|jid| jid.user.to_string())
}

fn lid_of(user: &UsyncUserResult) -> Option<String> {
    let told = match user.protocol(UsyncProtocolKind::Lid) {
        Some(UsyncProtocolResult::Lid(UsyncOutcome::Value(lid))) => lid.as_ref(),
        _ => None,
    };
    let jid = told.or_else(|| user.id.as_ref().filter(|jid| jid.server == Server::Lid))?;
    Some(jid.to_non_ad().to_string())
}
