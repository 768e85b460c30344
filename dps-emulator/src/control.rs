//! The emulator's own API, beside the service's and under its policy key: planned faults, counters, refused
//! credentials, and devices in hubs; its CA certificates are in `control_certificates`. The real service has no such
//! API; its calls are neither counted nor throttled.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::activity::{Counters, Refusal};
use crate::admin::AdminReply;
use crate::encoding::percent_decode;
use crate::fault_plan::FaultPlan;
use crate::fault_queue::PlannedFault;
use crate::http::{ControlCall, HttpRequest};
use crate::hubs::HubCounters;
use crate::ids;
use crate::service::Service;
use crate::time::Now;
use crate::wire::{NOT_FOUND, Problem, parse_object};

/// How many faults can be planned at a time over the API: each request searches them.
const PLANNED_MAX: usize = 1000;
const REGISTRATION_ID: &str = "registrationId";

#[derive(Serialize)]
struct FaultList<'a> {
    faults: Vec<&'a PlannedFault>,
}

#[derive(Serialize)]
struct RefusalList<'a> {
    refusals: Vec<&'a Refusal>,
}

#[derive(Serialize)]
struct Cleared {
    cleared: usize,
}

/// The counters of one registration, or of all together.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Counted {
    #[serde(skip_serializing_if = "Option::is_none")]
    registration_id: Option<String>,
    #[serde(flatten)]
    counters: Counters,
    /// By reason; only for all together.
    #[serde(skip_serializing_if = "Option::is_none")]
    refusals: Option<BTreeMap<&'static str, u64>>,
}

impl Service {
    pub(crate) fn control(
        &mut self,
        now: Now,
        path: &str,
        query: &str,
        call: &ControlCall,
        request: &HttpRequest<'_>,
    ) -> Result<AdminReply, Problem> {
        self.authorize_owner(now, request.header("Authorization"), path)?;
        match call {
            ControlCall::PlanFaults => self.plan_faults(request.body),
            ControlCall::ListFaults => Ok(AdminReply::ok(&FaultList { faults: self.planned_faults().collect() })),
            ControlCall::ClearFaults => {
                let cleared = match registration_of(query)? {
                    Some(id) => self.clear_faults_of(&id),
                    None => self.clear_faults(),
                };
                Ok(AdminReply::ok(&Cleared { cleared }))
            }
            ControlCall::Counters => {
                let registration_id = registration_of(query)?;
                let counters = registration_id.as_ref().map_or_else(|| self.counters(), |id| self.counters_of(id));
                let refusals = registration_id.is_none().then(|| self.refusal_counts().collect());
                Ok(AdminReply::ok(&Counted { registration_id, counters, refusals }))
            }
            ControlCall::Refusals => Ok(AdminReply::ok(&RefusalList { refusals: self.refusals().collect() })),
            ControlCall::Events => self.list_events(query),
            ControlCall::ListCertificates => Ok(self.list_ca_certificates()),
            ControlCall::ShowCertificate { name } => self.show_ca_certificate(name),
            ControlCall::PutCertificate { name } => self.upload_ca_certificate(now, name, request.body),
            ControlCall::DeleteCertificate { name } => self.remove_ca_certificate(name),
            ControlCall::ShowHubDevice { hub, device_id } => Ok(self.show_hub_device(hub, device_id)),
            ControlCall::ChangeHubDevice { hub, device_id } => self.change_hub_device(hub, device_id, request.body),
            ControlCall::DeleteHubDevice { hub, device_id } => self.remove_hub_device(hub, device_id),
        }
    }

    /// Plans all of the faults, or none. Replies with what was planned.
    fn plan_faults(&mut self, body: &[u8]) -> Result<AdminReply, Problem> {
        let plans = parse_plans(body)?;
        let before = self.planned_faults().count();
        if before + plans.len() > PLANNED_MAX {
            return Err(Problem::bad_request(format!(
                "{before} faults are planned, and at most {PLANNED_MAX} can be: use 'times', or delete some."
            )));
        }
        plans.iter().for_each(|plan| self.inject_plan(plan));
        Ok(AdminReply::ok(&FaultList { faults: self.planned_faults().skip(before).collect() }))
    }
}

/// One fault, or an array of them.
fn parse_plans(body: &[u8]) -> Result<Vec<FaultPlan>, Problem> {
    let body = serde_json::from_slice(body).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        Problem::bad_request(format!("The body is not valid JSON at line {line}, column {column}."))
    })?;
    match body {
        Value::Object(object) => Ok(vec![parse_plan(object, "The fault")?]),
        Value::Array(items) => items.into_iter().enumerate().map(|(at, item)| parse_item(at + 1, item)).collect(),
        _ => Err(Problem::bad_request("The body must be a fault plan, which is a JSON object, or an array of them.")),
    }
}

fn parse_item(number: usize, item: Value) -> Result<FaultPlan, Problem> {
    match item {
        Value::Object(object) => parse_plan(object, &format!("Fault {number}")),
        _ => Err(Problem::bad_request(format!("Fault {number} must be a JSON object."))),
    }
}

fn parse_plan(object: Map<String, Value>, name: &str) -> Result<FaultPlan, Problem> {
    let refused = |error| Problem::bad_request(format!("{name} is invalid: {error}."));
    FaultPlan::try_from(object).map_err(refused)
}

/// The registration that the query names. An unknown parameter or an invalid value is an error, so that it does not
/// select all registrations.
fn registration_of(query: &str) -> Result<Option<String>, Problem> {
    let mut named = None;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if name.eq_ignore_ascii_case("api-version") {
            continue;
        }
        if !name.eq_ignore_ascii_case(REGISTRATION_ID) {
            return Err(Problem::bad_request(format!("The query can have '{REGISTRATION_ID}' only.")));
        }
        let id = percent_decode(value).unwrap_or_default();
        let wrong = |error| Problem::bad_request(format!("'{REGISTRATION_ID}' in the query is invalid: {error}."));
        ids::check(&id).map_err(wrong)?;
        named = Some(id);
    }
    Ok(named)
}

/// A device at a hub. Counters stay when the entry was deleted.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown<'a> {
    hub: &'a str,
    device_id: &'a str,
    state: &'static str,
    #[serde(flatten)]
    counters: HubCounters,
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
    fn show_hub_device(&self, hub: &str, device_id: &str) -> AdminReply {
        let state = match self.hub_device(hub, device_id) {
            Some(device) if device.enabled => "enabled",
            Some(_) => "disabled",
            None => "absent",
        };
        AdminReply::ok(&Shown { hub, device_id, state, counters: self.hub_counters(hub, device_id) })
    }

    /// Applies the whole change, or nothing. Replies with the device at the hub that now has it.
    fn change_hub_device(&mut self, hub: &str, device_id: &str, body: &[u8]) -> Result<AdminReply, Problem> {
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

    fn remove_hub_device(&mut self, hub: &str, device_id: &str) -> Result<AdminReply, Problem> {
        match self.delete_hub_device(hub, device_id) {
            true => Ok(self.show_hub_device(hub, device_id)),
            false => Err(absent(hub, device_id)),
        }
    }
}

fn absent(hub: &str, device_id: &str) -> Problem {
    Problem::new(NOT_FOUND, format!("The hub {hub} has no device {device_id}."))
}
