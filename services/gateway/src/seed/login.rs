//! `POST /login-jwt` `{"username", "password"}` -> `{"token"}`, and `GET /api/validate`, which says whose token it is.

use super::{
    Surface,
    envelope::{Answer, Failure, bare},
    jwt::Username,
    rate,
};
use crate::{json, server::Peer};
use axum::{
    Extension,
    extract::{Request, State},
    http::StatusCode,
};
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// The one user.
pub(super) struct Login {
    name: String,
    username: [u8; 32],
    password: [u8; 32],
}

impl Login {
    pub(super) fn new(username: &str, password: &str) -> Self {
        Self { name: username.to_owned(), username: hash(username), password: hash(password) }
    }

    /// Whether this is the user.
    pub(super) fn is_user(&self, username: &str) -> bool {
        self.name == username
    }

    /// Whether these are the credentials. Takes the same time for every name and every password.
    fn matches(&self, username: &str, password: &str) -> bool {
        let same = self.username.ct_eq(&hash(username)) & self.password.ct_eq(&hash(password));
        same.into()
    }
}

fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

#[derive(Deserialize)]
struct Body {
    username: Option<String>,
    password: Option<String>,
}

/// Answers without the envelope, errors too.
pub(super) async fn login(State(seed): State<Surface>, request: Request) -> Answer {
    let (app, peer) = (&seed.app, Peer::of(request.extensions()));
    rate::may_log_in(&seed, peer).await?;
    let body = json::read(request, app).await.and_then(|bytes| json::parse::<Body>(&bytes));
    let body = body.map_err(|_| error(StatusCode::BAD_REQUEST, "Bad request"))?;
    let (username, password) = (body.username.unwrap_or_default(), body.password.unwrap_or_default());
    if !seed.login.matches(&username, &password) {
        app.authentication.count("login");
        rate::wrong_login(&seed, peer).await;
        return Err(error(StatusCode::UNAUTHORIZED, "Invalid credentials"));
    }
    let issued = seed.tokens.issue(&username, app.now());
    let token = issued.map_err(|_| error(StatusCode::INTERNAL_SERVER_ERROR, "Error generating token"))?;
    Ok(bare(StatusCode::OK, &json!({"token": token})))
}

fn error(status: StatusCode, text: &'static str) -> Failure {
    Failure::odd(status, json!({"error": text}))
}

/// Whose token was presented: beside the envelope, not in it.
pub(super) async fn validate(Extension(Username(username)): Extension<Username>) -> Answer {
    Ok(bare(StatusCode::OK, &json!({"success": true, "message": "Token is valid", "username": username})))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_have_to_be_right() {
        let login = Login::new("budi", "correct horse");
        assert!(login.matches("budi", "correct horse"));
        for (username, password) in
            [("budi", ""), ("", "correct horse"), ("Budi", "correct horse"), ("correct horse", "budi")]
        {
            assert!(!login.matches(username, password));
        }
    }
}
