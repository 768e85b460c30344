//! Enrollments of one kind by id, with etags. Letter case of ids is ignored; the last spelling is returned.

use std::collections::BTreeMap;
use std::ops::Bound;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::attestation::Holder;
use crate::enrollment::{EnrollmentGroup, IndividualEnrollment, Settings, check_device_id, check_id};
use crate::ids::{FoldedId, Random};
use crate::time::{Now, iso_8601};
use crate::wire::{EXISTS, Problem, STALE_ETAG};

/// What `If-Match` or a bulk mode requires of the existing entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Precondition {
    /// Nothing: create or replace.
    None,
    /// There must be no entry.
    Absent,
    /// There must be an entry (`If-Match: *`).
    Present,
    /// There must be an entry with this etag; quotes around the etag are ignored.
    Etag(String),
}

impl Precondition {
    pub(crate) fn if_match(header: Option<&str>) -> Self {
        match header.map(str::trim) {
            None | Some("") => Self::None,
            Some("*") => Self::Present,
            Some(etag) => Self::Etag(etag.trim_matches('"').to_owned()),
        }
    }

    pub(crate) fn check(&self, what: &str, id: &str, etag: Option<&str>) -> Result<(), Problem> {
        let holds = match self {
            Self::None => return Ok(()),
            Self::Absent if etag.is_none() => return Ok(()),
            Self::Absent => return Err(Problem::new(EXISTS, format!("The {what} '{id}' already exists."))),
            Self::Present if etag.is_none() => return Err(Problem::not_found(what, id)),
            Self::Present => true,
            Self::Etag(wanted) => etag == Some(wanted),
        };
        holds.then_some(()).ok_or_else(|| {
            Problem::new(STALE_ETAG, format!("The etag of the {what} '{id}' differs from that of the request."))
        })
    }
}

/// The two kinds of enrollments.
pub(crate) trait Entry: Clone + Serialize + DeserializeOwned {
    /// What messages call it.
    const NAME: &'static str;
    /// The member that holds the id.
    const ID_MEMBER: &'static str;
    /// The member of a bulk request that holds the list.
    const LIST_MEMBER: &'static str;
    /// `x-ms-item-type` of a query.
    const ITEM_TYPE: &'static str;
    /// The most that a service keeps (Azure documentation, "Service limits").
    const MAX: usize;

    fn id(&self) -> &str;
    fn settings(&self) -> &Settings;
    fn settings_mut(&mut self) -> &mut Settings;
    fn check_own(&self) -> Result<(), Problem>;

    /// The same without keys, and with a masked URL of its webhook, as GET and a webhook's request show it.
    fn without_secrets(mut self) -> Self {
        self.settings_mut().forget_secrets();
        self
    }
}

impl Entry for IndividualEnrollment {
    const NAME: &'static str = "enrollment";
    const ID_MEMBER: &'static str = "registrationId";
    const LIST_MEMBER: &'static str = "enrollments";
    const ITEM_TYPE: &'static str = "Enrollment";
    const MAX: usize = 1_000_000;

    fn id(&self) -> &str {
        &self.registration_id
    }

    fn settings(&self) -> &Settings {
        &self.settings
    }

    fn settings_mut(&mut self) -> &mut Settings {
        &mut self.settings
    }

    fn check_own(&self) -> Result<(), Problem> {
        self.device_id.as_deref().map_or(Ok(()), check_device_id)?;
        self.settings.attestation.check(Holder::Individual)
    }
}

impl Entry for EnrollmentGroup {
    const NAME: &'static str = "enrollment group";
    const ID_MEMBER: &'static str = "enrollmentGroupId";
    const LIST_MEMBER: &'static str = "enrollmentGroups";
    const ITEM_TYPE: &'static str = "EnrollmentGroup";
    const MAX: usize = 100;

    fn id(&self) -> &str {
        &self.enrollment_group_id
    }

    fn settings(&self) -> &Settings {
        &self.settings
    }

    fn settings_mut(&mut self) -> &mut Settings {
        &mut self.settings
    }

    fn check_own(&self) -> Result<(), Problem> {
        self.settings.attestation.check(Holder::Group)
    }
}

pub(crate) struct Table<E>(BTreeMap<FoldedId, E>);

impl<E> Default for Table<E> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<E: Entry> Table<E> {
    pub(crate) fn get(&self, id: &str) -> Option<&E> {
        self.0.get(&FoldedId::new(id))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &E> {
        self.0.values()
    }

    /// Returns up to `count` entries after `after`, ordered by id.
    pub(crate) fn page(&self, after: Option<&str>, count: usize) -> impl Iterator<Item = &E> {
        let start = after.map_or(Bound::Unbounded, |id| Bound::Excluded(FoldedId::new(id)));
        self.0.range((start, Bound::Unbounded)).map(|(_, entry)| entry).take(count)
    }

    /// Creates or replaces an entry; returns it with its keys.
    pub(crate) fn put(
        &mut self,
        now: Now,
        mut entry: E,
        condition: &Precondition,
        random: &mut Random,
    ) -> Result<&E, Problem> {
        check_id(E::ID_MEMBER, entry.id())?;
        let id = FoldedId::new(entry.id());
        let replaced = self.0.get(&id).map(Entry::settings);
        entry.settings_mut().keep_webhook_url(replaced);
        entry.check_own()?;
        entry.settings().check()?;
        condition.check(E::NAME, entry.id(), replaced.and_then(|old| old.etag.as_deref()))?;
        if replaced.is_none() && self.0.len() >= E::MAX {
            return Err(Problem::bad_request(format!("A service keeps at most {} of this kind.", E::MAX)));
        }
        let stamp = iso_8601(now.unix_ms);
        let settings = entry.settings_mut();
        settings.fill_defaults();
        settings.attestation.complete(replaced.map(|old| &old.attestation), random);
        settings.etag = Some(random.etag());
        settings.created_date_time_utc =
            replaced.and_then(|old| old.created_date_time_utc.clone()).or(Some(stamp.clone()));
        settings.last_updated_date_time_utc = Some(stamp);
        self.0.insert(id.clone(), entry);
        Ok(&self.0[&id])
    }

    pub(crate) fn delete(&mut self, id: &str, condition: &Precondition) -> Result<E, Problem> {
        let folded = FoldedId::new(id);
        let Some(entry) = self.0.get(&folded) else { return Err(Problem::not_found(E::NAME, id)) };
        condition.check(E::NAME, id, entry.settings().etag.as_deref())?;
        self.0.remove(&folded).ok_or_else(|| Problem::not_found(E::NAME, id))
    }

    /// Restores an entry of a snapshot: unchanged, but checked.
    pub(crate) fn restore(&mut self, entry: E) -> Result<(), Problem> {
        check_id(E::ID_MEMBER, entry.id())?;
        entry.check_own()?;
        entry.settings().check()?;
        let attestation = &entry.settings().attestation;
        if attestation.is_by_keys() && attestation.keys().count() != 2 {
            return Err(Problem::bad_request(format!("The {} '{}' lacks a key.", E::NAME, entry.id())));
        }
        self.0.insert(FoldedId::new(entry.id()), entry);
        Ok(())
    }
}
