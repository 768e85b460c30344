//! SAS tokens without a registration: for a hub, or for callers with a state machine of their own. A registration makes
//! its own.

use dps_core::credentials::{Resource, SasToken};
use dps_core::{ByteStr, ErrorCode, IdScope, RegistrationId, UnixSeconds};

use crate::input::{Input, input};
use crate::key::dps_signature;
use crate::memory::{buffer, bytes, output};
use crate::result::{Outcome, Refused, done, dps_result, told};
use crate::span::{dps_buffer, dps_span};

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
    /// Who is to let the bearer in: an id scope, or a hub's host name.
    pub authority: dps_span,
    /// Who bears it: a registration id, or a device id.
    pub device: dps_span,
    /// When it ends, in seconds since 1970-01-01T00:00:00Z.
    pub expires_unix_s: u64,
}

// SAFETY: numbers and spans, for which zero is valid.
unsafe impl Input for dps_sas {}

/// Writes a token without its signature into `out`, and sets `to_sign` to the bytes to sign in it. Sign those with the
/// device's key, and finish the token with `dps_sas_finish`; until then `out` must stay as it is.
///
/// `DPS_TOKEN_SIZE` bytes always suffice.
///
/// Returns `DPS_ERROR_STORAGE_TOO_SMALL`, with the size that would do in `needed`, when `out` holds parts of the token;
/// `DPS_ERROR_INVALID_ID_SCOPE`, `DPS_ERROR_INVALID_REGISTRATION_ID`; `DPS_ERROR_INVALID_ARGUMENT`, also for an unknown
/// audience.
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
        let resource = unsafe { sas.resource()? };
        let token = told(SasToken::prepare(&resource, UnixSeconds::new(sas.expires_unix_s), out), needed)?;
        to_sign.write(dps_span::from_bytes(token.into_to_sign()));
        Ok(())
    };
    done(prepare())
}

/// Makes the token in `out`, which must be as `dps_sas_prepare` left it, from the signature over the bytes to sign. The
/// text is a secret until it expires, and holds until `out` is used otherwise.
///
/// Returns `DPS_ERROR_MISUSE`, and changes nothing, when `out` is not as `dps_sas_prepare` left it, as after
/// `dps_sas_finish`; `DPS_ERROR_INVALID_ARGUMENT`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_sas_finish(
    signature: *const dps_signature,
    out: dps_buffer,
    token: *mut dps_span,
) -> dps_result {
    let finish = || {
        // SAFETY: as the caller promises.
        let (signature, out, token) = unsafe { (dps_signature::read(signature)?, buffer(out)?, output(token)?) };
        let prepared = SasToken::resume(out).ok_or(Refused::MISUSE)?;
        token.write(dps_span::from_bytes(prepared.finish(signature).as_bytes()));
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
    unsafe fn resource<'a>(&self) -> Outcome<Resource<'a>> {
        // SAFETY: promised on.
        let (authority, device) = unsafe { (bytes(self.authority)?, bytes(self.device)?) };
        match self.audience {
            REGISTRATION => registration(authority, device),
            HUB_DEVICE => Ok(Resource::hub_device(ByteStr::new(authority), ByteStr::new(device))),
            _ => Err(Refused::ARGUMENT),
        }
    }
}

/// A device's own registration, as it is named in C. Inlined, so that it is made where it is used.
#[inline(always)]
pub(crate) fn registration<'a>(id_scope: &'a [u8], registration_id: &'a [u8]) -> Outcome<Resource<'a>> {
    Ok(Resource::registration(
        IdScope::from_bytes(id_scope).ok_or(ErrorCode::InvalidIdScope)?,
        RegistrationId::from_bytes(registration_id).ok_or(ErrorCode::InvalidRegistrationId)?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_size_holds_longest_token() {
        let (host, scope) = ("h".repeat(253), "s".repeat(64));
        let device = "#".repeat(128);
        let id = format!("a{}a", ":".repeat(126));
        let hub = Resource::hub_device(host.as_str(), device.as_str());
        // One more for a NUL.
        assert!(hub.token_max() < DPS_TOKEN_SIZE, "{}", hub.token_max());
        assert!(registration(scope.as_bytes(), id.as_bytes()).unwrap().token_max() < DPS_TOKEN_SIZE);
    }
}
