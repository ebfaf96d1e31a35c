//! The bus over core NATS: requests to the owner of a shard, and rings.
