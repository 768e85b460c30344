//! The service's clock: how it differs from that of whoever runs the service. The owner can move its date, let time pass,
//! and make time pass faster; no other clock is touched.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::fault::RetryAfter;
use crate::time::Now;

/// How many times as fast as the machine's clock the service's waits can pass.
pub const SCALE_MAX: u32 = 1000;
/// A hundred years: dates keep their four-digit year.
const OFFSET_MAX_MS: u64 = 100 * 365 * 86_400_000;

/// The clock of a [`Service`](crate::Service), shared by all of its clones.
///
/// A service has no clock of its own: whoever runs it passes the time with each call. What the owner changes, by code or by
/// `PATCH /emulator/clock`, is kept here, and takes effect where the caller passes the time that [`now`](Self::now)
/// returns, as an `Emulator` does.
///
/// ```
/// use dps_emulator::{Now, Service, ServiceOptions};
///
/// let service = Service::new(ServiceOptions::new())?;
/// let machine = Now { monotonic_ms: 500, unix_ms: 1_767_225_600_000 };
/// service.clock().advance_ms(60_000)?;
/// let now = service.clock().now(machine);
/// assert_eq!((now.monotonic_ms, now.unix_ms), (60_500, 1_767_225_660_000));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
pub struct ServiceClock(Arc<Mutex<Settings>>);

#[derive(Clone, Copy)]
struct Settings {
    /// How far the service's date is ahead of the machine's.
    offset_ms: i64,
    scale: u32,
    /// An instant on the machine's monotonic clock and the same one on the service's, since which the scale applies.
    machine_ms: u64,
    service_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { offset_ms: 0, scale: 1, machine_ms: 0, service_ms: 0 }
    }
}

/// Why the clock was not changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClockError {
    /// The scale is not within 1 to 1000.
    #[error("the scale {0} is invalid: it must be a whole number from 1 to {SCALE_MAX}")]
    Scale(u32),
    /// The date would be more than 100 years from the machine's.
    #[error("the date would be more than 100 years from the machine's")]
    TooFar,
}

impl ServiceClock {
    /// Converts the time of the machine into the service's.
    #[must_use]
    pub fn now(&self, machine: Now) -> Now {
        let settings = *self.settings();
        let passed_ms = machine.monotonic_ms.saturating_sub(settings.machine_ms);
        Now {
            monotonic_ms: settings.service_ms.saturating_add(passed_ms.saturating_mul(settings.scale.into())),
            unix_ms: machine.unix_ms.saturating_add_signed(settings.offset_ms),
        }
    }

    /// Lets this time pass at once: the date and everything that waits move on by it. Assignments become due, rate windows
    /// and operations end, tokens and certificates expire.
    ///
    /// # Errors
    /// [`ClockError::TooFar`].
    pub fn advance_ms(&self, ms: u64) -> Result<(), ClockError> {
        let mut settings = self.settings();
        let offset_ms = i64::try_from(ms).ok().and_then(|ms| settings.offset_ms.checked_add(ms));
        let allowed = offset_ms.filter(|offset_ms| offset_ms.unsigned_abs() <= OFFSET_MAX_MS);
        settings.offset_ms = allowed.ok_or(ClockError::TooFar)?;
        settings.service_ms = settings.service_ms.saturating_add(ms);
        Ok(())
    }

    /// Makes whatever waits pass `scale` times as fast from `now` on, which is the service's time: assignments, rate
    /// windows, the lives of operations and challenges. Hints are divided by it and rounded up to whole seconds. The date
    /// is not changed.
    ///
    /// # Errors
    /// [`ClockError::Scale`].
    pub fn set_scale(&self, now: Now, scale: u32) -> Result<(), ClockError> {
        if !(1..=SCALE_MAX).contains(&scale) {
            return Err(ClockError::Scale(scale));
        }
        let mut settings = self.settings();
        let passed_ms = now.monotonic_ms.saturating_sub(settings.service_ms) / u64::from(settings.scale);
        settings.machine_ms = settings.machine_ms.saturating_add(passed_ms);
        settings.service_ms = settings.service_ms.max(now.monotonic_ms);
        settings.scale = scale;
        Ok(())
    }

