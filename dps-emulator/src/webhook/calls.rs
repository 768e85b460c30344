//! Registrations that wait for their webhook, and the calls that are in progress: one per device, 32 in all.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use serde_json::Value;

use super::judgment::{Allocation, Judgment, WebhookError, WebhookReply};
use super::request::AllocationRequest;
use super::url::WebhookUrl;
use crate::enrollment::{AllocationPolicy, Settings};
use crate::events::{EventKind, Transport, WebhookExchange};
use crate::ids::FoldedId;
use crate::registrations::{Assigning, Failed, Shown, Source};
use crate::service::Service;
use crate::time::Now;
use crate::wire::{NO_HUB, WEBHOOK_FAILED};

/// How many calls are in progress at a time.
const PENDING_MAX: usize = 32;
/// How many registrations wait for one of these. Their payloads have at most 96 KB each.
const WAITING_MAX: usize = 1000;

/// A call of a webhook, which the caller of the pure service has to make.
///
/// POST the body to the URL as `application/json`, and pass the outcome to
/// [`Service::answer_webhook`](crate::Service::answer_webhook).
#[derive(Clone)]
#[non_exhaustive]
pub struct WebhookCall {
    /// Identifies the call.
    pub id: u64,
    /// The device that registers.
    pub registration_id: String,
    /// The webhook's URL, which holds the function key.
    pub url: WebhookUrl,
    /// The body of the request.
    pub body: Vec<u8>,
    /// The time within which the reply must be complete, in milliseconds.
    pub limit_ms: u64,
}

impl fmt::Debug for WebhookCall {
    /// Without the body.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookCall")
            .field("id", &self.id)
            .field("registration_id", &self.registration_id)
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

struct Pending {
    registration: FoldedId,
    /// The device's id as it was sent.
    spelled: String,
    url: WebhookUrl,
    /// `None` once the registration was deleted.
    assigning: Option<Assigning>,
    linked_hubs: Vec<String>,
    limit_ms: u64,
    began_ms: u64,
}

impl Pending {
    fn deadline_ms(&self) -> u64 {
        self.began_ms.saturating_add(self.limit_ms)
    }
}

/// The webhooks' part of the service's state.
#[derive(Default)]
pub(crate) struct Webhooks {
    waiting: VecDeque<Assigning>,
    pending: BTreeMap<u64, Pending>,
    /// Calls that were not taken yet.
    ready: Vec<WebhookCall>,
    last_id: u64,
    /// Whether the caller keeps the time limits, in the time of the computer and not in the service's.
    #[cfg(feature = "server")]
    caller_keeps_limits: bool,
}

impl Webhooks {
    /// Leaves the time limits to the caller, which answers every call.
    #[cfg(feature = "server")]
    pub(crate) fn leave_limits_to_caller(&mut self) {
        self.caller_keeps_limits = true;
    }

    /// For a registration that is deleted: its webhooks' answers are ignored. Calls in progress still count.
    pub(crate) fn cancel_all_of(&mut self, registration: &FoldedId) {
        self.waiting.retain(|assigning| assigning.registration != *registration);
        for pending in self.pending.values_mut().filter(|pending| pending.registration == *registration) {
            pending.assigning = None;
        }
    }

    /// Removes and returns the next registration whose call can begin.
    fn take_next(&mut self) -> Option<Assigning> {
        if self.pending.len() >= PENDING_MAX {
            return None;
        }
        let is_busy = |id: &FoldedId| self.pending.values().any(|pending| pending.registration == *id);
        let at = self.waiting.iter().position(|assigning| !is_busy(&assigning.registration))?;
        self.waiting.remove(at)
    }

