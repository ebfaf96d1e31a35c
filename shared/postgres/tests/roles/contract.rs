//! The ledger's contract, where every method is carried out by the service whose it is, under its role and from a login of its
//! own.

use crate::services::Services;
use crate::world::World;
use warren_ports::contract::ledger::Subject;

struct Store {
    services: Services,
    _world: World,
}

impl Subject for Store {
    type Ledger = Services;

    fn ledger(&self) -> &Services {
        &self.services
    }
}

async fn store() -> Store {
    let world = World::new().await;
    Store { services: Services::open(&world).await, _world: world }
}

warren_ports::ledger_contract!(store());
