//! How the device authenticates to the provisioning service: symmetric keys inline, in a file or in a token,
//! certificates, TPMs; and common mistakes in their place.

use dps_core::{ConfigError, Key, KeyProblem, RegistrationId};
use dps_files::SecretString;

use super::Reader;
use super::section::{Located, Section};
use crate::model::{Attestation, Certificate, KeySource, X509Identity};
use crate::problem::Problem;
use crate::tree::Value;
use crate::uri::{FILE_BEFORE_PATH, Location, Pkcs11Uri, file_path, file_url_path};
use crate::version::Format;

const FILE_URL: &str = "the URI of a file, such as file:///var/secrets/device-id.pem";
const METHODS: &[&str] = &["symmetric_key", "x509", "tpm"];

impl Reader<'_> {
    pub(super) fn attestation(&mut self, section: Section<'_>, has_library: bool) -> Option<Attestation> {
        if section.get("attestation").is_none() {
            return self.legacy_attestation(section);
        }
        let label = self.label("[provisioning.attestation]", "`attestation:` in `provisioning:`");
        let attestation = self.section(section, "attestation", label)?;
        if let Some(stray) = section.get("registration_id").filter(|_| self.format == Format::Yaml) {
            self.report(stray.at, Problem::RefusedBeside { other: "`attestation`, where it belongs" });
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

    /// Before 1.1 a registration id beside the scope meant attestation with a TPM.
    fn legacy_attestation(&mut self, section: Section<'_>) -> Option<Attestation> {
        if self.format == Format::Yaml && section.get("registration_id").is_some() {
            return Some(Attestation::Tpm { registration_id: self.registration_id(section, true)? });
        }
        self.report(section.at, Problem::Missing { key: "attestation", table: section.label });
        None
    }

    fn registration_id(&mut self, section: Section<'_>, required: bool) -> Option<String> {
        let found = match required {
            true => self.required(section, "registration_id"),
            false => self.text(section, "registration_id"),
        };
        let Located { at, value } = found?;
        match RegistrationId::new(value) {
            Ok(id) => {
                if id.has_upper_case() {
                    self.report(at, Problem::UpperCaseId);
                }
                Some(value.to_owned())
            }
            Err(problem) => {
                self.report(at, Problem::BadValue(problem));
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
            self.report(section.at, Problem::Missing { key: "identity_pk", table: section.label });
        }
        if let Some(Located { at, value }) = key {
            self.check_library(at, value, has_library);
        }
        Some(X509Identity { certificate: Some(certificate?), key: key.map(|key| SecretString::from(key.value)) })
    }

    /// Both are required, as file URLs.
    fn x509_of_1_1(&mut self, section: Section<'_>) -> Option<X509Identity> {
        let certificate = self.required(section, "identity_cert");
        let key = self.required(section, "identity_pk");
        for found in [certificate, key].into_iter().flatten() {
            if file_url_path(found.value).is_none() {
                let wanted = if found.value.starts_with('/') { FILE_BEFORE_PATH } else { FILE_URL };
                self.report(found.at, Problem::BadUri { wanted });
            }
        }
        let certificate = Some(Certificate::Uri(certificate?.value.to_owned()));
        Some(X509Identity { certificate, key: Some(SecretString::from(key?.value)) })
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

    fn check_library(&mut self, at: usize, uri: &str, has_library: bool) {
        if uri.starts_with("pkcs11:") && !has_library {
            self.report(at, Problem::Pkcs11WithoutLibrary);
        }
    }
}

impl Reader<'_> {
    /// 1.1 has base64 text; 1.2 and later have a table with `value` or `uri`. A bare string in TOML is read too.
    pub(super) fn symmetric_key(
        &mut self,
        section: Section<'_>,
        name: &'static str,
        has_library: bool,
    ) -> Option<KeySource> {
        let is_table = section.get(name).is_some_and(|entry| matches!(entry.node.value, Value::Table(_)));
        if let Some(entry) = section.get(name).filter(|_| is_table && self.format == Format::Yaml) {
            let here = "the key itself: symmetric_key: \"…\"";
            self.report(entry.at, Problem::OtherGeneration { of: Format::Toml, here });
            self.report(entry.at, Problem::WrongType { wanted: "a quoted string" });
            return None;
        }
        if !is_table {
            let text = section.get(name).filter(|entry| entry.node.value.as_text().is_some());
            if let Some(entry) = text.filter(|_| self.format == Format::Toml) {
                self.report(entry.node.span.start, Problem::BareKey);
            }
            let bare = self.required(section, name)?;
            let is_uri = ["file:", "pkcs11:"].iter().any(|scheme| bare.value.starts_with(scheme));
            return match self.format == Format::Toml && is_uri {
                true => self.key_uri(bare, has_library),
                false => self.inline_key(bare),
            };
        }
        let table = self.section(section, name, "the table of the key")?;
        let (value, uri) = (table.get("value"), table.get("uri"));
        if let (Some(_), Some(uri)) = (value, uri) {
            self.report(uri.at, Problem::ValueAndUri);
        }
        // The daemons use `value` if it is base64, of any length.
        let is_base64 = value.and_then(|value| value.node.value.as_text()).is_some_and(is_base64);
        if uri.is_some() && !is_base64 {
            let uri = self.text(table, "uri")?;
            return self.key_uri(uri, has_library);
        }
        let value = self.required(table, "value")?;
        match key_length(value.value).filter(|_| name == "device_id_pk") {
            Some(length) => Some(self.key_of_unusual_length(value, length)),
            None => self.inline_key(value),
        }
    }

    /// A device of a hub can have such a key, and the daemons accept it. An enrollment cannot.
    pub(super) fn key_of_unusual_length(&mut self, Located { at, value }: Located<&str>, length: usize) -> KeySource {
        self.report(at, Problem::KeyLength { length });
        KeySource::UnusualLength { length, text: SecretString::from(value) }
    }

    pub(super) fn inline_key(&mut self, Located { at, value }: Located<&str>) -> Option<KeySource> {
        match Key::from_base64(value) {
            Ok(key) => Some(KeySource::Inline(key)),
            Err(ConfigError::Key(problem)) => {
                self.report(at, Problem::NotAKey(problem));
                None
            }
            Err(problem) => {
                self.report(at, Problem::BadValue(problem));
                None
            }
        }
    }

    fn key_uri(&mut self, Located { at, value }: Located<&str>, has_library: bool) -> Option<KeySource> {
        // A common mistake is a key in place of its URI.
        let problem = match Key::from_base64(value) {
            Ok(_) => Some(Problem::BadUri { wanted: "a URI; a key in base64 goes into `value`" }),
            Err(_) => Location::Key.check(value),
        };
        self.found.extend(problem.map(|problem| (at, problem)));
        if matches!(problem, Some(Problem::BadUri { .. })) {
            return None;
        }
        if let Some(uri) = Pkcs11Uri::parse(value) {
            self.check_library(at, value, has_library);
            return Some(KeySource::Pkcs11(uri));
        }
        let path = file_path(value)?;
        self.key_file = Some((path.clone(), at));
        Some(KeySource::File(path))
    }
}

fn is_base64(text: &str) -> bool {
    Key::from_base64(text).is_ok() || key_length(text).is_some()
}

/// The length in bytes of a base64 key that is not valid for an enrollment.
pub(super) fn key_length(text: &str) -> Option<usize> {
    match Key::from_base64(text) {
        Err(ConfigError::Key(KeyProblem::Length { length })) => Some(length),
        _ => None,
    }
}
