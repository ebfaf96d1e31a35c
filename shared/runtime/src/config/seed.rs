//! `[seed]`: the contract of the product that Warren grew from, for programs that were written for it.

use super::{
    Error, Secret,
    sections::{list, secret},
};
use serde::Deserialize;
use std::num::NonZeroU32;

/// Characters of a password that nobody guesses at 20 wrong ones a minute, and of a secret that nobody guesses at all.
const SHORTEST_PASSWORD: usize = 8;
const SHORTEST_SECRET: usize = 32;

/// `[seed]`: off unless its three credentials are set.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seed {
    /// Who may log in.
    pub username: String,
    /// With which password.
    #[serde(default, deserialize_with = "secret")]
    pub password: Option<Secret>,
    /// What signs its tokens.
    #[serde(default, deserialize_with = "secret")]
    pub jwt_secret: Option<Secret>,
    /// Whose instances it shows and uses: a tenant's id.
    pub tenant: String,
    /// Whether `/ws` asks for no token.
    pub open_websocket: bool,
    /// Origins whose pages may use it.
    #[serde(deserialize_with = "list")]
    pub cors_origins: Vec<String>,
    /// Requests a second of one client address.
    pub requests_per_second: NonZeroU32,
    /// How many of them may come at once.
    pub burst: NonZeroU32,
}

/// The credentials of the surface: all three.
#[derive(Debug, Clone, Copy)]
pub struct Credentials<'a> {
    /// Who may log in.
    pub username: &'a str,
    /// With which password.
    pub password: &'a Secret,
    /// What signs its tokens.
    pub jwt_secret: &'a Secret,
}

impl Seed {
    /// The credentials, if the surface is on.
    #[must_use]
    pub fn credentials(&self) -> Option<Credentials<'_>> {
        let username = Some(self.username.as_str()).filter(|name| !name.trim().is_empty())?;
        Some(Credentials { username, password: self.password.as_ref()?, jwt_secret: self.jwt_secret.as_ref()? })
    }

    pub(super) fn validate(&self) -> Result<(), Error> {
        let given = [
            ("username", "WARREN_SEED_USERNAME", !self.username.trim().is_empty()),
            ("password", "WARREN_SEED_PASSWORD", self.password.is_some()),
            ("jwt_secret", "WARREN_SEED_JWT_SECRET", self.jwt_secret.is_some()),
        ];
        let is_on = given.iter().any(|(.., is_given)| *is_given);
        if let Some((key, variable, _)) = given.iter().find(|(.., is_given)| is_on && !is_given) {
            return Err(Error(format!("seed.{key}: is needed together with the seed's other credentials ({variable})")));
        }
        let is_short = |secret: &Option<Secret>, fewest| {
            secret.as_ref().is_some_and(|secret| secret.reveal().trim().chars().count() < fewest)
        };
        if is_short(&self.password, SHORTEST_PASSWORD) {
            return Err(Error(format!("seed.password: must have at least {SHORTEST_PASSWORD} characters")));
        }
        if is_short(&self.jwt_secret, SHORTEST_SECRET) {
            return Err(Error(format!(
                "seed.jwt_secret: must have at least {SHORTEST_SECRET} characters, for example from `openssl rand -base64 32`"
            )));
        }
        match self.cors_origins.iter().find(|origin| !is_origin(origin)) {
            Some(_) => Err(Error(
                "seed.cors_origins: must be origins such as https://app.example.com, without a path; `*` is none, as pages use it \
                 with credentials"
                    .to_owned(),
            )),
            None => Ok(()),
        }
    }
}

/// `https://app.example.com`: what a browser sends as `Origin`.
fn is_origin(text: &str) -> bool {
    let Some((scheme, authority)) = text.split_once("://") else { return false };
    matches!(scheme, "http" | "https")
        && !authority.is_empty()
        && authority.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':' | b'[' | b']'))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn seed(username: &str, password: &str, jwt_secret: &str) -> Seed {
        let secret = |text: &str| (!text.is_empty()).then(|| Secret::new(text.to_owned()));
        Seed {
            username: username.to_owned(),
            password: secret(password),
            jwt_secret: secret(jwt_secret),
            tenant: String::new(),
            open_websocket: false,
            cors_origins: Vec::new(),
            requests_per_second: NonZeroU32::MIN,
            burst: NonZeroU32::MIN,
        }
    }

    const LONG: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn it_is_on_with_all_three_and_off_with_none() {
        let off = seed("", "", "");
        assert!(off.validate().is_ok() && off.credentials().is_none());
        let on = seed("budi", "password", LONG);
        assert!(on.validate().is_ok() && on.credentials().is_some());
        for (name, password, secret, missing) in [
            ("budi", "", "", "seed.password"),
            ("budi", "password", "", "seed.jwt_secret"),
            ("", "password", LONG, "seed.username"),
            ("", "", LONG, "seed.username"),
        ] {
            let line = seed(name, password, secret).validate().unwrap_err().to_string();
            assert!(line.starts_with(missing), "{line}");
        }
    }

    #[test]
    fn what_can_be_guessed_is_refused_and_not_shown() {
        for (password, secret) in [("canary", LONG), ("password", "canary-of-31-characters-4711471")] {
            let line = seed("budi", password, secret).validate().unwrap_err().to_string();
            assert!(line.contains("at least") && !line.contains("canary"), "{line}");
        }
    }

    #[test]
    fn origins_are_what_browsers_send() {
        let with = |origin: &str| Seed { cors_origins: vec![origin.to_owned()], ..seed("", "", "") }.validate().is_ok();
        assert!(with("https://app.example.com") && with("http://localhost:8080") && with("http://[::1]:8080"));
        for origin in ["*", "app.example.com", "https://", "https://a.example/x", "ftp://a.example", "https://a b"] {
            assert!(!with(origin), "{origin}");
        }
    }
}
