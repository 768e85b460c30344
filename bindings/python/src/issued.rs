//! The key of an issued certificate, and the certificate with its key, as Python objects that never show the key.

use std::time::SystemTime;

use dps_client::{CertificateChain, DpsError, KeyAlgorithm, RegistrationId};
use pyo3::prelude::*;

use crate::argument;
use crate::errors::{check, exception};
use crate::pkcs11::Pkcs11Key;
use crate::secret::not_pickled;
use crate::x509::{X509, content};

/// The private key that a device uses with an issued certificate.
///
/// It is another key than the one that the device registers with: it is made on the device, and only a certificate
/// request for it leaves the device. It does not appear in repr or in a traceback, and cannot be pickled.
///
/// >>> OperationalKey.generate().certificate_request("dev-01")[:1]
/// b'0'
#[pyclass(frozen, module = "dps_client")]
pub(crate) struct OperationalKey(dps_client::OperationalKey);

#[pymethods]
impl OperationalKey {
    /// Makes a new key: "ec-p256", "ec-p384" or "rsa-2048".
    #[staticmethod]
    #[pyo3(signature = (algorithm = "ec-p256"))]
    fn generate(py: Python<'_>, algorithm: &str) -> PyResult<Self> {
        let algorithm = match algorithm {
            "ec-p256" => KeyAlgorithm::EcP256,
            "ec-p384" => KeyAlgorithm::EcP384,
            "rsa-2048" => KeyAlgorithm::Rsa2048,
            other => {
                let problem = format!("must be 'ec-p256', 'ec-p384' or 'rsa-2048', not {other:?}");
                return Err(argument::refused("algorithm", problem));
            }
        };
        detached(py, || dps_client::OperationalKey::generate(algorithm)).map(Self)
    }

    /// Reads a key: PKCS#8, SEC1 or PKCS#1, as PEM or DER, not encrypted.
    ///
    /// Raises ConfigurationError if it cannot be used.
    #[staticmethod]
    fn from_pem(key: &Bound<'_, PyAny>) -> PyResult<Self> {
        let text = content("key", key)?;
        detached(key.py(), || dps_client::OperationalKey::from_pem(&text)).map(Self)
    }

    /// Reads a file with a key, as from_pem does.
    ///
    /// Raises ConfigurationError if it cannot be used, and a FileError if the file cannot be read.
    #[staticmethod]
    fn from_file(path: &Bound<'_, PyAny>) -> PyResult<Self> {
        let file = argument::path("path", path)?;
        detached(path.py(), || dps_client::OperationalKey::from_file(file)).map(Self)
    }

    /// Uses a private key that is in a PKCS#11 token already: EC P-256, EC P-384, or RSA from 2048 bits.
    ///
    /// It opens the token and reads the public key, which can take 30 seconds; Ctrl-C is handled afterwards. Raises
    /// DpsError if the token or the key cannot be used.
    #[staticmethod]
    fn from_pkcs11(key: &Bound<'_, PyAny>) -> PyResult<Self> {
        let in_token = key.cast::<Pkcs11Key>().map_err(|_| argument::wrong_type("key", "a Pkcs11Key", key))?.get();
        detached(key.py(), || dps_client::OperationalKey::from_pkcs11(in_token.key())).map(Self)
    }

    /// Returns a certificate request (PKCS #10, RFC 2986) as DER, whose common name is the registration id.
    ///
    /// It is for the client's argument certificate_request, or for HubRenewal.issue. A key in a token signs it there.
    fn certificate_request(&self, registration_id: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
        let id = id(registration_id)?;
        detached(registration_id.py(), || self.0.certificate_request(&id))
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(not_pickled("an OperationalKey", "give other processes the path of its file"))
    }

    fn __repr__(&self) -> &'static str {
        "OperationalKey(..)"
    }
}

/// A key, and the certificate chain that the service issued for it.
///
/// accept() returns one, and IdentityStore.load().
#[pyclass(frozen, module = "dps_client")]
pub(crate) struct IssuedIdentity(dps_client::IssuedIdentity);

impl IssuedIdentity {
    pub(crate) fn identity(&self) -> &dps_client::IssuedIdentity {
        &self.0
    }
}

impl From<dps_client::IssuedIdentity> for IssuedIdentity {
    fn from(identity: dps_client::IssuedIdentity) -> Self {
        Self(identity)
    }
}

