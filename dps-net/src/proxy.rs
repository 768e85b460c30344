//! An HTTP proxy: its address and its credentials, read from a URL.
//!
//! A password is wiped when dropped and never shown. Which proxy is on the way is found in `proxy_choice`; what is said
//! to it is in `dial`.

use std::borrow::Cow;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use thiserror::Error;
use url::{Host, Url};
use zeroize::Zeroizing;

/// The port of a proxy that names none, as `curl` has it.
const DEFAULT_PORT: u16 = 1080;

/// An HTTP proxy that opens tunnels with CONNECT (RFC 9110, section 9.3.6), with Basic credentials or without.
#[derive(Clone)]
pub struct Proxy {
    host: String,
    port: u16,
    user: Option<String>,
    password: Option<Zeroizing<String>>,
    source: Cow<'static, str>,
}

/// A proxy that cannot be used. Nothing of a password is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ProxyError {
    /// It is no URL.
    #[error("the proxy cannot be used: it is no URL; give http://HOST:PORT or http://USER@HOST:PORT")]
    NoUrl,
    /// It is of another kind.
    #[error("the proxy cannot be used: only proxies that are spoken to over http:// are supported")]
    Scheme,
    /// The user name or password is no text.
    #[error("the proxy cannot be used: its user name or password is no text in UTF-8")]
    Credentials,
    /// The user name or password holds a character that ends it in a URL.
    #[error(
        "the proxy cannot be used: its user name or password has a character that must be percent-encoded; \
         write @ as %40, # as %23, % as %25, / as %2F, ? as %3F, : as %3A"
    )]
    NotEncoded,
    /// A password without a name.
    #[error("the proxy's password has no user name; give http://USER@HOST:PORT")]
    NoUser,
}

impl Proxy {
    /// Reads `http://[USER[:PASSWORD]@]HOST[:PORT]`, or `HOST:PORT`; user name and password are percent-encoded.
    ///
    /// # Errors
    /// [`ProxyError`] when it is no such URL.
    pub fn parse(text: &str) -> Result<Self, ProxyError> {
        let text = text.trim();
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        // The credentials are taken out first: the URL library keeps copies of what it parses.
        let (credentials, address) = split_credentials(rest)?;
        let url = Url::parse(&format!("{scheme}://{address}")).map_err(|_| ProxyError::NoUrl)?;
        if url.scheme() != "http" {
            return Err(ProxyError::Scheme);
        }
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err(ProxyError::NoUrl);
        }
        let host = match url.host().ok_or(ProxyError::NoUrl)? {
            Host::Domain(name) => name.to_owned(),
            Host::Ipv4(address) => address.to_string(),
            Host::Ipv6(address) => address.to_string(),
        };
        let port = url.port().or_else(|| port_80(address)).unwrap_or(DEFAULT_PORT);
        if port == 0 {
            return Err(ProxyError::NoUrl);
        }
        let (user, password) = match credentials {
            Some(credentials) => read_credentials(credentials)?,
            None => (None, None),
        };
        if password.is_some() && user.is_none() {
            return Err(ProxyError::NoUser);
        }
        Ok(Self { host, port, user, password, source: Cow::Borrowed("the proxy's options") })
    }

    /// The same, with the words by which errors name where its credentials were given, such as `HTTPS_PROXY`.
    #[must_use]
    pub fn named_by(mut self, source: impl Into<Cow<'static, str>>) -> Self {
        self.source = source.into();
        self
    }

    /// Where its credentials were given, in words.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The same with another password, for one that is not kept in a URL.
    ///
    /// # Errors
    /// [`ProxyError::NoUser`] when there is no user name for it.
    pub fn with_password(mut self, password: &str) -> Result<Self, ProxyError> {
        if self.user.is_none() {
            return Err(ProxyError::NoUser);
        }
        self.password = Some(Zeroizing::new(password.to_owned()));
        Ok(self)
    }

    /// The proxy's host name or address.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The proxy's port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// User name and password, for a library that speaks to the proxy by itself.
    #[must_use]
    pub fn credentials(&self) -> Option<(&str, &str)> {
        let user = self.user.as_deref()?;
        Some((user, self.password.as_ref().map_or("", |password| password)))
    }

    /// The value of `Proxy-Authorization` (RFC 7617); `None` without a user name.
    #[must_use]
    pub fn authorization(&self) -> Option<Zeroizing<String>> {
        const SCHEME: &str = "Basic ";
        let (user, password) = self.credentials()?;
        // Each string is allocated at its full size: one that grows leaves copies of the password behind.
        let mut pair = Zeroizing::new(String::with_capacity(user.len() + 1 + password.len()));
        for part in [user, ":", password] {
            pair.push_str(part);
        }
        let encoded = Zeroizing::new(STANDARD.encode(pair.as_bytes()));
        let mut value = Zeroizing::new(String::with_capacity(SCHEME.len() + encoded.len()));
        value.push_str(SCHEME);
        value.push_str(&encoded);
        Some(value)
    }
}

