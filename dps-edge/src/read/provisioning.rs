//! The section `provisioning`, manual provisioning, and the keys beside them.

use dps_core::{Endpoint, IdScope, Key};
use dps_files::SecretString;

use super::Reader;
use super::attestation::key_length;
use super::section::{Located, Section, is_placeholder};
use crate::model::{
    Dps, KeySource, Manual, ManualCredential, Pkcs11Library, Provisioning, Reprovisioning, Source, Tpm,
};
use crate::policy::Mode;
use crate::problem::Problem;
use crate::schema;
use crate::tree::{Entries, Value, find, find_null_too};
use crate::uri::{Location, Pkcs11Uri, file_path};
use crate::version::{EdgeVersion, Format};

/// From this version on the daemons refuse shorter timeouts.
const LEAST_TIMEOUT_SINCE: EdgeVersion = EdgeVersion::new(4, 9);
/// From this version on `parent_hostname` has a second name.
const PARENT_HAS_ALIAS: EdgeVersion = EdgeVersion::new(4, 16);
const LEAST_TIMEOUT_S: u64 = 70;

impl Reader<'_> {
    pub(super) fn provisioning(&mut self, entries: &Entries) -> Option<Provisioning> {
        let root = Section { entries, at: 0, label: schema::root(self.format).label };
        if self.format == Format::Toml {
            self.daemons(root);
        }
        let section = self.provisioning_section(root)?;
        let pkcs11_library = self.pkcs11_library(root);
        let source = self.source(section, pkcs11_library.is_some());
        if self.format == Format::Yaml {
            self.not_null(root, "hostname", "a quoted string");
        }
        let provisioning = Provisioning {
            format: self.format,
            hostname: self.owned(root, "hostname"),
            parent_hostname: self.parent(root, source.as_ref()),
            reprovisioning: self.reprovisioning(root, section, source.as_ref()),
            cloud_timeout_s: self.cloud_timeout(root),
            cloud_retries: self.number(root, "cloud_retries").map(|found| found.value),
            trust_bundle: self.trust_bundle(root),
            pkcs11_library,
            tpm: self.tpm(root),
            source: source?,
        };
        Some(provisioning)
    }

    fn provisioning_section<'e>(&mut self, root: Section<'e>) -> Option<Section<'e>> {
        if find(root.entries, "provisioning").is_none() {
            // A key that is too deep was reported already.
            if !self.found.iter().any(|(_, problem)| *problem == Problem::IndentedSection) {
                self.report(0, Problem::Missing { key: "provisioning", table: "the file" });
            }
            return None;
        }
        self.section(root, "provisioning", self.label("[provisioning]", "`provisioning:`"))
    }

    pub(super) fn label(&self, toml: &'static str, yaml: &'static str) -> &'static str {
        if self.format == Format::Toml { toml } else { yaml }
    }

    fn source(&mut self, section: Section<'_>, has_library: bool) -> Option<Source> {
        const WORDS_YAML: &[&str] = &["dps", "manual", "external"];
        const WORDS_TOML: &[&str] = &["dps", "manual", "none"];
        let words = if self.format == Format::Yaml { WORDS_YAML } else { WORDS_TOML };
        let source = match self.default_source(section) {
            Some(source) => source,
            None => self.word(section, "source", words)?,
        };
        let at = section.get("source").map_or(section.at, |entry| entry.node.span.start);
        match source {
            "dps" => self.dps(section, has_library).map(Source::Dps),
            "manual" => self.manual(section, has_library).map(Source::Manual),
            "external" => {
                self.report(at, Problem::NotHandled { source: "external" });
                let endpoint = self.required(section, "endpoint").map(|found| found.value.to_owned());
                Some(Source::External { endpoint })
            }
            _ => {
                self.report(at, Problem::NotHandled { source: "none" });
                Some(Source::None)
            }
        }
    }

    /// 1.1 uses `manual` if the source is missing.
    fn default_source(&mut self, section: Section<'_>) -> Option<&'static str> {
        let is_manual = ["device_connection_string", "authentication"].iter().any(|name| section.get(name).is_some());
        if self.format == Format::Toml || section.get("source").is_some() || !is_manual {
            return None;
        }
        self.not_null(section, "source", "a quoted string");
        self.report(section.at, Problem::DefaultSource);
        Some("manual")
    }

    fn dps(&mut self, section: Section<'_>, has_library: bool) -> Option<Dps> {
        for name in ["connection_string", "device_connection_string", "authentication"] {
            if let Some(manual) = section.get(name) {
                self.report(manual.at, Problem::Ignored { when: "if the source is dps" });
            }
        }
        let global_endpoint = self.endpoint(section);
        let id_scope = self.id_scope(section);
        let payload = self.payload(section);
        let attestation = self.attestation(section, has_library);
        Some(Dps { global_endpoint, id_scope: id_scope?, payload, attestation: attestation? })
    }

    fn endpoint(&mut self, section: Section<'_>) -> Option<String> {
        let Located { at, value } = self.required(section, "global_endpoint")?;
        let is_https = value.get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://"));
        if !is_https {
            self.report(at, Problem::NotHttps);
        }
        match Endpoint::new(value) {
            Ok(_) => Some(value.to_owned()),
            Err(problem) => {
                if is_https {
                    self.report(at, Problem::BadValue(problem));
                }
                None
            }
        }
    }

    fn id_scope(&mut self, section: Section<'_>) -> Option<String> {
        let name = if self.format == Format::Toml { "id_scope" } else { "scope_id" };
        let Located { at, value } = self.required(section, name)?;
        match IdScope::new(value) {
            Ok(scope) => {
                if !is_shaped_like_a_scope(value) {
                    self.report(at, Problem::UnusualScope);
                }
                Some(scope.as_str().to_owned())
            }
            Err(problem) => {
                self.report(at, Problem::BadValue(problem));
                None
            }
        }
    }

    fn payload(&mut self, section: Section<'_>) -> Option<std::path::PathBuf> {
        let payload = self.section(section, "payload", "payload = { … } of [provisioning]")?;
        let Located { at, value } = self.text(payload, "uri")?;
        let path = file_path(value);
        if path.is_none() {
            self.report(at, Problem::BadUri { wanted: "a file URI, such as file:///etc/aziot/payload.json" });
        }
        path
    }

    fn parent(&mut self, root: Section<'_>, source: Option<&Source>) -> Option<String> {
        let alias = root.get("local_gateway_hostname").filter(|_| self.version >= PARENT_HAS_ALIAS);
        let name = match (root.get("parent_hostname"), alias) {
            (Some(_), Some(alias)) => {
                self.report(alias.at, Problem::SameSetting { other: "parent_hostname" });
                "parent_hostname"
            }
            (None, Some(_)) => "local_gateway_hostname",
            _ => "parent_hostname",
        };
        let parent = self.text(root, name)?;
        if self.format == Format::Toml && matches!(source, Some(Source::Dps(_))) {
            self.report(parent.at, Problem::DpsBehindParent);
        }
        Some(parent.value.to_owned())
    }

    fn reprovisioning(&mut self, root: Section<'_>, section: Section<'_>, source: Option<&Source>) -> Reprovisioning {
        if self.format == Format::Yaml {
            self.not_null(section, "dynamic_reprovisioning", "true or false");
            return Reprovisioning::Flags {
                always_on_startup: self.boolean(section, "always_reprovision_on_startup"),
                dynamic: self.boolean(section, "dynamic_reprovisioning"),
            };
        }
        let Some(Located { at, value }) = self.text(root, "auto_reprovisioning_mode") else {
            return Reprovisioning::Mode(None);
        };
        if matches!(source, Some(Source::Manual(_))) {
            self.report(at, Problem::ModeIgnored);
        }
        Reprovisioning::Mode(self.one_of(at, value, Mode::NAMES).and_then(Mode::parse))
    }

    fn cloud_timeout(&mut self, root: Section<'_>) -> Option<u64> {
        let Located { at, value } = self.number(root, "cloud_timeout_sec")?;
        let least = if self.version >= LEAST_TIMEOUT_SINCE { LEAST_TIMEOUT_S } else { 1 };
        if value < least {
            self.report(at, Problem::TimeoutTooShort { least, version: self.version });
        }
        Some(value)
    }

    fn trust_bundle(&mut self, root: Section<'_>) -> Option<String> {
        if self.format == Format::Toml {
            return self.owned(root, "trust_bundle_cert");
        }
        let certificates = self.section(root, "certificates", "`certificates:`")?;
        let files = ["device_ca_cert", "device_ca_pk", "trusted_ca_certs"].map(|name| certificates.get(name));
        if files.iter().any(Option::is_none) {
            if let Some(given) = files.into_iter().flatten().min_by_key(|entry| entry.at) {
                self.report(given.at, Problem::IncompleteCertificates);
            }
            return None;
        }
        self.owned(certificates, "trusted_ca_certs")
    }

    fn pkcs11_library(&mut self, root: Section<'_>) -> Option<Pkcs11Library> {
        if self.format == Format::Yaml || root.get("aziot_keys").is_none() {
            return None;
        }
        let keys = self.section(root, "aziot_keys", "[aziot_keys]")?;
        let slot = self.text(keys, "pkcs11_base_slot");
        let base_slot = slot.and_then(|Located { at, value }| {
            let problem = Location::Token.check(value);
            self.found.extend(problem.map(|problem| (at, problem)));
            Pkcs11Uri::parse(value)
        });
        Some(Pkcs11Library { path: self.owned(keys, "pkcs11_lib_path")?, base_slot })
    }

    fn tpm(&mut self, root: Section<'_>) -> Option<Tpm> {
        if self.format == Format::Yaml || root.get("tpm").is_none() {
            return None;
        }
        let tpm = self.section(root, "tpm", "[tpm]")?;
        let hierarchies = self.section(tpm, "hierarchy_authorization", "[tpm.hierarchy_authorization]");
        let mut secret = |name| Some(SecretString::from(self.text(hierarchies?, name)?.value));
        let (endorsement, owner) = (secret("endorsement"), secret("owner"));
        Some(Tpm {
            tcti: self.owned(tpm, "tcti"),
            auth_key_index: self.number(tpm, "auth_key_index").map(|found| found.value),
            endorsement,
            owner,
        })
    }

    /// 1.1 accepts null for keys without a default; for these it would replace the default.
    fn not_null(&mut self, section: Section<'_>, name: &str, wanted: &'static str) {
        if let Some(null) = find_null_too(section.entries, name).filter(|entry| entry.node.value == Value::Null) {
            self.report(null.node.span.start, Problem::WrongType { wanted });
        }
    }

    fn owned(&mut self, section: Section<'_>, name: &str) -> Option<String> {
        self.text(section, name).map(|found| found.value.to_owned())
    }
}

