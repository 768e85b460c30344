//! What is wrong with text that is not a key, for those who read error messages. No part of the text is repeated.
//!
//! Firmware that shows no error text does not link this.

use crate::error::KeyProblem;
use crate::text::is_hex;

/// What is wrong with text that is not a key.
pub(super) fn why_not_a_key(text: &str) -> KeyProblem {
    mistaken_for_a_key(text).unwrap_or_else(|| {
        let digits = text.trim_end_matches('=');
        let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
        let wrong = digits.bytes().enumerate().find(|(_, byte)| !is_digit(*byte));
        let padding = text.len().saturating_sub(digits.len());
        match wrong {
            Some((offset, b'\r' | b'\n')) => KeyProblem::LineBreak { offset },
            Some((offset, _)) => KeyProblem::NotBase64 { offset },
            None if padding > 2 || (padding > 0 && !text.len().is_multiple_of(4)) || digits.len() % 4 == 1 => {
                KeyProblem::Truncated
            }
            None => KeyProblem::Length { length: digits.len().saturating_mul(3) / 4 },
        }
    })
}

/// Recognizes what people paste where a key belongs.
fn mistaken_for_a_key(text: &str) -> Option<KeyProblem> {
    let contains = |needle: &str| {
        text.as_bytes().windows(needle.len()).any(|window| window.eq_ignore_ascii_case(needle.as_bytes()))
    };
    if text.is_empty() {
        Some(KeyProblem::Empty)
    } else if contains("-----BEGIN") {
        Some(KeyProblem::LooksLikePem)
    } else if contains("SharedAccessSignature ") {
        Some(KeyProblem::LooksLikeToken)
    } else if contains("HostName=") || contains("SharedAccessKey=") || contains("SharedAccessSignature") {
        Some(KeyProblem::LooksLikeConnectionString)
    } else if looks_like_assignment(text) {
        Some(KeyProblem::LooksLikeAssignment)
    } else if looks_like_hex(text.as_bytes()) {
        Some(KeyProblem::LooksLikeHex)
    } else {
        None
    }
}

/// `NAME=…`, perhaps after `export`. In a key, only its end has `=`.
fn looks_like_assignment(text: &str) -> bool {
    let text = text.strip_prefix("export ").or_else(|| text.strip_prefix("set ")).unwrap_or(text);
    text.split_once('=').is_some_and(|(name, value)| {
        !value.trim_start_matches('=').is_empty()
            && text.len() > 8
            && (1..=32).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    })
}

/// Hex digits are base64 as well, and of some other key. A key of the service's own lengths ends with padding, and is not
/// looked through.
pub(super) fn looks_like_hex(text: &[u8]) -> bool {
    text.len() >= 32 && text.len().is_multiple_of(2) && text.last() != Some(&b'=') && is_hex(text)
}
