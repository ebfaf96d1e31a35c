//! The hops of a text, as the metrics of processes count them.

use crate::http;
use anyhow::Result;
use serde_json::{Value, json};

/// The sum of the seconds of a hop, and how many there were.
type Hop = (f64, f64);

/// The hops until now.
pub(crate) struct Hops {
    commit: Hop,
    hand: Hop,
    ack: Hop,
}

impl Hops {
    /// As all these processes count them, each by the address of its metrics.
    pub(crate) async fn of(admins: &[String]) -> Result<Self> {
        let mut hops = Self { commit: (0.0, 0.0), hand: (0.0, 0.0), ack: (0.0, 0.0) };
        for admin in admins {
            let metrics = http::text(admin, "/metrics").await?;
            add(&mut hops.commit, &metrics, "warren_commit_seconds", "")?;
            add(&mut hops.hand, &metrics, "warren_send_seconds", "{hop=\"hand\"}")?;
            add(&mut hops.ack, &metrics, "warren_send_seconds", "{hop=\"ack\"}")?;
        }
        Ok(hops)
    }

    /// What they took on average since an earlier look, milliseconds: a commit, from the acceptance of a text until it was
    /// written to the wire, from there to the server's ack; and how many commits there were.
    pub(crate) fn since(&self, before: &Self) -> Value {
        let mean = |now: Hop, then: Hop| (now.0 - then.0) / (now.1 - then.1).max(1.0) * 1_000.0;
        json!({
            "commit_ms": mean(self.commit, before.commit),
            "hand_ms": mean(self.hand, before.hand),
            "ack_ms": mean(self.ack, before.ack),
            "commits": self.commit.1 - before.commit.1,
        })
    }
}

fn add(hop: &mut Hop, metrics: &str, name: &str, labels: &str) -> Result<()> {
    hop.0 += value(metrics, &format!("{name}_sum{labels}"))?;
    hop.1 += value(metrics, &format!("{name}_count{labels}"))?;
    Ok(())
}

/// The value of a metric; 0 of one that was never counted.
fn value(metrics: &str, name: &str) -> Result<f64> {
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    Ok(line.unwrap_or("0").trim().parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hop_is_what_was_counted_since_the_look_before() -> Result<()> {
        let mut hop = (0.0, 0.0);
        let metrics = "a_sum{hop=\"ack\"} 4\na_sum{hop=\"hand\"} 1.5\na_count{hop=\"hand\"} 3\n";
        add(&mut hop, metrics, "a", "{hop=\"hand\"}")?;
        add(&mut hop, metrics, "b", "")?;
        assert_eq!(hop, (1.5, 3.0));
        Ok(())
    }
}
