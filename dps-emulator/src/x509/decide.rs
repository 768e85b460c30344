//! Which enrollment a presented chain belongs to (Azure documentation, "X.509 certificate attestation").
//!
//! An individual enrollment of the registration id decides alone. Otherwise the chain must lead to a verified CA
//! certificate of the service, and the group whose certificate is nearest to the device's decides, enabled or not.

use serde::Serialize;

use super::attestation::X509Attestation;
use super::certificate::{Certificate, CertificateInfo};
use super::chain::{ClientCertificates, check_issued};
use crate::activity::RefusalReason;
use crate::auth::{Admission, Caller, Expiry};
use crate::enrollment::{EnrollmentGroup, IndividualEnrollment};
use crate::hubs::HubAuthentication;
use crate::registrations::Source;
use crate::service::Service;
use crate::time::Now;

/// The member `x509` of a registration's state.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct X509State {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) certificate_info: Option<CertificateInfo>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) enrollment_group_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) signing_certificate_info: Option<CertificateInfo>,
}

impl Service {
    /// Finds the enrollment of a device that presented certificates.
    pub(crate) fn verify_certificates(
        &self,
        now: Now,
        caller: &Caller<'_>,
        presented: &ClientCertificates,
        expiry: Expiry,
    ) -> Result<Admission, RefusalReason> {
        if !caller.id_scope.eq_ignore_ascii_case(&self.options.id_scope) {
            return Err(RefusalReason::WrongIdScope);
        }
        let leaf = presented.leaf()?;
        if !leaf.common_name().is_some_and(|name| name.eq_ignore_ascii_case(caller.registration_id)) {
            return Err(RefusalReason::CommonName);
        }
        if !leaf.is_for_clients() {
            return Err(RefusalReason::CertificateUsage);
        }
        if expiry == Expiry::Checked {
            leaf.check_validity(now, 0)?;
        }
        if let Some(individual) = self.individuals.get(caller.registration_id) {
            let signer = self.check_individual(now, individual, presented, expiry)?;
            return Ok(self.admission(Source::Individual, leaf, signer));
        }
        let (group, signer) = self.nearest_group(self.signers(now, presented, expiry)?)?;
        if !group.settings.is_enabled() {
            return Err(RefusalReason::Disabled);
        }
        Ok(self.admission(Source::Group(group.enrollment_group_id.clone()), leaf, Some(signer)))
    }

    fn admission(&self, source: Source, leaf: &Certificate, signer: Option<Certificate>) -> Admission {
        let info = |certificate: &Certificate| certificate.info().clone();
        let shown = self.options.certificate_info;
        let state = X509State {
            certificate_info: shown.then(|| info(leaf)),
            enrollment_group_id: source.group().map(Into::into),
            signing_certificate_info: signer.as_ref().map(info).filter(|_| shown),
        };
        Admission { source, x509: Some(state) }
    }

    /// Whether the individual enrollment accepts the certificate; returns what signed it, if that decides.
    fn check_individual(
        &self,
        now: Now,
        individual: &IndividualEnrollment,
        presented: &ClientCertificates,
        expiry: Expiry,
    ) -> Result<Option<Certificate>, RefusalReason> {
        let signer = match &individual.settings.attestation.x509 {
            Some(X509Attestation::ClientCertificates(slots)) => {
                let leaf = presented.leaf()?;
                let known = slots.iter().any(|certificate| certificate == leaf);
                known.then_some(None).ok_or(RefusalReason::Thumbprint)?
            }
            Some(attestation @ X509Attestation::CaReferences(_)) => {
                let signers = self.signers(now, presented, expiry)?;
                Some(
                    signers
                        .into_iter()
                        .find(|signer| self.accepts(attestation, signer))
                        .ok_or(RefusalReason::Signer)?,
                )
            }
            Some(X509Attestation::SigningCertificates(_)) | None => return Err(RefusalReason::OtherAttestation),
        };
        individual.settings.is_enabled().then_some(signer).ok_or(RefusalReason::Disabled)
    }

