//! The TPM attestation of an individual enrollment, in code and as JSON.

use serde_json::{Map, Value, json};

use super::public_key::TpmPublicKey;

/// The TPM that an individual enrollment accepts (Azure REST reference, `TpmAttestation`).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TpmAttestation {
    /// The endorsement key, which tells one TPM from another.
    pub endorsement_key: TpmPublicKey,
    /// The storage root key, used where a device does not send its own. It changes when a TPM is cleared.
    pub storage_root_key: Option<TpmPublicKey>,
}

const ENDORSEMENT_KEY: &str = "endorsementKey";
const STORAGE_ROOT_KEY: &str = "storageRootKey";

impl TpmAttestation {
    /// The attestation of the TPM with this endorsement key.
    #[must_use]
    pub fn new(endorsement_key: TpmPublicKey) -> Self {
        Self { endorsement_key, storage_root_key: None }
    }

    /// Reads the member `tpm` of an attestation.
    pub(crate) fn read(value: &Value) -> Result<Self, String> {
        let members = value.as_object().ok_or("'attestation.tpm' is missing, or not an object")?;
        let key = |name: &str| read_key(members, name).map_err(|error| format!("'attestation.tpm.{name}' {error}"));
        let endorsement_key = key(ENDORSEMENT_KEY)?.ok_or("'attestation.tpm.endorsementKey' is missing")?;
        Ok(Self { endorsement_key, storage_root_key: key(STORAGE_ROOT_KEY)? })
    }

    /// The member `tpm` of an attestation.
    pub(crate) fn to_json(&self) -> Value {
        let mut members = json!({ ENDORSEMENT_KEY: self.endorsement_key.base64() });
        if let Some(key) = &self.storage_root_key {
            members[STORAGE_ROOT_KEY] = key.base64().into();
        }
        members
    }
}

/// The keys in the member `tpm` of a device's request: the endorsement key, and the storage root key if there is one.
pub(super) fn read_device_keys(members: &Map<String, Value>) -> Result<(TpmPublicKey, Option<TpmPublicKey>), String> {
    let key = |name: &str| read_key(members, name).map_err(|error| format!("'tpm.{name}' {error}"));
    let endorsement_key = key(ENDORSEMENT_KEY)?.ok_or("'tpm.endorsementKey' is missing")?;
    Ok((endorsement_key, key(STORAGE_ROOT_KEY)?))
}

fn read_key(members: &Map<String, Value>, name: &str) -> Result<Option<TpmPublicKey>, String> {
    match members.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) => {
            TpmPublicKey::from_base64(text).map(Some).map_err(|error| format!("is invalid: {error}"))
        }
        Some(_) => Err("must be a string".into()),
    }
}
