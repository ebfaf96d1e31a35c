//! Rates (GCRA): for each key the moment at which all that it took will be used up, by Redis's clock, in one script.

use crate::Redis;
use async_trait::async_trait;
use redis::Script;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use warren_ports::limiter::{Buckets, Rate, Verdict};

/// Microseconds throughout. A number is written as text with all its digits: Lua's own way keeps fourteen. `interval` is how
/// long one take lasts, `tolerance` how far ahead takes may reach; the third argument is 0 for who only looks. Answers whether it
/// may, and what remains or how long to wait.
const TAKE: &str = "
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval, tolerance = tonumber(ARGV[1]), tonumber(ARGV[2])
local from = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now)
if from - now > tolerance then return {0, from - now - tolerance} end
if ARGV[3] == '1' then
  local used_up = from + interval
  redis.call('SET', KEYS[1], string.format('%.0f', used_up), 'PX', math.ceil((used_up - now) / 1000))
end
return {1, math.floor((tolerance - (from - now)) / interval)}
";
/// After Redis did not answer, it is not asked for so long: nobody waits for it again and again.
const REST: Duration = Duration::from_secs(1);

/// A limiter that all processes share. While Redis is away, each counts by itself, half as much.
#[derive(Debug, Clone)]
pub struct Limiter {
    redis: Redis,
    script: Arc<Script>,
    local: Arc<Buckets>,
    rests_until: Arc<Mutex<Option<Instant>>>,
}

impl Limiter {
    pub(crate) fn new(redis: Redis) -> Self {
        Self { redis, script: Arc::new(Script::new(TAKE)), local: Arc::default(), rests_until: Arc::default() }
    }

    fn rests(&self) -> bool {
        self.rests_until.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|until| Instant::now() < until)
    }

    fn rest(&self) {
        *self.rests_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + REST);
    }

    async fn shared(&self, key: &str, rate: Rate, takes: bool) -> Option<Verdict> {
        if self.rests() {
            return None;
        }
        let interval = rate.interval().as_secs_f64() * 1_000_000.0;
        let tolerance = interval * f64::from(rate.burst.get() - 1);
        let mut call = self.script.prepare_invoke();
        call.key(self.redis.key(&format!("rate:{key}"))).arg(interval).arg(tolerance).arg(u8::from(takes));
        let mut manager = self.redis.manager();
        let Ok((passes, number)) = self.redis.timed("take", call.invoke_async::<(u8, u64)>(&mut manager)).await else {
            self.rest();
            return None;
        };
        Some(match passes {
            0 => Verdict::Limited { retry_after: Duration::from_micros(number.max(1)) },
            _ => Verdict::Allowed { remaining: u32::try_from(number).unwrap_or(u32::MAX) },
        })
    }
}

#[async_trait]
impl warren_ports::limiter::Limiter for Limiter {
    async fn take(&self, key: &str, rate: Rate) -> Verdict {
        if let Some(verdict) = self.shared(key, rate, true).await {
            return verdict;
        }
        self.redis.count_local();
        self.local.take(key, half(rate))
    }

    async fn look(&self, key: &str, rate: Rate) -> Verdict {
        match self.shared(key, rate, false).await {
            Some(verdict) => verdict,
            None => self.local.look(key, half(rate)),
        }
    }
}

/// Half as much: several processes that count by themselves let through more than one that all share.
fn half(rate: Rate) -> Rate {
    let half = |number: NonZeroU32| NonZeroU32::new(number.get() / 2).unwrap_or(NonZeroU32::MIN);
    Rate { number: half(rate.number), burst: half(rate.burst), ..rate }
}
