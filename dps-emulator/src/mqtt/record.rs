//! The events of a session: CONNECT, SUBSCRIBE, calls of a hub, and the end of the connection.

use mqtt_protocol_core::mqtt::result_code::ConnectReturnCode;

use super::Session;
use crate::events::{Disconnection, EventKind, Exchange, RefusalReason, Transport};
use crate::fault::At;
use crate::issuance::HubReply;
use crate::service::Service;
use crate::time::Now;

impl Session {
    /// Records a CONNECT to the service.
    pub(super) fn record_connect(
        &mut self,
        service: &mut Service,
        now: Now,
        client_id: &str,
        code: ConnectReturnCode,
        reason: Option<RefusalReason>,
    ) {
        if !service.events.is_on() {
            return;
        }
        let facts = match &self.device {
            Some(device) => service.credential_facts(now, &device.caller(&self.certificates)).0,
            None => Exchange::default(),
        };
        let client_id = Some(self.mask.text("client-id", client_id)).filter(|id| !id.is_empty());
        let (mask, device) = (&mut self.mask, self.device.as_ref());
        let exchange = Exchange {
            call: At::Connect.name().into(),
            user_agent: device.and_then(|device| Some(mask.text("user-agent", device.user_agent.as_ref()?))),
            api_version: device.map(|device| mask.text("path", &device.api_version)),
            status: Some((code as u8).into()),
            reason,
            exposed: mask.exposed(),
            client_id: client_id.clone(),
            ..facts
        };
        let kind = EventKind::Exchange(Box::new(exchange));
        service.events.record(now, Transport::Mqtt, client_id.as_deref(), kind);
    }

    /// Records an exchange that is not a call of the service.
    pub(super) fn record(
        &mut self,
        service: &mut Service,
        now: Now,
        call: &str,
        status: u16,
        reason: Option<RefusalReason>,
    ) {
        let id = self.registration_id();
        let exchange =
            Exchange { call: call.into(), client_id: id.clone(), status: Some(status), reason, ..Exchange::default() };
        service.events.record(now, Transport::Mqtt, id.as_deref(), EventKind::Exchange(Box::new(exchange)));
    }

    /// Records a hub's answer to a certificate request.
    pub(super) fn record_hub_reply(
        &mut self,
        service: &mut Service,
        now: Now,
        call: &str,
        request_bytes: usize,
        answer: &HubReply,
    ) {
        let id = self.registration_id();
        let (reason, message) = answer.refused.clone().unzip();
        let reply = &answer.reply;
        let exchange = Exchange {
            call: call.into(),
            client_id: id.clone(),
            status: Some(reply.status).filter(|status| *status > 0),
            code: reply.error_code,
            tracking_id: Some(reply.tracking_id.clone()).filter(|id| !id.is_empty()),
            reason,
            message,
            wait_told: reply.retry_after,
            request_bytes,
            ..Exchange::default()
        };
        service.events.record(now, Transport::Mqtt, id.as_deref(), EventKind::Exchange(Box::new(exchange)));
    }

    /// The registration id of the client, or its device id at a hub, once CONNECT was accepted.
    fn registration_id(&mut self) -> Option<String> {
        let device = self.device.as_ref().map(|device| device.registration_id.as_str());
        let id = device.or_else(|| self.hub_client.as_ref().map(|client| client.device_id()))?;
        Some(self.mask.text("client-id", id))
    }

    /// Records the end of the connection, unless that was recorded already: by this, or when the session closed it. A caller
    /// that closes the connection for another reason names it.
    pub fn disconnected(&mut self, service: &mut Service, now: Now, reason: Option<RefusalReason>) {
        if std::mem::replace(&mut self.is_over, true) {
            return;
        }
        let lasted_ms = self.began_ms.map_or(0, |began_ms| now.monotonic_ms.saturating_sub(began_ms));
        let packets = std::mem::take(self.packets.pending());
        let kind = EventKind::Disconnection(Box::new(Disconnection { lasted_ms, reason, packets }));
        let id = self.registration_id();
        service.events.record(now, Transport::Mqtt, id.as_deref(), kind);
    }
}
