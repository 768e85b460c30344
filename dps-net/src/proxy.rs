//! HTTP proxies: address and credentials, read from a URL, and the choice of the proxy for a host.
//!
//! A password is wiped when dropped and never shown. What is sent to a proxy is in `tunnel`.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

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

/// Why a proxy's URL or credentials are not accepted. It holds nothing of a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ProxyError {
    /// It is not a valid URL.
    #[error("the proxy is not a valid URL: write http://HOST:PORT or http://USER@HOST:PORT")]
    NoUrl,
    /// The URL has another scheme than `http`.
    #[error("the proxy is not supported: its URL must begin with http://")]
    Scheme,
    /// The user name or password is not valid UTF-8.
    #[error("the proxy's user name or password is not valid UTF-8")]
    Credentials,
    /// The user name or password holds a character that ends it in a URL.
    #[error(
        "the proxy's user name or password has a character that must be percent-encoded: \
         write @ as %40, # as %23, % as %25, / as %2F, ? as %3F, : as %3A"
    )]
    NotEncoded,
    /// A password without a user name.
    #[error("the proxy has a password but no user name: write http://USER@HOST:PORT")]
    NoUser,
}

impl Proxy {
    /// Parses `http://[USER[:PASSWORD]@]HOST[:PORT]`, or `HOST:PORT`; user name and password are percent-encoded.
    ///
    /// # Errors
    /// [`ProxyError`] with what is wrong with it.
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

    /// Sets how errors name the place of its credentials, such as `HTTPS_PROXY`. Default: the proxy's options.
    #[must_use]
    pub fn named_by(mut self, source: impl Into<Cow<'static, str>>) -> Self {
        self.source = source.into();
        self
    }

    /// Returns how errors name the place of its credentials.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Replaces the password, so that it need not be part of a URL.
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

    /// Returns the proxy's host name or address.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the proxy's port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns user name and password, for a library that connects to the proxy by itself.
    #[must_use]
    pub fn credentials(&self) -> Option<(&str, &str)> {
        let user = self.user.as_deref()?;
        Some((user, self.password.as_ref().map_or("", |password| password)))
    }

    /// Returns the value of `Proxy-Authorization` (RFC 7617), or `None` without a user name.
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

/// Splits at the last `@`. A `/`, `?` or `#` before it belongs to a user name or password that is not encoded.
fn split_credentials(rest: &str) -> Result<(Option<&str>, &str), ProxyError> {
    match rest.rsplit_once('@') {
        Some((credentials, _)) if credentials.contains(['/', '?', '#', '\\']) => Err(ProxyError::NotEncoded),
        Some((credentials, address)) => Ok((Some(credentials), address)),
        None => Ok((None, rest)),
    }
}

/// Decodes user name and password. A `%` must begin an escape; a bare `@` is accepted, since it is not ambiguous.
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

/// `url` drops a port that is the default of the scheme: parsed as https, it keeps that of http.
fn port_80(address: &str) -> Option<u16> {
    Url::parse(&format!("https://{address}")).ok()?.port()
}

/// How the proxy for a host is chosen.
#[derive(Clone, Debug, Default)]
pub enum ProxyChoice {
    /// `HTTPS_PROXY` or `https_proxy`, unless `NO_PROXY` or `no_proxy` names the host.
    #[default]
    Environment,
    /// This proxy, for every host.
    Fixed(Proxy),
    /// No proxy.
    Direct,
}

impl ProxyChoice {
    /// Returns the proxy for `host`.
    ///
    /// # Errors
    /// [`UnusableProxy`] when the environment's is not valid.
    pub fn for_host(&self, host: &str) -> Result<Option<Proxy>, UnusableProxy> {
        let ChosenProxy { proxy, reason } = self.explain(host);
        let variable = match reason {
            ProxyReason::Variable(name) => name,
            _ => "the proxy",
        };
        proxy.map_err(|error| UnusableProxy { variable, error })
    }

