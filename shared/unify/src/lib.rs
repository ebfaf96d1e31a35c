//! Nothing but dependencies: every crate that links the client library depends on this one, so that `cargo test -p one-crate`
//! and `cargo test --workspace` ask for the same features of the libraries below it and share one build of them. Without it
//! each choice of crates compiles the client library again (a minute or two each time).
