//! One request that tests whether the service accepts a credential, for diagnosing why a registration fails.
//!
//! It never registers and is never repeated. The result is facts; callers interpret them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dps_core::credentials::Resource;
use dps_core::{
    Authorization, Call, ErrorCode, Identity, Link as _, LinkError, Millis, Reply, Request, RequestId, Timer as _,
};
use dps_files::SecretString;

use crate::assignment::{RegistrationRecord, owned};
use crate::carrier::ClientLink;
use crate::client::{LINK_IN_USE, ProvisioningClient, internal};
use crate::clock::TokioTimer;
use crate::error::DpsError;
use crate::profile::ConnectionProfile;
use crate::signer::{Credential, TOKEN_IS_BUSY};

/// How long the token is good for.
const TOKEN_LIFE: Duration = Duration::from_secs(3600);
/// How long a link may take to disconnect.
const DISCONNECT_LIMIT: Duration = Duration::from_secs(2);

/// The result of a [`ProvisioningClient::probe`].
#[derive(Clone, Debug)]
#[non_exhaustive]
#[expect(clippy::large_enum_variant, reason = "one for each call, and mostly the large one")]
pub enum Probe {
    /// The service answered the lookup, with a record or a refusal.
    Answered(Answer),
    /// The MQTT server accepted CONNECT and SUBSCRIBE. It may still refuse the credential when the device registers.
    SignedIn,
    /// Nothing usable came back, or the MQTT server refused CONNECT.
    NoAnswer {
        /// What kind of failure it was.
        error: LinkError,
        /// Its cause, in words for a person; empty if it is not known.
        detail: String,
    },
}

/// The service's answer to a lookup, as it came.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Answer {
    /// The HTTP status: 200 with a record, 401 for a refused credential, 404 where the service has no record, 429 when
    /// it throttles.
    pub http_status: u16,
    /// The service's clock, to the second.
    pub service_time: Option<SystemTime>,
    /// The wait before the next request, where the service asks for one.
    pub retry_after: Option<Duration>,
    /// The service's six-digit code.
    pub error_code: Option<u32>,
    /// Identifies the request for the service's support.
    pub tracking_id: Option<String>,
    /// The service's message about an error.
    pub message: Option<String>,
    /// What the service has on record, without the custom payload and the connection profile; none when it answered with anything else.
    pub record: Option<RegistrationRecord>,
}

impl Answer {
    /// Whether the answer has the record, the error code or the tracking id of a service. What a proxy or another server
    /// answers has none of them.
    #[must_use]
    pub fn is_of_service(&self) -> bool {
        self.record.is_some() || self.error_code.is_some() || self.tracking_id.is_some()
    }
}

impl ProvisioningClient {
    /// Tests once whether the service accepts the credential, of [several](crate::ProvisioningClientBuilder::fallback) the one
    /// that a registration would try first, without registering: over HTTPS by a lookup, over MQTT by
    /// CONNECT and SUBSCRIBE. Nothing is tried again; ends by the request timeout. Dropping the future ends it at once.
    ///
    /// ```no_run
    /// # async fn example(client: dps_client::ProvisioningClient) -> Result<(), dps_client::DpsError> {
    /// use dps_client::Probe;
    /// match client.probe().await? {
    ///     Probe::Answered(answer) => println!("the service answered {}", answer.http_status),
    ///     Probe::SignedIn => println!("the service accepted CONNECT"),
    ///     Probe::NoAnswer { error, detail } => println!("no answer: {error}: {detail}"),
    ///     _ => {}
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// A device with a TPM is not probed: each of its requests needs a challenge of its own, as [`lookup`](Self::lookup) gets it.
    ///
    /// # Errors
    /// `invalid-option` for a device with a TPM, `clock-needed`, `signer-failed` or what a PKCS#11 token failed with, and `client-certificate-expired`; whatever the network or the service did is a [`Probe`].
    pub async fn probe(&self) -> Result<Probe, DpsError> {
        let order = self.credentials.in_order(&self.registration_id, &self.clock);
        let entry = order.entries.first().ok_or_else(|| internal("the client has no credential"))?;
        #[cfg(feature = "tpm")]
        if matches!(entry.credential, Credential::Tpm(_)) {
            let message = "a device with a TPM cannot be probed: look it up, which does not register it either";
            return Err(DpsError::config(ErrorCode::InvalidOption, message.to_owned()));
        }
        entry.credential.judge_again(&self.registration_id, &self.clock)?;
        let identity = self.identity();
        let start = TokioTimer::start();
        // A registration may be using the custom link; the time limit includes the wait for it.
        let Ok(link) = tokio::time::timeout(self.request_timeout, entry.carrier.link(&entry.credential)).await else {
            return Ok(Probe::NoAnswer { error: LinkError::Timeout, detail: LINK_IN_USE.to_owned() });
        };
        let mut link = link?;
        let left = self.request_timeout.saturating_sub(start.elapsed());
        let asked = tokio::time::timeout(left, self.ask_once(identity, &entry.credential, &mut link)).await;
        let probe = match asked {
            Ok(probe) => probe?,
            Err(_) if entry.credential.is_busy() => {
                let error = LinkError::Signer { code: ErrorCode::SignerTimeout };
                Probe::NoAnswer { error, detail: TOKEN_IS_BUSY.to_owned() }
            }
            Err(_) => {
                let detail = link.diagnosis(ErrorCode::Timeout).map(|known| known.detail).unwrap_or_default();
                Probe::NoAnswer { error: LinkError::Timeout, detail }
            }
        };
        let _ = tokio::time::timeout(DISCONNECT_LIMIT, link.close()).await;
        tracing::info!(registration_id = %self.registration_id, endpoint = %self.endpoint, ?probe, "probed");
        Ok(probe)
    }

