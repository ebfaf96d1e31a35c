//! The contract of the bus, over a real NATS server.

use std::sync::Arc;
use warren_nats::{Bus, Metrics, Options, connect};
use warren_ports::contract::bus::Subject;
use warren_testkit::services::Nats;

struct Served {
    bus: Bus,
    _nats: Nats,
}

impl Subject for Served {
    fn bus(&self) -> Arc<dyn warren_ports::bus::Bus> {
        Arc::new(self.bus.clone())
    }

    async fn close(&self) {
        self.bus.close().await;
    }
}

async fn served() -> Served {
    let nats = Nats::start().await.unwrap();
    let options = Options::new(&nats.url(), "contract", "a secret of the cluster, long enough", "tester");
    let bus = connect(&options, Metrics::new().unwrap()).await.unwrap();
    Served { bus, _nats: nats }
}

warren_ports::bus_contract!(served());
