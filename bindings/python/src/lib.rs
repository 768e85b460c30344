//! The native part of the Python package `dps_client`: registration, keys and the emulator as Python objects.
//!
//! It only converts between Python and the Rust crates, which implement the client, the emulator and the error catalogue.
//! What can be written in Python is written in Python.

mod acceptance;
mod argument;
mod asyncio;
mod attestation;
mod batch;
mod call;
mod calling;
mod certificates;
mod client;
mod clock;
mod derive;
mod emulator;
mod emulator_json;
mod errors;
mod gate;
mod hub;
mod id_source;
mod identity_store;
mod ids;
mod issued;
mod logging;
mod options;
mod pkcs11;
mod progress;
mod renewal;
mod result;
mod runtime;
mod secret;
mod signer;
mod token;
mod tpm;
mod x509;

/// The items of the native module.
#[pyo3::pymodule]
mod _native {
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::acceptance::{accept, acceptance_scenarios};
    #[pymodule_export]
    use crate::attestation::{GroupKey, SymmetricKey};
    #[pymodule_export]
    use crate::certificates::{CertificateAuthority, DeviceCertificate};
    #[pymodule_export]
    use crate::client::Client;
    #[pymodule_export]
    use crate::derive::{DeviceKeys, derive_device_key, derive_device_keys};
    #[pymodule_export]
    use crate::emulator::Emulator;
    #[pymodule_export]
    use crate::errors::{error_catalogue, fault_kinds, hint_catalogue};
    #[pymodule_export]
    use crate::hub::{HubCredentials, HubPassword};
    #[pymodule_export]
    use crate::identity_store::{IdentityStore, LoadedIdentity};
    #[pymodule_export]
    use crate::issued::{IssuedIdentity, OperationalKey};
    #[pymodule_export]
    use crate::pkcs11::Pkcs11Key;
    #[pymodule_export]
    use crate::progress::Progress;
    #[pymodule_export]
    use crate::renewal::HubRenewal;
    #[pymodule_export]
    use crate::result::{Assignment, RegistrationRecord};
    #[pymodule_export]
    use crate::secret::Secret;
    #[pymodule_export]
    use crate::signer::Signer;
    #[pymodule_export]
    use crate::token::sas_token;
    #[pymodule_export]
    use crate::tpm::{Tpm, TpmIdentity};
    #[pymodule_export]
    use crate::x509::X509;

    /// The version of the package and of all crates in it.
    #[pymodule_export]
    #[expect(non_upper_case_globals, reason = "Python's own name for it")]
    const __version__: &str = env!("CARGO_PKG_VERSION");

    #[pymodule_init]
    fn start(module: &Bound<'_, PyModule>) -> PyResult<()> {
        crate::logging::start();
        crate::gate::watch_the_end(module)
    }
}
