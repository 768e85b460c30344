//! TLS of every front: one certificate, for the emulator's own names and for those of the hubs it answers for.
//!
//! A hub can be linked while clients are served. Its name comes into the certificate when a client first asks for it; none
//! is taken out again, for a device stays in its hub when that is unlinked. Names that are no hub's change nothing.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::Shared;
use super::certificate::{Authority, can_be_named, failed};
use super::clock::machine_unix_ms;
use super::error::StartError;

/// How many names the certificate may bear; it is sent with every handshake.
const NAMES_MAX: usize = 200;

/// The TLS of a server with these names.
pub(super) fn server_config(
    authority: Authority,
    names: Vec<String>,
    shared: &Arc<Shared>,
) -> Result<ServerConfig, StartError> {
    let builder = ServerConfig::builder_with_provider(super::provider());
    let builder = builder.with_safe_default_protocol_versions().map_err(failed)?.with_no_client_auth();
    let mut config = builder.with_cert_resolver(Arc::new(Names::new(authority, names, Arc::clone(shared))?));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

struct Names {
    authority: Authority,
    shared: Arc<Shared>,
    issued: Mutex<Issued>,
}

struct Issued {
    names: Vec<String>,
    key: Arc<CertifiedKey>,
}

impl Names {
    fn new(authority: Authority, mut names: Vec<String>, shared: Arc<Shared>) -> Result<Self, StartError> {
        // A hub may go by what no certificate can bear, such as a name with a port.
        let hubs: Vec<String> =
            shared.service().linked_hubs().filter(|hub| can_be_named(hub)).map(Into::into).collect();
        for hub in hubs {
            if !contains(&names, &hub) {
                names.push(hub);
            }
        }
        let key = issue(&authority, &names)?;
        Ok(Self { authority, shared, issued: Mutex::new(Issued { names, key }) })
    }

    /// The certificate with this name in it, if the name is a hub's; else as it is.
    fn presented(&self, name: Option<&str>) -> Arc<CertifiedKey> {
        let mut issued = self.issued.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(name) = name.filter(|name| !contains(&issued.names, name))
            && issued.names.len() < NAMES_MAX
            && self.shared.service().hubs.knows(name)
        {
            let mut names = issued.names.clone();
            names.push(name.to_owned());
            match issue(&self.authority, &names) {
                Ok(key) => *issued = Issued { names, key },
                Err(error) => tracing::warn!(%error, hub = name, "the certificate stays without the hub's name"),
            }
        }
        Arc::clone(&issued.key)
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

fn issue(authority: &Authority, names: &[String]) -> Result<Arc<CertifiedKey>, StartError> {
    authority.issue(names, machine_unix_ms() / 1000).map(Arc::new)
}

fn contains(names: &[String], name: &str) -> bool {
    names.iter().any(|known| known.eq_ignore_ascii_case(name))
}
