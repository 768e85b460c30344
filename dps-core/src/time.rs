//! Time as the core sees it: always an input, never read.
//!
//! Monotonic time, wall time and lengths of time are different types. No arithmetic here overflows: a result that is
//! too large or too small is the largest or smallest value. None divides 64-bit numbers: on a Cortex-M that alone costs
//! most of a kilobyte of flash.

use core::fmt;
use core::iter::Sum;
use core::ops::{Add, AddAssign, Mul, Sub, SubAssign};
use core::time::Duration;

use crate::text::Text;

/// A length of time in milliseconds, at most 49 days; a longer one counts as that.
///
/// ```
/// use core::time::Duration;
/// use dps_core::Millis;
///
/// let wait = Millis::from_secs(1) + Millis::new(500);
/// assert_eq!(wait * 2, Millis::from_secs(3));
/// assert_eq!(wait - Millis::from_secs(2), Millis::ZERO);
/// assert_eq!([wait, wait].into_iter().sum::<Millis>(), Millis::from_secs(3));
/// assert_eq!(Duration::from(wait), Duration::from_millis(1500));
/// assert_eq!(Millis::from(Duration::MAX), Millis::from(u32::MAX));
/// # extern crate std;
/// assert_eq!(std::format!("{wait}"), "1500 ms");
/// ```
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

impl From<u32> for Millis {
    /// That many milliseconds.
    fn from(millis: u32) -> Self {
        Self(millis)
    }
}

impl From<Duration> for Millis {
    /// Whole milliseconds; a fraction is dropped, and more than 49 days are 49 days.
    fn from(duration: Duration) -> Self {
        Self::new(duration.as_secs().saturating_mul(1000).saturating_add(u64::from(duration.subsec_millis())))
    }
}

impl From<Millis> for Duration {
    fn from(millis: Millis) -> Self {
        // `from_millis` divides 64-bit numbers.
        Self::new((millis.0 / 1000).into(), (millis.0 % 1000).saturating_mul(1_000_000))
    }
}

impl Add for Millis {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        self.saturating_add(other)
    }
}

impl AddAssign for Millis {
    fn add_assign(&mut self, other: Self) {
        *self = self.saturating_add(other);
    }
}

impl Sub for Millis {
    type Output = Self;

    /// [`Millis::ZERO`] when `other` is longer.
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl SubAssign for Millis {
    fn sub_assign(&mut self, other: Self) {
        self.0 = self.0.saturating_sub(other.0);
    }
}

impl Mul<u32> for Millis {
    type Output = Self;

    fn mul(self, times: u32) -> Self {
        Self(self.0.saturating_mul(times))
    }
}

impl Sum for Millis {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::ZERO, Self::saturating_add)
    }
}

/// The milliseconds and their unit: `1500 ms`.
impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_decimal(f, self.get())?;
        f.write_str(" ms")
    }
}

/// A moment on a clock that never goes back: milliseconds since an origin of the caller's choice, such as power-on.
///
/// ```
/// use dps_core::{Instant, Millis};
///
/// let start = Instant::from_millis(250);
/// let mut now = start + Millis::from_secs(2);
/// assert_eq!(now - start, Millis::from_secs(2));
/// // A clock that was read too early does not underflow.
/// assert_eq!(start - now, Millis::ZERO);
/// now += Millis::new(250);
/// # extern crate std;
/// assert_eq!(std::format!("{now}"), "2500 ms");
/// ```
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

impl Add<Millis> for Instant {
    type Output = Self;

    fn add(self, wait: Millis) -> Self {
        self.after(wait)
    }
}

impl AddAssign<Millis> for Instant {
    fn add_assign(&mut self, wait: Millis) {
        *self = self.after(wait);
    }
}

impl SubAssign<Millis> for Instant {
    fn sub_assign(&mut self, wait: Millis) {
        self.0 = self.0.saturating_sub(wait.get());
    }
}

impl Sub for Instant {
    type Output = Millis;

    /// The time from `earlier` to here; [`Millis::ZERO`] when `earlier` is later, 49 days when it is longer ago.
    fn sub(self, earlier: Self) -> Millis {
        self.since(earlier)
    }
}

impl Sub<Millis> for Instant {
    type Output = Self;

    /// The moment that much earlier, but not before the origin.
    fn sub(self, wait: Millis) -> Self {
        Self(self.0.saturating_sub(wait.get()))
    }
}

/// The milliseconds since the origin and their unit: `1500 ms`.
impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_decimal(f, self.0)?;
        f.write_str(" ms")
    }
}

