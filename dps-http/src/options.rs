//! What can be chosen about HTTP, checked before anything is sent.

use dps_core::codec::http::DEFAULT_API_VERSION;
use reqwest::header::HeaderValue;
use thiserror::Error;

/// What can be chosen about HTTP.
#[derive(Clone, Debug)]
pub struct HttpOptions {
    pub(crate) api_version: String,
    pub(crate) user_agent: String,
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
}

impl Default for HttpOptions {
    /// API version 2021-06-01, and this crate's name as the user agent.
    fn default() -> Self {
        let user_agent = concat!("dps-http/", env!("CARGO_PKG_VERSION")).to_owned();
        Self { api_version: DEFAULT_API_VERSION.to_owned(), user_agent }
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
