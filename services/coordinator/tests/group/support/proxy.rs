//! A network between one worker and the coordinators, that can be cut.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::Notify,
};
use tokio_util::task::AbortOnDropHandle;

/// Forwards connections until it is cut: then every one breaks, and none is made.
pub(crate) struct Proxy {
    addresses: Vec<String>,
    shared: Arc<Shared>,
    _tasks: Vec<AbortOnDropHandle<()>>,
}

#[derive(Default)]
struct Shared {
    is_cut: AtomicBool,
    cut: Notify,
}

impl Proxy {
    /// One address for each of these.
    pub(crate) async fn before(targets: &[String]) -> Self {
        let shared = Arc::new(Shared::default());
        let (mut addresses, mut tasks) = (Vec::new(), Vec::new());
        for target in targets {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            addresses.push(listener.local_addr().unwrap().to_string());
            let serve = serve(listener, target.clone(), Arc::clone(&shared));
            tasks.push(AbortOnDropHandle::new(tokio::spawn(serve)));
        }
        Self { addresses, shared, _tasks: tasks }
    }

    pub(crate) fn addresses(&self) -> Vec<String> {
        self.addresses.clone()
    }

    pub(crate) fn cut(&self) {
        self.shared.is_cut.store(true, Ordering::SeqCst);
        self.shared.cut.notify_waiters();
    }

    pub(crate) fn heal(&self) {
        self.shared.is_cut.store(false, Ordering::SeqCst);
    }
}

async fn serve(listener: TcpListener, target: String, shared: Arc<Shared>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (target, shared) = (target.clone(), Arc::clone(&shared));
        tokio::spawn(async move {
            tokio::select! {
                // A connection that breaks is what this is for.
                _ = forward(stream, &target, &shared) => {}
                () = shared.cut.notified() => {}
            }
        });
    }
}

async fn forward(mut stream: TcpStream, target: &str, shared: &Shared) -> io::Result<()> {
    if shared.is_cut.load(Ordering::SeqCst) {
        return Ok(());
    }
    let mut other = TcpStream::connect(target).await?;
    stream.set_nodelay(true)?;
    other.set_nodelay(true)?;
    copy_bidirectional(&mut stream, &mut other).await?;
    Ok(())
}
