//! Manual provisioning: a connection string, or its parts one by one.

use dps_core::Key;

use super::Reader;
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

    fn connection_string(&mut self, Found { at, value }: Found<&str>) -> Option<Manual> {
        let part = |name: &str| {
            let mut parts = value.split(';').filter_map(|part| part.split_once('='));
            parts.find(|(key, _)| key.trim() == name).map(|(_, value)| value).filter(|value| !value.is_empty())
        };
        let key = part("SharedAccessKey").and_then(|key| Key::from_base64(key).ok());
        let manual = match (part("HostName"), part("DeviceId"), key) {
            (Some(hub), Some(device_id), Some(key)) => Some(Manual {
                hub: hub.to_owned(),
                device_id: device_id.to_owned(),
                credential: ManualCredential::Key(KeySource::Inline(key)),
            }),
            _ => None,
        };
        if manual.is_none() {
            self.found(at, Problem::BadConnectionString);
        }
        manual
    }
}
