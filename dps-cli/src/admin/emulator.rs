//! The emulator's own calls, which no real service has. Answers go through as the emulator gives them.

use dps_emulator::FaultPlan;
use reqwest::Method;
use serde_json::Value;

use super::client::{AdminClient, Body, to_json};
use crate::failure::{Failure, Result};

const FAULTS: &[&str] = &["emulator", "faults"];
const REFUSALS: &[&str] = &["emulator", "refusals"];
const COUNTERS: &[&str] = &["emulator", "counters"];
/// The emulator's code for a device that it does not have; other services do not know the path.
const NO_SUCH_DEVICE: u32 = 404_201;

impl AdminClient {
    /// Plans a fault; answers with what was planned, as a list.
    pub(crate) async fn plan_fault(&self, plan: &FaultPlan) -> Result<Value> {
        let body = to_json(plan)?;
        self.call(Method::POST, FAULTS, Body::Json(&body)).await.map_err(of_emulator)
    }

    /// The planned faults, with how many of each are left.
    pub(crate) async fn planned_faults(&self) -> Result<Value> {
        self.call(Method::GET, FAULTS, Body::Nothing).await.map_err(of_emulator)
    }

    /// Takes planned faults back, all or one registration's; answers with how many.
    pub(crate) async fn clear_faults(&self, registration_id: Option<&str>) -> Result<Value> {
        self.call_about(Method::DELETE, FAULTS, registration_id, Body::Nothing).await.map_err(of_emulator)
    }

    /// The latest refused credentials.
    pub(crate) async fn refusals(&self) -> Result<Value> {
        self.call(Method::GET, REFUSALS, Body::Nothing).await.map_err(of_emulator)
    }

    /// How often the emulator was called, by everybody or in the name of one registration.
    pub(crate) async fn counters(&self, registration_id: Option<&str>) -> Result<Value> {
        self.call_about(Method::GET, COUNTERS, registration_id, Body::Nothing).await.map_err(of_emulator)
    }

    /// What a hub knows of a device.
    pub(crate) async fn hub_device(&self, hub: &str, device_id: &str) -> Result<Value> {
        self.call(Method::GET, &hub_device(hub, device_id), Body::Nothing).await.map_err(of_emulator)
    }

    /// Changes a device in a hub; answers with what is known of it then.
    pub(crate) async fn change_hub_device(&self, hub: &str, device_id: &str, change: &Value) -> Result<Value> {
        let body = to_json(change)?;
        self.call(Method::PATCH, &hub_device(hub, device_id), Body::Json(&body)).await.map_err(of_emulator)
    }

    /// Deletes a device from a hub.
    pub(crate) async fn delete_hub_device(&self, hub: &str, device_id: &str) -> Result<Value> {
        self.call(Method::DELETE, &hub_device(hub, device_id), Body::Nothing).await.map_err(of_emulator)
    }
}

fn hub_device<'a>(hub: &'a str, device_id: &'a str) -> [&'a str; 5] {
    ["emulator", "hubs", hub, "devices", device_id]
}

/// A service that does not know these paths is none that can be told to fail.
fn of_emulator(mut failure: Failure) -> Failure {
    if failure.http_status == Some(404) && failure.error_code != Some(NO_SUCH_DEVICE) {
        failure.message = format!("only the emulator can be told so, and this is none: {}", failure.message);
    }
    failure
}

#[cfg(test)]
mod tests {
    use super::super::refusal;
    use super::*;

    #[test]
    fn a_service_without_faults_is_told_apart() {
        let message = |status| of_emulator(refusal::of_answer(status, None, b"")).message;
        assert!(message(404).starts_with("only the emulator"));
        let absent = refusal::of_answer(404, None, br#"{"errorCode":404201,"message":"no device"}"#);
        assert!(!of_emulator(absent).message.contains("emulator"));
        assert!(!message(401).contains("emulator"));
    }
}