    /// The calls whose time limit has passed.
    fn overdue(&self, now: Now) -> Vec<(u64, u64)> {
        #[cfg(feature = "server")]
        if self.caller_keeps_limits {
            return Vec::new();
        }
        let late = self.pending.iter().filter(|(_, pending)| pending.deadline_ms() <= now.monotonic_ms);
        late.map(|(id, pending)| (*id, pending.limit_ms)).collect()
    }
}

/// What an assignment needs to know before a webhook can be called.
enum Preparation {
    Call(AllocationRequest, Vec<String>, WebhookUrl),
    /// No hub can be chosen.
    NoHub,
    /// No webhook: the enrollment was changed or deleted meanwhile.
    NotNeeded,
}

impl Service {
    /// Returns the webhook calls that are to be made now; each is returned once. Call it after every request, and after
    /// [`advance`](Self::advance) and [`answer_webhook`](Self::answer_webhook).
    ///
    /// At most 32 calls are unanswered at a time, at most one of a device; further registrations wait for them as
    /// `assigning`.
    pub fn take_webhook_calls(&mut self) -> Vec<WebhookCall> {
        std::mem::take(&mut self.webhooks.ready)
    }

    /// Takes the outcome of a webhook call, and continues the registration that waits for it. Returns false if the call is
    /// not pending any more: it was answered, its time limit passed, or the registration was deleted.
    pub fn answer_webhook(&mut self, now: Now, id: u64, outcome: Result<WebhookReply, WebhookError>) -> bool {
        self.advance(now);
        let answered = self.settle(now, id, outcome);
        self.advance(now);
        answered
    }

    /// Ends a pending call.
    fn settle(&mut self, now: Now, id: u64, outcome: Result<WebhookReply, WebhookError>) -> bool {
        let Some(pending) = self.webhooks.pending.remove(&id) else { return false };
        let status = outcome.as_ref().ok().map(|reply| reply.status);
        let allocation = match outcome {
            Ok(reply) => Judgment::new(&reply, &pending.linked_hubs).into_allocation(),
            Err(error) => Err(not_called(&error)),
        };
        self.record_webhook(now, &pending, status, &allocation);
        let Some(assigning) = pending.assigning else { return false };
        self.resume(now, assigning, allocation.map_err(|message| (WEBHOOK_FAILED, message)));
        true
    }

    fn record_webhook(
        &mut self,
        now: Now,
        pending: &Pending,
        status: Option<u16>,
        allocation: &Result<Allocation, String>,
    ) {
        let call = WebhookExchange {
            url: pending.url.to_string(),
            plain_http: !pending.url.is_https(),
            status,
            took_ms: now.monotonic_ms.saturating_sub(pending.began_ms),
            assigned_hub: allocation.as_ref().ok().map(|allocation| allocation.hub.clone()),
            failure: allocation.as_ref().err().cloned(),
        };
        self.events.record(now, Transport::Webhook, Some(&pending.spelled), EventKind::Webhook(Box::new(call)));
    }

    /// Whether the hub of this assignment is chosen by a webhook that was not called yet.
    pub(crate) fn needs_webhook(&self, assigning: &Assigning) -> bool {
        let custom = |settings: &Settings| {
            settings.is_enabled()
                && settings.allocation_policy == Some(AllocationPolicy::Custom)
                && settings.custom_allocation_definition.is_some()
        };
        assigning.allocation.is_none()
            && self.settings_of(&assigning.source, assigning.registration.as_str()).is_some_and(custom)
    }

    /// Has an assignment wait for its webhook.
    pub(crate) fn await_webhook(&mut self, now: Now, assigning: Assigning) {
        if self.webhooks.waiting.len() < WAITING_MAX {
            return self.webhooks.waiting.push_back(assigning);
        }
        let message = not_called(&WebhookError::TooManyWaiting);
        self.resume(now, assigning, Err((WEBHOOK_FAILED, message)));
    }

    /// Ends the calls whose time limit has passed, and begins those that can begin. Returns whether an assignment became
    /// due by that.
    pub(crate) fn advance_webhooks(&mut self, now: Now) -> bool {
        let overdue = self.webhooks.overdue(now);
        let mut due = !overdue.is_empty();
        for (id, limit_ms) in overdue {
            self.settle(now, id, Err(WebhookError::TimedOut { limit_ms }));
        }
        while let Some(assigning) = self.webhooks.take_next() {
            match self.prepare(&assigning) {
                Preparation::Call(request, hubs, url) => self.begin_call(now, assigning, request, hubs, url),
                Preparation::NoHub => {
                    self.resume(now, assigning, Err((NO_HUB, crate::assign::NO_HUB_MESSAGE.to_owned())));
                    due = true;
                }
                Preparation::NotNeeded => {
                    self.operations.schedule(now.monotonic_ms, assigning);
                    due = true;
                }
            }
        }
        due
    }

