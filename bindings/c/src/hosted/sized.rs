//! Functions that create an object or fill in a struct get its size from macros of the header: a program that was compiled
//! with an earlier header works with a newer library or gets an error, but nothing is written beyond its memory.

use core::ffi::c_void;

use crate::config::dps_config;
use crate::hosted::config::dps_client_config;
use crate::hosted::credential::dps_credential;
use crate::hosted::renewal::dps_hub_renewal;
use crate::input::set_to_zero;
use crate::issuance::{
    dps_certificate_request, dps_certificate_request_init, dps_certificate_request_init_reader,
    dps_certificate_request_reader,
};
use crate::key::{dps_key, dps_key_derive, dps_key_from_base64, dps_key_from_bytes};
use crate::registration::{
    dps_registration, dps_registration_init, dps_registration_init_lookup, dps_registration_init_resumed,
};
use crate::result::{Refused, done, dps_result};
use crate::span::{dps_buffer, dps_span};
use crate::tpm::{dps_registration_init_tpm, dps_tpm, dps_tpm_init};
use crate::x509::{dps_registration_init_x509, dps_registration_init_x509_lookup, dps_registration_init_x509_resumed};

/// Creates an object, if the program's memory is large enough.
fn object<T>(size: usize, make: impl FnOnce() -> dps_result) -> dps_result {
    if size < size_of::<T>() { done(Err(Refused::ARGUMENT)) } else { make() }
}

/// `dps_key_from_base64` for a `dps_key` of `size` bytes. Like the functions below, it returns `DPS_ERROR_INVALID_ARGUMENT`
/// if they are too few.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_key_from_base64_sized(size: usize, key: *mut dps_key, base64: dps_span) -> dps_result {
    // SAFETY: as the caller promises.
    object::<dps_key>(size, || unsafe { dps_key_from_base64(key, base64) })
}

/// `dps_key_from_bytes` for a `dps_key` of `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_key_from_bytes_sized(size: usize, key: *mut dps_key, raw: dps_span) -> dps_result {
    // SAFETY: as the caller promises.
    object::<dps_key>(size, || unsafe { dps_key_from_bytes(key, raw) })
}

/// `dps_key_derive` for a `dps_key` of `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_key_derive_sized(
    size: usize,
    group: *const dps_key,
    registration_id: dps_span,
    device: *mut dps_key,
) -> dps_result {
    // SAFETY: as the caller promises.
    object::<dps_key>(size, || unsafe { dps_key_derive(group, registration_id, device) })
}

/// `dps_registration_init` for a `dps_registration` of `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_registration_init_sized(
    size: usize,
    registration: *mut dps_registration,
    config: *const dps_config,
    storage: dps_buffer,
) -> dps_result {
    // SAFETY: as the caller promises.
    object::<dps_registration>(size, || unsafe { dps_registration_init(registration, config, storage) })
}

/// `dps_registration_init_lookup` for a `dps_registration` of `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_registration_init_lookup_sized(
    size: usize,
    registration: *mut dps_registration,
    config: *const dps_config,
    storage: dps_buffer,
) -> dps_result {
    // SAFETY: as the caller promises.
    object::<dps_registration>(size, || unsafe { dps_registration_init_lookup(registration, config, storage) })
}

/// `dps_registration_init_resumed` for a `dps_registration` of `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_registration_init_resumed_sized(
    size: usize,
    registration: *mut dps_registration,
    config: *const dps_config,
    storage: dps_buffer,
    operation: dps_span,
) -> dps_result {
    // SAFETY: as the caller promises.
    object::<dps_registration>(size, || unsafe {
        dps_registration_init_resumed(registration, config, storage, operation)
    })
}

/// `dps_registration_init_x509` for a `dps_registration` of `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_registration_init_x509_sized(
    size: usize,
    registration: *mut dps_registration,
    config: *const dps_config,
    storage: dps_buffer,
) -> dps_result {
    // SAFETY: as the caller promises.
    object::<dps_registration>(size, || unsafe { dps_registration_init_x509(registration, config, storage) })
}

/// `dps_registration_init_x509_lookup` for a `dps_registration` of `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_registration_init_x509_lookup_sized(
    size: usize,
    registration: *mut dps_registration,
    config: *const dps_config,
    storage: dps_buffer,
) -> dps_result {
    // SAFETY: as the caller promises.
    object::<dps_registration>(size, || unsafe { dps_registration_init_x509_lookup(registration, config, storage) })
}

/// `dps_registration_init_x509_resumed` for a `dps_registration` of `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_registration_init_x509_resumed_sized(
    size: usize,
    registration: *mut dps_registration,
    config: *const dps_config,
    storage: dps_buffer,
    operation: dps_span,
) -> dps_result {
    // SAFETY: as the caller promises.
    object::<dps_registration>(size, || unsafe {
        dps_registration_init_x509_resumed(registration, config, storage, operation)
    })
}

/// `dps_registration_init_tpm` for a `dps_registration` of `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_registration_init_tpm_sized(
    size: usize,
    registration: *mut dps_registration,
    config: *const dps_config,
    tpm: *const dps_tpm,
    storage: dps_buffer,
) -> dps_result {
    // SAFETY: as the caller promises.
    object::<dps_registration>(size, || unsafe { dps_registration_init_tpm(registration, config, tpm, storage) })
}

/// `dps_tpm_init` for a `dps_tpm` of `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_tpm_init_sized(
    size: usize,
    tpm: *mut dps_tpm,
    endorsement_key: dps_span,
    storage_root_key: dps_span,
) -> dps_result {
    // SAFETY: as the caller promises.
    object::<dps_tpm>(size, || unsafe { dps_tpm_init(tpm, endorsement_key, storage_root_key) })
}

/// `dps_config_default` for a `dps_config` of `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_config_default_sized(size: usize, config: *mut dps_config) -> dps_result {
    // SAFETY: as the caller promises.
    done(unsafe { set_to_zero(config, size) })
}

/// `dps_client_config_default` for a `dps_client_config` of `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_client_config_default_sized(size: usize, config: *mut dps_client_config) -> dps_result {
    // SAFETY: as the caller promises.
    done(unsafe { set_to_zero(config, size) })
}

/// `dps_credential_default` for a `dps_credential` of `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_credential_default_sized(size: usize, credential: *mut dps_credential) -> dps_result {
    // SAFETY: as the caller promises.
    done(unsafe { set_to_zero(credential, size) })
}

/// `dps_hub_renewal_default` for a `dps_hub_renewal` of `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_hub_renewal_default_sized(size: usize, renewal: *mut dps_hub_renewal) -> dps_result {
    // SAFETY: as the caller promises.
    done(unsafe { set_to_zero(renewal, size) })
}

/// `dps_certificate_request_init` for a `dps_certificate_request` of `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_certificate_request_init_sized(
    size: usize,
    request: *mut dps_certificate_request,
    der: dps_span,
) -> dps_result {
    // SAFETY: as the caller promises.
    object::<dps_certificate_request>(size, || unsafe { dps_certificate_request_init(request, der) })
}

/// `dps_certificate_request_init_reader` for a `dps_certificate_request` of `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_certificate_request_init_reader_sized(
    size: usize,
    request: *mut dps_certificate_request,
    length: usize,
    read: dps_certificate_request_reader,
    context: *mut c_void,
) -> dps_result {
    let make = || {
        // SAFETY: as the caller promises.
        unsafe { dps_certificate_request_init_reader(request, length, read, context) }
    };
    object::<dps_certificate_request>(size, make)
}
