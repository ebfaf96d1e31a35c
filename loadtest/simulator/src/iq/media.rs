//! `w:m`: where to upload and download media.

use wacore::iq::mediaconn::{HostType, MediaConnHostExtended, MediaConnResponseExtended};
use wacore::protocol::ProtocolNode as _;

use super::{Answer, Request};

/// Seconds for which clients use one answer. A guess, like the other numbers here.
const TTL: u64 = 300;
const AUTH_TTL: u64 = 21_600;
const CATEGORIES: [&str; 6] = ["audio", "document", "image", "ptt", "sticker", "video"];

/// Names this simulator under the name by which the client reached it.
pub(super) fn answer(request: &Request<'_>) -> Answer {
    if request.child("media_conn").is_none() {
        return request.unknown();
    }
    let reached = request.account.state().devices.get(&request.device).and_then(|device| device.reached.clone());
    let host = MediaConnHostExtended {
        upload: true,
        download: true,
        download_categories: CATEGORIES.map(ToOwned::to_owned).to_vec(),
        ..MediaConnHostExtended::simple(request.world.media.host.for_client(reached.as_deref()), HostType::Primary)
    };
    let connection = MediaConnResponseExtended {
        auth: request.world.media.auth.clone(),
        ttl: TTL,
        auth_ttl: Some(AUTH_TTL),
        max_buckets: Some(12),
        ip_token: None,
        set_ip_token: None,
        hosts: vec![host],
    };
    request.result(connection.into_node())
}
