//! The service as a value: its state, what code may set and ask, and nothing that speaks a protocol.
//!
//! Rules live in the modules beside it (`device`, `admin`, `assign`); this one only holds them together.

use serde::{Deserialize, Serialize};

use crate::activity::{Counters, Exchanges, Refusal, Refusals, Tally};
use crate::credentials::SymmetricKey;
use crate::enrollment::{EnrollmentGroup, IndividualEnrollment};
use crate::enrollment_table::{Entry, Precondition, Table};
use crate::fault::{At, Fault, RetryAfter, Scope};
use crate::fault_plan::{FaultPlan, Faults, PlannedFault};
use crate::hubs::{HubCounters, HubDevice, Hubs};
use crate::ids::{FoldedId, Random};
use crate::options::{OptionsError, POLICY_NAME, ServiceOptions, check_host, check_id_scope};
use crate::registrations::{Operations, Record, Records, Source};
use crate::throttle::Throttle;
use crate::time::Now;
use crate::wire::Problem;

/// The hub that is linked when the options name none.
pub const DEFAULT_HUB: &str = "hub-a.test";

/// A provisioning service: requests in, replies out, all time from the caller.
pub struct Service {
    pub(crate) options: ServiceOptions,
    pub(crate) policy_key: SymmetricKey,
    pub(crate) random: Random,
    pub(crate) individuals: Table<IndividualEnrollment>,
    pub(crate) groups: Table<EnrollmentGroup>,
    pub(crate) records: Records,
    pub(crate) operations: Operations,
    pub(crate) hubs: Hubs,
    pub(crate) throttle: Throttle,
    pub(crate) faults: Faults,
    pub(crate) tally: Tally,
    pub(crate) refusals: Refusals,
    pub(crate) exchanges: Exchanges,
    pub(crate) revision: u64,
}

/// Enrollments as they are kept over a restart. Holds keys: store it where only its owner can read.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    enrollments: Vec<IndividualEnrollment>,
    enrollment_groups: Vec<EnrollmentGroup>,
}

impl Service {
    /// Makes a service without enrollments.
    ///
    /// # Errors
    /// [`OptionsError`] names the option that cannot work.
    pub fn new(options: ServiceOptions) -> Result<Self, OptionsError> {
        check_id_scope(&options.id_scope)?;
        options.host_names.iter().try_for_each(|host| check_host(host))?;
        let mut hubs = Hubs::default();
        match &options.hubs {
            Some(named) => named.iter().try_for_each(|(host, weight)| hubs.link(host, *weight))?,
            None => hubs.link(DEFAULT_HUB, 1)?,
        }
        let mut random = Random::new(options.seed.as_deref().copied().unwrap_or_default());
        Ok(Self {
            policy_key: options.policy_key.clone().unwrap_or_else(|| random.key()),
            throttle: Throttle::new(options.limits),
            options,
            random,
            hubs,
            individuals: Table::default(),
            groups: Table::default(),
            records: Records::default(),
            operations: Operations::default(),
            faults: Faults::default(),
            tally: Tally::default(),
            refusals: Refusals::default(),
            exchanges: Exchanges::default(),
            revision: 0,
        })
    }

    /// The id scope.
    #[must_use]
    pub fn id_scope(&self) -> &str {
        &self.options.id_scope
    }

    /// The host (and port) that it goes by.
    #[must_use]
    pub fn host_name(&self) -> &str {
        &self.options.host_names[0]
    }

    /// What an owner connects with: `HostName=…;SharedAccessKeyName=…;SharedAccessKey=…`.
    #[must_use]
    pub fn connection_string(&self) -> ConnectionString {
        let key = self.policy_key.expose();
        let text = format!("HostName={};SharedAccessKeyName={POLICY_NAME};SharedAccessKey={key}", self.host_name());
        ConnectionString(text.into())
    }

    /// Creates or replaces an individual enrollment. What comes back holds its keys, generated if none were given.
    ///
    /// # Errors
    /// [`Problem`] as the admin API answers it.
    pub fn put_enrollment(
        &mut self,
        now: Now,
        enrollment: IndividualEnrollment,
    ) -> Result<IndividualEnrollment, Problem> {
        self.put(now, enrollment, &Precondition::None)
    }

    /// Creates or replaces an enrollment group. What comes back holds its keys, generated if none were given.
    ///
    /// # Errors
    /// [`Problem`] as the admin API answers it.
    pub fn put_group(&mut self, now: Now, group: EnrollmentGroup) -> Result<EnrollmentGroup, Problem> {
        self.put(now, group, &Precondition::None)
    }

    /// An individual enrollment, keys included.
    #[must_use]
    pub fn enrollment(&self, registration_id: &str) -> Option<&IndividualEnrollment> {
        self.individuals.get(registration_id)
    }

