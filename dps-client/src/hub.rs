//! Signing in to the hub with the credential that provisioned the device (Azure IoT Hub documentation, "Communicate
//! with an IoT hub using the MQTT protocol" and "Control access with shared access signatures").

use std::time::{Duration, SystemTime};

use dps_core::credentials::Resource;
use dps_core::{ErrorCode, Verdict};
use dps_files::SecretString;

use crate::clock::{self, Clock};
use crate::error::DpsError;
use crate::signer::Credential;
#[cfg(any(feature = "http", feature = "mqtt"))]
use crate::x509::X509;

const API_VERSION: &str = "2021-04-12";
/// The life of a password unless another is asked for.
const LIFE: Duration = Duration::from_secs(3600);

/// MQTT client id, user name and password of the device at its hub.
///
/// ```no_run
/// # async fn example(assignment: dps_client::Assignment) -> Result<(), dps_client::DpsError> {
/// let mut credentials = assignment.hub_credentials()?;
/// println!("connect to {} as {}", assignment.hub(), credentials.user_name());
/// let password = credentials.password().await?; // at each connection; signed anew when four fifths of its life are over
/// # let _ = password.expose();
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct HubCredentials {
    hub: String,
    device_id: String,
    life: Duration,
    credential: Credential,
    clock: Clock,
    /// How long a signature may take.
    signing_limit: Duration,
    current: Option<HubPassword>,
}

/// A SAS token for the hub, and when it ends.
#[derive(Clone, Debug)]
pub struct HubPassword {
    token: SecretString,
    signed_at: SystemTime,
    expires_at: SystemTime,
}

impl HubPassword {
    /// Returns the token. Named so that every use can be found.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.token.expose()
    }

    /// Returns when the hub stops accepting it; reconnect with a new one before.
    #[must_use]
    pub fn expires_at(&self) -> SystemTime {
        self.expires_at
    }

    /// Whether more than a fifth of its life is left.
    fn is_fresh(&self, now: SystemTime) -> bool {
        let life = self.expires_at.duration_since(self.signed_at).unwrap_or_default();
        // A clock that was set back makes it fresh for longer, never for ever: it is signed anew as soon as it is too long.
        self.expires_at.duration_since(now).is_ok_and(|left| left > life / 5 && left <= life)
    }
}

impl HubCredentials {
    pub(crate) fn new(
        hub: String,
        device_id: String,
        credential: Credential,
        clock: Clock,
        signing_limit: Duration,
    ) -> Self {
        Self { hub, device_id, life: LIFE, credential, clock, signing_limit, current: None }
    }

    /// The hub's host name.
    #[cfg(feature = "mqtt")]
    pub(crate) fn hub(&self) -> &str {
        &self.hub
    }

    /// What the device signs in with.
    #[cfg(feature = "mqtt")]
    pub(crate) fn credential(&self) -> &Credential {
        &self.credential
    }

    /// The wall clock.
    #[cfg(feature = "mqtt")]
    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Sets the life of passwords. Default: an hour. No password ends after the year 9999.
    #[must_use]
    pub fn password_life(mut self, life: Duration) -> Self {
        self.life = life;
        self.current = None;
        self
    }

    /// The MQTT client id: the device id.
    #[must_use]
    pub fn client_id(&self) -> &str {
        &self.device_id
    }

    /// The MQTT user name.
    #[must_use]
    pub fn user_name(&self) -> String {
        format!("{}/{}/?api-version={API_VERSION}", self.hub, self.device_id)
    }

    /// Returns the certificate with which the device signs in, instead of a password: the one with which it registered. Present
    /// it in TLS, and send no password.
    #[cfg(any(feature = "http", feature = "mqtt"))]
    #[must_use]
    pub fn certificate(&self) -> Option<&X509> {
        match &self.credential {
            Credential::Certificate(device) => Some(device),
            _ => None,
        }
    }

    /// The MQTT password, or the `Authorization` header over HTTPS. Signed anew when four fifths of its life are over;
    /// where that fails, the old one is returned for as long as it is valid.
    ///
    /// Needs a tokio runtime with time. Dropping the future keeps the password that there is.
    ///
    /// # Errors
    /// `invalid-option` for a device with a certificate, which has no password, `clock-needed` when the time is not known,
    /// `signer-failed` when the signer fails, `signer-timeout` when it does
    /// not answer within the client's request timeout.
    pub async fn password(&mut self) -> Result<&HubPassword, DpsError> {
        if !self.credential.signs() {
            let message = "the device signs in to its hub with its certificate: present it in TLS, without a password";
            return Err(DpsError::config(ErrorCode::InvalidOption, message.to_owned()));
        }
        let now = self.clock.needed_now()?;
        if !self.current.as_ref().is_some_and(|current| current.is_fresh(now)) {
            match self.sign(now).await {
                Ok(renewed) => self.current = Some(renewed),
                Err(error) if self.has_valid_password() => {
                    tracing::warn!(error = %error.report(), "the hub password cannot be renewed; the old one is still valid");
                }
                Err(error) => return Err(error),
            }
        }
        self.current.as_ref().ok_or_else(|| {
            DpsError::new(ErrorCode::Internal, Verdict::Never, "a password was signed and not kept".into())
        })
    }

    /// By the time now: a signature that failed may have taken long.
    fn has_valid_password(&self) -> bool {
        let current = self.current.as_ref().zip(self.clock.now());
        current.is_some_and(|(current, now)| now < current.expires_at)
    }

    async fn sign(&mut self, now: SystemTime) -> Result<HubPassword, DpsError> {
        let expires_at = now.checked_add(self.life).unwrap_or_else(clock::end_of_time).min(clock::end_of_time());
        let resource = Resource::hub_device(self.hub.as_str(), self.device_id.as_str());
        let signing = self.credential.sign_token(resource, expires_at);
        let token = tokio::time::timeout(self.signing_limit, signing).await.map_err(|_| signer_timeout())??;
        Ok(HubPassword { token, signed_at: now, expires_at })
    }
}

/// The error of a signer that did not answer in time.
pub(crate) fn signer_timeout() -> DpsError {
    let code = ErrorCode::SignerTimeout;
    DpsError::new(code, Verdict::Never, code.text().to_owned())
}
