//! SAS tokens by hand: for a hub, or for who needs one without a registration. The machine makes its own.

use core::mem::MaybeUninit;

use dps_core::credentials::{Resource, SasToken};
use dps_core::{Endpoint, ErrorCode, IdScope, Identity, RegistrationId, UnixSeconds};

use crate::input::{Input, input};
use crate::key::dps_signature;
use crate::memory::{ascii, buffer, dps_buffer, dps_span, output};
use crate::result::{Outcome, Refused, done, dps_result, told};

/// A buffer that holds any token, in bytes.
pub const DPS_TOKEN_SIZE: usize = 848;

/// Who a token is for.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum dps_sas_audience {
    /// The provisioning service: `authority` is the id scope, `device` the registration id.
    DPS_SAS_REGISTRATION = 1,
    /// A hub: `authority` is its host name, `device` the device id.
    DPS_SAS_HUB_DEVICE = 2,
}

/// What a token is for, and when it ends.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct dps_sas {
    /// `sizeof(dps_sas)`.
    #[cfg(dps_hosted)]
    pub size: usize,
    /// A `dps_sas_audience`.
    pub audience: u32,
    /// Who is to let the bearer in: an id scope, or a hub's host name. ASCII, as is the next.
    pub authority: dps_span,
    /// Who bears it: a registration id, or a device id.
    pub device: dps_span,
    /// When it ends, in seconds since 1970-01-01T00:00:00Z.
    pub expires_unix_s: u64,
}

// SAFETY: numbers and spans, for which zero is valid.
unsafe impl Input for dps_sas {}

/// Lays out what has to be signed for a token, in `out`, and says where it stands. Sign those bytes with the device's
/// key and pass the same arguments to `dps_sas_finish`. `to_sign` holds until `out` is used otherwise.
///
/// `DPS_TOKEN_SIZE` bytes always do.
///
/// Gives `DPS_ERROR_STORAGE_TOO_SMALL`, with the size that would do in `needed`; `DPS_ERROR_INVALID_ID_SCOPE`,
/// `DPS_ERROR_INVALID_REGISTRATION_ID`; `DPS_ERROR_INVALID_ARGUMENT`, also for an unknown audience.
#[cfg_attr(not(dps_hosted), unsafe(export_name = "dps_sas_prepare_abi_1"))]
#[cfg_attr(dps_hosted, unsafe(no_mangle))]
pub unsafe extern "C" fn dps_sas_prepare(
    sas: *const dps_sas,
    out: dps_buffer,
    to_sign: *mut dps_span,
    needed: *mut usize,
) -> dps_result {
    let prepare = || {
        // SAFETY: as the caller promises.
        let (sas, out, to_sign, needed) = unsafe { (input(sas)?, buffer(out)?, output(to_sign)?, output(needed)?) };
        // SAFETY: as above.
        let token = unsafe { sas.token(out, needed)? };
        to_sign.write(dps_span::of_bytes(token.into_to_sign()));
        Ok(())
    };
    done(prepare())
}

/// Makes the token, in `out`, from the signature over what `dps_sas_prepare` laid out. The text is a secret until it
/// expires, and holds until `out` is used otherwise.
///
/// Gives the same as `dps_sas_prepare`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_sas_finish(
    sas: *const dps_sas,
    signature: *const dps_signature,
    out: dps_buffer,
    token: *mut dps_span,
    needed: *mut usize,
) -> dps_result {
    let finish = || {
        // SAFETY: as the caller promises.
        let (sas, signature, out) = unsafe { (input(sas)?, dps_signature::read(signature)?, buffer(out)?) };
        // SAFETY: as above.
        let (token, needed) = unsafe { (output(token)?, output(needed)?) };
        // SAFETY: as above.
        let prepared = unsafe { sas.token(out, needed)? };
        token.write(dps_span::of(told(prepared.finish(signature), needed)?));
        Ok(())
    };
    done(finish())
}

// What C writes into a field of an enum's values need not be one of them.
const REGISTRATION: u32 = dps_sas_audience::DPS_SAS_REGISTRATION as u32;
const HUB_DEVICE: u32 = dps_sas_audience::DPS_SAS_HUB_DEVICE as u32;

impl dps_sas {
    /// # Safety
    /// The spans are as the caller promised for `'a`.
    unsafe fn token<'a>(&self, out: &'a mut [u8], needed: &mut MaybeUninit<usize>) -> Outcome<SasToken<'a, 'a>> {
        // SAFETY: promised on.
        let (authority, device) = unsafe {
            (ascii(self.authority, ErrorCode::InvalidArgument)?, ascii(self.device, ErrorCode::InvalidArgument)?)
        };
        let resource = match self.audience {
            REGISTRATION => Resource::Registration(Identity {
                endpoint: Endpoint::GLOBAL,
                id_scope: IdScope::from_bytes(authority.as_bytes()).ok_or(ErrorCode::InvalidIdScope)?,
                registration_id: RegistrationId::from_bytes(device.as_bytes())
                    .ok_or(ErrorCode::InvalidRegistrationId)?,
            }),
            HUB_DEVICE => Resource::HubDevice { hub: authority, device_id: device },
            _ => return Err(Refused::ARGUMENT),
        };
        told(SasToken::prepare(resource, UnixSeconds::new(self.expires_unix_s), out), needed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_size_holds_longest_token() {
        let (host, scope) = ("h".repeat(253), "s".repeat(64));
        let device = "#".repeat(128);
        let id = format!("a{}a", ":".repeat(126));
        let identity = Identity {
            endpoint: Endpoint::GLOBAL,
            id_scope: IdScope::new(&scope).unwrap(),
            registration_id: RegistrationId::new(&id).unwrap(),
        };
        let hub = Resource::HubDevice { hub: &host, device_id: &device };
        assert!(hub.token_max() <= DPS_TOKEN_SIZE, "{}", hub.token_max());
        assert!(Resource::Registration(identity).token_max() <= DPS_TOKEN_SIZE);
    }
}
