//! One device's client: drives a registration over a link with tokio's clock, and owns the outcome.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use dps_core::{
    Attestation, Config, ConfigError, ErrorCode, Hint, Identity, Instant, Millis, Outcome, Registration, Timer,
    UnixSeconds, Verdict, WallAnchor, WithCertificateRequest, drive, storage_size,
};
use tokio::sync::Mutex;
use tracing::{debug, info};

use crate::assignment::{Assignment, RegistrationRecord, owned, payload_text};
use crate::carrier::{Carrier, ClientLink};
use crate::clock::{Clock, TokioTimer, millis};
use crate::credentials::{Credentials, Entry, Order};
use crate::error::DpsError;
use crate::fallback::{Call, Failed, Refusal};
use crate::hub::HubCredentials;
use crate::names::{Endpoint, IdScope, Payload, RegistrationId};
use crate::profile::ConnectionProfile;
use crate::progress::{DynObserver, Progress, ResumeToken};
use crate::signer::Credential;
use crate::store::StoredAssignment;

/// Shared by the registrations of a client, one at a time.
pub(crate) type Observer = Arc<Mutex<dyn DynObserver>>;

/// Storage beyond the least, so that long hub names and the service's messages are kept whole.
const EXTRA_STORAGE: usize = 1024;

/// A device that can be registered. Cheap to keep; each registration opens a connection of its own.
pub struct ProvisioningClient {
    pub(crate) id_scope: IdScope,
    pub(crate) registration_id: RegistrationId,
    pub(crate) endpoint: Endpoint,
    pub(crate) credentials: Credentials,
    pub(crate) config: Config,
    pub(crate) timeout: Duration,
    pub(crate) request_timeout: Duration,
    /// Without a certificate; each credential has its own.
    pub(crate) carrier: Carrier,
    /// The API version of requests, unless it is the transport's default one or a custom link's.
    pub(crate) api_version: Option<String>,
    pub(crate) payload: Option<Payload>,
    /// A certificate request, as DER.
    pub(crate) certificate_request: Option<Vec<u8>>,
    pub(crate) reply_limit: usize,
    pub(crate) clock: Clock,
    pub(crate) observer: Option<Observer>,
    pub(crate) correct_clock: bool,
}

/// A registration, whatever the attestation.
pub(crate) type Conversation<'m> = Registration<'m, &'m dyn Attestation>;

/// What a [`Registration`] is made for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose<'a> {
    Register,
    Resume(&'a ResumeToken),
    Lookup,
}

/// What the last reply has beyond the outcome, owned.
struct Members {
    connection_profile: ConnectionProfile,
    issued_chain: Vec<Vec<u8>>,
}

/// What a [`Registration`] was driven with.
struct Used<'a> {
    entry: &'a Entry,
    /// The entry's, as it is after the registration: it knows why a signature failed.
    credential: &'a Credential,
    link: &'a ClientLink,
}

/// The outcome of a [`Registration`], owned.
pub(crate) enum Finished {
    Assigned(Box<Assignment>),
    Record(RegistrationRecord),
}

impl ProvisioningClient {
    /// Registers the device and waits for its assignment. Ends by the timeout; dropping the future ends it at once.
    ///
    /// Needs a tokio runtime with I/O and time. A runtime that is dropped waits for the platform's resolver where a name is
    /// still being resolved; `Runtime::shutdown_background` does not.
    ///
    /// # Errors
    /// [`DpsError`]: what failed, whether to try again, and the likely causes.
    pub async fn register(&self) -> Result<Assignment, DpsError> {
        self.assignment(Purpose::Register).await
    }

    /// Continues a registration that an earlier call began, after a restart for example, and waits for the assignment. The
    /// device is registered afresh if the service has forgotten the operation. Ends and can be dropped as
    /// [`register`](Self::register), which begins anew whatever was resumed before.
    ///
    /// ```no_run
    /// # async fn example(client: dps_client::ProvisioningClient) -> Result<(), Box<dyn std::error::Error>> {
    /// let assignment = match std::fs::read_to_string("operation") {
    ///     Ok(line) => client.resume(&line.parse()?).await?,
    ///     Err(_) => client.register().await?,
    /// };
    /// # let _ = assignment;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`register`](Self::register); `operation-mismatch`, before anything is sent, when the token belongs to another
    /// endpoint, id scope or registration id.
    pub async fn resume(&self, token: &ResumeToken) -> Result<Assignment, DpsError> {
        self.assignment(Purpose::Resume(token)).await
    }

