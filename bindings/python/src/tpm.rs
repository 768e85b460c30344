//! A TPM 2.0 as a Python object, also in builds that cannot use one.

use std::time::Duration;

use dps_client::DeviceCredential;
use pyo3::prelude::*;

use crate::argument;
use crate::errors::exception;
use crate::options::Given;
use crate::secret::not_pickled;

/// How long reading the TPM may take by default: one without an endorsement key makes it meanwhile.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A TPM 2.0 that proves who the device is, for the argument attestation; only over HTTPS.
///
/// tcti is how the TPM is reached: "device" for the system's, "device:FILE", "swtpm:host=HOST,port=PORT" or
/// "swtpm:path=SOCKET". endorsement_password_file and owner_password_file are files with the passwords of its
/// hierarchies, which are empty by default. auth_key_index is where the TPM keeps the key for the hub, as an offset to
/// 0x81000000 like IoT Edge's; by default 0x100. Each registration replaces that key.
///
/// A password that the TPM refused is not tried again. Published wheels are built without TPM attestation: there,
/// creating a Tpm raises ConfigurationError "feature-missing".
#[pyclass(frozen, module = "dps_client")]
pub(crate) struct Tpm(built::Tpm);

impl Tpm {
    /// Returns the credential for the builder of a client.
    pub(crate) fn credential(&self) -> DeviceCredential {
        self.0.credential()
    }
}

#[pymethods]
impl Tpm {
    #[new]
    #[pyo3(signature = (tcti, *, endorsement_password_file = None, owner_password_file = None, auth_key_index = None))]
    fn new(
        tcti: &Bound<'_, PyAny>,
        endorsement_password_file: Given<'_>,
        owner_password_file: Given<'_>,
        auth_key_index: Given<'_>,
    ) -> PyResult<Self> {
        let py = tcti.py();
        let tcti = argument::text("tcti", tcti)?;
        let path = |name, given: Given<'_>| given.map(|given| argument::path(name, &given)).transpose();
        let endorsement = path("endorsement_password_file", endorsement_password_file)?;
        let owner = path("owner_password_file", owner_password_file)?;
        let offset = auth_key_index.map(|given| argument::whole("auth_key_index", &given, 0..=u32::MAX)).transpose()?;
        built::Tpm::new(py, &tcti, endorsement, owner, offset).map(Self)
    }

    /// Reads what the enrollment of this TPM needs, or raises DpsError. The TPM is not changed.
    ///
    /// timeout is in seconds or a timedelta, 60 seconds by default; Ctrl-C is handled afterwards. A TPM without an
    /// endorsement key makes it meanwhile, which can take long.
    #[pyo3(signature = (*, timeout = None))]
    fn identity(&self, py: Python<'_>, timeout: Given<'_>) -> PyResult<TpmIdentity> {
        let timeout = timeout.map(|given| argument::duration_above_zero("timeout", &given)).transpose()?;
        let read = py.detach(|| self.0.identity(timeout.unwrap_or(TIMEOUT)));
        read.map_err(|error| exception(py, &error, None))
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(not_pickled("a Tpm", "create one from its TCTI string in each process"))
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("Tpm({})", self.0.tcti().into_pyobject(py)?.repr()?))
    }
}

/// What the enrollment of a TPM needs. Nothing of it is secret.
#[pyclass(frozen, module = "dps_client")]
pub(crate) struct TpmIdentity {
    /// The registration id that is derived from the endorsement key: the default of a client with this TPM.
    #[pyo3(get)]
    registration_id: String,
    /// The endorsement key (TPM2B_PUBLIC) as base64.
    #[pyo3(get)]
    endorsement_key: String,
}

#[pymethods]
impl TpmIdentity {
    fn __repr__(&self) -> String {
        format!("TpmIdentity(registration_id='{}')", self.registration_id)
    }
}

#[cfg(feature = "tpm")]
mod built {
    use std::path::PathBuf;

    use dps_client::{DeviceCredential, DpsError};
    use pyo3::prelude::*;

    use super::{Duration, TpmIdentity};
    use crate::errors::{check, exception};

    pub(super) struct Tpm(dps_client::Tpm);

    impl Tpm {
        pub(super) fn new(
            py: Python<'_>,
            tcti: &str,
            endorsement: Option<PathBuf>,
            owner: Option<PathBuf>,
            offset: Option<u32>,
        ) -> PyResult<Self> {
            let mut tpm = check(py, "tcti", dps_client::Tpm::new(tcti))?;
            if let Some(offset) = offset {
                tpm = check(py, "auth_key_index", tpm.key_offset(offset))?;
            }
            let read = || {
                if let Some(path) = endorsement {
                    tpm = tpm.endorsement_password_file(path)?;
                }
                if let Some(path) = owner {
                    tpm = tpm.owner_password_file(path)?;
                }
                Ok(Self(tpm))
            };
            py.detach(read).map_err(|error: DpsError| exception(py, &error, None))
        }

        pub(super) fn credential(&self) -> DeviceCredential {
            self.0.clone().into()
        }

        pub(super) fn identity(&self, timeout: Duration) -> Result<TpmIdentity, DpsError> {
            let identity = self.0.identity(timeout)?;
            Ok(TpmIdentity {
                registration_id: identity.registration_id().to_string(),
                endorsement_key: identity.endorsement_key().to_owned(),
            })
        }

        pub(super) fn tcti(&self) -> String {
            self.0.to_string()
        }
    }
}

#[cfg(not(feature = "tpm"))]
mod built {
    use std::path::PathBuf;

    use dps_client::{DeviceCredential, DpsError, ErrorCode};
    use pyo3::prelude::*;

    use super::{Duration, TpmIdentity};
    use crate::errors::configuration;

    pub(super) enum Tpm {}

    impl Tpm {
        pub(super) fn new(
            py: Python<'_>,
            _: &str,
            _: Option<PathBuf>,
            _: Option<PathBuf>,
            _: Option<u32>,
        ) -> PyResult<Self> {
            let message = "this package was built without TPM attestation: build it from its source distribution with \
                           MATURIN_PEP517_ARGS=\"--features tpm\" pip install --no-binary dps-client dps-client";
            Err(configuration(py, ErrorCode::FeatureMissing, message))
        }

        pub(super) fn credential(&self) -> DeviceCredential {
            match *self {}
        }

        pub(super) fn identity(&self, _: Duration) -> Result<TpmIdentity, DpsError> {
            match *self {}
        }

        pub(super) fn tcti(&self) -> String {
            match *self {}
        }
    }
}
