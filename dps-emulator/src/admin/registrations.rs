//! Registration records, as an owner sees and deletes them.

use super::AdminReply;
use super::query::Page;
use crate::enrollment::Precondition;
use crate::http::HttpRequest;
use crate::ids::FoldedId;
use crate::problem::Problem;
use crate::records::Record;
use crate::service::Service;
use crate::wire::RegistrationState;

const NAME: &str = "registration";

impl Service {
    pub(super) fn get_registration(&self, id: &str) -> Result<AdminReply, Problem> {
        let record = self.records.get(&FoldedId::of(id)).ok_or_else(|| Problem::not_found(NAME, id))?;
        Ok(AdminReply::ok(&record.admin_state()))
    }

    pub(super) fn delete_registration(&mut self, id: &str, request: &HttpRequest<'_>) -> Result<AdminReply, Problem> {
        let record = self.records.get(&FoldedId::of(id)).ok_or_else(|| Problem::not_found(NAME, id))?;
        Precondition::if_match(request.header("If-Match")).check(NAME, id, Some(&record.etag))?;
        self.delete_record(id);
        Ok(AdminReply::no_content())
    }

    pub(super) fn query_registrations(&self, group: &str, request: &HttpRequest<'_>) -> Result<AdminReply, Problem> {
        if self.groups.get(group).is_none() {
            return Err(Problem::not_found("enrollment group", group));
        }
        let page = Page::of(request)?;
        let records = self.records.of_group(group, page.after(), page.wanted()).map(Record::admin_state).collect();
        Ok(page.reply(records, "DeviceRegistration", |state: &RegistrationState| &state.registration_id))
    }
}
