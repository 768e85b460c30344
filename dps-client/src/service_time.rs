//! The service's time, for transports that carry none: one HTTPS request without a credential to the same host.
//!
//! The certificate is checked as ever, so a clock outside its validity cannot be helped here.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dps_core::Timer as _;
use dps_core::{ErrorCode, Outcome, UnixSeconds, WallAnchor};

use crate::client::{Conversation, ProvisioningClient};
use crate::clock::TokioTimer;
use crate::credentials::Entry;
use crate::error::DpsError;

/// How long the time may take to come.
const LIMIT: Duration = Duration::from_secs(5);

impl ProvisioningClient {
    /// Asks for the service's time: one HTTPS request without a credential and without a body to the service's host, over
    /// the client's own authorities, proxy and resolver. Over MQTT that is port 443, or the one that
    /// [`service_time_port`](crate::ProvisioningClientBuilder::service_time_port) names. Ends after 5 s at the latest.
    ///
    /// # Errors
    /// [`DpsError`] of the family `link`; `unsupported-by-transport` with the reason where nothing can ask: a custom link,
    /// or a build without the feature `http`.
    pub async fn service_time(&self) -> Result<SystemTime, DpsError> {
        let unix = self.ask_time(LIMIT).await?;
        UNIX_EPOCH
            .checked_add(Duration::from_secs(unix.get()))
            .ok_or_else(|| crate::client::internal("such a time is unknown"))
    }

    #[cfg(feature = "http")]
    async fn ask_time(&self, limit: Duration) -> Result<UnixSeconds, DpsError> {
        use dps_core::LinkError;

        use crate::error::Diagnosis;
        let (mut link, endpoint) = self.carrier.time_link(&self.endpoint)?;
        match tokio::time::timeout(limit, link.service_time(endpoint.into())).await {
            Ok(asked) => asked.map_err(|error| DpsError::from_link(error, link.last_error().map(Diagnosis::from))),
            Err(_) => {
                Err(DpsError::from_link(LinkError::Timeout, Some(Diagnosis::new("the service's time did not come"))))
            }
        }
    }

    #[cfg(not(feature = "http"))]
    async fn ask_time(&self, _limit: Duration) -> Result<UnixSeconds, DpsError> {
        Err(crate::carrier::no_time("this build has no HTTPS: turn on the feature `http`"))
    }

    /// The service's time, where it refused a token over a transport that carries none and the policy allows asking. Takes
    /// no longer than is left of the registration. It is asked for once in a call: `asked` is what came of that.
    pub(crate) async fn time_after_refusal(
        &self,
        registration: &Conversation<'_>,
        entry: &Entry,
        timer: &TokioTimer,
        asked: &mut Option<Option<WallAnchor>>,
    ) -> Option<WallAnchor> {
        let Some(Outcome::Failed(failure)) = registration.outcome() else { return None };
        if !self.correct_clock
            || !entry.credential.signs()
            || entry.carrier.carries_time()
            || failure.code() != ErrorCode::Unauthorized
        {
            return None;
        }
        if let Some(known) = *asked {
            return known;
        }
        let left = registration.deadline()?.since(timer.now()).into();
        let anchor = match self.ask_time(LIMIT.min(left)).await {
            Ok(unix) => Some(WallAnchor { at: timer.now(), unix }),
            Err(error) => {
                tracing::info!(error = %error.report(), "the service's time is not known, so that the clock cannot be corrected");
                None
            }
        };
        *asked.insert(anchor)
    }
}
