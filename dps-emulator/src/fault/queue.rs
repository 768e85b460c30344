//! The faults that are planned and were not met yet, oldest first; each request meets at most one.

use serde::Serialize;

use super::{At, Fault, FaultPlan, Scope};
use crate::ids::FoldedId;

/// A planned fault, and how often it will yet be met. In JSON the plan's members and `left`.
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
        self.planned.push(PlannedFault { left: plan.times, plan });
    }

    /// The fault that a request meets, counted off.
    pub(crate) fn take(&mut self, at: At, registration: &FoldedId) -> Option<Fault> {
        let met = self.planned.iter().position(|PlannedFault { plan, .. }| {
            let any = plan.at == At::Any && !matches!(at, At::Connect | At::Subscribe);
            (any || plan.at == at) && (plan.registration_id.is_none() || plan.is_for(registration))
        })?;
        let planned = &mut self.planned[met];
        planned.left -= 1;
        let fault = planned.plan.fault.clone();
        if planned.left == 0 {
            self.planned.remove(met);
        }
        Some(fault)
    }

    /// Takes back the plans that are meant; gives how many.
    pub(crate) fn clear(&mut self, meant: impl Fn(&FaultPlan) -> bool) -> usize {
        let before = self.planned.len();
        self.planned.retain(|planned| !meant(&planned.plan));
        before - self.planned.len()
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = &PlannedFault> {
        self.planned.iter()
    }
}

impl FaultPlan {
    /// Whether it is for this registration alone.
    pub(crate) fn is_for(&self, registration: &FoldedId) -> bool {
        self.registration_id.as_ref().is_some_and(|id| FoldedId::of(id) == *registration)
    }
}
