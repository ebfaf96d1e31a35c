//! A TCP proxy that misbehaves as it is told: between a process and what it depends on.

mod carry;

use crate::services::Port;
use anyhow::{Context, Result, bail};
use carry::{Carried, carry};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// Connections that are carried at once; further ones wait to be accepted.
const CONNECTIONS: usize = 4_096;
/// Until a switch must have taken effect.
const LIMIT: Duration = Duration::from_secs(10);
/// Before the port of a proxy that was cut is tried again, or a connection is accepted after one that could not be.
const PAUSE: Duration = Duration::from_millis(5);

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From who connects to what it depends on.
    ToTarget,
    /// Back.
    FromTarget,
}

/// What happens to the bytes of one direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Flow {
    stalled: bool,
    delay: Duration,
    bytes_per_second: Option<NonZeroU32>,
}

/// How the proxy behaves now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Conduct {
    cut: bool,
    to_target: Flow,
    from_target: Flow,
}

impl Conduct {
    const fn flow(&self, direction: Direction) -> Flow {
        match direction {
            Direction::ToTarget => self.to_target,
            Direction::FromTarget => self.from_target,
        }
    }

    const fn flow_mut(&mut self, direction: Direction) -> &mut Flow {
        match direction {
            Direction::ToTarget => &mut self.to_target,
            Direction::FromTarget => &mut self.from_target,
        }
    }
}

/// What went through so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Connections that were accepted.
    pub accepted: u64,
    /// Of those, the ones that are open.
    pub open: u64,
    /// Of those, the ones that the proxy cut.
    pub cut: u64,
    /// Bytes that were passed on to the target.
    pub to_target: u64,
    /// Bytes that were passed back.
    pub from_target: u64,
}

/// A proxy before one address. It holds at most 1 MiB a connection and direction; what is slower is slowed down. Everything
/// that goes through it is reset when it is dropped.
#[derive(Debug)]
pub struct Chaos {
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    target: SocketAddr,
    port: Port,
    conduct: watch::Sender<Conduct>,
    /// Whether it listens.
    listens: watch::Sender<bool>,
    /// How many connections are open.
    open: watch::Sender<usize>,
    /// What cuts each of them, oldest first.
    cuts: Mutex<BTreeMap<u64, oneshot::Sender<()>>>,
    accepted: AtomicU64,
    cut: AtomicU64,
    to_target: AtomicU64,
    from_target: AtomicU64,
}

impl Chaos {
    /// Starts a proxy before `target` that passes everything.
    ///
    /// # Errors
    /// There is no port to listen on.
    pub async fn before(target: SocketAddr) -> Result<Self> {
        let shared = Arc::new(Shared {
            target,
            port: Port::take()?,
            conduct: watch::Sender::default(),
            listens: watch::Sender::default(),
            open: watch::Sender::default(),
            cuts: Mutex::default(),
            accepted: AtomicU64::default(),
            cut: AtomicU64::default(),
            to_target: AtomicU64::default(),
            from_target: AtomicU64::default(),
        });
        let accepting = tokio::spawn(accept(Arc::clone(&shared)));
        let chaos = Self { shared, accepting };
        chaos.listening(true).await?;
        Ok(chaos)
    }

