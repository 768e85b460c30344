//! Lengths of time on the command line: a number with a unit.

use std::time::Duration;

/// The longest time taken: long enough for any token, short enough for every clock.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// Reads `500ms`, `90s`, `2m`, `1h` or `1d`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let digits_end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(digits_end);
    let number: u64 =
        digits.parse().map_err(|_| "give a whole number with a unit, such as 90s, 2m or 1h".to_owned())?;
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        "" => return Err(format!("the unit is missing: give {number}s, {number}m or {number}h")),
        other => return Err(format!("'{other}' is no unit: use ms, s, m, h or d")),
    };
    let length = Duration::from_millis(number.saturating_mul(unit_ms));
    match length {
        Duration::ZERO => Err("it must be longer than nothing".to_owned()),
        _ if length > LONGEST => Err("it is longer than 365 days".to_owned()),
        _ => Ok(length),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_with_a_unit_is_a_length_of_time() {
        for (text, ms) in [("500ms", 500), ("90s", 90_000), ("2m", 120_000), ("1h", 3_600_000), ("1d", 86_400_000)] {
            assert_eq!(duration(text).unwrap(), Duration::from_millis(ms));
        }
        for text in ["", "m", "0s", "-1s", "1.5h", "10", "1w", "2m30s", "999999999999999999999s", "99999d"] {
            assert!(duration(text).is_err(), "{text:?} was taken");
        }
    }
}