    async fn assignment(&self, purpose: Purpose<'_>) -> Result<Assignment, DpsError> {
        match self.run(purpose).await? {
            Finished::Assigned(assignment) => Ok(*assignment),
            Finished::Record(_) => Err(internal("a registration ended as a lookup")),
        }
    }

    /// Asks for the device's record without registering it. Counts against the service's rate, and is not billed.
    ///
    /// # Errors
    /// As [`ProvisioningClient::register`]; `not-found` when the device never registered, `invalid-reply` when a 404 did
    /// not come from a service, `unsupported-by-transport` over MQTT, before anything is sent.
    pub async fn lookup(&self) -> Result<RegistrationRecord, DpsError> {
        if !self.carrier.can_look_up() {
            return Err(ConfigError::UnsupportedByTransport.into());
        }
        if self.certificate_request.is_some() {
            return Err(lookup_with_request());
        }
        match self.run(Purpose::Lookup).await.map_err(DpsError::unless_of_service)? {
            Finished::Record(record) => Ok(record),
            Finished::Assigned(_) => Err(internal("a lookup ended as a registration")),
        }
    }

    /// What this device signs in to its hub with, by an assignment that was stored: what a restarted device tries before
    /// it registers again: the certificate that the service has [issued](crate::ProvisioningClientBuilder::issued) while it is valid,
    /// otherwise the credential with which the assignment was made. `None` when the assignment was made in another id scope, for
    /// another registration id, or with a credential that this client does not have.
    ///
    /// # Errors
    /// `unsupported-profile` for a hub with another connection profile than `classic`.
    pub fn hub_credentials(&self, stored: &StoredAssignment) -> Result<Option<HubCredentials>, DpsError> {
        if stored.id_scope != self.id_scope || stored.registration_id != self.registration_id {
            return Ok(None);
        }
        let StoredAssignment { hub, device_id, connection_profile, .. } = stored.clone();
        connection_profile.require_classic(&hub)?;
        let found = self.credentials.for_hub(stored.credential_index, &self.registration_id, &self.clock);
        let Some(entry) = found else { return Ok(None) };
        let (credential, clock) = (entry.credential.clone(), self.clock.clone());
        Ok(Some(HubCredentials::new(hub, device_id, credential, clock, self.request_timeout)))
    }

    /// Returns the id under which the device registers.
    #[must_use]
    pub fn registration_id(&self) -> &RegistrationId {
        &self.registration_id
    }

    /// Returns the id scope in which the device registers.
    #[must_use]
    pub fn id_scope(&self) -> &IdScope {
        &self.id_scope
    }

