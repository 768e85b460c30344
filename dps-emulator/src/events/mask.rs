//! What clients send, without secrets: known keys, signatures, and members that hold a key are masked.

use serde_json::Value;
use zeroize::Zeroizing;

use super::bounded;
use crate::credentials::SymmetricKey;

const MASKED: &str = "[masked]";
/// The longest body that is recorded, as JSON, in bytes.
const BODY_MAX: usize = 4096;
/// Members whose string is a secret, or would be one at the service.
const SECRET_MEMBERS: [&str; 10] = [
    "authenticationkey",
    "unencryptedauthenticationkey",
    "primarykey",
    "secondarykey",
    "symmetrickey",
    "sharedaccesskey",
    "connectionstring",
    "password",
    "token",
    "sig",
];
/// After these names and `=` follows a secret, up to the next `&`, `;`, quote or space.
const SECRET_PARAMETERS: [&str; 3] = ["sig", "sharedaccesskey", "code"];

/// Removes secrets from what is recorded, and notes where a key was found.
#[derive(Default)]
pub(crate) struct Mask {
    /// As base64 without padding, since clients write keys with and without it.
    keys: Vec<Zeroizing<String>>,
    exposed: Vec<&'static str>,
}

impl Mask {
    /// Masks these keys.
    pub(crate) fn new<'a>(keys: impl IntoIterator<Item = &'a SymmetricKey>) -> Self {
        let keys = keys.into_iter().map(|key| Zeroizing::new(key.expose().trim_end_matches('=').to_owned()));
        Self { keys: keys.collect(), exposed: Vec::new() }
    }

    /// Where keys were found since the last call.
    pub(crate) fn exposed(&mut self) -> Vec<&'static str> {
        std::mem::take(&mut self.exposed)
    }

    /// The beginning of a string that the client has sent at `place`. Whatever looks like a key is masked too: a client may
    /// send a key that the service does not know.
    pub(crate) fn text(&mut self, place: &'static str, text: &str) -> String {
        bounded(&mask_values(&self.mask_keys(place, text.to_owned())))
    }

    /// A body as JSON; `None` if it is not JSON, or too large to be recorded.
    pub(crate) fn json(&mut self, place: &'static str, body: &[u8]) -> Option<String> {
        let mut value = serde_json::from_slice(body.get(..).filter(|body| body.len() <= 2 * BODY_MAX)?).ok()?;
        mask_members(&mut value);
        let text = self.mask_keys(place, value.to_string());
        (text.len() <= BODY_MAX).then_some(text)
    }

    /// Only searches a body that is not recorded.
    pub(crate) fn search(&mut self, place: &'static str, body: &[u8]) {
        let found = |key: &Zeroizing<String>| body.windows(key.len()).any(|part| part == key.as_bytes());
        if self.keys.iter().any(found) {
            self.note(place);
        }
    }

    fn mask_keys(&mut self, place: &'static str, mut text: String) -> String {
        for number in 0..self.keys.len() {
            let key = self.keys[number].as_str();
            if text.contains(key) {
                text = text.replace(key, MASKED);
                self.note(place);
            }
        }
        text
    }

    fn note(&mut self, place: &'static str) {
        if !self.exposed.contains(&place) {
            self.exposed.push(place);
        }
    }
}