    /// A group, keys included.
    #[must_use]
    pub fn group(&self, enrollment_group_id: &str) -> Option<&EnrollmentGroup> {
        self.groups.get(enrollment_group_id)
    }

    /// Whether an enrollment can be for this device: its own, or any group's, whose devices nobody knows before.
    #[must_use]
    pub fn can_let_in(&self, registration_id: &str) -> bool {
        self.enrollment(registration_id).is_some() || self.groups.iter().next().is_some()
    }

    /// Deletes an individual enrollment and its record. The device entry stays in its hub.
    pub fn delete_enrollment(&mut self, registration_id: &str) -> bool {
        self.delete::<IndividualEnrollment>(registration_id, &Precondition::None).is_ok()
    }

    /// Deletes a group and the records of its devices. The device entries stay in their hubs.
    pub fn delete_group(&mut self, enrollment_group_id: &str) -> bool {
        self.delete::<EnrollmentGroup>(enrollment_group_id, &Precondition::None).is_ok()
    }

    /// What is known of a device's registration.
    #[must_use]
    pub fn record(&self, registration_id: &str) -> Option<&Record> {
        self.records.get(&FoldedId::of(registration_id))
    }

    /// Forgets a device's registration. The device entry stays in its hub.
    pub fn delete_record(&mut self, registration_id: &str) -> bool {
        let id = FoldedId::of(registration_id);
        self.operations.cancel_all_of(&id);
        self.records.remove(&id).is_some()
    }

    /// Links a hub with a weight of 1 to 1000, or changes the weight of one that is linked.
    ///
    /// # Errors
    /// [`OptionsError`] for a host name or weight that cannot be, or a fifty-first hub.
    pub fn link_hub(&mut self, host: &str, weight: u32) -> Result<(), OptionsError> {
        self.hubs.link(host, weight)
    }

    /// Unlinks a hub; false if it was not linked. Its device entries stay.
    pub fn unlink_hub(&mut self, host: &str) -> bool {
        self.hubs.unlink(host)
    }

    /// The linked hubs.
    pub fn linked_hubs(&self) -> impl Iterator<Item = &str> {
        self.hubs.linked()
    }

    /// A device's entry in a hub.
    #[must_use]
    pub fn hub_device(&self, hub: &str, device_id: &str) -> Option<&HubDevice> {
        self.hubs.device(hub, device_id)
    }

    /// A device's entry, to change its twin as a cloud application would, or to disable it.
    pub fn hub_device_mut(&mut self, hub: &str, device_id: &str) -> Option<&mut HubDevice> {
        self.hubs.device_mut(hub, device_id)
    }

    /// Deletes a device's entry from a hub, as its owner would; false if there was none. The registration stays.
    pub fn delete_hub_device(&mut self, hub: &str, device_id: &str) -> bool {
        self.hubs.remove_device(hub, device_id).is_some()
    }

    /// Moves a device's entry with its twin and keys into another hub, in the place of one that is there; false if
    /// there is none, or the other hub is not linked. The registration stays: until the enrollment leads to the other
    /// hub too, the device is turned away by the one that it was assigned.
    pub fn move_hub_device(&mut self, from: &str, device_id: &str, to: &str) -> bool {
        let Some(hub) = self.hubs.linked_named(to).map(str::to_owned) else { return false };
        let Some(device) = self.hubs.remove_device(from, device_id) else { return false };
        self.hubs.put_device(HubDevice { hub, ..device });
        true
    }

    /// What a device did at a hub.
    #[must_use]
    pub fn hub_counters(&self, hub: &str, device_id: &str) -> HubCounters {
        self.hubs.counters(hub, device_id)
    }

    /// All device entries of all hubs.
    pub fn hub_devices(&self) -> impl Iterator<Item = &HubDevice> {
        self.hubs.devices()
    }

    /// Plans a fault for the next `times` requests that match; requests meet the one planned first, one each.
    pub fn inject(&mut self, scope: Scope<'_>, at: At, fault: Fault, times: u32) {
        self.faults.plan(scope, at, fault, times);
    }

    /// Plans a fault as it is written in JSON.
    pub fn inject_plan(&mut self, plan: &FaultPlan) {
        self.faults.add(plan.clone());
    }

    /// The fault that a request meets, counted off.
    pub(crate) fn take_fault(&mut self, at: At, registration: &FoldedId) -> Option<Fault> {
        let fault = self.faults.take(at, registration)?;
        self.tally.met_fault(registration);
        Some(fault)
    }

    /// Takes back all planned faults; gives how many plans there were.
    pub fn clear_faults(&mut self) -> usize {
        self.faults.clear(|_| true)
    }