    /// Returns the address of the service.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    pub(crate) fn identity(&self) -> Identity<'_> {
        Identity {
            endpoint: (&self.endpoint).into(),
            id_scope: (&self.id_scope).into(),
            registration_id: (&self.registration_id).into(),
        }
    }

    /// Registers, or looks up, with one of the credentials.
    pub(crate) async fn attempt(&self, entry: &Entry, order: &Order, call: &mut Call<'_>) -> Result<Finished, Failed> {
        entry.credential.judge_again(&self.registration_id, &self.clock)?;
        let identity = self.identity();
        let mut storage = vec![0; storage_size(&identity) + EXTRA_STORAGE];
        let timer = call.timer;
        let left = || self.timeout.saturating_sub(timer.elapsed());
        let mut credential = entry.credential.clone();
        let keys = credential.public_keys(left()).await?;
        let tpm = keys.tpm();
        let attestation = match &tpm {
            Some(tpm) => tpm,
            None => entry.credential.attestation(),
        };
        let with_request;
        let attestation = match &self.certificate_request {
            Some(request) => {
                with_request = self.with_request(attestation, request)?;
                &with_request
            }
            None => attestation,
        };
        // A custom link may be lent to another registration; waiting for it counts towards the deadline.
        let mut link =
            tokio::time::timeout(left(), entry.carrier.link(&entry.credential)).await.map_err(|_| link_is_busy())??;
        // It may become free in the moment in which the time is up.
        if matches!(entry.carrier, Carrier::Custom(_)) && left().is_zero() {
            return Err(link_is_busy().into());
        }
        let mut registration = self.begin(call, entry, identity, attestation, &mut storage)?;
        let mut watch = Watch(self.observer.as_ref());
        info!(registration_id = %self.registration_id, endpoint = %self.endpoint, purpose = ?call.purpose, credential = %entry.place, "start");
        loop {
            // Boxed, as what links do inside it is: a future that is moved is on the stack once for each move.
            let driving = drive(&mut registration, &mut link, &timer, &mut credential, &mut watch, &mut call.buffer);
            Box::pin(driving).await;
            match Box::pin(self.time_after_refusal(&registration, entry, &timer, &mut call.asked_time)).await {
                Some(anchor) if registration.correct_clock(anchor) => {
                    info!("the clock was corrected by the service's time")
                }
                _ => break,
            }
        }
        let began = matches!(call.purpose, Purpose::Register) && call.pending.is_none();
        if registration.record().is_some() || (began && registration.operation().is_some()) {
            self.credentials.accept(order, entry.place);
        }
        if matches!(registration.outcome(), Some(Outcome::Assigned(_))) {
            let key = registration.hub_key(&mut call.buffer).map(<[u8]>::to_vec);
            credential.keep_hub_key(key, left()).await?;
        }
        call.wall = registration.wall_anchor();
        call.pending = registration.operation().as_ref().map(ResumeToken::new);
        let refusal = registration.failure().and_then(|failure| Refusal::of(&failure, &link));
        let members = self.members(&registration, &mut call.buffer)?;
        let used = Used { entry, credential: &credential, link: &link };
        let finished = self.finished(&registration, &call.buffer, members, &timer, &used);
        finished.map_err(|error| Failed { error, refusal })
    }

    fn with_request<'m>(
        &'m self,
        attestation: &'m dyn Attestation,
        request: &'m [u8],
    ) -> Result<WithCertificateRequest<&'m dyn Attestation, &'m [u8]>, DpsError> {
        // Bytes in memory can be read, so that it is empty.
        WithCertificateRequest::new(attestation, request)
            .map_err(|error| DpsError::config(ErrorCode::CertificateRequest, error.to_string()).caused_by(error))
    }

    fn begin<'m>(
        &'m self,
        call: &Call<'_>,
        entry: &Entry,
        identity: Identity<'m>,
        attestation: &'m dyn Attestation,
        storage: &'m mut [u8],
    ) -> Result<Conversation<'m>, DpsError> {
        let config = self.config.timeout(millis(self.timeout.saturating_sub(call.timer.elapsed())));
        let wall = call.wall.or_else(|| self.wall_anchor(&call.timer));
        let config = wall.map_or(config, |anchor| config.wall_anchor(anchor)).key_evidence(entry.evidence);
        let mut registration = Registration::with_attestation(identity, attestation, config, storage)?;
        match (call.purpose, &call.pending) {
            (Purpose::Lookup, _) => registration.set_lookup().map_err(|_| lookup_with_request())?,
            (_, Some(token)) | (Purpose::Resume(token), _) => registration.set_operation(&token.operation())?,
            (Purpose::Register, None) => {}
        }
        if let Some(payload) = &self.payload {
            registration.set_payload(payload.into());
        }
        Ok(registration)
    }

    fn wall_anchor(&self, timer: &TokioTimer) -> Option<WallAnchor> {
        let since = self.clock.now()?.duration_since(UNIX_EPOCH).ok()?;
        Some(WallAnchor { at: timer.now(), unix: UnixSeconds::new(since.as_secs()) })
    }

    /// Reads what the last reply has beyond the outcome.
    fn members(&self, registration: &Conversation<'_>, buffer: &mut [u8]) -> Result<Members, DpsError> {
        let api_version = self.api_version.as_deref().unwrap_or_default();
        let connection_profile = registration.connection_profile(buffer, api_version).map_err(DpsError::in_reply)?;
        Ok(Members { connection_profile: connection_profile.into(), issued_chain: issued_chain(registration, buffer)? })
    }

    fn finished(
        &self,
        registration: &Conversation<'_>,
        buffer: &[u8],
        members: Members,
        timer: &TokioTimer,
        used: &Used<'_>,
    ) -> Result<Finished, DpsError> {
        let elapsed = timer.elapsed();
        let failed = match registration.outcome() {
            Some(Outcome::Assigned(assignment)) => {
                let at_hub = self.credentials.for_hub(used.entry.place.index(), &self.registration_id, &self.clock);
                let at_hub = at_hub.as_deref().unwrap_or(used.entry);
                let assignment = Assignment {
                    hub: assignment.assigned_hub().as_str().to_owned(),
                    device_id: assignment.device_id().as_str().to_owned(),
                    id_scope: self.id_scope.clone(),
                    registration_id: self.registration_id.clone(),
                    substatus: owned(assignment.substatus()),
                    operation_id: owned(assignment.operation_id()),
                    payload: payload_text(buffer, assignment.payload()),
                    connection_profile: members.connection_profile,
                    issued_chain: members.issued_chain,
                    elapsed,
                    credential: at_hub.credential.clone(),
                    credential_index: used.entry.place.index(),
                    clock: self.clock.clone(),
                    signing_limit: self.request_timeout,
                };
                info!(hub = assignment.hub(), device_id = assignment.device_id(), ?elapsed, "assigned");
                return Ok(Finished::Assigned(Box::new(assignment)));
            }
            Some(Outcome::Record(record)) => {
                info!(status = record.status().as_str(), ?elapsed, "record");
                return Ok(Finished::Record(RegistrationRecord::new(&record, buffer, members.connection_profile)));
            }
            Some(Outcome::Failed(failure)) => {
                let diagnosis = used.link.diagnosis(failure.code());
                let failed = DpsError::from_failure(&failure, diagnosis, registration.operation().as_ref());
                match used.credential.cause_of(failed.code()) {
                    Some(cause) => cause.instead_of(failed),
                    None => self.explain(failed, used),
                }
            }
            _ => internal("the registration has no outcome"),
        };
        info!(error = %failed.report(), name = failed.name(), ?elapsed, "failed");
        Err(failed)
    }
}

