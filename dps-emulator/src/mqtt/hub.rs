//! A hub, as far as a provisioned device needs one to show that it is connected: sign-in, the twin, telemetry, and the topics
//! of certificate requests.
//!
//! It is not a full hub: nothing is kept, routed or sent to a device. Its connections have another user name than those
//! of the provisioning service, `{hub}/{deviceId}/?api-version=…` (Azure IoT Hub documentation, "Communicate with an
//! IoT hub using the MQTT protocol").

use mqtt_protocol_core::mqtt::packet::v3_1_1;
use serde_json::{Map, Value, json};

use super::hub_session::Credentials;
use crate::credentials::Token;
use crate::encoding::percent_decode;
use crate::events::{EventKind, HubSignIn, Mask, RefusalReason, SignedBy, TokenFacts, Transport};
use crate::hubs::{ConnectionProfile, HubAuthentication};
use crate::issuance::AtHub;
use crate::service::Service;
use crate::time::Now;
use crate::x509::ClientCertificates;

/// The filter of the answers to certificate requests.
pub(super) const CREDENTIALS: &str = "$iothub/credentials/res/#";
const ISSUE_CERTIFICATE: &str = "$iothub/credentials/POST/issueCertificate/";
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
    pub(super) credentials: Credentials,
}

/// What the hub answers to a publish.
pub(super) struct Answer {
    /// The name of the call in events.
    pub(super) call: &'static str,
    pub(super) status: u16,
    /// Topic and payload of the reply, if the call has one.
    pub(super) reply: Option<(String, Vec<u8>)>,
}

impl HubClient {
    /// The call of a certificate request in events, and that of its last answer.
    pub(super) const RENEW: &str = "hub-renew";
    pub(super) const ISSUE: &str = "hub-issue";

    /// The hub client of a CONNECT with a hub's user name; `None` for any other user name.
    pub(super) fn from_connect(connect: &v3_1_1::Connect) -> Option<Self> {
        let (names, _) = connect.user_name()?.split_once("/?api-version=")?;
        let (hub, device_id) =
            names.split_once('/').filter(|(hub, id)| !hub.is_empty() && !id.is_empty() && !id.contains('/'))?;
        let token = connect.password().and_then(|password| std::str::from_utf8(password).ok()).unwrap_or_default();
        Some(Self {
            hub: hub.into(),
            device_id: device_id.into(),
            token: token.into(),
            reported_version: 1,
            credentials: Credentials::default(),
        })
    }

