//! The ledger's contract, over SQLite.

#![expect(clippy::unwrap_used, reason = "tests")]

use tempfile::TempDir;
use warren_domain::Network;
use warren_ports::contract::ledger::Subject;
use warren_sqlite::{Options, Sqlite};

struct Store {
    ledger: Sqlite,
    _dir: TempDir,
}

impl Subject for Store {
    type Ledger = Sqlite;

    fn ledger(&self) -> &Sqlite {
        &self.ledger
    }
}

async fn store() -> Store {
    let dir = tempfile::tempdir().unwrap();
    let ledger = Sqlite::open(Options::new(dir.path(), Network::Whatsapp)).await.unwrap();
    Store { ledger, _dir: dir }
}

warren_ports::ledger_contract!(store());
