//! Serving every shard, and leaving them all.

use crate::{bus, percentile};
use anyhow::{Result, ensure};
use futures::StreamExt as _;
use std::time::{Duration, Instant};
use warren_domain::{InstanceId, Shard, TenantId};
use warren_ports::bus::{Action, Bus, Command, Reply, Topic};
use warren_testkit::services::Nats;

const SHARDS: u16 = 1_024;
const LIMIT: Duration = Duration::from_secs(10);
const ROUNDS: usize = 5;

pub(crate) async fn run(nats: &Nats) -> Result<()> {
    let asker = bus(nats, "asker").await?;
    let (mut taken, mut answered) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let server = bus(nats, "server").await?;
        let started = Instant::now();
        let mut served = Vec::new();
        for shard in 0..SHARDS {
            served.push((server.serve(Shard(shard)).await, server.listen(Topic::Outbound(Shard(shard))).await));
        }
        taken.push(started.elapsed());
        let mut listeners = Vec::new();
        for (mut requests, listener) in served {
            listeners.push(listener);
            tokio::spawn(async move {
                while let Some(request) = requests.recv().await {
                    let _ = request.reply.send(Reply::Accepted);
                }
            });
        }
        let mut asked = futures::stream::iter(0..SHARDS).map(|shard| ask(&asker, shard)).buffer_unordered(64);
        while let Some(result) = asked.next().await {
            result?;
        }
        answered.push(started.elapsed());
        server.close().await;
    }
    taken.sort();
    answered.sort();
    println!("\n{SHARDS} shards served and listened to in {:.1?}", percentile(&taken, 50));
    println!("  each has answered another process after {:.1?}", percentile(&answered, 50));
    Ok(())
}

async fn ask(asker: &warren_nats::Bus, shard: u16) -> Result<()> {
    let command = Command { tenant: TenantId::generate(), instance: InstanceId::generate(), action: Action::Health };
    let answered = asker.request(Shard(shard), command, LIMIT).await;
    ensure!(answered == Ok(Reply::Accepted), "{answered:?}");
    Ok(())
}
