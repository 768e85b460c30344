//! Time as the core sees it: always an input, never read.
//!
//! Monotonic time, wall time and lengths of time are different types. No arithmetic here divides 64-bit numbers: on
//! a Cortex-M that alone costs most of a kilobyte of flash.

use core::time::Duration;

/// A length of time in milliseconds, at most 49 days; a longer one counts as that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(u32);

impl Millis {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// `millis` milliseconds.
    #[must_use]
    pub const fn new(millis: u64) -> Self {
        Self(if millis > u32::MAX as u64 { u32::MAX } else { millis as u32 })
    }

    /// `seconds` seconds.
    #[must_use]
    pub const fn from_secs(seconds: u32) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// The number of milliseconds.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0 as u64
    }

    /// The sum, or the longest time that can be told.
    #[must_use]
    pub const fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// A fifth of it.
    #[must_use]
    pub(crate) const fn fifth(self) -> Self {
        Self(self.0 / 5)
    }

    /// Twice as long, so many times over.
    #[must_use]
    pub(crate) fn doubled(self, times: u8) -> Self {
        let mut doubled = self;
        for _ in 0..times.min(32) {
            doubled = doubled.saturating_add(doubled);
        }
        doubled
    }

    /// Whole seconds, rounded up.
    #[must_use]
    pub const fn secs_rounded_up(self) -> u32 {
        self.0.div_ceil(1000)
    }
}

impl From<Duration> for Millis {
    fn from(duration: Duration) -> Self {
        Self::new(duration.as_secs().saturating_mul(1000).saturating_add(u64::from(duration.subsec_millis())))
    }
}

impl From<Millis> for Duration {
    fn from(millis: Millis) -> Self {
        Self::from_millis(millis.get())
    }
}

/// A moment on a clock that never goes back: milliseconds since an origin of the caller's choice, such as power-on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The moment `millis` milliseconds after the origin.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the origin.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// The moment `wait` later, or the last that can be told.
    #[must_use]
    pub const fn after(self, wait: Millis) -> Self {
        Self(self.0.saturating_add(wait.get()))
    }

    /// How long it is from `earlier` to here; zero when `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Millis {
        Millis::new(self.0.saturating_sub(earlier.0))
    }
}

/// Wall time: whole seconds since 1970-01-01T00:00:00Z, leap seconds not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixSeconds(u64);

impl UnixSeconds {
    /// `seconds` seconds after 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn new(seconds: u64) -> Self {
        Self(seconds)
    }

    /// The number of seconds.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The moment `seconds` later, or the last that can be told.
    #[must_use]
    pub const fn plus(self, seconds: u64) -> Self {
        Self(self.0.saturating_add(seconds))
    }

    /// Seconds from `self` to `other`: positive when `other` is later.
    #[must_use]
    pub const fn seconds_until(self, other: Self) -> i64 {
        let distance = self.0.abs_diff(other.0);
        let distance = if distance > i64::MAX as u64 { i64::MAX } else { distance as i64 };
        if other.0 >= self.0 { distance } else { distance.wrapping_neg() }
    }
}

/// What ties monotonic to wall time: at `at` it was `unix`.
///
/// A device without a clock of its own sets one from any source it trusts (an RTC, NTP, the hub).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WallAnchor {
    /// The monotonic moment.
    pub at: Instant,
    /// The wall time at that moment.
    pub unix: UnixSeconds,
}

impl WallAnchor {
    /// The wall time at `now`; moments before the anchor count as the anchor.
    #[must_use]
    pub const fn unix_at(self, now: Instant) -> UnixSeconds {
        self.unix.plus(whole_seconds(now.0.saturating_sub(self.at.0)))
    }
}

/// `millis / 1000` by 32-bit division; 64-bit numbers are brought down in steps of 49 days.
const fn whole_seconds(millis: u64) -> u64 {
    const STEP_SECONDS: u64 = 4_294_000;
    const STEP_MILLIS: u64 = STEP_SECONDS * 1000;
    // Beyond a few thousand years the loop would take too long to be worth it.
    const LIMIT: u64 = STEP_MILLIS * 32_768;
    let mut rest = if millis > LIMIT { LIMIT } else { millis };
    let mut seconds: u64 = 0;
    while rest > u32::MAX as u64 {
        rest = rest.saturating_sub(STEP_MILLIS);
        seconds = seconds.saturating_add(STEP_SECONDS);
    }
    seconds.saturating_add((rest as u32 / 1000) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_right_on_both_sides_of_32_bits() {
        for millis in [0, 1, 999, 1000, u64::from(u32::MAX), u64::from(u32::MAX) + 1, 1_700_000_000_123, 1 << 45] {
            assert_eq!(whole_seconds(millis), millis / 1000, "{millis}");
        }
        // Thousands of years from now, and soon done.
        assert_eq!(whole_seconds(u64::MAX), 4_294_000 * 32_768);
    }

    #[test]
    fn an_anchor_follows_the_monotonic_clock() {
        let anchor = WallAnchor { at: Instant::from_millis(500), unix: UnixSeconds::new(1_767_225_600) };
        assert_eq!(anchor.unix_at(Instant::from_millis(2_499)).get(), 1_767_225_601);
        assert_eq!(anchor.unix_at(Instant::from_millis(0)).get(), 1_767_225_600);
    }

    #[test]
    fn distance_has_a_sign() {
        let (early, late) = (UnixSeconds::new(10), UnixSeconds::new(25));
        assert_eq!(early.seconds_until(late), 15);
        assert_eq!(late.seconds_until(early), -15);
        assert_eq!(UnixSeconds::new(0).seconds_until(UnixSeconds::new(u64::MAX)), i64::MAX);
    }
}
