//! TLS of every listener: one certificate, for the emulator's own names and for those of its hubs.
//!
//! The certificate is renewed ten days before it ends, by the service's clock or the machine's, so that an emulator can
//! run for as long as its CA is valid.
//!
//! A hub can be linked while clients are connected. Its name is added to the certificate when a client first asks for
//! it, and is never removed, since a device stays in its hub when that is unlinked. Names that are not a hub's have no
//! effect.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{DEFAULT_VERSIONS, ServerConfig};
use tokio_rustls::TlsAcceptor;

use super::certificate::{Authority, RENEW_BEFORE_S, can_be_named, failed};
use super::client_certificate::AnyClient;
use super::options::{StartError, TlsVersion};
use super::shared::{Shared, machine_unix_ms};
use crate::fault::Fault;
use crate::x509::provider;

/// How many names the certificate can contain; it is sent with every handshake.
const NAMES_MAX: usize = 200;

/// How handshakes are answered: with a request for a client certificate, or without one for a planned fault.
#[derive(Clone)]
pub(super) struct Handshakes {
    requesting: TlsAcceptor,
    without_request: TlsAcceptor,
}

impl Handshakes {
    /// The handshakes of a server with these names.
    pub(super) fn new(
        authority: Authority,
        names: Vec<String>,
        shared: &Arc<Shared>,
        version: Option<TlsVersion>,
    ) -> Result<Self, StartError> {
        let versions = match version {
            Some(TlsVersion::Tls12) => &[&TLS12][..],
            Some(TlsVersion::Tls13) => &[&TLS13],
            None => DEFAULT_VERSIONS,
        };
        let names = Arc::new(Names::new(authority, names, Arc::clone(shared))?);
        let acceptor = |verifier: Arc<dyn ClientCertVerifier>| {
            let builder = ServerConfig::builder_with_provider(provider());
            let builder = builder.with_protocol_versions(versions).map_err(failed)?;
            let builder = builder.with_client_cert_verifier(verifier);
            let mut config = builder.with_cert_resolver(Arc::<Names>::clone(&names));
            config.alpn_protocols = vec![b"http/1.1".to_vec()];
            Ok::<_, StartError>(TlsAcceptor::from(Arc::new(config)))
        };
        Ok(Self {
            requesting: acceptor(Arc::new(AnyClient::new(&provider(), Arc::clone(shared))))?,
            without_request: acceptor(WebPkiClientVerifier::no_client_auth())?,
        })
    }

    /// The answer to handshakes of browsers, which would ask their user for a client certificate.
    pub(super) fn without_request(&self) -> TlsAcceptor {
        self.without_request.clone()
    }

    /// The answer to the next handshake.
    pub(super) fn next(&self, shared: &Shared) -> &TlsAcceptor {
        let without_request =
            shared.ask(None, |service, now| service.handshake_meets(now, &Fault::NoCertificateRequest, ""));
        if without_request { &self.without_request } else { &self.requesting }
    }
}

struct Names {
    authority: Authority,
    shared: Arc<Shared>,
    issued: Mutex<Issued>,
}

struct Issued {
    names: Vec<String>,
    key: Arc<CertifiedKey>,
    /// When the certificate ends, in seconds since 1970.
    end_s: u64,
}

impl Names {
    fn new(authority: Authority, mut names: Vec<String>, shared: Arc<Shared>) -> Result<Self, StartError> {
        // A hub name may be one that a certificate cannot contain, such as one with a port.
        let hubs: Vec<String> =
            shared.service().linked_hubs().filter(|hub| can_be_named(hub)).map(Into::into).collect();
        for hub in hubs {
            if !contains(&names, &hub) {
                names.push(hub);
            }
        }
        let issued = issue(&authority, names, clocks_s(&shared))?;
        Ok(Self { authority, shared, issued: Mutex::new(issued) })
    }

    /// Returns the certificate, with this name added if it is a hub's, and renewed if it is about to end.
    fn presented(&self, name: Option<&str>) -> Arc<CertifiedKey> {
        let mut issued = self.issued.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(name) = name.filter(|name| !contains(&issued.names, name))
            && issued.names.len() < NAMES_MAX
            && self.shared.service().hubs.knows(name)
        {
            let mut names = issued.names.clone();
            names.push(name.to_owned());
            match issue(&self.authority, names, clocks_s(&self.shared)) {
                Ok(renewed) => *issued = renewed,
                Err(error) => {
                    tracing::warn!(%error, hub = name, "the hub's name could not be added to the certificate")
                }
            }
        }
        self.renew(&mut issued);
        Arc::clone(&issued.key)
    }

    /// Renews the certificate when either clock is close to its end, unless the CA ends as early.
    fn renew(&self, issued: &mut Issued) {
        let clocks_s = clocks_s(&self.shared);
        let near = clocks_s.iter().any(|now_s| now_s + RENEW_BEFORE_S >= issued.end_s);
        if !near || self.authority.server_end_s(clocks_s) <= issued.end_s {
            return;
        }
        match issue(&self.authority, issued.names.clone(), clocks_s) {
            Ok(renewed) => *issued = renewed,
            Err(error) => tracing::warn!(%error, "the certificate is about to end and could not be renewed"),
        }
    }
}

impl ResolvesServerCert for Names {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.presented(hello.server_name()))
    }
}

impl std::fmt::Debug for Names {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Names").finish_non_exhaustive()
    }
}

fn issue(authority: &Authority, names: Vec<String>, clocks_s: [u64; 2]) -> Result<Issued, StartError> {
    let key = Arc::new(authority.issue(&names, clocks_s)?);
    Ok(Issued { names, key, end_s: authority.server_end_s(clocks_s) })
}

/// The machine's clock and the service's, in seconds since 1970.
fn clocks_s(shared: &Shared) -> [u64; 2] {
    [machine_unix_ms() / 1000, shared.clock.now().unix_s()]
}

fn contains(names: &[String], name: &str) -> bool {
    names.iter().any(|known| known.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::super::public::Public;
    use super::*;
    use crate::options::ServiceOptions;
    use crate::service::Service;

    const DAY_MS: i64 = 86_400_000;

    #[test]
    fn certificate_is_renewed_before_it_ends() {
        let shared = Arc::new(Shared::new(Service::new(ServiceOptions::new()).unwrap(), None, Public::default()));
        let authority = Authority::generate(machine_unix_ms() / 1000, [0; 4]).unwrap();
        let names = Names::new(authority, vec!["localhost".into()], Arc::clone(&shared)).unwrap();
        let presented = || names.presented(Some("localhost")).cert[0].clone();
        let first = presented();
        shared.clock.service.set_offset_ms(15 * DAY_MS);
        assert_eq!(presented(), first, "15 of 30 days are left");
        shared.clock.service.set_offset_ms(25 * DAY_MS);
        let second = presented();
        assert_ne!(second, first, "5 days are left");
        assert_eq!(presented(), second, "and it is made once");
        // Nothing can be issued beyond the end of the CA.
        shared.clock.service.set_offset_ms(400 * DAY_MS);
        let last = presented();
        assert_eq!(presented(), last);
    }
}
