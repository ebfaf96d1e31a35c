//! A sign of life, and how old it is.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// When somebody last showed that it runs, by the monotonic clock.
#[derive(Debug)]
pub(crate) struct Beat {
    last: Mutex<Instant>,
}

impl Beat {
    /// It runs now.
    pub(crate) fn new() -> Self {
        Self { last: Mutex::new(Instant::now()) }
    }

    /// It runs now, again.
    pub(crate) fn beat(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// How long ago that was shown.
    pub(crate) fn age(&self) -> Duration {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }
}