/// Wall time: whole seconds since 1970-01-01T00:00:00Z, leap seconds not counted.
///
/// ```
/// # extern crate std;
/// assert_eq!(std::format!("{}", dps_core::UnixSeconds::new(1_767_225_600)), "1767225600");
/// ```
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

/// The number of seconds.
impl fmt::Display for UnixSeconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_decimal(f, self.0)
    }
}

/// Writes a number without the division that formatting a `u64` needs.
fn write_decimal(f: &mut fmt::Formatter<'_>, number: u64) -> fmt::Result {
    let mut buffer = [0; 20];
    let mut digits = Text::new(&mut buffer);
    digits.push_decimal(number);
    f.write_str(digits.finish().unwrap_or_default())
}

/// What ties monotonic to wall time: at `at` it was `unix`.
///
/// A device without a clock of its own sets one from any source it trusts (an RTC, NTP, the hub).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
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
        self.unix.plus(whole_seconds(now.0.saturating_sub(self.at.0)) as u64)
    }
}

/// `millis / 1000` by 32-bit division; more than 135 years count as that.
const fn whole_seconds(millis: u64) -> u32 {
    // 2^32 milliseconds are so many seconds, and so many milliseconds more.
    const SECONDS: u32 = 4_294_967;
    const REST: u32 = 296;
    const HIGH_MAX: u32 = u32::MAX / (SECONDS + 1);
    let (high, low) = ((millis >> 32) as u32, millis as u32);
    let high = if high > HIGH_MAX { HIGH_MAX } else { high };
    let rest = high.wrapping_mul(REST).wrapping_add(low % 1000) / 1000;
    high.wrapping_mul(SECONDS).wrapping_add(low / 1000).wrapping_add(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_right_on_both_sides_of_32_bits() {
        let limit = u64::from(u32::MAX) * 998;
        for millis in [0, 1, 999, 1000, u64::from(u32::MAX), u64::from(u32::MAX) + 1, 1_700_000_000_123, limit] {
            assert_eq!(u64::from(whole_seconds(millis)), millis / 1000, "{millis}");
        }
        assert!(whole_seconds(u64::MAX) >= whole_seconds(limit), "later is not earlier");
    }

    #[test]
    fn wall_anchor_follows_the_monotonic_clock() {
        let anchor = WallAnchor { at: Instant::from_millis(500), unix: UnixSeconds::new(1_767_225_600) };
        assert_eq!(anchor.unix_at(Instant::from_millis(2_499)).get(), 1_767_225_601);
        assert_eq!(anchor.unix_at(Instant::from_millis(0)).get(), 1_767_225_600);
    }

    #[test]
    fn time_operators_saturate() {
        let (longest, last) = (Millis::from(u32::MAX), Instant::from_millis(u64::MAX));
        assert_eq!(longest + Millis::new(1), longest);
        assert_eq!(longest * 2, longest);
        assert_eq!([longest, longest].into_iter().sum::<Millis>(), longest);
        assert_eq!(last + longest, last);
        assert_eq!(last - Instant::from_millis(0), longest);
        assert_eq!(Instant::from_millis(5) - Instant::from_millis(6), Millis::ZERO);
        assert_eq!(Instant::from_millis(5) - Millis::new(6), Instant::from_millis(0));
        let (mut wait, mut now) = (Millis::new(2), Instant::from_millis(7));
        wait += Millis::new(3);
        wait -= Millis::new(4);
        now += wait;
        assert_eq!((wait, now), (Millis::new(1), Instant::from_millis(8)));
    }

    #[test]
    fn durations_are_converted_both_ways() {
        for millis in [0, 1, 999, 1000, 1001, u64::from(u32::MAX)] {
            assert_eq!(Duration::from(Millis::new(millis)), Duration::from_millis(millis));
            assert_eq!(Millis::from(Duration::from_millis(millis)), Millis::new(millis));
        }
        assert_eq!(Millis::from(Duration::from_micros(1999)), Millis::new(1));
    }

    #[test]
    fn times_are_shown_as_numbers_with_their_unit() {
        extern crate std;
        assert_eq!(std::format!("{}", Instant::from_millis(u64::MAX)), std::format!("{} ms", u64::MAX));
        assert_eq!(std::format!("{}", Millis::new(0)), "0 ms");
        assert_eq!(std::format!("{}", UnixSeconds::new(u64::MAX)), std::format!("{}", u64::MAX));
    }

    #[test]
    fn distance_has_a_sign() {
        let (early, late) = (UnixSeconds::new(10), UnixSeconds::new(25));
        assert_eq!(early.seconds_until(late), 15);
        assert_eq!(late.seconds_until(early), -15);
        assert_eq!(UnixSeconds::new(0).seconds_until(UnixSeconds::new(u64::MAX)), i64::MAX);
    }
}
