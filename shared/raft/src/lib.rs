//! What the coordinator and its clients say to each other, and the client: placement as the Raft group decides it.
