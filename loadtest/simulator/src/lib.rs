//! A stand-in for the WhatsApp server that speaks the true wire protocol to unmodified clients: WebSocket, Noise,
//! binary nodes, pairing with the phone's side, Signal bundles, relay, receipts and the offline queue.
//!
//! It is a sandbox for users (`warren simulator`, `warren standalone --simulator`) and the far end of every load and
//! fault test. One TCP port serves plain and TLS connections alike: the WebSocket at `/ws/chat`, the admin API at
//! `/admin/*`, the media host at `/mms/*` and `/v/*`. See the README of this crate for what it does like WhatsApp and what it does not.

mod account;
mod address;
mod admin;
mod adv;
mod app_state;
mod blocklist;
mod bundle;
mod business;
mod calls;
mod connection;
mod counters;
mod directory;
mod gaps;
mod gate;
mod groups;
mod habits;
mod handset;
mod iq;
mod later;
mod ledger;
mod link;
mod listener;
mod media;
mod message;
mod newsletters;
mod noise;
mod notification;
mod page;
mod pairing;
mod pairing_code;
mod presence;
mod privacy;
mod profile;
#[cfg(test)]
mod properties;
mod queue;
mod receipt;
mod refusal;
mod replay;
mod session;
mod shape;
mod snapshot;
mod socket;
mod splitter;
mod stanza;
mod tokens;
mod traits;
mod trouble;
mod trust;
mod wire;
mod world;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use trust::Trust;
use world::World;

/// How long [`Simulator::shutdown`] waits for connections to close and the last snapshot to be written.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(10);

/// What a simulator keeps and how it behaves. `Options::default()` is an in-memory sandbox.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where keys, accounts, bundles, people and queues are kept; `None` keeps everything in memory.
    pub data_dir: Option<PathBuf>,
    /// Whether accounts, people, queues and groups are kept there; without it only the keys and the files are. Writing them
    /// anew a second after they changed takes a part of a busy simulator's time.
    pub keep_state: bool,
    /// Names and addresses the TLS certificate is valid for, besides `localhost`, `127.0.0.1` and `::1`.
    pub tls_names: Vec<String>,
    /// How many QR references an unpaired client gets. WhatsApp sends six; clients show the first for 60 s and each
    /// further one for 20 s, then disconnect by themselves.
    pub pairing_refs: usize,
    /// After this long an unpaired connection is closed and its references are void.
    pub pairing_lifetime: Duration,
    /// How long a peer may take for each step until it is known: TLS, the head of its request, the Noise handshake.
    pub handshake_timeout: Duration,
    /// A logged-in client that sends nothing for this long is disconnected (clients ping every 15-30 s).
    pub idle_timeout: Duration,
    /// A socket that does not take bytes for this long is closed.
    pub write_timeout: Duration,
    /// Drop a message whose id the same device already sent (it is acknowledged, not relayed). Off by default: a
    /// recipient's ratchet has to cope with a repeated stanza, and what WhatsApp does with one is not known.
    pub dedupe_repeated_ids: bool,
    /// Report accounts as migrated to LID addressing when they are paired. Clients then address chats by LID.
    pub lid_migrated: bool,
    /// Typing waits this long for companions that are away. Zero by default: it is for who is there.
    pub chat_state_ttl: Duration,
    /// Messages and receipts kept for one absent device; the oldest goes when one more arrives.
    pub queue_limit: usize,
    /// Entries of ground truth kept for one account (emitted, and accepted); the oldest goes first.
    pub ledger_limit: usize,
    /// Messages kept in the inbox of one phone; the oldest goes first.
    pub inbox_limit: usize,
    /// The name under which clients reach the media host, `host[:port]`, always by `https`. Without it, clients are
    /// sent back to the name by which their WebSocket reached this port; the TLS certificate has to be valid for it.
    pub media_host: Option<String>,
    /// Bytes of media kept in all; the oldest files go first. One file has at most 128 MiB.
    pub media_limit: u64,
    /// Largest single frame or WebSocket message taken from a client, in bytes, compressed or not.
    pub max_frame_bytes: usize,
    /// Connections open at a time, of clients and of the admin API together; further ones are closed at once.
    pub max_connections: usize,
    /// Those among them that have not said yet who they are: no request, no finished Noise handshake. When one more comes,
    /// the one that has been silent longest is closed.
    pub max_newcomers: usize,
    /// A replaced connection's frames are still accepted and relayed for this long after its replacement logged in.
    /// Zero by default: the old connection is closed before the new login succeeds.
    pub replaced_linger: Duration,
}

