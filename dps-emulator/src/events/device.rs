//! Recording of a device's calls: what arrived, with which credential, and what was answered.

use super::{Event, EventKind, Exchange, Mask, MetFault, RefusalReason, TokenFacts, Transport, WaitKept};
use crate::auth::Caller;
use crate::credentials::Token;
use crate::device::Reply;
use crate::fault::{At, Fault, TransportFault};
use crate::ids::FoldedId;
use crate::service::Service;
use crate::time::Now;
use crate::wire::Protocol;
use crate::x509::ClientCertificates;

/// A device's call as it arrived.
#[derive(Clone, Copy)]
pub(crate) struct Arrival<'a> {
    pub(crate) at: At,
    pub(crate) caller: &'a Caller<'a>,
    pub(crate) body: &'a [u8],
    /// The operation that is polled.
    pub(crate) operation_id: Option<&'a str>,
}

/// What became of a call, beside its reply.
#[derive(Default)]
pub(crate) struct Outcome<'a> {
    /// Why it was refused, or the registration failed, with a message.
    pub(crate) refused: Option<(RefusalReason, String)>,
    /// The operation that it started.
    pub(crate) operation_id: Option<&'a str>,
    pub(crate) wait_kept: Option<WaitKept>,
}

impl Protocol {
    pub(crate) fn transport(self) -> Transport {
        match self {
            Self::Http => Transport::Https,
            Self::Mqtt => Transport::Mqtt,
        }
    }
}

impl Service {
    /// How the device kept the wait that it was told last.
    pub(crate) fn wait_kept(&mut self, now: Now, registration: &FoldedId) -> Option<WaitKept> {
        self.events.is_on().then(|| self.events.waits.kept(now, registration)).flatten()
    }

    /// Remembers the wait that a reply asks for, if the device will receive it.
    pub(crate) fn note_wait(&mut self, now: Now, registration: &FoldedId, reply: &Reply) {
        let delay_ms = match reply.fault {
            None
            | Some(TransportFault::SlowBytes | TransportFault::WrongRequestId | TransportFault::MissingRequestId) => 0,
            Some(TransportFault::Delay { ms }) => ms,
            Some(TransportFault::Flood { answered: true, .. }) => 0,
            Some(_) => return,
        };
        if let Some(hint) = reply.retry_after.filter(|_| self.events.is_on()) {
            let scale = self.clock.scale();
            self.events.waits.told(now, registration, hint, delay_ms, scale);
        }
    }

    /// Records a call of a device. `reply` is what the service answers before a fault changes it.
    pub(crate) fn record_call(&mut self, now: Now, arrival: Arrival<'_>, reply: &Reply, outcome: Outcome<'_>) {
        if !self.events.is_on() {
            return;
        }
        let Arrival { at, caller, body, operation_id } = arrival;
        let (facts, mut mask) = self.credential_facts(now, caller);
        let registration_id = mask.text("path", caller.registration_id);
        let user_agent = caller.user_agent.map(|agent| mask.text("user-agent", agent));
        mask.search("body", body);
        let (reason, message) = outcome.refused.unzip();
        let exchange = Exchange {
            call: at.name().into(),
            client_id: (caller.protocol == Protocol::Mqtt).then(|| registration_id.clone()),
            user_agent,
            api_version: Some(mask.text("path", caller.api_version)),
            operation_id: operation_id.or(outcome.operation_id).map(|id| mask.text("path", id)),
            status: Some(reply.status).filter(|status| *status > 0),
            code: reply.error_code,
            tracking_id: Some(reply.tracking_id.clone()),
            reason,
            message: message.map(|message| mask.text("body", &message)),
            wait_told: reply.retry_after,
            wait_kept: outcome.wait_kept,
            request_bytes: body.len(),
            request: mask.json("body", body),
            reply: mask.json("reply", &reply.body),
            exposed: mask.exposed(),
            ..facts
        };
        let kind = EventKind::Exchange(Box::new(exchange));
        self.events.record(now, caller.protocol.transport(), Some(&registration_id), kind);
    }

    /// Returns an exchange with the credential of the caller, and what masks the caller's keys.
    pub(crate) fn credential_facts(&self, now: Now, caller: &Caller<'_>) -> (Exchange, Mask) {
        let mut mask = Mask::new(&self.keys_of_device(caller.registration_id));
        let certificates = caller.certificates.filter(|presented| !presented.is_empty()).cloned().unwrap_or_default();
        let token = caller.token.filter(|_| certificates.is_empty()).and_then(Token::parse);
        let token = token.map(|token| {
            let signed_by = self.signed_by(caller.registration_id, &token);
            TokenFacts::new(now, &token, &mut mask, signed_by)
        });
        (Exchange { token, certificates, ..Exchange::default() }, mask)
    }

    /// Records a planned fault that was met.
    pub(crate) fn record_fault(
        &mut self,
        now: Now,
        transport: Transport,
        at: At,
        registration: &FoldedId,
        fault: &Fault,
    ) {
        let kind = EventKind::Fault(MetFault { fault: fault.kind(), at });
        self.events.record(now, transport, Some(registration.as_str()), kind);
    }

    /// The events that are kept, oldest first.
    pub fn events(&self) -> impl Iterator<Item = &Event> {
        self.events.after(0).map(AsRef::as_ref)
    }
}

/// The certificates that a reason is about: the issuer that is missing in a chain.
pub(super) fn missing_issuer(reason: Option<RefusalReason>, certificates: &ClientCertificates) -> Option<&str> {
    match reason {
        Some(RefusalReason::IntermediateMissing { at }) => certificates.issuer_name(Some(at)),
        Some(RefusalReason::RootNotVerified) => certificates.issuer_name(None),
        _ => None,
    }
}
