//! The service's clock in the emulator's own API.

use serde::{Deserialize, Serialize};

use crate::admin::AdminReply;
use crate::service::Service;
use crate::time::{Now, iso_8601};
use crate::wire::{Problem, parse_object};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    date_time_utc: String,
    offset_ms: i64,
    scale: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Change {
    /// The time to let pass.
    advance_ms: Option<u64>,
    /// How many times as fast waits pass.
    scale: Option<u32>,
}

impl Service {
    pub(crate) fn show_clock(&self, now: Now) -> AdminReply {
        let (offset_ms, scale) = (self.clock.offset_ms(), self.clock.scale());
        AdminReply::ok(&Shown { date_time_utc: iso_8601(now.unix_ms), offset_ms, scale })
    }

    /// Applies the whole change, or nothing. Replies with the clock after it.
    pub(crate) fn change_clock(&mut self, now: Now, body: &[u8]) -> Result<AdminReply, Problem> {
        let change: Change = parse_object(body)?;
        if change.advance_ms.is_none() && change.scale.is_none() {
            return Err(Problem::bad_request("Set 'advanceMs', the time to let pass, or 'scale'."));
        }
        let refused = |error| Problem::bad_request(format!("The clock cannot be changed: {error}."));
        let scale_before = self.clock.scale();
        if let Some(scale) = change.scale {
            self.clock.set_scale(now, scale).map_err(refused)?;
        }
        let mut after = now;
        if let Some(ms) = change.advance_ms {
            if let Err(error) = self.clock.advance_ms(ms) {
                _ = self.clock.set_scale(now, scale_before);
                return Err(refused(error));
            }
            after = Now { monotonic_ms: now.monotonic_ms.saturating_add(ms), unix_ms: now.unix_ms.saturating_add(ms) };
        }
        // What became due happened before anybody asks.
        self.advance(after);
        Ok(self.show_clock(after))
    }
}
