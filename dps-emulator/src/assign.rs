//! The assignment of an accepted register call: assigned, failed or disabled; and what it changes in the hubs.

use crate::enrollment::{AllocationPolicy, ReprovisionPolicy, Settings};
use crate::hubs::{HubAuthentication, HubDevice, Hubs, Twin};
use crate::issuance::IssuedChain;
use crate::options::UnchangedSubstatus;
use crate::registrations::{Assigning, Assignment, Record, Shown, Source};
use crate::service::Service;
use crate::time::Now;
use crate::tpm::{KeyBlob, TpmState};
use crate::wire::{NO_HUB, NOT_FOUND, NOT_ISSUED, RegistrationState, Status, Substatus};
use crate::x509::Certificate;

/// The message of a registration for which no hub can be chosen.
pub(crate) const NO_HUB_MESSAGE: &str = "None of the hubs that the enrollment allows is linked to this service.";

/// What an assignment uses of its enrollment.
struct Plan {
    registration_id: String,
    enabled: bool,
    hub: Option<String>,
    reprovision: ReprovisionPolicy,
    device_id: Option<String>,
    iot_edge: bool,
    twin: Twin,
    authentication: HubAuthentication,
    /// The root of the certificate that is issued.
    issued: Option<Certificate>,
}

impl Service {
    /// Performs every assignment that is due. Every request does this first; code that only inspects the state may call
    /// it.
    pub fn advance(&mut self, now: Now) {
        loop {
            while let Some(assigning) = self.operations.take_due(now.monotonic_ms) {
                if self.needs_webhook(&assigning) {
                    self.await_webhook(now, assigning);
                } else {
                    self.conclude(now, assigning);
                }
            }
            if !self.advance_webhooks(now) {
                break;
            }
        }
        self.operations.forget_older(now.monotonic_ms);
    }

    fn conclude(&mut self, now: Now, assigning: Assigning) {
        // Every assignment of a device with a TPM has a new key.
        let keys = assigning.challenge.as_ref().map(|challenge| challenge.keys.clone());
        let blob = keys.and_then(|keys| self.key_blob(&keys, &assigning.spelled).ok());
        let mut plan = self.plan(&assigning, blob.as_ref());
        let etag = self.random.etag();
        let chain = plan.as_ref().filter(|plan| plan.enabled).and_then(|_| self.issue(now, &assigning));
        let is_lacking = assigning.requested.is_some() && chain.is_none();
        let (certificates, issued) = chain.map(|chain| (chain.certificates, chain.root)).unzip();
        if let Some(plan) = &mut plan {
            plan.issued = issued;
        }
        let Some(record) = self.records.get_mut(&assigning.registration) else { return };
        match plan {
            None => fail(record, NOT_FOUND, "The enrollment was deleted while the device was being assigned."),
            Some(plan) if !plan.enabled => record.status = Status::Disabled,
            Some(_) if is_lacking => fail(record, NOT_ISSUED, "The certificate could not be issued."),
            Some(plan) => match &assigning.allocation {
                Some(Err((code, message))) => fail(record, *code, message),
                _ => assign(record, &mut self.hubs, plan, self.options.unchanged, assigning.sticky),
            },
        }
        if let (Some(blob), Status::Assigned) = (blob, record.status) {
            record.shown = Shown::Tpm(Some(TpmState { authentication_key: blob.text }));
        }
        record.payload = match assigning.allocation {
            Some(allocation) => allocation.ok().and_then(|allocation| allocation.payload),
            None => assigning.payload.filter(|_| self.options.echo_payload),
        };
        record.updated_ms = now.unix_ms;
        record.etag = etag;
        let issued_certificate_chain = certificates.filter(|_| record.status == Status::Assigned);
        let result = RegistrationState { issued_certificate_chain, ..record.state() };
        self.operations.finish(&assigning.operation_id, result);
    }

    /// Issues the certificate that the device has requested.
    fn issue(&mut self, now: Now, assigning: &Assigning) -> Option<IssuedChain> {
        let request = assigning.requested.as_ref()?;
        self.issue_certificate(now, assigning.transport, assigning.registration.as_str(), request)
    }

    /// What the enrollment says that a device was authenticated by.
    pub(crate) fn settings_of(&self, source: &Source, registration_id: &str) -> Option<&Settings> {
        match source {
            Source::Individual => self.individuals.get(registration_id).map(|individual| &individual.settings),
            Source::Group(id) => self.groups.get(id).map(|group| &group.settings),
        }
    }