impl fmt::Display for Proxy {
    /// `HOST:PORT`, without credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy").field("at", &self.to_string()).field("user", &self.user).finish_non_exhaustive()
    }
}

/// What is before the last `@`, and the rest. That `@` must come before the path, for what is after it belongs to a user
/// name or password which holds a `/`, `?` or `#` of its own.
fn split_credentials(rest: &str) -> Result<(Option<&str>, &str), ProxyError> {
    match rest.rsplit_once('@') {
        Some((credentials, _)) if credentials.contains(['/', '?', '#', '\\']) => Err(ProxyError::NotEncoded),
        Some((credentials, address)) => Ok((Some(credentials), address)),
        None => Ok((None, rest)),
    }
}

/// User name and password, decoded. A `%` must begin an escape; a bare `@` can mean nothing else than itself.
fn read_credentials(text: &str) -> Result<(Option<String>, Option<Zeroizing<String>>), ProxyError> {
    let is_escape = |after: &str| after.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2;
    if !text.split('%').skip(1).all(is_escape) {
        return Err(ProxyError::NotEncoded);
    }
    let decode = |part: &str| {
        let mut bytes = Vec::with_capacity(part.len());
        bytes.extend(percent_decode_str(part));
        String::from_utf8(bytes).map(Zeroizing::new).map_err(|error| {
            drop(Zeroizing::new(error.into_bytes()));
            ProxyError::Credentials
        })
    };
    let (user, password) = match text.split_once(':') {
        Some((user, password)) => (user, Some(decode(password)?)),
        None => (text, None),
    };
    let user = decode(user)?;
    Ok(((!user.is_empty()).then(|| user.to_string()), password))
}

/// `url` leaves out a port that is the scheme's own, though it was named: under https it tells http's.
fn port_80(address: &str) -> Option<u16> {
    Url::parse(&format!("https://{address}")).ok()?.port()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_with_what_people_write() {
        for (text, shown, credentials) in [
            ("http://proxy.test:3128", "proxy.test:3128", None),
            ("proxy.test:3128", "proxy.test:3128", None),
            ("http://proxy.test", "proxy.test:1080", None),
            ("http://proxy.test:80/", "proxy.test:80", None),
            ("http://proxy.test:080", "proxy.test:80", None),
            ("proxy.test:443", "proxy.test:443", None),
            ("http://[::1]:8080", "[::1]:8080", None),
            ("http://me@proxy.test:8080", "proxy.test:8080", Some(("me", ""))),
            ("http://me%40corp:p%3Aw@proxy.test:8080", "proxy.test:8080", Some(("me@corp", "p:w"))),
            ("http://me:p@s%23s@proxy.test:8080", "proxy.test:8080", Some(("me", "p@s#s"))),
            ("me:@proxy.test:8080", "proxy.test:8080", Some(("me", ""))),
        ] {
            let proxy = Proxy::parse(text).unwrap();
            assert_eq!((proxy.to_string().as_str(), proxy.credentials()), (shown, credentials), "{text}");
        }
        for (text, error) in [
            ("", ProxyError::NoUrl),
            ("http://", ProxyError::NoUrl),
            ("http://proxy.test/path", ProxyError::NoUrl),
            ("http://proxy.test:80#part", ProxyError::NoUrl),
            ("http://proxy.test:0", ProxyError::NoUrl),
            ("https://proxy.test", ProxyError::Scheme),
            ("socks5://proxy.test", ProxyError::Scheme),
            ("http://%FF@proxy.test", ProxyError::Credentials),
            ("http://:pw@proxy.test", ProxyError::NoUser),
            ("http://me:p#w@proxy.test:8080", ProxyError::NotEncoded),
            ("http://me:p/w@proxy.test:8080", ProxyError::NotEncoded),
            ("http://me:12?w@proxy.test:8080", ProxyError::NotEncoded),
            ("http://me:p@#%w@proxy.test:8080", ProxyError::NotEncoded),
            ("http://me:50%@proxy.test:8080", ProxyError::NotEncoded),
            ("http://me:50%zz@proxy.test:8080", ProxyError::NotEncoded),
        ] {
            assert_eq!(Proxy::parse(text).unwrap_err(), error, "{text}");
        }
    }

    #[test]
    fn passwords_are_taken_apart_from_the_url_and_never_shown() {
        let proxy = Proxy::parse("http://me@proxy.test:1").unwrap().with_password("open sesame").unwrap();
        assert_eq!(proxy.authorization().unwrap().as_str(), "Basic bWU6b3BlbiBzZXNhbWU=");
        assert!(!format!("{proxy:?} {proxy}").contains("sesame"));
        assert_eq!(Proxy::parse("proxy.test:1").unwrap().with_password("x").unwrap_err(), ProxyError::NoUser);
    }
}
