//! HTTP dates in the one form that is sent today, `Thu, 01 Jan 2026 00:00:00 GMT` (IMF-fixdate, RFC 9110, section
//! 5.6.7). The two obsolete forms are not read. No clock, no 64-bit division.

use crate::text::parse_decimal;
use crate::time::UnixSeconds;

/// What every date has in common; `?` is for what differs.
const FORM: &[u8] = b"???, ?? ??? ???? ??:??:?? GMT";
const MONTHS: &[u8] = b"JanFebMarAprMayJunJulAugSepOctNovDec";

/// Reads a date from 1970 on; `None` for anything else. The name of the day is not checked.
#[must_use]
pub fn parse_date(date: impl AsRef<[u8]>) -> Option<UnixSeconds> {
    parse_bytes(date.as_ref().trim_ascii())
}

fn parse_bytes(date: &[u8]) -> Option<UnixSeconds> {
    let has_form = FORM.iter().zip(date).all(|(form, byte)| *form == b'?' || form == byte);
    if date.len() != FORM.len() || !has_form {
        return None;
    }
    // The number of `length` digits at `at`, from `least` to `most`.
    let number = |at: usize, length: usize, least: u32, most: u32| {
        parse_decimal(date.get(at..at.wrapping_add(length))?).filter(|number| (least..=most).contains(number))
    };
    let name = date.get(8..11)?;
    let month = MONTHS.chunks(3).position(|month| month == name)? as u32;
    let days = days_since_1970(number(12, 4, 1970, 9999)?, month, number(5, 2, 1, 31)?);
    // A leap second is written as 60.
    let (hour, minute, second) = (number(17, 2, 0, 23)?, number(20, 2, 0, 59)?, number(23, 2, 0, 60)?);
    let of_day = hour.wrapping_mul(3600).wrapping_add(minute.wrapping_mul(60)).wrapping_add(second);
    Some(UnixSeconds::new(u64::from(days).wrapping_mul(86_400)).plus(u64::from(of_day)))
}

/// `month` counts from 0. The year is taken to begin in March, so that the leap day comes last.
fn days_since_1970(year: u32, month: u32, day: u32) -> u32 {
    let (year, month) =
        if month < 2 { (year.wrapping_sub(1), month.wrapping_add(10)) } else { (year, month.wrapping_sub(2)) };
    let leap_days = (year / 4).wrapping_sub(year / 100).wrapping_add(year / 400);
    let before_month = month.wrapping_mul(153).wrapping_add(2) / 5;
    // 719,469 days lie between 1 March of the year 0 and 1 January 1970, one more for days that count from 1.
    year.wrapping_mul(365).wrapping_add(leap_days).wrapping_add(before_month).wrapping_add(day).wrapping_sub(719_469)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    #[test]
    fn dates_are_read() {
        for (text, seconds) in [
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777),
            ("Tue, 29 Feb 2000 12:00:00 GMT", 951_825_600),
            ("Thu, 01 Jan 2026 00:00:00 GMT", 1_767_225_600),
            ("Sat, 31 Dec 2016 23:59:60 GMT", 1_483_228_800),
            ("Thu, 31 Dec 2099 23:59:59 GMT", 4_102_444_799),
        ] {
            assert_eq!(parse_date(text), Some(UnixSeconds::new(seconds)), "{text}");
        }
    }

    #[test]
    fn every_day_follows_the_one_before() {
        const NAMES: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let mut seconds = 0;
        for year in 1970..2500_u32 {
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let lengths = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
            for (name, length) in NAMES.into_iter().zip(lengths) {
                for day in 1..=length {
                    let text = std::format!("Mon, {day:02} {name} {year} 00:00:00 GMT");
                    assert_eq!(parse_date(&text), Some(UnixSeconds::new(seconds)), "{text}");
                    seconds += 86_400;
                }
            }
        }
    }

    #[test]
    fn anything_else_is_none() {
        for text in [
            "",
            "1767225600",
            "Thu, 01 Jan 2026 00:00:00",
            "Thu, 01 Foo 2026 00:00:00 GMT",
            "Thu, 00 Jan 2026 00:00:00 GMT",
            "Thu, 01 Jan 1969 00:00:00 GMT",
            "Thu, 32 Jan 2026 00:00:00 GMT",
            "Thu, 01 Jan 2026 24:00:00 GMT",
            "Thu, 01 Jan 2026 00:60:00 GMT",
            "Thu, 01 Jan 2026 00:00:61 GMT",
            "Thu, 01 Jan 2026 00:6x:00 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
        ] {
            assert_eq!(parse_date(text), None, "{text}");
        }
    }
}
