//! PKCS#11 URIs (RFC 7512): what identifies a token and an object in it, and where the PIN comes from.
//!
//! Parsing is pure: it reads no file and loads no module. No part of a query, where a PIN may be, is in any error.

use std::fmt;
use std::path::PathBuf;

use dps_core::{ErrorCode, Hint};
use dps_files::SecretString;
use zeroize::Zeroizing;

use super::pin::Pin;
use crate::error::DpsError;

/// No URI is longer, in bytes.
const URI_MAX: usize = 4096;
/// The attributes of the path (RFC 7512, section 2.3).
const ATTRIBUTES: [&str; 13] = [
    "token",
    "manufacturer",
    "serial",
    "model",
    "object",
    "id",
    "type",
    "slot-id",
    "slot-description",
    "slot-manufacturer",
    "library-manufacturer",
    "library-description",
    "library-version",
];
/// The types of objects (RFC 7512, section 2.3).
const TYPES: [&[u8]; 5] = [b"public", b"private", b"cert", b"secret-key", b"data"];

/// A PKCS#11 URI, parsed.
#[derive(Clone)]
pub(super) struct Uri {
    /// The URI without its query, where a PIN may be.
    shown: String,
    attributes: Vec<(&'static str, Vec<u8>)>,
    pin: Option<Pin>,
}

impl Uri {
    /// Parses a URI. A PIN in it, as `pin-value`, is accepted only if `allow_pin` is set.
    ///
    /// # Errors
    /// `invalid-pkcs11-uri`.
    pub(super) fn parse(text: &str, allow_pin: bool) -> Result<Self, DpsError> {
        if text.len() > URI_MAX {
            return Err(invalid(&format!("it is longer than {URI_MAX} bytes")));
        }
        if text.chars().any(char::is_control) {
            return Err(invalid("it has a control character, such as a line break; remove it"));
        }
        let rest = text.get(..SCHEME.len()).filter(|scheme| scheme.eq_ignore_ascii_case(SCHEME));
        let rest = rest.and_then(|_| text.get(SCHEME.len()..));
        let rest =
            rest.ok_or_else(|| invalid("it does not begin with pkcs11:, as in pkcs11:token=Gateway;object=device-id"))?;
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut uri = Self { shown: format!("{SCHEME}{path}"), attributes: Vec::new(), pin: None };
        for attribute in path.split(';').filter(|attribute| !attribute.is_empty()) {
            uri.add_attribute(attribute)?;
        }
        for attribute in query.split('&').filter(|attribute| !attribute.is_empty()) {
            uri.add_query(attribute, allow_pin)?;
        }
        Ok(uri)
    }

    fn add_attribute(&mut self, attribute: &str) -> Result<(), DpsError> {
        let (name, value) = attribute.split_once('=').unwrap_or((attribute, ""));
        let Some(known) = ATTRIBUTES.into_iter().find(|known| *known == name) else {
            return Err(match name {
                "pin-source" | "pin-value" | "module-name" | "module-path" => {
                    invalid(&format!("`{name}` is an attribute of the query: write ? before it instead of ;"))
                }
                _ => invalid(&format!("the attribute {:?} is unknown", shortened(name))),
            });
        };
        if self.get(known).is_some() {
            return Err(invalid(&format!("the attribute `{known}` is there twice")));
        }
        let value = decode(known, value)?;
        let is_number = || std::str::from_utf8(&value).is_ok_and(|number| number.parse::<u64>().is_ok());
        if known == "slot-id" && !is_number() {
            return Err(invalid("`slot-id` is not a number"));
        }
        if known == "type" && !TYPES.contains(&value.as_slice()) {
            return Err(invalid("`type` must be one of public, private, cert, secret-key and data"));
        }
        self.attributes.push((known, value.to_vec()));
        Ok(())
    }

