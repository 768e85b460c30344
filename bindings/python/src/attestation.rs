//! The keys with which a device authenticates, as Python objects that never show them; and the credentials of a client.

use dps_client::GroupDeriver;
use dps_client::dps_core::{ConfigError, Key};
use dps_client::{DeviceCredential, DpsError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use zeroize::Zeroizing;

use crate::argument;
use crate::errors::{check, exception};
use crate::ids::registration_id;
use crate::issued::IssuedIdentity;
use crate::pkcs11::Pkcs11Key;
use crate::secret::{Secret, not_pickled, secret_argument};
use crate::signer::Signer;
use crate::tpm::Tpm;
use crate::x509::X509;

/// A device's own key: of an individual enrollment, or derived from a group key. Base64 of 16 to 64 bytes.
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

    /// Returns the key of 16 to 64 raw bytes, the format of IoT Edge's key files.
    #[staticmethod]
    fn from_bytes(raw: &Bound<'_, PyAny>) -> PyResult<Self> {
        check(raw.py(), "raw", Key::from_bytes(argument::bytes("raw", raw)?)).map(Self)
    }

    /// Reads a file that contains the key as base64; a line break at the end is allowed.
    #[staticmethod]
    fn from_file(path: &Bound<'_, PyAny>) -> PyResult<Self> {
        from_file(path).map(Self)
    }

    /// Returns the HMAC-SHA256 of a message under this key, 32 bytes, as a Signer must.
    fn sign<'py>(&self, message: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
        let signature = self.0.sign(argument::bytes("message", message)?);
        Ok(PyBytes::new(message.py(), signature.expose()))
    }

    /// Returns the key as base64.
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

/// An enrollment group's key, from which the key of each device is derived. Base64 of 16 to 64 bytes.
///
/// For factories and tests. Do not store it on a device: whoever extracts it can pretend to be any device of the group.
/// Derive the device's key elsewhere and store only that on the device.
#[pyclass(frozen, module = "dps_client")]
pub(crate) struct GroupKey {
    key: Key,
    deriver: GroupDeriver,
}

impl GroupKey {
    pub(crate) fn from_key(key: Key) -> Self {
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
        read("key", key).map(Self::from_key)
    }

    /// Returns the key of 16 to 64 raw bytes.
    #[staticmethod]
    fn from_bytes(raw: &Bound<'_, PyAny>) -> PyResult<Self> {
        check(raw.py(), "raw", Key::from_bytes(argument::bytes("raw", raw)?)).map(Self::from_key)
    }

    /// Reads a file that contains the key as base64; a line break at the end is allowed.
    #[staticmethod]
    fn from_file(path: &Bound<'_, PyAny>) -> PyResult<Self> {
        from_file(path).map(Self::from_key)
    }

    /// Returns the key of one device of the group. The registration id is used exactly as it is spelled.
    fn derive(&self, registration_id: &Bound<'_, PyAny>) -> PyResult<SymmetricKey> {
        let id = argument::text("registration_id", registration_id)?;
        Ok(SymmetricKey(self.deriver.derive(self::registration_id(registration_id.py(), &id)?)))
    }

    fn __reduce__(&self) -> PyResult<()> {
        let instead = "give other processes the device keys that it derives, or the path of its file";
        Err(not_pickled("a GroupKey derives every key of its group and", instead))
    }

    fn __repr__(&self) -> String {
        format!("GroupKey({} bytes)", self.key.length())
    }
}

fn read(name: &str, given: &Bound<'_, PyAny>) -> PyResult<Key> {
    check(given.py(), name, Key::from_base64(secret_argument(name, given)?.trim()))
}

/// Converts a group key argument: the object, or its base64.
pub(crate) fn group_key(py: Python<'_>, given: &Bound<'_, PyAny>) -> PyResult<Py<GroupKey>> {
    if let Ok(key) = given.cast::<GroupKey>() {
        return Ok(key.clone().unbind());
    }
    Py::new(py, GroupKey::from_key(read("group_key", given)?))
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

/// The credential of a client.
pub(crate) enum Attestation<'py> {
    Key(Bound<'py, SymmetricKey>),
    Group(Bound<'py, GroupKey>),
    Signer(Bound<'py, Signer>),
    Certificate(Bound<'py, X509>),
    /// `None` keeps the place of one that is issued later.
    Issued(Option<Bound<'py, IssuedIdentity>>),
    Token(Bound<'py, Pkcs11Key>),
    Tpm(Bound<'py, Tpm>),
}

impl<'py> Attestation<'py> {
    pub(crate) fn from_argument(name: &str, object: &Bound<'py, PyAny>) -> PyResult<Self> {
        if let Ok(key) = object.cast::<SymmetricKey>() {
            return Ok(Self::Key(key.clone()));
        }
        if let Ok(group) = object.cast::<GroupKey>() {
            return Ok(Self::Group(group.clone()));
        }
        if let Ok(signer) = object.cast::<Signer>() {
            return Ok(Self::Signer(signer.clone()));
        }
        if let Ok(device) = object.cast::<X509>() {
            return Ok(Self::Certificate(device.clone()));
        }
        if let Ok(identity) = object.cast::<IssuedIdentity>() {
            return Ok(Self::Issued(Some(identity.clone())));
        }
        if object.is_none() {
            return Ok(Self::Issued(None));
        }
        if let Ok(key) = object.cast::<Pkcs11Key>() {
            return Ok(Self::Token(key.clone()));
        }
        if let Ok(tpm) = object.cast::<Tpm>() {
            return Ok(Self::Tpm(tpm.clone()));
        }
        let right = "a SymmetricKey, a GroupKey, a Signer, an X509, an IssuedIdentity, a Pkcs11Key or a Tpm (wrap base64 as \
                     SymmetricKey(text))";
        Err(argument::wrong_type(name, right, object))
    }

    /// Returns the credential for the builder of a client.
    pub(crate) fn credential(&self) -> Result<DeviceCredential, ConfigError> {
        Ok(match self {
            Self::Key(key) => dps_client::SymmetricKey::from_bytes(key.get().0.expose())?.into(),
            Self::Group(group) => {
                let text = to_base64(&group.get().key);
                dps_client::GroupKey::from_base64(text.text())?.into()
            }
            Self::Signer(signer) => DeviceCredential::signer(signer.get().calling(signer.py())),
            Self::Certificate(device) => device.get().device().clone().into(),
            Self::Issued(identity) => identity.as_ref().map(|identity| identity.get().identity().clone()).into(),
            Self::Token(key) => key.get().key().clone().into(),
            Self::Tpm(tpm) => tpm.get().credential(),
        })
    }
}
