//! Embassy's clock as the clock of a registration: monotonic milliseconds since the start.

use dps_core::{Instant, Timer};

/// The hardware timer behind `embassy-time`.
pub struct EmbassyTimer;

impl Timer for EmbassyTimer {
    fn now(&self) -> Instant {
        Instant::from_millis(embassy_time::Instant::now().as_millis())
    }

    async fn sleep_until(&self, at: Instant) {
        embassy_time::Timer::at(embassy_time::Instant::from_millis(at.as_millis())).await;
    }
}
