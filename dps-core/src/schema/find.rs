//! A second walk over a reply's body, for members that only some callers need: the challenge for a TPM, an issued
//! certificate chain, the hub's profile. Images that do not call it do not link it.
//!
//! It expects a body that [`read_body`](super::read_body) has accepted, whatever was unescaped in it since, and does not
//! check it again. Of two equal members the last counts. Offsets and ranges count from the start of the body.

use core::ops::Range;

use super::json::Span;
use super::string::{self, FRAME};
use crate::text::decode_base64;

/// Returns the offset of a member's value, without a change to the body. `path` has the keys from the outermost object
/// to the member.
#[must_use]
pub fn find(body: &[u8], path: &[&str]) -> Option<usize> {
    let mut scan = Scan { body, at: 0 };
    let mut found = None;
    // The number of arrays and objects around `at`, and how many of them, after the outermost, are those of the path.
    let (mut depth, mut entered) = (0_usize, 0_usize);
    loop {
        let byte = scan.byte()?;
        if matches!(byte, b'"' | FRAME | DECODED) {
            let key = scan.string();
            let is_next = depth == entered.wrapping_add(1)
                && path.get(entered).is_some_and(|name| string::is_name(body, key, name.as_bytes()));
            scan.skip_blanks();
            if is_next && scan.byte() == Some(b':') {
                scan.step();
                scan.skip_blanks();
                if depth == path.len() {
                    found = Some(scan.at);
                } else if scan.byte() == Some(b'{') {
                    entered = depth;
                }
            }
            continue;
        }
        scan.step();
        if matches!(byte, b'{' | b'[') {
            depth = depth.wrapping_add(1);
        } else if matches!(byte, b'}' | b']') {
            depth = depth.wrapping_sub(1);
            if depth == 0 {
                return found;
            }
            entered = entered.min(depth.wrapping_sub(1));
        }
    }
}

/// Finds a string, unescapes it where it is, and returns its range. `None` when the member is missing or not a
/// string.
///
/// ```
/// # use dps_core::internal::schema::find::find_string;
/// let mut body = *br#"{"message":"TPM","authenticationKey":"AC\u0034\/AQ=="}"#;
/// let challenge = find_string(&mut body, &["authenticationKey"]).map(|range| &body[range]);
/// assert_eq!(challenge, Some(&b"AC4/AQ=="[..]));
/// ```
#[must_use]
pub fn find_string(body: &mut [u8], path: &[&str]) -> Option<Range<usize>> {
    let at = find(body, path)?;
    string_at(body, at)
}

/// Finds a string in an array by its `index`, unescapes it where it is, and returns its range. `None` when there is no
/// such member, it is not an array, the array has no such element, or that is not a string.
///
/// ```
/// # use dps_core::internal::schema::find::find_element;
/// let mut body = *br#"{"registrationState":{"issuedCertificateChain":["MIIB","MI\u0049C"]}}"#;
/// let path = ["registrationState", "issuedCertificateChain"];
/// let root = find_element(&mut body, &path, 1).map(|range| &body[range]);
/// assert_eq!(root, Some(&b"MIIC"[..]));
/// assert_eq!(find_element(&mut body, &path, 2), None);
/// ```
#[must_use]
pub fn find_element(body: &mut [u8], path: &[&str], index: usize) -> Option<Range<usize>> {
    let at = find(body, path)?;
    let at = element_at(body, at, index)?;
    string_at(body, at)
}

/// Decodes the base64 string at `at` in place, and returns the range of its bytes; further calls return the same. `None` when
/// there is no string, it is not base64, or it has less than 20 digits: every key and certificate of the service is longer.
///
/// A string that was decoded begins with `DECODED`, its whole length and that of its bytes, so that it is still skipped.
#[must_use]
pub fn bytes_at(body: &mut [u8], at: usize) -> Option<Range<usize>> {
    let start = at.checked_add(HEAD)?;
    if body.get(at) == Some(&DECODED) {
        return Some(start..start.checked_add(number_at(body, at.checked_add(4)?))?);
    }
    let text = string_at(body, at)?;
    let mut scan = Scan { body, at };
    scan.string();
    let whole = scan.at.checked_sub(at)?;
    let length = decode(body, text.clone(), false).filter(|_| text.len() >= 20)?;
    decode(body, text.clone(), true)?;
    for index in (0..length).rev() {
        let byte = body.get(text.start.wrapping_add(index)).copied()?;
        string::put(body, start.wrapping_add(index), byte);
    }
    string::put(body, at, DECODED);
    put_number(body, at.wrapping_add(1), whole);
    put_number(body, at.wrapping_add(4), length);
    Some(start..start.checked_add(length)?)
}

