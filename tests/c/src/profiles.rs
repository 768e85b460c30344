//! Hubs with a connection profile, and a device on each, which gets certificates: `on-classic` and `on-mqtt-v5`.

use dps_emulator::{
    AllocationPolicy, CertificatePolicy, ConnectionProfile, IndividualEnrollment, ServiceOptions, SymmetricKey,
};

/// The hub of every other device.
pub(crate) const CLASSIC_HUB: &str = "hub-a.test";
const MQTT_V5_HUB: &str = "hub-5.test";

/// Links both hubs.
pub(crate) fn link(options: ServiceOptions) -> ServiceOptions {
    options.hub(CLASSIC_HUB, 1).hub(MQTT_V5_HUB, 1).hub_profile(MQTT_V5_HUB, ConnectionProfile::MqttV5)
}

/// The devices, which have the same key.
pub(crate) fn devices(key: &SymmetricKey) -> [IndividualEnrollment; 2] {
    [("on-classic", CLASSIC_HUB), ("on-mqtt-v5", MQTT_V5_HUB)].map(|(id, hub)| {
        let device = IndividualEnrollment::new(id).primary_key(key.clone()).allocation(AllocationPolicy::Static, [hub]);
        device.certificate_policy(CertificatePolicy::named("factory", "root", "devices"))
    })
}
