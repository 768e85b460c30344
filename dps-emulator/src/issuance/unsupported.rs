//! Stands for `request` and `authority` in a build without the feature `x509`: no request is accepted.

use super::IssuedChain;
use crate::events::RefusalReason;
use crate::time::Now;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CertificateRequest {}

impl CertificateRequest {
    pub(super) fn verify(_der: &[u8], _registration_id: &str, _p384_only: bool) -> Result<Self, RefusalReason> {
        Err(RefusalReason::RequestMalformed)
    }

    pub(super) fn with_another_key(&self) -> Option<Self> {
        match *self {}
    }
}

pub(super) enum Authority {}

impl Authority {
    pub(super) fn new(_now: Now) -> Option<Self> {
        None
    }

    pub(super) fn outlives(&self, _now: Now, _days: u32) -> bool {
        match *self {}
    }

    pub(super) fn issue(
        &self,
        _now: Now,
        _days: u32,
        _serial: [u8; 16],
        request: &CertificateRequest,
    ) -> Option<IssuedChain> {
        match *request {}
    }
}