    fn begin_call(
        &mut self,
        now: Now,
        assigning: Assigning,
        request: AllocationRequest,
        linked_hubs: Vec<String>,
        url: WebhookUrl,
    ) {
        let limit_ms = self.options.webhook_limit_ms;
        self.webhooks.last_id += 1;
        let id = self.webhooks.last_id;
        let registration_id = assigning.spelled.clone();
        let pending = Pending {
            registration: assigning.registration.clone(),
            spelled: assigning.spelled.clone(),
            url: url.clone(),
            assigning: Some(assigning),
            linked_hubs,
            limit_ms,
            began_ms: now.monotonic_ms,
        };
        self.webhooks.pending.insert(id, pending);
        self.webhooks.ready.push(WebhookCall { id, registration_id, url, body: request.to_json(), limit_ms });
    }

    /// Continues an assignment with what the webhook answered.
    fn resume(&mut self, now: Now, mut assigning: Assigning, allocation: Result<Allocation, Failed>) {
        assigning.allocation = Some(allocation);
        self.operations.schedule(assigning.not_before_ms.max(now.monotonic_ms), assigning);
    }

    fn prepare(&self, assigning: &Assigning) -> Preparation {
        if !self.needs_webhook(assigning) {
            return Preparation::NotNeeded;
        }
        let id = assigning.registration.as_str();
        let request = match &assigning.source {
            Source::Individual => self.individuals.get(id).map(AllocationRequest::for_enrollment),
            Source::Group(group) => {
                self.groups.get(group).map(|group| AllocationRequest::for_group(group, &assigning.spelled))
            }
        };
        let settings = self.settings_of(&assigning.source, assigning.registration.as_str());
        let definition = settings.and_then(|settings| settings.custom_allocation_definition.as_ref());
        let (Some(request), Some(settings), Some(definition)) = (request, settings, definition) else {
            return Preparation::NotNeeded;
        };
        let hubs = self.choice(assigning, settings);
        if hubs.is_empty() {
            return Preparation::NoHub;
        }
        let request = self.describe(assigning, request).linked_hubs(&hubs);
        Preparation::Call(request, hubs, definition.webhook_url.clone())
    }

    /// The hubs that a webhook can choose.
    fn choice(&self, assigning: &Assigning, settings: &Settings) -> Vec<String> {
        let stays = assigning.sticky || !settings.reprovision_policy.unwrap_or_default().update_hub_assignment;
        let current = self.records.get(&assigning.registration).and_then(|record| record.assignment.as_ref());
        if let Some(current) = current.filter(|_| stays) {
            return vec![current.hub.clone()];
        }
        let allowed = settings.iot_hubs.as_deref().unwrap_or_default();
        let is_allowed =
            |hub: &&str| allowed.is_empty() || allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(hub));
        self.hubs.linked().filter(is_allowed).map(str::to_owned).collect()
    }

    /// Adds what is known of the device.
    fn describe(&self, assigning: &Assigning, mut request: AllocationRequest) -> AllocationRequest {
        let record = self.records.get(&assigning.registration);
        request = request.device_member("registrationId", assigning.spelled.clone().into());
        if let Some(current) = record.and_then(|record| record.assignment.as_ref()) {
            request = request.current(&current.hub, &current.device_id);
        }
        if let Some(Value::Object(payload)) = &assigning.payload {
            request = request.payload(payload.clone());
        }
        if let Some(challenge) = &assigning.challenge {
            request = request.device_member("tpm", challenge.keys.to_json());
        } else if let Shown::X509(state) = &assigning.shown {
            request = request.device_member("x509", serde_json::to_value(state).unwrap_or_default());
        }
        request
    }
}

/// The message of a registration whose webhook did not reply.
fn not_called(error: &WebhookError) -> String {
    format!("Custom allocation failed: {error}.")
}
