//! Detached tasks begun in the order they were handed over.
//!
//! The library hands each stanza that is neither a message nor about the login to a task of its own (whatsapp-rust 0.7.0,
//! `client/node_io.rs`), and an executor promises no order among tasks: a group renamed twice was told with the old name
//! last. What is begun here goes as far as it gets without waiting before the next is begun, which for nearly every stanza
//! is all the way to its announcement.

use std::{
    collections::VecDeque,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

/// A task of the library.
pub(super) type Job = Pin<Box<dyn Future<Output = ()> + Send + 'static>>;

/// What was handed over and is not begun yet. As long as the library's own tasks would be: it has no other bound.
#[derive(Clone, Default)]
pub(super) struct Starts(Arc<Mutex<Waiting>>);

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    /// Whether somebody is at it.
    attended: bool,
}

impl Starts {
    /// Hands a job over. Whoever gets an [`Attendant`] has to take all there is.
    pub(super) fn push(&self, job: Job) -> Option<Attendant> {
        let mut waiting = self.lock();
        waiting.jobs.push_back(job);
        if waiting.attended {
            return None;
        }
        waiting.attended = true;
        Some(Attendant { starts: self.clone(), done: false })
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing of a job runs under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes what was handed over, one by one. Dropped before there is nothing left, it drops the rest.
pub(super) struct Attendant {
    starts: Starts,
    done: bool,
}

impl Attendant {
    /// The next job; without one this attendant is done, and the next job handed over gets another.
    pub(super) fn next(&mut self) -> Option<Job> {
        let mut waiting = self.starts.lock();
        let job = waiting.jobs.pop_front();
        if job.is_none() {
            waiting.attended = false;
            self.done = true;
        }
        job
    }
}

impl Drop for Attendant {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        let left = {
            let mut waiting = self.starts.lock();
            waiting.attended = false;
            std::mem::take(&mut waiting.jobs)
        };
        // Not under the lock: a job may hold whatever it likes.
        drop(left);
    }
}

/// Runs a job until it first waits; `None` if it is over. A panic in it ends that job only, as in a task of its own.
pub(super) fn begin(mut job: Job) -> Option<Job> {
    let mut context = Context::from_waker(Waker::noop());
    match catch_unwind(AssertUnwindSafe(|| job.as_mut().poll(&mut context))) {
        Ok(Poll::Pending) => Some(job),
        Ok(Poll::Ready(())) | Err(_) => None,
    }
}
