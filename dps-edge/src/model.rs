//! The provisioning part of a configuration: one model for both generations.
//!
//! Only reading creates it. Keys in it are wiped when dropped and not shown by `Debug`.

use std::path::PathBuf;

use dps_core::Key;
use dps_core::limits::KEY_TEXT_MAX;
use dps_files::SecretString;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use crate::policy::{Mode, Policy};
use crate::uri::Pkcs11Uri;
use crate::version::Format;

/// The provisioning part of a configuration. `Debug` shows the same as [`Provisioning::to_json`] without keys.
#[non_exhaustive]
pub struct Provisioning {
    /// The format that it was read from.
    pub format: Format,
    /// The gateway's host name, for its downstream devices.
    pub hostname: Option<String>,
    /// The parent gateway.
    pub parent_hostname: Option<String>,
    /// How the device gets its hub.
    pub source: Source,
    /// When it registers again.
    pub reprovisioning: Reprovisioning,
    /// The timeout of a request to the cloud, in seconds.
    pub cloud_timeout_s: Option<u64>,
    /// How often such a request is repeated.
    pub cloud_retries: Option<u64>,
    /// Certificate authorities that modules trust. They are not used for the connection to the provisioning service.
    pub trust_bundle: Option<String>,
    /// The library for keys in PKCS#11 tokens.
    pub pkcs11_library: Option<Pkcs11Library>,
    /// Settings of the TPM.
    pub tpm: Option<Tpm>,
}

impl Provisioning {
    /// When the device registers again, with the defaults of its generation.
    #[must_use]
    pub fn policy(&self) -> Policy {
        match self.reprovisioning {
            Reprovisioning::Flags { always_on_startup, dynamic } => {
                Policy::V1_1 { always_on_startup: always_on_startup.unwrap_or(true), dynamic: dynamic.unwrap_or(false) }
            }
            Reprovisioning::Mode(mode) => Policy::V1_2(mode.unwrap_or_default()),
        }
    }

    /// The settings for the provisioning service; `None` for other sources.
    #[must_use]
    pub fn dps(&self) -> Option<&Dps> {
        match &self.source {
            Source::Dps(dps) => Some(dps),
            _ => None,
        }
    }
}

/// Also hides secrets that are in the wrong place.
impl std::fmt::Debug for Provisioning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Provisioning({})", self.to_json(Keys::Hidden))
    }
}

/// How a device gets its hub.
#[derive(Debug)]
#[non_exhaustive]
pub enum Source {
    /// By the Device Provisioning Service.
    Dps(Dps),
    /// The configuration names the hub.
    Manual(Manual),
    /// 1.1: from a service of the owner's. Not supported here.
    External {
        /// The service's endpoint.
        endpoint: Option<String>,
    },
    /// 1.2 and later: the device has no hub. Not supported here.
    None,
}

/// The settings of a device for the Device Provisioning Service.
#[derive(Debug)]
#[non_exhaustive]
pub struct Dps {
    /// The service's endpoint, with `https://`.
    pub global_endpoint: Option<String>,
    /// The id scope.
    pub id_scope: String,
    /// A file with a JSON object that is sent with each registration; read for each of them.
    pub payload: Option<PathBuf>,
    /// How the device authenticates.
    pub attestation: Attestation,
}

/// How a device authenticates to the provisioning service.
#[derive(Debug)]
#[non_exhaustive]
pub enum Attestation {
    /// With a symmetric key.
    SymmetricKey {
        /// The registration id.
        registration_id: String,
        /// The device's own key, derived from a group's or an individual enrollment's.
        key: KeySource,
    },
    /// With a certificate.
    X509 {
        /// The registration id; the certificate's common name if it is missing.
        registration_id: Option<String>,
        /// The certificate and its key.
        identity: X509Identity,
    },
    /// With a TPM.
    Tpm {
        /// The registration id.
        registration_id: String,
    },
}

impl Attestation {
    /// The registration id, if the configuration has one.
    #[must_use]
    pub fn registration_id(&self) -> Option<&str> {
        match self {
            Self::SymmetricKey { registration_id, .. } | Self::Tpm { registration_id } => Some(registration_id),
            Self::X509 { registration_id, .. } => registration_id.as_deref(),
        }
    }
}

/// The source of a symmetric key.
#[derive(Debug)]
#[non_exhaustive]
pub enum KeySource {
    /// The key is in the configuration.
    Inline(Key),
    /// The key is in the configuration, and its length is not valid for an enrollment. The daemons accept it for a
    /// device of a hub.
    UnusualLength {
        /// Its length in bytes.
        length: usize,
        /// The key in base64.
        text: SecretString,
    },
    /// The key is in a file, as raw bytes.
    File(PathBuf),
    /// The key is in a PKCS#11 token.
    Pkcs11(Pkcs11Uri),
}

/// A certificate and the source of its key.
#[derive(Debug)]
#[non_exhaustive]
pub struct X509Identity {
    /// The certificate.
    pub certificate: Option<Certificate>,
    /// A `file:` or `pkcs11:` URI; not needed for a certificate that is issued on the device.
    pub key: Option<SecretString>,
}

