//! How devices prove who they are, as an enrollment says it: in code and as JSON, and what is allowed in it.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::credentials::SymmetricKey;
use crate::ids::Random;
use crate::tpm::TpmAttestation;
use crate::wire::Problem;
use crate::x509::{Certificate, X509Attestation};

/// The kinds of enrollments, whose attestations differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holder {
    Individual,
    Group,
}

/// How devices prove who they are: by one of two keys, by a certificate, or by a TPM. Missing keys are generated when the
/// enrollment is put, unless it has certificates or a TPM.
#[derive(Debug, Clone, Default)]
pub struct Attestation {
    /// The primary key.
    pub primary: Option<SymmetricKey>,
    /// The secondary key, for changing keys without an interruption.
    pub secondary: Option<SymmetricKey>,
    /// The certificates, instead of keys.
    pub x509: Option<X509Attestation>,
    /// The TPM of an individual enrollment, instead of keys and certificates.
    pub tpm: Option<TpmAttestation>,
}

impl Attestation {
    pub(crate) fn set_certificate(&mut self, holder: Holder, certificate: Certificate) {
        self.x509 = Some(X509Attestation::with_primary(self.x509.take(), holder, certificate));
    }

    pub(crate) fn set_secondary_certificate(&mut self, holder: Holder, certificate: Certificate) {
        self.x509 = Some(X509Attestation::with_secondary(self.x509.take(), holder, certificate));
    }

    /// The same without keys, as GET returns it.
    pub(crate) fn forget_keys(&mut self) {
        (self.primary, self.secondary) = (None, None);
    }

    /// Checks what is required of an attestation in this kind of enrollment.
    pub(crate) fn check(&self, holder: Holder) -> Result<(), Problem> {
        match (&self.x509, &self.tpm) {
            (Some(_), Some(_)) => Err(Problem::bad_request("An attestation has certificates or a TPM, not both.")),
            (None, Some(_)) if holder == Holder::Group => Err(Problem::bad_request(
                "'attestation.type' tpm belongs to individual enrollments; a group has symmetricKey or x509.",
            )),
            (Some(x509), None) => {
                x509.check(holder).map_err(|error| Problem::bad_request(format!("'attestation.x509': {error}.")))
            }
            (None, _) => Ok(()),
        }
    }

    /// Fills in missing keys: those of the enrollment that is replaced, since GET hides the keys and a later PUT then
    /// lacks them; otherwise new ones.
    pub(crate) fn complete(&mut self, replaced: Option<&Self>, random: &mut Random) {
        if !self.is_by_keys() {
            return self.forget_keys();
        }
        let old = replaced.cloned().unwrap_or_default();
        self.primary = self.primary.take().or(old.primary).or_else(|| Some(random.key()));
        self.secondary = self.secondary.take().or(old.secondary).or_else(|| Some(random.key()));
    }

    /// Whether devices have symmetric keys.
    pub(crate) fn is_by_keys(&self) -> bool {
        self.x509.is_none() && self.tpm.is_none()
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &SymmetricKey> {
        self.primary.iter().chain(&self.secondary)
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Out<'a> {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    symmetric_key: Option<Keys<&'a SymmetricKey>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    x509: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tpm: Option<Value>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Keys<K> {
    #[serde(skip_serializing_if = "Option::is_none")]
    primary_key: Option<K>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secondary_key: Option<K>,
}

impl Serialize for Attestation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let keys = Keys { primary_key: self.primary.as_ref(), secondary_key: self.secondary.as_ref() };
        let any = self.keys().next().is_some();
        let x509 = self.x509.as_ref().map(X509Attestation::to_json);
        let tpm = self.tpm.as_ref().map(TpmAttestation::to_json);
        let r#type = match (&x509, &tpm) {
            (Some(_), _) => "x509",
            (None, Some(_)) => "tpm",
            (None, None) => "symmetricKey",
        };
        Out { r#type, symmetric_key: any.then_some(keys), x509, tpm }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Attestation {
    /// Member by member, so that no error can quote a key.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        read(&value).map_err(serde::de::Error::custom)
    }
}

fn read(value: &Value) -> Result<Attestation, String> {
    let kind = value.get("type").and_then(Value::as_str).ok_or("'attestation.type' is missing")?;
    let member = |name: &str| value.get(name).unwrap_or(&Value::Null);
    match kind.to_ascii_lowercase().as_str() {
        "x509" => Ok(Attestation { x509: Some(X509Attestation::read(member("x509"))?), ..Attestation::default() }),
        "tpm" => Ok(Attestation { tpm: Some(TpmAttestation::read(member("tpm"))?), ..Attestation::default() }),
        "symmetrickey" => read_keys(member("symmetricKey")),
        "none" => Err("the attestation type 'none' is not modelled by this emulator".into()),
        _ => Err("'attestation.type' must be symmetricKey, tpm, x509 or none".into()),
    }
}

fn read_keys(value: &Value) -> Result<Attestation, String> {
    match value {
        Value::Null => Ok(Attestation::default()),
        Value::Object(keys) => Ok(Attestation {
            primary: read_key(keys.get("primaryKey"))?,
            secondary: read_key(keys.get("secondaryKey"))?,
            ..Attestation::default()
        }),
        _ => Err("'attestation.symmetricKey' must be an object".into()),
    }
}

fn read_key(value: Option<&Value>) -> Result<Option<SymmetricKey>, String> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) => SymmetricKey::from_base64(text).map(Some).map_err(|error| error.to_string()),
        Some(_) => Err("a key of 'attestation.symmetricKey' must be a string".into()),
    }
}
