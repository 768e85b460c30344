//! The URL of a webhook. Its query holds the function key: it is wiped when dropped, and shown only by `expose`.

use std::fmt;
use std::net::IpAddr;
use std::ops::Range;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

/// The longest URL, in bytes.
const URL_MAX: usize = 2048;
/// What is shown in place of a query, as the service shows it to a webhook (Azure documentation, "Understand custom
/// allocation policies").
const MASK: &str = "****";

/// Why a string is not the URL of a webhook. Repeats no part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WebhookUrlError {
    /// More than 2048 bytes.
    #[error("the webhook's URL has {0} bytes, more than 2048")]
    TooLong(usize),
    /// A character that a URL cannot have.
    #[error(
        "the webhook's URL has a character at offset {0} that a URL cannot have (such as a space or a line break); percent-encode or remove it"
    )]
    Character(usize),
    /// It begins with neither `https://` nor `http://`.
    #[error("the webhook's URL must begin with https:// or http://")]
    Scheme,
    /// It has a user name or a password before the host.
    #[error("the webhook's URL has user information before the host (user:password@); put a key into the query")]
    UserInformation,
    /// The host is missing or invalid.
    #[error(
        "the host of the webhook's URL is missing or invalid; it must be a name, an IPv4 address or [an IPv6 address]"
    )]
    Host,
    /// The port is not a number from 1 to 65535.
    #[error("the port of the webhook's URL is not a number from 1 to 65535")]
    Port,
    /// It has a fragment, which is never sent.
    #[error("the webhook's URL has a fragment (#), which cannot be sent; remove it")]
    Fragment,
}

/// The URL of an allocation webhook: `https://` or `http://`, a host, perhaps a port, a path, and a query with the
/// function key.
///
/// `Debug` and `Display` show it with `****` in place of the query.
///
/// ```
/// use dps_emulator::WebhookUrl;
///
/// let url = WebhookUrl::parse("https://allocate.azurewebsites.net/api/choose?code=c2VjcmV0").unwrap();
/// assert_eq!(url.to_string(), "https://allocate.azurewebsites.net/api/choose?****");
/// assert_eq!((url.host(), url.port()), ("allocate.azurewebsites.net", 443));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookUrl {
    text: Zeroizing<String>,
    is_https: bool,
    /// Where the host is, without brackets.
    host: Range<usize>,
    port: Option<u16>,
    /// Where the path begins.
    path: usize,
}

impl WebhookUrl {
    /// Reads a URL.
    ///
    /// # Errors
    /// [`WebhookUrlError`] says what is invalid, without repeating the text.
    pub fn parse(text: &str) -> Result<Self, WebhookUrlError> {
        if text.len() > URL_MAX {
            return Err(WebhookUrlError::TooLong(text.len()));
        }
        // The characters of RFC 3986, section 2.
        let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(byte);
        if let Some(at) = text.bytes().position(|byte| !allowed(&byte)) {
            return Err(WebhookUrlError::Character(at));
        }
        if text.contains('#') {
            return Err(WebhookUrlError::Fragment);
        }
        let starts_with =
            |scheme: &str| text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
        let (is_https, start) = match (starts_with("https://"), starts_with("http://")) {
            (true, _) => (true, "https://".len()),
            (_, true) => (false, "http://".len()),
            _ => return Err(WebhookUrlError::Scheme),
        };
        let path = text[start..].find(['/', '?']).map_or(text.len(), |at| start + at);
        let (host, port) = authority(&text[start..path])?;
        let host = start + host.start..start + host.end;
        Ok(Self { text: Zeroizing::new(text.to_owned()), is_https, host, port, path })
    }

    /// The whole text, with the function key. Named so that every use can be found.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// Whether it is called over TLS.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.is_https
    }

    /// The host: a name or an IP address, without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.text[self.host.clone()]
    }

    /// The port; 443 or 80 if the URL names none.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(if self.is_https { 443 } else { 80 })
    }

    /// The path and the query as they are sent, with the function key.
    #[cfg(feature = "server")]
    pub(crate) fn expose_target(&self) -> Zeroizing<String> {
        let rest = &self.text[self.path..];
        Zeroizing::new(if rest.starts_with('/') { rest.to_owned() } else { format!("/{rest}") })
    }

    /// The header `Host`: host and port as the URL names them.
    #[cfg(feature = "server")]
    pub(crate) fn authority(&self) -> &str {
        let start = if self.is_https { "https://".len() } else { "http://".len() };
        &self.text[start..self.path]
    }

    /// The URL as it is shown: with `****` in place of the query.
    pub(crate) fn masked(&self) -> Self {
        match self.text.split_once('?') {
            Some((before, _)) => Self { text: Zeroizing::new(format!("{before}?{MASK}")), ..self.clone() },
            None => self.clone(),
        }
    }

    /// Whether the query is missing because it was masked.
    pub(crate) fn is_masked(&self) -> bool {
        self.text.split_once('?').is_some_and(|(_, query)| query == MASK)
    }
}

