//! Individual enrollments and enrollment groups, in the service's JSON.
//!
//! One type serves code and wire. Members that are `None` get the service's defaults when the enrollment is put.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::attestation::Attestation;
use crate::keys::SymmetricKey;

/// Whether devices of an enrollment are let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ProvisioningStatus {
    /// They are.
    #[default]
    Enabled,
    /// Their registrations end as `disabled`.
    Disabled,
}

/// How a hub is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AllocationPolicy {
    /// An even spread by weight.
    #[default]
    Hashed,
    /// The one hub that the enrollment names.
    Static,
    /// The hub with the lowest latency; here the same as hashed, since all hubs are equally near.
    GeoLatency,
    /// A webhook decides; not modelled, so refused.
    Custom,
}

/// What becomes of a device that registers again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ReprovisionPolicy {
    /// Chooses the hub again; otherwise it stays.
    pub update_hub_assignment: bool,
    /// On a move, takes the twin along; otherwise it starts with the enrollment's.
    pub migrate_device_data: bool,
}

impl Default for ReprovisionPolicy {
    fn default() -> Self {
        Self { update_hub_assignment: true, migrate_device_data: true }
    }
}

/// What a device entry is made as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Capabilities {
    /// An IoT Edge device. In a group: all devices or none.
    pub iot_edge: bool,
}

/// The twin that a device starts with.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct InitialTwin {
    /// The tags.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Map<String, Value>>,
    /// The properties.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub properties: Option<TwinProperties>,
}

/// The properties of an initial twin.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TwinProperties {
    /// What the cloud wants of the device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desired: Option<Map<String, Value>>,
}

/// What individual enrollments and groups have in common.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Settings {
    /// The keys.
    pub attestation: Attestation,
    /// What device entries are made as.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Capabilities>,
    /// The twin that a device starts with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initial_twin: Option<InitialTwin>,
    /// Whether devices are let in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provisioning_status: Option<ProvisioningStatus>,
    /// What becomes of a device that registers again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reprovision_policy: Option<ReprovisionPolicy>,
    /// How a hub is chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allocation_policy: Option<AllocationPolicy>,
    /// The hubs to choose from; none named means all that are linked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iot_hubs: Option<Vec<String>>,
    /// The older way to name the one hub of a static allocation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iot_hub_host_name: Option<String>,
    /// Changes with every put; set by the service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// Set by the service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_date_time_utc: Option<String>,
    /// Set by the service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_updated_date_time_utc: Option<String>,
}

impl Settings {
    fn new() -> Self {
        Self {
            attestation: Attestation::default(),
            capabilities: None,
            initial_twin: None,
            provisioning_status: None,
            reprovision_policy: None,
            allocation_policy: None,
            iot_hubs: None,
            iot_hub_host_name: None,
            etag: None,
            created_date_time_utc: None,
            last_updated_date_time_utc: None,
        }
    }

    pub(crate) fn is_enabled(&self) -> bool {
        self.provisioning_status.unwrap_or_default() == ProvisioningStatus::Enabled
    }
}

/// An enrollment of one device.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IndividualEnrollment {
    /// The registration id, which is the enrollment's id too.
    pub registration_id: String,
    /// The device id at the hub, if it is to be another than the registration id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_id: Option<String>,
    /// Free text of the owner's; kept and given back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub optional_device_information: Option<Value>,
    /// The rest.
    #[serde(flatten)]
    pub settings: Settings,
}

/// An enrollment of every device that has a key derived from the group's.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EnrollmentGroup {
    /// The group's id.
    pub enrollment_group_id: String,
    /// The rest.
    #[serde(flatten)]
    pub settings: Settings,
}

impl IndividualEnrollment {
    /// An enrollment with the service's defaults and keys to be generated.
    #[must_use]
    pub fn new(registration_id: impl Into<String>) -> Self {
        Self {
            registration_id: registration_id.into(),
            device_id: None,
            optional_device_information: None,
            settings: Settings::new(),
        }
    }

    /// Another device id than the registration id.
    #[must_use]
    pub fn device_id(mut self, device_id: impl Into<String>) -> Self {
        self.device_id = Some(device_id.into());
        self
    }
}

impl EnrollmentGroup {
    /// A group with the service's defaults and keys to be generated.
    #[must_use]
    pub fn new(enrollment_group_id: impl Into<String>) -> Self {
        Self { enrollment_group_id: enrollment_group_id.into(), settings: Settings::new() }
    }
}

macro_rules! settings_builder {
    ($kind:ty) => {
        impl $kind {
            /// The first key.
            #[must_use]
            pub fn primary_key(mut self, key: SymmetricKey) -> Self {
                self.settings.attestation.primary = Some(key);
                self
            }

            /// The second key.
            #[must_use]
            pub fn secondary_key(mut self, key: SymmetricKey) -> Self {
                self.settings.attestation.secondary = Some(key);
                self
            }

            /// Whether devices are IoT Edge devices.
            #[must_use]
            pub fn iot_edge(mut self, iot_edge: bool) -> Self {
                self.settings.capabilities = Some(Capabilities { iot_edge });
                self
            }

            /// Whether devices are let in.
            #[must_use]
            pub fn enabled(mut self, enabled: bool) -> Self {
                let status = if enabled { ProvisioningStatus::Enabled } else { ProvisioningStatus::Disabled };
                self.settings.provisioning_status = Some(status);
                self
            }

            /// The twin that a device starts with.
            #[must_use]
            pub fn initial_twin(mut self, tags: Map<String, Value>, desired: Map<String, Value>) -> Self {
                let properties = Some(TwinProperties { desired: Some(desired) });
                self.settings.initial_twin = Some(InitialTwin { tags: Some(tags), properties });
                self
            }

            /// What becomes of a device that registers again.
            #[must_use]
            pub fn reprovision(mut self, policy: ReprovisionPolicy) -> Self {
                self.settings.reprovision_policy = Some(policy);
                self
            }

            /// How a hub is chosen, and from which.
            #[must_use]
            pub fn allocation(
                mut self,
                policy: AllocationPolicy,
                hubs: impl IntoIterator<Item = impl Into<String>>,
            ) -> Self {
                self.settings.allocation_policy = Some(policy);
                self.settings.iot_hubs = Some(hubs.into_iter().map(Into::into).collect());
                self
            }
        }
    };
}

settings_builder!(IndividualEnrollment);
settings_builder!(EnrollmentGroup);
