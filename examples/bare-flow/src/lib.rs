//! A whole registration over recorded replies: derive the device's key, sign, register, wait, poll, be assigned; and
//! one that is refused. Shows how firmware with its own scheduler drives a `Registration` with `poll`, and connects it to
//! the HTTP codec.
//!
//! The replies are recorded, so that the example needs no network; everything else is the same on a device. The embassy
//! example shows the other way: the loop over `async` links.
#![no_std]

use core::hint::black_box;

use dps_core::codec::http::wire;
use dps_core::credentials::derive_device_key;
use dps_core::{
    Action, ActivateError, Config, ConfigError, Endpoint, Hint, IdScope, Identity, Instant, Key, LinkError, Misuse,
    Outcome, Payload, Registration, RegistrationId, Reply, Request, UnixSeconds, WallAnchor,
};

const GROUP_KEY: &str = "8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/lSh3lF8e2YG1Te7w1KpZhJFFXJrqYKi9yegxkqIChbqOS9Egw==";
const REGISTRATION_ID: &str = "sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6";
const ASSIGNING: &str = "HTTP/1.1 202 Accepted\r\nRetry-After: 3\r\nContent-Length: 42\r\n\r\n\
    {\"operationId\":\"5.0\",\"status\":\"assigning\"}";
const ASSIGNED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
    8c\r\n{\"operationId\":\"5.0\",\"status\":\"assigned\",\"registrationState\":{\"assignedHub\":\"hub-a.test\",\
    \"deviceId\":\"sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6\"}}\r\n0\r\n\r\n";
const REFUSED: &str = "HTTP/1.1 401 Unauthorized\r\nDate: Thu, 01 Jan 2026 02:00:00 GMT\r\nContent-Length: 45\r\n\r\n\
    {\"errorCode\":401002,\"message\":\"Unauthorized\"}";

/// The results of [`run`], for the firmware to print.
pub struct Report {
    /// Whether the device was assigned to the hub of the recording, after the wait in the service's hint.
    pub assigned: bool,
    /// Whether the refusal was explained by the clock, which is two hours behind in the recording.
    pub refusal_explained: bool,
}

/// Runs both registrations.
///
/// # Errors
/// Never with the values above; firmware reads them from its flash and must check.
pub fn run() -> Result<Report, ConfigError> {
    let group_key = Key::from_base64(black_box(GROUP_KEY))?;
    let registration_id = RegistrationId::new(black_box(REGISTRATION_ID))?;
    let identity =
        Identity { endpoint: Endpoint::GLOBAL, id_scope: IdScope::new(black_box("0ne00A1B2C3"))?, registration_id };
    let device_key = derive_device_key(&group_key, registration_id);
    Ok(Report {
        assigned: assigned(identity, &device_key)?,
        refusal_explained: refusal_explained(identity, &device_key)?,
    })
}

fn assigned(identity: Identity<'_>, key: &Key) -> Result<bool, ConfigError> {
    let mut storage = [0; 1024];
    let payload = Payload::new(black_box("{\"line\":7}"))?;
    let mut registration = Registration::new(identity, config(), &mut storage)?.with_payload(payload);
    let end = play(&mut registration, key, &[ASSIGNING, ASSIGNED]);
    let assigned = match registration.outcome() {
        Some(Outcome::Assigned(assignment)) => assignment.assigned_hub() == "hub-a.test",
        _ => false,
    };
    Ok(assigned && end == Ok(Instant::from_millis(3000)))
}

fn refusal_explained(identity: Identity<'_>, key: &Key) -> Result<bool, ConfigError> {
    let mut storage = [0; 1024];
    let mut registration = Registration::new(identity, config(), &mut storage)?;
    let end = play(&mut registration, key, &[REFUSED]);
    #[cfg(feature = "defmt")]
    defmt::warn!("{} at {}: {}", registration.outcome(), defmt::Display2Format(&end.unwrap_or_default()), identity);
    Ok(match registration.outcome() {
        Some(Outcome::Failed(failure)) => end.is_ok() && failure.hints().first() == Some(Hint::ClockBehind),
        _ => false,
    })
}

fn config() -> Config {
    let anchor = WallAnchor { at: Instant::from_millis(0), unix: UnixSeconds::new(1_767_225_600) };
    Config::new().wall_anchor(anchor).seed(black_box(1))
}

/// Carries out the actions until the registration is finished, and returns the time that has passed.
fn play(registration: &mut Registration<'_>, key: &Key, replies: &[&str]) -> Result<Instant, Misuse> {
    let mut buffer = [0; 2048];
    let mut replies = black_box(replies).iter();
    // A clock that jumps to the end of each wait; firmware reads its hardware timer and sleeps.
    let mut now = Instant::from_millis(0);
    loop {
        let action = registration.poll(now);
        #[cfg(feature = "defmt")]
        defmt::info!("{}: {}", now, action);
        match action {
            Action::Sign { id, .. } => {
                let signature = key.sign(registration.to_sign());
                registration.handle_signature(now, id, &signature)?;
            }
            Action::Send { id, .. } => {
                let Some(request) = registration.request() else { continue };
                match exchange(&request, replies.next().copied().unwrap_or(""), &mut buffer) {
                    Ok(reply) => registration.handle_reply(now, id, &reply)?,
                    Err(error) => registration.handle_link_error(now, id, error)?,
                }
            }
            Action::Activate { id, .. } => registration.handle_activate_error(now, id, ActivateError)?,
            Action::Wait { until } => now = until,
            Action::Finished => return Ok(now),
        }
    }
}

/// Writes the request as for a socket, and reads the recorded reply as from a socket.
fn exchange<'b>(request: &Request<'_>, reply: &str, buffer: &'b mut [u8]) -> Result<Reply<'b>, LinkError> {
    let sent = wire::write_request(request, "2021-06-01", "bare-flow", buffer)
        .map_err(|short| LinkError::RequestTooLarge { needed: short.needed })?;
    black_box(buffer.get(..sent));
    let received = buffer.get_mut(..reply.len()).ok_or(LinkError::ReplyTooLarge { needed: Some(reply.len()) })?;
    received.copy_from_slice(reply.as_bytes());
    let layout = wire::scan(received, reply.len(), true)?.ok_or(LinkError::Cut)?;
    layout.read(received)
}
