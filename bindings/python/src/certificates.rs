//! Certificates for tests: authorities, intermediate certificates and devices, generated in memory and soon expired.

use std::path::Path;
use std::time::{Duration, SystemTime};

use dps_files::{Ownership, PrivateFile};
use pyo3::exceptions::{PyOSError, PyRuntimeError};
use pyo3::prelude::*;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use zeroize::Zeroizing;

use crate::argument::{self, refused};
use crate::errors::exception;
use crate::options::Given;
use crate::secret::{Secret, not_pickled};
use crate::x509::X509;

const DAY: Duration = Duration::from_secs(24 * 3600);
/// How long an authority is valid, and a device at most.
const LONGEST: Duration = Duration::from_secs(90 * 24 * 3600);

/// A certification authority for tests, with its key in memory.
///
/// It is valid for 90 days. Make it known to an emulator by Emulator.add_ca_certificate, and enroll its devices by
/// Emulator.enroll_group.
///
/// >>> line = CertificateAuthority("Root").intermediate("Line 7")
/// >>> line.device("press-7")
/// DeviceCertificate(common_name='press-7', certificates=3)
#[pyclass(frozen, module = "dps_client.emulator")]
pub(crate) struct CertificateAuthority {
    issuer: Issuer<'static, KeyPair>,
    /// Its own certificate and those above it, as PEM.
    chain: Vec<String>,
    common_name: String,
}

#[pymethods]
impl CertificateAuthority {
    /// Returns a root with this common name.
    #[new]
    fn new(common_name: &Bound<'_, PyAny>) -> PyResult<Self> {
        Self::below(None, common_name)
    }

    /// Returns an authority whose certificate this one issues.
    fn intermediate(&self, common_name: &Bound<'_, PyAny>) -> PyResult<Self> {
        Self::below(Some(self), common_name)
    }

    /// Issues the certificate of a device, with a new key.
    ///
    /// valid_for is in seconds or a timedelta, 30 days by default and 90 at most. curve is that of the key.
    #[pyo3(signature = (common_name, *, valid_for = None, curve = "P-256"))]
    fn device(&self, common_name: &Bound<'_, PyAny>, valid_for: Given<'_>, curve: &str) -> PyResult<DeviceCertificate> {
        DeviceCertificate::below(Some(self), common_name, valid_for, curve)
    }

    /// The common name of the certificate.
    #[getter]
    fn common_name(&self) -> &str {
        &self.common_name
    }

    /// Its own certificate as PEM, for an enrollment group or as a CA certificate of the service.
    #[getter]
    fn certificate_pem(&self) -> &str {
        self.chain.first().map_or("", String::as_str)
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(not_pickled("a CertificateAuthority", "give other processes the certificates of its devices"))
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("CertificateAuthority(common_name={})", self.common_name.as_str().into_pyobject(py)?.repr()?))
    }
}

impl CertificateAuthority {
    fn below(above: Option<&Self>, common_name: &Bound<'_, PyAny>) -> PyResult<Self> {
        let common_name = argument::text("common_name", common_name)?;
        let mut params = params(&common_name, LONGEST);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().map_err(failed)?;
        let chain = issue(&params, &key, above)?;
        Ok(Self { issuer: Issuer::new(params, key), chain, common_name })
    }
}

/// The certificate of a device for tests, with its key and the certificates above it.
#[pyclass(frozen, module = "dps_client.emulator")]
pub(crate) struct DeviceCertificate {
    common_name: String,
    /// Its own certificate and those above it, as PEM.
    chain: Vec<String>,
    key: Zeroizing<String>,
}

#[pymethods]
impl DeviceCertificate {
    /// Returns a self-signed certificate, for an individual enrollment.
    ///
    /// valid_for is in seconds or a timedelta, 30 days by default and 90 at most. curve is that of the key.
    #[staticmethod]
    #[pyo3(signature = (common_name, *, valid_for = None, curve = "P-256"))]
    fn self_signed(common_name: &Bound<'_, PyAny>, valid_for: Given<'_>, curve: &str) -> PyResult<Self> {
        Self::below(None, common_name, valid_for, curve)
    }