fn mask_members(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                match value {
                    Value::String(text) if SECRET_MEMBERS.iter().any(|secret| name.eq_ignore_ascii_case(secret)) => {
                        *text = MASKED.into();
                    }
                    _ => mask_members(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(mask_members),
        Value::String(text) if text.contains('=') => *text = mask_values(text),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Masks what follows the names of secrets, and base64 of 32 or 64 bytes with its padding, the sizes of derived and of generated
/// keys. One pass: what anybody can send must not take a time that grows with the square of its length.
fn mask_values(text: &str) -> String {
    // The longer first; what is before the key may be base64 too, such as a path.
    const KEY_LENGTHS: [usize; 2] = [86, 43];
    let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    let (mut masked, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(end) = rest.find('=') {
        let before = &rest.as_bytes()[..end];
        let run = before.iter().rev().take_while(|byte| is_base64(byte)).count();
        let is_secret = SECRET_PARAMETERS.iter().any(|name| ends_with(before, name));
        match KEY_LENGTHS.into_iter().find(|length| run >= *length) {
            Some(length) => {
                masked.push_str(&rest[..end - length]);
                masked.push_str(MASKED);
                rest = rest[end..].trim_start_matches('=');
            }
            None => {
                masked.push_str(&rest[..=end]);
                rest = &rest[end + 1..];
            }
        }
        if is_secret {
            masked.push_str(MASKED);
            rest = &rest[rest.find(['&', ';', '"', '\'', ' ']).unwrap_or(rest.len())..];
        }
    }
    masked.push_str(rest);
    masked
}

/// Whether it ends with this name, in upper or lower case.
fn ends_with(text: &[u8], name: &str) -> bool {
    text.len().checked_sub(name.len()).is_some_and(|at| text[at..].eq_ignore_ascii_case(name.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=";

    #[test]
    fn keys_are_masked_wherever_they_are_and_reported() {
        let key = SymmetricKey::from_base64(KEY).unwrap();
        let mut mask = Mask::new([&key]);
        assert_eq!(mask.text("user-agent", "fw 1.2"), "fw 1.2");
        assert_eq!(mask.text("user-agent", &format!("fw {KEY}")), "fw [masked]=");
        assert_eq!(Mask::default().text("path", &format!("/a/{KEY}/b=c")), "/a/[masked]/b=c", "an unknown key");
        let long = "A".repeat(86);
        assert_eq!(Mask::default().text("topic", &format!("$rid={long}==")), "$rid=[masked]");
        assert_eq!(Mask::default().text("topic", "$rid=12&b=AAAA=="), "$rid=12&b=AAAA==");
        let body = format!(r#"{{"payload":{{"{KEY}":1,"b":["{}"]}}}}"#, KEY.trim_end_matches('='));
        assert_eq!(mask.json("body", body.as_bytes()).unwrap(), r#"{"payload":{"[masked]=":1,"b":["[masked]"]}}"#);
        mask.search("body", KEY.as_bytes());
        assert_eq!(mask.exposed(), ["user-agent", "body"]);
    }

    #[test]
    fn signatures_and_members_that_hold_keys_are_masked() {
        let mut mask = Mask::default();
        let token = "SharedAccessSignature sr=a&SIG=abc%3d&se=1 Sig=def";
        assert_eq!(mask.text("path", token), "SharedAccessSignature sr=a&SIG=[masked]&se=1 Sig=[masked]");
        let several = "a=1&sig=x&SIG=y;code=z sig=";
        assert_eq!(mask.text("path", several), "a=1&sig=[masked]&SIG=[masked];code=[masked] sig=[masked]");
        assert_eq!(mask.text("path", "code=sig=x&é=1"), "code=[masked]&é=1");
        assert_eq!(
            mask.text("path", &format!("{}sig=x", "A".repeat(41))),
            "A[masked][masked]",
            "a key and a signature"
        );
        let body = br#"{"tpm":{"authenticationKey":"AAAA"},"symmetricKey":{"primaryKey":"x"},"t":"a?code=b"}"#;
        let masked: Value = serde_json::from_str(&mask.json("body", body).unwrap()).unwrap();
        assert_eq!(masked["tpm"]["authenticationKey"], MASKED);
        assert_eq!((&masked["symmetricKey"]["primaryKey"], &masked["t"]), (&MASKED.into(), &"a?code=[masked]".into()));
        assert!(mask.exposed().is_empty());
    }

    #[test]
    fn body_that_is_large_or_not_json_is_not_recorded() {
        let mut mask = Mask::default();
        assert_eq!(mask.json("body", b"<html>"), None);
        assert_eq!(mask.json("body", format!("\"{}\"", "x".repeat(BODY_MAX)).as_bytes()), None);
        assert_eq!(mask.json("body", format!("\"{}\"", "x".repeat(BODY_MAX - 2)).as_bytes()).unwrap().len(), BODY_MAX);
        assert_eq!(mask.text("path", &"é".repeat(300)).chars().count(), 256);
    }
}
