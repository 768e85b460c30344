//! The attestation by an X.509 certificate, which the firmware's TLS library presents. A file of its own, as each section
//! of the header is.

use dps_core::X509;

use crate::config::dps_config;
use crate::registration::{Machine, dps_registration, init, resume};
use crate::result::{Outcome, done, dps_result};
use crate::span::{dps_buffer, dps_span};

/// As `dps_registration_init`, for a device that proves who it is by a certificate in TLS. Certificate, chain and
/// private key are the TLS library's: let it send every intermediate certificate up to one that the service has
/// verified. The registration id of the configuration must be the common name of the certificate.
///
/// Requests carry no token: `DPS_ACTION_SIGN` never comes, the time need not be set, and `dps_registration_token` is empty.
/// Leave out the Authorization of HTTP, and the password of MQTT: the CONNECT flags are 130, with the user name and a
/// clean session. Where the TLS library reports that the server refused the certificate, pass
/// `DPS_ERROR_CLIENT_CERTIFICATE_REFUSED` to `dps_registration_handle_link_error`.
#[cfg_attr(not(dps_hosted), unsafe(export_name = "dps_registration_init_x509_abi_1"))]
pub unsafe extern "C" fn dps_registration_init_x509(
    registration: *mut dps_registration,
    config: *const dps_config,
    storage: dps_buffer,
) -> dps_result {
    // SAFETY: as the caller promises.
    done(unsafe { init(registration, config, storage, by_certificate) })
}

/// As `dps_registration_init_lookup`, for a device with a certificate: see `dps_registration_init_x509`. HTTPS only.
#[cfg_attr(not(dps_hosted), unsafe(export_name = "dps_registration_init_x509_lookup_abi_1"))]
pub unsafe extern "C" fn dps_registration_init_x509_lookup(
    registration: *mut dps_registration,
    config: *const dps_config,
    storage: dps_buffer,
) -> dps_result {
    let look_up = |machine: &mut Machine| {
        machine.set_lookup()?;
        by_certificate(machine)
    };
    // SAFETY: as the caller promises.
    done(unsafe { init(registration, config, storage, look_up) })
}

/// As `dps_registration_init_resumed`, for a device with a certificate: see `dps_registration_init_x509`.
#[cfg_attr(not(dps_hosted), unsafe(export_name = "dps_registration_init_x509_resumed_abi_1"))]
pub unsafe extern "C" fn dps_registration_init_x509_resumed(
    registration: *mut dps_registration,
    config: *const dps_config,
    storage: dps_buffer,
    operation: dps_span,
) -> dps_result {
    let resumed = |machine: &mut Machine| {
        // SAFETY: as the caller promises.
        unsafe { resume(machine, operation)? };
        by_certificate(machine)
    };
    // SAFETY: as the caller promises.
    done(unsafe { init(registration, config, storage, resumed) })
}

fn by_certificate(machine: &mut Machine) -> Outcome<()> {
    machine.set_attestation(&X509);
    Ok(())
}
