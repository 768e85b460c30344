//! What goes over MQTT, by hand: names, topics, bodies and the reading of replies, for firmware with a state machine of
//! its own. Each function is independent; none needs an object.

use dps_core::codec::mqtt;
use dps_core::internal::schema::{self, Found, Member};
use dps_core::internal::{check_body, is_operation_id, write_operation_topic, write_user_name_parts};
use dps_core::{ErrorCode, IdScope, RegistrationId, RequestId};

use crate::memory::{buffer, bytes, output, write_text};
use crate::outcome::{dps_status, status};
use crate::result::{Outcome, Refused, done, dps_result};
use crate::span::{dps_buffer, dps_span};

/// What a reply to a request over MQTT has. Spans point into the payload that was read; a missing value is empty, or 0.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct dps_wire_reply {
    /// The number of the request that is answered. Ignore a reply to a request that is not pending.
    pub request_id: u32,
    /// The number in the topic, 100 to 599: the status that HTTP would have.
    pub http_status: u32,
    /// How long to wait before the next request, when the service sends a hint.
    pub retry_after_ms: u32,
    /// How far the registration is; `DPS_STATUS_UNKNOWN` also when the reply has no status, as an error has none.
    pub status: dps_status,
    /// The service's six-digit code of an error.
    pub service_code: u32,
    /// The operation to ask about until `status` is no longer `DPS_STATUS_ASSIGNING`.
    pub operation_id: dps_span,
    /// The hub's host name.
    pub assigned_hub: dps_span,
    /// The device id at the hub; case-sensitive there.
    pub device_id: dps_span,
    /// How the assignment came about, such as `initialAssignment`. An open list; only to inform.
    pub substatus: dps_span,
    /// The service's words about an error. Unlike the spans above it can have any characters.
    pub message: dps_span,
    /// By which the service's support finds the request. It can have any characters.
    pub tracking_id: dps_span,
    /// Where the custom payload, a JSON object, begins in the payload that was read.
    pub payload_offset: usize,
    /// Its length in bytes.
    pub payload_length: usize,
}

impl dps_wire_reply {
    const EMPTY: Self = Self {
        request_id: 0,
        http_status: 0,
        retry_after_ms: 0,
        status: dps_status::DPS_STATUS_UNKNOWN,
        service_code: 0,
        operation_id: dps_span::EMPTY,
        assigned_hub: dps_span::EMPTY,
        device_id: dps_span::EMPTY,
        substatus: dps_span::EMPTY,
        message: dps_span::EMPTY,
        tracking_id: dps_span::EMPTY,
        payload_offset: 0,
        payload_length: 0,
    };
}

/// Writes the user name of CONNECT, with a NUL after it: `dps_mqtt_write_user_name` without a registration.
/// `DPS_MQTT_USER_NAME_SIZE` bytes always suffice. The client id is the registration id, the password a token for
/// `DPS_SAS_REGISTRATION`; a device with a certificate sends no password. Subscribe to `DPS_MQTT_SUBSCRIBE_FILTER` before the first request. `user_agent` may be
/// empty, and is percent-encoded.
///
/// Returns `DPS_ERROR_STORAGE_TOO_SMALL`, with the size that would do in `length`; `DPS_ERROR_INVALID_ID_SCOPE`,
/// `DPS_ERROR_INVALID_REGISTRATION_ID`, `DPS_ERROR_INVALID_ARGUMENT`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_wire_write_user_name(
    id_scope: dps_span,
    registration_id: dps_span,
    user_agent: dps_span,
    out: dps_buffer,
    length: *mut usize,
) -> dps_result {
    let checked = || {
        // SAFETY: as the caller promises.
        let (id_scope, user_agent) = unsafe { (bytes(id_scope)?, bytes(user_agent)?) };
        // SAFETY: as the caller promises.
        let registration_id = unsafe { id(registration_id)? };
        let id_scope = IdScope::from_bytes(id_scope).ok_or(ErrorCode::InvalidIdScope)?;
        // SAFETY: as the caller promises.
        unsafe {
            write_text(out, length, |text| {
                write_user_name_parts(text, id_scope, registration_id, mqtt::DEFAULT_API_VERSION, user_agent);
            })
        }
    };
    done(checked())
}

