//! The CA certificates of the service, by name. At Azure they are uploaded through the control plane, and verified by
//! proof of possession; here the owner sets whether one is verified.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::certificate::Certificate;
use crate::time::{Now, iso_8601};
use crate::wire::Problem;

/// The most CA certificates that a service keeps (Azure documentation, "Service limits").
pub const AUTHORITIES_MAX: usize = 25;
const NAME_MAX: usize = 64;

/// A CA certificate of the service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct CertificateAuthority {
    /// Its name, to which enrollments refer.
    pub name: String,
    /// The certificate.
    #[serde(serialize_with = "write_certificate", deserialize_with = "read_certificate")]
    pub certificate: Certificate,
    /// Whether the owner has proved to have its key. A chain has to lead to a verified one.
    pub is_verified: bool,
    /// When it was first stored.
    pub created_date_time_utc: String,
    /// When it was last replaced.
    pub last_updated_date_time_utc: String,
}

fn write_certificate<S: Serializer>(certificate: &Certificate, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&certificate.base64())
}

fn read_certificate<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Certificate, D::Error> {
    let text = String::deserialize(deserializer)?;
    Certificate::from_pem(&text).map_err(serde::de::Error::custom)
}

/// The CA certificates; names compare with letter case.
#[derive(Default)]
pub(crate) struct Authorities(BTreeMap<String, CertificateAuthority>);

impl Authorities {
    pub(crate) fn get(&self, name: &str) -> Option<&CertificateAuthority> {
        self.0.get(name)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &CertificateAuthority> {
        self.0.values()
    }

    /// Stores or replaces one.
    pub(crate) fn put(
        &mut self,
        now: Now,
        name: &str,
        certificate: Certificate,
        is_verified: bool,
    ) -> Result<&CertificateAuthority, Problem> {
        let created = self.0.get(name).map(|old| old.created_date_time_utc.clone());
        let stamp = iso_8601(now.unix_ms);
        self.insert(CertificateAuthority {
            name: name.into(),
            certificate,
            is_verified,
            created_date_time_utc: created.unwrap_or_else(|| stamp.clone()),
            last_updated_date_time_utc: stamp,
        })
    }

    /// Stores one as it is, after the same checks.
    pub(crate) fn insert(&mut self, authority: CertificateAuthority) -> Result<&CertificateAuthority, Problem> {
        let name = authority.name.clone();
        let is_name = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
        if !(1..=NAME_MAX).contains(&name.len()) || !name.bytes().all(is_name) {
            return Err(Problem::bad_request(format!(
                "The name of a CA certificate must have 1 to {NAME_MAX} letters, digits, '-', '.' and '_'."
            )));
        }
        if !authority.certificate.is_authority() {
            return Err(Problem::bad_request("The certificate is not a CA certificate that may sign others."));
        }
        if self.0.len() >= AUTHORITIES_MAX && !self.0.contains_key(&name) {
            return Err(Problem::bad_request(format!("A service keeps at most {AUTHORITIES_MAX} CA certificates.")));
        }
        self.0.insert(name.clone(), authority);
        Ok(&self.0[&name])
    }

    pub(crate) fn remove(&mut self, name: &str) -> Option<CertificateAuthority> {
        self.0.remove(name)
    }
}
