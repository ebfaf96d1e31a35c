//! TLS on the coordinators' port: what the settings ask for, and handshakes with limits.

use crate::{
    metrics::Figures,
    options::{InvalidOptions, Options},
};
use std::{io, path::Path, time::Duration};
use tokio::{net::TcpStream, sync::Semaphore, time::timeout};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use warren_raft::tls::{AUTHORITY, CERTIFICATE, Identity, KEY, Trust, Unusable};
use warren_runtime::metrics::Counted;

/// Handshakes under way at once; more callers wait for their turn.
const AT_ONCE: usize = 128;
/// How long a caller may take to say its first byte, and then to finish the handshake.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a caller waits for its turn: longer than a handshake takes, so that those who never finish theirs keep nobody out.
const TURN: Duration = Duration::from_secs(10);
/// The first byte of every TLS connection: its record is one of a handshake.
const HANDSHAKE: u8 = 0x16;

/// What a coordinator proves itself with, and whom it trusts when it calls the others.
#[derive(Debug, Clone)]
pub struct Tls {
    identity: Identity,
    pub(crate) trust: Trust,
}

impl Tls {
    /// Reads the files that are set, `cluster.tls_authority` among them; empty is not set. `None` if none is: then plain HTTP is
    /// spoken.
    ///
    /// # Errors
    /// One line that names the setting that is missing beside the others, or whose file cannot be used.
    pub fn read(options: &Options, authority: &Path) -> Result<Option<Self>, InvalidOptions> {
        let (certificate, key) = (options.tls_certificate.as_path(), options.tls_key.as_path());
        let files = [(CERTIFICATE, certificate), (KEY, key), (AUTHORITY, authority)];
        let is_set = |file: &Path| !file.as_os_str().is_empty();
        let Some((given, _)) = files.iter().find(|(_, file)| is_set(file)) else { return Ok(None) };
        if let Some((missing, _)) = files.iter().find(|(_, file)| !is_set(file)) {
            return Err(InvalidOptions(format!(
                "{missing}: is needed together with {given}: a coordinator has all of {CERTIFICATE}, {KEY} and {AUTHORITY}, or \
                 none and speaks plain HTTP"
            )));
        }
        Ok(Some(Self { identity: Identity::read(certificate, key)?, trust: Trust::read(authority)? }))
    }
}

impl From<Unusable> for InvalidOptions {
    fn from(unusable: Unusable) -> Self {
        Self(unusable.to_string())
    }
}

/// What a connection turned out to speak.
pub(crate) enum Spoken {
    Tls(Box<TlsStream<TcpStream>>),
    Plain(TcpStream),
}

/// Why a handshake came to nothing.
#[derive(Debug, Clone, Copy)]
enum Fault {
    Late,
    Broken,
}

impl From<tokio::time::error::Elapsed> for Fault {
    fn from(_: tokio::time::error::Elapsed) -> Self {
        Self::Late
    }
}

/// Begins connections with TLS.
pub(crate) struct Handshakes {
    acceptor: TlsAcceptor,
    turns: Semaphore,
    figures: Figures,
}

impl Handshakes {
    pub(crate) fn new(tls: &Tls, figures: Figures) -> Self {
        Self { acceptor: TlsAcceptor::from(tls.identity.config()), turns: Semaphore::new(AT_ONCE), figures }
    }

    /// Makes a handshake. `None` if nothing came of it: that is counted, but for a caller that left without a word.
    pub(crate) async fn shake(&self, stream: TcpStream) -> Option<Spoken> {
        let fault = match self.try_to(stream).await {
            Ok(spoken) => return spoken,
            Err(Fault::Late) => "late",
            Err(Fault::Broken) => "broken",
        };
        self.figures.handshakes_failed.with_label_values(&[fault]).inc();
        None
    }

    async fn try_to(&self, stream: TcpStream) -> Result<Option<Spoken>, Fault> {
        let broken = |error: io::Error| {
            tracing::debug!(%error, "a TLS handshake failed");
            Fault::Broken
        };
        let mut first = [0];
        let said = timeout(PATIENCE, stream.peek(&mut first)).await?.map_err(broken)?;
        if said == 0 {
            return Ok(None);
        }
        if first != [HANDSHAKE] {
            return Ok(Some(Spoken::Plain(stream)));
        }
        // Closed never: it lives as long as the listener.
        let _turn = timeout(TURN, self.turns.acquire()).await?;
        let _counted = Counted::new(&self.figures.handshakes);
        let stream = timeout(PATIENCE, self.acceptor.accept(stream)).await?.map_err(broken)?;
        Ok(Some(Spoken::Tls(Box::new(stream))))
    }
}
