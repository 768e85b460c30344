//! Base64 and percent-encoding as the service decodes them: padding and letter case are optional, everything else is
//! strict.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

pub(crate) fn encode_base64(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

pub(crate) fn decode_base64(text: &str) -> Option<Vec<u8>> {
    BASE64.decode(text).ok()
}

/// Decodes `%xx` of either case and nothing else: a bare `+` stays a plus. Returns `None` for an incomplete or invalid
/// escape, and when the result is not UTF-8.
pub(crate) fn percent_decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        out.push(match byte {
            b'%' => hex_digit(rest.next()?)? << 4 | hex_digit(rest.next()?)?,
            plain => plain,
        });
    }
    String::from_utf8(out).ok()
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

/// The decoded value of a query parameter; names compare without letter case.
pub(crate) fn query_member(query: &str, name: &str) -> Option<String> {
    query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .and_then(|(_, value)| percent_decode(value))
}

/// Whether this is `YYYY-MM-DD` or `YYYY-MM-DD-preview`.
pub(crate) fn is_api_version(text: &str) -> bool {
    let bytes = text.as_bytes();
    let Some((date, suffix)) = bytes.split_at_checked(10) else { return false };
    let in_range = |from: usize, range: std::ops::RangeInclusive<u32>| {
        text.get(from..from + 2).and_then(|two| two.parse().ok()).is_some_and(|number: u32| range.contains(&number))
    };
    let shaped =
        date.iter().enumerate().all(|(at, b)| if at == 4 || at == 7 { *b == b'-' } else { b.is_ascii_digit() });
    shaped && in_range(5, 1..=12) && in_range(8, 1..=31) && (suffix.is_empty() || suffix == b"-preview")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_decode_rejects_invalid_escapes() {
        assert_eq!(percent_decode("a%2Fb%2fc+d").as_deref(), Some("a/b/c+d"));
        for broken in ["%", "%2", "%zz", "%+1", "%ff"] {
            assert_eq!(percent_decode(broken), None, "{broken}");
        }
    }

    #[test]
    fn base64_padding_is_optional() {
        assert_eq!(decode_base64("AQ=="), Some(vec![1]));
        assert_eq!(decode_base64("AQ"), Some(vec![1]));
        assert_eq!(decode_base64("A_8="), None);
    }
}
