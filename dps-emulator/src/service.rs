//! The service as a value: its state, and what code can set and query. Nothing here speaks a protocol.
//!
//! The rules are in other modules (`device`, `admin`, `assign`); this one only holds the state that they share.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::activity::{Counters, Refusal, Refusals, Tally};
use crate::clock::ServiceClock;
use crate::control_devices::PageLinks;
use crate::credentials::SymmetricKey;
use crate::enrollment::{EnrollmentGroup, IndividualEnrollment};
use crate::enrollment_table::{Entry, Precondition, Table};
use crate::events::Recorder;
use crate::fault::RetryAfter;
use crate::fault_queue::Faults;
use crate::hubs::{ConnectionProfile, HubCounters, HubDevice, Hubs};
use crate::ids::{FoldedId, Random};
use crate::issuance::Issuance;
use crate::options::{CERTIFICATE_DAYS, OptionsError, POLICY_NAME, ServiceOptions, check_host, check_id_scope};
use crate::registrations::{Operations, Record, Records, Source};
use crate::throttle::Throttle;
use crate::time::Now;
use crate::tpm::Challenges;
use crate::webhook::Webhooks;
use crate::wire::Problem;
use crate::x509::{Authorities, Certificate, CertificateAuthority, X509Attestation};

/// The hub that is linked when the options name no hub.
pub const DEFAULT_HUB: &str = "hub-a.test";

/// A provisioning service: requests in, replies out; the caller passes in all time.
pub struct Service {
    pub(crate) options: ServiceOptions,
    pub(crate) clock: ServiceClock,
    pub(crate) policy_key: SymmetricKey,
    pub(crate) random: Random,
    pub(crate) individuals: Table<IndividualEnrollment>,
    pub(crate) groups: Table<EnrollmentGroup>,
    pub(crate) authorities: Authorities,
    pub(crate) records: Records,
    pub(crate) operations: Operations,
    pub(crate) webhooks: Webhooks,
    pub(crate) issuance: Issuance,
    pub(crate) challenges: Challenges,
    pub(crate) hubs: Hubs,
    pub(crate) throttle: Throttle,
    pub(crate) faults: Faults,
    pub(crate) tally: Tally,
    pub(crate) refusals: Refusals,
    pub(crate) events: Recorder,
    pub(crate) revision: u64,
    /// The options of the listeners around it, as a configuration has them.
    pub(crate) listening: Map<String, Value>,
    /// Makes a link to the page of the listeners around it, if they have one.
    pub(crate) page_links: Option<PageLinks>,
}

/// Enrollments and CA certificates as they are kept across a restart. Holds keys: store it where only its owner can read it.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    enrollments: Vec<IndividualEnrollment>,
    enrollment_groups: Vec<EnrollmentGroup>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    certificates: Vec<CertificateAuthority>,
}

