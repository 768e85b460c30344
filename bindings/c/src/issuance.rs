//! Certificates that the service issues: a certificate request for a registration with any attestation, and the chain in the
//! reply, certificate by certificate.

use core::ffi::c_void;
use core::ptr;

use dps_core::{
    Attestation, CertificateRequestError, CertificateSource, ErrorCode, SymmetricKey, WithCertificateRequest,
};

use crate::memory::{Object, buffer, bytes, make, output, value, value_mut};
use crate::registration::dps_registration;
use crate::result::{Outcome, Refused, done, dps_result};
use crate::span::{dps_buffer, dps_span};

/// The size of a `dps_certificate_request`, in words of 8 bytes.
pub const DPS_CERTIFICATE_REQUEST_WORDS: usize = 9;

/// A certificate request. Opaque, in the caller's memory; may not be copied or moved. Made by
/// `dps_certificate_request_init` or `dps_certificate_request_init_reader`, for one registration at a time.
#[repr(C)]
#[derive(Debug)]
pub struct dps_certificate_request {
    /// Not for reading.
    opaque: [u64; DPS_CERTIFICATE_REQUEST_WORDS],
}

/// Fills `out` with the bytes of the certificate request from `offset` on, and returns true; false when they cannot be read.
/// It is called several times for the same bytes, which must be the same each time, 48 bytes at a time, and must not call the
/// library with the registration.
pub type dps_certificate_request_reader =
    Option<unsafe extern "C" fn(context: *mut c_void, offset: usize, out: dps_buffer) -> bool>;

/// Where the bytes of a request are: at a pointer, or with a function of the caller's.
#[derive(Clone, Copy)]
pub(crate) struct Source {
    bytes: dps_span,
    read: dps_certificate_request_reader,
    context: *mut c_void,
}

// SAFETY: the header allows one thread at a time to use the registration that has it.
unsafe impl Sync for Source {}

impl Source {
    const EMPTY: Self = Self { bytes: dps_span::EMPTY, read: None, context: ptr::null_mut() };
}

impl CertificateSource for Source {
    fn length(&self) -> usize {
        self.bytes.len
    }

    fn read(&self, offset: usize, out: &mut [u8]) -> Result<(), CertificateRequestError> {
        let Some(read) = self.read else {
            // SAFETY: promised by who made the request.
            return unsafe { bytes(self.bytes) }.map_err(|_| CertificateRequestError)?.read(offset, out);
        };
        let place = dps_buffer { ptr: out.as_mut_ptr().cast(), len: out.len() };
        // SAFETY: the caller's function, with its context, and memory that is all written before.
        if unsafe { read(self.context, offset, place) } { Ok(()) } else { Err(CertificateRequestError) }
    }
}

impl Object for dps_certificate_request {
    type Value = Option<WithCertificateRequest<&'static dyn Attestation, Source>>;
    const MARK: usize = 0x6373_7201;
    const BOUND: bool = true;
}

/// Makes a certificate request of its bytes: PKCS #10 in DER (RFC 2986), with the registration id as its common name. They
/// must stay as they are, and `request` itself, until the `dps_registration_clear` of a registration with it. They are not
/// parsed.
///
/// Returns `DPS_ERROR_CERTIFICATE_REQUEST` for an empty request; `DPS_ERROR_INVALID_ARGUMENT`. Then `request` is not an object.
#[cfg_attr(not(dps_hosted), unsafe(export_name = "dps_certificate_request_init_abi_1"))]
pub unsafe extern "C" fn dps_certificate_request_init(
    request: *mut dps_certificate_request,
    der: dps_span,
) -> dps_result {
    let checked = || {
        // SAFETY: as the caller promises.
        unsafe { bytes(der)? };
        // SAFETY: as the caller promises.
        unsafe { init(request, Source { bytes: der, ..Source::EMPTY }) }
    };
    done(checked())
}

