//! The emulator's own API, beside the service's and under its policy key: planned faults, counters, refused
//! credentials. Other calls are in the modules `control_*`. The real service has no such API; its calls are neither counted nor
//! throttled.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::activity::{Counters, Refusal};
use crate::admin::AdminReply;
use crate::auth::Owner;
use crate::encoding::percent_decode;
use crate::fault_plan::FaultPlan;
use crate::fault_queue::PlannedFault;
use crate::http::{ControlCall, HttpRequest};
use crate::ids;
use crate::service::Service;
use crate::time::Now;
use crate::wire::Problem;

/// How many faults can be planned at a time over the API: each request searches them.
pub(crate) const PLANNED_MAX: usize = 1000;
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
        owner: Owner,
    ) -> Result<AdminReply, Problem> {
        // By the machine's date, so that the owner can control a service whose date was moved.
        self.authorize_owner(self.clock.with_machine_date(now), owner, request.header("Authorization"), path)?;
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
            ControlCall::ExportConfiguration => self.export_configuration(query, owner),
            ControlCall::ShowClock => Ok(self.show_clock(now)),
            ControlCall::ChangeClock => self.change_clock(now, request.body),
            ControlCall::ListDevices => self.list_devices(query),
            ControlCall::ShowDevice { registration_id } => self.show_device(registration_id),
            ControlCall::MakePageLink => self.make_page_link(),
            ControlCall::ListHubs => Ok(self.list_hubs()),
            ControlCall::ListHubDevices { hub } => self.list_hub_devices(hub, query),
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
