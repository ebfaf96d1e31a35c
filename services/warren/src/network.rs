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

/// The simulator that listens at `authority` (`host:port`) and proves itself with `static_key`.
pub(crate) fn simulator(authority: &str, static_key: [u8; 32]) -> Result<Endpoint, Failure> {
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host).trim_end_matches('.').to_ascii_lowercase();
    let belongs_to = |domain: &str| host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    if WHATSAPP_DOMAINS.iter().any(|domain| belongs_to(domain)) {
        return Err(Failure::config(format!("{host} belongs to WhatsApp and is no simulator")));
    }
    Ok(Endpoint { url: format!("ws://{authority}/ws/chat"), network: Network::Simulator { static_key } })
}

/// The simulator at this URL, after asking it for its key.
pub(crate) async fn simulator_at(url: &str) -> Result<Endpoint, Failure> {
    let authority = authority(url)?;
    // Before anything is sent there.
    simulator(&authority, [0; 32])?;
    let until = Instant::now() + PATIENCE;
    loop {
        let answered = tokio::time::timeout(ATTEMPT, trust(&authority)).await;
        match answered.unwrap_or_else(|_| Err("does not answer".to_owned())) {
            Ok(key) => return simulator(&authority, key),
            Err(problem) if Instant::now() + PAUSE >= until => {
                return Err(Failure::unavailable(format!("the simulator at {url}: {problem}")));
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// `host:port` of a plain URL.
fn authority(url: &str) -> Result<String, Failure> {
    let wrong = || Failure::config(format!("--simulator-url: `{url}` is not of the form http://127.0.0.1:8090"));
    let uri: hyper::Uri = url.parse().map_err(|_| wrong())?;
    let plain = uri.scheme_str() == Some("http") && uri.path() == "/" && uri.query().is_none();
    let authority = uri.authority().filter(|authority| plain && !authority.as_str().contains('@')).ok_or_else(wrong)?;
    Ok(format!("{}:{}", authority.host(), authority.port_u16().unwrap_or(80)))
}

#[derive(Deserialize)]
struct Trust {
    static_public_key: String,
}

async fn trust(authority: &str) -> Result<[u8; 32], String> {
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
        let trust: Trust = serde_json::from_slice(&body.to_bytes()).map_err(|_| "is no simulator".to_owned())?;
        let mut key = [0; 32];
        hex::decode_to_slice(&trust.static_public_key, &mut key).map_err(|_| "tells no key".to_owned())?;
        Ok(key)
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

    #[test]
    fn a_pinned_key_never_meets_whatsapp() {
        for host in ["web.whatsapp.com:443", "WEB.WhatsApp.com:80", "whatsapp.com:1", "mmg.whatsapp.net.:1"] {
            assert!(simulator(host, [7; 32]).is_err(), "{host}");
        }
        let endpoint = simulator("notwhatsapp.com:8090", [7; 32]).unwrap();
        assert_eq!(endpoint.url, "ws://notwhatsapp.com:8090/ws/chat");
        assert_eq!(endpoint.network, Network::Simulator { static_key: [7; 32] });
    }

    #[tokio::test]
    async fn only_plain_urls_of_hosts_are_taken() {
        assert_eq!(authority("http://127.0.0.1:8090").unwrap(), "127.0.0.1:8090");
        assert_eq!(authority("http://[::1]:8090/").unwrap(), "[::1]:8090");
        assert_eq!(authority("http://simulator").unwrap(), "simulator:80");
        for url in ["", "127.0.0.1:8090", "https://a:1", "ws://a:1", "http://a:1/admin", "http://u@a:1", "http://a:1/?x"] {
            assert!(authority(url).is_err(), "{url}");
        }
        assert!(simulator_at("http://web.whatsapp.com").await.is_err());
    }
}
