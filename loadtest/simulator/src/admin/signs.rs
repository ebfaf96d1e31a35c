//! Signs of life: typing, presence, and what people show of themselves.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::groups::find_group;
use super::{Error, Result, body, find};
use crate::bundle;
use crate::business::Business;
use crate::presence::{self, Doing};
use crate::profile::{self, ABOUT_LIMIT, PICTURE_LIMIT};
use crate::world::World;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChatState {
    to: String,
    state: Doing,
}

/// Somebody types, records, or stops doing so, in the chat with an account or in a group.
pub(super) async fn chat_state(
    State(world): State<Arc<World>>,
    Path(phone): Path<String>,
    bytes: Bytes,
) -> Result<StatusCode> {
    let wanted: ChatState = body(&bytes)?;
    let account = find(&world, &phone)?;
    if wanted.to.trim().ends_with("@g.us") {
        presence::do_in_group(&world, &account, &*find_group(&world, &wanted.to)?, wanted.state);
    } else {
        let to = find(&world, &wanted.to)?;
        presence::do_in_chat(&world, &account, &to, bundle::addressing_of(&to), wanted.state);
    }
    Ok(StatusCode::NO_CONTENT)
}

/// What the person was told: typing, and the presence it subscribed to.
pub(super) async fn noted(State(world): State<Arc<World>>, Path(phone): Path<String>) -> Result<Json<Value>> {
    let account = find(&world, &phone)?;
    let noted = account.state().presence.noted();
    Ok(Json(json!({"chat_states": noted})))
}

/// Forgets what was noted.
pub(super) async fn forget(State(world): State<Arc<World>>, Path(phone): Path<String>) -> Result<StatusCode> {
    find(&world, &phone)?.state().presence.forget_noted();
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Presence {
    available: Option<bool>,
    /// A phone number.
    subscribe: Option<String>,
}

/// A person is there or not, or asks to be told about somebody.
pub(super) async fn presence(
    State(world): State<Arc<World>>,
    Path(phone): Path<String>,
    bytes: Bytes,
) -> Result<StatusCode> {
    let wanted: Presence = body(&bytes)?;
    let account = find(&world, &phone)?;
    if let Some(available) = wanted.available {
        presence::say(&world, &account, available);
    }
    if let Some(other) = &wanted.subscribe {
        let other = find(&world, other)?;
        presence::subscribe(&world, &account, &other, bundle::addressing_of(&other));
    }
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Profile {
    about: Option<String>,
    /// JPEG in Base64; empty removes the picture.
    picture: Option<String>,
    /// Makes it a business account.
    business: Option<Business>,
}

/// What an account shows of itself.
pub(super) async fn profile(State(world): State<Arc<World>>, Path(phone): Path<String>) -> Result<Json<Value>> {
    let account = find(&world, &phone)?;
    let (name, shown) = {
        let state = account.state();
        (state.name.clone(), state.profile.clone())
    };
    Ok(Json(
        json!({"name": name, "about": shown.about, "about_set": shown.about_set, "picture": shown.picture, "business": shown.business}),
    ))
}

/// Changes what a person shows; whoever it has talked with is told.
pub(super) async fn change_profile(
    State(world): State<Arc<World>>,
    Path(phone): Path<String>,
    bytes: Bytes,
) -> Result<Json<Value>> {
    let change: Profile = body(&bytes)?;
    let account = find(&world, &phone)?;
    if change.about.as_ref().is_some_and(|about| about.len() > ABOUT_LIMIT) {
        return Err(Error::invalid(format!("about has at most {ABOUT_LIMIT} bytes")));
    }
    if change.business.as_ref().is_some_and(|business| !business.fits()) {
        return Err(Error::invalid("a text of the business profile is too long, or it has too many websites"));
    }
    let picture = match &change.picture {
        None => None,
        Some(text) => {
            let bytes = BASE64_STANDARD.decode(text).map_err(|_| Error::invalid("picture is not base64"))?;
            if bytes.len() > PICTURE_LIMIT {
                return Err(Error::invalid(format!("a picture has at most {PICTURE_LIMIT} bytes")));
            }
            Some(bytes)
        }
    };
    if let Some(bytes) = picture {
        let (shared, owner) = (Arc::clone(&world), Arc::clone(&account));
        let image = move || profile::set_picture(&shared, &owner, (!bytes.is_empty()).then_some(bytes.as_slice()));
        let set = tokio::task::spawn_blocking(image).await;
        if !matches!(set, Ok(Ok(_))) {
            return Err(Error::new(StatusCode::INSUFFICIENT_STORAGE, "media", "the picture could not be stored"));
        }
    }
    if let Some(about) = &change.about {
        profile::set_about(&world, &account, about);
    }
    if let Some(business) = change.business {
        account.state().profile.business = Some(business);
        account.touch();
    }
    profile(State(world), Path(phone)).await
}
