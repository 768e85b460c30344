//! Whose key signed a token: a search among the keys that the service knows, bounded, since anybody can send tokens.

use super::SignedBy;
use crate::credentials::{SymmetricKey, Token};
use crate::enrollment::EnrollmentGroup;
use crate::ids::FoldedId;
use crate::service::Service;

/// How many signatures and keys are computed for one token at most.
const COMPUTED_MAX: usize = 400;
/// How many groups' keys are searched for in what a device sends.
const MASKED_GROUPS_MAX: usize = 4;

/// The search for the key of one token.
struct Search<'t> {
    token: &'t Token,
    left: usize,
}

impl Search<'_> {
    fn spend(&mut self) -> Option<()> {
        self.left = self.left.checked_sub(1)?;
        Some(())
    }

    fn is_signed_by(&mut self, key: &SymmetricKey) -> bool {
        self.spend().is_some() && self.token.signed_by(key)
    }

    /// Whether the key that is derived for this id signed the token.
    fn is_signed_by_derived(&mut self, key: &SymmetricKey, id: &str) -> bool {
        self.spend().is_some() && self.is_signed_by(&key.derive(id))
    }

    /// Returns which of two keys signed the token.
    fn of_two(
        &mut self,
        keys: [Option<&SymmetricKey>; 2],
        derived_for: &[String],
        group: Option<&str>,
    ) -> Option<SignedBy> {
        let owner = || group.map(str::to_owned);
        for (number, key) in keys.into_iter().enumerate() {
            let Some(key) = key else { continue };
            let signed = match group {
                None => self.is_signed_by(key),
                Some(_) => derived_for.iter().any(|id| self.is_signed_by_derived(key, id)),
            };
            if signed {
                return Some(match number {
                    0 => SignedBy::PrimaryKey { group: owner() },
                    _ => SignedBy::SecondaryKey { group: owner() },
                });
            }
        }
        None
    }
}

impl Service {
    /// Returns whose key signed a token of this device.
    pub(crate) fn signed_by(&self, registration_id: &str, token: &Token) -> SignedBy {
        let mut search = Search { token, left: COMPUTED_MAX };
        self.own_key(&mut search, registration_id)
            .or_else(|| self.group_key(&mut search))
            .or_else(|| self.key_of_another(&mut search, registration_id))
            .unwrap_or(SignedBy::Nobody)
    }

    fn own_key(&self, search: &mut Search<'_>, registration_id: &str) -> Option<SignedBy> {
        if let Some(individual) = self.individuals.get(registration_id) {
            let keys = &individual.settings.attestation;
            return search.of_two([keys.primary.as_ref(), keys.secondary.as_ref()], &[], None);
        }
        let spellings = self.spellings(registration_id);
        self.groups_of(registration_id).find_map(|group| {
            let keys = &group.settings.attestation;
            let group = Some(group.enrollment_group_id.as_str());
            search.of_two([keys.primary.as_ref(), keys.secondary.as_ref()], &spellings, group)
        })
    }

    /// The groups, beginning with the one that the device registered by.
    fn groups_of(&self, registration_id: &str) -> impl Iterator<Item = &EnrollmentGroup> {
        let record = self.records.get(&FoldedId::new(registration_id));
        let known = record.and_then(|record| self.groups.get(record.source.group()?));
        let known_id = known.map(|group| group.enrollment_group_id.clone());
        let others = self.groups.iter().filter(move |group| Some(&group.enrollment_group_id) != known_id.as_ref());
        known.into_iter().chain(others)
    }

    fn group_key(&self, search: &mut Search<'_>) -> Option<SignedBy> {
        let group =
            self.groups.iter().find(|group| group.settings.attestation.keys().any(|key| search.is_signed_by(key)))?;
        Some(SignedBy::GroupKey { group: group.enrollment_group_id.clone() })
    }

    /// Tries the keys of the device that the token's resource has, then those of other enrollments and devices.
    fn key_of_another(&self, search: &mut Search<'_>, registration_id: &str) -> Option<SignedBy> {
        let resource = search.token.resource();
        let named =
            resource.rsplit('/').next().filter(|id| !id.eq_ignore_ascii_case(registration_id)).map(str::to_owned);
        let other = |registration_id: &str| SignedBy::OtherDevice { registration_id: registration_id.to_owned() };
        let is_own = |id: &str| id.eq_ignore_ascii_case(registration_id);
        if let Some(id) = named.filter(|id| self.own_key(search, id).is_some()) {
            return Some(other(&id));
        }
        for individual in self.individuals.iter().filter(|individual| !is_own(&individual.registration_id)) {
            if individual.settings.attestation.keys().any(|key| search.is_signed_by(key)) {
                return Some(other(&individual.registration_id));
            }
            if search.left == 0 {
                return None;
            }
        }
        for record in self.records.iter().filter(|record| !is_own(&record.registration_id)) {
            let group = record.source.group().and_then(|group| self.groups.get(group));
            let mut keys = group.into_iter().flat_map(|group| group.settings.attestation.keys());
            if keys.any(|key| search.is_signed_by_derived(key, &record.registration_id)) {
                return Some(other(&record.registration_id));
            }
            if search.left == 0 {
                return None;
            }
        }
        None
    }

    /// The keys that a device may have: its own, and those of the groups that it may belong to.
    pub(crate) fn keys_of_device(&self, registration_id: &str) -> Vec<SymmetricKey> {
        if let Some(individual) = self.individuals.get(registration_id) {
            return individual.settings.attestation.keys().cloned().collect();
        }
        let groups = self.groups_of(registration_id).take(MASKED_GROUPS_MAX);
        let keys = groups.flat_map(|group| group.settings.attestation.keys());
        keys.flat_map(|key| [key.derive(registration_id), key.clone()]).collect()
    }
}