impl Options {
    /// Where accounts and groups are kept, if they are.
    fn state_dir(&self) -> Option<&Path> {
        self.data_dir.as_deref().filter(|_| self.keep_state)
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            data_dir: None,
            keep_state: true,
            tls_names: Vec::new(),
            pairing_refs: 6,
            pairing_lifetime: Duration::from_secs(180),
            handshake_timeout: Duration::from_secs(20),
            idle_timeout: Duration::from_secs(180),
            write_timeout: Duration::from_secs(20),
            dedupe_repeated_ids: false,
            lid_migrated: false,
            chat_state_ttl: Duration::ZERO,
            queue_limit: 10_000,
            ledger_limit: 20_000,
            inbox_limit: 10_000,
            media_host: None,
            media_limit: 4 * 1024 * 1024 * 1024,
            max_frame_bytes: 4 * 1024 * 1024,
            max_connections: 50_000,
            max_newcomers: 20_000,
            replaced_linger: Duration::ZERO,
        }
    }
}

/// A running simulator. Cheap to clone; the server stops with [`Simulator::shutdown`], not with the last handle.
#[derive(Clone)]
pub struct Simulator {
    inner: Arc<Running>,
}

struct Running {
    world: Arc<World>,
    local_addr: SocketAddr,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Simulator {
    /// Loads or creates the keys, loads the snapshot, and serves on `listener`; returns once it accepts connections.
    ///
    /// # Errors
    /// When the data directory cannot be read or written, or what it holds is damaged.
    pub async fn start(listener: TcpListener, options: Options) -> anyhow::Result<Self> {
        let local_addr = listener.local_addr().context("listener without a local address")?;
        let loaded = options.clone();
        let (keys, accounts, groups, newsletters, media) = tokio::task::spawn_blocking(move || {
            let keys = trust::Keys::load_or_create(loaded.data_dir.as_deref(), &loaded.tls_names)?;
            let accounts = snapshot::load(loaded.state_dir(), &loaded)?;
            let groups = groups::store::load(loaded.state_dir())?;
            let newsletters = newsletters::load(loaded.state_dir())?;
            let host = media::Host::new(loaded.media_host, local_addr);
            let media = media::Store::open(loaded.data_dir.as_deref(), loaded.media_limit, host)?;
            anyhow::Ok((keys, accounts, groups, newsletters, media))
        })
        .await
        .context("loading the simulator's state")??;

        let tasks = TaskTracker::new();
        let stop = CancellationToken::new();
        let (handsets, runs) = handset::Pool::new(handset::worker_count());
        let world = Arc::new(World::new(options, keys, handsets, media, stop.clone()));
        for account in accounts {
            world.directory.insert(account);
        }
        for account in world.directory.all() {
            handset::resume_absence(&world, &account);
        }
        for group in groups {
            world.groups.insert(group);
        }
        for newsletter in newsletters {
            world.newsletters.insert(newsletter);
        }
        for run in runs {
            tasks.spawn(run.serve(Arc::clone(&world)));
        }
        if world.options.state_dir().is_some() {
            tasks.spawn(snapshot::keep(Arc::clone(&world)));
        }
        tasks.spawn(later::serve(Arc::clone(&world)));
        tasks.spawn(listener::serve(listener, Arc::clone(&world), tasks.clone()));
        tracing::info!(%local_addr, "simulator.serving");
        Ok(Self { inner: Arc::new(Running { world, local_addr, stop, tasks }) })
    }

    /// The address it listens on.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.inner.local_addr
    }

    /// The public keys a client needs to trust this simulator and no other server.
    #[must_use]
    pub fn trust(&self) -> Trust {
        self.inner.world.keys.trust.clone()
    }

    /// Stops accepting, closes every connection, writes what changed. Returns after 10 s at the latest.
    pub async fn shutdown(&self) {
        self.inner.stop.cancel();
        self.inner.tasks.close();
        if tokio::time::timeout(SHUTDOWN_LIMIT, self.inner.tasks.wait()).await.is_err() {
            tracing::warn!("simulator.shutdown.timed_out");
        }
        let world = Arc::clone(&self.inner.world);
        let written = tokio::task::spawn_blocking(move || snapshot::write_dirty(&world)).await;
        if !matches!(written, Ok(Ok(_))) {
            tracing::error!("simulator.shutdown.snapshot_failed");
        }
    }
}
