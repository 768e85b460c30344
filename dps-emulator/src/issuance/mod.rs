//! Certificates that the service issues to devices: which enrollments allow it, what a certificate request must be, and the
//! certificate authority that signs.
//!
//! A device sends a certificate request with its registration, whatever its attestation; the chain comes with the assignment.
//! Later it can send one to its hub (`renewal`).
//! Only `request` and `authority` need the feature `x509`; without it every request is refused.

#[cfg(feature = "x509")]
mod authority;
mod policy;
#[cfg(feature = "mqtt")]
mod renewal;
#[cfg(feature = "mqtt")]
mod renewal_reply;
#[cfg(feature = "mqtt")]
mod renewal_request;
#[cfg(feature = "x509")]
mod request;
#[cfg(not(feature = "x509"))]
mod unsupported;

use serde_json::Value;

use crate::auth::Caller;
use crate::encoding::decode_base64;
use crate::events::{RefusalReason, Transport};
use crate::ids::FoldedId;
use crate::registrations::Source;
use crate::service::Service;
use crate::time::Now;
use crate::wire::{CSR_NOT_CONFIGURED, Problem};
use crate::x509::Certificate;
#[cfg(feature = "x509")]
use {authority::Authority, request::CertificateRequest};
#[cfg(not(feature = "x509"))]
use {unsupported::Authority, unsupported::CertificateRequest};

pub use policy::{CertificatePolicy, IssuanceCodes};
#[cfg(feature = "mqtt")]
pub(crate) use {
    renewal::{AtHub, Renewals},
    renewal_reply::HubReply,
};

/// The first day of an API version with certificate requests (`csr`) and issued chains.
const ISSUES_SINCE: &str = "2025-07-01";
/// The largest certificate request, in bytes of DER: what the hub states for its own.
const REQUEST_MAX: usize = 6 * 1024;

/// Whether this API version has certificate requests and issued chains.
pub(crate) fn is_known_to(api_version: &str) -> bool {
    api_version.get(..ISSUES_SINCE.len()).is_some_and(|date| date >= ISSUES_SINCE)
}

/// A certificate request that was accepted, for an assignment that is not made yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Requested(CertificateRequest);

/// A chain that was issued.
pub(crate) struct IssuedChain {
    /// The device's certificate first, the root last: the base64 of each one's DER.
    pub(crate) certificates: Vec<String>,
    /// By which a hub knows the certificates that were issued to a device.
    pub(crate) root: Certificate,
}

/// The certificate authority, which is made when the first certificate is issued.
#[derive(Default)]
pub(crate) struct Issuance(Option<Authority>);

impl Issuance {
    /// Issues a chain; `None` if that failed, which only a lack of entropy can cause.
    fn issue(&mut self, now: Now, days: u32, serial: [u8; 16], request: &Requested) -> Option<IssuedChain> {
        if !self.0.as_ref().is_some_and(|authority| authority.outlives(now, days)) {
            self.0 = Authority::new(now);
        }
        self.0.as_ref()?.issue(now, days, serial, &request.0)
    }
}

impl Service {
    /// Checks the certificate request of a register call. An API version that does not have the member ignores it.
    pub(crate) fn requested_certificate(
        &self,
        caller: &Caller<'_>,
        source: &Source,
        csr: Option<&Value>,
    ) -> Result<Option<Requested>, Problem> {
        let Some(csr) = csr.filter(|csr| !csr.is_null() && is_known_to(caller.api_version)) else { return Ok(None) };
        let settings = self.settings_of(source, caller.registration_id);
        if !settings.is_some_and(|settings| settings.certificate_policy.is_named()) {
            return Err(Problem::new(CSR_NOT_CONFIGURED, "Certificate issuance is not configured on the enrollment."));
        }
        let refused = |reason: RefusalReason| {
            Problem::new(self.options.issuance_codes.request_refused(), format!("'csr' is refused: {reason}."))
                .because(reason)
        };
        let text = csr.as_str().ok_or_else(|| Problem::bad_request("'csr' must be a string."))?;
        let der = decode_base64(text).filter(|der| !der.is_empty() && der.len() <= REQUEST_MAX);
        let der = der.ok_or_else(|| refused(RefusalReason::RequestMalformed))?;
        self.verify_request(&der, caller.registration_id).map(Some).map_err(refused)
    }

    /// Checks a certificate request of a device.
    fn verify_request(&self, der: &[u8], registration_id: &str) -> Result<Requested, RefusalReason> {
        CertificateRequest::verify(der, registration_id, self.options.p384_only).map(Requested)
    }

    /// Issues a certificate to a device, or by a planned fault one for another key. The transport is that of the request.
    pub(crate) fn issue_certificate(
        &mut self,
        now: Now,
        transport: Transport,
        registration_id: &str,
        request: &Requested,
    ) -> Option<IssuedChain> {
        let registration = FoldedId::new(registration_id);
        let foreign =
            self.issuing_meets_fault(now, transport, &registration).then(|| request.0.with_another_key()).flatten();
        let foreign = foreign.map(Requested);
        let serial = self.random.serial();
        self.issuance.issue(now, self.options.certificate_days, serial, foreign.as_ref().unwrap_or(request))
    }
}
