//! Certificates that a hub issues to a device that is signed in (`$iothub/credentials`). The hub accepts a request at once
//! (202) and has its last answer later: the chain (200) or an error. A device has at most one such operation; its last answer
//! is kept until a connection of the device received it, or the operation expires.

use std::collections::BTreeMap;

use serde::Serialize;

use super::renewal_reply::{Accepted, HubProblem, HubReply, Issued};
use super::renewal_request::RenewalRequest;
use super::{Requested, renewal_request};
use crate::device::Reply;
use crate::encoding::decode_base64;
use crate::events::{RefusalReason, Transport};
use crate::fault::{At, Fault};
use crate::ids::FoldedId;
use crate::registrations::Source;
use crate::service::Service;
use crate::time::{Now, iso_8601};
use crate::wire::{HUB_FAILED, NOTHING_TO_REPLACE, to_json};

/// How long an operation is kept that was not delivered: twelve hours, as observed.
const LIFE_MS: u64 = 12 * 3600 * 1000;

/// A device that is signed in to a hub.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AtHub<'a> {
    pub(crate) hub: &'a str,
    pub(crate) device_id: &'a str,
}

impl AtHub<'_> {
    fn key(self) -> (String, String) {
        (self.hub.to_ascii_lowercase(), self.device_id.to_owned())
    }
}

/// The operations, by hub in lower case and device id. Only devices that the hubs have can begin one.
#[derive(Default)]
pub(crate) struct Renewals(BTreeMap<(String, String), Operation>);

impl Renewals {
    /// Ends the operation of a device, if it has one.
    pub(crate) fn remove(&mut self, device: AtHub<'_>) {
        self.0.remove(&device.key());
    }
}

struct Operation {
    request_id: String,
    /// The request as it was sent, by which it is recognized when the device sends it again.
    csr: String,
    correlation_id: String,
    requested: Result<Requested, RefusalReason>,
    /// When the last answer is made, on the monotonic clock.
    due_ms: u64,
    expires_ms: u64,
    /// The same on the wall clock, as devices are told.
    expires_utc: String,
    /// The chain or the refusal, once the answer was made: every delivery has the same one.
    outcome: Option<Result<Vec<String>, RefusalReason>>,
}

/// The last answer to a request.
pub(crate) struct LastAnswer {
    pub(crate) request_id: String,
    pub(crate) correlation_id: String,
    pub(crate) reply: HubReply,
}

impl Service {
    /// Handles a certificate request that was sent to a hub.
    pub(crate) fn request_renewal(&mut self, now: Now, device: AtHub<'_>, request_id: &str, body: &[u8]) -> HubReply {
        self.hubs.renewals.0.retain(|_, operation| now.monotonic_ms < operation.expires_ms);
        self.answer_at_hub(now, At::Renew, device, None, |service| {
            let body = service.accept_renewal(now, device, request_id, body)?;
            Ok(Reply::of_hub(202, to_json(&body)))
        })
    }

    /// How long until the last answer to the device's request can be delivered, in milliseconds; `None` if the device has no
    /// operation, or that of this correlation id.
    pub(crate) fn renewal_wait_ms(&self, now: Now, device: AtHub<'_>, except: Option<&str>) -> Option<u64> {
        let operation = self.hubs.renewals.0.get(&device.key())?;
        let is_open = now.monotonic_ms < operation.expires_ms && except != Some(operation.correlation_id.as_str());
        is_open.then(|| operation.due_ms.saturating_sub(now.monotonic_ms))
    }

    /// The last answer to the device's request, if it is due and not that of this correlation id.
    pub(crate) fn renewal_answer(&mut self, now: Now, device: AtHub<'_>, except: Option<&str>) -> Option<LastAnswer> {
        if self.renewal_wait_ms(now, device, except) != Some(0) {
            return None;
        }
        self.conclude_renewal(now, device);
        let operation = self.hubs.renewals.0.get(&device.key())?;
        let (request_id, correlation_id) = (operation.request_id.clone(), operation.correlation_id.clone());
        let outcome = operation.outcome.clone()?;
        let of = Some(correlation_id.as_str());
        let reply = self.answer_at_hub(now, At::Issue, device, of, |service| match outcome {
            Ok(certificates) => {
                let issued = Issued { correlation_id: &correlation_id, certificates: &certificates };
                Ok(Reply::of_hub(200, to_json(&issued)))
            }
            Err(reason) => Err(service.request_refused(reason)),
        });
        Some(LastAnswer { request_id, correlation_id, reply })
    }

    /// Ends an operation whose last answer was delivered.
    pub(crate) fn end_renewal(&mut self, device: AtHub<'_>, correlation_id: &str) {
        let key = device.key();
        if self.hubs.renewals.0.get(&key).is_some_and(|operation| operation.correlation_id == correlation_id) {
            self.hubs.renewals.0.remove(&key);
        }
    }

