//! The queue of the planned faults that are still to be met, and the calls of the service that plan, meet and clear them.

use serde::Serialize;

use crate::events::Transport;
use crate::fault::{At, Fault, Scope};
use crate::fault_plan::FaultPlan;
use crate::ids::FoldedId;
use crate::service::Service;
use crate::time::Now;

/// A planned fault, and how many more requests will meet it. In JSON the plan's members and `left`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PlannedFault {
    /// The plan.
    #[serde(flatten)]
    pub plan: FaultPlan,
    /// How many more requests meet it, at least 1.
    pub left: u32,
}

#[derive(Default)]
pub(crate) struct Faults {
    planned: Vec<PlannedFault>,
}

impl Faults {
    /// Plans a fault without checking that any request can meet it.
    pub(crate) fn plan(&mut self, scope: Scope<'_>, at: At, fault: Fault, times: u32) {
        let registration_id = match scope {
            Scope::All => None,
            Scope::Registration(id) => Some(id.to_owned()),
        };
        if times > 0 {
            self.add(FaultPlan { registration_id, at, fault, times });
        }
    }

    pub(crate) fn add(&mut self, plan: FaultPlan) {
        self.planned.push(PlannedFault { left: plan.times, plan });
    }

    /// Returns the fault that a request meets, and counts it.
    pub(crate) fn take(&mut self, at: At, registration: &FoldedId) -> Option<Fault> {
        let is_call = matches!(at, At::Register | At::Poll | At::Lookup);
        self.take_if(registration, |plan| {
            (plan.at == at || (plan.at == At::Any && is_call)) && plan.fault != Fault::ForeignCertificate
        })
    }

    /// Returns whether a certificate that is issued meets the fault of a foreign key, and counts it.
    pub(crate) fn take_of_issuing(&mut self, registration: &FoldedId) -> bool {
        self.take_if(registration, |plan| plan.fault == Fault::ForeignCertificate).is_some()
    }

    /// The same for a TLS handshake, which meets a fault of one kind at each of its steps.
    #[cfg(feature = "server")]
    pub(crate) fn take_of_handshake(&mut self, fault: &Fault, registration: &FoldedId) -> bool {
        self.take_if(registration, |plan| plan.at == At::Handshake && plan.fault == *fault).is_some()
    }

    fn take_if(&mut self, registration: &FoldedId, meets: impl Fn(&FaultPlan) -> bool) -> Option<Fault> {
        let met = self.planned.iter().position(|PlannedFault { plan, .. }| {
            meets(plan) && (plan.registration_id.is_none() || plan.is_for(registration))
        })?;
        let planned = &mut self.planned[met];
        planned.left -= 1;
        let fault = planned.plan.fault.clone();
        if planned.left == 0 {
            self.planned.remove(met);
        }
        Some(fault)
    }

    /// Removes the plans for which `matches` is true; returns how many.
    pub(crate) fn clear(&mut self, matches: impl Fn(&FaultPlan) -> bool) -> usize {
        let before = self.planned.len();
        self.planned.retain(|planned| !matches(&planned.plan));
        before - self.planned.len()
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = &PlannedFault> {
        self.planned.iter()
    }
}

impl Service {
    /// Plans a fault for the next `times` matching requests. Each request meets one fault, the one planned first.
    pub fn inject(&mut self, scope: Scope<'_>, at: At, fault: Fault, times: u32) {
        self.faults.plan(scope, at, fault, times);
    }

    /// Plans a fault from its JSON form.
    pub fn inject_plan(&mut self, plan: &FaultPlan) {
        self.faults.add(plan.clone());
    }

    /// Removes the fault that a request meets from the plan and returns it.
    pub(crate) fn take_fault(
        &mut self,
        now: Now,
        transport: Transport,
        at: At,
        registration: &FoldedId,
    ) -> Option<Fault> {
        let fault = self.faults.take(at, registration)?;
        self.met_fault(now, transport, at, registration, &fault);
        Some(fault)
    }

    fn met_fault(&mut self, now: Now, transport: Transport, at: At, registration: &FoldedId, fault: &Fault) {
        self.tally.met_fault(registration);
        self.record_fault(now, transport, at, registration, fault);
    }

    /// Returns whether a TLS handshake meets this fault, and removes it from the plan. The name is empty before the client has
    /// presented a certificate.
    #[cfg(feature = "server")]
    pub(crate) fn handshake_meets(&mut self, now: Now, fault: &Fault, common_name: &str) -> bool {
        let registration = FoldedId::new(common_name);
        let meets = self.faults.take_of_handshake(fault, &registration);
        if meets {
            self.met_fault(now, Transport::Https, At::Handshake, &registration, fault);
        }
        meets
    }

    /// Returns whether a certificate is to be issued for another key than that of its request, and removes that from the plan.
    pub(crate) fn issuing_meets_fault(&mut self, now: Now, transport: Transport, registration: &FoldedId) -> bool {
        let meets = self.faults.take_of_issuing(registration);
        if meets {
            self.met_fault(now, transport, At::Issue, registration, &Fault::ForeignCertificate);
        }
        meets
    }

    /// Removes all planned faults; returns how many plans there were.
    pub fn clear_faults(&mut self) -> usize {
        self.faults.clear(|_| true)
    }

    /// Removes the faults planned for one registration; returns how many plans there were. Faults planned for every
    /// device stay.
    pub fn clear_faults_of(&mut self, registration_id: &str) -> usize {
        self.faults.clear(|plan| plan.is_for(&FoldedId::new(registration_id)))
    }

    /// The planned faults that were not yet met as often as planned, in the order in which requests meet them.
    pub fn planned_faults(&self) -> impl Iterator<Item = &PlannedFault> {
        self.faults.iter()
    }

    /// How many more requests will meet a planned fault.
    #[must_use]
    pub fn pending_faults(&self) -> u64 {
        self.faults.iter().map(|planned| u64::from(planned.left)).sum()
    }
}