impl Service {
    /// Creates a service without enrollments.
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
        if let Some((hub, _)) = options.hub_profiles.iter().find(|(hub, profile)| !hubs.set_profile(hub, *profile)) {
            return Err(OptionsError::UnknownHub(hub.clone()));
        }
        if !CERTIFICATE_DAYS.contains(&options.certificate_days) {
            return Err(OptionsError::CertificateDays(options.certificate_days));
        }
        let mut random =
            Random::new(options.seed.as_deref().copied().unwrap_or_default(), options.key_seed.as_deref().copied());
        Ok(Self {
            clock: ServiceClock::default(),
            policy_key: options.policy_key.clone().unwrap_or_else(|| random.key()),
            throttle: Throttle::new(options.limits),
            events: Recorder::new(options.events_kept),
            options,
            random,
            hubs,
            individuals: Table::default(),
            groups: Table::default(),
            authorities: Authorities::default(),
            records: Records::default(),
            operations: Operations::default(),
            webhooks: Webhooks::default(),
            issuance: Issuance::default(),
            challenges: Challenges::default(),
            faults: Faults::default(),
            tally: Tally::default(),
            refusals: Refusals::default(),
            revision: 0,
            listening: Map::new(),
            page_links: None,
        })
    }

    /// The service's clock, which its owner can change.
    #[must_use]
    pub fn clock(&self) -> &ServiceClock {
        &self.clock
    }

    /// The id scope.
    #[must_use]
    pub fn id_scope(&self) -> &str {
        &self.options.id_scope
    }

    /// The service's host name, with its port where that is not 443.
    #[must_use]
    pub fn host_name(&self) -> &str {
        &self.options.host_names[0]
    }

    /// The connection string for service clients: `HostName=…;SharedAccessKeyName=…;SharedAccessKey=…`.
    #[must_use]
    pub fn connection_string(&self) -> ConnectionString {
        let key = self.policy_key.expose();
        let text = format!("HostName={};SharedAccessKeyName={POLICY_NAME};SharedAccessKey={key}", self.host_name());
        ConnectionString(text.into())
    }

    /// Creates or replaces an individual enrollment. Returns it with its keys, which are generated if none were set.
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

    /// Creates or replaces an enrollment group. Returns it with its keys, which are generated if none were set.
    ///
    /// # Errors
    /// [`Problem`] as the admin API answers it.
    pub fn put_group(&mut self, now: Now, group: EnrollmentGroup) -> Result<EnrollmentGroup, Problem> {
        self.put(now, group, &Precondition::None)
    }

    /// Returns an individual enrollment with its keys.
    #[must_use]
    pub fn enrollment(&self, registration_id: &str) -> Option<&IndividualEnrollment> {
        self.individuals.get(registration_id)
    }

    /// Returns an enrollment group with its keys.
    #[must_use]
    pub fn group(&self, enrollment_group_id: &str) -> Option<&EnrollmentGroup> {
        self.groups.get(enrollment_group_id)
    }

    /// Whether some enrollment may apply to this device: its own, or any group, since a group does not list its
    /// devices.
    #[must_use]
    pub fn has_enrollment_for(&self, registration_id: &str) -> bool {
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

    /// Stores a CA certificate under a name of 1 to 64 letters, digits, `-`, `.` and `_`, or replaces the one of that
    /// name. A chain must lead to a verified one; `is_verified` stands for the proof of possession that Azure requires.
    ///
    /// # Errors
    /// [`Problem`] for an invalid name, a certificate that is not a CA's, or a twenty-sixth certificate.
    pub fn put_ca_certificate(
        &mut self,
        now: Now,
        name: &str,
        certificate: Certificate,
        is_verified: bool,
    ) -> Result<&CertificateAuthority, Problem> {
        let stored = self.authorities.put(now, name, certificate, is_verified)?;
        self.revision += 1;
        Ok(stored)
    }

    /// Deletes a CA certificate; returns false if there was none. Enrollments that refer to it stay.
    pub fn delete_ca_certificate(&mut self, name: &str) -> bool {
        let deleted = self.authorities.remove(name).is_some();
        self.revision += u64::from(deleted);
        deleted
    }

    /// The CA certificates, ordered by name.
    pub fn ca_certificates(&self) -> impl Iterator<Item = &CertificateAuthority> {
        self.authorities.iter()
    }

    /// Returns the registration record of a device.
    #[must_use]
    pub fn record(&self, registration_id: &str) -> Option<&Record> {
        self.records.get(&FoldedId::new(registration_id))
    }

    /// Deletes the registration record of a device. The device entry stays in its hub.
    pub fn delete_record(&mut self, registration_id: &str) -> bool {
        let id = FoldedId::new(registration_id);
        self.operations.cancel_all_of(&id);
        self.webhooks.cancel_all_of(&id);
        self.records.remove(&id).is_some()
    }

    /// Links a hub with a weight of 1 to 1000, or changes the weight of one that is linked.
    ///
    /// # Errors
    /// [`OptionsError`] for an invalid host name or weight, or a fifty-first hub.
    pub fn link_hub(&mut self, host: &str, weight: u32) -> Result<(), OptionsError> {
        self.hubs.link(host, weight)
    }

    /// Unlinks a hub; returns false if it was not linked. Its device entries stay.
    pub fn unlink_hub(&mut self, host: &str) -> bool {
        self.hubs.unlink(host)
    }

    /// Sets the protocol that a linked hub speaks; returns false if no such hub is linked. Devices that are assigned to it are
    /// told at their next registration.
    pub fn set_hub_profile(&mut self, host: &str, profile: ConnectionProfile) -> bool {
        self.hubs.set_profile(host, profile)
    }

    /// The linked hubs.
    pub fn linked_hubs(&self) -> impl Iterator<Item = &str> {
        self.hubs.linked()
    }

    /// Returns a device's entry in a hub.
    #[must_use]
    pub fn hub_device(&self, hub: &str, device_id: &str) -> Option<&HubDevice> {
        self.hubs.device(hub, device_id)
    }

    /// Returns a device's entry, to change its twin as a cloud application would, or to disable it.
    pub fn hub_device_mut(&mut self, hub: &str, device_id: &str) -> Option<&mut HubDevice> {
        self.hubs.device_mut(hub, device_id)
    }

    /// Deletes a device's entry from a hub, as its owner would; returns false if there was none. The registration
    /// stays.
    pub fn delete_hub_device(&mut self, hub: &str, device_id: &str) -> bool {
        self.hubs.remove_device(hub, device_id).is_some()
    }

    /// Moves a device's entry with its twin and keys into another hub, replacing an entry of the same id there. Returns
    /// false if there is no such entry, or the other hub is not linked. The registration stays: until the enrollment
    /// leads to the other hub too, the hub that the device is assigned to rejects it.
    pub fn move_hub_device(&mut self, from: &str, device_id: &str, to: &str) -> bool {
        let Some(hub) = self.hubs.linked_named(to).map(str::to_owned) else { return false };
        let Some(device) = self.hubs.remove_device(from, device_id) else { return false };
        self.hubs.put_device(HubDevice { hub, ..device });
        true
    }

    /// Counts what a device did at a hub.
    #[must_use]
    pub fn hub_counters(&self, hub: &str, device_id: &str) -> HubCounters {
        self.hubs.counters(hub, device_id)
    }

    /// All device entries of all hubs.
    pub fn hub_devices(&self) -> impl Iterator<Item = &HubDevice> {
        self.hubs.devices()
    }

    /// The hint that the rate limit would reject a register or lookup with now; `None` when it would be accepted. The
    /// query itself is not counted. For simulations of so many devices that a whole request for each would cost too
    /// much.
    #[must_use]
    pub fn registration_wait(&self, now: Now) -> Option<RetryAfter> {
        self.throttle.registration_wait(now).map(|hint| self.clock.scaled(hint))
    }

    /// How often the service was called.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.tally.overall()
    }

    /// How often one registration id called, in any letter case, whether or not its credential was valid. Only the
    /// first 100,000 ids are counted.
    #[must_use]
    pub fn counters_of(&self, registration_id: &str) -> Counters {
        self.tally.registration(&FoldedId::new(registration_id))
    }

    /// Resets all counters to zero.
    pub fn reset_counters(&mut self) {
        self.tally = Tally::default();
        self.refusals.reset_reasons();
    }

    /// How many credentials were refused for each reason, by [`RefusalReason::name`](crate::RefusalReason::name).
    pub fn refusal_counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.refusals.by_reason().iter().map(|(reason, count)| (*reason, *count))
    }

    /// The latest hundred refused credentials, oldest first, with the reason that the reply did not reveal.
    pub fn refusals(&self) -> impl Iterator<Item = &Refusal> {
        self.refusals.iter()
    }

    /// Changes with every change of an enrollment or a CA certificate: two snapshots can differ only if this number does.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The enrollments and CA certificates, to be kept across a restart.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            enrollments: self.individuals.iter().cloned().collect(),
            enrollment_groups: self.groups.iter().cloned().collect(),
            certificates: self.authorities.iter().cloned().collect(),
        }
    }

    /// Restores enrollments and CA certificates from a snapshot.
    ///
    /// # Errors
    /// [`Problem`] names the first invalid one.
    pub fn restore(&mut self, snapshot: Snapshot) -> Result<(), Problem> {
        snapshot.certificates.into_iter().try_for_each(|entry| self.authorities.insert(entry).map(drop))?;
        snapshot.enrollments.into_iter().try_for_each(|entry| self.individuals.restore(entry))?;
        snapshot.enrollment_groups.into_iter().try_for_each(|entry| self.groups.restore(entry))
    }

    pub(crate) fn put<E: Kept>(&mut self, now: Now, entry: E, condition: &Precondition) -> Result<E, Problem> {
        let references = entry.settings().attestation.x509.iter().flat_map(X509Attestation::references);
        if let Some(name) = references.into_iter().find(|name| self.authorities.get(name).is_none()) {
            return Err(Problem::bad_request(format!("'caReferences': no CA certificate has the name '{name}'.")));
        }
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
            self.webhooks.cancel_all_of(&record);
            self.records.remove(&record);
        }
        Ok(())
    }
}

/// Which table of the service an entry is kept in.
pub(crate) trait Kept: Entry {
    fn table(service: &Service) -> &Table<Self>;
    fn table_mut(service: &mut Service) -> (&mut Table<Self>, &mut Random);
    /// The ids of the records that are deleted with it.
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
        let id = FoldedId::new(&self.registration_id);
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
