//! What can be chosen about HTTP, checked before anything is sent.

use std::net::SocketAddr;

use dps_core::codec::http::DEFAULT_API_VERSION;
use dps_net::Proxy;
use reqwest::header::HeaderValue;
use thiserror::Error;

/// What can be chosen about HTTP.
#[derive(Clone, Debug)]
pub struct HttpOptions {
    pub(crate) api_version: String,
    pub(crate) user_agent: String,
    pub(crate) proxy: Option<Proxy>,
    pub(crate) addresses: Option<(String, Vec<SocketAddr>)>,
}

/// An option that cannot work.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OptionError {
    /// The service's versions are dates.
    #[error("the API version cannot be {0:?}; it looks like 2021-06-01 or 2025-07-01-preview")]
    ApiVersion(String),
    /// No header can hold it.
    #[error("the user agent cannot be sent: only visible ASCII characters and blanks can")]
    UserAgent,
    /// The TLS configuration does not fit.
    #[error("the HTTP client cannot be made: {0}")]
    Client(String),
}

impl Default for HttpOptions {
    /// API version 2021-06-01, and this crate's name as the user agent.
    fn default() -> Self {
        let user_agent = concat!("dps-http/", env!("CARGO_PKG_VERSION")).to_owned();
        Self { api_version: DEFAULT_API_VERSION.to_owned(), user_agent, proxy: None, addresses: None }
    }
}

impl HttpOptions {
    /// Another API version than 2021-06-01.
    #[must_use]
    pub fn api_version(mut self, version: impl Into<String>) -> Self {
        self.api_version = version.into();
        self
    }

    /// What to tell the service as `User-Agent`.
    #[must_use]
    pub fn user_agent(mut self, agent: impl Into<String>) -> Self {
        self.user_agent = agent.into();
        self
    }

    /// The proxy on the way; none by default, whatever the environment says.
    #[must_use]
    pub fn proxy(mut self, proxy: Option<Proxy>) -> Self {
        self.proxy = proxy;
        self
    }

    /// The addresses of `host`, which the platform's resolver is then not asked for. The port is the endpoint's, whatever
    /// stands in them. A proxy on the way resolves by itself.
    #[must_use]
    pub fn addresses_of(mut self, host: impl Into<String>, addresses: Vec<SocketAddr>) -> Self {
        self.addresses = Some((host.into(), addresses));
        self
    }

    pub(crate) fn check(&self) -> Result<(), OptionError> {
        if !dps_net::is_api_version(&self.api_version) {
            return Err(OptionError::ApiVersion(self.api_version.clone()));
        }
        let sendable = HeaderValue::from_str(&self.user_agent).is_ok_and(|value| value.to_str().is_ok());
        if sendable { Ok(()) } else { Err(OptionError::UserAgent) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_that_cannot_work_are_refused() {
        assert_eq!(HttpOptions::default().check(), Ok(()));
        assert_eq!(HttpOptions::default().api_version("2025-07-01-preview").check(), Ok(()));
        for version in ["", "2021-6-1", "latest", "2021-06-01&x=y", "2021-06-01-beta"] {
            let refused = HttpOptions::default().api_version(version).check();
            assert_eq!(refused, Err(OptionError::ApiVersion(version.into())));
        }
        assert_eq!(HttpOptions::default().user_agent("a\r\nb").check(), Err(OptionError::UserAgent));
    }
}