impl ProvisioningClient {
    /// Adds what is known of the certificate to a failure that it may have caused.
    fn explain(&self, failed: DpsError, used: &Used<'_>) -> DpsError {
        let Used { entry, link, .. } = used;
        let (code, hints) = (failed.code(), failed.hints());
        let may_be_refused = matches!(code, ErrorCode::Unauthorized | ErrorCode::ClientCertificateRefused)
            || hints.contains(&Hint::CertificateAtCut);
        if entry.credential.signs() || !may_be_refused {
            return failed;
        }
        let causes = if code == ErrorCode::Unauthorized { entry.credential.likely_causes() } else { &[] };
        let failed = failed.hinted(causes.iter().copied()).hinted(entry.doubts.iter().copied());
        // The certificate was valid when the registration began.
        let lapsed = entry.credential.judge_again(&self.registration_id, &self.clock).err();
        let failed = failed.hinted(lapsed.iter().flat_map(|lapsed| lapsed.hints().iter().copied()));
        match link.certificate_requested() {
            Some(false) => failed.without_certificate(),
            _ => failed,
        }
    }
}

/// The certificates that were issued with an assignment, as DER.
fn issued_chain(registration: &Conversation<'_>, buffer: &mut [u8]) -> Result<Vec<Vec<u8>>, DpsError> {
    let mut chain = Vec::new();
    while let Some(certificate) = registration.issued_certificate(buffer, chain.len()).map_err(DpsError::in_reply)? {
        chain.push(certificate.to_vec());
    }
    Ok(chain)
}

fn lookup_with_request() -> DpsError {
    let message = "a lookup cannot carry a certificate request: register with it, or look up with a client without it";
    DpsError::new(ErrorCode::Misuse, Verdict::Never, message.to_owned())
}

/// Logs what the loop is about to do, and asks the client's observer.
struct Watch<'c>(Option<&'c Observer>);

impl dps_core::Observer for Watch<'_> {
    async fn observe(&mut self, now: Instant, progress: dps_core::Progress<'_>) -> ControlFlow<()> {
        let Some(progress) = Progress::from_core(now, &progress) else { return ControlFlow::Continue(()) };
        debug!(?progress, "progress");
        match self.0 {
            Some(observer) => observer.lock().await.observe_boxed(progress).await,
            None => ControlFlow::Continue(()),
        }
    }
}

/// Why a call ended that had to wait for a custom link.
pub(crate) const LINK_IN_USE: &str = "another registration used the custom link until the timeout";

fn link_is_busy() -> DpsError {
    DpsError::new(ErrorCode::Timeout, Verdict::After(Millis::ZERO), LINK_IN_USE.to_owned())
}

pub(crate) fn internal(what: &str) -> DpsError {
    DpsError::new(ErrorCode::Internal, Verdict::Never, what.to_owned())
}

impl fmt::Debug for ProvisioningClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProvisioningClient")
            .field("endpoint", &self.endpoint)
            .field("id_scope", &self.id_scope)
            .field("registration_id", &self.registration_id)
            .field("credentials", &self.credentials)
            .finish_non_exhaustive()
    }
}
