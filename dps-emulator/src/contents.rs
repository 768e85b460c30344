//! What a service starts with, besides its options: CA certificates, enrollments, groups and planned faults.

use crate::enrollment::{EnrollmentGroup, IndividualEnrollment};
use crate::fault_plan::FaultPlan;
use crate::service::Service;
use crate::time::Now;
use crate::wire::Problem;
use crate::x509::Certificate;

#[derive(Debug, Clone, Default)]
pub(crate) struct Contents {
    pub(crate) certificates: Vec<NamedCertificate>,
    pub(crate) enrollments: Vec<IndividualEnrollment>,
    pub(crate) groups: Vec<EnrollmentGroup>,
    pub(crate) faults: Vec<FaultPlan>,
}

#[derive(Debug, Clone)]
pub(crate) struct NamedCertificate {
    pub(crate) name: String,
    pub(crate) certificate: Certificate,
    pub(crate) is_verified: bool,
}

impl Contents {
    /// Creates or replaces what it names in the service; an enrollment without keys keeps those that it has there.
    pub(crate) fn put_into(self, service: &mut Service, now: Now) -> Result<(), Problem> {
        self.certificates.into_iter().try_for_each(|named| named.put_into(service, now))?;
        self.enrollments.into_iter().try_for_each(|enrollment| service.put_enrollment(now, enrollment).map(drop))?;
        self.groups.into_iter().try_for_each(|group| service.put_group(now, group).map(drop))?;
        self.faults.iter().for_each(|fault| service.inject_plan(fault));
        Ok(())
    }
}

impl NamedCertificate {
    pub(crate) fn put_into(self, service: &mut Service, now: Now) -> Result<(), Problem> {
        service.put_ca_certificate(now, &self.name, self.certificate, self.is_verified).map(drop)
    }
}
