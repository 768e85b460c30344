//! How the device proves who it is to the provisioning service.

use dps_core::RegistrationId;

use super::Reader;
use super::section::{Found, Section};
use crate::finding::Problem;
use crate::model::{Attestation, Certificate, X509Identity};
use crate::secret::Secret;
use crate::tree::Value;
use crate::uri::{Pkcs11Uri, file_path};
use crate::version::Format;

const KEY_LOCATION: &str = "the URI of a private key, such as file:///var/secrets/device-id.key.pem";
const METHODS: &[&str] = &["symmetric_key", "x509", "tpm"];

impl Reader<'_> {
    pub(super) fn attestation(&mut self, section: Section<'_>, has_library: bool) -> Option<Attestation> {
        if section.get("attestation").is_none() {
            return self.legacy_attestation(section);
        }
        let label = self.label("[provisioning.attestation]", "`attestation:` in `provisioning:`");
        let attestation = self.section(section, "attestation", label)?;
        if let Some(stray) = section.get("registration_id").filter(|_| self.format == Format::Yaml) {
            self.found(stray.at, Problem::Misplaced { belongs: label });
        }
        match self.word(attestation, "method", METHODS)? {
            "symmetric_key" => {
                let registration_id = self.registration_id(attestation, true);
                let key = self.symmetric_key(attestation, "symmetric_key", has_library);
                Some(Attestation::SymmetricKey { registration_id: registration_id?, key: key? })
            }
            "x509" => {
                let registration_id = self.registration_id(attestation, false);
                Some(Attestation::X509 { registration_id, identity: self.x509(attestation, has_library)? })
            }
            _ => Some(Attestation::Tpm { registration_id: self.registration_id(attestation, true)? }),
        }
    }

    /// Before 1.1 a registration id beside the scope meant attestation by TPM.
    fn legacy_attestation(&mut self, section: Section<'_>) -> Option<Attestation> {
        if self.format == Format::Yaml && section.get("registration_id").is_some() {
            return Some(Attestation::Tpm { registration_id: self.registration_id(section, true)? });
        }
        self.found(section.at, Problem::Missing { key: "attestation", table: section.label });
        None
    }

    fn registration_id(&mut self, section: Section<'_>, required: bool) -> Option<String> {
        let found = match required {
            true => self.required(section, "registration_id"),
            false => self.text(section, "registration_id"),
        };
        let Found { at, value } = found?;
        match RegistrationId::new(value) {
            Ok(id) => {
                if id.has_upper_case() {
                    self.found(at, Problem::UpperCaseId);
                }
                Some(value.to_owned())
            }
            Err(problem) => {
                self.found(at, Problem::BadValue(problem));
                None
            }
        }
    }

    pub(super) fn x509(&mut self, section: Section<'_>, has_library: bool) -> Option<X509Identity> {
        let certificate = self.certificate(section);
        let key = self.text(section, "identity_pk");
        let issued = matches!(certificate, Some(Certificate::Issued { .. }));
        if self.format == Format::Toml && !issued && section.get("identity_pk").is_none() {
            self.found(section.at, Problem::Missing { key: "identity_pk", table: section.label });
        }
        if let Some(Found { at, value }) = key {
            self.check_key_location(at, value, has_library);
        }
        let certificate = match (self.format, certificate) {
            (Format::Toml, None) => return None,
            (_, certificate) => certificate,
        };
        Some(X509Identity { certificate, key: key.map(|key| Secret::new(key.value)) })
    }

    /// A URI, or in 1.2 and later how it is issued.
    fn certificate(&mut self, section: Section<'_>) -> Option<Certificate> {
        const METHODS: &[&str] = &["est", "local_ca", "self_signed"];
        let entry = section.get("identity_cert");
        if self.format == Format::Toml && entry.is_some_and(|entry| matches!(entry.node.value, Value::Table(_))) {
            let issued = self.section(section, "identity_cert", "identity_cert = { … }")?;
            let method = self.text(issued, "method").filter(|found| METHODS.contains(&found.value))?;
            return Some(Certificate::Issued { method: method.value.to_owned() });
        }
        let found = match self.format {
            Format::Toml => self.required(section, "identity_cert"),
            Format::Yaml => self.text(section, "identity_cert"),
        };
        found.map(|found| Certificate::Uri(found.value.to_owned()))
    }

    fn check_key_location(&mut self, at: usize, text: &str, has_library: bool) {
        let is_path = text.starts_with('/') && self.format == Format::Yaml;
        if self.format == Format::Yaml && !is_path && file_path(text).is_none() && Pkcs11Uri::parse(text).is_none() {
            self.found(at, Problem::BadUri { wanted: KEY_LOCATION });
        }
        self.check_library(at, text, has_library);
    }

    pub(super) fn check_library(&mut self, at: usize, uri: &str, has_library: bool) {
        if uri.starts_with("pkcs11:") && !has_library {
            self.found(at, Problem::Pkcs11WithoutLibrary);
        }
    }
}
