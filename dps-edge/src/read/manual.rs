//! Manual provisioning: a connection string, or its parts one by one.

use dps_core::Key;

use super::Reader;
use super::key::key_length;
use super::placeholder::is_placeholder;
use super::section::{Found, Section};
use crate::model::{KeySource, Manual, ManualCredential};
use crate::problem::Problem;
use crate::version::Format;

impl Reader<'_> {
    pub(super) fn manual(&mut self, section: Section<'_>, has_library: bool) -> Option<Manual> {
        let name = if self.format == Format::Toml { "connection_string" } else { "device_connection_string" };
        if section.get(name).is_some() {
            self.beside_connection_string(section);
            let found = self.text(section, name)?;
            return self.connection_string(found);
        }
        let label = self.label("[provisioning.authentication]", "`authentication:` in `provisioning:`");
        let has_strays = self.strays(section, label);
        if section.get("authentication").is_none() {
            let key = if has_strays { "authentication" } else { name };
            self.found(section.at, Problem::Missing { key, table: section.label });
            return None;
        }
        let authentication = self.section(section, "authentication", label)?;
        if self.format == Format::Yaml && method_is(authentication, "device_connection_string") {
            let found = self.required(authentication, "device_connection_string")?;
            return self.connection_string(found);
        }
        // 1.1 has hub and device beside the credential, later versions one level up.
        let place = if self.format == Format::Toml { section } else { authentication };
        let hub = self.required(place, "iothub_hostname");
        let device_id = self.required(place, "device_id");
        let credential = self.manual_credential(authentication, has_library);
        Some(Manual { hub: hub?.value.to_owned(), device_id: device_id?.value.to_owned(), credential: credential? })
    }

    /// What is ignored, or refused, because there is a connection string.
    fn beside_connection_string(&mut self, section: Section<'_>) {
        for name in ["authentication", "attestation", "iothub_hostname", "device_id"] {
            let Some(entry) = section.get(name) else { continue };
            match (self.format, name) {
                (Format::Yaml, "authentication") => {
                    self.found(entry.at, Problem::RefusedBeside { other: "a connection string" });
                }
                (Format::Toml, _) | (Format::Yaml, "attestation") => {
                    self.found(entry.at, Problem::Ignored { when: "beside a connection string" });
                }
                // The schema has told where they belong.
                (Format::Yaml, _) => {}
            }
        }
    }

    /// Names the table of the credential where a part of it stands elsewhere: its names are those of the attestation too.
    /// Whether there is a sign that no connection string was meant.
    fn strays(&mut self, section: Section<'_>, belongs: &'static str) -> bool {
        const CREDENTIAL: [&str; 4] = ["method", "identity_cert", "identity_pk", "device_id_pk"];
        const DEVICE: [&str; 2] = ["iothub_hostname", "device_id"];
        let is_yaml = self.format == Format::Yaml;
        let mut strays: Vec<usize> =
            CREDENTIAL.iter().filter_map(|name| section.get(name)).map(|entry| entry.at).collect();
        let device: Vec<usize> = DEVICE.iter().filter_map(|name| section.get(name)).map(|entry| entry.at).collect();
        let has_device = !device.is_empty();
        strays.extend(device.into_iter().filter(|_| is_yaml));
        if let Some(attestation) = section.get("attestation") {
            match section.get("authentication") {
                Some(_) => self.found(attestation.at, Problem::Ignored { when: "where the source is manual" }),
                None => strays.push(attestation.at),
            }
        }
        for at in &strays {
            self.found.retain(|(there, problem)| there != at || !matches!(problem, Problem::Misplaced { .. }));
            self.found(*at, Problem::Misplaced { belongs });
        }
        !strays.is_empty() || has_device
    }

    fn manual_credential(&mut self, section: Section<'_>, has_library: bool) -> Option<ManualCredential> {
        const METHODS_TOML: &[&str] = &["sas", "x509"];
        const METHODS_YAML: &[&str] = &["x509", "device_connection_string"];
        let methods = if self.format == Format::Toml { METHODS_TOML } else { METHODS_YAML };
        match self.word(section, "method", methods)? {
            "sas" => self.symmetric_key(section, "device_id_pk", has_library).map(ManualCredential::Key),
            _ => self.x509(section, has_library).map(ManualCredential::X509),
        }
    }

    /// As the daemons read it: names are compared as they are, spaces included, and the last of two with the same name counts.
    fn connection_string(&mut self, found: Found<&str>) -> Option<Manual> {
        let Found { at, value } = found;
        let part = |name: &str| {
            let mut parts = value.split(';').filter_map(|part| part.split_once('='));
            parts.rfind(|(key, _)| *key == name).map(|(_, value)| value).filter(|value| !value.is_empty())
        };
        let (Some(hub), Some(device_id), Some(text)) = (part("HostName"), part("DeviceId"), part("SharedAccessKey"))
        else {
            self.found(at, Problem::BadConnectionString);
            return None;
        };
        let parts = [("iothub_hostname", hub), ("device_id", device_id), ("value", text)];
        if parts.into_iter().any(|(name, part)| is_placeholder(name, part)) {
            self.found(at, Problem::Placeholder);
            return None;
        }
        let key = match (Key::from_base64(text), key_length(text)) {
            (Ok(key), _) => KeySource::Inline(key),
            (Err(_), Some(length)) => self.key_of_unusual_length(Found { at, value: text }, length),
            (Err(_), None) => {
                self.found(at, Problem::BadConnectionString);
                return None;
            }
        };
        let credential = ManualCredential::Key(key);
        Some(Manual { hub: hub.to_owned(), device_id: device_id.to_owned(), credential })
    }
}

fn method_is(section: Section<'_>, method: &str) -> bool {
    section.get("method").and_then(|entry| entry.node.value.as_text()) == Some(method)
}
