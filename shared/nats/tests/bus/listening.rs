//! From when on a listener hears what others ring.

use crate::common::{heard, joined};
use warren_domain::TenantId;
use warren_ports::bus::{Bus as _, Ring, Topic};
use warren_testkit::services::Nats;

/// Once `listen` has returned, nothing that anybody rings to a log is missed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_is_heard_from_the_moment_it_is_listened_to() {
    let nats = Nats::start().await.unwrap();
    let (listening, ringing) = (joined(&nats, "listening").await, joined(&nats, "ringing").await);
    for _ in 0..500 {
        let log = Topic::Log(TenantId::generate());
        let mut listener = listening.bus.listen(log).await;
        ringing.bus.ring(log, Ring::Log);
        assert_eq!(heard(&mut listener).await, Ring::Log);
    }
}
