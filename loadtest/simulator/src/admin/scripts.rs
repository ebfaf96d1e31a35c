//! `/admin/scripts`: requests of this API in a row, each at its time, so that a run of trouble can be repeated.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Path, State};
use axum::http::{Method, Request, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tower::Service as _;

use super::{Error, Result, body};
use crate::world::World;

/// Steps of one script.
const STEPS: usize = 1_000;
/// Scripts that are remembered; the oldest that has ended goes first. No more run at once.
const SCRIPTS: usize = 16;
/// The latest step, a day.
const LATEST: u64 = 24 * 3_600_000;
/// Steps that failed and are told of.
const FAILURES: usize = 100;
/// What is kept of a failed step's answer, bytes.
const DETAIL: usize = 64 * 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Script {
    steps: Vec<Step>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    /// After the start of the script, milliseconds.
    at_ms: u64,
    /// `POST` without it.
    method: Option<String>,
    /// Of this API, beginning with `/admin/`.
    path: String,
    #[serde(default)]
    body: Value,
}

/// The scripts that run, and the last that have.
#[derive(Default)]
pub(crate) struct Scripts {
    next: u64,
    runs: VecDeque<Arc<Run>>,
}

/// One script's run.
struct Run {
    id: u64,
    steps: usize,
    done: AtomicUsize,
    failures: Mutex<Vec<Value>>,
    stop: CancellationToken,
}

impl Run {
    fn is_over(&self) -> bool {
        self.stop.is_cancelled() || self.done.load(Ordering::Relaxed) == self.steps
    }

    fn view(&self) -> Value {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let done = self.done.load(Ordering::Relaxed);
        json!({"id": self.id, "steps": self.steps, "done": done, "running": !self.is_over(), "failures": failures})
    }

    fn failed(&self, step: usize, status: StatusCode, answer: &[u8]) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() < FAILURES {
            let detail = serde_json::from_slice::<Value>(answer).unwrap_or_default();
            failures.push(json!({"step": step, "status": status.as_u16(), "answer": detail}));
        }
    }
}

impl Scripts {
    fn begin(&mut self, steps: usize, stop: CancellationToken) -> Option<Arc<Run>> {
        if self.runs.len() >= SCRIPTS {
            let over = self.runs.iter().position(|run| run.is_over())?;
            self.runs.remove(over);
        }
        self.next += 1;
        let run = Run { id: self.next, steps, done: AtomicUsize::new(0), failures: Mutex::default(), stop };
        let run = Arc::new(run);
        self.runs.push_back(Arc::clone(&run));
        Some(run)
    }
}

/// Starts a script.
pub(super) async fn start(State(world): State<Arc<World>>, bytes: Bytes) -> Result<(StatusCode, Json<Value>)> {
    let Script { mut steps } = body(&bytes)?;
    if steps.is_empty() || steps.len() > STEPS {
        return Err(Error::invalid(format!("a script has 1 to {STEPS} steps")));
    }
    for step in &steps {
        step.check()?;
    }
    steps.sort_by_key(|step| step.at_ms);
    let begun = world.scripts().begin(steps.len(), world.stop.child_token());
    let run = begun.ok_or_else(|| Error::new(StatusCode::CONFLICT, "too_many", format!("{SCRIPTS} scripts are running")))?;
    let view = run.view();
    tokio::spawn(perform(world, run, steps));
    Ok((StatusCode::ACCEPTED, Json(view)))
}

impl Step {
    fn check(&self) -> Result<()> {
        if !self.path.starts_with("/admin/") || self.path.starts_with("/admin/scripts") {
            return Err(Error::invalid("a path begins with /admin/ and is not that of scripts"));
        }
        if self.at_ms > LATEST {
            return Err(Error::invalid(format!("at_ms is at most {LATEST}")));
        }
        self.request().map(drop)
    }

    fn request(&self) -> Result<Request<Body>> {
        let method = self.method.as_deref().unwrap_or("POST");
        let method: Method = method.parse().map_err(|_| Error::invalid("a method is GET, POST, PATCH or DELETE"))?;
        let body = if self.body.is_null() { String::new() } else { self.body.to_string() };
        let request = Request::builder().method(method).uri(&self.path).body(Body::from(body));
        request.map_err(|_| Error::invalid("a path is that of a request"))
    }
}

/// Steps at their times, one after the other: one that takes long holds up those behind it.
async fn perform(world: Arc<World>, run: Arc<Run>, steps: Vec<Step>) {
    let (begun, mut router) = (Instant::now(), super::router(world));
    for (number, step) in steps.iter().enumerate() {
        tokio::select! {
            () = tokio::time::sleep_until(begun + Duration::from_millis(step.at_ms)) => {}
            () = run.stop.cancelled() => return,
        }
        let Ok(request) = step.request() else { return };
        if let Ok(answer) = router.call(request).await
            && !answer.status().is_success()
        {
            let status = answer.status();
            run.failed(number, status, &to_bytes(answer.into_body(), DETAIL).await.unwrap_or_default());
        }
        run.done.fetch_add(1, Ordering::Relaxed);
    }
}

/// The scripts that run, and the last that have.
pub(super) async fn list(State(world): State<Arc<World>>) -> Json<Value> {
    let scripts: Vec<_> = world.scripts().runs.iter().map(|run| run.view()).collect();
    Json(json!({"scripts": scripts}))
}

/// Ends one: the steps that are left are not done.
pub(super) async fn stop(State(world): State<Arc<World>>, Path(id): Path<u64>) -> Result<Json<Value>> {
    let found = world.scripts().runs.iter().find(|run| run.id == id).cloned();
    let run = found.ok_or_else(|| Error::new(StatusCode::NOT_FOUND, "no_script", "no such script"))?;
    run.stop.cancel();
    Ok(Json(run.view()))
}