/// A certificate, or how it is issued.
#[derive(Debug)]
#[non_exhaustive]
pub enum Certificate {
    /// A URI or path.
    Uri(String),
    /// Issued on the device when needed: `est`, `local_ca` or `self_signed`.
    Issued {
        /// The method.
        method: String,
    },
}

/// A hub that the configuration names.
#[derive(Debug)]
#[non_exhaustive]
pub struct Manual {
    /// The hub's host name.
    pub hub: String,
    /// The device id.
    pub device_id: String,
    /// The key or certificate.
    pub credential: ManualCredential,
}

/// The credential of a manually provisioned device.
#[derive(Debug)]
#[non_exhaustive]
pub enum ManualCredential {
    /// A symmetric key.
    Key(KeySource),
    /// A certificate.
    X509(X509Identity),
}

/// When a device registers again, as configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reprovisioning {
    /// The flags of 1.1.
    Flags {
        /// `always_reprovision_on_startup`; true for 1.1 if it is missing.
        always_on_startup: Option<bool>,
        /// `dynamic_reprovisioning`; false for 1.1 if it is missing.
        dynamic: Option<bool>,
    },
    /// `auto_reprovisioning_mode` of 1.2 and later; `Dynamic` if it is missing.
    Mode(Option<Mode>),
}

/// The library of PKCS#11 tokens.
#[derive(Debug)]
#[non_exhaustive]
pub struct Pkcs11Library {
    /// The library's path.
    pub path: String,
    /// The URI of the slot in which the daemons create keys.
    pub base_slot: Option<Pkcs11Uri>,
}

/// Settings of a TPM.
#[derive(Debug)]
#[non_exhaustive]
pub struct Tpm {
    /// How the TPM is accessed.
    pub tcti: Option<String>,
    /// The index of the authentication key, which the daemons add to 0x81000000; 0x100 if it is missing.
    pub auth_key_index: Option<u64>,
    /// The password of the endorsement hierarchy.
    pub endorsement: Option<SecretString>,
    /// The password of the owner hierarchy.
    pub owner: Option<SecretString>,
}

/// Whether keys, PINs and passwords are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// Only that they exist, and their length.
    Hidden,
    /// As they are. The output is then as secret as they are.
    Shown,
}

impl Provisioning {
    /// The model as a JSON object, with only what is configured.
    #[must_use]
    pub fn to_json(&self, keys: Keys) -> Value {
        let source = match &self.source {
            Source::Dps(dps) => ("dps", dps_json(dps, keys)),
            Source::Manual(manual) => ("manual", manual_json(manual, keys)),
            Source::External { endpoint } => ("external", object([("endpoint", opt(endpoint))])),
            Source::None => ("none", json!({})),
        };
        let library = self.pkcs11_library.as_ref().map(|library| {
            let slot = library.base_slot.as_ref().map(|slot| pkcs11(slot, keys));
            object([("path", Some(json!(library.path))), ("baseSlot", slot)])
        });
        let tpm = self.tpm.as_ref().map(|tpm| {
            let secret = |secret: &Option<SecretString>| secret.as_ref().map(|secret| hidden(secret, keys));
            object([
                ("tcti", opt(&tpm.tcti)),
                ("authKeyIndex", tpm.auth_key_index.map(Value::from)),
                ("endorsement", secret(&tpm.endorsement)),
                ("owner", secret(&tpm.owner)),
            ])
        });
        let view = object([
            ("file", Some(json!(self.format.file_name()))),
            ("hostname", opt(&self.hostname)),
            ("parentHostname", opt(&self.parent_hostname)),
            ("source", Some(json!(source.0))),
            (source.0, Some(source.1)),
            ("reprovisioning", Some(reprovisioning(self.reprovisioning))),
            ("cloudTimeoutSec", self.cloud_timeout_s.map(Value::from)),
            ("cloudRetries", self.cloud_retries.map(Value::from)),
            ("trustBundle", opt(&self.trust_bundle)),
            ("pkcs11Library", library),
            ("tpm", tpm),
        ]);
        if keys == Keys::Hidden { without_strays(view) } else { view }
    }
}

/// Hides secrets that were pasted into the wrong place.
fn without_strays(value: Value) -> Value {
    match value {
        Value::String(text) if looks_secret(&text) => json!("(hidden: it looks like a secret)"),
        Value::Object(members) => members.into_iter().map(|(name, value)| (name, without_strays(value))).collect(),
        other => other,
    }
}

fn dps_json(dps: &Dps, keys: Keys) -> Value {
    let attestation = match &dps.attestation {
        Attestation::SymmetricKey { registration_id, key } => {
            json!({ "method": "symmetric_key", "registrationId": registration_id, "key": key_json(key, keys) })
        }
        Attestation::X509 { registration_id, identity } => object([
            ("method", Some(json!("x509"))),
            ("registrationId", opt(registration_id)),
            ("identity", Some(identity_json(identity, keys))),
        ]),
        Attestation::Tpm { registration_id } => json!({ "method": "tpm", "registrationId": registration_id }),
    };
    object([
        ("globalEndpoint", opt(&dps.global_endpoint)),
        ("idScope", Some(json!(dps.id_scope))),
        ("payload", dps.payload.as_ref().map(|path| json!(path))),
        ("attestation", Some(attestation)),
    ])
}

