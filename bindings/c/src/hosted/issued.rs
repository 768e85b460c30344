//! Certificates that the service issues: the operational key, the chain, and the identity that both make.

use core::ffi::c_char;
use std::ffi::CString;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dps_client::{
    CertificateChain, DpsError, ErrorCode, IssuedIdentity, IssuedState, KeyAlgorithm, OperationalKey, RegistrationId,
};

use crate::hosted::assignment::c_text;
use crate::hosted::attempt::{attempt, attempt_for};
use crate::hosted::credential::token_key;
use crate::hosted::error::dps_error;
use crate::hosted::options::{Checked, given, option, refused, unusable};
use crate::memory::{buffer, output, shared};
use crate::result::{Refused, done, dps_result};
use crate::span::{dps_buffer, dps_span};

/// A buffer that holds any certificate request for an EC key, or for an RSA key with up to 4096 bits.
pub const DPS_OPERATIONAL_REQUEST_SIZE: usize = 2048;

const EC_P256: u32 = dps_key_algorithm::DPS_KEY_ALGORITHM_EC_P256 as u32;
const EC_P384: u32 = dps_key_algorithm::DPS_KEY_ALGORITHM_EC_P384 as u32;
const RSA_2048: u32 = dps_key_algorithm::DPS_KEY_ALGORITHM_RSA_2048 as u32;

/// The kind of an operational key.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum dps_key_algorithm {
    /// EC P-256 with SHA-256.
    DPS_KEY_ALGORITHM_EC_P256 = 0,
    /// EC P-384 with SHA-384, which the service's documentation names for issued certificates.
    DPS_KEY_ALGORITHM_EC_P384 = 1,
    /// RSA with 2048 bits and SHA-256. Only in a library that was built with its feature `aws-lc-rs`, the default.
    DPS_KEY_ALGORITHM_RSA_2048 = 2,
}

/// What the time means for an issued identity.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum dps_issued_state {
    /// The pointer to the identity is null.
    DPS_ISSUED_STATE_NONE = 0,
    /// It is not valid yet: the device's clock may be behind.
    DPS_ISSUED_STATE_NOT_YET_VALID = 1,
    /// It is valid, and need not be renewed.
    DPS_ISSUED_STATE_VALID = 2,
    /// It is valid and should be renewed.
    DPS_ISSUED_STATE_RENEWAL_DUE = 3,
    /// It has expired: the device registers with its bootstrap credential.
    DPS_ISSUED_STATE_EXPIRED = 4,
}

/// The private key that a device uses with an issued certificate: another key than the one that the device registers with. Free
/// it with `dps_operational_key_free`, which wipes it unless an identity has it too.
pub struct dps_operational_key(OperationalKey);

/// Certificates that the service issued, the device's own first, as the service sent them. The one of an assignment lives as
/// long as that; free the one of a renewal with `dps_certificate_chain_free`.
pub struct dps_certificate_chain(Vec<Vec<u8>>);

/// A key, and the certificate chain that the service issued for it. Free it with `dps_issued_identity_free`.
pub struct dps_issued_identity {
    identity: IssuedIdentity,
    registration_id: CString,
}

impl dps_certificate_chain {
    /// Returns the chain, if there is any certificate.
    pub(super) fn new(certificates: Vec<Vec<u8>>) -> Option<Self> {
        (!certificates.is_empty()).then_some(Self(certificates))
    }
}

impl From<CertificateChain> for dps_certificate_chain {
    fn from(chain: CertificateChain) -> Self {
        Self(chain.iter().map(<[u8]>::to_vec).collect())
    }
}

impl From<IssuedIdentity> for dps_issued_identity {
    fn from(identity: IssuedIdentity) -> Self {
        Self { registration_id: c_text(Some(identity.registration_id().as_str())), identity }
    }
}

impl dps_issued_identity {
    pub(super) fn identity(&self) -> &IssuedIdentity {
        &self.identity
    }
}