/// As `dps_certificate_request_init`, for a request of `length` bytes that need not be in memory: `read` returns them piece
/// by piece, from flash, a secure element, or made anew. It is called here, before each registration is signed, and while
/// the message is written; nothing is sent when the bytes have changed since the first time, and the registration ends with
/// `DPS_ERROR_CERTIFICATE_REQUEST`.
///
/// Also returns `DPS_ERROR_CERTIFICATE_REQUEST` when `read` returns false.
#[cfg_attr(not(dps_hosted), unsafe(export_name = "dps_certificate_request_init_reader_abi_1"))]
pub unsafe extern "C" fn dps_certificate_request_init_reader(
    request: *mut dps_certificate_request,
    length: usize,
    read: dps_certificate_request_reader,
    context: *mut c_void,
) -> dps_result {
    let checked = || {
        if read.is_none() {
            return Err(Refused::ARGUMENT);
        }
        let bytes = dps_span { ptr: ptr::null(), len: length };
        // SAFETY: as the caller promises.
        unsafe { init(request, Source { bytes, read, context }) }
    };
    done(checked())
}

/// # Safety
/// As the caller of the exported functions promises.
unsafe fn init(request: *mut dps_certificate_request, source: Source) -> Outcome<()> {
    let fill = |value: &mut Option<_>| {
        let attestation: &'static dyn Attestation = &SymmetricKey;
        let made = WithCertificateRequest::new(attestation, source).map_err(|_| ErrorCode::CertificateRequest)?;
        *value = Some(made);
        Ok(())
    };
    // SAFETY: promised on.
    unsafe { make(request, || None, fill) }
}

/// Sends the certificate request with the registration, whatever its attestation: after one of the
/// `dps_registration_init` functions, and before the first poll. The service issues a chain if the enrollment has a
/// certificate policy; `dps_registration_issued_certificate` reads it. Requests must use the API version
/// `DPS_API_VERSION_ISSUANCE`: write the user name by `dps_mqtt_write_versioned_user_name`, the target or the whole request by
/// `dps_http_write_versioned_target` or `dps_http_write_versioned_request`. With an older version the service ignores the
/// request, and the device is assigned without a certificate.
///
/// Add 4 bytes for each 3 of the request, and 16, to the size of buffers for bodies (`DPS_HTTP_BODY_SIZE`,
/// `DPS_HTTP_REQUEST_SIZE`, `DPS_MQTT_PAYLOAD_SIZE`). The reply buffer must hold the chain: 8 KiB suffice for three
/// certificates of P-384, 16 KiB for five of RSA-2048. A smaller one ends the registration with
/// `DPS_ERROR_REPLY_TOO_LARGE`, with the size in `dps_registration_needed` where it is known; write the operation, and go on
/// from it by `dps_registration_init_resumed` with a larger one.
///
/// Returns `DPS_ERROR_MISUSE` for a lookup, which cannot carry a request, for a registration that has one, and once it was
/// polled; `DPS_ERROR_INVALID_OBJECT`, `DPS_ERROR_INVALID_ARGUMENT`. Then nothing is changed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_registration_set_certificate_request(
    registration: *mut dps_registration,
    request: *mut dps_certificate_request,
) -> dps_result {
    let set = || {
        // SAFETY: as the caller promises.
        let (machine, request) = unsafe { (value_mut(registration)?, value_mut(request)?) };
        let request = request.as_mut().ok_or(Refused::OBJECT)?;
        request.set_attestation(*machine.attestation_for_request().ok_or(Refused::MISUSE)?);
        machine.set_attestation(request);
        Ok(())
    };
    done(set())
}

/// Reads a certificate of the issued chain, in DER: the device's at `index` 0, each of the next the issuer of the one before,
/// the root last. `certificate` is empty after the last one; at 0, when nothing was issued. `reply` is the buffer that the
/// last reply was handed over in, which must be unchanged since: the certificate is decoded there, and stays. Check the first
/// certificate against the device's key and registration id before you use it.
///
/// Returns `DPS_ERROR_MISUSE` unless the registration succeeded (`dps_registration_result`); `DPS_ERROR_INVALID_REPLY` when the
/// chain is not a list, or this element of it not base64; `DPS_ERROR_INVALID_OBJECT`, `DPS_ERROR_INVALID_ARGUMENT`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_registration_issued_certificate(
    registration: *const dps_registration,
    reply: dps_buffer,
    index: usize,
    certificate: *mut dps_span,
) -> dps_result {
    let read = || {
        // SAFETY: as the caller promises.
        let (machine, reply, place) = unsafe { (value(registration)?, buffer(reply)?, output(certificate)?) };
        machine.record().ok_or(Refused::MISUSE)?;
        let found = machine.issued_certificate(reply, index).map_err(|_| ErrorCode::InvalidReply)?;
        place.write(found.map_or(dps_span::EMPTY, dps_span::from_bytes));
        Ok(())
    };
    done(read())
}
