//! People, and what the account shows of itself.

use super::{Asker, no_address, unanswered};
use crate::{
    client::literal::{Literal, reads_as_address},
    numbers::Unknown,
};
use std::{str::FromStr, time::Duration};
use wacore::iq::profile::SetStatusTextSpec;
use wacore_binary::{Jid, Server};
use warren_ports::bus::{
    Answer, Refusal, RefusalKind,
    ask::{Card, ContactAsk, Names, Picture},
};
use whatsapp_rust::features::{PresenceError, ProfileError};

/// How long a new name waits for the phone's keys, and between two looks for them.
const KEYS_COME: Duration = Duration::from_secs(3);
const LOOK_FOR_KEYS: Duration = Duration::from_millis(100);

pub(super) async fn carry_out(asker: &Asker, ask: ContactAsk) -> Result<Answer, Refusal> {
    match ask {
        ContactAsk::Check { phones } => check(asker, &phones).await,
        ContactAsk::Card { contact } => card(asker, &address(&contact)?).await,
        ContactAsk::Names { contact } => names_of(asker, &address(&contact)?).await.map(Answer::Names),
        ContactAsk::Picture { contact, preview } => picture(asker, &address(&contact)?, preview).await,
        ContactAsk::Subscribe { contact } => subscribe(asker, address(&contact)?).await,
        ContactAsk::Presence { available } => show_presence(asker, available).await,
        ContactAsk::Profile { push_name, about } => change_profile(asker, push_name, about).await,
    }
}

async fn check(asker: &Asker, phones: &[String]) -> Result<Answer, Refusal> {
    asker.numbers.check(phones).await.map(Answer::Numbers).map_err(|unknown| match unknown {
        Unknown::Unanswered => unanswered(),
        Unknown::Limited => Refusal::new(
            RefusalKind::Exhausted,
            "whatsapp_limit",
            "WhatsApp wants fewer questions from this account; wait some minutes before you ask again.",
        ),
    })
}

async fn card(asker: &Asker, contact: &Jid) -> Result<Answer, Refusal> {
    let found = asker.client.contacts().get_user_info(std::slice::from_ref(contact)).await.map_err(|_| unanswered())?;
    let info = found.into_values().next().ok_or_else(nobody)?;
    Ok(Answer::Card(Card {
        names: names_of(asker, contact).await?,
        about: info.status.filter(|about| !about.is_empty()),
        picture_id: info.picture_id.filter(|id| !id.is_empty()),
        is_business: info.is_business,
        verified_name: info.verified_name.and_then(|verified| verified.name),
    }))
}

/// Both addresses of a contact: what the session knows of them, or else what WhatsApp says.
async fn names_of(asker: &Asker, contact: &Jid) -> Result<Names, Refusal> {
    if let Ok(Some(entry)) = asker.client.get_lid_pn_entry(contact).await {
        let (pn, lid) = (Jid::pn(entry.phone_number.as_ref()), Jid::lid(entry.lid.as_ref()));
        return Ok(Names { pn: Some(pn.to_string()), lid: Some(lid.to_string()) });
    }
    let asked = asker.client.contacts().is_on_whatsapp(std::slice::from_ref(contact)).await.map_err(|_| unanswered())?;
    let found = asked.into_iter().find(|found| found.is_registered).ok_or_else(nobody)?;
    let of = |server: Server| {
        let named = [Some(&found.jid), found.lid.as_ref(), found.pn_jid.as_ref()];
        named.into_iter().flatten().find(|jid| jid.server == server).map(|jid| jid.to_non_ad().to_string())
    };
    Ok(Names { pn: of(Server::Pn), lid: of(Server::Lid) })
}

async fn picture(asker: &Asker, contact: &Jid, preview: bool) -> Result<Answer, Refusal> {
    let found = asker.client.contacts().get_profile_picture(contact, preview).await.map_err(|_| unanswered())?;
    Ok(Answer::Picture(found.map(|picture| Picture { id: picture.id, url: picture.url })))
}

async fn subscribe(asker: &Asker, contact: Jid) -> Result<Answer, Refusal> {
    asker.client.presence().subscribe(contact).await.map(|()| Answer::Done).map_err(|_| unanswered())
}

async fn show_presence(asker: &Asker, available: bool) -> Result<Answer, Refusal> {
    let presence = asker.client.presence();
    let shown = if available { presence.set_available().await } else { presence.set_unavailable().await };
    shown.map(|()| Answer::Done).map_err(|error| match error {
        PresenceError::PushNameEmpty => Refusal::conflict(
            "no_push_name",
            "The account has no name yet, and WhatsApp shows nobody without one; give it one by PATCH .../profile.",
        ),
        _ => unanswered(),
    })
}

async fn change_profile(asker: &Asker, push_name: Option<String>, about: Option<String>) -> Result<Answer, Refusal> {
    if push_name.as_deref().is_some_and(reads_as_address) {
        // It goes out in an attribute.
        return Err(Refusal::new(
            RefusalKind::Invalid,
            "invalid_profile",
            "A name cannot have an @: WhatsApp Web reads it as an address.",
        ));
    }
    let profile = asker.client.profile();
    if let Some(about) = about {
        asker.client.execute(Literal(SetStatusTextSpec::new(about))).await.map_err(|_| unanswered())?;
    }
    if let Some(name) = push_name {
        wait_for_keys(asker).await;
        profile.set_push_name(&name).await.map_err(refused_profile)?;
    }
    Ok(Answer::Done)
}

/// Waits a while for the keys that the phone shares after a pairing: without them the library tells the name to others, but
/// not to the account's other devices.
async fn wait_for_keys(asker: &Asker) {
    let store = asker.client.persistence_manager().backend();
    let have_come = async {
        while matches!(store.get_latest_sync_key_id().await, Ok(None)) {
            tokio::time::sleep(LOOK_FOR_KEYS).await;
        }
    };
    // Who looks at the account sees the name in any case.
    let _ = tokio::time::timeout(KEYS_COME, have_come).await;
}

fn refused_profile(error: ProfileError) -> Refusal {
    match error {
        ProfileError::InvalidArgument(_) => {
            Refusal::new(RefusalKind::Invalid, "invalid_profile", "WhatsApp takes no such name or text; try a shorter one.")
        }
        _ => unanswered(),
    }
}

fn address(text: &str) -> Result<Jid, Refusal> {
    Jid::from_str(text).map_err(|_| no_address())
}

fn nobody() -> Refusal {
    Refusal::new(RefusalKind::NotFound, "not_on_whatsapp", "WhatsApp knows no account at this address.")
}
