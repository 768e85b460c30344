//! Servers that require the device's certificate in TLS, and refuse it with an alert or lose the refusal in a reset.

use std::io::{self, Read as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use dps_client::rustls;
use rustix::net::sockopt::set_socket_linger;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig, ServerConnection, SupportedProtocolVersion};

use super::pki::{Ca, Device};
use super::run::{Folder, Run, dps_line};

/// A server that accepts certificates of one root only, and resets every connection on which one was accepted.
struct Server {
    port: u16,
    pem: String,
}

impl Server {
    fn start(version: &'static SupportedProtocolVersion, root: &Ca) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(root.certificates().iter().next().unwrap().to_vec())).unwrap();
        let provider = dps_net::crypto_provider();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let own = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(own.signing_key.serialize_der()));
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_single_cert(vec![own.cert.der().clone()], key)
            .unwrap();
        let (config, listener) = (Arc::new(config), TcpListener::bind("127.0.0.1:0").unwrap());
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            for tcp in listener.incoming() {
                // What the client sees of a failure is what is tested.
                _ = serve(&config, tcp.unwrap());
            }
        });
        Self { port, pem: own.cert.pem() }
    }
}

fn serve(config: &Arc<ServerConfig>, mut tcp: TcpStream) -> io::Result<()> {
    let mut tls = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
    while tls.is_handshaking() {
        if tls.complete_io(&mut tcp).is_err() {
            // The alert was sent. What the client sent meanwhile is read: a close would reset the connection otherwise.
            tcp.shutdown(std::net::Shutdown::Write)?;
            return tcp.read_to_end(&mut Vec::new()).map(drop);
        }
    }
    Ok(set_socket_linger(&tcp, Some(Duration::ZERO))?)
}

/// Returns the first line of `dps check`.
fn first_line(server: &Server, device: &Device) -> String {
    let folder = Folder::new();
    let (certificate, key) =
        (folder.write("device.pem", device.chain.concat()), folder.write("device.key", &device.key));
    let (endpoint, ca) = (format!("localhost:{}", server.port), folder.write("ca.pem", &server.pem));
    let words = ["--endpoint", &endpoint, "--ca-file", &ca, "--cert-file", &certificate, "--cert-key-file", &key];
    let found = dps_line("check --scope 0ne00A1B2C3 --timeout 20s", &words).run().code(10).stdout;
    found.lines().next().unwrap().to_owned()
}

#[test]
fn certificate_refused_by_an_alert_is_named_by_the_first_line_of_check() {
    let device = Ca::root("Root").intermediate("Line").device("dev-01").in_order(&[0, 1]);
    for version in [&TLS12, &TLS13] {
        let server = Server::start(version, &Ca::root("Other"));
        let first = first_line(&server, &device);
        assert!(first.starts_with("cause: the server refuses the certificate in TLS ("), "{version:?}: {first}");
        assert!(first.contains("unknown_ca (48)") && first.contains("(1) an intermediate certificate is missing"));
    }
}

#[test]
fn connection_reset_after_the_certificate_is_named_by_the_first_line_of_check() {
    let root = Ca::root("Root");
    for version in [&TLS12, &TLS13] {
        let first = first_line(&Server::start(version, &root), &root.device("dev-01"));
        assert!(first.starts_with("cause: the connection was cut: "), "{version:?}: {first}");
        assert!(first.ends_with("after this device's certificate was sent and before any reply"), "{first}");
    }
}
