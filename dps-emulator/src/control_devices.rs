//! Devices in the emulator's own API: all that have an enrollment, have registered, or have tried to; and the link to the page
//! that shows them.

use std::collections::BTreeMap;
use std::panic::{RefUnwindSafe, UnwindSafe};

use serde::Serialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::activity::Counters;
use crate::admin::AdminReply;
use crate::control_hubs::ShownHubDevice;
use crate::encoding::percent_decode;
use crate::enrollment::IndividualEnrollment;
use crate::enrollment_table::Entry;
use crate::events::{EventKind, RefusalReason};
use crate::ids::FoldedId;
use crate::registrations::{Record, Source};
use crate::service::Service;
use crate::time::iso_8601;
use crate::wire::{NOT_FOUND, Problem, RegistrationState, Status, Substatus};

/// How many entries of a list are returned, unless the query says otherwise, and at most.
const LIMIT_DEFAULT: usize = 100;
const LIMIT_MAX: usize = 200;

/// Returns a link to the page.
pub(crate) type PageLinks = Box<dyn Fn() -> Option<Zeroizing<String>> + Send + Sync + UnwindSafe + RefUnwindSafe>;

/// The part of a list that a query asks for: `search`, `offset` and `limit`.
pub(crate) struct Listed {
    /// In lower case.
    search: String,
    offset: usize,
    limit: usize,
}

impl Listed {
    pub(crate) fn parse(query: &str) -> Result<Self, Problem> {
        let mut listed = Self { search: String::new(), offset: 0, limit: LIMIT_DEFAULT };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let number =
                || value.parse().map_err(|_| Problem::bad_request(format!("'{name}' must be a whole number.")));
            match name {
                "search" => {
                    let text = percent_decode(&value.replace('+', " "));
                    let text = text.ok_or_else(|| Problem::bad_request("'search' has an invalid percent escape."))?;
                    listed.search = text.to_lowercase();
                }
                "offset" => listed.offset = number()?,
                "limit" => listed.limit = number()?,
                "api-version" => {}
                _ => return Err(Problem::bad_request("The query can have 'search', 'offset' and 'limit' only.")),
            }
        }
        match listed.limit {
            0..=LIMIT_MAX => Ok(listed),
            _ => Err(Problem::bad_request(format!("'limit' must be at most {LIMIT_MAX}."))),
        }
    }

    /// Whether one of these contains what is searched.
    pub(crate) fn matches<'a>(&self, texts: impl IntoIterator<Item = &'a str>) -> bool {
        self.search.is_empty() || texts.into_iter().any(|text| text.to_lowercase().contains(&self.search))
    }

    pub(crate) fn page<T>(&self, all: impl Iterator<Item = T>) -> impl Iterator<Item = T> {
        all.skip(self.offset).take(self.limit)
    }
}

/// What is known of a device.
#[derive(Default)]
struct Known<'a> {
    /// As the device spelled it, or else its enrollment.
    registration_id: &'a str,
    individual: Option<&'a IndividualEnrollment>,
    record: Option<&'a Record>,
    /// Why its last call was refused; `None` if that was accepted.
    reason: Option<RefusalReason>,
}

impl<'a> Known<'a> {
    /// Kind and id of the enrollment by which it registered or can register. A group shows only once the device has registered.
    fn enrollment(&self) -> Option<(&'static str, &'a str)> {
        match (self.record.map(|record| &record.source), self.individual) {
            (Some(Source::Group(id)), _) => Some(("group", id)),
            (_, Some(individual)) => Some(("individual", &individual.registration_id)),
            (Some(Source::Individual), None) | (None, None) => None,
        }
    }

    fn matches(&self, listed: &Listed) -> bool {
        let hub = self.record.and_then(Record::assigned_hub);
        let enrollment = self.enrollment().map(|(_, id)| id);
        listed.matches([self.registration_id].into_iter().chain(enrollment).chain(hub))
    }

    fn shown(&self) -> ShownDevice<'a> {
        let record = self.record;
        ShownDevice {
            registration_id: self.registration_id,
            enrollment: self.enrollment().map(|(kind, id)| ShownEnrollment { kind, id }),
            status: record.map(Record::status),
            assigned_hub: record.and_then(Record::assigned_hub),
            device_id: record.and_then(Record::device_id),
            substatus: record.and_then(Record::substatus),
            last_updated: record.map(|record| iso_8601(record.updated_ms)),
            last_reason: self.reason.map(|reason| reason.name()),
        }
    }
}

