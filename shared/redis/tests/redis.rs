//! Leases and rates over a real Redis.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::num::NonZeroU32;
use std::time::{Duration, Instant};
use warren_ports::contract::until;
use warren_ports::lease::{Incarnation, Leases as _, Standing};
use warren_ports::limiter::{Limiter as _, Rate, Verdict};
use warren_redis::{ConnectError, Leases, Limiter, Options, Redis, check};
use warren_testkit::services;

const LONG: Duration = Duration::from_secs(60);

async fn server() -> services::Redis {
    let _ = rustls::crypto::ring::default_provider().install_default();
    services::Redis::start().await.unwrap()
}

async fn connected(server: &services::Redis) -> Redis {
    Redis::connect(Options::new(&server.url(), "test")).await.unwrap()
}

/// The server lives as long as what speaks to it.
struct Held<T> {
    inner: T,
    _server: services::Redis,
}

mod lease_contract {
    use super::*;

    #[async_trait::async_trait]
    impl warren_ports::lease::Leases for Held<Leases> {
        async fn renew(&self, worker: &str, incarnation: Incarnation, ttl: Duration) -> warren_domain::Result<()> {
            self.inner.renew(worker, incarnation, ttl).await
        }

        async fn standing(&self, holders: &[(String, Incarnation)]) -> warren_domain::Result<Standing> {
            self.inner.standing(holders).await
        }

        async fn release(&self, worker: &str, incarnation: Incarnation) -> warren_domain::Result<()> {
            self.inner.release(worker, incarnation).await
        }
    }

    async fn leases() -> Held<Leases> {
        let server = server().await;
        Held { inner: connected(&server).await.leases(), _server: server }
    }

    warren_ports::lease_contract!(leases());
}

mod limiter_contract {
    use super::*;

    #[async_trait::async_trait]
    impl warren_ports::limiter::Limiter for Held<Limiter> {
        async fn take(&self, key: &str, rate: Rate) -> Verdict {
            self.inner.take(key, rate).await
        }

        async fn look(&self, key: &str, rate: Rate) -> Verdict {
            self.inner.look(key, rate).await
        }
    }

    async fn limiter() -> Held<Limiter> {
        let server = server().await;
        Held { inner: connected(&server).await.limiter(), _server: server }
    }

    warren_ports::limiter_contract!(limiter());
}

fn rate(per_second: u32, burst: u32) -> Rate {
    Rate::per_second(NonZeroU32::new(per_second).unwrap(), NonZeroU32::new(burst).unwrap())
}

async fn standing(leases: &Leases) -> warren_domain::Result<Standing> {
    leases.standing(&[("a".to_owned(), Incarnation(1))]).await
}

#[tokio::test]
async fn a_flush_and_a_restart_are_told_and_the_next_renewal_is_enough() {
    let mut server = server().await;
    let leases = connected(&server).await.leases();
    leases.renew("a", Incarnation(1), LONG).await.unwrap();
    let mut known = standing(&leases).await.unwrap();
    assert!(known.remaining[0].is_some());
    for restart in [false, true] {
        if restart {
            server.restart().await.unwrap()
        } else {
            server.flush_all().await.unwrap()
        }
        until("it answers again, and remembers nothing", async || {
            standing(&leases).await.is_ok_and(|now| now.memory != known.memory && now.remaining == [None])
        })
        .await;
        leases.renew("a", Incarnation(1), LONG).await.unwrap();
        let now = standing(&leases).await.unwrap();
        assert!(now.remaining[0].is_some() && now.memory != known.memory);
        known = now;
    }
}

#[tokio::test]
async fn while_it_is_away_a_renewal_fails_soon_and_rates_are_judged_here() {
    let mut server = server().await;
    let redis = connected(&server).await;
    let (leases, limiter) = (redis.leases(), redis.limiter());
    leases.renew("a", Incarnation(1), LONG).await.unwrap();
    server.pause().unwrap();

    let started = Instant::now();
    assert!(leases.renew("a", Incarnation(1), LONG).await.is_err());
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());

    // Half of the burst passes, and only the first waits for Redis.
    let mut passed = 0;
    for _ in 0..20 {
        passed += usize::from(matches!(limiter.take("k", rate(1, 10)).await, Verdict::Allowed { .. }));
    }
    assert_eq!(passed, 5);
    let figure: f64 = redis
        .collectors()
        .iter()
        .flat_map(|collector| collector.collect())
        .map(|family| {
            if family.name() == "warren_limiter_local_total" {
                family.get_metric()[0].get_counter().get_value()
            } else {
                0.0
            }
        })
        .sum();
    assert!(figure >= 20.0, "{figure}");

    server.resume().unwrap();
    until("renewals pass again", async || leases.renew("a", Incarnation(1), LONG).await.is_ok()).await;
    until("rates are shared again", async || {
        matches!(limiter.take("fresh", rate(1, 100)).await, Verdict::Allowed { remaining: 99 })
    })
    .await;
    server.kill().await.unwrap();
    assert!(standing(&leases).await.is_err());
    server.restart().await.unwrap();
    until("it is connected to again", async || leases.renew("a", Incarnation(1), LONG).await.is_ok()).await;
}

#[tokio::test]
async fn two_processes_share_a_rate_and_two_clusters_do_not() {
    let server = server().await;
    let (one, other) = (connected(&server).await.limiter(), connected(&server).await.limiter());
    let mut passed = 0;
    for _ in 0..10 {
        for limiter in [&one, &other] {
            passed += usize::from(matches!(limiter.take("k", rate(1, 10)).await, Verdict::Allowed { .. }));
        }
    }
    assert_eq!(passed, 10);
    let foreign = Redis::connect(Options::new(&server.url(), "other")).await.unwrap();
    assert_eq!(foreign.limiter().take("k", rate(1, 10)).await, Verdict::Allowed { remaining: 9 });
}

#[tokio::test]
async fn a_wrong_url_is_one_line_without_its_password() {
    let server = server().await;
    let address = server.address();
    let wrong = format!("redis://:canary@{address}/");
    let nobody = "redis://:canary@127.0.0.1:1/".to_owned();
    for url in [wrong, nobody, "canary".to_owned(), "http://canary@x/".to_owned()] {
        let line = Redis::connect(Options::new(&url, "test")).await.unwrap_err().to_string();
        assert!(!line.contains("canary") && !line.contains('\n') && !line.is_empty(), "{line}");
        assert_eq!(check(Options::new(&url, "test")).await.unwrap_err(), line);
    }
    assert!(matches!(Redis::connect(Options::new("nonsense", "test")).await, Err(ConnectError::Url)));
    assert!(check(Options::new(&server.url(), "test")).await.unwrap().starts_with("answers in"));
}
