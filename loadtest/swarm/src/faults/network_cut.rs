//! Fault 10: the network between one worker and one of its servers is cut, in both directions or one, and comes back.

use super::{Admission, Bounds, Case, Needs, Trial};
use anyhow::{Context, Result, bail};
use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use std::net::SocketAddr;
use tokio::time::sleep;
use warren_testkit::cluster::Ledger;
use warren_testkit::{Chaos, Direction};

type Inject = for<'t, 's> fn(&'t mut Trial<'s>) -> LocalBoxFuture<'t, Result<()>>;

/// One takeover: to another worker, and back when this one has come again.
const BOUNDS: Bounds = Bounds { logins_at_most: Some(2), ..Bounds::NONE };

/// When all are connected again after half a minute without WhatsApp, seconds: they look every quarter of a minute.
const BACK: f64 = 50.0;

const fn case(name: &'static str, inject: Inject) -> Case {
    let needs = Needs::OWN_POSTGRES;
    Case { fault: 10, name, repetitions: 2, needs, bounds: BOUNDS, admission: Admission::Benchmark, inject }
}

pub(super) const CASES: &[Case] = &[
    case("Redis, reset", |trial| cut(trial, Server::Redis, How::Reset).boxed_local()),
    case("Redis, black hole", |trial| cut(trial, Server::Redis, How::BlackHole).boxed_local()),
    case("Redis, not heard", |trial| cut(trial, Server::Redis, How::OneWay(Direction::FromTarget)).boxed_local()),
    case("NATS, reset", |trial| cut(trial, Server::Nats, How::Reset).boxed_local()),
    case("NATS, black hole", |trial| cut(trial, Server::Nats, How::BlackHole).boxed_local()),
    case("NATS, not heard", |trial| cut(trial, Server::Nats, How::OneWay(Direction::FromTarget)).boxed_local()),
    case("Postgres, reset", |trial| cut(trial, Server::Postgres, How::Reset).boxed_local()),
    case("Postgres, black hole", |trial| cut(trial, Server::Postgres, How::BlackHole).boxed_local()),
    case("Postgres, not heard", |trial| cut(trial, Server::Postgres, How::OneWay(Direction::FromTarget)).boxed_local()),
    Case {
        bounds: Bounds { last_connected_s: Some((BACK, BACK)), ..BOUNDS },
        ..case("WhatsApp, reset", |trial| cut(trial, Server::WhatsApp, How::Reset).boxed_local())
    },
    case("WhatsApp, black hole", |trial| cut(trial, Server::WhatsApp, How::BlackHole).boxed_local()),
    case("WhatsApp, silent", |trial| cut(trial, Server::WhatsApp, How::OneWay(Direction::ToTarget)).boxed_local()),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Server {
    Redis,
    Nats,
    Postgres,
    WhatsApp,
}

#[derive(Debug, Clone, Copy)]
enum How {
    /// Connections end, new ones are refused.
    Reset,
    /// Nothing arrives in either direction.
    BlackHole,
    /// Nothing arrives in this one.
    OneWay(Direction),
}

/// Proxies before everything that the first worker depends on.
#[derive(Debug)]
pub struct Proxies {
    redis: Chaos,
    nats: Chaos,
    postgres: Chaos,
    whatsapp: Chaos,
}

impl Proxies {
    fn before(&self, server: Server) -> &Chaos {
        match server {
            Server::Redis => &self.redis,
            Server::Nats => &self.nats,
            Server::Postgres => &self.postgres,
            Server::WhatsApp => &self.whatsapp,
        }
    }
}

/// Puts proxies before the first worker, which is started again for it: shards move as in any rolling restart.
async fn interpose(trial: &mut Trial<'_>) -> Result<()> {
    if trial.scene.proxies.is_some() {
        return Ok(());
    }
    let simulator = trial.scene.place.simulator.url().trim_start_matches("http://").to_owned();
    let simulator: SocketAddr = simulator.parse().context("the simulator's address")?;
    let servers = &trial.scene.cluster.servers;
    let Ledger::Private(postgres) = &servers.ledger else { bail!("this needs a Postgres of its own") };
    let proxies = Proxies {
        redis: Chaos::before(servers.redis.address()).await?,
        nats: Chaos::before(servers.nats.address()).await?,
        postgres: Chaos::before(postgres.address()).await?,
        whatsapp: Chaos::before(simulator).await?,
    };
    let environment = [
        ("REDIS_URL", servers.redis.url_at(proxies.redis.address())),
        ("NATS_URL", servers.nats.url_at(proxies.nats.address())),
        ("DATABASE_URL", postgres.url_at(proxies.postgres.address())),
    ];
    let url = format!("http://{}", proxies.whatsapp.address());
    let worker = trial.scene.cluster.workers.first_mut().context("no worker")?;
    worker.stop().await?;
    worker.set_argument("--simulator-url", &url);
    let environment: Vec<_> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    worker.start_again(&environment).await?;
    trial.scene.proxies = Some(proxies);
    trial.look_again();
    trial.scene.balanced().await?;
    trial.scene.connected().await?;
    Ok(())
}

async fn cut(trial: &mut Trial<'_>, server: Server, how: How) -> Result<()> {
    interpose(trial).await?;
    let hit = trial.scene.instances_of(0).await?;
    // Its connections may outlive it on WhatsApp's side, and be ended by the next owner's logins or its own.
    trial.may_replace(2 * hit);
    trial.may_die(1);
    trial.strike(if server == Server::WhatsApp { hit } else { 0 }).await?;
    let away = trial.scene.scale.away;
    let proxies = trial.scene.proxies.as_ref().context("no proxies")?;
    let proxy = proxies.before(server);
    match how {
        How::Reset => proxy.cut().await?,
        How::BlackHole => proxy.stall(),
        How::OneWay(direction) => proxy.stall_one_way(direction),
    }
    sleep(away).await;
    proxy.pass().await
}
