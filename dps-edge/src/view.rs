//! The model as JSON, for people and for comparing. Keys are shown only on demand.

use serde_json::{Map, Value, json};

use crate::model::{
    Attestation, Certificate, Dps, KeySource, Manual, ManualCredential, Provisioning, Reprovisioning, Source,
    X509Identity,
};
use crate::secret::{Secret, looks_secret};
use crate::uri::Pkcs11Uri;

/// Whether keys, PINs and passwords are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// Only that they are there, and how long.
    Hidden,
    /// As they are. What comes out is as secret as they are.
    Shown,
}

impl Provisioning {
    /// The model as a JSON object, with what is written down and nothing else.
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
            let secret = |secret: &Option<Secret>| secret.as_ref().map(|secret| hidden(secret, keys));
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

/// Hides secrets that were pasted where none belongs.
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
            Keys::Shown => json!({ "kind": "inline", "value": Secret::of_key(key).expose() }),
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
        // What is no URI may be the key itself.
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

fn hidden(secret: &Secret, keys: Keys) -> Value {
    match keys {
        Keys::Hidden => json!("(hidden)"),
        Keys::Shown => json!(secret.expose()),
    }
}

fn opt(text: &Option<String>) -> Option<Value> {
    text.as_ref().map(|text| json!(text))
}

/// An object of the members that are there.
fn object<const N: usize>(members: [(&str, Option<Value>); N]) -> Value {
    let there = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(there.collect::<Map<_, _>>())
}
