//! Manual provisioning: a connection string, or its parts one by one.

use dps_core::Key;

use super::Reader;
use super::key::key_length;
use super::placeholder::is_placeholder;
use super::section::{Found, Section};
use crate::finding::Problem;
use crate::model::{KeySource, Manual, ManualCredential};
use crate::version::Format;

impl Reader<'_> {
    pub(super) fn manual(&mut self, section: Section<'_>, has_library: bool) -> Option<Manual> {
        let name = if self.format == Format::Toml { "connection_string" } else { "device_connection_string" };
        if section.get(name).is_some() {
            let found = self.text(section, name)?;
            return self.connection_string(found);
        }
        if section.get("authentication").is_none() {
            self.found(section.at, Problem::Missing { key: name, table: section.label });
            return None;
        }
        let label = self.label("[provisioning.authentication]", "`authentication:` in `provisioning:`");
        let authentication = self.section(section, "authentication", label)?;
        // 1.1 has hub and device beside the credential, later versions one level up.
        let place = if self.format == Format::Toml { section } else { authentication };
        let hub = self.required(place, "iothub_hostname");
        let device_id = self.required(place, "device_id");
        let credential = self.manual_credential(authentication, has_library);
        Some(Manual { hub: hub?.value.to_owned(), device_id: device_id?.value.to_owned(), credential: credential? })
    }

    fn manual_credential(&mut self, section: Section<'_>, has_library: bool) -> Option<ManualCredential> {
        const METHODS_TOML: &[&str] = &["sas", "x509"];
        const METHODS_YAML: &[&str] = &["x509"];
        let methods = if self.format == Format::Toml { METHODS_TOML } else { METHODS_YAML };
        match self.word(section, "method", methods)? {
            "sas" => self.symmetric_key(section, "device_id_pk", has_library).map(ManualCredential::Key),
            _ => self.x509(section, has_library).map(ManualCredential::X509),
        }
    }

    /// As the daemons read it: names are compared as they are, blanks included, and of two of one name the last counts.
    fn connection_string(&mut self, found: Found<&str>) -> Option<Manual> {
        let Found { at, value } = found;
        let part = |name: &str| {
            let parts = value.split(';').filter_map(|part| part.split_once('='));
            parts.filter(|(key, _)| *key == name).last().map(|(_, value)| value).filter(|value| !value.is_empty())
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