    fn plan(&self, assigning: &Assigning, blob: Option<&KeyBlob>) -> Option<Plan> {
        let settings = self.settings_of(&assigning.source, assigning.registration.as_str())?;
        let device_id = match &assigning.source {
            Source::Individual => self.individuals.get(assigning.registration.as_str())?.device_id.clone(),
            Source::Group(_) => None,
        };
        let chosen = assigning.allocation.as_ref().and_then(|allocation| allocation.as_ref().ok());
        let twin = chosen.and_then(|chosen| chosen.twin.clone()).or_else(|| settings.initial_twin.clone());
        let twin = twin.unwrap_or_default();
        let hub = match chosen {
            Some(chosen) => Some(chosen.hub.clone()),
            None => self.allocate(settings, assigning.registration.as_str()),
        };
        Some(Plan {
            registration_id: assigning.spelled.clone(),
            enabled: settings.is_enabled(),
            hub,
            reprovision: settings.reprovision_policy.unwrap_or_default(),
            device_id,
            iot_edge: settings.capabilities.unwrap_or_default().iot_edge,
            twin: Twin {
                tags: twin.tags.unwrap_or_default(),
                desired: twin.properties.and_then(|properties| properties.desired).unwrap_or_default(),
            },
            authentication: match blob {
                Some(blob) => HubAuthentication::SymmetricKeys([blob.key.clone(), blob.key.clone()]),
                None => self.device_authentication(&assigning.source, &assigning.spelled)?,
            },
            issued: None,
        })
    }

    fn allocate(&self, settings: &Settings, registration: &str) -> Option<String> {
        let hub = match settings.allocation_policy.unwrap_or_default() {
            AllocationPolicy::Static => self.hubs.linked_named(settings.static_hub()?),
            _ => self.hubs.hashed(registration, settings.iot_hubs.as_deref().unwrap_or_default()),
        };
        hub.map(Into::into)
    }
}

fn fail(record: &mut Record, code: u32, message: &str) {
    record.status = Status::Failed;
    record.failure = Some((code, message.into()));
}

fn assign(record: &mut Record, hubs: &mut Hubs, plan: Plan, unchanged: UnchangedSubstatus, sticky: bool) {
    let old = record.assignment.clone();
    let stays = sticky || !plan.reprovision.update_hub_assignment;
    let hub = match &old {
        Some(assignment) if stays => Some(assignment.hub.clone()),
        _ => plan.hub.clone(),
    };
    let Some(hub) = hub else {
        return fail(record, NO_HUB, NO_HUB_MESSAGE);
    };
    let moved = old.as_ref().is_some_and(|assignment| !assignment.hub.eq_ignore_ascii_case(&hub));
    record.substatus = match (moved, &old) {
        (false, None) => Substatus::InitialAssignment,
        (false, Some(_)) if unchanged == UnchangedSubstatus::Reprovisioned => {
            Substatus::ReprovisionedToInitialAssignment
        }
        (false, Some(_)) => record.substatus,
        (true, _) if record.first_hub.as_ref() == Some(&hub) => Substatus::ReprovisionedToInitialAssignment,
        (true, _) if plan.reprovision.migrate_device_data => Substatus::DeviceDataMigrated,
        (true, _) => Substatus::DeviceDataReset,
    };
    // The first assignment sets the device id for good: to change it, the record has to be deleted first.
    let device_id = match &old {
        Some(assignment) => assignment.device_id.clone(),
        None => plan.device_id.clone().unwrap_or_else(|| record.registration_id.clone()),
    };
    let left = old.filter(|_| moved).and_then(|assignment| hubs.remove_device(&assignment.hub, &assignment.device_id));
    enter(hubs, &hub, &device_id, plan, left);
    record.first_hub.get_or_insert_with(|| hub.clone());
    let profile = hubs.profile(&hub);
    record.assignment = Some(Assignment { hub, device_id, profile });
    record.status = Status::Assigned;
    record.failure = None;
}

/// Creates the device's entry in its hub, or replaces the keys or certificates of an existing one.
fn enter(hubs: &mut Hubs, hub: &str, device_id: &str, plan: Plan, left: Option<HubDevice>) {
    if let Some(device) = hubs.device_mut(hub, device_id) {
        device.registration_id = plan.registration_id;
        device.authentication = plan.authentication;
        // A certificate that was issued earlier stays valid.
        device.issued = plan.issued.or(device.issued.take());
        return;
    }
    let issued = plan.issued.or_else(|| left.as_ref().and_then(|device| device.issued.clone()));
    let (twin, iot_edge) = match left {
        Some(device) if plan.reprovision.migrate_device_data => (device.twin, device.iot_edge),
        _ => (plan.twin, plan.iot_edge),
    };
    hubs.put_device(HubDevice {
        hub: hub.into(),
        device_id: device_id.into(),
        registration_id: plan.registration_id,
        iot_edge,
        twin,
        authentication: plan.authentication,
        enabled: true,
        issued,
    });
}
