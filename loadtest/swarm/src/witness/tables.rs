//! What the ledger's own tables say of owners.

use crate::history::{Claim, Ownership};
use anyhow::{Context, Result};
use warren_testkit::cluster::Ledger;

/// The messages that were claimed at or after `since` (milliseconds since 1970), and who owns each instance's shard now.
///
/// # Errors
/// Postgres does not answer.
pub async fn ownership(ledger: &Ledger, since: i64) -> Result<Ownership> {
    let claims = format!(
        "SELECT instance_id, handed_epoch, CASE WHEN attempt <= 1 THEN handed_at END FROM messages
         WHERE handed_epoch IS NOT NULL AND handed_at >= {since}"
    );
    let claims = rows(&ledger.execute(&[&claims]).await?, |fields| match fields {
        [instance, epoch, ""] => Some(Claim { instance: plain(instance), epoch: epoch.parse().ok()?, at: None }),
        [instance, epoch, at] => {
            Some(Claim { instance: plain(instance), epoch: epoch.parse().ok()?, at: Some(at.parse().ok()?) })
        }
        _ => None,
    })?;
    Ok(Ownership { claims, owners: owners(ledger).await?, ..Ownership::default() })
}

/// Every instance, and the epoch that owns its shard now.
///
/// # Errors
/// Postgres does not answer.
pub async fn owners(ledger: &Ledger) -> Result<Vec<(String, i64)>> {
    let owners = "SELECT i.id, o.epoch FROM instances i JOIN shard_owners o USING (shard) WHERE i.deleted_at IS NULL";
    rows(&ledger.execute(&[owners]).await?, |fields| match fields {
        [instance, epoch] => Some((plain(instance), epoch.parse().ok()?)),
        _ => None,
    })
}

fn rows<T>(text: &str, read: impl Fn(&[&str]) -> Option<T>) -> Result<Vec<T>> {
    let row = |line: &str| read(&line.split('|').collect::<Vec<_>>()).with_context(|| format!("an odd row: {line}"));
    text.lines().filter(|line| !line.is_empty()).map(row).collect()
}

/// An id as the API writes it.
fn plain(id: &str) -> String {
    id.replace('-', "")
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn reads_rows_and_refuses_odd_ones() {
        let read = |fields: &[&str]| match fields {
            [a, b] => Some((plain(a), b.parse::<i64>().ok()?)),
            _ => None,
        };
        assert_eq!(rows("a-b|1\nc|2\n", read).unwrap(), [("ab".to_owned(), 1), ("c".to_owned(), 2)]);
        assert!(rows("a|x", read).is_err() && rows("a", read).is_err());
        assert!(rows("", read).unwrap().is_empty());
    }
}
