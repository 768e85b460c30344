//! Trying the client's credentials in their order: the next one when the service refuses one, and never for another reason.
//!
//! A refusal is what the service alone can send: its status inside TLS, CONNACK, an encrypted alert. All else may be the work of
//! somebody on the way who wants the device to use a weaker credential.

use std::ops::ControlFlow;

use dps_core::{ConfigError, ErrorCode, Failure, Hint, Millis, Verdict, WallAnchor};
use tracing::info;

use crate::carrier::ClientLink;
use crate::client::{Finished, ProvisioningClient, Purpose};
#[cfg(any(feature = "http", feature = "mqtt"))]
use crate::clock::Clock;
use crate::clock::TokioTimer;
use crate::credentials::{CredentialPlace, Entry};
use crate::error::DpsError;
#[cfg(any(feature = "http", feature = "mqtt"))]
use crate::issued::IssuedIdentity;
use crate::progress::{Progress, ResumeToken};

/// Why the service refused a credential, where a client has [several](crate::ProvisioningClientBuilder::fallback).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedCredential {
    place: CredentialPlace,
    code: ErrorCode,
    http_status: Option<u16>,
    error_code: Option<u32>,
    tracking_id: Option<String>,
    message: String,
    /// Whether the clock may be the cause.
    doubts_clock: bool,
}

impl RefusedCredential {
    fn new(place: CredentialPlace, error: &DpsError) -> Self {
        Self {
            place,
            code: error.code(),
            http_status: error.http_status(),
            error_code: error.error_code(),
            tracking_id: error.tracking_id().map(str::to_owned),
            message: error.message().to_owned(),
            doubts_clock: error.hints().first() == Some(&Hint::CheckClock),
        }
    }

    /// Returns which credential it is.
    #[must_use]
    pub fn place(&self) -> CredentialPlace {
        self.place
    }

    /// Returns the entry in the error catalogue: `unauthorized` or `client-certificate-refused`.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        self.code
    }

    /// Returns the service's HTTP status, or that of the MQTT topic.
    #[must_use]
    pub fn http_status(&self) -> Option<u16> {
        self.http_status
    }

    /// Returns the service's six-digit code.
    #[must_use]
    pub fn error_code(&self) -> Option<u32> {
        self.error_code
    }

    /// Returns by what the service's support finds the request.
    #[must_use]
    pub fn tracking_id(&self) -> Option<&str> {
        self.tracking_id.as_deref()
    }

    /// Returns what went wrong, in a sentence.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

/// Whether a failure is a refusal of the credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The service refused it.
    Certain,
    /// By an alert that was not encrypted: a second connection has to meet one too.
    Unconfirmed,
}

impl Refusal {
    /// Decides whether the service refused the credential of this link; `None` for every other failure.
    pub(crate) fn of(failure: &Failure<'_>, link: &ClientLink) -> Option<Self> {
        match failure.code() {
            // The clock may be the cause, not the credential.
            ErrorCode::Unauthorized if failure.clock_skew().is_some() => None,
            ErrorCode::Unauthorized => Some(Self::Certain),
            ErrorCode::ClientCertificateRefused if link.handshake_ended() => Some(Self::Certain),
            ErrorCode::ClientCertificateRefused => Some(Self::Unconfirmed),
            _ => None,
        }
    }
}

/// Why a registration with one credential has no result.
pub(crate) struct Failed {
    pub(crate) error: DpsError,
    pub(crate) refusal: Option<Refusal>,
}

impl From<DpsError> for Failed {
    fn from(error: DpsError) -> Self {
        Self { error, refusal: None }
    }
}

impl From<ConfigError> for Failed {
    fn from(error: ConfigError) -> Self {
        DpsError::from(error).into()
    }
}

/// What the registrations of one call have in common, one for each credential that is tried.
pub(crate) struct Call<'a> {
    pub(crate) purpose: Purpose<'a>,
    /// Counts from the start of the call, whose deadline they share.
    pub(crate) timer: TokioTimer,
    pub(crate) buffer: Vec<u8>,
    /// The operation that a refused credential has left.
    pub(crate) pending: Option<ResumeToken>,
    /// The wall time, as the service may have corrected it.
    pub(crate) wall: Option<WallAnchor>,
    /// What came of asking for the service's time, once it was asked for.
    pub(crate) asked_time: Option<Option<WallAnchor>>,
}

