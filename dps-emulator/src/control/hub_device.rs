//! A device's entry in a hub, looked at and changed as its owner would: let in or not, deleted, moved to another hub.
//!
//! The registration is left alone: what the provisioning service says next is the enrollment's business.

use serde::{Deserialize, Serialize};

use crate::admin::AdminReply;
use crate::hubs::HubCounters;
use crate::problem::{NOT_FOUND, Problem};
use crate::service::Service;
use crate::wire::parse_object;

/// What a hub knows of a device. Counters stay when the entry has gone.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown<'a> {
    hub: &'a str,
    device_id: &'a str,
    state: &'static str,
    #[serde(flatten)]
    counters: HubCounters,
}

/// What is to change.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Change {
    /// Whether the hub lets the device in.
    enabled: Option<bool>,
    /// The hub that the device is to be in.
    hub: Option<String>,
}

impl Service {
    pub(super) fn show_hub_device(&self, hub: &str, device_id: &str) -> AdminReply {
        let state = match self.hub_device(hub, device_id) {
            Some(device) if device.enabled => "enabled",
            Some(_) => "disabled",
            None => "absent",
        };
        AdminReply::ok(&Shown { hub, device_id, state, counters: self.hub_counters(hub, device_id) })
    }

    /// All of it, or nothing. Answers with what the hub that has the device then knows of it.
    pub(super) fn change_hub_device(&mut self, hub: &str, device_id: &str, body: &[u8]) -> Result<AdminReply, Problem> {
        let change: Change = parse_object(body)?;
        if change.enabled.is_none() && change.hub.is_none() {
            return Err(Problem::bad_request(
                "Give 'enabled', true or false, or 'hub', the hub to move the device to.",
            ));
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

    pub(super) fn remove_hub_device(&mut self, hub: &str, device_id: &str) -> Result<AdminReply, Problem> {
        match self.delete_hub_device(hub, device_id) {
            true => Ok(self.show_hub_device(hub, device_id)),
            false => Err(absent(hub, device_id)),
        }
    }
}

fn absent(hub: &str, device_id: &str) -> Problem {
    Problem::new(NOT_FOUND, format!("The hub {hub} has no device {device_id}."))
}
