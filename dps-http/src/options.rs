//! Options of the HTTPS link, checked before anything is sent.

use dps_core::codec::http::DEFAULT_API_VERSION;
use reqwest::header::HeaderValue;
use thiserror::Error;

/// Options of the HTTPS link.
#[derive(Clone, Debug)]
pub struct HttpOptions {
    pub(crate) api_version: String,
    pub(crate) user_agent: String,
}

/// An option that is not valid.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OptionError {
    /// It is not an API version.
    #[error("the API version {0:?} is not valid; write one such as 2021-06-01 or 2025-07-01-preview")]
    ApiVersion(String),
    /// It is not valid in a header.
    #[error("the user agent is not valid: use visible ASCII characters and spaces only")]
    UserAgent,
}

impl Default for HttpOptions {
    /// Returns the defaults: API version 2021-06-01, and this crate's name as the user agent.
    fn default() -> Self {
        let user_agent = concat!("dps-http/", env!("CARGO_PKG_VERSION")).to_owned();
        Self { api_version: DEFAULT_API_VERSION.to_owned(), user_agent }
    }
}

impl HttpOptions {
    /// Sets the API version. Default: 2021-06-01.
    #[must_use]
    pub fn api_version(mut self, version: impl Into<String>) -> Self {
        self.api_version = version.into();
        self
    }

    /// Sets the `User-Agent`. Default: this crate's name and version.
    #[must_use]
    pub fn user_agent(mut self, agent: impl Into<String>) -> Self {
        self.user_agent = agent.into();
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
    fn invalid_options_are_rejected() {
        assert_eq!(HttpOptions::default().check(), Ok(()));
        assert_eq!(HttpOptions::default().api_version("2025-07-01-preview").check(), Ok(()));
        for version in ["", "2021-6-1", "latest", "2021-06-01&x=y", "2021-06-01-beta"] {
            let refused = HttpOptions::default().api_version(version).check();
            assert_eq!(refused, Err(OptionError::ApiVersion(version.into())));
        }
        assert_eq!(HttpOptions::default().user_agent("a\r\nb").check(), Err(OptionError::UserAgent));
    }
}
