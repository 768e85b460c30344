//! What the page shows first: where the emulator is, whom to trust, and how much there is.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::super::addresses::{Addresses, certificate_names};
use super::super::options::EmulatorOptions;
use super::super::shared::Shared;
use super::sessions::random_hex;
use crate::service::Service;
use crate::time::{Now, iso_8601};
use crate::x509::Certificate;

/// What does not change while the emulator runs.
pub(super) struct Facts {
    /// Differs at every start.
    instance: String,
    addresses: Addresses,
    is_announced: bool,
    listen: IpAddr,
    host_names: Vec<String>,
    ca_pem: String,
    ca_sha256: String,
}

impl Facts {
    /// Returns `None` if the operating system returns no random bytes.
    pub(super) fn new(options: &EmulatorOptions, addresses: &Addresses, ca_pem: &str) -> Option<Self> {
        Some(Self {
            instance: random_hex::<8>()?.to_string(),
            addresses: addresses.clone(),
            is_announced: !options.announced.is_empty(),
            listen: options.listen,
            host_names: certificate_names(options),
            ca_pem: ca_pem.to_owned(),
            ca_sha256: sha256_of(ca_pem),
        })
    }

    pub(super) fn overview(&self, shared: &Shared) -> Value {
        shared.ask(None, |service, now| {
            service.advance(now);
            self.show(service, now)
        })
    }

    fn show(&self, service: &Service, now: Now) -> Value {
        let (addresses, clock) = (&self.addresses, service.clock());
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "instance": self.instance,
            "idScope": service.id_scope(),
            "endpoints": { "https": addresses.https, "mqtt": addresses.mqtt, "wss": addresses.wss },
            "announced": self.is_announced,
            "listen": self.listen,
            "hostNames": self.host_names,
            "caSha256": self.ca_sha256,
            "caPem": self.ca_pem,
            "hubs": service.hub_summaries(),
            "clock": { "dateTimeUtc": iso_8601(now.unix_ms), "offsetMs": clock.offset_ms(), "scale": clock.scale() },
            "counts": {
                "enrollments": service.individuals.iter().count(),
                "enrollmentGroups": service.groups.iter().count(),
                "registrations": service.records.len(),
                "events": service.events.after(0).count(),
            },
        })
    }
}

/// The SHA-256 of a certificate's DER, in hexadecimal digits; empty if the text is not one certificate.
pub(in super::super) fn sha256_of(ca_pem: &str) -> String {
    Certificate::from_pem(ca_pem).map_or(String::new(), |ca| ca.info().sha256_thumbprint.to_ascii_lowercase())
}
