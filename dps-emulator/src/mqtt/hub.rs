//! A hub, as far as a provisioned device needs one to show that it is connected: sign-in, the twin, telemetry.
//!
//! It is not a full hub: nothing is kept, routed or sent to a device. Its connections have another user name than those
//! of the provisioning service, `{hub}/{deviceId}/?api-version=…` (Azure IoT Hub documentation, "Communicate with an
//! IoT hub using the MQTT protocol").

use mqtt_protocol_core::mqtt::packet::v3_1_1;
use serde_json::{Map, Value, json};

use crate::activity::Exchange;
use crate::encoding::percent_decode;
use crate::service::Service;
use crate::time::Now;
use crate::x509::ClientCertificates;

const TWIN_REPLIES: &str = "$iothub/twin/res/#";
const GET_TWIN: &str = "$iothub/twin/GET/?";
const PATCH_REPORTED: &str = "$iothub/twin/PATCH/properties/reported/?";

/// A device that connects to a hub.
pub(super) struct HubClient {
    hub: String,
    device_id: String,
    token: String,
    /// The version of the reported properties, which are not kept.
    reported_version: u64,
}

/// The reply to a publish.
pub(super) enum Reply {
    Nothing,
    Twin { topic: String, payload: Vec<u8> },
}

impl HubClient {
    /// The hub client of a CONNECT with a hub's user name; `None` for any other user name.
    pub(super) fn from_connect(connect: &v3_1_1::Connect) -> Option<Self> {
        let (names, _) = connect.user_name()?.split_once("/?api-version=")?;
        let (hub, device_id) =
            names.split_once('/').filter(|(hub, id)| !hub.is_empty() && !id.is_empty() && !id.contains('/'))?;
        let token = connect.password().and_then(|password| std::str::from_utf8(password).ok()).unwrap_or_default();
        Some(Self { hub: hub.into(), device_id: device_id.into(), token: token.into(), reported_version: 1 })
    }

    /// The name that only one open connection can have.
    pub(super) fn connection_name(&self) -> String {
        format!("{}/{}", self.hub, self.device_id)
    }

    /// CONNECT: whether the device is accepted.
    pub(super) fn handle_connect(
        &self,
        service: &mut Service,
        now: Now,
        client_id: &str,
        certificates: &ClientCertificates,
    ) -> bool {
        let accepted = client_id == self.device_id && self.is_authorized(service, now, certificates);
        service.exchanges.note(|| {
            let reason = "the hub has no such device, the device is disabled, or the credential is invalid";
            let code = if accepted { 0 } else { 5 };
            Exchange::new(client_id, "hub connect", code).because((!accepted).then(|| reason.into()))
        });
        service.hubs.count(&self.hub, &self.device_id, |counters| match accepted {
            true => counters.connects += 1,
            false => counters.refused += 1,
        });
        accepted
    }

    /// Whether the hub has this device, the device is enabled, and its certificate, or else its token, is valid.
    pub(super) fn is_authorized(&self, service: &Service, now: Now, certificates: &ClientCertificates) -> bool {
        let device = service.hubs.device(&self.hub, &self.device_id);
        device.is_some_and(|device| match certificates.is_empty() {
            true => device.accepts_token(now, &self.token),
            false => device.accepts_certificates(now, certificates),
        })
    }

    pub(super) fn accepts_filter(&self, filter: &str) -> bool {
        filter == TWIN_REPLIES || self.topic_of_device(filter) == Some("messages/devicebound/#")
    }

    /// What follows `devices/{deviceId}/` in a topic of this device. The id is percent-encoded there, since it may
    /// contain `+` and `#`, the wildcards of topics. An id without them may also be unencoded.
    fn topic_of_device<'t>(&self, topic: &'t str) -> Option<&'t str> {
        let (id, rest) = topic.strip_prefix("devices/")?.split_once('/')?;
        let is_own = id == self.device_id || percent_decode(id).is_some_and(|id| id == self.device_id);
        (is_own && !id.contains(['+', '#'])).then_some(rest)
    }

    /// Returns `None` for a topic that ends the connection.
    pub(super) fn handle_publish(&mut self, service: &mut Service, topic: &str, payload: &[u8]) -> Option<Reply> {
        let note = |service: &mut Service, call: &str, status| {
            service.exchanges.note(|| Exchange::new(&self.device_id, call, status));
        };
        if self.topic_of_device(topic).is_some_and(|topic| topic.starts_with("messages/events/")) {
            service.hubs.count(&self.hub, &self.device_id, |counters| counters.telemetry += 1);
            note(service, "hub telemetry", 0);
            return Some(Reply::Nothing);
        }
        let request_id =
            |properties: &'_ str| properties.split('&').find_map(|pair| pair.strip_prefix("$rid=")).map(str::to_owned);
        if let Some(properties) = topic.strip_prefix(PATCH_REPORTED) {
            let request_id = request_id(properties)?;
            let is_object = serde_json::from_slice::<Map<String, Value>>(payload).is_ok();
            note(service, "hub reported", if is_object { 204 } else { 400 });
            if !is_object {
                return Some(Reply::Twin {
                    topic: format!("$iothub/twin/res/400/?$rid={request_id}"),
                    payload: vec![],
                });
            }
            self.reported_version += 1;
            let version = self.reported_version;
            let topic = format!("$iothub/twin/res/204/?$rid={request_id}&$version={version}");
            return Some(Reply::Twin { topic, payload: Vec::new() });
        }
        let request_id = request_id(topic.strip_prefix(GET_TWIN)?)?;
        note(service, "hub twin", 200);
        service.hubs.count(&self.hub, &self.device_id, |counters| counters.twins += 1);
        let twin = &service.hubs.device(&self.hub, &self.device_id)?.twin;
        let mut desired = twin.desired.clone();
        desired.insert("$version".into(), 1.into());
        // A real hub does not show the tags to the device.
        let payload =
            json!({ "tags": twin.tags, "desired": desired, "reported": { "$version": self.reported_version } });
        Some(Reply::Twin {
            topic: format!("$iothub/twin/res/200/?$rid={request_id}"),
            payload: payload.to_string().into_bytes(),
        })
    }
}
