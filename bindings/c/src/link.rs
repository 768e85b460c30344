//! Why there is no reply, in the catalogue's numbers.

use dps_core::{ErrorCode, Instant, RequestId};

use crate::memory::value_mut;
use crate::registration::dps_registration;
use crate::result::{Refused, done, dps_result, number};

/// Ends the request with this `id` without a reply. `error` is what went wrong: a `DPS_ERROR_*` of the
/// link, such as `DPS_ERROR_CONNECTION_CUT`; the machine decides whether to try again. `detail` is the return code of
/// CONNACK with `DPS_ERROR_MQTT_REFUSED`, the proxy's status with `DPS_ERROR_PROXY_REFUSED`, the size that would do
/// with `DPS_ERROR_REPLY_TOO_LARGE` and `DPS_ERROR_REQUEST_TOO_LARGE`, and 0 otherwise or where it is not known.
///
/// Returns `DPS_ERROR_MISUSE`, and changes nothing, when no reply is awaited with this id; `DPS_ERROR_INVALID_OBJECT`;
/// `DPS_ERROR_INVALID_ARGUMENT`, also for a number that no link returns, and for a return code or a status that none
/// is.
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
        let code = link_code(error).ok_or(Refused::ARGUMENT)?;
        let most = match code {
            ErrorCode::MqttRefused => 255,
            ErrorCode::ProxyRefused => 599,
            _ => u32::MAX,
        };
        if detail > most {
            return Err(Refused::ARGUMENT);
        }
        let id = RequestId::new(id);
        Ok(machine.handle_link_error_code(Instant::from_millis(now_ms), id, code, detail as usize)?)
    };
    done(handle())
}

/// The code, if it is one that a link can have.
fn link_code(number: dps_result) -> Option<ErrorCode> {
    static CODES: [ErrorCode; 18] = [
        ErrorCode::UnsupportedByTransport,
        ErrorCode::ReplyTooLarge,
        ErrorCode::RequestTooLarge,
        ErrorCode::Dns,
        ErrorCode::Connect,
        ErrorCode::ConnectionCut,
        ErrorCode::Timeout,
        ErrorCode::UnknownCa,
        ErrorCode::NameMismatch,
        ErrorCode::CertificateExpired,
        ErrorCode::Tls,
        ErrorCode::ProxyRefused,
        ErrorCode::ProxyUnreachable,
        ErrorCode::InvalidReply,
        ErrorCode::MqttRefused,
        ErrorCode::SubscribeRefused,
        ErrorCode::ClientCertificateRefused,
        ErrorCode::RenegotiationUnsupported,
    ];
    CODES.iter().copied().find(|code| self::number(*code) == number)
}
