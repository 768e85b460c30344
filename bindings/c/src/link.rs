//! Why there is no reply, in the catalogue's numbers.

use dps_core::Instant;
use dps_core::message::{LinkError, RequestId};

use crate::memory::value_mut;
use crate::registration::dps_registration;
use crate::result::{Refused, done, dps_result};

/// Takes word that there will be no reply to the request under `id`. `error` is what went wrong: a `DPS_ERROR_*` of the
/// link, such as `DPS_ERROR_CONNECTION_CUT`; the machine decides whether to try again. `detail` is the return code of
/// CONNACK with `DPS_ERROR_MQTT_REFUSED`, the proxy's status with `DPS_ERROR_PROXY_REFUSED`, the size that would do with
/// `DPS_ERROR_REPLY_TOO_LARGE` and `DPS_ERROR_REQUEST_TOO_LARGE`, and 0 otherwise or where it is not known.
///
/// Gives `DPS_ERROR_MISUSE`, and changes nothing, when no reply is awaited under this id; `DPS_ERROR_INVALID_OBJECT`;
/// `DPS_ERROR_INVALID_ARGUMENT`, also for a number that no link gives.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_registration_handle_link_error(
    registration: *mut dps_registration,
    now_ms: u64,
    id: u32,
    error: i32,
    detail: u32,
) -> dps_result {
    let handle = || {
        // SAFETY: as the caller promises.
        let machine = unsafe { value_mut(registration)? };
        let error = link_error(error, detail).ok_or(Refused::ARGUMENT)?;
        Ok(machine.handle_link_error(Instant::from_millis(now_ms), RequestId::new(id), error)?)
    };
    done(handle())
}

fn link_error(number: dps_result, detail: u32) -> Option<LinkError> {
    let known = (detail > 0).then_some(detail as usize);
    Some(match number {
        is::UnsupportedByTransport => LinkError::Unsupported,
        is::ReplyTooLarge => LinkError::ReplyTooLarge { needed: known },
        is::RequestTooLarge => LinkError::RequestTooLarge { needed: detail as usize },
        is::Dns => LinkError::Dns,
        is::Connect => LinkError::Connect,
        is::ConnectionCut => LinkError::Cut,
        is::Timeout => LinkError::Timeout,
        is::UnknownCa => LinkError::UnknownCa,
        is::NameMismatch => LinkError::NameMismatch,
        is::CertificateExpired => LinkError::CertificateExpired,
        is::Tls => LinkError::Tls,
        is::ProxyRefused => LinkError::ProxyRefused { status: u16::try_from(detail).ok().filter(|status| *status > 0) },
        is::ProxyUnreachable => LinkError::ProxyUnreachable,
        is::InvalidReply => LinkError::InvalidReply,
        is::MqttRefused => LinkError::MqttRefused { code: u8::try_from(detail).ok()? },
        is::SubscribeRefused => LinkError::SubscribeRefused,
        _ => return None,
    })
}

/// The numbers of the catalogue that a link can give.
#[allow(non_upper_case_globals, reason = "they bear the names in the catalogue")]
mod is {
    use dps_core::ErrorCode;

    use crate::result::{dps_result, number};

    macro_rules! numbers {
        ($($name:ident)+) => { $(pub(super) const $name: dps_result = number(ErrorCode::$name);)+ };
    }

    numbers! {
        UnsupportedByTransport ReplyTooLarge RequestTooLarge Dns Connect ConnectionCut Timeout UnknownCa NameMismatch
        CertificateExpired Tls ProxyRefused ProxyUnreachable InvalidReply MqttRefused SubscribeRefused
    }
}