    /// The CA certificates above the device's, the nearest first, up to a verified one. The last one may be missing in
    /// the presented chain, the others may not.
    fn signers(
        &self,
        now: Now,
        presented: &ClientCertificates,
        expiry: Expiry,
    ) -> Result<Vec<Certificate>, RefusalReason> {
        let chain = presented.linked()?;
        let verified = |certificate: &Certificate| {
            self.authorities.iter().any(|authority| authority.is_verified && authority.certificate == *certificate)
        };
        let end = chain.iter().skip(1).position(verified);
        let mut signers: Vec<Certificate> =
            chain.iter().skip(1).take(end.map_or(usize::MAX, |end| end + 1)).cloned().collect();
        if end.is_none() {
            signers.push(self.missing_root(chain)?);
        }
        if expiry == Expiry::Checked {
            signers.iter().enumerate().try_for_each(|(at, signer)| signer.check_validity(now, at + 1))?;
        }
        Ok(signers)
    }

    /// The verified CA certificate that issued the last one of the chain.
    fn missing_root(&self, chain: &[Certificate]) -> Result<Certificate, RefusalReason> {
        let at = chain.len().saturating_sub(1);
        let last = chain.last().ok_or(RefusalReason::NoToken)?;
        let named = |is_verified: bool| {
            self.authorities
                .iter()
                .filter(move |authority| authority.is_verified == is_verified)
                .map(|authority| &authority.certificate)
                .filter(|authority| last.names_issuer(authority))
        };
        // Several can have the same name: a root that was renewed, or another one that only has the name.
        let mut refused = None;
        for authority in named(true) {
            match check_issued(last, authority, at) {
                Ok(()) => return Ok(authority.clone()),
                Err(reason) => refused = Some(reason),
            }
        }
        Err(match refused {
            _ if last.is_self_issued() => RefusalReason::RootNotVerified,
            Some(reason) => reason,
            None if named(false).next().is_some() => RefusalReason::RootNotVerified,
            None => RefusalReason::IntermediateMissing { at },
        })
    }

    /// The group whose certificate is nearest to the device's, and that certificate. Of several groups with the same
    /// certificate an enabled one is preferred.
    fn nearest_group(&self, signers: Vec<Certificate>) -> Result<(&EnrollmentGroup, Certificate), RefusalReason> {
        for signer in signers {
            let accepts = |group: &&EnrollmentGroup| {
                group.settings.attestation.x509.as_ref().is_some_and(|attestation| self.accepts(attestation, &signer))
            };
            let (enabled, disabled): (Vec<_>, Vec<_>) =
                self.groups.iter().filter(accepts).partition(|group| group.settings.is_enabled());
            if let Some(group) = enabled.into_iter().chain(disabled).next() {
                return Ok((group, signer));
            }
        }
        let no_group = self.groups.iter().all(|group| group.settings.attestation.x509.is_none());
        Err(if no_group { RefusalReason::UnknownRegistration } else { RefusalReason::Signer })
    }

    /// Whether the attestation names this CA certificate.
    fn accepts(&self, attestation: &X509Attestation, signer: &Certificate) -> bool {
        match attestation {
            X509Attestation::SigningCertificates(slots) => slots.iter().any(|certificate| certificate == signer),
            X509Attestation::CaReferences(_) => self.referenced(attestation).any(|certificate| certificate == signer),
            X509Attestation::ClientCertificates(_) => false,
        }
    }

    /// The verified CA certificates that an attestation refers to.
    fn referenced<'a>(&'a self, attestation: &'a X509Attestation) -> impl Iterator<Item = &'a Certificate> {
        let authorities = attestation.references().filter_map(|name| self.authorities.get(name));
        authorities.filter(|authority| authority.is_verified).map(|authority| &authority.certificate)
    }

    /// How a device of this attestation signs in to its hub: by the thumbprint of its certificate, or by what signed it.
    pub(crate) fn hub_authentication(&self, attestation: &X509Attestation) -> HubAuthentication {
        match attestation {
            X509Attestation::ClientCertificates(slots) => {
                HubAuthentication::SelfSigned { certificates: slots.iter().cloned().collect() }
            }
            X509Attestation::SigningCertificates(slots) => {
                HubAuthentication::CertificateAuthority { authorities: slots.iter().cloned().collect() }
            }
            X509Attestation::CaReferences(_) => {
                HubAuthentication::CertificateAuthority { authorities: self.referenced(attestation).cloned().collect() }
            }
        }
    }
}
