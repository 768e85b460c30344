//! Linked hubs, and the device entries that provisioning creates in them.

use std::collections::BTreeMap;

use hmac_sha256::Hash;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::credentials::{SymmetricKey, Token};
use crate::events::RefusalReason;
#[cfg(feature = "mqtt")]
use crate::issuance::{AtHub, Renewals};
use crate::options::{OptionsError, check_host};
use crate::time::Now;
use crate::x509::{Certificate, ClientCertificates};

const HUBS_MAX: usize = 50;
/// How many devices have counters; anybody can send any number of names.
#[cfg(feature = "mqtt")]
const COUNTED_MAX: usize = 100_000;

/// The device twin, as far as provisioning sets it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Twin {
    /// The tags.
    pub tags: Map<String, Value>,
    /// The desired properties.
    pub desired: Map<String, Value>,
}

/// The protocol that a hub speaks (`connectionProfile`, since the API version 2026-11-02-preview).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum ConnectionProfile {
    /// MQTT 3.1.1, AMQP and HTTPS.
    #[default]
    Classic,
    /// MQTT 5. The emulator does not speak it: such a hub refuses every connection.
    MqttV5,
}

/// The first day of an API version with the member.
const PROFILES_SINCE: &str = "2026-11-02";

impl ConnectionProfile {
    /// The profile with this word; `None` for any other word than `classic` and `mqttV5`.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Classic, Self::MqttV5].into_iter().find(|profile| profile.word() == word)
    }

    /// The word of the service's API.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Classic => "classic",
            Self::MqttV5 => "mqttV5",
        }
    }

    /// Whether this API version has the member.
    pub(crate) fn is_known_to(api_version: &str) -> bool {
        api_version.get(..PROFILES_SINCE.len()).is_some_and(|date| date >= PROFILES_SINCE)
    }
}

/// How a hub authenticates a device (Azure IoT Hub documentation, "Authenticate identities").
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum HubAuthentication {
    /// By a SAS token, signed with one of these keys.
    SymmetricKeys([SymmetricKey; 2]),
    /// By one of these certificates, compared by thumbprint.
    SelfSigned {
        /// The device's certificates.
        certificates: Vec<Certificate>,
    },
    /// By a certificate whose common name is the device id and whose chain leads to one of these.
    CertificateAuthority {
        /// The CA certificates.
        authorities: Vec<Certificate>,
    },
}

/// A device's entry in a hub.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct HubDevice {
    /// The hub's host name.
    pub hub: String,
    /// The device id; compared with letter case, as hubs do.
    pub device_id: String,
    /// The id that it registered with.
    pub(crate) registration_id: String,
    /// Whether it is an IoT Edge device.
    pub iot_edge: bool,
    /// Its twin.
    pub twin: Twin,
    /// How the hub authenticates it.
    pub authentication: HubAuthentication,
    /// Whether the hub accepts the device. True for a new entry.
    pub enabled: bool,
    /// The root of the certificates that were issued to the device, which the hub accepts too.
    pub(crate) issued: Option<Certificate>,
}

/// What one device did at one hub. Stays when the device is deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct HubCounters {
    /// CONNECTs that were accepted.
    pub connects: u64,
    /// CONNECTs that were refused.
    pub refused: u64,
    /// Twins that were requested.
    pub twins: u64,
    /// Telemetry messages.
    pub telemetry: u64,
}

impl HubDevice {
    /// Whether the hub would accept the device with this SAS token: resource `{hub}/devices/{deviceId}`, no `skn`.
    #[must_use]
    pub fn accepts_token(&self, now: Now, token: &str) -> bool {
        self.check_token(now, token).is_ok()
    }

    /// Checks what [`accepts_token`](Self::accepts_token) does, and returns why the token is refused.
    pub(crate) fn check_token(&self, now: Now, token: &str) -> Result<(), RefusalReason> {
        if !self.enabled {
            return Err(RefusalReason::HubDeviceDisabled);
        }
        let HubAuthentication::SymmetricKeys(keys) = &self.authentication else {
            return Err(RefusalReason::OtherAttestation);
        };
        if token.is_empty() {
            return Err(RefusalReason::NoToken);
        }
        let token = Token::parse(token).ok_or(RefusalReason::Malformed)?;
        let is_for_device = token.resource().split_once('/').is_some_and(|(host, path)| {
            host.eq_ignore_ascii_case(&self.hub) && path.strip_prefix("devices/") == Some(self.device_id.as_str())
        });
        if !is_for_device {
            return Err(RefusalReason::WrongResource);
        }
        if !token.key_name().is_empty() {
            return Err(RefusalReason::WrongKeyName);
        }
        if !keys.iter().any(|key| token.signed_by(key)) {
            return Err(RefusalReason::BadSignature);
        }
        token.expired_for_ms(now, 0).map_or(Ok(()), |for_ms| Err(RefusalReason::Expired { for_ms }))
    }

