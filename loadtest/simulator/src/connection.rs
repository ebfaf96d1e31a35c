//! One WebSocket from the handshake to its end: who is it, and which conversation follows.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_tungstenite::WebSocketStream;
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;
use waproto::buffa::Message as _;
use waproto::whatsapp::ClientPayload;

use crate::account::Account;
use crate::address::Addressing;
use crate::gate::Place;
use crate::link::{self, Command};
use crate::pairing;
use crate::session::Session;
use crate::socket::Socket;
use crate::stanza;
use crate::trouble::{Failure, TOO_MANY};
use crate::wire::{self, Frames, Peer, Wire};
use crate::world::World;

/// The user name with which a client whose device record was only seeded logs in: it is not paired.
const UNPAIRED_USER: u64 = 1;
/// Bytes of the name a client may register under.
const NAME_LIMIT: usize = 256;
/// How long a replaced connection may take to close before the new login goes on without it.
const REPLACE_LIMIT: Duration = Duration::from_secs(3);
/// Login failure reason: the device is not linked.
const NOT_LINKED: u16 = 401;

/// Serves one upgraded connection. Every ending is normal for the server; it is counted and logged here.
pub(crate) async fn run(world: Arc<World>, socket: WebSocketStream<Socket>, reached: Option<String>, place: &Place) {
    world.counters.connections.one();
    world.counters.connections_open.one();
    let ended = Box::pin(serve(&world, socket, reached, place)).await;
    world.counters.connections_open.sub(1);
    let Err(error) = ended else { return };
    if let Some(refusal) = error.refusal() {
        tracing::debug!(%error, "connection.broken");
        world.refuse(refusal);
    }
}

async fn serve(
    world: &Arc<World>,
    socket: WebSocketStream<Socket>,
    reached: Option<String>,
    place: &Place,
) -> Result<(), wire::Error> {
    let options = &world.options;
    let frames = Frames::new(socket, options.max_frame_bytes, options.write_timeout);
    let handshake = frames.handshake(&world.keys, &world.replays);
    let finished = tokio::select! {
        finished = tokio::time::timeout(options.handshake_timeout, handshake) => finished,
        () = place.displaced() => return Err(wire::Error::Displaced),
        () = world.stop.cancelled() => return Ok(()),
    };
    let (wire, peer) = finished.map_err(|_| wire::Error::Slow)??;
    place.known();
    let Ok(payload) = ClientPayload::decode_from_slice(&peer.payload) else {
        return Err(wire::Error::Protocol("the client payload is malformed"));
    };
    let unpaired = payload.device.unwrap_or(0) == 0 && matches!(payload.username, None | Some(UNPAIRED_USER));
    if unpaired {
        let name = payload.push_name.filter(|name| !name.is_empty() && name.len() <= NAME_LIMIT);
        return pairing::serve(world, wire, peer.client_static, name).await;
    }
    log_in(world, wire, &payload, &peer, reached).await
}

/// Admits the device the payload names, after its earlier connection is closed.
async fn log_in(
    world: &Arc<World>,
    mut wire: Wire,
    payload: &ClientPayload,
    peer: &Peer,
    reached: Option<String>,
) -> Result<(), wire::Error> {
    if world.trouble().refuses_login(Instant::now()) {
        return refuse(world, wire, TOO_MANY.into()).await;
    }
    let device = payload.device.and_then(|number| u16::try_from(number).ok()).unwrap_or(0);
    let account = payload.username.and_then(|phone| world.directory.by_phone(phone));
    let Some(account) = account else {
        return refuse(world, wire, NOT_LINKED.into()).await;
    };
    let (link, end) = link::pair(world.next_connection());
    let former = {
        let mut state = account.state();
        let linked = state.devices.get(&device).is_some_and(|known| known.noise_key == peer.client_static);
        let failure = if linked { state.refusing.take() } else { Some(NOT_LINKED.into()) };
        match (failure, state.devices.get_mut(&device)) {
            (None, Some(known)) => Ok(known.link.replace(link.clone())),
            (failure, _) => Err(failure.unwrap_or(NOT_LINKED.into())),
        }
    };
    let former = match former {
        Ok(former) => former,
        Err(failure) => return refuse(world, wire, failure).await,
    };
    if let Some(former) = former.filter(link::Link::is_open) {
        former.command(Command::Replaced);
        if world.options.replaced_linger.is_zero() && tokio::time::timeout(REPLACE_LIMIT, former.closed()).await.is_err() {
            tracing::warn!("connection.replace.timed_out");
        }
    }
    {
        let mut state = account.state();
        if let Some(known) = state.devices.get_mut(&device) {
            known.logins += 1;
            known.reached = reached;
            if let Some(left) = known.left.take() {
                world.gaps.note(account.phone, device, left.elapsed());
            }
            known.queue.drop_ephemeral(world.options.chat_state_ttl);
        }
    }
    world.counters.logins.one();
    account.touch();
    wire.send(&success(&account, device)).await?;
    Session::new(Arc::clone(world), account, device, wire, link, end).run().await
}

async fn refuse(world: &World, mut wire: Wire, failure: Failure) -> Result<(), wire::Error> {
    world.counters.logins_refused.one();
    wire.send(&failure.node()).await?;
    wire.close().await;
    Ok(())
}

fn success(account: &Account, device: u16) -> Node {
    NodeBuilder::new("success")
        .attr("t", stanza::unix_seconds())
        .attr("lid", account.jid(device, Addressing::Lid))
        .attr("props", "1")
        .attr("location", "sim")
        .build()
}
