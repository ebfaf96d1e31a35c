//! A checker that cannot fail is worth nothing: with one protection switched off in every worker of a cluster, the fault that
//! needs it must be reported as a violation. What one worker shows alone is in `e2e`, which runs over a cluster too.
