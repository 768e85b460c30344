//! What the examples share: a device, a clock that jumps to whatever is waited for, and a recording of the service.

#![allow(dead_code, reason = "each example uses its part")]

use std::cell::Cell;

use dps_core::{
    Config, ConfigError, Endpoint, IdScope, Identity, Instant, Millis, Outcome, Registration, RegistrationId,
    UnixSeconds, WallAnchor,
};

/// The device's key; firmware reads its own from a place that nobody else can read.
pub(crate) const KEY: &[u8] = b"0123456789abcdef0123456789abcdef";

/// How long the recorded service takes for each answer.
pub(crate) const ROUND_TRIP: Millis = Millis::new(200);

/// The wait that the first answer asks for.
pub(crate) const RETRY_AFTER: Millis = Millis::from_secs(3);

/// The first answer, before the device has a hub.
pub(crate) const ASSIGNING: &str = r#"{"operationId":"5.0","status":"assigning"}"#;

/// The second answer, with the hub.
pub(crate) const ASSIGNED: &str = concat!(
    r#"{"operationId":"5.0","status":"assigned","#,
    r#""registrationState":{"assignedHub":"hub-a.test","deviceId":"dev-01","payload":{"line":7}}}"#
);

/// The names under which the device registers.
pub(crate) fn identity() -> Result<Identity<'static>, ConfigError> {
    Ok(Identity {
        endpoint: Endpoint::GLOBAL,
        id_scope: IdScope::new("0ne00A1B2C3")?,
        registration_id: RegistrationId::new("dev-01")?,
    })
}

/// The clock was set at power-on to 2026-01-01T00:00:00Z.
pub(crate) fn config() -> Config {
    Config::new().wall_anchor(WallAnchor { at: Instant::from_millis(0), unix: UnixSeconds::new(1_767_225_600) })
}

/// A clock that passes no time but what is waited for.
#[derive(Default)]
pub(crate) struct Clock(Cell<Instant>);

impl Clock {
    pub(crate) fn now(&self) -> Instant {
        self.0.get()
    }

    pub(crate) fn advance_to(&self, moment: Instant) {
        self.0.set(self.now().max(moment));
    }
}

/// Where the device was assigned, what its custom payload in the buffer of the last reply is, and when that was.
pub(crate) fn report(registration: &Registration<'_>, buffer: &[u8], now: Instant) -> String {
    match registration.outcome() {
        Some(Outcome::Assigned(assignment)) => {
            let payload = assignment.payload().and_then(|range| buffer.get(range)).unwrap_or_default();
            let (hub, device) = (assignment.assigned_hub(), assignment.device_id());
            format!("assigned to {hub} as {device} with {} after {now}", String::from_utf8_lossy(payload))
        }
        Some(Outcome::Failed(failure)) => format!("{failure}; {} (after {now})", failure.verdict()),
        other => format!("{other:?}"),
    }
}
