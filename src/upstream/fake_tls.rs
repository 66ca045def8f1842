//! Owns: authorities for unit tests, and TLS in front of a [`Fake`](super::fake::Fake), which notes who came.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::tasks::Tasks;

pub(super) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate for this machine and its key, both in PEM.
pub(super) struct Issued {
    pub(super) certificate: String,
    pub(super) key: String,
}

/// Which clients it speaks to.
pub(super) enum Clients {
    /// All; it asks for no certificate.
    Anybody,
    /// Those with a certificate of this authority, and others.
    Noted(Authority),
    /// Those with a certificate of this authority.
    Known(Authority),
}

pub(super) struct Terminator {
    address: SocketAddr,
    /// For each connection in order, whether the client had a certificate.
    known: Arc<Mutex<Vec<bool>>>,
}

impl Authority {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(super) fn pem(&self) -> String {
        self.0.pem()
    }

    pub(super) fn issue(&self) -> Issued {
        let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
        let (params, key) = (CertificateParams::new(names).unwrap(), KeyPair::generate().unwrap());
        Issued {
            certificate: params.signed_by(&key, &self.0).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }

    fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        Arc::new(roots)
    }
}

impl Terminator {
    pub(super) async fn start(server: &Issued, clients: Clients, target: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config(server, clients)));
        let known: Arc<Mutex<Vec<bool>>> = Arc::default();
        let (noted, tasks) = (Arc::clone(&known), Tasks::new());
        let handlers = tasks.clone();
        tasks.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, target, noted) = (acceptor.clone(), target.clone(), Arc::clone(&noted));
                handlers.spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    noted
                        .lock()
                        .unwrap()
                        .push(stream.get_ref().1.peer_certificates().is_some());
                    let mut to = TcpStream::connect(target).await.unwrap();
                    // Either may break off.
                    let _ = copy_bidirectional(&mut stream, &mut to).await;
                });
            }
        });
        Self { address, known }
    }

    pub(super) fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    pub(super) fn known(&self) -> Vec<bool> {
        self.known.lock().unwrap().clone()
    }
}

fn config(server: &Issued, clients: Clients) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    let verifier = |roots| WebPkiClientVerifier::builder_with_provider(roots, provider);
    let builder = match clients {
        Clients::Anybody => builder.with_no_client_auth(),
        Clients::Noted(authority) => {
            let verifier = verifier(authority.roots()).allow_unauthenticated();
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
        Clients::Known(authority) => builder.with_client_cert_verifier(verifier(authority.roots()).build().unwrap()),
    };
    let certificate = CertificateDer::from_pem_slice(server.certificate.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(server.key.as_bytes()).unwrap();
    builder.with_single_cert(vec![certificate], key).unwrap()
}