/// Makes a new key. `algorithm` is a `dps_key_algorithm`.
///
/// Returns `DPS_OK` and sets `*key`, to be freed with `dps_operational_key_free`. Otherwise it returns the number of the error
/// and, unless `error` is null, sets `*error`, to be freed with `dps_error_free`; the other output is left unchanged.
/// `DPS_ERROR_INVALID_ARGUMENT` without an error if `key` is null. The same holds for the functions of these sections that have
/// an `error`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_operational_key_generate(
    algorithm: u32,
    key: *mut *mut dps_operational_key,
    error: *mut *mut dps_error,
) -> dps_result {
    let generate = || {
        let algorithm = match algorithm {
            EC_P256 => KeyAlgorithm::EcP256,
            EC_P384 => KeyAlgorithm::EcP384,
            RSA_2048 => KeyAlgorithm::Rsa2048,
            other => return Err(refused(ErrorCode::InvalidOption, format!("unknown key algorithm {other}"))),
        };
        OperationalKey::generate(algorithm).map(dps_operational_key).map_err(unusable)
    };
    // SAFETY: as the caller promises.
    unsafe { attempt_for(key, error, generate) }
}

/// Reads a key: PKCS#8, SEC1 or PKCS#1, as PEM or DER, not encrypted. The caller wipes the bytes.
///
/// Returns the same as `dps_operational_key_generate`; `DPS_ERROR_INVALID_CLIENT_KEY`, or `DPS_ERROR_WRONG_PASSPHRASE` for a key
/// that is encrypted.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_operational_key_from_pem(
    pem: dps_span,
    key: *mut *mut dps_operational_key,
    error: *mut *mut dps_error,
) -> dps_result {
    // SAFETY: as the caller promises.
    let read = || OperationalKey::from_pem(unsafe { given("pem", pem)? }).map(dps_operational_key).map_err(unusable);
    // SAFETY: as the caller promises.
    unsafe { attempt_for(key, error, read) }
}

/// Reads a file with a key, as `dps_operational_key_from_pem`.
///
/// Returns the same; `DPS_ERROR_FILE` if the file cannot be read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_operational_key_from_file(
    path: dps_span,
    key: *mut *mut dps_operational_key,
    error: *mut *mut dps_error,
) -> dps_result {
    let read = || {
        // SAFETY: as the caller promises.
        let path = unsafe { needed("path", path)? };
        OperationalKey::from_file(path).map(dps_operational_key).map_err(unusable)
    };
    // SAFETY: as the caller promises.
    unsafe { attempt_for(key, error, read) }
}

/// Uses a private key that is in a PKCS#11 token already. `uri`, `module` and `pin_file` are as `pkcs11_uri`, `pkcs11_module` and
/// `pkcs11_pin_file` of a `dps_client_config`; the last two may be empty. It opens the token, in 30 s at most.
///
/// Returns the same as `dps_operational_key_generate`; `DPS_ERROR_PKCS11_NO_OBJECT` if the token has no public key beside the
/// private one, and the other errors of tokens.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_operational_key_from_pkcs11(
    uri: dps_span,
    module: dps_span,
    pin_file: dps_span,
    key: *mut *mut dps_operational_key,
    error: *mut *mut dps_error,
) -> dps_result {
    let open = || {
        // SAFETY: as the caller promises.
        let (uri, module, pin_file) =
            unsafe { (needed("uri", uri)?, option("module", module)?, option("pin_file", pin_file)?) };
        in_token(&token_key(uri, module, pin_file)?).map(dps_operational_key)
    };
    // SAFETY: as the caller promises.
    unsafe { attempt_for(key, error, open) }
}

#[cfg(feature = "pkcs11")]
fn in_token(key: &crate::hosted::credential::TokenKey) -> Checked<OperationalKey> {
    OperationalKey::from_pkcs11(key).map_err(unusable)
}

#[cfg(not(feature = "pkcs11"))]
fn in_token(key: &crate::hosted::credential::TokenKey) -> Checked<OperationalKey> {
    match *key {}
}

