//! How to reach a simulator, and how to know it again: by its key.

use crate::failure::Failure;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Request, StatusCode, client::conn::http1, header::HOST};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::Instant;
use warren_domain::Network;
use warren_worker::Endpoint;

/// A simulator's key is for a simulator: with one of these hosts, somebody is about to mix the two up.
const WHATSAPP_DOMAINS: &[&str] = &["whatsapp.com", "whatsapp.net"];
/// A simulator that is started together with Warren may come a little later.
const PATIENCE: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_millis(250);
const ATTEMPT: Duration = Duration::from_secs(5);
const LARGEST_ANSWER: usize = 64 * 1024;

/// A simulator's address: where, and whether its WebSocket is spoken to over TLS. Its one port serves both.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Address {
    authority: String,
    tls: bool,
}

/// What a simulator is known by.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Trust {
    /// The static key with which it proves itself.
    #[serde(deserialize_with = "key")]
    pub(crate) static_public_key: [u8; 32],
    /// The authority that signs its certificates.
    pub(crate) tls_ca_pem: String,
}

fn key<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
    let mut key = [0; 32];
    hex::decode_to_slice(String::deserialize(deserializer)?, &mut key).map_err(serde::de::Error::custom)?;
    Ok(key)
}

/// The simulator in this process, that listens at `authority` (`host:port`).
pub(crate) fn simulator(authority: &str, trust: Trust) -> Result<Endpoint, Failure> {
    endpoint(&Address { authority: authority.to_owned(), tls: false }, trust)
}

fn endpoint(address: &Address, trust: Trust) -> Result<Endpoint, Failure> {
    refuse_whatsapp(&address.authority)?;
    let scheme = if address.tls { "wss" } else { "ws" };
    Ok(Endpoint {
        url: format!("{scheme}://{}/ws/chat", address.authority),
        authority: Some(trust.tls_ca_pem),
        network: Network::Simulator { static_key: trust.static_public_key },
    })
}

fn refuse_whatsapp(authority: &str) -> Result<(), Failure> {
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host).trim_end_matches('.').to_ascii_lowercase();
    let belongs_to = |domain: &str| host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    if WHATSAPP_DOMAINS.iter().any(|domain| belongs_to(domain)) {
        return Err(Failure::config(format!("{host} belongs to WhatsApp and is no simulator")));
    }
    Ok(())
}

/// The simulator at this URL, after asking it for its keys. That is asked in the clear, with `https://` too: who could
/// change the answer could as well be the simulator.
pub(crate) async fn simulator_at(url: &str) -> Result<Endpoint, Failure> {
    let address = address(url)?;
    // Before anything is sent there.
    refuse_whatsapp(&address.authority)?;
    let until = Instant::now() + PATIENCE;
    loop {
        let answered = tokio::time::timeout(ATTEMPT, trust(&address.authority)).await;
        match answered.unwrap_or_else(|_| Err("does not answer".to_owned())) {
            Ok(trust) => return endpoint(&address, trust),
            Err(problem) if Instant::now() + PAUSE >= until => {
                return Err(Failure::unavailable(format!("the simulator at {url}: {problem}")));
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// Where a plain URL points.
fn address(url: &str) -> Result<Address, Failure> {
    let wrong = || Failure::config(format!("--simulator-url: `{url}` is not of the form http://127.0.0.1:8090"));
    let uri: hyper::Uri = url.parse().map_err(|_| wrong())?;
    let tls = uri.scheme_str() == Some("https");
    let plain = (tls || uri.scheme_str() == Some("http")) && uri.path() == "/" && uri.query().is_none();
    let authority = uri.authority().filter(|authority| plain && !authority.as_str().contains('@')).ok_or_else(wrong)?;
    let port = authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
    Ok(Address { authority: format!("{}:{port}", authority.host()), tls })
}

async fn trust(authority: &str) -> Result<Trust, String> {
    let stream = TcpStream::connect(authority).await.map_err(|error| error.to_string())?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    let request = Request::get("/admin/trust").header(HOST, authority).body(Empty::<Bytes>::new());
    let request = request.map_err(|error| error.to_string())?;
    let asked = async {
        let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
        if response.status() != StatusCode::OK {
            return Err(format!("answers {} and is no simulator", response.status()));
        }
        let body = Limited::new(response.into_body(), LARGEST_ANSWER).collect().await.map_err(|error| error.to_string())?;
        serde_json::from_slice(&body.to_bytes()).map_err(|_| "is no simulator".to_owned())
    };
    tokio::select! {
        biased;
        answer = asked => answer,
        _ = connection => Err("closed the connection".to_owned()),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn trust() -> Trust {
        Trust { static_public_key: [7; 32], tls_ca_pem: "PEM".into() }
    }

    #[test]
    fn a_pinned_key_never_meets_whatsapp() {
        for host in ["web.whatsapp.com:443", "WEB.WhatsApp.com:80", "whatsapp.com:1", "mmg.whatsapp.net.:1"] {
            assert!(simulator(host, trust()).is_err(), "{host}");
        }
        let endpoint = simulator("notwhatsapp.com:8090", trust()).unwrap();
        assert_eq!(endpoint.url, "ws://notwhatsapp.com:8090/ws/chat");
        assert_eq!(endpoint.network, Network::Simulator { static_key: [7; 32] });
    }

    #[tokio::test]
    async fn only_plain_urls_of_hosts_are_taken() {
        let taken = |url: &str| address(url).map(|address| (address.authority, address.tls)).unwrap();
        assert_eq!(taken("http://127.0.0.1:8090"), ("127.0.0.1:8090".into(), false));
        assert_eq!(taken("http://[::1]:8090/"), ("[::1]:8090".into(), false));
        assert_eq!(taken("http://simulator"), ("simulator:80".into(), false));
        assert_eq!(taken("https://simulator"), ("simulator:443".into(), true));
        for url in ["", "127.0.0.1:8090", "ws://a:1", "http://a:1/admin", "http://u@a:1", "https://a:1/?x"] {
            assert!(address(url).is_err(), "{url}");
        }
        assert!(simulator_at("http://web.whatsapp.com").await.is_err());
    }
}
