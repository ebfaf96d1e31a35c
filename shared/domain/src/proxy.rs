//! The proxy through which an instance speaks to WhatsApp.

use crate::{Error, Result};
use std::fmt;

/// How a proxy is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyKind {
    /// HTTP's `CONNECT` (RFC 9110, 9.3.6), to the proxy itself without TLS.
    Http,
    /// SOCKS 5 (RFC 1928), names resolved by the proxy; with a password as RFC 1929 says.
    Socks5,
}

/// A proxy: `http://user:password@host:port` or `socks5://...`. Shows its credentials to nobody but [`Proxy::credentials`] and
/// [`Proxy::to_url`].
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    kind: ProxyKind,
    host: String,
    port: u16,
    /// As it was written, percent-encoded.
    userinfo: Option<String>,
}

/// The longest URL, bytes.
const LONGEST: usize = 1_024;
/// The longest name and password: RFC 1929 has one byte for their lengths.
const CREDENTIAL_BYTES: usize = 255;

impl Proxy {
    /// Reads what a caller writes. Where the host leads is not judged here.
    ///
    /// # Errors
    /// `invalid_proxy`; the input is never repeated in the error.
    pub fn parse(url: &str) -> Result<Self> {
        let refused = || {
            let detail = "A proxy is written as http://user:password@host:port or socks5://user:password@host:port; the user \
                          and password may be left out, the port may not, and special characters in them are percent-encoded.";
            Error::invalid("invalid_proxy", detail)
        };
        if url.len() > LONGEST || !url.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(refused());
        }
        let (scheme, rest) = url.split_once("://").ok_or_else(refused)?;
        let kind = match scheme.to_ascii_lowercase().as_str() {
            "http" => ProxyKind::Http,
            "socks5" | "socks5h" => ProxyKind::Socks5,
            _ => return Err(refused()),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (userinfo, authority) = match rest.rsplit_once('@') {
            Some((userinfo, authority)) => (Some(userinfo.to_owned()), authority),
            None => (None, rest),
        };
        let (host, port) = authority.rsplit_once(':').ok_or_else(refused)?;
        let is_digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port.parse().ok().filter(|port| is_digits && *port > 0).ok_or_else(refused)?;
        let proxy = Self { kind, host: read_host(host).ok_or_else(refused)?, port, userinfo };
        let has_credentials = proxy.userinfo.is_some();
        if has_credentials && proxy.credentials().is_none() { Err(refused()) } else { Ok(proxy) }
    }

    /// How it is spoken to.
    #[must_use]
    pub const fn kind(&self) -> ProxyKind {
        self.kind
    }

    /// Its name or address, an IPv6 address without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Its port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The user and the password.
    #[must_use]
    pub fn credentials(&self) -> Option<(String, String)> {
        let (user, password) = self.userinfo.as_ref()?.split_once(':')?;
        let (user, password) = (decoded(user)?, decoded(password)?);
        let fits = |text: &str| text.len() <= CREDENTIAL_BYTES && !text.chars().any(char::is_control);
        // A user with a colon cannot be told from its password (RFC 7617).
        (!user.is_empty() && !user.contains(':') && fits(&user) && fits(&password)).then_some((user, password))
    }

    /// The whole URL, to be kept.
    #[must_use]
    pub fn to_url(&self) -> String {
        match &self.userinfo {
            Some(userinfo) => format!("{}://{userinfo}@{}", self.scheme(), self.authority()),
            None => format!("{}://{}", self.scheme(), self.authority()),
        }
    }

    /// The URL as it may be shown: `***` in place of the credentials.
    #[must_use]
    pub fn shown(&self) -> String {
        let hidden = if self.userinfo.is_some() { "***@" } else { "" };
        format!("{}://{hidden}{}", self.scheme(), self.authority())
    }

    const fn scheme(&self) -> &'static str {
        match self.kind {
            ProxyKind::Http => "http",
            ProxyKind::Socks5 => "socks5",
        }
    }

    fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Proxy(..)")
    }
}

fn read_host(text: &str) -> Option<String> {
    if let Some(address) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
        return address.parse::<std::net::Ipv6Addr>().ok().map(|address| address.to_string());
    }
    let is_name = (1..=253).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'));
    is_name.then(|| text.to_ascii_lowercase())
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digit = |byte: u8| char::from(byte).to_digit(16);
            let value = digit(rest.next()?)? * 16 + digit(rest.next()?)?;
            bytes.push(u8::try_from(value).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn reads_proxies_and_hides_their_credentials() {
        let proxy = Proxy::parse("SOCKS5://us%65r:p%40ss:x@Proxy.Example.com:1080/").unwrap();
        assert_eq!((proxy.kind(), proxy.host(), proxy.port()), (ProxyKind::Socks5, "proxy.example.com", 1_080));
        assert_eq!(proxy.credentials().unwrap(), ("user".to_owned(), "p@ss:x".to_owned()));
        assert_eq!(proxy.shown(), "socks5://***@proxy.example.com:1080");
        assert_eq!(Proxy::parse(&proxy.to_url()).unwrap(), proxy);
        assert!(!format!("{proxy:?}").contains("example"));
        let open = Proxy::parse("http://[2001:db8::1]:3128").unwrap();
        assert_eq!((open.host(), open.credentials()), ("2001:db8::1", None));
        assert_eq!((open.shown(), open.to_url()), ("http://[2001:db8::1]:3128".into(), "http://[2001:db8::1]:3128".into()));
    }

    #[test]
    fn refuses_everything_else_without_repeating_it() {
        let long = format!("http://{}:80", "a".repeat(2_000));
        for url in [
            "",
            "proxy.example.com:1080",
            "https://h:1",
            "ftp://h:1",
            "http://h",
            "http://h:0",
            "http://h:65536",
            "http://h:+1",
            "http://:1",
            "http://u@h:1",
            "http://:p@h:1",
            "http://u%3A:p@h:1",
            "http://u:p%0d@h:1",
            "http://u:%zz@h:1",
            "http://h:1/path",
            "http://h:1?x",
            "http://a b:1",
            "http://h:1\r\nX: y",
            "http://[::g]:1",
            "http://hé:1",
            "socks4://h:1",
            &long,
        ] {
            let error = Proxy::parse(url).unwrap_err();
            assert_eq!(error.code, "invalid_proxy", "{url}");
            assert!(url.len() < 12 || !error.detail.contains(url));
        }
    }
}
