//! `POST /admin/mock-phone/scan-qr`: somebody points a phone at the QR code.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::{Error, Result};
use crate::address::{Addressing, PHONE, parse_phone};
use crate::link::Command;
use crate::pairing::{self, QrCode, Scan};
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
    let link =
        world.pairings().get(&code.reference).cloned().ok_or_else(|| {
            Error::new(StatusCode::NOT_FOUND, "unknown_ref", "no open connection shows this code (any more)")
        })?;
    let phone = match scanner.phone.as_deref() {
        None => None,
        Some(text) => Some(parse_phone(text).ok_or_else(|| Error::invalid("not a phone number"))?),
    };
    let account = world.directory.obtain(phone, scanner.name, world.options.lid_migrated)?;
    let (answer, answered) = oneshot::channel();
    let scan = Box::new(Scan { code, account: Arc::clone(&account), answer });
    if !link.command(Command::Scan(scan)) {
        return Err(failed(&pairing::Error::Gone));
    }
    let device = match tokio::time::timeout(LIMIT, answered).await {
        Ok(Ok(Ok(device))) => device,
        Ok(Ok(Err(error))) => return Err(failed(&error)),
        Ok(Err(_)) => return Err(failed(&pairing::Error::Gone)),
        Err(_) => {
            return Err(Error::new(StatusCode::GATEWAY_TIMEOUT, "timeout", "the client did not answer in time"));
        }
    };
    let (jid, _) = pairing::linked_jids(&account, device);
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
    };
    Error::new(status, code, error.to_string())
}
