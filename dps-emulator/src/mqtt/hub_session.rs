//! A session with a hub: sign-in, calls, and the certificates that it is issued.

use mqtt_protocol_core::mqtt::packet::{Qos, v3_1_1};
use mqtt_protocol_core::mqtt::result_code::ConnectReturnCode;

use super::hub::{CREDENTIALS, HubClient};
use super::{Effect, Session};
use crate::events::{Mask, RefusalReason};
use crate::service::Service;
use crate::time::Now;

/// What a connection knows of the device's certificate requests.
#[derive(Default)]
pub(super) struct Credentials {
    /// The quality of service that was granted for answers, while the client is subscribed to them.
    granted: Option<Qos>,
    /// The correlation id of the request whose last answer was sent; a connection sends it once.
    sent: Option<String>,
    /// The packet ids by which the client acknowledges it.
    packet_ids: Vec<u16>,
}

impl Session {
    pub(super) fn connect_to_hub(
        &mut self,
        service: &mut Service,
        now: Now,
        connect: &v3_1_1::Connect,
        client: HubClient,
        effects: &mut Vec<Effect>,
    ) {
        self.mask = Mask::new(&service.keys_of_device(client.device_id()));
        match client.handle_connect(service, now, connect.client_id(), &self.certificates) {
            Ok(()) => {
                self.hub_client = Some(client);
                self.auth.mark_verified();
                self.accept(now, connect, effects);
            }
            Err(RefusalReason::HubProfile) => {
                self.refuse(now, ConnectReturnCode::UnacceptableProtocolVersion, effects);
            }
            Err(_) => self.refuse(now, ConnectReturnCode::NotAuthorized, effects),
        }
    }

    pub(super) fn publish_to_hub(
        &mut self,
        service: &mut Service,
        now: Now,
        publish: &v3_1_1::Publish,
        effects: &mut Vec<Effect>,
    ) {
        let (topic, payload) = (publish.topic_name(), publish.payload().as_slice());
        let Some(client) = &mut self.hub_client else { return };
        if let Some(request_id) = HubClient::certificate_request(topic) {
            return self.request_certificate(service, now, request_id, payload, effects);
        }
        let Some(answer) = client.handle_publish(service, topic, payload) else {
            return self.close(RefusalReason::Topic, effects);
        };
        self.record(service, now, answer.call, answer.status, None);
        if let Some((topic, payload)) = answer.reply {
            self.send_publish(now, self.granted, topic, payload, effects);
        }
    }

    /// Answers a certificate request, and sends its last answer too if that is due already. A request without an id has no
    /// answer.
    fn request_certificate(
        &mut self,
        service: &mut Service,
        now: Now,
        request_id: Option<&str>,
        body: &[u8],
        effects: &mut Vec<Effect>,
    ) {
        let Some(client) = &self.hub_client else { return };
        let Some(request_id) = request_id else {
            return self.record(service, now, HubClient::RENEW, 400, Some(RefusalReason::RequestId));
        };
        let answer = service.request_renewal(now, client.entry(), request_id, body);
        let (status, granted) = (answer.reply.status, client.credentials.granted);
        self.record_hub_reply(service, now, HubClient::RENEW, body.len(), &answer);
        let topic = |request_id: &str| HubClient::credentials_topic(status, request_id);
        self.reply(now, &answer.reply, request_id, granted, topic, effects);
        if !effects.contains(&Effect::Close) {
            self.send_last_answer(service, now, effects);
        }
    }

    /// Notes that the client subscribed to answers, or no longer is, and sends what an earlier connection did not deliver.
    pub(super) fn credentials_subscribed(
        &mut self,
        service: &mut Service,
        now: Now,
        granted: Option<Qos>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(client) = &mut self.hub_client else { return };
        client.credentials.granted = granted;
        self.send_last_answer(service, now, effects);
    }

    /// In how many milliseconds of the service's monotonic clock [`advance`](Self::advance) has something to
    /// send; `None` if it has nothing.
    #[must_use]
    pub fn due_in_ms(&self, service: &Service, now: Now) -> Option<u64> {
        let client = self.hub_client.as_ref()?;
        client.credentials.granted?;
        service.renewal_wait_ms(now, client.entry(), client.credentials.sent.as_deref())
    }

    /// Sends what has become due without a packet of the client: the last answer of a hub to a certificate request.
    pub fn advance(&mut self, service: &mut Service, now: Now) -> Vec<Effect> {
        let before = service.events.last_seq();
        let mut effects = Vec::new();
        self.send_last_answer(service, now, &mut effects);
        service.events.add_packets(before, self.packets.pending(), &mut self.mask);
        if effects.contains(&Effect::Close) {
            self.disconnected(service, now, self.close_reason);
        }
        effects
    }

    fn send_last_answer(&mut self, service: &mut Service, now: Now, effects: &mut Vec<Effect>) {
        if self.due_in_ms(service, now) != Some(0) {
            return;
        }
        let Some(client) = &self.hub_client else { return };
        // Otherwise the answer would stay due, and the caller would ask for it without end.
        if let Err(reason) = client.check(service, now, &self.certificates) {
            return self.close(reason, effects);
        }
        let Some(last) = service.renewal_answer(now, client.entry(), client.credentials.sent.as_deref()) else {
            return;
        };
        let (status, granted) = (last.reply.reply.status, client.credentials.granted);
        self.record_hub_reply(service, now, HubClient::ISSUE, 0, &last.reply);
        let topic = |request_id: &str| HubClient::credentials_topic(status, request_id);
        let packet_ids = self.reply(now, &last.reply.reply, &last.request_id, granted, topic, effects);
        let is_delivered = last.reply.is_delivered();
        let Some(client) = &mut self.hub_client else { return };
        if is_delivered && granted == Some(Qos::AtMostOnce) {
            service.end_renewal(client.entry(), &last.correlation_id);
        }
        client.credentials.packet_ids = if is_delivered { packet_ids } else { Vec::new() };
        client.credentials.sent = Some(last.correlation_id);
    }

    /// The client has acknowledged a publish: if that was the last answer to a certificate request, the request ends.
    pub(super) fn acknowledged(&mut self, service: &mut Service, packet_id: u16) {
        let Some(client) = &mut self.hub_client else { return };
        if let (true, Some(sent)) = (client.credentials.packet_ids.contains(&packet_id), &client.credentials.sent) {
            service.end_renewal(client.entry(), sent);
            client.credentials.packet_ids.clear();
        }
    }

    pub(super) fn is_credentials_filter(filter: &str) -> bool {
        filter == CREDENTIALS
    }
}
