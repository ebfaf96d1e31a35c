//! The ledger's contract, over Postgres.

#![expect(clippy::unwrap_used, reason = "tests")]

use warren_domain::Network;
use warren_ports::contract::ledger::Subject;
use warren_postgres::{Options, Postgres};
use warren_testkit::services;

struct Store {
    ledger: Postgres,
    _database: services::Database,
}

impl Subject for Store {
    type Ledger = Postgres;

    fn ledger(&self) -> &Postgres {
        &self.ledger
    }
}

async fn store() -> Store {
    let database = services::Postgres::database().await.unwrap();
    let options = Options { migrate: true, ..Options::new(database.url(), Network::Whatsapp) };
    Store { ledger: Postgres::open(options).await.unwrap(), _database: database }
}

warren_ports::ledger_contract!(store());
