//! The faults that are planned and were not met yet, oldest first; each request meets at most one.

use super::{At, Fault, FaultPlan, Scope};
use crate::ids::FoldedId;

struct Planned {
    plan: FaultPlan,
    left: u32,
}

#[derive(Default)]
pub(crate) struct Faults {
    planned: Vec<Planned>,
}

impl Faults {
    /// Plans a fault that code asks for, whether or not any request can meet it.
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
        self.planned.push(Planned { left: plan.times, plan });
    }

    /// The fault that a request meets, counted off.
    pub(crate) fn take(&mut self, at: At, registration: &FoldedId) -> Option<Fault> {
        let met = self.planned.iter().position(|Planned { plan, .. }| {
            let any = plan.at == At::Any && !matches!(at, At::Connect | At::Subscribe);
            (any || plan.at == at) && plan.registration_id.as_ref().is_none_or(|id| FoldedId::of(id) == *registration)
        })?;
        let planned = &mut self.planned[met];
        planned.left -= 1;
        let fault = planned.plan.fault.clone();
        if planned.left == 0 {
            self.planned.remove(met);
        }
        Some(fault)
    }

    pub(crate) fn clear(&mut self) {
        self.planned.clear();
    }

    pub(crate) fn pending(&self) -> u64 {
        self.planned.iter().map(|planned| u64::from(planned.left)).sum()
    }
}
