//! The service API, through which an owner keeps enrollments and reads registrations.
//!
//! Shapes, paging, etags and status codes are the service's; what may be in an enrollment is checked by `enrollment`.

mod bulk;
mod collection;
mod query;
mod registrations;

use serde::Serialize;

use crate::enrollment::{EnrollmentGroup, IndividualEnrollment};
use crate::http::{AdminCall, Collection, HttpRequest};
use crate::now::Now;
use crate::problem::Problem;
use crate::service::Service;
use crate::wire::to_json;

/// What an admin call that went well answers.
pub(crate) struct AdminReply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
}

impl AdminReply {
    pub(crate) fn ok(body: &impl Serialize) -> Self {
        Self { status: 200, headers: Vec::new(), body: to_json(body) }
    }

    fn no_content() -> Self {
        Self { status: 204, headers: Vec::new(), body: Vec::new() }
    }
}

impl Service {
    pub(crate) fn admin(
        &mut self,
        now: Now,
        path: &str,
        call: &AdminCall,
        request: &HttpRequest<'_>,
    ) -> Result<AdminReply, Problem> {
        self.tally.admin_call();
        self.authorize_owner(now, request.header("Authorization"), path)?;
        self.throttle.admin(now).map_err(|hint| Problem::throttled(Some(hint)))?;
        match call {
            AdminCall::GetRegistration(id) => self.get_registration(id),
            AdminCall::DeleteRegistration(id) => self.delete_registration(id, request),
            AdminCall::QueryRegistrations { group } => self.query_registrations(group, request),
            AdminCall::Get(Collection::Enrollments, id) => self.get_individual(id),
            AdminCall::Get(Collection::Groups, id) => self.get_entry::<EnrollmentGroup>(id),
            AdminCall::Put(Collection::Enrollments, id) => self.put_entry::<IndividualEnrollment>(now, id, request),
            AdminCall::Put(Collection::Groups, id) => self.put_entry::<EnrollmentGroup>(now, id, request),
            AdminCall::Delete(Collection::Enrollments, id) => self.delete_entry::<IndividualEnrollment>(id, request),
            AdminCall::Delete(Collection::Groups, id) => self.delete_entry::<EnrollmentGroup>(id, request),
            AdminCall::AttestationMechanism(Collection::Enrollments, id) => {
                self.attestation_mechanism::<IndividualEnrollment>(id)
            }
            AdminCall::AttestationMechanism(Collection::Groups, id) => {
                self.attestation_mechanism::<EnrollmentGroup>(id)
            }
            AdminCall::Query(Collection::Enrollments) => self.query::<IndividualEnrollment>(request),
            AdminCall::Query(Collection::Groups) => self.query::<EnrollmentGroup>(request),
            AdminCall::Bulk(Collection::Enrollments) => self.bulk::<IndividualEnrollment>(now, request),
            AdminCall::Bulk(Collection::Groups) => self.bulk::<EnrollmentGroup>(now, request),
        }
    }
}