/// The service generates `0ne` and eight letters and digits, in older ones a few less or more (Azure IoT DPS,
/// "Terminology").
fn is_shaped_like_a_scope(text: &str) -> bool {
    let own = text.get(3..).filter(|_| text[..3].eq_ignore_ascii_case("0ne"));
    own.is_some_and(|own| (6..=10).contains(&own.len()) && own.bytes().all(|b| b.is_ascii_alphanumeric()))
}

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
            self.report(section.at, Problem::Missing { key, table: section.label });
            return None;
        }
        let authentication = self.section(section, "authentication", label)?;
        if self.format == Format::Yaml && method_is(authentication, "device_connection_string") {
            let found = self.required(authentication, "device_connection_string")?;
            return self.connection_string(found);
        }
        // 1.1 has hub and device beside the credential, later versions one level up.
        let parent = if self.format == Format::Toml { section } else { authentication };
        let hub = self.required(parent, "iothub_hostname");
        let device_id = self.required(parent, "device_id");
        let credential = self.manual_credential(authentication, has_library);
        Some(Manual { hub: hub?.value.to_owned(), device_id: device_id?.value.to_owned(), credential: credential? })
    }

    /// What is ignored or refused because of a connection string.
    fn beside_connection_string(&mut self, section: Section<'_>) {
        for name in ["authentication", "attestation", "iothub_hostname", "device_id"] {
            let Some(entry) = section.get(name) else { continue };
            match (self.format, name) {
                (Format::Yaml, "authentication") => {
                    self.report(entry.at, Problem::RefusedBeside { other: "a connection string" });
                }
                (Format::Toml, _) | (Format::Yaml, "attestation") => {
                    self.report(entry.at, Problem::Ignored { when: "beside a connection string" });
                }
                // The schema has reported where they belong.
                (Format::Yaml, _) => {}
            }
        }
    }

    /// Reports the table of the credential if a part of it is elsewhere: its names are those of the attestation too.
    /// Returns whether the file shows that no connection string was meant.
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
                Some(_) => self.report(attestation.at, Problem::Ignored { when: "if the source is manual" }),
                None => strays.push(attestation.at),
            }
        }
        for at in &strays {
            self.found.retain(|(there, problem)| there != at || !matches!(problem, Problem::Misplaced { .. }));
            self.report(*at, Problem::Misplaced { belongs });
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

    /// Parses it as the daemons do: names are compared as they are, including spaces, and the last of two with the same
    /// name is used.
    fn connection_string(&mut self, found: Located<&str>) -> Option<Manual> {
        let Located { at, value } = found;
        let part = |name: &str| {
            let mut parts = value.split(';').filter_map(|part| part.split_once('='));
            parts.rfind(|(key, _)| *key == name).map(|(_, value)| value).filter(|value| !value.is_empty())
        };
        let (Some(hub), Some(device_id), Some(text)) = (part("HostName"), part("DeviceId"), part("SharedAccessKey"))
        else {
            self.report(at, Problem::BadConnectionString);
            return None;
        };
        let parts = [("iothub_hostname", hub), ("device_id", device_id), ("value", text)];
        if parts.into_iter().any(|(name, part)| is_placeholder(name, part)) {
            self.report(at, Problem::Placeholder);
            return None;
        }
        let key = match (Key::from_base64(text), key_length(text)) {
            (Ok(key), _) => KeySource::Inline(key),
            (Err(_), Some(length)) => self.key_of_unusual_length(Located { at, value: text }, length),
            (Err(_), None) => {
                self.report(at, Problem::BadConnectionString);
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
