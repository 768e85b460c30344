//! What an enrollment may be: everything that a PUT is refused for, and the defaults of what it leaves out.

use super::model::{AllocationPolicy, Settings};
use crate::ids;
use crate::options::check_host;
use crate::problem::Problem;

const DEVICE_ID_MARKS: &[u8] = b"-:.+%_#*?!(),=@;$'";

pub(crate) fn check_id(member: &str, id: &str) -> Result<(), Problem> {
    ids::check(id).map_err(|error| Problem::bad_request(format!("'{member}' cannot be used: {error}.")))
}

/// A device id at the hub (Azure IoT Hub documentation, "Device identity properties").
pub(crate) fn check_device_id(device_id: &str) -> Result<(), Problem> {
    let good = (1..=ids::ID_MAX).contains(&device_id.len())
        && device_id.bytes().all(|b| b.is_ascii_alphanumeric() || DEVICE_ID_MARKS.contains(&b));
    good.then_some(()).ok_or_else(|| {
        Problem::bad_request("'deviceId' must be 1 to 128 letters, digits and - : . + % _ # * ? ! ( ) , = @ ; $ '.")
    })
}

impl Settings {
    pub(super) fn check(&self) -> Result<(), Problem> {
        let hubs = self.iot_hubs.iter().flatten().chain(&self.iot_hub_host_name);
        for hub in hubs {
            check_host(hub).map_err(|error| Problem::bad_request(format!("'iotHubs': {error}.")))?;
        }
        match self.allocation_policy {
            Some(AllocationPolicy::Custom) => {
                Err(Problem::bad_request("Custom allocation is not modelled by this emulator; use hashed or static."))
            }
            Some(AllocationPolicy::Static) if self.static_hub().is_none() => {
                Err(Problem::bad_request("Static allocation needs the hub, in 'iotHubs'."))
            }
            _ => Ok(()),
        }
    }

    /// The hub of a static allocation.
    pub(crate) fn static_hub(&self) -> Option<&str> {
        self.iot_hubs.iter().flatten().next().or(self.iot_hub_host_name.as_ref()).map(String::as_str)
    }

    pub(super) fn fill_defaults(&mut self) {
        let policy = if self.iot_hub_host_name.is_some() { AllocationPolicy::Static } else { AllocationPolicy::Hashed };
        self.allocation_policy.get_or_insert(policy);
        self.capabilities.get_or_insert_default();
        self.provisioning_status.get_or_insert_default();
        self.reprovision_policy.get_or_insert_default();
    }
}
