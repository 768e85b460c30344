//! The CA certificates in the emulator's own API. At Azure they belong to the control plane, where an owner uploads one
//! and then proves to have its key.

use serde::{Deserialize, Serialize};

use crate::admin::AdminReply;
use crate::service::Service;
use crate::time::Now;
use crate::wire::{NOT_FOUND, Problem, parse_object};
use crate::x509::{Certificate, CertificateAuthority, CertificateInfo};

#[derive(Serialize)]
struct List<'a> {
    certificates: Vec<Shown<'a>>,
}

#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    authority: &'a CertificateAuthority,
    info: &'a CertificateInfo,
}

impl<'a> Shown<'a> {
    fn new(authority: &'a CertificateAuthority) -> Self {
        Self { authority, info: authority.certificate.info() }
    }
}

/// What is uploaded.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Upload {
    /// PEM, or the base64 of DER.
    certificate: String,
    #[serde(default = "verified")]
    is_verified: bool,
}

fn verified() -> bool {
    true
}

impl Service {
    pub(crate) fn list_ca_certificates(&self) -> AdminReply {
        AdminReply::ok(&List { certificates: self.ca_certificates().map(Shown::new).collect() })
    }

    pub(crate) fn show_ca_certificate(&self, name: &str) -> Result<AdminReply, Problem> {
        let authority = self.authorities.get(name).ok_or_else(|| missing(name))?;
        Ok(AdminReply::ok(&Shown::new(authority)))
    }

    /// Stores a CA certificate, or replaces the one of this name.
    pub(crate) fn upload_ca_certificate(&mut self, now: Now, name: &str, body: &[u8]) -> Result<AdminReply, Problem> {
        let upload: Upload = parse_object(body)?;
        let certificate = Certificate::from_pem(&upload.certificate)
            .map_err(|error| Problem::bad_request(format!("'certificate' is invalid: {error}.")))?;
        let authority = self.put_ca_certificate(now, name, certificate, upload.is_verified)?;
        Ok(AdminReply::ok(&Shown::new(authority)))
    }

    pub(crate) fn remove_ca_certificate(&mut self, name: &str) -> Result<AdminReply, Problem> {
        let authority = self.authorities.get(name).cloned().ok_or_else(|| missing(name))?;
        self.delete_ca_certificate(name);
        Ok(AdminReply::ok(&Shown::new(&authority)))
    }
}

fn missing(name: &str) -> Problem {
    Problem::new(NOT_FOUND, format!("No CA certificate has the name '{name}'."))
}