    /// Begins an operation, or finds the one that the request began when it was sent before.
    fn accept_renewal(
        &mut self,
        now: Now,
        device: AtHub<'_>,
        request_id: &str,
        body: &[u8],
    ) -> Result<impl Serialize + use<>, HubProblem> {
        let codes = self.options.issuance_codes;
        let request = RenewalRequest::parse(body, device.device_id, codes)?;
        renewal_request::check_request_id(request_id)?;
        let active = self.hubs.renewals.0.get(&device.key());
        match (request.replace.as_deref(), active) {
            (None, Some(active)) if active.request_id == request_id && active.csr == request.csr => {
                return Ok(active.accepted());
            }
            (None, Some(active)) => return Err(active.conflict(codes.conflict())),
            (Some("*"), _) | (None, None) => {}
            (Some(replaced), active) if active.is_some_and(|active| active.request_id == replaced) => {}
            (Some(replaced), _) => return Err(nothing_to_replace(replaced)),
        }
        let registration_id = self.registration_at_hub(device);
        let registration = FoldedId::new(&registration_id);
        self.throttle.renewal(now, &registration).map_err(|hint| HubProblem::throttled(Some(hint)))?;
        let wait_ms = if self.options.assign_at_once { 0 } else { self.options.assigning_ms };
        let operation = Operation {
            request_id: request_id.to_owned(),
            requested: self.check_renewal(&registration_id, &request.csr),
            csr: request.csr,
            correlation_id: self.random.guid(),
            due_ms: now.monotonic_ms.saturating_add(wait_ms),
            expires_ms: now.monotonic_ms.saturating_add(LIFE_MS),
            expires_utc: iso_8601(now.unix_ms.saturating_add(LIFE_MS)),
            outcome: None,
        };
        let accepted = operation.accepted();
        self.hubs.renewals.0.insert(device.key(), operation);
        Ok(accepted)
    }

    /// Checks a request as the service does at registration; that takes the hub a while, so that the device learns it later.
    fn check_renewal(&self, registration_id: &str, csr: &str) -> Result<Requested, RefusalReason> {
        let record = self.records.get(&FoldedId::new(registration_id));
        let source = record.map_or(Source::Individual, |record| record.source.clone());
        let settings = self.settings_of(&source, registration_id);
        if !settings.is_some_and(|settings| settings.certificate_policy.is_named()) {
            return Err(RefusalReason::CertificateRequest);
        }
        let der = decode_base64(csr).ok_or(RefusalReason::RequestMalformed)?;
        self.verify_request(&der, registration_id)
    }

    /// Issues the certificate, unless that was done before; the hub accepts it from then on.
    fn conclude_renewal(&mut self, now: Now, device: AtHub<'_>) {
        let key = device.key();
        let Some(operation) = self.hubs.renewals.0.get(&key).filter(|operation| operation.outcome.is_none()) else {
            return;
        };
        let outcome = match operation.requested.clone() {
            Err(reason) => Err(reason),
            Ok(request) => {
                let registration_id = self.registration_at_hub(device);
                let chain = self.issue_certificate(now, Transport::Mqtt, &registration_id, &request);
                if let (Some(chain), Some(entry)) = (&chain, self.hubs.device_mut(device.hub, device.device_id)) {
                    entry.issued = Some(chain.root.clone());
                }
                chain.map(|chain| chain.certificates).ok_or(RefusalReason::Internal)
            }
        };
        if let Some(operation) = self.hubs.renewals.0.get_mut(&key) {
            operation.outcome = Some(outcome);
        }
    }

    /// The registration id of a device at a hub.
    fn registration_at_hub(&self, device: AtHub<'_>) -> String {
        let entry = self.hubs.device(device.hub, device.device_id);
        entry.map_or_else(|| device.device_id.to_owned(), |entry| entry.registration_id.clone())
    }

    fn request_refused(&self, reason: RefusalReason) -> HubProblem {
        let code = match reason {
            RefusalReason::Internal => HUB_FAILED,
            _ => self.options.issuance_codes.request_refused(),
        };
        HubProblem::new(code, format!("The certificate could not be issued: {reason}.")).because(reason)
    }

    /// Answers a device at a hub, unless a fault is planned. An error that ends an operation has its correlation id.
    fn answer_at_hub(
        &mut self,
        now: Now,
        at: At,
        device: AtHub<'_>,
        correlation_id: Option<&str>,
        work: impl FnOnce(&mut Self) -> Result<Reply, HubProblem>,
    ) -> HubReply {
        let registration = FoldedId::new(&self.registration_at_hub(device));
        let fault = self.take_fault(now, Transport::Mqtt, at, &registration);
        let planned = |problem: HubProblem| Err(problem.because(RefusalReason::PlannedFault));
        let outcome = match &fault {
            Some(Fault::DropBefore) => return HubReply::not_processed(),
            Some(Fault::Throttle { retry_after }) => planned(HubProblem::throttled(*retry_after)),
            Some(Fault::ServerError { status, retry_after }) => {
                planned(HubProblem::server_error(*status, *retry_after))
            }
            _ => work(self),
        };
        let tracking_id = self.random.guid();
        let mut answer = match outcome {
            Ok(reply) => HubReply { reply: Reply { tracking_id, ..reply }, refused: None },
            Err(mut problem) => {
                problem.scale(&self.clock);
                problem.into_reply(now, tracking_id, correlation_id)
            }
        };
        if let Some(fault) = fault {
            answer.reply.spoil(fault);
        }
        answer
    }
}

impl Operation {
    fn accepted(&self) -> Accepted {
        Accepted { correlation_id: self.correlation_id.clone(), operation_expires: self.expires_utc.clone() }
    }

    fn conflict(&self, code: u32) -> HubProblem {
        let message =
            "Another certificate request of the device is active: wait for its answer, or name it in 'replace'.";
        let info = serde_json::json!({
            "requestId": self.request_id,
            "operationExpires": self.expires_utc,
            "correlationId": self.correlation_id,
        });
        HubProblem::new(code, message).because(RefusalReason::RequestActive).info(info)
    }
}

fn nothing_to_replace(request_id: &str) -> HubProblem {
    let message = "'replace' names no active certificate request of the device.";
    let info = serde_json::json!({ "requestId": request_id });
    HubProblem::new(NOTHING_TO_REPLACE, message).because(RefusalReason::NothingToReplace).info(info)
}
