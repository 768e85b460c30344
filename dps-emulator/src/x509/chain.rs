//! The chain that a client presented. What does not depend on time and enrollments is checked once, when the connection
//! begins: size, form, order, signatures.

use super::certificate::{Certificate, CertificateError, CertificateInfo};
use crate::events::RefusalReason;
use crate::time::Now;

/// The largest chain that is read, in bytes of DER, all certificates together. A larger one is refused.
pub const CHAIN_MAX: usize = 20 * 1024;

/// The certificates that a client presented in its TLS handshake, its own first.
///
/// The handshake proves that the client has the key of the first one; the caller must have verified that. Everything
/// else is checked by the service.
#[derive(Debug, Clone, Default)]
pub struct ClientCertificates {
    /// Those that could be parsed, up to the first that could not.
    certificates: Vec<Certificate>,
    /// What is wrong with the chain, whatever the time and the enrollments are.
    problem: Option<RefusalReason>,
}

impl ClientCertificates {
    /// A client that presented no certificate.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Reads what a client presented, in the order of the handshake. Never fails: the service refuses what is invalid,
    /// and names the reason in [`Service::refusals`](crate::Service::refusals).
    #[must_use]
    pub fn from_der<'a>(presented: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let presented: Vec<&[u8]> = presented.into_iter().collect();
        if presented.iter().map(|der| der.len()).sum::<usize>() > CHAIN_MAX {
            return Self { certificates: Vec::new(), problem: Some(RefusalReason::ChainTooLarge) };
        }
        let mut chain = Self::default();
        for (at, der) in presented.into_iter().enumerate() {
            match Certificate::from_der(der) {
                Ok(certificate) => chain.certificates.push(certificate),
                Err(CertificateError::Unsupported) => chain.problem = Some(RefusalReason::NoToken),
                Err(_) => chain.problem = Some(RefusalReason::CertificateMalformed { at }),
            }
            if chain.problem.is_some() {
                return chain;
            }
        }
        chain.problem = chain.links().err();
        chain
    }

    /// Whether the client presented no certificate.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.certificates.is_empty() && self.problem.is_none()
    }

    /// The client's own certificate. It may be valid while those that follow are not.
    pub(super) fn leaf(&self) -> Result<&Certificate, RefusalReason> {
        self.certificates.first().ok_or_else(|| self.problem.unwrap_or(RefusalReason::NoToken))
    }

    /// All certificates, if each is issued by the next one.
    pub(super) fn linked(&self) -> Result<&[Certificate], RefusalReason> {
        self.problem.map_or(Ok(&self.certificates), Err)
    }

    /// About how much memory the certificates use, in bytes: the DER, and as much again for what was parsed from it.
    pub(crate) fn size(&self) -> usize {
        self.certificates.iter().map(|certificate| 2 * certificate.der().len()).sum()
    }

    /// What the service shows of the certificates that could be parsed, the client's own first.
    pub(crate) fn infos(&self) -> impl Iterator<Item = &CertificateInfo> {
        self.certificates.iter().map(Certificate::info)
    }

    /// The name of the issuer of the certificate at `at`, or of the last one for `None`.
    pub(crate) fn issuer_name(&self, at: Option<usize>) -> Option<&str> {
        let certificate = at.map_or(self.certificates.last(), |at| self.certificates.get(at))?;
        Some(&certificate.info().issuer_name)
    }

    /// The common name of the client's own certificate.
    pub(crate) fn common_name(&self) -> Option<&str> {
        self.certificates.first().and_then(Certificate::common_name)
    }

    /// Whether the client's own certificate is one of these, and valid.
    pub(crate) fn is_one_of(&self, now: Now, certificates: &[Certificate]) -> bool {
        let leaf = self.certificates.first().filter(|leaf| certificates.contains(leaf));
        leaf.is_some_and(|leaf| leaf.check_validity(now, 0).is_ok())
    }

    /// Whether the chain leads to one of these CA certificates, which may itself be missing in the chain, and all of
    /// it is valid.
    pub(crate) fn leads_to(&self, now: Now, authorities: &[Certificate]) -> bool {
        let Ok(chain) = self.linked() else { return false };
        let Some((leaf, above)) = chain.split_first() else { return false };
        let issued_last = |authority: &&Certificate| {
            let (last, at) = (above.last().unwrap_or(leaf), above.len());
            last.names_issuer(authority) && check_issued(last, authority, at).is_ok()
        };
        let valid = |certificate: &Certificate| certificate.check_validity(now, 0).is_ok();
        match above.iter().position(|certificate| authorities.contains(certificate)) {
            Some(end) => chain.iter().take(end + 2).all(valid),
            None => {
                authorities.iter().find(issued_last).is_some_and(|authority| chain.iter().chain([authority]).all(valid))
            }
        }
    }

    fn links(&self) -> Result<(), RefusalReason> {
        for (at, pair) in self.certificates.windows(2).enumerate() {
            let [subject, issuer] = pair else { continue };
            if !subject.names_issuer(issuer) {
                let elsewhere = self.certificates.iter().any(|other| other != subject && subject.names_issuer(other));
                return Err(match elsewhere || subject.is_self_issued() {
                    true => RefusalReason::ChainOrder { at },
                    false => RefusalReason::IntermediateMissing { at },
                });
            }
            check_issued(subject, issuer, at)?;
        }
        Ok(())
    }
}

/// Checks that the certificate at `at` in a chain was issued by `issuer`, which may issue it.
pub(super) fn check_issued(subject: &Certificate, issuer: &Certificate, at: usize) -> Result<(), RefusalReason> {
    // Below the issuer are the leaf and `at` CA certificates.
    if !issuer.may_issue(at) {
        return Err(RefusalReason::NotAuthority { at: at + 1 });
    }
    if !subject.is_signed_by(issuer) {
        return Err(RefusalReason::CertificateSignature { at });
    }
    Ok(())
}