/// Writes a certificate request for the key: PKCS #10 (RFC 2986) as DER, with the registration id as its common name. It is for
/// `certificate_request` of a `dps_client_config` or a `dps_hub_renewal`. A buffer of `DPS_OPERATIONAL_REQUEST_SIZE` holds any;
/// two requests for the same key can differ by a few bytes in length. A key in a token signs it there.
///
/// Returns `DPS_OK` and sets `*length`; `DPS_ERROR_STORAGE_TOO_SMALL`, with the size that this request needs in `*length`;
/// otherwise the same as `dps_operational_key_generate`. `DPS_ERROR_INVALID_ARGUMENT` without an error if a pointer is null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_operational_key_write_request(
    key: *const dps_operational_key,
    registration_id: dps_span,
    out: dps_buffer,
    length: *mut usize,
    error: *mut *mut dps_error,
) -> dps_result {
    // SAFETY: as the caller promises.
    let (Ok(key), Ok(out), Ok(length)) = (unsafe { (shared(key), buffer(out), output(length)) }) else {
        return done(Err(Refused::ARGUMENT));
    };
    let write = || {
        // SAFETY: as the caller promises.
        let id = unsafe { id(registration_id)? };
        let request = key.0.certificate_request(&id).map_err(unusable)?;
        length.write(request.len());
        let place = out.get_mut(..request.len()).ok_or_else(|| {
            let code = ErrorCode::StorageTooSmall;
            refused(code, format!("{}: the request has {} bytes", code.text(), request.len()))
        })?;
        place.copy_from_slice(&request);
        Ok(())
    };
    // SAFETY: as the caller promises.
    unsafe { attempt(error, write) }
}

/// Frees a key. Null is ignored.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_operational_key_free(key: *mut dps_operational_key) {
    if !key.is_null() {
        // SAFETY: it came from `Box::into_raw`, and the caller frees it once.
        drop(unsafe { Box::from_raw(key) });
    }
}

/// Returns a certificate of a chain as DER; the device's own has the index 0. It lives as long as the chain, and is empty after
/// the last one and for null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_certificate_chain_certificate(
    chain: *const dps_certificate_chain,
    index: usize,
) -> dps_span {
    // SAFETY: as the caller promises.
    let certificate = unsafe { chain.as_ref() }.and_then(|chain| chain.0.get(index));
    certificate.map_or(dps_span::EMPTY, |der| dps_span::from_bytes(der))
}

/// Frees the chain of a renewal. Null is ignored.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_certificate_chain_free(chain: *mut dps_certificate_chain) {
    if !chain.is_null() {
        // SAFETY: it came from `Box::into_raw`, and the caller frees it once.
        drop(unsafe { Box::from_raw(chain) });
    }
}

/// Checks a chain that was issued: that it is for this key and this registration id, that its certificates fit together, and that
/// they are valid at `now_unix_s`, in seconds since 1970-01-01T00:00:00Z; 0 if the time is not known, which is not checked then. Key
/// and chain can be freed afterwards.
///
/// Returns `DPS_OK` and sets `*identity`, to be freed with `dps_issued_identity_free`; otherwise the same as
/// `dps_operational_key_generate`: `DPS_ERROR_CLIENT_KEY_MISMATCH`, `DPS_ERROR_COMMON_NAME_MISMATCH`,
/// `DPS_ERROR_CLIENT_CERTIFICATE_EXPIRED`, `DPS_ERROR_INVALID_CLIENT_CERTIFICATE`. An identity that was stored before is still usable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_issued_identity_accept(
    key: *const dps_operational_key,
    chain: *const dps_certificate_chain,
    registration_id: dps_span,
    now_unix_s: u64,
    identity: *mut *mut dps_issued_identity,
    error: *mut *mut dps_error,
) -> dps_result {
    // SAFETY: as the caller promises.
    let (Ok(key), Ok(chain)) = (unsafe { (shared(key), shared(chain)) }) else {
        return done(Err(Refused::ARGUMENT));
    };
    let accept = || {
        // SAFETY: as the caller promises.
        let id = unsafe { id(registration_id)? };
        let now = (now_unix_s > 0).then(|| moment(now_unix_s));
        let chain = CertificateChain::from_der(chain.0.iter().map(Vec::as_slice)).map_err(unusable)?;
        let accepted = IssuedIdentity::accept(key.0.clone(), chain, &id, now);
        accepted.map(dps_issued_identity::from).map_err(unusable)
    };
    // SAFETY: as the caller promises.
    unsafe { attempt_for(identity, error, accept) }
}