    /// Where to connect instead of the target.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.shared.port.address()
    }

    /// Passes everything at once, also what was held back; takes connections again. Undoes every other switch.
    ///
    /// # Errors
    /// It cannot listen on its port again.
    pub async fn pass(&self) -> Result<()> {
        self.shared.conduct.send_replace(Conduct::default());
        self.listening(true).await
    }

    /// Refuses connections and resets those that are open, on both sides. When it returns, it has.
    ///
    /// # Errors
    /// It does not take effect in time.
    pub async fn cut(&self) -> Result<()> {
        self.shared.conduct.send_modify(|conduct| conduct.cut = true);
        self.listening(false).await?;
        self.shared.cut_all();
        let mut open = self.shared.open.subscribe();
        let none = timeout(LIMIT, open.wait_for(|open| *open == 0)).await;
        none.context("connections stay open")?.map(drop).context("the proxy has ended")
    }

    /// A black hole: takes connections, passes nothing, and lets no side know of the other's end. What comes is held back.
    pub fn stall(&self) {
        self.stall_one_way(Direction::ToTarget);
        self.stall_one_way(Direction::FromTarget);
    }

    /// The same in one direction; the other one passes.
    pub fn stall_one_way(&self, direction: Direction) {
        self.shared.conduct.send_modify(|conduct| conduct.flow_mut(direction).stalled = true);
    }

    /// Passes everything of a direction so much later, in its order.
    pub fn delay(&self, direction: Direction, delay: Duration) {
        self.shared.conduct.send_modify(|conduct| conduct.flow_mut(direction).delay = delay);
    }

    /// Passes so many bytes a second in a direction, of each connection; `None`: as fast as it goes.
    pub fn limit(&self, direction: Direction, bytes_per_second: Option<NonZeroU32>) {
        self.shared.conduct.send_modify(|conduct| conduct.flow_mut(direction).bytes_per_second = bytes_per_second);
    }

    /// Resets the connection that is open for longest. Whether there was one.
    pub fn cut_one(&self) -> bool {
        self.shared.cut_oldest()
    }

    /// What went through.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            accepted: read(&self.shared.accepted),
            open: *self.shared.open.borrow() as u64,
            cut: read(&self.shared.cut),
            to_target: read(&self.shared.to_target),
            from_target: read(&self.shared.from_target),
        }
    }

    async fn listening(&self, wanted: bool) -> Result<()> {
        let mut listens = self.shared.listens.subscribe();
        match timeout(LIMIT, listens.wait_for(|listens| *listens == wanted)).await {
            Ok(Ok(_)) => Ok(()),
            _ => bail!("the proxy does not {} within {LIMIT:?}", if wanted { "listen" } else { "stop listening" }),
        }
    }
}

impl Drop for Chaos {
    fn drop(&mut self) {
        self.accepting.abort();
        self.shared.conduct.send_modify(|conduct| conduct.cut = true);
        self.shared.cut_all();
    }
}

impl Shared {
    fn cut_oldest(&self) -> bool {
        let oldest = self.cuts.lock().unwrap_or_else(PoisonError::into_inner).pop_first();
        oldest.is_some_and(|(_, cut)| cut.send(()).is_ok())
    }

    fn cut_all(&self) {
        for (_, cut) in std::mem::take(&mut *self.cuts.lock().unwrap_or_else(PoisonError::into_inner)) {
            let _ = cut.send(());
        }
    }

    /// Remembers a connection; what it returns says that it is to be cut.
    fn opened(&self) -> (u64, oneshot::Receiver<()>) {
        let number = self.accepted.fetch_add(1, Ordering::Relaxed);
        let (cut, is_cut) = oneshot::channel();
        self.cuts.lock().unwrap_or_else(PoisonError::into_inner).insert(number, cut);
        self.open.send_modify(|open| *open += 1);
        (number, is_cut)
    }

    fn closed(&self, number: u64, how: Carried) {
        self.cuts.lock().unwrap_or_else(PoisonError::into_inner).remove(&number);
        if how == Carried::Cut {
            self.cut.fetch_add(1, Ordering::Relaxed);
        }
        self.open.send_modify(|open| *open -= 1);
    }

    fn passed(&self, direction: Direction, bytes: usize) {
        let counter = match direction {
            Direction::ToTarget => &self.to_target,
            Direction::FromTarget => &self.from_target,
        };
        counter.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// Listens while it is not cut.
async fn accept(shared: Arc<Shared>) {
    let mut conduct = shared.conduct.subscribe();
    while conduct.wait_for(|conduct| !conduct.cut).await.is_ok() {
        let Ok(listener) = TcpListener::bind(shared.port.address()).await else {
            sleep(PAUSE).await;
            continue;
        };
        shared.listens.send_replace(true);
        while let Some(accepted) = next(&listener, &mut conduct, &shared).await {
            match accepted {
                Ok(client) => {
                    let (number, cut) = shared.opened();
                    let shared = Arc::clone(&shared);
                    tokio::spawn(async move {
                        let how = carry(client, &shared, cut).await;
                        shared.closed(number, how);
                    });
                }
                // Such as too many open files: it passes.
                Err(_) => sleep(PAUSE).await,
            }
        }
        drop(listener);
        shared.listens.send_replace(false);
    }
}

/// The next connection; `None` when the proxy is cut.
async fn next(
    listener: &TcpListener,
    conduct: &mut watch::Receiver<Conduct>,
    shared: &Shared,
) -> Option<std::io::Result<TcpStream>> {
    let mut open = shared.open.subscribe();
    let accepted = async {
        let _ = open.wait_for(|open| *open < CONNECTIONS).await;
        listener.accept().await.map(|(client, _)| client)
    };
    tokio::select! {
        biased;
        _ = conduct.wait_for(|conduct| conduct.cut) => None,
        accepted = accepted => Some(accepted),
    }
}
