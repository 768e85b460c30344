//! MQTT 3.1.1 around the machine: what goes into CONNECT and PUBLISH, and the reading of replies. Packets are the
//! business of the firmware's MQTT library.

use dps_core::codec::mqtt;
use dps_core::internal::write_operation_topic;
use dps_core::{ByteStr, Call, ErrorCode, Instant, Reply, Text};

use crate::memory::{ascii, buffer, bytes, value, value_mut, write_text};
use crate::registration::dps_registration;
use crate::result::{Refused, done, dps_result};
use crate::span::{dps_buffer, dps_span};

/// The port of MQTT over TLS.
pub const DPS_MQTT_PORT: u16 = 8883;
/// A buffer that holds any user name with its NUL, when `user_agent` has up to 64 bytes.
pub const DPS_MQTT_USER_NAME_SIZE: usize = 456;
/// A buffer that holds any topic with its NUL.
pub const DPS_MQTT_TOPIC_SIZE: usize = 208;
/// A buffer that holds any payload with its NUL, when the configuration has none of its own; else add the length of
/// that and 12.
pub const DPS_MQTT_PAYLOAD_SIZE: usize = 152;
/// A buffer that holds any user name for a hub with its NUL, when `user_agent` has up to 64 bytes.
pub const DPS_MQTT_HUB_USER_NAME_SIZE: usize = 624;

/// The version of the hub's device API (Azure IoT Hub documentation, "Communicate with an IoT hub using the MQTT
/// protocol").
const HUB_API_VERSION: &str = "2021-04-12";

/// Writes the user name of CONNECT, with a NUL after it. The client id is the registration id, the password the token
/// of the action; after `dps_registration_init_x509` the password is left out. `user_agent` may be empty, and is percent-encoded. Subscribe to `DPS_MQTT_SUBSCRIBE_FILTER` before
/// the first request. The user name is the same before, between and after requests.
///
/// Returns `DPS_ERROR_STORAGE_TOO_SMALL`, with the size that would do in `length`; `DPS_ERROR_INVALID_OBJECT`,
/// `DPS_ERROR_INVALID_ARGUMENT`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_mqtt_write_user_name(
    registration: *const dps_registration,
    user_agent: dps_span,
    out: dps_buffer,
    length: *mut usize,
) -> dps_result {
    let write = || {
        // SAFETY: as the caller promises.
        let (machine, user_agent) = unsafe { (value(registration)?, bytes(user_agent)?) };
        let write = |text: &mut Text<'_>| {
            mqtt::write_user_name(text, &machine.identity(), mqtt::DEFAULT_API_VERSION, user_agent);
        };
        // SAFETY: as the caller promises.
        unsafe { write_text(out, length, write) }
    };
    done(write())
}

/// Writes the user name of CONNECT to the assigned hub, with a NUL after it. The client id is `device_id`, the password
/// a token for `DPS_SAS_HUB_DEVICE` (`dps_sas_finish`); a device with a certificate presents the same one to the hub,
/// and sends no password. `user_agent` may be empty.
///
/// Returns `DPS_ERROR_STORAGE_TOO_SMALL`, with the size that would do in `length`; `DPS_ERROR_INVALID_ARGUMENT`, also
/// when `hub` or `device_id` is empty.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_mqtt_write_hub_user_name(
    hub: dps_span,
    device_id: dps_span,
    user_agent: dps_span,
    out: dps_buffer,
    length: *mut usize,
) -> dps_result {
    // SAFETY: as the caller promises.
    let given = |span| unsafe { ascii(span, ErrorCode::InvalidArgument) };
    let write = || {
        let (hub, device_id, user_agent) = (given(hub)?, given(device_id)?, given(user_agent)?);
        if hub.is_empty() || device_id.is_empty() {
            return Err(Refused::ARGUMENT);
        }
        let write = |text: &mut Text<'_>| {
            for part in [hub, "/", device_id, "/?api-version=", HUB_API_VERSION] {
                text.push(part);
            }
            if !user_agent.is_empty() {
                text.push("&DeviceClientType=");
                text.push_percent(user_agent);
            }
        };
        // SAFETY: as the caller promises.
        unsafe { write_text(out, length, write) }
    };
    done(write())
}

/// Writes the topic to publish the request to, with a NUL after it. Publish with QoS 1.
///
/// Returns `DPS_ERROR_MISUSE` when no request is to be sent; `DPS_ERROR_UNSUPPORTED_BY_TRANSPORT` for a lookup or the
/// time, which MQTT does not have: pass it to `dps_registration_handle_link_error`; otherwise the same as
/// `dps_mqtt_write_user_name`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_mqtt_write_topic(
    registration: *const dps_registration,
    out: dps_buffer,
    length: *mut usize,
) -> dps_result {
    let write = || {
        // SAFETY: as the caller promises.
        let machine = unsafe { value(registration)? };
        let id = machine.awaited().ok_or(Refused::MISUSE)?;
        let operation_id = match machine.call() {
            Some(Call::Register { .. }) => ByteStr::default(),
            Some(Call::Status { operation_id }) => operation_id,
            _ => return Err(ErrorCode::UnsupportedByTransport.into()),
        };
        // SAFETY: as the caller promises.
        unsafe { write_text(out, length, |text| write_operation_topic(text, id, operation_id.as_bytes())) }
    };
    done(write())
}

/// Writes the payload to publish, with a NUL after it that `length` does not count; it is empty for `DPS_CALL_STATUS`.
///
/// Returns `DPS_ERROR_MISUSE` when no request is to be sent; otherwise the same as `dps_mqtt_write_user_name`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_mqtt_write_payload(
    registration: *const dps_registration,
    out: dps_buffer,
    length: *mut usize,
) -> dps_result {
    let write = || {
        // SAFETY: as the caller promises.
        let machine = unsafe { value(registration)? };
        let call = machine.call().ok_or(Refused::MISUSE)?;
        let registration_id = machine.identity().registration_id;
        // SAFETY: as the caller promises.
        unsafe { write_text(out, length, |text| mqtt::write_call_payload(text, registration_id, &call)) }
    };
    done(write())
}

/// Passes on a message that was received: the reply to the pending request, if its topic names it. `payload` is changed
/// in place; the custom payload of the outcome stays in it. A reply that cannot be read counts as a failed request.
///
/// Returns `DPS_ERROR_MISUSE`, and changes nothing, for a message that answers no pending request (ignore it);
/// `DPS_ERROR_INVALID_OBJECT`, `DPS_ERROR_INVALID_ARGUMENT`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_registration_handle_mqtt(
    registration: *mut dps_registration,
    now_ms: u64,
    topic: dps_span,
    payload: dps_buffer,
) -> dps_result {
    let handle = || {
        // SAFETY: as the caller promises.
        let (machine, topic, payload) = unsafe { (value_mut(registration)?, bytes(topic)?, buffer(payload)?) };
        let topic = mqtt::parse_topic(topic).ok_or(Refused::MISUSE)?;
        let id = machine.awaited().filter(|id| topic.answers(*id)).ok_or(Refused::MISUSE)?;
        let now = Instant::from_millis(now_ms);
        // MQTT carries no date, and a reply that cannot be read is invalid.
        let mut reply = Reply::default();
        let taken = match mqtt::read_reply_into(&mut reply, &topic, payload) {
            Ok(()) => machine.handle_mqtt_reply(now, id, &reply),
            Err(_) => machine.handle_link_error_code(now, id, ErrorCode::InvalidReply, 0),
        };
        Ok(taken?)
    };
    done(handle())
}
