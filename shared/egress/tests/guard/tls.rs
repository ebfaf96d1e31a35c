//! TLS: the connection goes to a judged address, the certificate and SNI are the name's.

use crate::{guard, names::Names, policy, read};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::AbortHandle,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, pki_types::PrivateKeyDer},
};
use warren_egress::{FetchError, Limits, Policy};

/// A server with a certificate for `cdn.example` alone, which notes the SNI that it hears.
struct Secure {
    address: SocketAddr,
    authority: Vec<u8>,
    heard: Arc<Mutex<Vec<String>>>,
    task: AbortHandle,
}

impl Drop for Secure {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn secure() -> Secure {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().unwrap();
    let authority = params.self_signed(&authority_key).unwrap().der().to_vec();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(["cdn.example".to_owned()])
        .unwrap()
        .signed_by(&key, &Issuer::new(params, authority_key))
        .unwrap();
    let private = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![leaf.der().clone()], private).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let heard = Arc::<Mutex<Vec<String>>>::default();
    let log = Arc::clone(&heard);
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // Clients that do not trust the certificate end the handshake.
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            log.lock().unwrap().push(stream.get_ref().1.server_name().unwrap_or_default().to_owned());
            let mut request = [0; 1_024];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").await;
            let _ = stream.shutdown().await;
        }
    });
    Secure { address, authority, heard, task: task.abort_handle() }
}

fn trusting(secure: &Secure) -> Policy {
    Policy { plain_http: false, authorities: vec![secure.authority.clone()], ..policy(secure.address) }
}

#[tokio::test]
async fn the_name_stays_in_sni_while_the_connection_goes_to_its_address() {
    let secure = secure().await;
    let names = Names::new(&[("cdn.example", &[&["127.0.0.1"]])]);
    let guard = guard(trusting(&secure), &names);
    let fetched = guard.fetch(&format!("https://cdn.example:{}/", secure.address.port()), Limits::default()).await.unwrap();
    assert_eq!(read(fetched).await, (b"hello".to_vec(), Ok(())));
    assert_eq!(*secure.heard.lock().unwrap(), ["cdn.example"]);
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_or_of_another_name_is_not_spoken_to() {
    let secure = secure().await;
    let names = Names::new(&[("cdn.example", &[&["127.0.0.1"]]), ("other.example", &[&["127.0.0.1"]])]);
    let port = secure.address.port();
    let doubting = guard(Policy { authorities: Vec::new(), ..trusting(&secure) }, &names);
    let failed = doubting.fetch(&format!("https://cdn.example:{port}/"), Limits::default()).await.unwrap_err();
    assert_eq!(failed, FetchError::Unreachable);
    let trusting = guard(trusting(&secure), &names);
    for host in ["other.example", "127.0.0.1"] {
        let failed = trusting.fetch(&format!("https://{host}:{port}/"), Limits::default()).await.unwrap_err();
        assert_eq!(failed, FetchError::Unreachable, "{host}");
    }
}
