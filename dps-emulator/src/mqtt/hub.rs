//! A hub, as far as a provisioned device needs one to show that it is there: sign-in, the twin, telemetry.
//!
//! It is no hub: nothing is kept, routed or sent to a device. It is told from the provisioning service by the user name,
//! `{hub}/{deviceId}/?api-version=…` (Azure IoT Hub documentation, "Communicate with an IoT hub using the MQTT protocol").

use mqtt_protocol_core::mqtt::packet::v3_1_1;
use serde_json::json;

use crate::now::Now;
use crate::service::Service;

const TWIN_REPLIES: &str = "$iothub/twin/res/#";
const GET_TWIN: &str = "$iothub/twin/GET/?";

/// A device that calls for a hub.
pub(super) struct HubClient {
    hub: String,
    device_id: String,
    token: String,
}

/// What a publish is answered with.
pub(super) enum Reply {
    Nothing,
    Twin { topic: String, payload: Vec<u8> },
}

impl HubClient {
    /// Who calls for a hub by its user name; `None` for who calls for the provisioning service.
    pub(super) fn called_for(connect: &v3_1_1::Connect) -> Option<Self> {
        let (names, _) = connect.user_name()?.split_once("/?api-version=")?;
        let (hub, device_id) =
            names.split_once('/').filter(|(hub, id)| !hub.is_empty() && !id.is_empty() && !id.contains('/'))?;
        let token = connect.password().and_then(|password| std::str::from_utf8(password).ok()).unwrap_or_default();
        Some(Self { hub: hub.into(), device_id: device_id.into(), token: token.into() })
    }

    /// CONNECT: whether the device is let in.
    pub(super) fn connects(&self, service: &mut Service, now: Now, client_id: &str) -> bool {
        let let_in = client_id == self.device_id && self.is_let_in(service, now);
        service.hubs.count(&self.hub, &self.device_id, |counters| match let_in {
            true => counters.connects += 1,
            false => counters.refused += 1,
        });
        let_in
    }

    /// Whether the hub has this device, enabled, and the token is good.
    pub(super) fn is_let_in(&self, service: &Service, now: Now) -> bool {
        let device = service.hubs.device(&self.hub, &self.device_id);
        device.is_some_and(|device| device.accepts_token(now, &self.token))
    }

    pub(super) fn takes_filter(&self, filter: &str) -> bool {
        filter == TWIN_REPLIES || filter == format!("devices/{}/messages/devicebound/#", self.device_id)
    }

    /// `None` for a topic that ends the connection.
    pub(super) fn publishes(&self, service: &mut Service, topic: &str) -> Option<Reply> {
        if topic.starts_with(&format!("devices/{}/messages/events/", self.device_id)) {
            service.hubs.count(&self.hub, &self.device_id, |counters| counters.telemetry += 1);
            return Some(Reply::Nothing);
        }
        let request_id = topic.strip_prefix(GET_TWIN)?.split('&').find_map(|pair| pair.strip_prefix("$rid="))?;
        service.hubs.count(&self.hub, &self.device_id, |counters| counters.twins += 1);
        let twin = &service.hubs.device(&self.hub, &self.device_id)?.twin;
        let mut desired = twin.desired.clone();
        desired.insert("$version".into(), 1.into());
        // A real hub keeps the tags from the device.
        let payload = json!({ "tags": twin.tags, "desired": desired, "reported": { "$version": 1 } });
        Some(Reply::Twin {
            topic: format!("$iothub/twin/res/200/?$rid={request_id}"),
            payload: payload.to_string().into_bytes(),
        })
    }
}