    /// Whether the hub would accept the device with these certificates.
    #[must_use]
    pub fn accepts_certificates(&self, now: Now, presented: &ClientCertificates) -> bool {
        let own = match &self.authentication {
            HubAuthentication::SymmetricKeys(_) => false,
            HubAuthentication::SelfSigned { certificates } => presented.is_one_of(now, certificates),
            HubAuthentication::CertificateAuthority { authorities } => {
                presented.common_name() == Some(&self.device_id) && presented.leads_to(now, authorities)
            }
        };
        let is_issued = |root: &Certificate| {
            presented.common_name().is_some_and(|name| name.eq_ignore_ascii_case(&self.registration_id))
                && presented.leads_to(now, std::slice::from_ref(root))
        };
        self.enabled && (own || self.issued.as_ref().is_some_and(is_issued))
    }
}

#[derive(Debug, Clone)]
struct LinkedHub {
    host: String,
    weight: u32,
    profile: ConnectionProfile,
}

/// All hubs with their device entries. Devices stay in a hub that is unlinked.
#[derive(Default)]
pub(crate) struct Hubs {
    linked: Vec<LinkedHub>,
    devices: BTreeMap<(String, String), HubDevice>,
    #[cfg(feature = "mqtt")]
    pub(crate) renewals: Renewals,
    counters: BTreeMap<(String, String), HubCounters>,
}

impl Hubs {
    /// Links a hub, or sets the weight of one that is linked.
    pub(crate) fn link(&mut self, host: &str, weight: u32) -> Result<(), OptionsError> {
        check_host(host)?;
        if !(1..=1000).contains(&weight) {
            return Err(OptionsError::Weight { hub: host.into(), weight });
        }
        if let Some(hub) = self.linked.iter_mut().find(|hub| hub.host.eq_ignore_ascii_case(host)) {
            hub.weight = weight;
            return Ok(());
        }
        if self.linked.len() == HUBS_MAX {
            return Err(OptionsError::TooManyHubs);
        }
        self.linked.push(LinkedHub { host: host.into(), weight, profile: ConnectionProfile::default() });
        Ok(())
    }

    /// Sets the profile of a linked hub; returns false if no such hub is linked.
    pub(crate) fn set_profile(&mut self, host: &str, profile: ConnectionProfile) -> bool {
        let hub = self.linked.iter_mut().find(|hub| hub.host.eq_ignore_ascii_case(host));
        hub.map(|hub| hub.profile = profile).is_some()
    }

    /// The profile of a hub; a classic one if it is not linked.
    pub(crate) fn profile(&self, host: &str) -> ConnectionProfile {
        let hub = self.linked.iter().find(|hub| hub.host.eq_ignore_ascii_case(host));
        hub.map(|hub| hub.profile).unwrap_or_default()
    }

    pub(crate) fn unlink(&mut self, host: &str) -> bool {
        let before = self.linked.len();
        self.linked.retain(|hub| !hub.host.eq_ignore_ascii_case(host));
        self.linked.len() < before
    }

    pub(crate) fn linked(&self) -> impl Iterator<Item = &str> {
        self.linked.iter().map(|hub| hub.host.as_str())
    }

    /// The linked hubs with their weights.
    pub(crate) fn weighted(&self) -> impl Iterator<Item = (&str, u32)> {
        self.linked.iter().map(|hub| (hub.host.as_str(), hub.weight))
    }

    pub(crate) fn linked_named(&self, host: &str) -> Option<&str> {
        self.linked().find(|linked| linked.eq_ignore_ascii_case(host))
    }

    /// Whether a hub of this name is linked, or still has a device.
    #[cfg(feature = "server")]
    pub(crate) fn knows(&self, host: &str) -> bool {
        let host_lower = host.to_ascii_lowercase();
        let first = self.devices.range((host_lower.clone(), String::new())..).next();
        self.linked_named(host).is_some() || first.is_some_and(|((hub, _), _)| *hub == host_lower)
    }

