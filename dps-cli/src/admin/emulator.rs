//! The emulator's own calls, which the real service does not have. Replies pass through as the emulator returns them.

use dps_emulator::FaultPlan;
use reqwest::Method;
use serde_json::Value;

use super::client::{AdminClient, Body, to_json};
use crate::failure::{Failure, Result};

const FAULTS: &[&str] = &["emulator", "faults"];
const COUNTERS: &[&str] = &["emulator", "counters"];
const CONFIGURATION: &[&str] = &["emulator", "configuration"];
const PAGE_LINKS: &[&str] = &["emulator", "page-links"];
const CLOCK: &[&str] = &["emulator", "clock"];
const CERTIFICATES: &[&str] = &["emulator", "certificates"];
/// The emulator's error code for an unknown device or certificate; other services do not have the path.
const UNKNOWN: u32 = 404_201;

impl AdminClient {
    /// Plans a fault and returns it as a list.
    pub(crate) async fn plan_fault(&self, plan: &FaultPlan) -> Result<Value> {
        let body = to_json(plan)?;
        self.call(Method::POST, FAULTS, Body::Json(&body)).await.map_err(explain_not_found)
    }

    /// Returns the planned faults, with how many of each are left.
    pub(crate) async fn planned_faults(&self) -> Result<Value> {
        self.call(Method::GET, FAULTS, Body::Nothing).await.map_err(explain_not_found)
    }

    /// Removes planned faults, all or those of one registration, and returns how many.
    pub(crate) async fn clear_faults(&self, registration_id: Option<&str>) -> Result<Value> {
        self.call_about(Method::DELETE, FAULTS, registration_id, Body::Nothing).await.map_err(explain_not_found)
    }

    /// Returns how often the emulator was called, in total or for one registration.
    pub(crate) async fn counters(&self, registration_id: Option<&str>) -> Result<Value> {
        self.call_about(Method::GET, COUNTERS, registration_id, Body::Nothing).await.map_err(explain_not_found)
    }

    /// Returns the emulator's state if it can be used; a call that anybody can make.
    pub(crate) async fn readiness(&self) -> Result<Value> {
        self.call(Method::GET, &["readyz"], Body::Nothing).await.map_err(explain_not_found)
    }

    /// Makes a link that opens the emulator's page once, and returns it.
    pub(crate) async fn make_page_link(&self) -> Result<Value> {
        self.call(Method::POST, PAGE_LINKS, Body::Nothing).await.map_err(explain_not_found)
    }

    /// Returns the configuration that starts an equal emulator, with its keys if they are asked for.
    pub(crate) async fn configuration(&self, show_keys: bool) -> Result<Value> {
        let query = show_keys.then_some(("showKeys", "true"));
        self.call_with(Method::GET, CONFIGURATION, query, Body::Nothing).await.map_err(explain_not_found)
    }

    /// Returns the service's clock.
    pub(crate) async fn clock(&self) -> Result<Value> {
        self.call(Method::GET, CLOCK, Body::Nothing).await.map_err(explain_not_found)
    }

    /// Changes the service's clock and returns it.
    pub(crate) async fn change_clock(&self, change: &Value) -> Result<Value> {
        let body = to_json(change)?;
        self.call(Method::PATCH, CLOCK, Body::Json(&body)).await.map_err(explain_not_found)
    }

    /// Stores or replaces a CA certificate and returns it.
    pub(crate) async fn put_ca_certificate(&self, name: &str, upload: &Value) -> Result<Value> {
        let body = to_json(upload)?;
        self.call(Method::PUT, &ca_certificate(name), Body::Json(&body)).await.map_err(explain_not_found)
    }

    /// Returns the CA certificates.
    pub(crate) async fn ca_certificates(&self) -> Result<Value> {
        self.call(Method::GET, CERTIFICATES, Body::Nothing).await.map_err(explain_not_found)
    }

    /// Deletes a CA certificate and returns it.
    pub(crate) async fn delete_ca_certificate(&self, name: &str) -> Result<Value> {
        self.call(Method::DELETE, &ca_certificate(name), Body::Nothing).await.map_err(explain_not_found)
    }

    /// Returns what a hub has on record for a device.
    pub(crate) async fn hub_device(&self, hub: &str, device_id: &str) -> Result<Value> {
        self.call(Method::GET, &hub_device(hub, device_id), Body::Nothing).await.map_err(explain_not_found)
    }

    /// Changes a device in a hub and returns its new state.
    pub(crate) async fn change_hub_device(&self, hub: &str, device_id: &str, change: &Value) -> Result<Value> {
        let body = to_json(change)?;
        self.call(Method::PATCH, &hub_device(hub, device_id), Body::Json(&body)).await.map_err(explain_not_found)
    }

    /// Deletes a device from a hub.
    pub(crate) async fn delete_hub_device(&self, hub: &str, device_id: &str) -> Result<Value> {
        self.call(Method::DELETE, &hub_device(hub, device_id), Body::Nothing).await.map_err(explain_not_found)
    }
}

fn ca_certificate(name: &str) -> [&str; 3] {
    ["emulator", "certificates", name]
}

fn hub_device<'a>(hub: &'a str, device_id: &'a str) -> [&'a str; 5] {
    ["emulator", "hubs", hub, "devices", device_id]
}

/// Explains the 404 of a service that is not the emulator.
pub(super) fn explain_not_found(mut failure: Failure) -> Failure {
    if failure.http_status == Some(404) && failure.error_code != Some(UNKNOWN) {
        failure.message =
            format!("only the emulator supports this command, and this service is not one: {}", failure.message);
    }
    failure
}

#[cfg(test)]
mod tests {
    use super::super::refusal;
    use super::*;

    #[test]
    fn not_found_of_another_service_is_explained() {
        let message = |status| explain_not_found(refusal::from_reply(status, None, b"")).message;
        assert!(message(404).starts_with("only the emulator"));
        let absent = refusal::from_reply(404, None, br#"{"errorCode":404201,"message":"no device"}"#);
        assert!(!explain_not_found(absent).message.contains("emulator"));
        assert!(!message(401).contains("emulator"));
    }
}
