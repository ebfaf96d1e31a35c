//! Who a message to a group goes to: what the library knows of the group when it encrypts for it.

use super::send::NotSent;
use wacore_binary::Jid;
use warren_domain::group::Member;
use whatsapp_rust::{Client, Freshness, GroupError, IqError};

/// A larger group, as a community's announcements have it, is written to without receipts a member.
const MOST: usize = 2_048;

/// Who is in a group, the account itself left out; `None` for one that is too large. With `anew`, WhatsApp is asked: what was
/// known made it refuse a message.
pub(super) async fn of(client: &Client, group: &Jid, anew: bool) -> Result<Option<Vec<Member>>, NotSent> {
    let freshness = if anew { Freshness::Refresh } else { Freshness::CachePreferred };
    let info = client.groups().query_info_with_freshness(group, freshness).await.map_err(|error| reason(&error, client))?;
    if info.participants.len() > MOST {
        return Ok(None);
    }
    let device = client.persistence_manager().get_device_snapshot();
    let is_own = |jid: &Jid| [&device.pn, &device.lid].into_iter().flatten().any(|own| own.user == jid.user);
    let members = info.participants.iter().filter(|jid| !is_own(jid)).map(|jid| {
        let (pn, lid) = if jid.is_lid() {
            (info.phone_jid_for_lid_user(&jid.user).map(Jid::to_string), Some(jid.to_string()))
        } else {
            (Some(jid.to_string()), None)
        };
        Member { jid: jid.to_string(), pn, lid }
    });
    Ok(Some(members.collect()))
}

fn reason(error: &GroupError, client: &Client) -> NotSent {
    match error {
        GroupError::Iq(IqError::ServerError { code, .. }) if (400..500).contains(code) && *code != 429 => NotSent::Refused,
        _ if !client.is_logged_in() => NotSent::Disconnected,
        _ => NotSent::Unreachable,
    }
}