/// A byte that no UTF-8 has, in place of the opening quote of a string that was decoded.
const DECODED: u8 = 0xFE;
/// [`DECODED`] and two numbers of three bytes.
const HEAD: usize = 7;

fn number_at(body: &[u8], at: usize) -> usize {
    body.iter().skip(at).take(3).fold(0, |number, byte| (number << 8) | usize::from(*byte))
}

fn put_number(body: &mut [u8], at: usize, number: usize) {
    for (index, shift) in [16, 8, 0].into_iter().enumerate() {
        string::put(body, at.wrapping_add(index), (number >> shift) as u8);
    }
}

/// Decodes base64 and returns the number of bytes; writes them over its beginning only if `writes`.
fn decode(body: &mut [u8], text: Range<usize>, writes: bool) -> Option<usize> {
    let (mut from, mut to) = (text.start, text.start);
    while from < text.end {
        let next = from.saturating_add(4).min(text.end);
        let mut bytes = [0; 3];
        let length = decode_base64(body.get(from..next)?, &mut bytes)?;
        // Padding is at the end only.
        if length < bytes.len() && next < text.end {
            return None;
        }
        for byte in bytes.iter().take(length) {
            if writes {
                string::put(body, to, *byte);
            }
            to = to.wrapping_add(1);
        }
        from = next;
    }
    to.checked_sub(text.start)
}

/// The offset of an element of the array at `at`, or that of the closing bracket where the array is empty. `None` past the
/// last element, and for a value that is not an array.
pub(crate) fn element_at(body: &[u8], at: usize, index: usize) -> Option<usize> {
    let mut scan = Scan { body, at };
    if scan.byte() != Some(b'[') {
        return None;
    }
    scan.step();
    let (mut depth, mut index) = (0_usize, index);
    while depth > 0 || index > 0 {
        let byte = scan.byte()?;
        if matches!(byte, b'"' | FRAME | DECODED) {
            scan.string();
            continue;
        }
        scan.step();
        match byte {
            b'{' | b'[' => depth = depth.wrapping_add(1),
            b'}' | b']' => depth = depth.checked_sub(1)?,
            b',' if depth == 0 => index = index.wrapping_sub(1),
            _ => {}
        }
    }
    scan.skip_blanks();
    Some(scan.at)
}

/// The range of the string at `at`, which is unescaped unless it was before.
pub(crate) fn string_at(body: &mut [u8], at: usize) -> Option<Range<usize>> {
    let mut scan = Scan { body, at };
    let string = match scan.byte()? {
        b'"' => {
            scan.string();
            let end = scan.at;
            string::unescape(body, Span { start: at, end })
        }
        FRAME => scan.string(),
        _ => return None,
    };
    Some(string.start..string.end)
}

/// A place in a body that was checked.
struct Scan<'b> {
    body: &'b [u8],
    at: usize,
}