    /// Sets how far the date is ahead of the machine's, behind it if negative, and nothing else: what a device with a wrong
    /// clock sees. Time that [`advance_ms`](Self::advance_ms) let pass is part of it.
    pub fn set_offset_ms(&self, offset_ms: i64) {
        self.settings().offset_ms = offset_ms;
    }

    /// How far the date is ahead of the machine's, in milliseconds; negative if it is behind.
    #[must_use]
    pub fn offset_ms(&self) -> i64 {
        self.settings().offset_ms
    }

    /// How many times as fast as the machine's clock waits pass; 1 unless it was changed.
    #[must_use]
    pub fn scale(&self) -> u32 {
        self.settings().scale
    }

    /// The same instant with the machine's date.
    pub(crate) fn with_machine_date(&self, now: Now) -> Now {
        Now { unix_ms: now.unix_ms.saturating_add_signed(self.offset_ms().saturating_neg()), ..now }
    }

    /// A hint for a client, which waits by another clock.
    pub(crate) fn scaled(&self, hint: RetryAfter) -> RetryAfter {
        let scale = self.scale();
        match hint {
            RetryAfter::Seconds(seconds) => RetryAfter::Seconds(seconds.div_ceil(scale)),
            RetryAfter::Date(offset) if offset > 0 => {
                let seconds = offset.unsigned_abs().div_ceil(scale.into());
                RetryAfter::Date(i64::try_from(seconds).unwrap_or(i64::MAX))
            }
            past => past,
        }
    }

    fn settings(&self) -> MutexGuard<'_, Settings> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for ServiceClock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Settings { offset_ms, scale, .. } = *self.settings();
        f.debug_struct("ServiceClock").field("offset_ms", &offset_ms).field("scale", &scale).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(monotonic_ms: u64) -> Now {
        Now { monotonic_ms, unix_ms: 1_000_000 + monotonic_ms }
    }

    #[test]
    fn scale_applies_from_the_time_of_its_change_and_the_monotonic_clock_never_goes_back() {
        let clock = ServiceClock::default();
        assert_eq!(clock.now(machine(700)).monotonic_ms, 700);
        clock.set_scale(clock.now(machine(1000)), 60).unwrap();
        assert_eq!(clock.now(machine(1000)).monotonic_ms, 1000);
        assert_eq!(clock.now(machine(2000)).monotonic_ms, 61_000);
        clock.set_scale(clock.now(machine(2000)), 1).unwrap();
        assert_eq!(clock.now(machine(2500)).monotonic_ms, 61_500);
        assert_eq!(clock.now(machine(2500)).unix_ms, machine(2500).unix_ms, "the date is left alone");
    }

    #[test]
    fn advance_moves_both_clocks_and_the_offset_only_the_date() {
        let clock = ServiceClock::default();
        clock.set_offset_ms(-300);
        clock.advance_ms(5000).unwrap();
        let now = clock.now(machine(10));
        assert_eq!((now.monotonic_ms, now.unix_ms), (5010, machine(10).unix_ms + 4700));
        assert_eq!(clock.with_machine_date(now).unix_ms, machine(10).unix_ms);
    }

    #[test]
    fn invalid_changes_are_refused_and_change_nothing() {
        let clock = ServiceClock::default();
        for scale in [0, SCALE_MAX + 1] {
            assert_eq!(clock.set_scale(machine(0), scale), Err(ClockError::Scale(scale)));
        }
        for ms in [OFFSET_MAX_MS + 1, u64::MAX] {
            assert_eq!(clock.advance_ms(ms), Err(ClockError::TooFar));
        }
        assert_eq!(clock.now(machine(9)), machine(9));
    }

    #[test]
    fn hints_are_divided_and_rounded_up() {
        let clock = ServiceClock::default();
        clock.set_scale(machine(0), 60).unwrap();
        for (hint, scaled) in [(0, 0), (1, 1), (60, 1), (61, 2), (3600, 60), (u32::MAX, u32::MAX / 60 + 1)] {
            assert_eq!(clock.scaled(RetryAfter::Seconds(hint)), RetryAfter::Seconds(scaled));
        }
        for (hint, scaled) in [(-5, -5), (0, 0), (1, 1), (600, 10), (i64::MAX, i64::MAX / 60 + 1)] {
            assert_eq!(clock.scaled(RetryAfter::Date(hint)), RetryAfter::Date(scaled));
        }
    }
}
