//! What a client asks for beyond an assignment, and which API version its requests use: the one that was set, or the oldest one
//! that has what was asked for.

use dps_core::codec::{ISSUANCE_API_VERSION, PROFILE_API_VERSION};
#[cfg(any(feature = "http", feature = "mqtt"))]
use dps_core::{ConnectionProfile, ErrorCode};

use crate::builder::ProvisioningClientBuilder;
use crate::error::DpsError;

impl ProvisioningClientBuilder {
    /// Sets the API version. Default: the oldest one that has what is asked for, which is 2021-06-01 over HTTPS and 2019-03-31
    /// over MQTT, 2026-11-01 with a [certificate request](Self::certificate_request), and 2026-11-02-preview with the
    /// [connection profile](Self::connection_profile).
    #[cfg(any(feature = "http", feature = "mqtt"))]
    pub fn api_version(mut self, version: impl Into<String>) -> Self {
        self.transport.api_version = Some(version.into());
        self
    }

    /// Sets a certificate request (PKCS #10 as DER, with the registration id as its common name), which goes along with each
    /// registration. The service issues a chain for it if the enrollment has a certificate policy
    /// ([`Assignment::issued_chain`](crate::Assignment::issued_chain)), and refuses the registration with `bad-request` and the
    /// error code 400000 otherwise. Requests use API version 2026-11-01 then, unless another one is set. A lookup cannot carry
    /// it: [`lookup`](crate::ProvisioningClient::lookup) is refused.
    pub fn certificate_request(mut self, request: impl Into<Vec<u8>>) -> Self {
        self.certificate_request = Some(request.into());
        self
    }

    /// Sets whether to ask which protocol the hub speaks
    /// ([`Assignment::connection_profile`](crate::Assignment::connection_profile)). Requests use API version 2026-11-02-preview
    /// then, a preview of the service, unless another one is set; [`build`](Self::build) refuses one that does not report the
    /// profile. Default: no.
    ///
    /// A custom link chooses its API version by itself: set this if that one reports the profile, since an assignment without one
    /// counts as classic then.
    pub fn connection_profile(mut self, wanted: bool) -> Self {
        self.connection_profile = wanted;
        self
    }

    /// Returns the API version of requests, unless it is the default one of the transport.
    ///
    /// # Errors
    /// `invalid-option` when the one that was set does not report the profile that was asked for.
    pub(crate) fn chosen_api_version(&self) -> Result<Option<String>, DpsError> {
        #[cfg(any(feature = "http", feature = "mqtt"))]
        if let Some(set) = &self.transport.api_version {
            if self.connection_profile && !ConnectionProfile::is_reported_by(set) {
                let message = format!(
                    "the API version {} does not report the connection profile: set {PROFILE_API_VERSION}, or leave it out",
                    set.escape_debug()
                );
                return Err(DpsError::config(ErrorCode::InvalidOption, message));
            }
            return Ok(Some(set.clone()));
        }
        let needed = match (self.connection_profile, &self.certificate_request) {
            (true, _) => Some(PROFILE_API_VERSION),
            (false, Some(_)) => Some(ISSUANCE_API_VERSION),
            (false, None) => None,
        };
        Ok(needed.map(str::to_owned))
    }
}