    /// Returns the proxy for `host`, and why it is used, or why there is none.
    #[must_use]
    pub fn explain(&self, host: &str) -> ChosenProxy {
        match self {
            Self::Direct => ChosenProxy { proxy: Ok(None), reason: ProxyReason::Refused },
            Self::Fixed(proxy) => ChosenProxy { proxy: Ok(Some(proxy.clone())), reason: ProxyReason::Named },
            Self::Environment => from_environment(host, |name| std::env::var(name).ok()),
        }
    }
}

/// A variable of the environment with a proxy that is not valid. It holds nothing of a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{variable}: {error}")]
pub struct UnusableProxy {
    /// The variable's name.
    pub variable: &'static str,
    /// What is wrong with its value.
    pub error: ProxyError,
}

/// A proxy, or none, and the reason.
#[derive(Clone, Debug)]
pub struct ChosenProxy {
    /// The proxy; an error when it is not valid.
    pub proxy: Result<Option<Proxy>, ProxyError>,
    /// The reason.
    pub reason: ProxyReason,
}

/// Why there is a proxy, or none.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProxyReason {
    /// [`ProxyChoice::Fixed`] names it.
    Named,
    /// [`ProxyChoice::Direct`] excludes one.
    Refused,
    /// This variable of the environment names it.
    Variable(&'static str),
    /// A variable names one, and the list in another excludes the host.
    Excepted {
        /// The variable with the list, such as `NO_PROXY`.
        list: &'static str,
        /// The entry that names the host.
        entry: String,
    },
    /// The environment names none.
    Unset,
}

fn from_environment(host: &str, variable: impl Fn(&str) -> Option<String>) -> ChosenProxy {
    let first = |names: [&'static str; 2]| {
        names.into_iter().filter_map(|name| Some((name, variable(name)?))).find(|(_, value)| !value.trim().is_empty())
    };
    let Some((name, url)) = first(["HTTPS_PROXY", "https_proxy"]) else {
        return ChosenProxy { proxy: Ok(None), reason: ProxyReason::Unset };
    };
    let url = Zeroizing::new(url);
    if let Some((list, entries)) = first(["NO_PROXY", "no_proxy"])
        && let Some(entry) = exception(host, &entries)
    {
        return ChosenProxy { proxy: Ok(None), reason: ProxyReason::Excepted { list, entry: entry.to_owned() } };
    }
    let proxy = Proxy::parse(&url).map(|proxy| Some(proxy.named_by(name)));
    ChosenProxy { proxy, reason: ProxyReason::Variable(name) }
}

/// The entry of a list such as `localhost, .example.com, 10.0.0.1` that matches the host. A name matches itself and its
/// subdomains, `*` every host.
fn exception<'l>(host: &str, list: &'l str) -> Option<&'l str> {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let address: Option<IpAddr> = host.parse().ok();
    list.split(',').map(str::trim).filter(|entry| !entry.is_empty()).find(|entry| {
        let entry = entry.to_ascii_lowercase();
        if entry == "*" {
            return true;
        }
        if let Some(address) = address {
            return entry.trim_matches(['[', ']']).parse() == Ok(address);
        }
        let name = entry.trim_start_matches("*.").trim_start_matches('.').trim_end_matches('.');
        host == name || host.strip_suffix(name).is_some_and(|front| front.ends_with('.'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_accepts_usual_spellings_and_names_what_is_wrong() {
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
    fn password_is_set_apart_from_the_url_and_never_shown() {
        let proxy = Proxy::parse("http://me@proxy.test:1").unwrap().with_password("open sesame").unwrap();
        assert_eq!(proxy.authorization().unwrap().as_str(), "Basic bWU6b3BlbiBzZXNhbWU=");
        assert!(!format!("{proxy:?} {proxy}").contains("sesame"));
        assert_eq!(Proxy::parse("proxy.test:1").unwrap().with_password("x").unwrap_err(), ProxyError::NoUser);
    }

    fn environment(variables: &[(&str, &str)]) -> impl Fn(&str) -> Option<String> {
        |name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    }

    #[test]
    fn environment_names_a_proxy_and_its_exceptions() {
        let of = |host: &str, variables: &[(&str, &str)]| {
            from_environment(host, environment(variables)).proxy.map(|proxy| proxy.map(|proxy| proxy.to_string()))
        };
        let upper = ("HTTPS_PROXY", "http://a.test:1");
        assert_eq!(of("dps.test", &[]), Ok(None));
        assert_eq!(of("dps.test", &[upper, ("https_proxy", "http://b.test:1")]), Ok(Some("a.test:1".into())));
        assert_eq!(of("dps.test", &[("HTTPS_PROXY", " "), ("https_proxy", "b.test:1")]), Ok(Some("b.test:1".into())));
        assert_eq!(of("dps.test", &[("HTTPS_PROXY", "ftp://b.test")]), Err(ProxyError::Scheme));
        for (host, list, direct) in [
            ("localhost", "localhost,10.0.0.1", true),
            ("10.0.0.1", "localhost, 10.0.0.1", true),
            ("::1", "[::1]", true),
            ("a.dps.test", ".dps.test", true),
            ("dps.test", ".DPS.test", true),
            ("a.dps.test", "*.dps.test", true),
            ("notdps.test", "dps.test", false),
            ("10.0.0.10", "10.0.0.1", false),
            ("dps.test", "", false),
            ("dps.test", "other.test,*", true),
        ] {
            assert_eq!(of(host, &[upper, ("NO_PROXY", list)]) == Ok(None), direct, "{host} in {list:?}");
            assert_eq!(of(host, &[upper, ("no_proxy", list)]) == Ok(None), direct, "{host} in {list:?}");
        }
    }

    #[test]
    fn explain_names_what_decided() {
        let of = |variables: &[(&str, &str)]| from_environment("a.dps.test", environment(variables)).reason;
        let lower = ("https_proxy", "a.test:1");
        assert_eq!(of(&[]), ProxyReason::Unset);
        assert_eq!(of(&[("NO_PROXY", "*")]), ProxyReason::Unset);
        assert_eq!(of(&[("HTTPS_PROXY", " "), lower]), ProxyReason::Variable("https_proxy"));
        assert_eq!(of(&[("HTTPS_PROXY", "ftp://b.test"), lower]), ProxyReason::Variable("HTTPS_PROXY"));
        let excepted = ProxyReason::Excepted { list: "no_proxy", entry: ".DPS.test".into() };
        assert_eq!(of(&[lower, ("no_proxy", "other.test, .DPS.test")]), excepted);
        let named = ProxyChoice::Fixed(Proxy::parse("a.test:1").unwrap()).explain("b.test");
        assert_eq!((named.reason, named.proxy.is_ok_and(|proxy| proxy.is_some())), (ProxyReason::Named, true));
        assert_eq!(ProxyChoice::Direct.explain("b.test").reason, ProxyReason::Refused);
    }
}
