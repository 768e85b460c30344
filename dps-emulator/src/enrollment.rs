//! Enrollments: which devices may register, and how they are assigned. Their shape, in code and as JSON, and what is allowed
//! in it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::attestation::{Attestation, Holder};
use crate::credentials::SymmetricKey;
use crate::ids;
use crate::issuance::CertificatePolicy;
use crate::options::check_host;
use crate::tpm::{TpmAttestation, TpmPublicKey};
use crate::webhook::{CustomAllocationDefinition, WebhookUrl};
use crate::wire::Problem;
use crate::x509::{Certificate, Slots, X509Attestation};

/// Whether an enrollment is enabled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ProvisioningStatus {
    /// Devices can register.
    #[default]
    Enabled,
    /// Registrations end as `disabled`.
    Disabled,
}

/// How a hub is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum AllocationPolicy {
    /// Evenly by weight.
    #[default]
    Hashed,
    /// The one hub that the enrollment names.
    Static,
    /// The hub with the lowest latency; here the same as hashed, since all hubs are equally near.
    GeoLatency,
    /// A webhook decides, at every registration: see [`CustomAllocationDefinition`].
    Custom,
}

/// What happens to a device that registers again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ReprovisionPolicy {
    /// Whether a hub is chosen again; otherwise the device stays at its hub.
    pub update_hub_assignment: bool,
    /// Whether the twin moves along to another hub; otherwise the device starts with the enrollment's twin.
    pub migrate_device_data: bool,
}

impl Default for ReprovisionPolicy {
    fn default() -> Self {
        Self { update_hub_assignment: true, migrate_device_data: true }
    }
}

/// The capabilities of a device entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Capabilities {
    /// Whether it is an IoT Edge device. In a group: all devices or none.
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
    /// The desired properties.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desired: Option<Map<String, Value>>,
}

/// What individual enrollments and groups have in common.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Settings {
    /// How devices prove who they are.
    pub attestation: Attestation,
    /// The capabilities of device entries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Capabilities>,
    /// The twin that a device starts with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initial_twin: Option<InitialTwin>,
    /// Whether devices can register.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provisioning_status: Option<ProvisioningStatus>,
    /// What happens to a device that registers again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reprovision_policy: Option<ReprovisionPolicy>,
    /// How a hub is chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allocation_policy: Option<AllocationPolicy>,
    /// The hubs to choose from; all linked hubs when absent or empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iot_hubs: Option<Vec<String>>,
    /// The webhook of a custom allocation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom_allocation_definition: Option<CustomAllocationDefinition>,
    /// The certificate policy; without one, no certificates are issued.
    #[serde(flatten)]
    pub certificate_policy: CertificatePolicy,
    /// The older member for the hub of a static allocation.
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
            custom_allocation_definition: None,
            certificate_policy: CertificatePolicy::default(),
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
    /// The device id at the hub, if it differs from the registration id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_id: Option<String>,
    /// An object for the owner's own use; stored and returned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub optional_device_information: Option<Value>,
    /// Everything that groups have too.
    #[serde(flatten)]
    pub settings: Settings,
}

/// An enrollment of all devices that have a key derived from the group's.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EnrollmentGroup {
    /// The group's id.
    pub enrollment_group_id: String,
    /// Everything that individual enrollments have too.
    #[serde(flatten)]
    pub settings: Settings,
}

impl IndividualEnrollment {
    /// An enrollment with the service's defaults; its keys are generated when it is put.
    #[must_use]
    pub fn new(registration_id: impl Into<String>) -> Self {
        Self {
            registration_id: registration_id.into(),
            device_id: None,
            optional_device_information: None,
            settings: Settings::new(),
        }
    }

    /// Sets a device id that differs from the registration id.
    #[must_use]
    pub fn device_id(mut self, device_id: impl Into<String>) -> Self {
        self.device_id = Some(device_id.into());
        self
    }
}

impl EnrollmentGroup {
    /// A group with the service's defaults; its keys are generated when it is put.
    #[must_use]
    pub fn new(enrollment_group_id: impl Into<String>) -> Self {
        Self { enrollment_group_id: enrollment_group_id.into(), settings: Settings::new() }
    }
}

impl IndividualEnrollment {
    /// Sets the certificate of the device, instead of keys. Its common name must be the registration id.
    #[must_use]
    pub fn client_certificate(mut self, certificate: Certificate) -> Self {
        self.settings.attestation.set_certificate(Holder::Individual, certificate);
        self
    }

    /// Sets a second certificate of the device, such as the one that replaces the first.
    #[must_use]
    pub fn secondary_client_certificate(mut self, certificate: Certificate) -> Self {
        self.settings.attestation.set_secondary_certificate(Holder::Individual, certificate);
        self
    }

    /// Sets the endorsement key of the device's TPM, instead of keys.
    #[must_use]
    pub fn endorsement_key(mut self, key: TpmPublicKey) -> Self {
        self.settings.attestation.tpm = Some(TpmAttestation::new(key));
        self
    }
}

impl EnrollmentGroup {
    /// Sets the CA certificate that signed the devices' certificates, or one that signed that, instead of keys. The
    /// chain must lead to a verified CA certificate of the service: see
    /// [`put_ca_certificate`](crate::Service::put_ca_certificate).
    #[must_use]
    pub fn signing_certificate(mut self, certificate: Certificate) -> Self {
        self.settings.attestation.set_certificate(Holder::Group, certificate);
        self
    }

