//! `POST /admin/mock-phone/scan-qr` and `enter-code`: somebody points a phone at the QR code, or types the other one.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use wacore::pair_code::PairCodeUtils;

use super::{Error, Result, body, named_phone};
use crate::account::Account;
use crate::address::{Addressing, PHONE, parse_phone};
use crate::link::Command;
use crate::pairing::{self, QrCode, Scan, Showing};
use crate::world::World;

/// From the scan to the client's signature.
const LIMIT: Duration = Duration::from_secs(10);

#[derive(Deserialize)]
pub(super) struct Scanner {
    /// The number of the phone that scans; without it, a fresh one.
    phone: Option<String>,
    /// The name of a phone that does not exist yet.
    name: Option<String>,
}

/// Links the client that shows the code to an account, as a new companion. The body is the text of the QR code.
pub(super) async fn scan(
    State(world): State<Arc<World>>,
    Query(scanner): Query<Scanner>,
    text: String,
) -> Result<Json<Value>> {
    let code = QrCode::parse(&text).ok_or_else(|| Error::invalid("not the text of a linking QR code"))?;
    let Showing { link, name } =
        world.pairings().get(&code.reference).cloned().ok_or_else(|| {
            Error::new(StatusCode::NOT_FOUND, "unknown_ref", "no open connection shows this code (any more)")
        })?;
    let phone = named_phone(scanner.phone.as_deref())?;
    let account = match (phone, scanner.name, name) {
        // Nobody said who scans: a client's own name stands for its phone.
        (None, None, Some(name)) => world.directory.registered(&name, world.options.lid_migrated)?,
        (phone, name, _) => world.directory.obtain(phone, name, world.options.lid_migrated)?,
    };
    let (answer, answered) = oneshot::channel();
    let scan = Box::new(Scan { code, account: Arc::clone(&account), answer });
    if !link.command(Command::Scan(scan)) {
        return Err(failed(&pairing::Error::Gone));
    }
    linked(&account, answered).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Code {
    code: String,
}

/// Types the code that a client shows for this number on the phone that has it. The body is `{code}`.
pub(super) async fn enter_code(
    State(world): State<Arc<World>>,
    Query(scanner): Query<Scanner>,
    bytes: Bytes,
) -> Result<Json<Value>> {
    let Code { code } = body(&bytes)?;
    let code: String = code.chars().filter(|c| !matches!(c, '-' | ' ')).collect::<String>().to_uppercase();
    if !PairCodeUtils::validate_code(&code) {
        return Err(Error::invalid("a code has eight of the digits and letters 1-9 and A-Z without I, O and U"));
    }
    let phone = scanner.phone.as_deref().and_then(parse_phone);
    let phone = phone.ok_or_else(|| Error::invalid("the number of the phone is needed"))?;
    let waiting = world.codes().get(&phone).cloned();
    let waiting = waiting.ok_or_else(|| {
        Error::new(StatusCode::NOT_FOUND, "unknown_code", "no open connection shows a code for this number (any more)")
    })?;
    let account = world.directory.obtain(Some(phone), scanner.name, world.options.lid_migrated)?;
    let (answer, answered) = oneshot::channel();
    let (link, owner) = (waiting.link.clone(), Arc::clone(&account));
    let typed = tokio::task::spawn_blocking(move || waiting.type_code(&code, owner, answer)).await;
    let typed = typed.ok().flatten().ok_or_else(|| failed(&pairing::Error::Gone))?;
    if !link.command(Command::Typed(Box::new(typed))) {
        return Err(failed(&pairing::Error::Gone));
    }
    linked(&account, answered).await
}

/// Waits for the client's signature.
async fn linked(
    account: &Account,
    answered: oneshot::Receiver<std::result::Result<u16, pairing::Error>>,
) -> Result<Json<Value>> {
    let device = match tokio::time::timeout(LIMIT, answered).await {
        Ok(Ok(Ok(device))) => device,
        Ok(Ok(Err(error))) => return Err(failed(&error)),
        Ok(Err(_)) => return Err(failed(&pairing::Error::Gone)),
        Err(_) => {
            return Err(Error::new(StatusCode::GATEWAY_TIMEOUT, "timeout", "the client did not answer in time"));
        }
    };
    let (jid, _) = pairing::linked_jids(account, device);
    Ok(Json(json!({
        "phone": account.phone.to_string(),
        "jid": jid.to_string(),
        "lid": account.jid(PHONE, Addressing::Lid).to_string(),
        "device": device,
    })))
}

fn failed(error: &pairing::Error) -> Error {
    let (status, code) = match error {
        pairing::Error::ForeignCode => (StatusCode::UNPROCESSABLE_ENTITY, "foreign_code"),
        pairing::Error::TooManyDevices => (StatusCode::CONFLICT, "too_many_devices"),
        pairing::Error::Refused => (StatusCode::BAD_GATEWAY, "refused"),
        pairing::Error::BadSignature => (StatusCode::BAD_GATEWAY, "bad_signature"),
        pairing::Error::Gone => (StatusCode::NOT_FOUND, "unknown_ref"),
        pairing::Error::WrongCode => (StatusCode::FORBIDDEN, "wrong_code"),
    };
    Error::new(status, code, error.to_string())
}
