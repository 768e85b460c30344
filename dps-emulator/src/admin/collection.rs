//! One enrollment or group: get, put, delete, and its keys.

use serde::Serialize;

use super::AdminReply;
use crate::enrollment::{IndividualEnrollment, Precondition};
use crate::http::HttpRequest;
use crate::problem::Problem;
use crate::service::{Kept, Service};
use crate::wire::{RegistrationState, parse_object};
use crate::{Now, ids::FoldedId};

/// An individual enrollment as a GET shows it: with the device's record, if there is one.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WithRecord {
    #[serde(flatten)]
    enrollment: IndividualEnrollment,
    #[serde(skip_serializing_if = "Option::is_none")]
    registration_state: Option<RegistrationState>,
}

/// The entry as GET and query show it: without keys.
pub(super) fn without_keys<E: Kept>(entry: &E) -> E {
    let mut shown = entry.clone();
    shown.settings_mut().attestation.forget_keys();
    shown
}

impl Service {
    fn entry<E: Kept>(&self, id: &str) -> Result<&E, Problem> {
        E::table(self).get(id).ok_or_else(|| Problem::not_found(E::NAME, id))
    }

    pub(super) fn get_entry<E: Kept>(&self, id: &str) -> Result<AdminReply, Problem> {
        Ok(AdminReply::ok(&without_keys(self.entry::<E>(id)?)))
    }

    pub(super) fn get_individual(&self, id: &str) -> Result<AdminReply, Problem> {
        let enrollment = without_keys(self.entry::<IndividualEnrollment>(id)?);
        let record = self.records.get(&FoldedId::of(id));
        let registration_state = record.map(crate::records::Record::admin_state);
        Ok(AdminReply::ok(&WithRecord { enrollment, registration_state }))
    }

    pub(super) fn put_entry<E: Kept>(
        &mut self,
        now: Now,
        id: &str,
        request: &HttpRequest<'_>,
    ) -> Result<AdminReply, Problem> {
        let entry: E = parse_object(request.body)?;
        if !entry.id().eq_ignore_ascii_case(id) {
            return Err(Problem::bad_request(format!("'{}' in the body is not the one in the path.", E::ID_MEMBER)));
        }
        let condition = Precondition::if_match(request.header("If-Match"));
        Ok(AdminReply::ok(&self.put(now, entry, &condition)?))
    }

    pub(super) fn delete_entry<E: Kept>(&mut self, id: &str, request: &HttpRequest<'_>) -> Result<AdminReply, Problem> {
        self.delete::<E>(id, &Precondition::if_match(request.header("If-Match")))?;
        Ok(AdminReply::no_content())
    }

    pub(super) fn attestation_mechanism<E: Kept>(&self, id: &str) -> Result<AdminReply, Problem> {
        Ok(AdminReply::ok(&self.entry::<E>(id)?.settings().attestation))
    }
}