    fn add_query(&mut self, attribute: &str, allow_pin: bool) -> Result<(), DpsError> {
        let (name, value) = attribute.split_once('=').unwrap_or((attribute, ""));
        let pin = match name {
            "pin-source" => Pin::File(pin_file(&decode(name, value)?)?),
            "pin-value" if !allow_pin => {
                return Err(invalid(
                    "`pin-value` is accepted only in a configuration file: arguments can be seen by other users; use \
                     `pin-source=file:` or a file with the PIN",
                ));
            }
            "pin-value" => {
                let value = decode(name, value)?;
                let text = std::str::from_utf8(&value).map_err(|_| invalid("`pin-value` is not UTF-8"))?;
                Pin::Value(SecretString::from(text))
            }
            "module-path" | "module-name" => {
                return Err(invalid(&format!(
                    "`{name}` is not allowed: a URI does not choose which library is loaded; set the module by its own option"
                )));
            }
            _ => return Err(invalid(&format!("the attribute {:?} after ? is unknown", shortened(name)))),
        };
        if self.pin.replace(pin).is_some() {
            return Err(invalid("it has more than one PIN: keep one of `pin-source` and `pin-value`"));
        }
        Ok(())
    }

    /// The value of an attribute of the path; `None` if it is not there, and matches anything.
    pub(super) fn get(&self, name: &str) -> Option<&[u8]> {
        self.attributes.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_slice())
    }

    /// Whether a value from the module matches an attribute of the path.
    pub(super) fn matches(&self, name: &str, value: &str) -> bool {
        self.get(name).is_none_or(|wanted| wanted.trim_ascii_end() == value.trim_ascii_end().as_bytes())
    }

    /// Whether the path has one of these attributes.
    pub(super) fn has_any(&self, prefix: &str) -> bool {
        self.attributes.iter().any(|(name, _)| name.starts_with(prefix))
    }

    pub(super) fn pin(&self) -> Option<&Pin> {
        self.pin.as_ref()
    }
}

/// The URI without its query.
impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

const SCHEME: &str = "pkcs11:";

pub(super) fn invalid(words: &str) -> DpsError {
    let code = ErrorCode::InvalidPkcs11Uri;
    DpsError::config(code, format!("{}: {words}", code.text())).hinted(code.hints().iter().collect::<Vec<Hint>>())
}

/// The beginning of what may be anything.
fn shortened(text: &str) -> String {
    text.chars().take(32).collect()
}

/// Decodes percent-encoding (RFC 3986, section 2.1). Other characters stand for themselves, as IoT Edge writes URIs.
fn decode(name: &str, value: &str) -> Result<Zeroizing<Vec<u8>>, DpsError> {
    let mut decoded = Zeroizing::new(Vec::with_capacity(value.len()));
    let mut bytes = value.bytes();
    while let Some(byte) = bytes.next() {
        let byte = if byte == b'%' {
            let mut digit = || bytes.next().and_then(|digit| char::from(digit).to_digit(16));
            let pair = digit().zip(digit()).and_then(|(high, low)| u8::try_from(high * 16 + low).ok());
            pair.ok_or_else(|| {
                invalid(&format!("the value of `{name}` has a % that is not followed by two hexadecimal digits"))
            })?
        } else {
            byte
        };
        decoded.push(byte);
    }
    Ok(decoded)
}

