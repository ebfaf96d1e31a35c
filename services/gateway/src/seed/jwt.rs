//! Tokens: JWTs of HS256 with the claims `username` and `exp`, good for an hour, and the layer that asks for one.

use super::{Surface, envelope::Failure, hs256};
use crate::auth::bearer;
use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode},
    middleware::Next,
    response::Response,
};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode, errors};
use serde::{Deserialize, Serialize};
use serde_json::json;
use warren_domain::Timestamp;

/// How long a token is good, seconds.
const LIFETIME_S: i64 = 3_600;
/// No token of ours is longer, bytes.
const LONGEST: usize = 4_096;

#[derive(Serialize, Deserialize)]
struct Claims {
    username: String,
    exp: i64,
}

/// Makes and knows tokens.
pub(super) struct Tokens {
    sign: EncodingKey,
    verify: DecodingKey,
    validation: Validation,
}

impl Tokens {
    pub(super) fn new(secret: &str) -> errors::Result<Self> {
        hs256::install();
        let mut validation = Validation::new(Algorithm::HS256);
        // By our own clock, below.
        validation.validate_exp = false;
        let secret = secret.as_bytes();
        Ok(Self { sign: EncodingKey::from_secret(secret)?, verify: DecodingKey::from_secret(secret)?, validation })
    }

    /// A token for a user, good from now on.
    pub(super) fn issue(&self, username: &str, now: Timestamp) -> errors::Result<String> {
        let claims = Claims { username: username.to_owned(), exp: now.as_seconds().saturating_add(LIFETIME_S) };
        encode(&Header::new(Algorithm::HS256), &claims, &self.sign)
    }

    /// Whose token it is, if it is one of ours and good now.
    pub(super) fn username(&self, token: &str, now: Timestamp) -> Option<String> {
        if token.len() > LONGEST {
            return None;
        }
        let claims = decode::<Claims>(token, &self.verify, &self.validation).ok()?.claims;
        (claims.exp > now.as_seconds()).then_some(claims.username)
    }
}

/// Who presented a good token.
#[derive(Debug, Clone)]
pub(super) struct Username(pub(super) String);

/// Lets requests with a good token pass.
pub(super) async fn required(State(seed): State<Surface>, mut request: Request, next: Next) -> Result<Response, Failure> {
    let username = presented(&seed, request.headers())?;
    request.extensions_mut().insert(username);
    Ok(next.run(request).await)
}

/// Who presents a good token, of the user that there is now.
pub(super) fn presented(seed: &Surface, headers: &HeaderMap) -> Result<Username, Failure> {
    let known = bearer(headers).and_then(|token| seed.tokens.username(token, seed.app.now()));
    match known.filter(|username| seed.login.is_user(username)) {
        Some(username) => Ok(Username(username)),
        None => {
            seed.app.authentication.count("token");
            Err(unauthenticated())
        }
    }
}

/// The one answer to no, wrong and old tokens.
fn unauthenticated() -> Failure {
    let body = json!({
        "success": false,
        "error": "Authentication required",
        "message": "Please provide a valid Bearer token in the Authorization header",
    });
    Failure::odd(StatusCode::UNAUTHORIZED, body)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

    const SECRET: &str = "0123456789abcdef0123456789abcdef";
    const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

    fn part(value: &serde_json::Value) -> String {
        URL_SAFE_NO_PAD.encode(value.to_string())
    }

    fn signed(header: serde_json::Value, claims: serde_json::Value) -> String {
        use hmac::{Hmac, KeyInit as _, Mac as _};
        let message = format!("{}.{}", part(&header), part(&claims));
        let mac = Hmac::<sha2::Sha256>::new_from_slice(SECRET.as_bytes()).unwrap().chain_update(&message);
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
    }

    #[test]
    fn a_token_is_good_for_an_hour_and_by_our_clock() {
        let tokens = Tokens::new(SECRET).unwrap();
        let token = tokens.issue("budi", NOW).unwrap();
        let at = |s: i64| Timestamp::from_millis(NOW.as_millis() + s * 1_000);
        assert_eq!(tokens.username(&token, NOW).as_deref(), Some("budi"));
        assert_eq!(tokens.username(&token, at(3_599)).as_deref(), Some("budi"));
        assert_eq!(tokens.username(&token, at(3_600)), None);
        let claims: serde_json::Value =
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap()).unwrap();
        assert_eq!(claims["exp"], 1_790_003_600);
    }

    #[test]
    fn rows_15_to_19_other_algorithms_and_hints_are_refused() {
        let tokens = Tokens::new(SECRET).unwrap();
        let claims = json!({"username": "budi", "exp": 1_790_000_100});
        let good = signed(json!({"alg": "HS256", "typ": "JWT"}), claims.clone());
        assert_eq!(tokens.username(&good, NOW).as_deref(), Some("budi"));
        // Where keys are to be had is not listened to.
        let hinting = json!({"alg": "HS256", "kid": "../../etc/passwd", "jku": "https://evil.example/keys"});
        assert_eq!(tokens.username(&signed(hinting, claims.clone()), NOW).as_deref(), Some("budi"));
        for algorithm in ["none", "None", "HS384", "HS512", "RS256", "ES256", "EdDSA", ""] {
            let token = signed(json!({"alg": algorithm}), claims.clone());
            assert_eq!(tokens.username(&token, NOW), None, "{algorithm}");
        }
        let unsigned = format!("{}.{}.", part(&json!({"alg": "none"})), part(&claims));
        let headless = signed(json!({"typ": "JWT"}), claims.clone());
        let (body, _) = good.rsplit_once('.').unwrap();
        for token in [unsigned, headless, format!("{body}."), body.to_owned(), String::new(), "x".repeat(5_000)] {
            assert_eq!(tokens.username(&token, NOW), None);
        }
    }

    #[test]
    fn a_changed_or_foreign_token_and_one_without_an_end_are_refused() {
        let tokens = Tokens::new(SECRET).unwrap();
        let foreign = Tokens::new("another-secret-of-more-than-32-characters").unwrap();
        assert_eq!(tokens.username(&foreign.issue("budi", NOW).unwrap(), NOW), None);
        let header = || json!({"alg": "HS256"});
        for claims in [
            json!({"username": "budi"}),
            json!({"username": "budi", "exp": "1790000100"}),
            json!({"username": "budi", "exp": null}),
            json!({"exp": 1_790_000_100}),
            json!({"username": 7, "exp": 1_790_000_100}),
        ] {
            assert_eq!(tokens.username(&signed(header(), claims.clone()), NOW), None, "{claims}");
        }
    }
}
