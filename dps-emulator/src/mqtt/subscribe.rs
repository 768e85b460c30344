//! SUBSCRIBE and UNSUBSCRIBE: the only filter is that of replies, or those of a hub.

use mqtt_protocol_core::mqtt::packet::{Qos, v3_1_1};
use mqtt_protocol_core::mqtt::result_code::SubackReturnCode;

use super::names::REPLY_FILTER;
use super::{Effect, Session};
use crate::events::{RefusalReason, Transport};
use crate::fault::{At, Fault};
use crate::ids::FoldedId;
use crate::service::Service;
use crate::time::Now;

impl Session {
    pub(super) fn subscribe(
        &mut self,
        service: &mut Service,
        now: Now,
        subscribe: &v3_1_1::Subscribe,
        effects: &mut Vec<Effect>,
    ) {
        let fault = match &self.device {
            Some(device) => {
                let registration = FoldedId::new(&device.registration_id);
                service.tally.arrived(At::Subscribe, &registration);
                service.take_fault(now, Transport::Mqtt, At::Subscribe, &registration)
            }
            None if self.hub_client.is_some() => None,
            None => return self.close(RefusalReason::NotConnected, effects),
        };
        let is_taken = |filter: &str| match &self.hub_client {
            Some(client) => client.accepts_filter(filter),
            None => filter == REPLY_FILTER,
        };
        match fault {
            Some(Fault::DropBefore | Fault::DropAfter) => return effects.push(Effect::Close),
            Some(Fault::Silent) => return,
            _ => {}
        }
        let codes = subscribe.entries().iter().map(|entry| {
            if !is_taken(entry.topic_filter()) || fault == Some(Fault::RefuseSubscribe) {
                return SubackReturnCode::Failure;
            }
            match entry.sub_opts().qos() {
                Qos::AtMostOnce => {
                    self.granted = Some(Qos::AtMostOnce);
                    SubackReturnCode::SuccessMaximumQos0
                }
                // Quality 2 is granted as 1.
                _ => {
                    self.granted = Some(Qos::AtLeastOnce);
                    SubackReturnCode::SuccessMaximumQos1
                }
            }
        });
        let codes: Vec<SubackReturnCode> = codes.collect();
        let credentials = subscribe.entries().iter().zip(&codes).rev().find_map(|(entry, code)| {
            let granted = match code {
                SubackReturnCode::SuccessMaximumQos0 => Some(Qos::AtMostOnce),
                SubackReturnCode::Failure => None,
                _ => Some(Qos::AtLeastOnce),
            };
            granted.filter(|_| Self::is_credentials_filter(entry.topic_filter()))
        });
        let reason = match (&fault, codes.contains(&SubackReturnCode::Failure)) {
            (Some(Fault::RefuseSubscribe), _) => Some(RefusalReason::PlannedFault),
            (_, true) => Some(RefusalReason::TopicFilter),
            _ => None,
        };
        let status = codes.iter().map(|code| *code as u8).max().unwrap_or_default();
        self.record(service, now, At::Subscribe.name(), status.into(), reason);
        let suback = v3_1_1::Suback::builder().packet_id(subscribe.packet_id()).return_codes(codes).build();
        match suback {
            Ok(suback) => self.send(now, suback.into(), effects),
            Err(_) => effects.push(Effect::Close),
        }
        if credentials.is_some() {
            self.credentials_subscribed(service, now, credentials, effects);
        }
    }

    /// Some clients unsubscribe before they disconnect.
    pub(super) fn unsubscribe(
        &mut self,
        service: &mut Service,
        now: Now,
        unsubscribe: &v3_1_1::Unsubscribe,
        effects: &mut Vec<Effect>,
    ) {
        if unsubscribe.entries().iter().any(|filter| Self::is_credentials_filter(filter.as_str())) {
            self.credentials_subscribed(service, now, None, effects);
        }
        if unsubscribe.entries().iter().any(|filter| filter.as_str() == REPLY_FILTER) {
            self.granted = None;
        }
        match v3_1_1::Unsuback::builder().packet_id(unsubscribe.packet_id()).build() {
            Ok(unsuback) => self.send(now, unsuback.into(), effects),
            Err(_) => effects.push(Effect::Close),
        }
    }
}