#[derive(Serialize)]
struct ShownEnrollment<'a> {
    kind: &'static str,
    id: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownDevice<'a> {
    registration_id: &'a str,
    enrollment: Option<ShownEnrollment<'a>>,
    /// `null` if it has not registered.
    status: Option<Status>,
    assigned_hub: Option<&'a str>,
    device_id: Option<&'a str>,
    substatus: Option<Substatus>,
    last_updated: Option<String>,
    last_reason: Option<&'static str>,
}

#[derive(Serialize)]
struct DeviceList<'a> {
    total: usize,
    devices: Vec<ShownDevice<'a>>,
}

/// One device with all that is known of it, without keys.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DeviceDetails<'a> {
    #[serde(flatten)]
    device: ShownDevice<'a>,
    record: Option<RegistrationState>,
    /// The enrollment, as the admin API shows it.
    definition: Option<Value>,
    hub_devices: Vec<ShownHubDevice<'a>>,
    counters: Counters,
}

impl Service {
    /// Ordered by registration id.
    pub(crate) fn list_devices(&self, query: &str) -> Result<AdminReply, Problem> {
        let listed = Listed::parse(query)?;
        let known = self.known_devices();
        let matching: Vec<&Known<'_>> = known.values().filter(|device| device.matches(&listed)).collect();
        let devices = listed.page(matching.iter()).map(|device| device.shown()).collect();
        Ok(AdminReply::ok(&DeviceList { total: matching.len(), devices }))
    }

    pub(crate) fn show_device(&self, registration_id: &str) -> Result<AdminReply, Problem> {
        let known = self.known_devices();
        let device = known.get(&FoldedId::new(registration_id));
        let device = device.ok_or_else(|| Problem::new(NOT_FOUND, format!("No device {registration_id} is known.")))?;
        let definition = match device.enrollment() {
            Some(("group", id)) => self.groups.get(id).map(|group| json!(group.clone().without_secrets())),
            _ => device.individual.map(|individual| json!(individual.clone().without_secrets())),
        };
        let device_id = device.record.and_then(|record| record.assignment.as_ref());
        let device_id = device_id.map_or(device.registration_id, |assignment| assignment.device_id.as_str());
        let hub_devices = self.hubs.devices().filter(|entry| entry.device_id == device_id);
        Ok(AdminReply::ok(&DeviceDetails {
            device: device.shown(),
            record: device.record.map(Record::admin_state),
            definition,
            hub_devices: hub_devices.map(|entry| self.shown_hub_device(&entry.hub, &entry.device_id)).collect(),
            counters: self.counters_of(registration_id),
        }))
    }

    /// The devices that have an enrollment of their own or a record, or that made one of the kept events.
    fn known_devices(&self) -> BTreeMap<FoldedId, Known<'_>> {
        let mut known: BTreeMap<FoldedId, Known<'_>> = BTreeMap::new();
        for event in self.events.after(0) {
            let (Some(id), EventKind::Exchange(exchange)) = (&event.registration_id, &event.kind) else { continue };
            let device = known.entry(FoldedId::new(id)).or_default();
            (device.registration_id, device.reason) = (id, exchange.reason);
        }
        for individual in self.individuals.iter() {
            let device = known.entry(FoldedId::new(&individual.registration_id)).or_default();
            (device.registration_id, device.individual) = (&individual.registration_id, Some(individual));
        }
        for record in self.records.iter() {
            let device = known.entry(FoldedId::new(&record.registration_id)).or_default();
            (device.registration_id, device.record) = (&record.registration_id, Some(record));
        }
        known
    }

    pub(crate) fn make_page_link(&self) -> Result<AdminReply, Problem> {
        let links = self.page_links.as_ref();
        let links =
            links.ok_or_else(|| Problem::new(NOT_FOUND, "This emulator has no page: start it without --no-ui."))?;
        let link = links().ok_or_else(|| Problem::new(500_000, "The operating system returned no random bytes."))?;
        Ok(AdminReply::ok(&json!({ "url": *link })))
    }
}
