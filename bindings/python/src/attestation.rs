//! The keys that a device proves itself with, as Python objects that never show them.

use dps_client::DpsError;
use dps_client::GroupDeriver;
use dps_client::dps_core::{ConfigError, Key};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use zeroize::Zeroizing;

use crate::argument;
use crate::errors::{check, exception};
use crate::ids::registration_id;
use crate::secret::{Secret, not_pickled, secret_argument};
use crate::signer::Signer;

/// A device's own key: an individual enrollment's, or one derived from a group's. Base64 of 16 to 64 bytes.
///
/// >>> SymmetricKey("Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=")
/// SymmetricKey(32 bytes)
#[pyclass(frozen, module = "dps_client")]
pub(crate) struct SymmetricKey(Key);

#[pymethods]
impl SymmetricKey {
    #[new]
    fn new(key: &Bound<'_, PyAny>) -> PyResult<Self> {
        read("key", key).map(Self)
    }

    /// Takes 16 to 64 raw bytes, as IoT Edge keeps keys in files.
    #[staticmethod]
    fn from_bytes(raw: &Bound<'_, PyAny>) -> PyResult<Self> {
        check(raw.py(), "raw", Key::from_bytes(argument::bytes("raw", raw)?)).map(Self)
    }

    /// Reads a file of base64 text; a line break after it does no harm.
    #[staticmethod]
    fn from_file(path: &Bound<'_, PyAny>) -> PyResult<Self> {
        from_file(path).map(Self)
    }

    /// HMAC-SHA256 of a message under this key, 32 bytes: what a Signer returns.
    fn sign<'py>(&self, message: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
        let signature = self.0.sign(argument::bytes("message", message)?);
        Ok(PyBytes::new(message.py(), signature.expose()))
    }

    /// The key as base64.
    fn to_base64(&self) -> Secret {
        to_base64(&self.0)
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(not_pickled(
            "a SymmetricKey",
            "give other processes the path of its file, or to_base64().expose() on purpose",
        ))
    }

    fn __repr__(&self) -> String {
        format!("SymmetricKey({} bytes)", self.0.length())
    }
}

/// An enrollment group's key, which makes every device key of the group. Base64 of 16 to 64 bytes.
///
/// For factories and tests. On a device it lets whoever takes that device apart be every device of the group: derive
/// the device's key elsewhere and give the device only that.
#[pyclass(frozen, module = "dps_client")]
pub(crate) struct GroupKey {
    key: Key,
    deriver: GroupDeriver,
}

impl GroupKey {
    pub(crate) fn of(key: Key) -> Self {
        Self { deriver: GroupDeriver::new(&key), key }
    }

    pub(crate) fn deriver(&self) -> &GroupDeriver {
        &self.deriver
    }
}

#[pymethods]
impl GroupKey {
    #[new]
    fn new(key: &Bound<'_, PyAny>) -> PyResult<Self> {
        read("key", key).map(Self::of)
    }

    /// Takes 16 to 64 raw bytes.
    #[staticmethod]
    fn from_bytes(raw: &Bound<'_, PyAny>) -> PyResult<Self> {
        check(raw.py(), "raw", Key::from_bytes(argument::bytes("raw", raw)?)).map(Self::of)
    }

    /// Reads a file of base64 text; a line break after it does no harm.
    #[staticmethod]
    fn from_file(path: &Bound<'_, PyAny>) -> PyResult<Self> {
        from_file(path).map(Self::of)
    }

    /// The key of one device of the group. The registration id is used exactly as it is spelled.
    fn derive(&self, registration_id: &Bound<'_, PyAny>) -> PyResult<SymmetricKey> {
        let id = argument::text("registration_id", registration_id)?;
        Ok(SymmetricKey(self.deriver.derive(self::registration_id(registration_id.py(), &id)?)))
    }

    fn __reduce__(&self) -> PyResult<()> {
        let instead = "give other processes the device keys that it derives, or the path of its file";
        Err(not_pickled("a GroupKey makes every key of its group and", instead))
    }

    fn __repr__(&self) -> String {
        format!("GroupKey({} bytes)", self.key.length())
    }
}

fn read(name: &str, given: &Bound<'_, PyAny>) -> PyResult<Key> {
    check(given.py(), name, Key::from_base64(secret_argument(name, given)?.trim()))
}

/// A group's key as a function takes it: the object, or its text.
pub(crate) fn group_key(py: Python<'_>, given: &Bound<'_, PyAny>) -> PyResult<Py<GroupKey>> {
    if let Ok(key) = given.cast::<GroupKey>() {
        return Ok(key.clone().unbind());
    }
    Py::new(py, GroupKey::of(read("group_key", given)?))
}

fn from_file(path: &Bound<'_, PyAny>) -> PyResult<Key> {
    let py = path.py();
    let path = argument::path("path", path)?;
    let read = || {
        let key = dps_client::SymmetricKey::from_file(path)?.to_base64();
        Ok::<_, DpsError>(Key::from_base64(key.expose())?)
    };
    py.detach(read).map_err(|error| exception(py, &error, None))
}

fn to_base64(key: &Key) -> Secret {
    let mut buffer = Zeroizing::new([0; dps_client::dps_core::limits::KEY_TEXT_MAX]);
    // The buffer holds the longest key there is.
    key.write_base64(buffer.as_mut_slice()).unwrap_or_default().into()
}

/// What a client proves itself with.
pub(crate) enum Attestation<'py> {
    Key(Bound<'py, SymmetricKey>),
    Group(Bound<'py, GroupKey>),
    Signer(Bound<'py, Signer>),
}

impl<'py> Attestation<'py> {
    pub(crate) fn of(name: &str, object: &Bound<'py, PyAny>) -> PyResult<Self> {
        if let Ok(key) = object.cast::<SymmetricKey>() {
            return Ok(Self::Key(key.clone()));
        }
        if let Ok(group) = object.cast::<GroupKey>() {
            return Ok(Self::Group(group.clone()));
        }
        if let Ok(signer) = object.cast::<Signer>() {
            return Ok(Self::Signer(signer.clone()));
        }
        let right = "a SymmetricKey, a GroupKey or a Signer (a key's text goes into SymmetricKey(text))";
        Err(argument::wrong_type(name, right, object))
    }

    /// The builder with this credential.
    pub(crate) fn give(
        &self,
        builder: dps_client::ProvisioningClientBuilder,
    ) -> Result<dps_client::ProvisioningClientBuilder, ConfigError> {
        Ok(match self {
            Self::Key(key) => builder.symmetric_key(dps_client::SymmetricKey::from_bytes(key.get().0.expose())?),
            Self::Group(group) => {
                let text = to_base64(&group.get().key);
                builder.group_key(dps_client::GroupKey::from_base64(text.text())?)
            }
            Self::Signer(signer) => builder.signer(signer.get().calling(signer.py())),
        })
    }
}
