//! The contract suites on the adapters of this crate.

mod bus {
    use std::sync::Arc;
    use warren_memory::Bus;
    use warren_ports::contract::bus::Subject;

    struct Local(Bus);

    impl Subject for Local {
        fn bus(&self) -> Arc<dyn warren_ports::bus::Bus> {
            Arc::new(self.0.clone())
        }

        async fn close(&self) {
            self.0.close();
        }
    }

    warren_ports::bus_contract!(async { Local(Bus::new()) });
}

mod leases {
    warren_ports::lease_contract!(async { warren_memory::Leases::new() });
}

mod limiter {
    warren_ports::limiter_contract!(async { warren_memory::Limiter::new() });
}

mod placement {
    use warren_domain::{Epoch, ShardCount};

    warren_ports::placement_contract!(async { warren_memory::LocalPlacement::new(ShardCount::default(), Epoch(3)) });
}
