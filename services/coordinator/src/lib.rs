//! Who owns what: a Raft group that agrees on members, shards and epochs, and on nothing else.