/// Where the host is in `host`, `host:port` or `[address]:port`, and the port.
fn authority(text: &str) -> Result<(Range<usize>, Option<u16>), WebhookUrlError> {
    if text.contains('@') {
        return Err(WebhookUrlError::UserInformation);
    }
    let (host, rest) = match text.strip_prefix('[') {
        Some(inner) => {
            let end = inner.find(']').ok_or(WebhookUrlError::Host)?;
            let is_v6 = matches!(inner[..end].parse(), Ok(IpAddr::V6(_)));
            is_v6.then_some((1..1 + end, &inner[end + 1..])).ok_or(WebhookUrlError::Host)?
        }
        None => {
            let end = text.find(':').unwrap_or(text.len());
            let of_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
            let is_name = (1..=253).contains(&end) && text[..end].bytes().all(of_name);
            is_name.then_some((0..end, &text[end..])).ok_or(WebhookUrlError::Host)?
        }
    };
    let port = match rest.strip_prefix(':') {
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            let port = digits.parse().ok().filter(|port| *port > 0);
            Some(port.ok_or(WebhookUrlError::Port)?)
        }
        Some(_) => return Err(WebhookUrlError::Port),
        None if rest.is_empty() => None,
        None => return Err(WebhookUrlError::Host),
    };
    Ok((host, port))
}

impl fmt::Display for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked().text)
    }
}

impl fmt::Debug for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WebhookUrl({self})")
    }
}

/// The whole text, as the state directory keeps it. What is shown is masked before.
impl Serialize for WebhookUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for WebhookUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn webhook_url_is_parsed_into_host_and_port() {
        for (text, host, port) in [
            ("https://f.test/api/x?code=k", "f.test", 443),
            ("HTTP://f.test", "f.test", 80),
            ("http://127.0.0.1:7071/api", "127.0.0.1", 7071),
            ("http://[::1]:7071?code=k", "::1", 7071),
            ("https://[::1]/", "::1", 443),
        ] {
            let url = WebhookUrl::parse(text).unwrap();
            assert_eq!((url.host(), url.port(), url.expose()), (host, port, text));
            assert_eq!(url.is_https(), text.starts_with("https"));
        }
    }

    #[test]
    fn invalid_webhook_url_is_refused_with_its_problem() {
        let long = format!("https://f.test/{}", "x".repeat(URL_MAX));
        for (text, problem) in [
            ("", WebhookUrlError::Scheme),
            ("ftp://f.test/", WebhookUrlError::Scheme),
            ("f.test/api", WebhookUrlError::Scheme),
            ("https://user:word@f.test/", WebhookUrlError::UserInformation),
            ("https://f.test@10.0.0.1/", WebhookUrlError::UserInformation),
            ("https:///api", WebhookUrlError::Host),
            ("https://[::1", WebhookUrlError::Host),
            ("https://[127.0.0.1]/", WebhookUrlError::Host),
            ("https://[::1]x/", WebhookUrlError::Host),
            ("https://f.test:/", WebhookUrlError::Port),
            ("https://f.test:0/", WebhookUrlError::Port),
            ("https://f.test:65536/", WebhookUrlError::Port),
            ("https://f.test:+1/", WebhookUrlError::Port),
            ("https://f.test/#part", WebhookUrlError::Fragment),
            ("https://f.test/a b", WebhookUrlError::Character(16)),
            ("https://f.test/\r\nHost:x", WebhookUrlError::Character(15)),
            ("https://f.test/\\x", WebhookUrlError::Character(15)),
            (&long, WebhookUrlError::TooLong(long.len())),
        ] {
            assert_eq!(WebhookUrl::parse(text), Err(problem), "{text}");
        }
    }

    #[test]
    fn function_key_in_a_webhook_url_is_not_shown() {
        let url = WebhookUrl::parse("https://f.test:8443/api/x?code=c2VjcmV0&clientId=x").unwrap();
        assert_eq!(url.to_string(), "https://f.test:8443/api/x?****");
        assert_eq!(format!("{url:?}"), "WebhookUrl(https://f.test:8443/api/x?****)");
        assert!(url.masked().is_masked() && !url.is_masked());
        let plain = WebhookUrl::parse("http://localhost/api").unwrap();
        assert_eq!(plain.to_string(), "http://localhost/api");
    }
}
