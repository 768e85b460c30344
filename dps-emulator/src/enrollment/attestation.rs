//! The attestation of an enrollment: symmetric keys, the one kind that this service verifies.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::keys::SymmetricKey;
use crate::random::Random;

/// Two keys, either of which a device may use. Absent ones are generated when the enrollment is put.
#[derive(Debug, Clone, Default)]
pub struct Attestation {
    /// The first key.
    pub primary: Option<SymmetricKey>,
    /// The second key, for changing keys without a gap.
    pub secondary: Option<SymmetricKey>,
}

impl Attestation {
    /// The same without keys, as a plain GET shows it.
    pub(crate) fn forget_keys(&mut self) {
        *self = Self::default();
    }

    /// Fills what is missing: from the enrollment that is replaced, since a GET hides the keys that a later PUT then
    /// lacks; else afresh.
    pub(crate) fn complete(&mut self, replaced: Option<&Self>, random: &mut Random) {
        let old = replaced.cloned().unwrap_or_default();
        self.primary = self.primary.take().or(old.primary).or_else(|| Some(random.key()));
        self.secondary = self.secondary.take().or(old.secondary).or_else(|| Some(random.key()));
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
        Out { r#type: "symmetricKey", symmetric_key: any.then_some(keys) }.serialize(serializer)
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
    if !kind.eq_ignore_ascii_case("symmetricKey") {
        let known = ["none", "tpm", "x509"].iter().find(|known| kind.eq_ignore_ascii_case(known));
        return Err(match known {
            Some(known) => format!("the attestation type '{known}' is not modelled by this emulator"),
            None => "'attestation.type' is none of symmetricKey, tpm, x509, none".into(),
        });
    }
    match value.get("symmetricKey") {
        None | Some(Value::Null) => Ok(Attestation::default()),
        Some(Value::Object(keys)) => Ok(Attestation {
            primary: read_key(keys.get("primaryKey"))?,
            secondary: read_key(keys.get("secondaryKey"))?,
        }),
        Some(_) => Err("'attestation.symmetricKey' must be an object".into()),
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
