//! Leases and rate limits in Redis.