    /// The device's entry in the hub.
    pub(super) fn entry(&self) -> AtHub<'_> {
        AtHub { hub: &self.hub, device_id: &self.device_id }
    }

    /// The request id of a certificate request, if the topic is one: it may lack the id.
    pub(super) fn certificate_request(topic: &str) -> Option<Option<&str>> {
        let properties = topic.strip_prefix(ISSUE_CERTIFICATE)?.strip_prefix('?').unwrap_or_default();
        let request_id = properties.split('&').find_map(|pair| pair.strip_prefix("$rid="));
        Some(request_id.filter(|id| !id.is_empty()))
    }

    /// The topic of an answer to a certificate request.
    pub(super) fn credentials_topic(status: u16, request_id: &str) -> String {
        format!("$iothub/credentials/res/{status}/?$rid={request_id}")
    }

    /// The name that only one open connection can have.
    pub(super) fn connection_name(&self) -> String {
        format!("{}/{}", self.hub, self.device_id)
    }

    pub(super) fn device_id(&self) -> &str {
        &self.device_id
    }

    /// CONNECT: whether the device is accepted, or why it is not.
    pub(super) fn handle_connect(
        &self,
        service: &mut Service,
        now: Now,
        client_id: &str,
        certificates: &ClientCertificates,
    ) -> Result<(), RefusalReason> {
        let checked = match client_id == self.device_id {
            _ if service.hubs.profile(&self.hub) != ConnectionProfile::Classic => Err(RefusalReason::HubProfile),
            true => self.check(service, now, certificates),
            false => Err(RefusalReason::HubClientId),
        };
        let accepted = checked.is_ok();
        self.record_sign_in(service, now, checked.err());
        service.hubs.count(&self.hub, &self.device_id, |counters| match accepted {
            true => counters.connects += 1,
            false => counters.refused += 1,
        });
        checked
    }

    fn record_sign_in(&self, service: &mut Service, now: Now, reason: Option<RefusalReason>) {
        if !service.events.is_on() {
            return;
        }
        let mut mask = Mask::new(&service.keys_of_device(&self.device_id));
        let token = Token::parse(&self.token).map(|token| {
            let keys = service.hubs.device(&self.hub, &self.device_id).map(|device| &device.authentication);
            let signed_by = match keys {
                Some(HubAuthentication::SymmetricKeys([primary, _])) if token.signed_by(primary) => {
                    SignedBy::PrimaryKey { group: None }
                }
                Some(HubAuthentication::SymmetricKeys([_, secondary])) if token.signed_by(secondary) => {
                    SignedBy::SecondaryKey { group: None }
                }
                _ => service.signed_by(&self.device_id, &token),
            };
            TokenFacts::new(now, &token, &mut mask, signed_by)
        });
        let sign_in = HubSignIn {
            hub: mask.text("path", &self.hub),
            device_id: mask.text("client-id", &self.device_id),
            status: match reason {
                None => 0,
                Some(RefusalReason::HubProfile) => 1,
                Some(_) => 5,
            },
            reason,
            token,
            packets: Vec::new(),
        };
        let kind = EventKind::HubSignIn(Box::new(sign_in));
        let device_id = mask.text("client-id", &self.device_id);
        service.events.record(now, Transport::Mqtt, Some(&device_id), kind);
    }

    /// Checks that the hub has this device, the device is enabled, and its certificate, or else its token, is valid.
    pub(super) fn check(
        &self,
        service: &Service,
        now: Now,
        certificates: &ClientCertificates,
    ) -> Result<(), RefusalReason> {
        let device = service.hubs.device(&self.hub, &self.device_id).ok_or(RefusalReason::HubDeviceUnknown)?;
        if certificates.is_empty() {
            return device.check_token(now, &self.token);
        }
        match device.accepts_certificates(now, certificates) {
            true => Ok(()),
            false if !device.enabled => Err(RefusalReason::HubDeviceDisabled),
            false => Err(RefusalReason::HubCertificate),
        }
    }

    pub(super) fn accepts_filter(&self, filter: &str) -> bool {
        [TWIN_REPLIES, CREDENTIALS].contains(&filter) || self.topic_of_device(filter) == Some("messages/devicebound/#")
    }

    /// What follows `devices/{deviceId}/` in a topic of this device. The id is percent-encoded there, since it may
    /// contain `+` and `#`, the wildcards of topics. An id without them may also be unencoded.
    fn topic_of_device<'t>(&self, topic: &'t str) -> Option<&'t str> {
        let (id, rest) = topic.strip_prefix("devices/")?.split_once('/')?;
        let is_own = id == self.device_id || percent_decode(id).is_some_and(|id| id == self.device_id);
        (is_own && !id.contains(['+', '#'])).then_some(rest)
    }

    /// Returns `None` for a topic that ends the connection.
    pub(super) fn handle_publish(&mut self, service: &mut Service, topic: &str, payload: &[u8]) -> Option<Answer> {
        if self.topic_of_device(topic).is_some_and(|topic| topic.starts_with("messages/events/")) {
            service.hubs.count(&self.hub, &self.device_id, |counters| counters.telemetry += 1);
            return Some(Answer { call: "hub-telemetry", status: 0, reply: None });
        }
        let request_id =
            |properties: &'_ str| properties.split('&').find_map(|pair| pair.strip_prefix("$rid=")).map(str::to_owned);
        if let Some(properties) = topic.strip_prefix(PATCH_REPORTED) {
            let request_id = request_id(properties)?;
            let is_object = serde_json::from_slice::<Map<String, Value>>(payload).is_ok();
            let (status, version) = match is_object {
                true => {
                    self.reported_version += 1;
                    (204, format!("&$version={}", self.reported_version))
                }
                false => (400, String::new()),
            };
            let topic = format!("$iothub/twin/res/{status}/?$rid={request_id}{version}");
            return Some(Answer { call: "hub-reported", status, reply: Some((topic, Vec::new())) });
        }
        let request_id = request_id(topic.strip_prefix(GET_TWIN)?)?;
        service.hubs.count(&self.hub, &self.device_id, |counters| counters.twins += 1);
        let twin = &service.hubs.device(&self.hub, &self.device_id)?.twin;
        let mut desired = twin.desired.clone();
        desired.insert("$version".into(), 1.into());
        // A real hub does not show the tags to the device.
        let payload =
            json!({ "tags": twin.tags, "desired": desired, "reported": { "$version": self.reported_version } });
        let topic = format!("$iothub/twin/res/200/?$rid={request_id}");
        Some(Answer { call: "hub-twin", status: 200, reply: Some((topic, payload.to_string().into_bytes())) })
    }
}
