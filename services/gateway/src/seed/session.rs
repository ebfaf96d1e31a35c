//! Whether an instance can be used. The seed speaks of a session in memory; here it is the instance and its state.

use super::{
    Seed,
    codes::Code,
    envelope::{Failure, coded},
    phone,
};
use warren_domain::{Instance, InstanceId, InstanceState};

/// What a route looks at: the first missing thing is what is answered, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Needs {
    /// That it is connected.
    Connected,
    /// And that its connection stands.
    Live,
    /// And that it is logged in.
    LoggedIn,
}

/// Who sends.
#[derive(Debug)]
pub(super) enum Sender {
    /// The instance with this id.
    Instance(String),
    /// The instance that is online with this number.
    Number(String),
}

impl Sender {
    /// The instance, able to do what is needed, and the number to name as `from` if it was chosen by its number.
    pub(super) async fn find(&self, seed: &Seed, needs: Needs) -> Result<(Instance, Option<String>), Failure> {
        match self {
            Self::Instance(id) => Ok((able(session(seed, id).await?, needs)?, None)),
            Self::Number(number) => {
                let instance = by_number(seed, number).await?;
                let from = instance.account.as_ref().map(|account| account.phone.clone());
                Ok((able(instance, needs)?, from))
            }
        }
    }
}

/// The instance with this id; what is no id is nobody's.
pub(super) async fn instance(seed: &Seed, id: &str) -> Result<Option<Instance>, Failure> {
    let Ok(id) = id.parse::<InstanceId>() else { return Ok(None) };
    seed.app.ledger.instance(seed.tenant, id).await.map_err(|error| crate::problem::Problem::from(error).into())
}

/// The instance with this id that has a session: one that was logged out has none.
pub(super) async fn session(seed: &Seed, id: &str) -> Result<Instance, Failure> {
    let found = instance(seed, id).await?.filter(|instance| instance.state != InstanceState::LoggedOut);
    found.ok_or_else(|| Code::SessionNotFound.into())
}

/// The instance if it can do what is needed now.
pub(super) fn able(instance: Instance, needs: Needs) -> Result<Instance, Failure> {
    let missing = match (instance.state, needs) {
        (InstanceState::Online, _) => return Ok(instance),
        (InstanceState::LoggedOut, _) => Code::SessionNotFound,
        (_, Needs::Connected) | (InstanceState::Created | InstanceState::Pairing | InstanceState::Disconnected, _) => {
            Code::NotConnected
        }
        (InstanceState::Connecting, _) | (_, Needs::Live) => Code::ConnectionLost,
        (InstanceState::Restricted | InstanceState::Quarantined, Needs::LoggedIn) => Code::NotLoggedIn,
    };
    Err(missing.into())
}

async fn by_number(seed: &Seed, number: &str) -> Result<Instance, Failure> {
    let Some(digits) = phone::format(number) else { return Err(Code::NoActiveInstance.into()) };
    let found = seed.app.ledger.instance_by_phone(seed.tenant, &digits).await;
    let found = found.map_err(|error| coded(Code::DbError)(error.into()))?;
    found.filter(|instance| instance.state == InstanceState::Online).ok_or_else(|| Code::NoActiveInstance.into())
}

/// The address of the instance's device; empty before its first pairing, and once it was logged out.
pub(super) fn jid(instance: &Instance) -> &str {
    let account = instance.account.as_ref().filter(|_| instance.state != InstanceState::LoggedOut);
    account.map_or("", |account| account.jid.as_str())
}

/// The number of the instance's account; empty before its first pairing.
pub(super) fn number(instance: &Instance) -> &str {
    instance.account.as_ref().map_or("", |account| account.phone.as_str())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
pub(super) mod tests {
    use super::*;
    use warren_domain::{Health, TenantId, Timestamp};

    /// An instance of which nothing else is known.
    pub(in crate::seed) fn in_state(state: InstanceState) -> Instance {
        Instance {
            id: InstanceId::from_bytes([1; 16]),
            tenant: TenantId::from_bytes([2; 16]),
            name: None,
            metadata: serde_json::Map::new(),
            state,
            reason: None,
            since: Timestamp::default(),
            account: None,
            health: Health::OK,
            restriction: None,
            created_at: Timestamp::default(),
            device_name: None,
            proxy: None,
        }
    }

    #[test]
    fn the_first_missing_thing_is_what_is_answered() {
        use InstanceState::{Connecting, Created, Disconnected, LoggedOut, Online, Pairing, Quarantined, Restricted};
        let code = |state, needs| format!("{:?}", able(in_state(state), needs).unwrap_err());
        for needs in [Needs::Connected, Needs::Live, Needs::LoggedIn] {
            assert!(able(in_state(Online), needs).is_ok());
            assert!(code(LoggedOut, needs).contains("SessionNotFound"));
            for state in [Created, Pairing, Disconnected] {
                assert!(code(state, needs).contains("NotConnected"), "{state:?}");
            }
        }
        assert!(code(Connecting, Needs::Connected).contains("NotConnected"));
        assert!(code(Connecting, Needs::LoggedIn).contains("ConnectionLost"));
        for state in [Restricted, Quarantined] {
            assert!(code(state, Needs::Live).contains("ConnectionLost"), "{state:?}");
            assert!(code(state, Needs::LoggedIn).contains("NotLoggedIn"), "{state:?}");
        }
    }
}