    async fn ask_once(
        &self,
        identity: Identity<'_>,
        credential: &Credential,
        link: &mut ClientLink,
    ) -> Result<Probe, DpsError> {
        let token = self.token(identity, credential).await?;
        let authorization = token.as_ref().map(|token| Authorization::new(token.expose(), 1));
        // The time limit is this call's own; links need it no more than a registration's.
        let respond_by = TokioTimer::start().now();
        let request = Request::new(RequestId::new(1), Call::Lookup, identity, authorization, respond_by);
        let mut buffer = vec![0; self.reply_limit];
        let probe = match link.probe(&request, &mut buffer).await {
            Ok(Some(reply)) => Probe::from_reply(&reply),
            Ok(None) => Probe::SignedIn,
            Err(error) => {
                let detail = link.diagnosis(error.code()).map(|known| known.detail).unwrap_or_default();
                Probe::NoAnswer { error, detail }
            }
        };
        Ok(probe)
    }
}

impl ProvisioningClient {
    /// A token for one request; none where the device presents a certificate.
    async fn token(&self, identity: Identity<'_>, credential: &Credential) -> Result<Option<SecretString>, DpsError> {
        if !credential.signs() {
            return Ok(None);
        }
        let expires_at = self.clock.needed_now()? + TOKEN_LIFE;
        let resource = Resource::registration(identity.id_scope, identity.registration_id);
        credential.clone().sign_token(resource, expires_at).await.map(Some)
    }
}

impl Probe {
    /// A record is believed only where a registration would believe it.
    fn from_reply(reply: &Reply<'_>) -> Self {
        match reply.body.check_names() {
            Err(problem) if reply.status < 300 => {
                Self::NoAnswer { error: LinkError::InvalidReply, detail: problem.to_string() }
            }
            _ => Self::Answered(Answer::from_reply(reply)),
        }
    }
}

impl Answer {
    fn from_reply(reply: &Reply<'_>) -> Self {
        let body = &reply.body;
        let record = body.status.filter(|_| reply.status < 300).map(|status| RegistrationRecord {
            status,
            hub: owned(body.assigned_hub),
            device_id: owned(body.device_id),
            substatus: owned(body.substatus),
            error_code: body.error_code,
            message: owned(body.message),
            payload: None,
            connection_profile: ConnectionProfile::NotReported,
        });
        Self {
            http_status: reply.status,
            service_time: reply.date.and_then(|date| UNIX_EPOCH.checked_add(Duration::from_secs(date.get()))),
            retry_after: reply.retry_after.map(|wait| Duration::from_millis(Millis::get(wait))),
            error_code: body.error_code,
            tracking_id: owned(body.tracking_id),
            message: owned(body.message),
            record,
        }
    }
}