impl Scan<'_> {
    fn byte(&self) -> Option<u8> {
        self.body.get(self.at).copied()
    }

    fn step(&mut self) {
        self.at = self.at.wrapping_add(1);
    }

    fn skip_blanks(&mut self) {
        while matches!(self.byte(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.step();
        }
    }

    /// Skips a string with its quotes or frame, and returns where it is.
    fn string(&mut self) -> Span {
        if self.byte() == Some(DECODED) {
            let start = self.at;
            self.at = start.wrapping_add(number_at(self.body, start.wrapping_add(1)).max(1));
            return Span { start, end: self.at };
        }
        let is_framed = self.byte() == Some(FRAME);
        self.step();
        let start = self.at;
        while let Some(byte) = self.byte() {
            if byte == if is_framed { FRAME } else { b'"' } {
                break;
            }
            if byte == b'\\' && !is_framed {
                self.step();
            }
            self.step();
        }
        let end = self.at;
        self.step();
        while is_framed && self.byte() == Some(FRAME) {
            self.step();
        }
        Span { start, end }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::message::Body;
    use crate::schema::read_body;
    use proptest::prelude::*;
    use std::string::{String, ToString};
    use std::vec::Vec;

    /// The body after its first walk.
    fn read(text: &str) -> Vec<u8> {
        let mut body = Vec::from(text);
        read_body(&mut body, &mut Body::default()).unwrap();
        body
    }

    fn string(body: &mut [u8], path: &[&str]) -> Option<String> {
        find_string(body, path).map(|range| String::from_utf8(body[range].to_vec()).unwrap())
    }

    fn element(body: &mut [u8], path: &[&str], index: usize) -> Option<String> {
        find_element(body, path, index).map(|range| String::from_utf8(body[range].to_vec()).unwrap())
    }

    #[test]
    fn base64_is_decoded_in_place_and_the_rest_is_still_found() {
        let digits = "/v8AAQIDBAUGBwgJCgsMDQ4PEBES\\u0045w==";
        let mut body = read(&std::format!("{{\"a\":{{\"k\":[\"{digits}\",\"{digits}\"]}},\"z\":\"last\"}}"));
        let bytes = [&[0xFE, 0xFF][..], &(0..=19).collect::<Vec<u8>>()].concat();
        for _ in 0..2 {
            for index in 0..2 {
                let list = find(&body, &["a", "k"]).unwrap();
                let at = element_at(&body, list, index).unwrap();
                let range = bytes_at(&mut body, at).unwrap();
                assert_eq!(body[range], bytes);
            }
            assert_eq!(string(&mut body, &["z"]).as_deref(), Some("last"));
            assert_eq!(element(&mut body, &["a", "k"], 2), None);
        }
    }

    #[test]
    fn strings_that_are_not_base64_are_not_changed() {
        for wrong in [
            "AAAA",
            "AAAA==AAAAAAAAAAAAAAAAAA",
            "AA==AAAAAAAAAAAAAAAAAAAA",
            "AAAAAAAAAAAAAAAAAAAAA",
            "AAAAAAAAAAAAAAAAAAAA-AAA",
            "",
        ] {
            let mut body = read(&std::format!("{{\"k\":\"{wrong}\"}}"));
            let at = find(&body, &["k"]).unwrap();
            assert_eq!(bytes_at(&mut body, at), None, "{wrong}");
            assert_eq!(string(&mut body, &["k"]).as_deref(), Some(wrong));
        }
        let mut body = read("{\"k\":7}");
        assert_eq!(bytes_at(&mut body, 5), None);
        assert_eq!(bytes_at(&mut body, 500), None);
    }

    #[test]
    fn challenge_of_a_401_is_found_after_a_message_that_was_unescaped() {
        let mut body = read(
            r#"{"errorCode":401002,"message":"say \"TPM\\\u007d,\n\"authenticationKey\":\"","authenticationKey":"AB\u002B\/==" , "keyName":"registration"}"#,
        );
        assert!(find(&body, &["authenticationKey"]).is_some());
        for _ in 0..2 {
            assert_eq!(string(&mut body, &["authenticationKey"]).as_deref(), Some("AB+/=="), "as often as it is asked");
        }
        assert_eq!(string(&mut body, &["keyName"]).as_deref(), Some("registration"));
        assert_eq!(string(&mut body, &["message"]).as_deref(), Some("say \"TPM\\},\n\"authenticationKey\":\""));
    }

    #[test]
    fn key_for_the_hub_chain_and_profile_are_found_in_the_registration_state() {
        let mut body = read(
            r#"{"tpm":{"authenticationKey":"no"},"operationId":"\u0035.0","registrationState":{"x":[{"tpm":1}],"assignedHub":"h\u002da",
               "tpm":{"y":{"authenticationKey":"no"},"authenticationKey":"Q\u0051=="},"issuedCertificateChain":[ "TEVBR\u0067==" ,{},"Uk9P\/A=="],
               "connectionProfile" : "mqtt\u00565"}}"#,
        );
        assert_eq!(string(&mut body, &["registrationState", "tpm", "authenticationKey"]).as_deref(), Some("QQ=="));
        assert_eq!(string(&mut body, &["registrationState", "connectionProfile"]).as_deref(), Some("mqttV5"));
        let chain = ["registrationState", "issuedCertificateChain"];
        for _ in 0..2 {
            let elements: Vec<_> = (0..4).map(|index| element(&mut body, &chain, index)).collect();
            assert_eq!(elements, [Some("TEVBRg==".to_string()), None, Some("Uk9P/A==".to_string()), None]);
        }
        assert_eq!(string(&mut body, &["registrationState", "assignedHub"]).as_deref(), Some("h-a"));
    }

    #[test]
    fn missing_member_or_other_type_is_not_found() {
        let mut body = read(
            r#"{"registrationState":{"issuedCertificateChain":[],"connectionProfile":null,"tpm":[]},"a":"b","a":7}"#,
        );
        assert_eq!(element(&mut body, &["registrationState", "issuedCertificateChain"], 0), None);
        assert_eq!(string(&mut body, &["registrationState", "issuedCertificateChain"]), None);
        assert_eq!(string(&mut body, &["registrationState", "connectionProfile"]), None);
        assert_eq!(element(&mut body, &["registrationState", "connectionProfile"], 0), None);
        assert_eq!(string(&mut body, &["registrationState", "tpm", "authenticationKey"]), None);
        assert_eq!(string(&mut body, &["connectionProfile"]), None);
        assert_eq!(string(&mut body, &["a"]), None, "the last of two counts");
        assert_eq!(find(&body, &[]), None);
    }

    proptest! {
        #[test]
        fn strings_are_found_as_serde_json_finds_them(
            texts in prop::collection::vec("[\\PC\"\\\\{}\\[\\],:\n]{0,12}", 6),
            rotation in 0..7_usize,
        ) {
            let member = |name: &str, value: serde_json::Value| (name.to_string(), value);
            let mut members = [
                member("message", texts[0].as_str().into()),
                member("trackingId", texts[1].as_str().into()),
                member("other", serde_json::json!({ "wanted": texts[2], "chain": [[texts[3]], texts[0]] })),
                member("wanted", texts[2].as_str().into()),
                member("chain", serde_json::json!([texts[3], { "wanted": texts[4] }, texts[4], [texts[2], 1.5]])),
                member("registrationState", serde_json::json!({ "deviceId": texts[0], "chain": texts, "in": { "wanted": texts[5] } })),
                member("payload", serde_json::json!({ "wanted": texts[1] })),
            ];
            members.rotate_left(rotation);
            let text: Vec<String> = members.iter().map(|(name, value)| std::format!("\"{name}\" : {value}")).collect();
            let text = std::format!("{{{}}}", text.join(","));
            let expected: serde_json::Value = serde_json::from_str(&text).unwrap();
            let mut body = read(&text);
            for path in [&["wanted"][..], &["registrationState", "in", "wanted"], &["other", "wanted"], &["payload", "wanted"], &["message"], &["registrationState", "deviceId"]] {
                let pointer = std::format!("/{}", path.join("/"));
                prop_assert_eq!(string(&mut body, path), expected.pointer(&pointer).unwrap().as_str().map(String::from), "{}", pointer);
            }
            for path in [&["chain"][..], &["registrationState", "chain"], &["other", "chain"]] {
                for index in 0..7 {
                    let pointer = std::format!("/{}/{index}", path.join("/"));
                    let theirs = expected.pointer(&pointer).and_then(|value| value.as_str()).map(String::from);
                    prop_assert_eq!(element(&mut body, path, index), theirs, "{}", pointer);
                }
            }
        }

        #[test]
        fn any_bytes_are_searched_without_panic(mut bytes in prop::collection::vec(prop::sample::select(b"{}[]:,\"\\a0 \xFF\x80u".to_vec()), 0..40), index in 0..4_usize) {
            let _ = find_string(&mut bytes, &["a"]);
            let _ = find_element(&mut bytes, &["a", "a"], index);
        }
    }
}
