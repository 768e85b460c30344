//! The link: one MQTT connection for a whole registration.
//!
//! The session is taken out while a request is under way and put back only with a whole reply in hand, so that a
//! dropped future, or a failure, has closed the connection.

use std::fmt;
use std::time::Duration;

use dps_core::{ByteStr, Call, Instant, Link, LinkError, Millis, Reply, Request};
use dps_net::{CertificateUse, CurrentPhase, Dialer, NetError, Phase};
use tracing::debug;

use crate::options::{Framing, MqttOptions, OptionError};
use crate::session::{Session, generation};

/// How long closing an old connection may take before a new one is opened.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Registers over MQTT. Needs a tokio runtime with I/O and time.
pub struct MqttLink {
    dialer: Dialer,
    options: MqttOptions,
    session: Option<Session>,
    last_error: Option<NetError>,
    phase: CurrentPhase,
    certificate: CertificateUse,
}

impl MqttLink {
    /// Returns a link that connects at its first exchange.
    ///
    /// # Errors
    /// [`OptionError`] when an option is not valid.
    pub fn new(dialer: Dialer, options: MqttOptions) -> Result<Self, OptionError> {
        options.check()?;
        let (phase, certificate) = (CurrentPhase::default(), CertificateUse::default());
        let dialer = dialer.phase(phase.clone()).certificate_use(certificate.clone());
        Ok(Self { dialer, options, session: None, last_error: None, phase, certificate })
    }

    /// Returns the cause of the last [`LinkError`] in words, or the phase in which an exchange stalled whose future was
    /// dropped. Holds no secret.
    #[must_use]
    pub fn last_error_detail(&self) -> Option<&str> {
        match self.stalled_in() {
            Some(phase) => Some(phase.stalled()),
            None => self.last_error().map(NetError::detail),
        }
    }

    /// Returns the last failure with its cause, or `None` after a reply.
    #[must_use]
    pub fn last_error(&self) -> Option<&NetError> {
        self.last_error.as_ref()
    }

    /// Returns the phase in which the last exchange was when its future was dropped, or `None` when it ended.
    #[must_use]
    pub fn stalled_in(&self) -> Option<Phase> {
        self.phase.get()
    }

    /// Returns what became of the device's certificate on the last connection.
    #[must_use]
    pub fn certificate_use(&self) -> &CertificateUse {
        &self.certificate
    }

    /// Connects and subscribes with the request's credential, and disconnects. The request itself is not sent, so that
    /// nothing is registered.
    ///
    /// The service may accept a connection whose credential it rejects later, at the register call.
    ///
    /// # Errors
    /// [`LinkError`]; `MqttRefused` with the code of CONNACK.
    pub async fn sign_in(&mut self, request: &Request<'_>) -> Result<(), LinkError> {
        let options = self.options.clone().pipelined(false);
        let opened = Session::open(&self.dialer, &options, request, &self.certificate).await;
        self.phase.end();
        match opened {
            Ok(session) => {
                self.last_error = None;
                let _ = tokio::time::timeout(CLOSE_TIMEOUT, session.connection.close()).await;
                Ok(())
            }
            Err(failure) => Err(self.note(failure)),
        }
    }

    /// Continues with a session that was opened elsewhere.
    #[cfg(test)]
    pub(crate) fn adopt(&mut self, session: Session) {
        self.session = Some(session);
    }

    /// Explains the failure of a connection and keeps it for [`Self::last_error`].
    fn note(&mut self, failure: NetError) -> LinkError {
        let mut failure = self.certificate.explain(failure);
        if self.options.framing == Framing::WebSocket {
            failure = self.certificate.suspect_renegotiation(failure);
        }
        let error = failure.kind();
        self.last_error = Some(failure);
        error
    }

    async fn ask<'b>(&mut self, request: &Request<'_>, buffer: &'b mut [u8]) -> Result<(Session, Reply<'b>), NetError> {
        match request.call {
            Call::Lookup | Call::LookupWithMembers { .. } => {
                return Err(NetError::new(LinkError::Unsupported, "the service has no lookup over MQTT; use HTTPS"));
            }
            Call::Time => return Err(NetError::new(LinkError::Unsupported, "MQTT carries no time; use HTTPS")),
            _ => {}
        }
        let mut session = match self.session.take() {
            Some(session) if session.generation == generation(request) => {
                self.phase.enter(Phase::Reply);
                let mut session = session;
                session.queue_request(request)?;
                session
            }
            old => {
                if let Some(old) = old {
                    let _ = tokio::time::timeout(CLOSE_TIMEOUT, old.connection.close()).await;
                }
                let mut session = Session::open(&self.dialer, &self.options, request, &self.certificate).await?;
                if !self.options.pipelined {
                    session.queue_request(request)?;
                }
                session
            }
        };
        session.connection.flush().await?;
        let reply = session.reply(request, buffer).await?;
        Ok((session, reply))
    }
}

impl Link for MqttLink {
    async fn exchange<'b>(&mut self, request: &Request<'_>, buffer: &'b mut [u8]) -> Result<Reply<'b>, LinkError> {
        let start = std::time::Instant::now();
        let answer = self.ask(request, buffer).await;
        self.phase.end();
        match answer {
            Ok((session, reply)) => {
                self.session = Some(session);
                self.last_error = None;
                let retry_after_ms = reply.retry_after.map(Millis::get);
                let tracking_id = reply.body.tracking_id.map(ByteStr::as_str);
                debug!(status = reply.status, retry_after_ms, tracking_id, elapsed = ?start.elapsed(), "reply");
                Ok(reply)
            }
            Err(failure) => {
                debug!(error = %failure.kind(), detail = %failure, elapsed = ?start.elapsed(), "no reply");
                Err(self.note(failure))
            }
        }
    }

    async fn idle(&mut self, _until: Instant) {
        let Some(session) = &mut self.session else { return };
        let broken = session.idle().await;
        debug!(detail = %broken, "the connection broke while waiting; the next request makes another");
        self.session = None;
    }

    async fn close(&mut self) {
        if let Some(session) = self.session.take() {
            session.connection.close().await;
        }
    }
}

impl fmt::Debug for MqttLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MqttLink")
            .field("options", &self.options)
            .field("last_error", &self.last_error)
            .finish_non_exhaustive()
    }
}