    /// Takes back the faults planned for one registration; gives how many plans there were. Those for every device
    /// stay.
    pub fn clear_faults_of(&mut self, registration_id: &str) -> usize {
        self.faults.clear(|plan| plan.is_for(&FoldedId::of(registration_id)))
    }

    /// The planned faults of which some are left, in the order in which requests meet them.
    pub fn planned_faults(&self) -> impl Iterator<Item = &PlannedFault> {
        self.faults.iter()
    }

    /// How many planned faults were not met yet.
    #[must_use]
    pub fn pending_faults(&self) -> u64 {
        self.faults.iter().map(|planned| u64::from(planned.left)).sum()
    }

    /// The hint that a register or lookup would be refused with now, by its rate; `None` when it would be let in.
    /// Asking does not count. For simulations of more devices than are worth a whole request each.
    #[must_use]
    pub fn registration_wait(&self, now: Now) -> Option<RetryAfter> {
        self.throttle.registration_wait(now)
    }

    /// How often the service was called.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.tally.overall()
    }

    /// How often one registration id called, in any letter case, whether or not it could prove who it is. The first
    /// 100 000 ids are counted so.
    #[must_use]
    pub fn counters_of(&self, registration_id: &str) -> Counters {
        self.tally.of(&FoldedId::of(registration_id))
    }

    /// Counts from zero again.
    pub fn reset_counters(&mut self) {
        self.tally = Tally::default();
    }

    /// The latest hundred refused credentials, oldest first, with the reason that the reply kept to itself.
    pub fn refusals(&self) -> impl Iterator<Item = &Refusal> {
        self.refusals.iter()
    }

    /// Changes with every change of an enrollment: what a snapshot would hold differs only if this does.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The enrollments, to be kept over a restart.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            enrollments: self.individuals.iter().cloned().collect(),
            enrollment_groups: self.groups.iter().cloned().collect(),
        }
    }

    /// Takes back enrollments that were kept.
    ///
    /// # Errors
    /// [`Problem`] names the first enrollment that cannot be used.
    pub fn restore(&mut self, snapshot: Snapshot) -> Result<(), Problem> {
        snapshot.enrollments.into_iter().try_for_each(|entry| self.individuals.restore(entry))?;
        snapshot.enrollment_groups.into_iter().try_for_each(|entry| self.groups.restore(entry))
    }

    pub(crate) fn put<E: Kept>(&mut self, now: Now, entry: E, condition: &Precondition) -> Result<E, Problem> {
        let (table, random) = E::table_mut(self);
        let kept = table.put(now, entry, condition, random)?.clone();
        self.revision += 1;
        Ok(kept)
    }

    pub(crate) fn delete<E: Kept>(&mut self, id: &str, condition: &Precondition) -> Result<(), Problem> {
        let deleted = E::table_mut(self).0.delete(id, condition)?;
        self.revision += 1;
        for record in deleted.records(&self.records) {
            self.operations.cancel_all_of(&record);
            self.records.remove(&record);
        }
        Ok(())
    }
}

/// An entry's place in the service.
pub(crate) trait Kept: Entry {
    fn table(service: &Service) -> &Table<Self>;
    fn table_mut(service: &mut Service) -> (&mut Table<Self>, &mut Random);
    /// The records that go with it when it is deleted.
    fn records(&self, records: &Records) -> Vec<FoldedId>;
}

impl Kept for IndividualEnrollment {
    fn table(service: &Service) -> &Table<Self> {
        &service.individuals
    }

    fn table_mut(service: &mut Service) -> (&mut Table<Self>, &mut Random) {
        (&mut service.individuals, &mut service.random)
    }

    fn records(&self, records: &Records) -> Vec<FoldedId> {
        let id = FoldedId::of(&self.registration_id);
        let own = records.get(&id).is_some_and(|record| record.source == Source::Individual);
        if own { vec![id] } else { Vec::new() }
    }
}

impl Kept for EnrollmentGroup {
    fn table(service: &Service) -> &Table<Self> {
        &service.groups
    }

    fn table_mut(service: &mut Service) -> (&mut Table<Self>, &mut Random) {
        (&mut service.groups, &mut service.random)
    }

    fn records(&self, records: &Records) -> Vec<FoldedId> {
        records.ids_of_group(&self.enrollment_group_id)
    }
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service").field("id_scope", &self.options.id_scope).finish_non_exhaustive()
    }
}

/// A connection string: wiped when dropped, shown only by [`expose`](Self::expose).
#[derive(Clone)]
pub struct ConnectionString(zeroize::Zeroizing<String>);

impl ConnectionString {
    /// The text, which holds the policy key.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for ConnectionString {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ConnectionString(..)")
    }
}
