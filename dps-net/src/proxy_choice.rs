//! Which proxy is on the way to a host, and why: one that was named, the environment's, or none.

use std::net::IpAddr;

use thiserror::Error;
use zeroize::Zeroizing;

use crate::proxy::{Proxy, ProxyError};

/// How the proxy for a host is found.
#[derive(Clone, Debug, Default)]
pub enum ProxyChoice {
    /// `HTTPS_PROXY` or `https_proxy`, unless `NO_PROXY` or `no_proxy` names the host.
    #[default]
    Environment,
    /// This one, for every host.
    Fixed(Proxy),
    /// None.
    Direct,
}

impl ProxyChoice {
    /// The proxy on the way to `host`.
    ///
    /// # Errors
    /// [`UnusableProxy`] when the environment names one that cannot be used.
    pub fn for_host(&self, host: &str) -> Result<Option<Proxy>, UnusableProxy> {
        let ChosenProxy { proxy, reason } = self.explain(host);
        let variable = match reason {
            ProxyReason::Variable(name) => name,
            _ => "the proxy",
        };
        proxy.map_err(|error| UnusableProxy { variable, error })
    }

    /// The same, and why.
    #[must_use]
    pub fn explain(&self, host: &str) -> ChosenProxy {
        match self {
            Self::Direct => ChosenProxy { proxy: Ok(None), reason: ProxyReason::Refused },
            Self::Fixed(proxy) => ChosenProxy { proxy: Ok(Some(proxy.clone())), reason: ProxyReason::Named },
            Self::Environment => from_environment(host, |name| std::env::var(name).ok()),
        }
    }
}

/// A variable of the environment that names a proxy which cannot be used. Nothing of a password is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{variable}: {error}")]
pub struct UnusableProxy {
    /// The variable's name.
    pub variable: &'static str,
    /// What is wrong with its value.
    pub error: ProxyError,
}

/// A proxy, or none, and why.
#[derive(Clone, Debug)]
pub struct ChosenProxy {
    /// The proxy on the way; an error when the one that is named cannot be used.
    pub proxy: Result<Option<Proxy>, ProxyError>,
    /// What decided it.
    pub reason: ProxyReason,
}

/// Why there is a proxy on the way, or none.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProxyReason {
    /// [`ProxyChoice::Fixed`] names it.
    Named,
    /// [`ProxyChoice::Direct`] wants none.
    Refused,
    /// This variable of the environment names it.
    Variable(&'static str),
    /// A variable names one, and the list in another excepts the host.
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

/// The entry of a list such as `localhost, .example.com, 10.0.0.1` that names the host. A name stands for itself and
/// what is below it, `*` for every host.
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

    fn environment(variables: &[(&str, &str)]) -> impl Fn(&str) -> Option<String> {
        |name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    }

    #[test]
    fn the_environment_names_a_proxy_and_its_exceptions() {
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
    fn what_decided_it_is_told() {
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
