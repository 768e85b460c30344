//! Linked hubs and their devices in the emulator's own API.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::admin::AdminReply;
use crate::control_devices::Listed;
use crate::hubs::{HubCounters, HubDevice};
use crate::service::Service;
use crate::wire::{NOT_FOUND, Problem, parse_object};

/// A hub, and how many devices it has.
#[derive(Serialize)]
pub(crate) struct HubSummary<'a> {
    name: &'a str,
    /// `null` if the hub is not linked any more.
    weight: Option<u32>,
    devices: usize,
}

#[derive(Serialize)]
struct HubList<'a> {
    hubs: Vec<HubSummary<'a>>,
}

#[derive(Serialize)]
struct HubDeviceList<'a> {
    total: usize,
    devices: Vec<ShownHubDevice<'a>>,
}

/// A device at a hub. Counters stay when the entry was deleted.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ShownHubDevice<'a> {
    hub: &'a str,
    device_id: &'a str,
    state: &'static str,
    #[serde(flatten)]
    counters: HubCounters,
    #[serde(flatten)]
    entry: Option<ShownEntry<'a>>,
}

/// What only a device that exists has.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownEntry<'a> {
    iot_edge: bool,
    twin: ShownTwin<'a>,
}

#[derive(Serialize)]
struct ShownTwin<'a> {
    tags: &'a Map<String, Value>,
    desired: &'a Map<String, Value>,
}

/// A change of a device's entry.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Change {
    /// Whether the hub accepts the device.
    enabled: Option<bool>,
    /// The hub that the device is moved to.
    hub: Option<String>,
}

impl Service {
    /// The linked hubs by name, and after them those that still have devices.
    pub(crate) fn hub_summaries(&self) -> Vec<HubSummary<'_>> {
        let count = |name: &str| self.hubs.devices_of(name).count();
        let linked = self.hubs.weighted();
        let mut hubs: Vec<HubSummary<'_>> =
            linked.map(|(name, weight)| HubSummary { name, weight: Some(weight), devices: count(name) }).collect();
        for device in self.hubs.devices() {
            if !hubs.iter().any(|hub| hub.name.eq_ignore_ascii_case(&device.hub)) {
                hubs.push(HubSummary { name: &device.hub, weight: None, devices: count(&device.hub) });
            }
        }
        hubs
    }

    pub(crate) fn list_hubs(&self) -> AdminReply {
        AdminReply::ok(&HubList { hubs: self.hub_summaries() })
    }

    pub(crate) fn list_hub_devices(&self, hub: &str, query: &str) -> Result<AdminReply, Problem> {
        if self.hubs.linked_named(hub).is_none() && self.hubs.devices_of(hub).next().is_none() {
            return Err(Problem::new(NOT_FOUND, format!("No hub {hub} is linked.")));
        }
        let listed = Listed::parse(query)?;
        let matches = |device: &&HubDevice| listed.matches([device.device_id.as_str()]);
        let matching: Vec<&HubDevice> = self.hubs.devices_of(hub).filter(matches).collect();
        let page = listed.page(matching.iter());
        let devices = page.map(|device| self.shown_hub_device(&device.hub, &device.device_id)).collect();
        Ok(AdminReply::ok(&HubDeviceList { total: matching.len(), devices }))
    }

    pub(crate) fn shown_hub_device<'a>(&'a self, hub: &'a str, device_id: &'a str) -> ShownHubDevice<'a> {
        let device = self.hub_device(hub, device_id);
        let state = match device {
            Some(device) if device.enabled => "enabled",
            Some(_) => "disabled",
            None => "absent",
        };
        ShownHubDevice {
            hub,
            device_id,
            state,
            counters: self.hub_counters(hub, device_id),
            entry: device.map(|HubDevice { iot_edge, twin, .. }| ShownEntry {
                iot_edge: *iot_edge,
                twin: ShownTwin { tags: &twin.tags, desired: &twin.desired },
            }),
        }
    }

    pub(crate) fn show_hub_device(&self, hub: &str, device_id: &str) -> AdminReply {
        AdminReply::ok(&self.shown_hub_device(hub, device_id))
    }

    /// Applies the whole change, or nothing. Replies with the device at the hub that now has it.
    pub(crate) fn change_hub_device(&mut self, hub: &str, device_id: &str, body: &[u8]) -> Result<AdminReply, Problem> {
        let change: Change = parse_object(body)?;
        if change.enabled.is_none() && change.hub.is_none() {
            return Err(Problem::bad_request("Set 'enabled', true or false, or 'hub', the hub to move the device to."));
        }
        let to = change.hub.as_deref().unwrap_or(hub);
        if change.hub.is_some() && self.hubs.linked_named(to).is_none() {
            return Err(Problem::bad_request("'hub' must be a hub that is linked to this service."));
        }
        let device = self.hub_device_mut(hub, device_id).ok_or_else(|| absent(hub, device_id))?;
        device.enabled = change.enabled.unwrap_or(device.enabled);
        if change.hub.is_some() {
            self.move_hub_device(hub, device_id, to);
        }
        Ok(self.show_hub_device(to, device_id))
    }

    pub(crate) fn remove_hub_device(&mut self, hub: &str, device_id: &str) -> Result<AdminReply, Problem> {
        match self.delete_hub_device(hub, device_id) {
            true => Ok(self.show_hub_device(hub, device_id)),
            false => Err(absent(hub, device_id)),
        }
    }
}

fn absent(hub: &str, device_id: &str) -> Problem {
    Problem::new(NOT_FOUND, format!("The hub {hub} has no device {device_id}."))
}