    /// The common name, which is the registration id of the device.
    #[getter]
    fn common_name(&self) -> &str {
        &self.common_name
    }

    /// The device's certificate as PEM, without those above it.
    #[getter]
    fn certificate_pem(&self) -> &str {
        self.chain.first().map_or("", String::as_str)
    }

    /// The device's certificate and those above it, up to the root, as PEM.
    #[getter]
    fn chain_pem(&self) -> String {
        self.chain.concat()
    }

    /// The private key as PEM (PKCS#8).
    #[getter]
    fn key_pem(&self) -> Secret {
        self.key.as_str().into()
    }

    /// The credential for a client of this package, with the whole chain.
    #[getter]
    fn attestation(&self, py: Python<'_>) -> PyResult<X509> {
        let read = dps_client::X509::from_pem(self.chain.concat().as_bytes(), self.key.as_bytes());
        read.map(X509::from).map_err(|error| exception(py, &error, None))
    }

    /// Writes the chain to certificate.pem and the key to key.pem in a directory; returns both paths.
    ///
    /// The key can be read only by the user.
    fn write(&self, directory: &Bound<'_, PyAny>) -> PyResult<(String, String)> {
        let directory = argument::path("directory", directory)?;
        let certificate = write(&directory.join("certificate.pem"), &self.chain.concat(), Ownership::Public)?;
        Ok((certificate, write(&directory.join("key.pem"), &self.key, Ownership::Private)?))
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(not_pickled("a DeviceCertificate", "give other processes the files that write() creates"))
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let name = self.common_name.as_str().into_pyobject(py)?.repr()?;
        Ok(format!("DeviceCertificate(common_name={name}, certificates={})", self.chain.len()))
    }
}

impl DeviceCertificate {
    fn below(
        above: Option<&CertificateAuthority>,
        common_name: &Bound<'_, PyAny>,
        valid_for: Given<'_>,
        curve: &str,
    ) -> PyResult<Self> {
        let common_name = argument::text("common_name", common_name)?;
        let given = valid_for.map(|given| argument::duration_above_zero("valid_for", &given)).transpose()?;
        let valid_for = given.unwrap_or(30 * DAY);
        if valid_for > LONGEST {
            return Err(refused("valid_for", "must be at most 90 days"));
        }
        let algorithm = match curve {
            "P-256" => &rcgen::PKCS_ECDSA_P256_SHA256,
            "P-384" => &rcgen::PKCS_ECDSA_P384_SHA384,
            other => return Err(refused("curve", format!("must be 'P-256' or 'P-384', not '{other}'"))),
        };
        let mut params = params(&common_name, valid_for);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate_for(algorithm).map_err(failed)?;
        let chain = issue(&params, &key, above)?;
        Ok(Self { common_name, chain, key: key.serialize_pem().into() })
    }
}

/// Backdated, for devices whose clock is slightly behind.
fn params(common_name: &str, valid_for: Duration) -> CertificateParams {
    let now = SystemTime::now();
    let mut params = CertificateParams::default();
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, common_name);
    (params.not_before, params.not_after) = ((now - DAY).into(), (now + valid_for).into());
    params.use_authority_key_identifier_extension = true;
    params
}

/// Returns the certificate and those above it.
fn issue(params: &CertificateParams, key: &KeyPair, above: Option<&CertificateAuthority>) -> PyResult<Vec<String>> {
    let certificate = match above {
        Some(above) => params.signed_by(key, &above.issuer),
        None => params.self_signed(key),
    };
    let mut chain = vec![certificate.map_err(failed)?.pem()];
    chain.extend(above.iter().flat_map(|above| above.chain.iter().cloned()));
    Ok(chain)
}

fn failed(error: rcgen::Error) -> PyErr {
    PyRuntimeError::new_err(format!("the certificate cannot be generated: {error}"))
}

fn write(path: &Path, text: &str, ownership: Ownership) -> PyResult<String> {
    let written = PrivateFile::new(path).replace(text.as_bytes(), ownership);
    written.map_err(|error| PyOSError::new_err(error.to_string()))?;
    Ok(path.display().to_string())
}
