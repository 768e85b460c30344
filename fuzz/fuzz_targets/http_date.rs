//! HTTP dates against the `httpdate` crate.
#![no_main]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dps_core::codec::http::parse_date;
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;

/// The first second of the year 10000.
const END: u64 = 253_402_300_800;
/// The length of `Thu, 01 Jan 1970 00:00:00 GMT`; the obsolete forms have others, unless blanks that only the oracle
/// takes away (a vertical tab, those beyond ASCII) fill them up.
const LENGTH: usize = 29;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    seconds: u64,
    text: &'a str,
}

fuzz_target!(|input: Input<'_>| {
    let seconds = input.seconds % END;
    assert_eq!(parsed(&httpdate::fmt_http_date(at(seconds))), Some(seconds));

    let text = input.text.trim_ascii();
    let theirs = httpdate::parse_http_date(text).ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    match (parsed(text), theirs.map(|since| since.as_secs())) {
        (Some(ours), Some(theirs)) => assert_eq!(ours, theirs),
        (None, Some(_)) => assert!(text.len() != LENGTH || text != text.trim(), "{text:?}"),
        (Some(ours), None) => assert!(is_told_loosely(text, ours), "{text:?}"),
        (None, None) => {}
    }
    assert_eq!(parsed(input.text), parsed(text));
});

fn parsed(text: &str) -> Option<u64> {
    parse_date(text).map(|time| time.get())
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

/// What the core accepts and the oracle does not: any name of the day, a leap second, a day past the month's end.
fn is_told_loosely(text: &str, seconds: u64) -> bool {
    let leap_second = text.as_bytes()[23..25] == *b"60";
    let late_day = matches!(&text.as_bytes()[5..7], b"29" | b"30" | b"31");
    leap_second || late_day || httpdate::fmt_http_date(at(seconds)).as_bytes()[3..] == text.as_bytes()[3..]
}