/// The file that a `pin-source` refers to.
fn pin_file(source: &[u8]) -> Result<PathBuf, DpsError> {
    let source = std::str::from_utf8(source).map_err(|_| invalid("`pin-source` is not UTF-8"))?;
    if source.starts_with('|') {
        return Err(invalid("`pin-source` is a program, which is not run: use a file, as in pin-source=file:/run/pin"));
    }
    let uri = source.strip_prefix("file:").ok_or_else(|| {
        invalid("`pin-source` is not the URI of a file: write file: before its path, as in pin-source=file:/run/pin")
    })?;
    let path = match uri.strip_prefix("//") {
        Some(local) => local.strip_prefix("localhost").unwrap_or(local),
        None => uri,
    };
    let path = decode("pin-source", path)?;
    let path = std::str::from_utf8(&path).map_err(|_| invalid("`pin-source` is not UTF-8"))?;
    if !path.starts_with('/') || path.contains('\0') {
        return Err(invalid("`pin-source` has no absolute path of this machine, as in pin-source=file:/run/pin"));
    }
    // file:///C:/pin
    let drive = path.get(1..).filter(|rest| cfg!(windows) && rest.as_bytes().get(1) == Some(&b':'));
    Ok(PathBuf::from(drive.unwrap_or(path)))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn parse(text: &str) -> Result<Uri, DpsError> {
        Uri::parse(text, true)
    }

    #[test]
    fn uri_is_read_by_its_attributes() {
        let uri = parse("pkcs11:token=Key%20pairs;object=device id;id=%01%ff;type=private;slot-id=7").unwrap();
        assert_eq!(uri.get("token"), Some(b"Key pairs".as_slice()));
        assert_eq!(uri.get("object"), Some(b"device id".as_slice()));
        assert_eq!(uri.get("id"), Some([1, 255].as_slice()));
        assert_eq!(uri.get("serial"), None);
        assert!(uri.matches("token", "Key pairs") && !uri.matches("token", "Key") && uri.matches("serial", "anything"));
        assert!(parse("pkcs11:").unwrap().attributes.is_empty());
        assert!(parse("PKCS11:token=a;").is_ok());
    }

    #[test]
    fn pin_is_a_file_or_a_value_of_a_configuration_file() {
        for (source, path) in [
            ("file:/run/pin", "/run/pin"),
            ("file:///run/a%20pin", "/run/a pin"),
            ("file:///run/a%2520pin", "/run/a pin"),
            ("file://localhost/run/pin", "/run/pin"),
        ] {
            let uri = Uri::parse(&format!("pkcs11:token=a?pin-source={source}"), false).unwrap();
            assert!(matches!(uri.pin(), Some(Pin::File(file)) if file == Path::new(path)), "{source}");
        }
        let uri = parse("pkcs11:token=a?pin-value=12%3434").unwrap();
        assert!(matches!(uri.pin(), Some(Pin::Value(pin)) if pin.expose() == "12434"));
        let refused = Uri::parse("pkcs11:token=a?pin-value=9071", false).err().unwrap();
        assert_eq!(refused.code(), ErrorCode::InvalidPkcs11Uri);
        assert!(refused.message().contains("`pin-value`") && !refused.message().contains("9071"));
    }

    #[test]
    fn uri_that_cannot_be_used_is_refused_with_the_reason() {
        for (text, reason) in [
            ("token=a", "does not begin with pkcs11:"),
            ("", "does not begin with pkcs11:"),
            ("pkcs11:token=a;token=b", "`token` is there twice"),
            ("pkcs11:tokem=a", "\"tokem\" is unknown"),
            ("pkcs11:token=%4", "`token` has a %"),
            ("pkcs11:token=%zz", "`token` has a %"),
            ("pkcs11:token=a\n", "control character"),
            ("pkcs11:slot-id=zero", "`slot-id` is not a number"),
            ("pkcs11:type=secret", "`type` must be one of"),
            ("pkcs11:token=a;pin-value=9071", "attribute of the query"),
            ("pkcs11:token=a?module-path=/lib/x.so", "`module-path` is not allowed"),
            ("pkcs11:token=a?module-name=x", "`module-name` is not allowed"),
            ("pkcs11:token=a?pin-source=|/bin/pin", "not run"),
            ("pkcs11:token=a?pin-source=%7C/bin/pin", "not run"),
            ("pkcs11:token=a?pin-source=/run/pin", "write file:"),
            ("pkcs11:token=a?pin-source=file:pin", "no absolute path"),
            ("pkcs11:token=a?pin-source=file://server/pin", "no absolute path"),
            ("pkcs11:token=a?pin-source=file:/a&pin-value=9071", "more than one PIN"),
            ("pkcs11:token=a?pin=9071", "\"pin\" after ? is unknown"),
        ] {
            let refused = parse(text).err().unwrap();
            assert_eq!(refused.code(), ErrorCode::InvalidPkcs11Uri, "{text}");
            assert!(refused.message().contains(reason), "{text}: {refused}");
            assert!(!refused.message().contains("9071"), "{refused}");
        }
        assert!(parse(&format!("pkcs11:token={}", "a".repeat(5000))).is_err());
    }

    #[test]
    fn shown_uri_has_no_query() {
        assert_eq!(parse("pkcs11:token=a?pin-value=9071").unwrap().to_string(), "pkcs11:token=a");
    }
}
