//! A device's certificate with its private key, as a Python object that never shows the key.

use dps_client::{DpsError, Passphrase, SecretString};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};
use zeroize::Zeroizing;

use crate::argument;
use crate::errors::exception;
use crate::options::Given;
use crate::pkcs11::Pkcs11Key;
use crate::secret::{Secret, not_pickled, secret_argument};

/// A device's X.509 certificate with its private key, and the intermediate certificates above it.
///
/// An enrollment group requires every intermediate up to a certificate that is verified at the service; an individual
/// enrollment requires only the device's own certificate. The key is EC P-256, EC P-384, or RSA with 2048 to 4096 bits.
/// The private key does not appear in repr or in a traceback, and an X509 cannot be pickled.
#[pyclass(frozen, module = "dps_client")]
pub(crate) struct X509(dps_client::X509);

impl From<dps_client::X509> for X509 {
    fn from(device: dps_client::X509) -> Self {
        Self(device)
    }
}

impl X509 {
    pub(crate) fn device(&self) -> &dps_client::X509 {
        &self.0
    }
}

#[pymethods]
impl X509 {
    /// Reads a file of certificates, the device's own first, and a file of its private key.
    ///
    /// Certificates are PEM or DER; the key is PKCS#8, SEC1 or PKCS#1, as PEM or DER. key_file can be left out if the
    /// first file contains the key too. passphrase, or the content of passphrase_file, is that of an encrypted key.
    ///
    /// Raises ConfigurationError if something cannot be used, and a FileError if a file cannot be read.
    #[staticmethod]
    #[pyo3(signature = (certificate_file, key_file = None, *, passphrase = None, passphrase_file = None))]
    fn from_files(
        certificate_file: &Bound<'_, PyAny>,
        key_file: Given<'_>,
        passphrase: Given<'_>,
        passphrase_file: Given<'_>,
    ) -> PyResult<Self> {
        let certificates = argument::path("certificate_file", certificate_file)?;
        let key = key_file.map(|given| argument::path("key_file", &given)).transpose()?;
        let passphrase = passphrase.map(|given| self::passphrase(&given)).transpose()?;
        let passphrase_file = passphrase_file.map(|given| argument::path("passphrase_file", &given)).transpose()?;
        if passphrase.is_some() && passphrase_file.is_some() {
            return Err(PyValueError::new_err("passphrase and passphrase_file are both set: set only one of them"));
        }
        let key = key.as_ref().unwrap_or(&certificates);
        read(certificate_file.py(), || {
            match passphrase
                .map_or_else(|| passphrase_file.map(Passphrase::from_file).transpose(), |it| Ok(Some(it)))?
            {
                Some(passphrase) => dps_client::X509::from_encrypted_files(&certificates, key, &passphrase),
                None => dps_client::X509::from_files(&certificates, key),
            }
        })
    }

    /// Returns the certificates, the device's own first, with the private key, from PEM; DER is accepted too.
    ///
    /// passphrase is that of an encrypted key (PKCS#8). Raises ConfigurationError if something cannot be used.
    #[staticmethod]
    #[pyo3(signature = (certificate, key, *, passphrase = None))]
    fn from_pem(certificate: &Bound<'_, PyAny>, key: &Bound<'_, PyAny>, passphrase: Given<'_>) -> PyResult<Self> {
        let certificates = content("certificate", certificate)?;
        let key = content("key", key)?;
        let passphrase = passphrase.map(|given| self::passphrase(&given)).transpose()?;
        read(certificate.py(), || match passphrase {
            Some(passphrase) => dps_client::X509::from_encrypted_pem(&certificates, &key, &passphrase),
            None => dps_client::X509::from_pem(&certificates, &key),
        })
    }

    /// Reads a file of certificates, the device's own first, whose private key is in a PKCS#11 token.
    ///
    /// It opens the token and compares the key with the certificate, which can take 30 seconds; Ctrl-C is handled
    /// afterwards. Raises DpsError if the token or the key cannot be used.
    #[staticmethod]
    fn from_pkcs11(certificate_file: &Bound<'_, PyAny>, key: &Bound<'_, PyAny>) -> PyResult<Self> {
        let certificates = argument::path("certificate_file", certificate_file)?;
        let key = key.cast::<Pkcs11Key>().map_err(|_| argument::wrong_type("key", "a Pkcs11Key", key))?.get().key();
        read(certificate_file.py(), || {
            dps_client::X509::from_pkcs11(dps_client::CertificateChain::from_file(&certificates)?, key)
        })
    }

    /// The common name of the device's certificate, which is its registration id; None if it has none.
    #[getter]
    fn common_name(&self) -> Option<String> {
        self.0.common_name()
    }

    /// The certificates as DER, the device's own first.
    #[getter]
    fn certificates<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, PyBytes>> {
        self.0.chain().iter().map(|der| PyBytes::new(py, der)).collect()
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(not_pickled("an X509", "give other processes the paths of its files"))
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let name = self.0.common_name().into_pyobject(py)?.repr()?;
        Ok(format!("X509(common_name={name}, certificates={})", self.0.chain().len()))
    }
}

/// Reads files or derives a key from a passphrase, which can take long, without the interpreter.
fn read(py: Python<'_>, read: impl FnOnce() -> Result<dps_client::X509, DpsError> + Send) -> PyResult<X509> {
    py.detach(read).map(X509).map_err(|error| exception(py, &error, None))
}

fn passphrase(given: &Bound<'_, PyAny>) -> PyResult<Passphrase> {
    Ok(Passphrase::new(SecretString::from(secret_argument("passphrase", given)?.as_str())))
}

/// Converts str, bytes or a `Secret`.
pub(crate) fn content(name: &str, given: &Bound<'_, PyAny>) -> PyResult<Zeroizing<Vec<u8>>> {
    if let Ok(bytes) = given.cast::<PyBytes>() {
        return Ok(Zeroizing::new(bytes.as_bytes().to_vec()));
    }
    if !given.is_instance_of::<PyString>() && !given.is_instance_of::<Secret>() {
        return Err(argument::wrong_type(name, "str, bytes or a Secret", given));
    }
    Ok(Zeroizing::new(secret_argument(name, given)?.as_bytes().to_vec()))
}