/// Writes the topic to publish a request to, with a NUL after it. Publish with QoS 1. `request_id` comes back in the
/// reply. `operation_id` is empty to register, or the one of a reply, to ask for the status of that registration. Then
/// the message to publish is empty. `DPS_MQTT_TOPIC_SIZE` bytes always suffice.
///
/// Returns `DPS_ERROR_STORAGE_TOO_SMALL`, with the size that would do in `length`; `DPS_ERROR_INVALID_ARGUMENT`, also
/// when `operation_id` has other characters than the service's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_wire_write_topic(
    request_id: u32,
    operation_id: dps_span,
    out: dps_buffer,
    length: *mut usize,
) -> dps_result {
    let checked = || {
        // SAFETY: as the caller promises.
        let operation_id = unsafe { bytes(operation_id)? };
        if !operation_id.is_empty() && !is_operation_id(operation_id) {
            return Err(Refused::ARGUMENT);
        }
        // SAFETY: as the caller promises.
        unsafe { write_text(out, length, |text| write_operation_topic(text, RequestId::new(request_id), operation_id)) }
    };
    done(checked())
}

/// Writes the message to publish to register, followed by a NUL that `length` does not count. `payload` is a JSON
/// object for the allocation webhook, or empty; it is sent as it is, and the service refuses what is not JSON.
/// `DPS_MQTT_PAYLOAD_SIZE` bytes always suffice without; else add the length of `payload` and 12.
///
/// Returns `DPS_ERROR_STORAGE_TOO_SMALL`, with the size that would do in `length`; `DPS_ERROR_INVALID_REGISTRATION_ID`,
/// `DPS_ERROR_INVALID_ARGUMENT`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_wire_write_payload(
    registration_id: dps_span,
    payload: dps_span,
    out: dps_buffer,
    length: *mut usize,
) -> dps_result {
    let checked = || {
        // SAFETY: as the caller promises.
        let (registration_id, payload) = unsafe { (id(registration_id)?, bytes(payload)?) };
        // SAFETY: as the caller promises.
        unsafe { write_text(out, length, |text| schema::write_registration(text, registration_id, payload)) }
    };
    done(checked())
}

/// Reads a message that was received: the reply to a request. `payload` is changed in place; the spans of `reply`
/// hold until it is used otherwise. Names that are not those of a hub, a device or an operation are refused: what is in
/// `assigned_hub`, `device_id`, `substatus` and `operation_id` can go into a URI, a connection string or a topic.
///
/// Returns `DPS_ERROR_MISUSE` for a message with another topic (ignore it); `DPS_ERROR_INVALID_REPLY` when the service
/// accepted the request and the payload is not a reply that can be used; `DPS_ERROR_INVALID_ARGUMENT`.
#[cfg_attr(not(dps_hosted), unsafe(export_name = "dps_wire_read_reply_abi_1"))]
#[cfg_attr(dps_hosted, unsafe(no_mangle))]
pub unsafe extern "C" fn dps_wire_read_reply(
    topic: dps_span,
    payload: dps_buffer,
    reply: *mut dps_wire_reply,
) -> dps_result {
    let read = || {
        // SAFETY: as the caller promises.
        let (topic, payload, place) = unsafe { (bytes(topic)?, buffer(payload)?, output(reply)?) };
        let topic = mqtt::parse_topic(topic).ok_or(Refused::MISUSE)?;
        let mut found = Found::default();
        let is_read = found.read(payload).is_ok();
        if check_body(topic.status, is_read).is_err() || !found.has_good_names() {
            return Err(ErrorCode::InvalidReply.into());
        }
        let operation_id = found.bytes(Member::OperationId);
        let reply = place.write(dps_wire_reply::EMPTY);
        reply.request_id = topic.request_id.unwrap_or(0);
        reply.http_status = u32::from(topic.status);
        reply.retry_after_ms = topic.retry_after.map_or(0, |hint| hint.get() as u32);
        reply.status = found.status().map_or(dps_status::DPS_STATUS_UNKNOWN, status);
        reply.service_code = found.error_code().unwrap_or(0);
        if is_operation_id(operation_id) {
            reply.operation_id = dps_span::from_bytes(operation_id);
        }
        reply.assigned_hub = span(&found, Member::AssignedHub);
        reply.device_id = span(&found, Member::DeviceId);
        reply.substatus = span(&found, Member::Substatus);
        reply.message = dps_span::from_option(found.message());
        reply.tracking_id = span(&found, Member::TrackingId);
        let payload = found.payload().unwrap_or_default();
        reply.payload_offset = payload.start;
        reply.payload_length = payload.len();
        Ok(())
    };
    done(read())
}

/// A string of the reply; null where it is missing.
#[inline(never)] // Once in firmware.
fn span(found: &Found<'_>, member: Member) -> dps_span {
    dps_span::from_option(found.string(member))
}

/// # Safety
/// As the caller of the exported functions promises.
unsafe fn id<'a>(span: dps_span) -> Outcome<RegistrationId<'a>> {
    // SAFETY: promised on.
    let id = unsafe { bytes(span)? };
    Ok(RegistrationId::from_bytes(id).ok_or(ErrorCode::InvalidRegistrationId)?)
}
