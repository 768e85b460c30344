//! How the device proves who it is to the provisioning service.

use dps_core::RegistrationId;

use super::Reader;
use super::section::{Found, Section};
use crate::model::{Attestation, Certificate, X509Identity};
use crate::problem::Problem;
use crate::secret::Secret;
use crate::tree::Value;
use crate::uri::file_url_path;
use crate::version::Format;

const FILE_URL: &str = "the URI of a file, such as file:///var/secrets/device-id.pem";
/// Where an absolute path stands.
pub(crate) const FILE_BEFORE_PATH: &str = "a URI: write file:// before the path";
const METHODS: &[&str] = &["symmetric_key", "x509", "tpm"];

impl Reader<'_> {
    pub(super) fn attestation(&mut self, section: Section<'_>, has_library: bool) -> Option<Attestation> {
        if section.get("attestation").is_none() {
            return self.legacy_attestation(section);
        }
        let label = self.label("[provisioning.attestation]", "`attestation:` in `provisioning:`");
        let attestation = self.section(section, "attestation", label)?;
        if let Some(stray) = section.get("registration_id").filter(|_| self.format == Format::Yaml) {
            self.found(stray.at, Problem::RefusedBeside { other: "`attestation`, where it belongs" });
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
        if self.format == Format::Yaml {
            return self.x509_of_1_1(section);
        }
        let certificate = self.certificate(section);
        let key = self.text(section, "identity_pk");
        let issued = section.get("identity_cert").is_some_and(|entry| matches!(entry.node.value, Value::Table(_)));
        if !issued && section.get("identity_pk").is_none() {
            self.found(section.at, Problem::Missing { key: "identity_pk", table: section.label });
        }
        if let Some(Found { at, value }) = key {
            self.check_library(at, value, has_library);
        }
        Some(X509Identity { certificate: Some(certificate?), key: key.map(|key| Secret::new(key.value)) })
    }

    /// Both have to be there, as the URLs of files.
    fn x509_of_1_1(&mut self, section: Section<'_>) -> Option<X509Identity> {
        let certificate = self.required(section, "identity_cert");
        let key = self.required(section, "identity_pk");
        for found in [certificate, key].into_iter().flatten() {
            if file_url_path(found.value).is_none() {
                let wanted = if found.value.starts_with('/') { FILE_BEFORE_PATH } else { FILE_URL };
                self.found(found.at, Problem::BadUri { wanted });
            }
        }
        let certificate = Some(Certificate::Uri(certificate?.value.to_owned()));
        Some(X509Identity { certificate, key: Some(Secret::new(key?.value)) })
    }

    /// A URI, or in 1.2 and later how it is issued.
    fn certificate(&mut self, section: Section<'_>) -> Option<Certificate> {
        const METHODS: &[&str] = &["est", "local_ca", "self_signed"];
        let entry = section.get("identity_cert");
        if entry.is_some_and(|entry| matches!(entry.node.value, Value::Table(_))) {
            let issued = self.section(section, "identity_cert", "identity_cert = { … }")?;
            let method = self.text(issued, "method").filter(|found| METHODS.contains(&found.value))?;
            return Some(Certificate::Issued { method: method.value.to_owned() });
        }
        self.required(section, "identity_cert").map(|found| Certificate::Uri(found.value.to_owned()))
    }

    pub(super) fn check_library(&mut self, at: usize, uri: &str, has_library: bool) {
        if uri.starts_with("pkcs11:") && !has_library {
            self.found(at, Problem::Pkcs11WithoutLibrary);
        }
    }
}