    /// Sets a second CA certificate, such as the one that replaces the first.
    #[must_use]
    pub fn secondary_signing_certificate(mut self, certificate: Certificate) -> Self {
        self.settings.attestation.set_secondary_certificate(Holder::Group, certificate);
        self
    }
}

macro_rules! settings_builder {
    ($kind:ty) => {
        impl $kind {
            /// Refers to a CA certificate of the service by its name, and to a second one, instead of keys.
            #[must_use]
            pub fn ca_reference(mut self, primary: impl Into<String>, secondary: Option<&str>) -> Self {
                let slots = Slots { primary: primary.into(), secondary: secondary.map(Into::into) };
                self.settings.attestation.x509 = Some(X509Attestation::CaReferences(slots));
                self
            }

            /// Sets the primary key.
            #[must_use]
            pub fn primary_key(mut self, key: SymmetricKey) -> Self {
                self.settings.attestation.primary = Some(key);
                self
            }

            /// Sets the secondary key.
            #[must_use]
            pub fn secondary_key(mut self, key: SymmetricKey) -> Self {
                self.settings.attestation.secondary = Some(key);
                self
            }

            /// Sets whether devices are IoT Edge devices.
            #[must_use]
            pub fn iot_edge(mut self, iot_edge: bool) -> Self {
                self.settings.capabilities = Some(Capabilities { iot_edge });
                self
            }

            /// Sets whether devices can register.
            #[must_use]
            pub fn enabled(mut self, enabled: bool) -> Self {
                let status = if enabled { ProvisioningStatus::Enabled } else { ProvisioningStatus::Disabled };
                self.settings.provisioning_status = Some(status);
                self
            }

            /// Sets the twin that a device starts with.
            #[must_use]
            pub fn initial_twin(mut self, tags: Map<String, Value>, desired: Map<String, Value>) -> Self {
                let properties = Some(TwinProperties { desired: Some(desired) });
                self.settings.initial_twin = Some(InitialTwin { tags: Some(tags), properties });
                self
            }

            /// Sets what happens to a device that registers again.
            #[must_use]
            pub fn reprovision(mut self, policy: ReprovisionPolicy) -> Self {
                self.settings.reprovision_policy = Some(policy);
                self
            }

            /// Sets how a hub is chosen, and from which hubs.
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

            /// Has the service issue certificates to devices that send a certificate request.
            #[must_use]
            pub fn certificate_policy(mut self, policy: CertificatePolicy) -> Self {
                self.settings.certificate_policy = policy;
                self
            }

            /// Has a webhook choose the hub, at every registration: from the hubs that [`allocation`](Self::allocation)
            /// has set, or from all linked hubs.
            #[must_use]
            pub fn custom_allocation(mut self, webhook_url: WebhookUrl) -> Self {
                self.settings.allocation_policy = Some(AllocationPolicy::Custom);
                self.settings.custom_allocation_definition = Some(CustomAllocationDefinition::new(webhook_url));
                self
            }
        }
    };
}

settings_builder!(IndividualEnrollment);
settings_builder!(EnrollmentGroup);

const DEVICE_ID_MARKS: &[u8] = b"-:.+%_#*?!(),=@;$'";

pub(crate) fn check_id(member: &str, id: &str) -> Result<(), Problem> {
    ids::check(id).map_err(|error| Problem::bad_request(format!("'{member}' is invalid: {error}.")))
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
    pub(crate) fn check(&self) -> Result<(), Problem> {
        let hubs = self.iot_hubs.iter().flatten().chain(&self.iot_hub_host_name);
        for hub in hubs {
            check_host(hub).map_err(|error| Problem::bad_request(format!("'iotHubs': {error}.")))?;
        }
        self.custom_allocation_definition.as_ref().map_or(Ok(()), CustomAllocationDefinition::check)?;
        self.certificate_policy.check()?;
        match self.allocation_policy {
            Some(AllocationPolicy::Custom) if self.custom_allocation_definition.is_none() => Err(Problem::bad_request(
                "Custom allocation needs 'customAllocationDefinition' with 'webhookUrl' and 'apiVersion'.",
            )),
            Some(AllocationPolicy::Static) if self.static_hub().is_none() => {
                Err(Problem::bad_request("Static allocation needs a hub in 'iotHubs'."))
            }
            _ => Ok(()),
        }
    }

    /// Takes the stored URL of the webhook in place of a masked one.
    pub(crate) fn keep_webhook_url(&mut self, stored: Option<&Self>) {
        if let Some(definition) = &mut self.custom_allocation_definition {
            definition.keep_url(stored.and_then(|stored| stored.custom_allocation_definition.as_ref()));
        }
    }

    /// Removes what is not shown: keys, and the query of the webhook's URL.
    pub(crate) fn forget_secrets(&mut self) {
        self.attestation.forget_keys();
        self.mask_webhook_url();
    }

    /// Masks the query of the webhook's URL.
    pub(crate) fn mask_webhook_url(&mut self) {
        if let Some(definition) = &mut self.custom_allocation_definition {
            *definition = definition.masked();
        }
    }

    /// The hub of a static allocation.
    pub(crate) fn static_hub(&self) -> Option<&str> {
        self.iot_hubs.iter().flatten().next().or(self.iot_hub_host_name.as_ref()).map(String::as_str)
    }

    pub(crate) fn fill_defaults(&mut self) {
        let policy = if self.iot_hub_host_name.is_some() { AllocationPolicy::Static } else { AllocationPolicy::Hashed };
        self.allocation_policy.get_or_insert(policy);
        self.capabilities.get_or_insert_default();
        self.provisioning_status.get_or_insert_default();
        self.reprovision_policy.get_or_insert_default();
    }
}
