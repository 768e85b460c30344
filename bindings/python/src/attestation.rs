//! The keys that a device proves itself with, as Python objects that never show them.

use std::path::PathBuf;

use dps_client::DpsError;
use dps_client::core::credentials::GroupDeriver;
use dps_client::core::{ConfigError, Key};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use zeroize::Zeroizing;

use crate::errors::{configuration, exception};
use crate::ids::registration_id;
use crate::secret::{Secret, SecretArgument, type_name};
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
    fn new(py: Python<'_>, key: SecretArgument) -> PyResult<Self> {
        read(py, &key).map(Self)
    }

    /// Takes 16 to 64 raw bytes, as IoT Edge keeps keys in files.
    #[staticmethod]
    fn from_bytes(py: Python<'_>, raw: &[u8]) -> PyResult<Self> {
        Key::from_bytes(raw).map(Self).map_err(|error| configuration(py, error))
    }

    /// Reads a file of base64 text; a line break after it does no harm.
    #[staticmethod]
    fn from_file(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        from_file(py, path).map(Self)
    }

    /// HMAC-SHA256 of a message under this key, 32 bytes: what a Signer returns.
    fn sign<'py>(&self, py: Python<'py>, message: &[u8]) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.0.sign(message).expose())
    }

    /// The key as base64.
    fn to_base64(&self) -> Secret {
        to_base64(&self.0)
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
    fn new(py: Python<'_>, key: SecretArgument) -> PyResult<Self> {
        read(py, &key).map(Self::of)
    }

    /// Takes 16 to 64 raw bytes.
    #[staticmethod]
    fn from_bytes(py: Python<'_>, raw: &[u8]) -> PyResult<Self> {
        Key::from_bytes(raw).map(Self::of).map_err(|error| configuration(py, error))
    }

    /// Reads a file of base64 text; a line break after it does no harm.
    #[staticmethod]
    fn from_file(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        from_file(py, path).map(Self::of)
    }

    /// The key of one device of the group. The registration id is used exactly as it is spelled.
    fn derive(&self, py: Python<'_>, registration_id: &str) -> PyResult<SymmetricKey> {
        Ok(SymmetricKey(self.deriver.derive(self::registration_id(py, registration_id)?)))
    }

    fn __repr__(&self) -> String {
        format!("GroupKey({} bytes)", self.key.length())
    }
}

fn read(py: Python<'_>, text: &str) -> PyResult<Key> {
    Key::from_base64(text.trim()).map_err(|error| configuration(py, error))
}

/// A group's key as a function takes it: the object, or its text.
pub(crate) fn group_key(py: Python<'_>, given: &Bound<'_, PyAny>) -> PyResult<Py<GroupKey>> {
    if let Ok(key) = given.cast::<GroupKey>() {
        return Ok(key.clone().unbind());
    }
    Py::new(py, GroupKey::of(read(py, &given.extract::<SecretArgument>()?)?))
}

fn from_file(py: Python<'_>, path: PathBuf) -> PyResult<Key> {
    let read = || {
        let key = dps_client::SymmetricKey::from_file(path)?.to_base64();
        Ok::<_, DpsError>(Key::from_base64(key.expose())?)
    };
    py.detach(read).map_err(|error| exception(py, &error, None))
}

fn to_base64(key: &Key) -> Secret {
    let mut buffer = Zeroizing::new([0; dps_client::core::secret::KEY_TEXT_MAX]);
    // The buffer holds the longest key there is.
    key.write_base64(buffer.as_mut_slice()).unwrap_or_default().into()
}

/// What a client proves itself with.
pub(crate) enum Attestation<'py> {
    Key(Bound<'py, SymmetricKey>),
    Group(Bound<'py, GroupKey>),
    Signer(Bound<'py, Signer>),
}

impl<'a, 'py> FromPyObject<'a, 'py> for Attestation<'py> {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(key) = object.cast::<SymmetricKey>() {
            return Ok(Self::Key(key.to_owned()));
        }
        if let Ok(group) = object.cast::<GroupKey>() {
            return Ok(Self::Group(group.to_owned()));
        }
        if let Ok(signer) = object.cast::<Signer>() {
            return Ok(Self::Signer(signer.to_owned()));
        }
        Err(PyTypeError::new_err(format!(
            "attestation is a SymmetricKey, a GroupKey or a Signer, not {}; a key's text goes into SymmetricKey(text)",
            type_name(&object)
        )))
    }
}

impl Attestation<'_> {
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