    /// Distributes by weight among the linked hubs that `allowed` names (all hubs, when it names none): weighted
    /// rendezvous hashing, so that linking or unlinking a hub moves no more devices than necessary.
    pub(crate) fn hashed(&self, registration: &str, allowed: &[String]) -> Option<&str> {
        let score = |hub: &LinkedHub| {
            let digest = Hash::hash(format!("{}\n{registration}", hub.host.to_ascii_lowercase()).as_bytes());
            let head = digest[..8].iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
            // Strictly between 0 and 1, so that the logarithm is finite and not zero.
            let unit = ((head >> 12) as f64 + 0.5) / (1_u64 << 52) as f64;
            f64::from(hub.weight) / -unit.ln()
        };
        self.linked
            .iter()
            .filter(|hub| allowed.is_empty() || allowed.iter().any(|name| name.eq_ignore_ascii_case(&hub.host)))
            .max_by(|a, b| score(a).total_cmp(&score(b)))
            .map(|hub| hub.host.as_str())
    }

    pub(crate) fn device(&self, hub: &str, device_id: &str) -> Option<&HubDevice> {
        self.devices.get(&(hub.to_ascii_lowercase(), device_id.to_owned()))
    }

    pub(crate) fn device_mut(&mut self, hub: &str, device_id: &str) -> Option<&mut HubDevice> {
        self.devices.get_mut(&(hub.to_ascii_lowercase(), device_id.to_owned()))
    }

    pub(crate) fn devices(&self) -> impl Iterator<Item = &HubDevice> {
        self.devices.values()
    }

    /// The devices of one hub, ordered by id.
    pub(crate) fn devices_of(&self, hub: &str) -> impl Iterator<Item = &HubDevice> {
        let hub = hub.to_ascii_lowercase();
        let from = self.devices.range((hub.clone(), String::new())..);
        from.take_while(move |((name, _), _)| *name == hub).map(|(_, device)| device)
    }

    /// Adds a device, in place of one of the same id.
    pub(crate) fn put_device(&mut self, device: HubDevice) {
        self.remove_device(&device.hub, &device.device_id);
        self.devices.insert((device.hub.to_ascii_lowercase(), device.device_id.clone()), device);
    }

    pub(crate) fn counters(&self, hub: &str, device_id: &str) -> HubCounters {
        self.counters.get(&(hub.to_ascii_lowercase(), device_id.to_owned())).copied().unwrap_or_default()
    }

    #[cfg(feature = "mqtt")]
    pub(crate) fn count(&mut self, hub: &str, device_id: &str, count: impl FnOnce(&mut HubCounters)) {
        let name = (hub.to_ascii_lowercase(), device_id.to_owned());
        if self.counters.len() < COUNTED_MAX || self.counters.contains_key(&name) {
            count(self.counters.entry(name).or_default());
        }
    }

    /// Removes a device, and its certificate request: neither a later device of the same id nor another hub may answer it.
    pub(crate) fn remove_device(&mut self, hub: &str, device_id: &str) -> Option<HubDevice> {
        #[cfg(feature = "mqtt")]
        self.renewals.remove(AtHub { hub, device_id });
        self.devices.remove(&(hub.to_ascii_lowercase(), device_id.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distribution_follows_the_weights_and_a_new_hub_moves_few_devices() {
        let mut hubs = Hubs::default();
        hubs.link("hub-a.test", 1).unwrap();
        hubs.link("hub-b.test", 3).unwrap();
        let ids: Vec<String> = (0..4000).map(|n| format!("dev-{n}")).collect();
        let before: Vec<String> = ids.iter().map(|id| hubs.hashed(id, &[]).unwrap().to_owned()).collect();
        let in_b = before.iter().filter(|hub| *hub == "hub-b.test").count();
        assert!((2800..3200).contains(&in_b), "{in_b}");
        hubs.link("hub-c.test", 4).unwrap();
        for (id, old) in ids.iter().zip(&before) {
            let new = hubs.hashed(id, &[]).unwrap();
            assert!(new == old || new == "hub-c.test");
        }
    }

    #[test]
    fn bounds() {
        let mut hubs = Hubs::default();
        assert!(matches!(hubs.link("a.test", 0), Err(OptionsError::Weight { .. })));
        assert!(matches!(hubs.link("a/b", 1), Err(OptionsError::HostName(_))));
        for n in 0..50 {
            hubs.link(&format!("hub-{n}.test"), 1).unwrap();
        }
        assert_eq!(hubs.link("one-more.test", 1), Err(OptionsError::TooManyHubs));
        assert_eq!(hubs.link("HUB-1.test", 7), Ok(()));
        assert!(hubs.unlink("hub-1.TEST"));
    }
}
