//! Instants as callers pass them in, since the service itself has no clock, and dates as the service writes them: ISO
//! 8601 with seven fractional digits in bodies, IMF-fixdate in headers. Nothing that a client sends is parsed as a
//! date.

/// One instant, on both clocks.
///
/// Waits, rate windows and lifetimes use the monotonic clock; token expiry, the `Date` header and timestamps the wall
/// clock. A test that moves them apart sees what a device with a wrong clock sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Now {
    /// Milliseconds since any fixed point; never goes back.
    pub monotonic_ms: u64,
    /// The service's wall clock: milliseconds since 1970-01-01 UTC.
    pub unix_ms: u64,
}

impl Now {
    /// The wall clock in whole seconds.
    #[must_use]
    pub fn unix_s(self) -> u64 {
        self.unix_ms / 1000
    }
}

const DAY_S: u64 = 86_400;
const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

struct Civil {
    year: u64,
    month: usize,
    day: u64,
    hour: u64,
    minute: u64,
    second: u64,
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_of(year: u64, month: usize) -> u64 {
    match month {
        1 if is_leap(year) => 29,
        1 => 28,
        3 | 5 | 8 | 10 => 30,
        _ => 31,
    }
}

/// Months count from zero.
fn civil(unix_s: u64) -> Civil {
    let (mut days, rest) = (unix_s / DAY_S, unix_s % DAY_S);
    // 400 years repeat exactly, so the loop below is short for any input.
    let mut year = 1970 + days / 146_097 * 400;
    days %= 146_097;
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let mut month = 0;
    while days >= days_of(year, month) {
        days -= days_of(year, month);
        month += 1;
    }
    Civil { year, month, day: days + 1, hour: rest / 3600, minute: rest / 60 % 60, second: rest % 60 }
}

/// As in `createdDateTimeUtc`: `2026-01-02T03:04:05.1230000Z`.
pub(crate) fn iso_8601(unix_ms: u64) -> String {
    let c = civil(unix_ms / 1000);
    let fraction = unix_ms % 1000 * 10_000;
    let (month, Civil { year, day, hour, minute, second, .. }) = (c.month + 1, c);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:07}Z")
}

/// As in the dates of a certificate: `2026-01-02T03:04:05Z`. Dates before 1970 are shown as its first second.
#[cfg(feature = "x509")]
pub(crate) fn iso_8601_seconds(unix_s: i64) -> String {
    let c = civil(u64::try_from(unix_s).unwrap_or_default());
    let (month, Civil { year, day, hour, minute, second, .. }) = (c.month + 1, c);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// As in the `Date` header (RFC 9110, 5.6.7): `Fri, 02 Jan 2026 03:04:05 GMT`.
pub(crate) fn http_date(unix_s: u64) -> String {
    let weekday = WEEKDAYS[(unix_s / DAY_S % 7) as usize];
    let c = civil(unix_s);
    let (month, Civil { year, day, hour, minute, second, .. }) = (MONTHS[c.month], c);
    format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_known_instants() {
        assert_eq!(http_date(0), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(http_date(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(http_date(951_782_400), "Tue, 29 Feb 2000 00:00:00 GMT");
        assert_eq!(http_date(4_107_542_400), "Mon, 01 Mar 2100 00:00:00 GMT");
        assert_eq!(iso_8601(1_767_323_045_123), "2026-01-02T03:04:05.1230000Z");
        assert_eq!(iso_8601(1_798_761_599_999), "2026-12-31T23:59:59.9990000Z");
    }
}
