//! What an instance's actor writes of itself.

use super::actor::Actor;
use crate::sealing::DataKey;
use std::time::Instant;
use warren_domain::{
    Error, InstanceState, Restriction, RestrictionReason, RestrictionScope, Result, Timestamp,
    event::{EventType, NewEvent},
    instance::Account,
};
use warren_ports::{
    bus::{Ring, Topic},
    ledger::{Op, Outcome, Record, RecordKind, Write},
};

/// The key of the one record of its kind.
const DEVICE_KEY: &[u8] = b"device";
const DATA_KEY: &[u8] = b"data";

impl Actor {
    pub(super) fn now(&self) -> Timestamp {
        self.shared.ports.clock.now()
    }

    pub(super) fn write(&self, op: Op) -> Write {
        Write { fence: self.owner.fence(), tenant: self.instance.tenant, instance: self.instance.id, op }
    }

    /// Commits one write of the actor. `false`: nothing was there to change.
    pub(super) async fn commit(&mut self, op: Op) -> Result<bool> {
        let outcome = self.shared.ports.ledger.commit(vec![self.write(op)]).await.pop();
        if matches!(outcome, Some(Outcome::Done | Outcome::NoChange)) {
            self.fenced_at = Some(Instant::now());
        }
        match outcome {
            Some(Outcome::Done) => {
                self.ring_log();
                Ok(true)
            }
            Some(Outcome::NoChange) => Ok(false),
            Some(Outcome::OwnershipLost) => {
                self.owner.lose();
                Err(Error::ownership_lost())
            }
            Some(Outcome::LedgerBehind) => {
                self.owner.lose_with_ledger_behind();
                Err(Error::ownership_lost())
            }
            Some(Outcome::Refused(error)) => Err(error),
            None => Err(Error::internal("the ledger gave no verdict")),
        }
    }

    pub(super) fn ring_log(&self) {
        self.shared.ports.bus.ring(Topic::Log(self.instance.tenant), Ring::Log);
    }

    /// Sets the state, with its event.
    pub(super) async fn set_state(&mut self, state: InstanceState, reason: Option<&str>) -> Result<()> {
        let at = self.now();
        self.commit(Op::SetState { state, reason: reason.map(str::to_owned), at }).await?;
        self.count_state(state);
        self.instance.reason = reason.map(str::to_owned);
        self.instance.since = at;
        Ok(())
    }

    /// WhatsApp banned the account until then: it is not connected, and nothing is sent.
    pub(super) async fn restrict_until(&mut self, until: Timestamp) -> Result<()> {
        let restriction = Restriction {
            reason: RestrictionReason::TemporaryBan,
            scope: RestrictionScope::All,
            until: Some(until),
            restarts_at: until,
        };
        self.shared.metrics.restrictions.with_label_values(&[restriction.reason.as_str()]).inc();
        self.set_restriction(Some(restriction)).await
    }

    /// Sets what the account may not send, or lifts it.
    pub(super) async fn set_restriction(&mut self, restriction: Option<Restriction>) -> Result<()> {
        self.commit(Op::SetRestriction { restriction, at: self.now() }).await?;
        self.instance.restriction = restriction;
        Ok(())
    }

    /// Keeps the gauge by state true.
    fn count_state(&mut self, state: InstanceState) {
        let gauge = &self.shared.metrics.instances;
        gauge.with_label_values(&[self.instance.state.as_str()]).dec();
        gauge.with_label_values(&[state.as_str()]).inc();
        self.instance.state = state;
    }

    /// Sets who the account is, with the event of its pairing.
    pub(super) async fn set_account(&mut self, account: Account, paired: bool) -> Result<()> {
        let event = paired.then(|| {
            let data = serde_json::json!({
                "phone": account.phone, "jid": account.jid, "lid": account.lid, "push_name": account.push_name,
            });
            let data = data.as_object().cloned().unwrap_or_default();
            NewEvent::new(EventType::PairingSucceeded, self.now(), data)
        });
        self.commit(Op::SetAccount { account: account.clone(), event }).await?;
        self.instance.account = Some(account);
        Ok(())
    }

    /// Forgets the session: its records in the ledger, and what of them was loaded and not used yet.
    pub(super) async fn forget_records(&mut self, fail_open: Option<Timestamp>) -> Result<()> {
        (self.loaded_device, self.loaded_data_key) = (None, None);
        self.commit(Op::ForgetSession { fail_open }).await.map(|_| ())
    }

    /// The instance's data key, made at first use.
    pub(super) async fn data_key(&mut self) -> Result<DataKey> {
        let (tenant, id) = (self.instance.tenant, self.instance.id);
        let stored = match self.loaded_data_key.take() {
            Some(wrapped) => Some(wrapped),
            None => self.record(RecordKind::DataKey, DATA_KEY).await?,
        };
        if let Some(wrapped) = stored {
            return self.shared.ports.master_key.unwrap_data_key(tenant, id, &wrapped);
        }
        let (key, wrapped) = self.shared.ports.master_key.new_data_key(tenant, id)?;
        let record = Record { kind: RecordKind::DataKey, key: DATA_KEY.to_vec(), value: wrapped, mark: 0 };
        self.commit(Op::Put(vec![record])).await?;
        Ok(key)
    }

    /// The device as loaded in bulk by the shard, opened; `None` once it was used: then the store is read.
    pub(super) fn take_loaded_device(&mut self, key: &DataKey) -> Option<Vec<u8>> {
        let sealed = self.loaded_device.take()?;
        key.open(RecordKind::Device, DEVICE_KEY, &sealed).ok()
    }

    async fn record(&self, kind: RecordKind, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let found = self.shared.ports.ledger.records(self.instance.id, kind, &[key.to_vec()]).await?;
        Ok(found.into_iter().next().map(|record| record.value))
    }
}