impl ProvisioningClient {
    /// Tries the credentials until one is accepted, or fails for another reason than being refused.
    pub(crate) async fn run(&self, purpose: Purpose<'_>) -> Result<Finished, DpsError> {
        let order = self.credentials.in_order(&self.registration_id, &self.clock);
        let mut call = Call {
            purpose,
            timer: TokioTimer::start(),
            buffer: vec![0; self.reply_limit],
            pending: None,
            wall: None,
            asked_time: None,
        };
        let mut refused = Vec::new();
        let mut entries = order.entries.iter().peekable();
        while let Some(entry) = entries.next() {
            let next = entries.peek();
            // Boxed: a future that is moved is on the stack once for each move.
            let mut ended = Box::pin(self.attempt(entry, &order, &mut call)).await;
            if next.is_some() && matches!(ended, Err(Failed { refusal: Some(Refusal::Unconfirmed), .. })) {
                info!(credential = %entry.place, "a certificate alert that is not encrypted: another connection confirms it");
                ended = Box::pin(self.attempt(entry, &order, &mut call)).await;
            }
            let error = match ended {
                Ok(finished) => return Ok(finished),
                Err(Failed { error, refusal: None }) => return Err(error.after_refusals(refused)),
                Err(Failed { error, .. }) => error,
            };
            self.credentials.refuse(entry.place);
            refused.push(RefusedCredential::new(entry.place, &error));
            let Some(next) = next else { return Err(error.of_all_refused(refused)) };
            info!(refused = %entry.place, error = %error.report(), next = %next.place, "the next credential is tried");
            if let Err(stopped) = self.announce(entry, next, &call).await {
                return Err(stopped.resumable(call.pending).after_refusals(refused));
            }
        }
        // A client has a credential.
        Err(crate::client::internal("no credential was tried"))
    }

    /// Reports the switch to the observer, which can end the call.
    async fn announce(&self, refused: &Entry, next: &Entry, call: &Call<'_>) -> Result<(), DpsError> {
        let Some(observer) = &self.observer else { return Ok(()) };
        let progress = Progress::Switching { refused: refused.place, next: next.place };
        let limit = self.request_timeout.min(self.timeout.saturating_sub(call.timer.elapsed()));
        let told = tokio::time::timeout(limit, async { observer.lock().await.observe_boxed(progress).await }).await;
        let code = match told {
            Ok(ControlFlow::Continue(())) => return Ok(()),
            Ok(ControlFlow::Break(())) => ErrorCode::Cancelled,
            Err(_) => ErrorCode::ObserverTimeout,
        };
        Err(DpsError::new(code, Verdict::After(Millis::ZERO), code.text().to_owned()))
    }

    /// Replaces the certificate that the service has [issued](crate::ProvisioningClientBuilder::issued), after a registration
    /// or a renewal. Calls that begin later try the credentials in their order again.
    ///
    /// # Errors
    /// `invalid-option` when the client was built without a place for it; `common-name-mismatch` when it is for another
    /// registration id.
    #[cfg(any(feature = "http", feature = "mqtt"))]
    pub fn set_issued(&self, identity: &IssuedIdentity) -> Result<(), DpsError> {
        let place = self.credentials.place_of_issued().ok_or_else(|| {
            let message = "the client has no place for an issued certificate: build it with `issued`";
            DpsError::config(ErrorCode::InvalidOption, message.to_owned())
        })?;
        let credential = crate::signer::Credential::Certificate(identity.x509().clone());
        let entry = Entry::new(place, credential, dps_core::KeyEvidence::default(), &self.carrier);
        self.credentials.replace(entry.judged(&self.registration_id, &Clock::new(|| None))?);
        Ok(())
    }
}

impl DpsError {
    /// The same for a call in which the service refused these credentials before.
    fn after_refusals(self, refused: Vec<RefusedCredential>) -> Self {
        if refused.is_empty() {
            return self;
        }
        let message = format!("{}; before, the service refused {}", self.message(), in_words(&refused));
        self.with_refused(message, refused)
    }

    /// The same, which is why the last of these credentials was refused, for the whole call. With one credential it is the error
    /// itself.
    fn of_all_refused(self, refused: Vec<RefusedCredential>) -> Self {
        if refused.len() == 1 {
            return self;
        }
        let message = format!("the service refused each of the {} credentials: {}", refused.len(), in_words(&refused));
        // A token that is refused at CONNECT may have been refused for the time in it.
        let clock = refused.iter().any(|refused| refused.doubts_clock).then_some(Hint::CheckClock);
        self.hinted(clock).with_refused(message, refused)
    }
}

fn in_words(refused: &[RefusedCredential]) -> String {
    let each: Vec<_> = refused.iter().map(|refused| format!("{}: {}", refused.place, refused.message)).collect();
    each.join("; ")
}
