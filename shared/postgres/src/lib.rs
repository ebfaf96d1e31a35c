//! The ledger in Postgres: committer lanes, one takeover statement, a log with a horizon.