/// Returns the registration id, which is the common name of the certificate. It ends with a NUL, is never null, and lives as long
/// as the identity.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_issued_identity_registration_id(identity: *const dps_issued_identity) -> *const c_char {
    // SAFETY: as the caller promises.
    unsafe { identity.as_ref() }.map_or(c"".as_ptr(), |identity| identity.registration_id.as_ptr())
}

/// Returns a certificate of the identity as DER; the device's own has the index 0. It lives as long as the identity, and is empty
/// after the last one and for null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_issued_identity_certificate(
    identity: *const dps_issued_identity,
    index: usize,
) -> dps_span {
    // SAFETY: as the caller promises.
    let certificate = unsafe { identity.as_ref() }.and_then(|identity| identity.identity.chain().iter().nth(index));
    certificate.map_or(dps_span::EMPTY, dps_span::from_bytes)
}

/// Returns the first moment of its validity, in seconds since 1970-01-01T00:00:00Z; 0 for null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_issued_identity_not_before(identity: *const dps_issued_identity) -> u64 {
    // SAFETY: as the caller promises.
    unsafe { identity.as_ref() }.map_or(0, |identity| unix_s(identity.identity.not_before()))
}

/// Returns the last moment of its validity, in seconds since 1970-01-01T00:00:00Z; 0 for null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_issued_identity_not_after(identity: *const dps_issued_identity) -> u64 {
    // SAFETY: as the caller promises.
    unsafe { identity.as_ref() }.map_or(0, |identity| unix_s(identity.identity.not_after()))
}

/// Returns when to renew it, in seconds since 1970-01-01T00:00:00Z: after 75 to 80 % of its life; 0 for null. Which moment it is
/// follows from the certificate, so that it stays the same over restarts and differs between the devices of a fleet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_issued_identity_renew_at(identity: *const dps_issued_identity) -> u64 {
    // SAFETY: as the caller promises.
    unsafe { identity.as_ref() }.map_or(0, |identity| unix_s(identity.identity.renew_at()))
}

/// Returns what the time means for it. Use it in the states `VALID` and `RENEWAL_DUE`; otherwise register with the bootstrap
/// credential. `now_unix_s` is in seconds since 1970-01-01T00:00:00Z.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_issued_identity_state(
    identity: *const dps_issued_identity,
    now_unix_s: u64,
) -> dps_issued_state {
    // SAFETY: as the caller promises.
    match unsafe { identity.as_ref() }.map(|identity| identity.identity.state_at(moment(now_unix_s))) {
        None => dps_issued_state::DPS_ISSUED_STATE_NONE,
        Some(IssuedState::NotYetValid) => dps_issued_state::DPS_ISSUED_STATE_NOT_YET_VALID,
        Some(IssuedState::Valid) => dps_issued_state::DPS_ISSUED_STATE_VALID,
        Some(IssuedState::RenewalDue) => dps_issued_state::DPS_ISSUED_STATE_RENEWAL_DUE,
        Some(IssuedState::Expired) => dps_issued_state::DPS_ISSUED_STATE_EXPIRED,
    }
}

/// Frees an identity, and wipes its key unless an operational key has it too. Null is ignored.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_issued_identity_free(identity: *mut dps_issued_identity) {
    if !identity.is_null() {
        // SAFETY: it came from `Box::into_raw`, and the caller frees it once.
        drop(unsafe { Box::from_raw(identity) });
    }
}

/// A time that no `SystemTime` holds is far in the future.
fn moment(unix_s: u64) -> SystemTime {
    let later = |seconds| UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
    later(unix_s).or_else(|| later(i64::MAX as u64)).unwrap_or(UNIX_EPOCH)
}

fn unix_s(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Returns the string of an argument that must not be empty.
///
/// # Safety
/// The span is valid for `'a`.
pub(super) unsafe fn needed<'a>(name: &str, span: dps_span) -> Checked<&'a str> {
    // SAFETY: promised on.
    let text = unsafe { option(name, span)? };
    text.ok_or_else(|| refused(ErrorCode::InvalidArgument, format!("{name} is empty")))
}

/// # Safety
/// The span is valid.
pub(super) unsafe fn id(span: dps_span) -> Checked<RegistrationId> {
    // SAFETY: promised on.
    let text = unsafe { needed("registration_id", span)? };
    text.parse().map_err(|error| unusable(DpsError::from(error)))
}
