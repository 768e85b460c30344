//! What an outcome has in the reply buffer and not in the storage: the certificate chain that was issued, and the hub's
//! protocol. Each is read by a function of its own, which firmware that does not call it does not link.

use super::Registration;
use super::report::End;
use crate::attestation::Attestation;
use crate::error::ReplyProblem;
use crate::issued;
use crate::profile::{self, ConnectionProfile};

impl<A: Attestation> Registration<'_, A> {
    /// A certificate of the chain that the service issued for a certificate request
    /// ([`WithCertificateRequest`](crate::WithCertificateRequest)), in DER (RFC 5280): the device's at `index` 0, each of the
    /// next the issuer of the one before, the root last. `None` after the last; at 0, where nothing was issued or the device is
    /// not assigned.
    ///
    /// `buffer` is the one that the last reply was read into, unchanged since. The certificate is decoded there; it can be read
    /// any number of times, in any order. The chain comes from the service as it is: check the first certificate against the
    /// device's key and registration id before it is used.
    ///
    /// ```
    /// # use dps_core::{ReplyProblem, Registration};
    /// /// Hands the chain over, certificate by certificate.
    /// fn keep_chain(
    ///     registration: &Registration<'_>,
    ///     buffer: &mut [u8],
    ///     mut keep: impl FnMut(&[u8]),
    /// ) -> Result<usize, ReplyProblem> {
    ///     let mut count = 0;
    ///     while let Some(certificate) = registration.issued_certificate(buffer, count)? {
    ///         keep(certificate);
    ///         count += 1;
    ///     }
    ///     Ok(count)
    /// }
    /// ```
    ///
    /// # Errors
    /// [`ReplyProblem::IssuedChain`] when the member is not a list, or its element not base64 of at least 15 bytes.
    pub fn issued_certificate<'b>(&self, buffer: &'b mut [u8], index: usize) -> Result<Option<&'b [u8]>, ReplyProblem> {
        match buffer.get_mut(self.body_start..) {
            Some(body) if self.report.end == End::Assigned => issued::certificate(body, index),
            _ => Ok(None),
        }
    }

    /// The protocol that the assigned hub speaks, of an assignment or of the record that a lookup found. `api_version` is the one
    /// that the requests had: where it does not report the profile, and before the end, the answer is
    /// [`ConnectionProfile::NotReported`]; where it does, a profile that is absent or null is
    /// [`ConnectionProfile::Classic`].
    ///
    /// `buffer` is the one that the last reply was read into, unchanged since. A word that is not known is a range of it.
    ///
    /// # Errors
    /// [`ReplyProblem::Profile`] when the member is not a word.
    pub fn connection_profile<'b>(
        &self,
        buffer: &'b mut [u8],
        api_version: impl AsRef<[u8]>,
    ) -> Result<ConnectionProfile<'b>, ReplyProblem> {
        let is_known = matches!(self.report.end, End::Assigned | End::Record);
        match buffer.get_mut(self.body_start..) {
            Some(body) if is_known && ConnectionProfile::is_reported_by(api_version) => profile::read(body),
            _ => Ok(ConnectionProfile::NotReported),
        }
    }
}