fn manual_json(manual: &Manual, keys: Keys) -> Value {
    let credential = match &manual.credential {
        ManualCredential::Key(key) => ("key", key_json(key, keys)),
        ManualCredential::X509(identity) => ("identity", identity_json(identity, keys)),
    };
    let (hub, device_id) = (json!(manual.hub), json!(manual.device_id));
    object([("hub", Some(hub)), ("deviceId", Some(device_id)), (credential.0, Some(credential.1))])
}

fn key_json(key: &KeySource, keys: Keys) -> Value {
    match key {
        KeySource::Inline(key) => match keys {
            Keys::Hidden => json!({ "kind": "inline", "bytes": key.length() }),
            Keys::Shown => json!({ "kind": "inline", "value": key_text(key).expose() }),
        },
        KeySource::UnusualLength { length, text } => match keys {
            Keys::Hidden => json!({ "kind": "inline", "bytes": length }),
            Keys::Shown => json!({ "kind": "inline", "value": text.expose() }),
        },
        KeySource::File(path) => json!({ "kind": "file", "path": path }),
        KeySource::Pkcs11(uri) => json!({ "kind": "pkcs11", "uri": pkcs11(uri, keys) }),
    }
}

fn identity_json(identity: &X509Identity, keys: Keys) -> Value {
    let certificate = identity.certificate.as_ref().map(|certificate| match certificate {
        Certificate::Uri(uri) => json!(uri),
        Certificate::Issued { method } => json!({ "method": method }),
    });
    let key = identity.key.as_ref().map(|uri| match Pkcs11Uri::parse(uri.expose()) {
        Some(uri) => pkcs11(&uri, keys),
        // What is not a URI may be the key itself.
        None if is_location(uri.expose()) || keys == Keys::Shown => json!(uri.expose()),
        None => json!("(hidden)"),
    });
    object([("certificate", certificate), ("key", key)])
}

fn is_location(text: &str) -> bool {
    text.starts_with('/') || crate::uri::file_path(text).is_some()
}

fn reprovisioning(reprovisioning: Reprovisioning) -> Value {
    match reprovisioning {
        Reprovisioning::Flags { always_on_startup, dynamic } => object([
            ("alwaysReprovisionOnStartup", always_on_startup.map(Value::from)),
            ("dynamicReprovisioning", dynamic.map(Value::from)),
        ]),
        Reprovisioning::Mode(mode) => object([("mode", mode.map(|mode| json!(mode.name())))]),
    }
}

fn pkcs11(uri: &Pkcs11Uri, keys: Keys) -> Value {
    match keys {
        Keys::Hidden => json!(uri.to_string()),
        Keys::Shown => json!(uri.expose()),
    }
}

fn hidden(secret: &SecretString, keys: Keys) -> Value {
    match keys {
        Keys::Hidden => json!("(hidden)"),
        Keys::Shown => json!(secret.expose()),
    }
}

fn opt(text: &Option<String>) -> Option<Value> {
    text.as_ref().map(|text| json!(text))
}

/// An object of the members that have a value.
fn object<const N: usize>(members: [(&str, Option<Value>); N]) -> Value {
    let there = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(there.collect::<Map<_, _>>())
}

/// Returns the key as base64.
pub(crate) fn key_text(key: &Key) -> SecretString {
    let mut buffer = Zeroizing::new([0; KEY_TEXT_MAX]);
    // The buffer holds the longest key.
    key.write_base64(buffer.as_mut_slice()).unwrap_or_default().into()
}

/// Whether a value that should not be a secret seems to be one: a secret that was pasted into the wrong place must not
/// be shown.
fn looks_secret(text: &str) -> bool {
    // Ids derived from a TPM's key are base64 digits too, but only lower-case letters and digits.
    const SHORTEST: usize = 40;
    let marks = |c: char| c.is_ascii_uppercase() || "+/=".contains(c);
    let is_key = text.len() >= SHORTEST && text.contains(marks) && Key::from_base64(text.trim()).is_ok();
    is_key || text.contains("SharedAccess") || text.contains("PRIVATE KEY") || text.contains("pin-value")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_secret_recognizes_keys_and_ignores_ids() {
        for text in [
            "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=",
            "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc",
            "HostName=hub-a.test;DeviceId=a;SharedAccessKey=x",
            "-----BEGIN PRIVATE KEY-----",
        ] {
            assert!(looks_secret(text), "{text}");
        }
        for text in [
            "sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6",
            "6lzzcdalf2fna265ao6qh7vaey6fu2kz3barg3susmytx47ku2ua",
            "https://global.azure-devices-provisioning.net",
            "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
        ] {
            assert!(!looks_secret(text), "{text}");
        }
    }
}