#[pymethods]
impl IssuedIdentity {
    /// Checks a chain that was issued, such as Assignment.issued_chain, and returns it with its key.
    ///
    /// It must be for this key and this registration id, its certificates must fit together, and they must be valid
    /// now. now is in seconds since 1970 or a datetime with a time zone; None if the time is not known, which is not
    /// checked then.
    ///
    /// Raises DpsError otherwise: its name is "client-key-mismatch", "common-name-mismatch",
    /// "client-certificate-expired" or "invalid-client-certificate". An identity that was stored before is still
    /// usable.
    #[staticmethod]
    #[pyo3(signature = (key, chain, registration_id, *, now))]
    fn accept(
        key: &Bound<'_, PyAny>,
        chain: &Bound<'_, PyAny>,
        registration_id: &Bound<'_, PyAny>,
        now: Option<Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let wrong_key = |_| argument::wrong_type("key", "an OperationalKey", key);
        let operational = key.cast::<OperationalKey>().map_err(wrong_key)?.get().0.clone();
        let id = id(registration_id)?;
        let now = now.map(|given| argument::moment("now", &given)).transpose()?;
        let chain = certificates(chain)?;
        let accept =
            || dps_client::IssuedIdentity::accept(operational, CertificateChain::from_der(chain)?, &id, now).map(Self);
        detached(key.py(), accept)
    }

    /// The certificate with its key: a credential for the argument attestation of a client, and for the hub.
    #[getter]
    fn x509(&self) -> X509 {
        self.0.x509().clone().into()
    }

    /// The certificates as DER, the device's own first.
    #[getter]
    fn chain(&self) -> Vec<Vec<u8>> {
        self.0.chain().iter().map(<[u8]>::to_vec).collect()
    }

    /// The key.
    #[getter]
    fn key(&self) -> OperationalKey {
        OperationalKey(self.0.key().clone())
    }

    /// The registration id, which is the common name of the certificate.
    #[getter]
    fn registration_id(&self) -> &str {
        self.0.registration_id().as_str()
    }

    /// The first moment of its validity, in UTC.
    #[getter]
    fn not_before(&self) -> SystemTime {
        self.0.not_before()
    }

    /// The last moment of its validity, in UTC.
    #[getter]
    fn not_after(&self) -> SystemTime {
        self.0.not_after()
    }

    /// When to renew it, in UTC: after 75 to 80 % of its life.
    ///
    /// Which moment it is follows from the certificate, so that it stays the same over restarts and differs between
    /// the devices of a fleet.
    #[getter]
    fn renew_at(&self) -> SystemTime {
        self.0.renew_at()
    }

    /// Returns what the time means for it: "notYetValid", "valid", "renewalDue" or "expired".
    ///
    /// now is in seconds since 1970 or a datetime with a time zone.
    fn state_at(&self, now: &Bound<'_, PyAny>) -> PyResult<&'static str> {
        Ok(self.0.state_at(argument::moment("now", now)?).name())
    }

    /// Returns whether it can be used: it is "valid" or "renewalDue".
    ///
    /// Otherwise the device registers with its bootstrap credential. now is as for state_at.
    fn is_valid_at(&self, now: &Bound<'_, PyAny>) -> PyResult<bool> {
        Ok(self.0.state_at(argument::moment("now", now)?).is_valid())
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(not_pickled("an IssuedIdentity", "load it from its IdentityStore in each process"))
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let until = self.0.not_after().into_pyobject(py)?.call_method0("isoformat")?;
        Ok(format!("IssuedIdentity(registration_id='{}', not_after='{until}')", self.0.registration_id()))
    }
}

fn id(given: &Bound<'_, PyAny>) -> PyResult<RegistrationId> {
    check(given.py(), "registration_id", argument::text("registration_id", given)?.parse())
}

fn certificates(chain: &Bound<'_, PyAny>) -> PyResult<Vec<Vec<u8>>> {
    let wrong = || argument::wrong_type("chain", "a list of bytes", chain);
    let certificates = chain.try_iter().map_err(|_| wrong())?;
    certificates.map(|der| argument::bytes("chain", &der?).map(<[u8]>::to_vec).map_err(|_| wrong())).collect()
}

/// Works with keys and files, which can take long, without the interpreter.
pub(crate) fn detached<T: Send>(py: Python<'_>, work: impl FnOnce() -> Result<T, DpsError> + Send) -> PyResult<T> {
    crate::logging::refresh(py)?;
    py.detach(work).map_err(|error| exception(py, &error, None))
}
