//! Which enrollment a presented chain belongs to (Azure documentation, "X.509 certificate attestation").
//!
//! An individual enrollment of the registration id decides alone. Otherwise the chain must lead to a verified CA
//! certificate of the service, and the group whose certificate is nearest to the device's decides, enabled or not.

use serde::Serialize;

use super::attestation::X509Attestation;
use super::certificate::{Certificate, CertificateInfo};
use super::chain::{ClientCertificates, check_issued};
use crate::auth::{Admission, Caller, Expiry};
use crate::enrollment::{EnrollmentGroup, IndividualEnrollment};
use crate::events::RefusalReason;
use crate::hubs::HubAuthentication;
use crate::registrations::{Shown, Source};
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

/// The CA certificates above a device's, the nearest first.
struct Path {
    signers: Vec<Signer>,
}

struct Signer {
    certificate: Certificate,
    /// Whether it is a verified CA certificate of the service.
    is_verified: bool,
}

impl Path {
    /// Checks that the signer at `at` is verified, or one above it, and everything up to that one is valid.
    fn check(&self, now: Now, at: usize, expiry: Expiry) -> Result<(), RefusalReason> {
        let above = self.signers.iter().skip(at).position(|signer| signer.is_verified);
        let end = at + above.ok_or(RefusalReason::RootNotVerified)?;
        if expiry == Expiry::Ignored {
            return Ok(());
        }
        let used = self.signers.iter().take(end + 1).enumerate();
        used.into_iter().try_for_each(|(at, signer)| signer.certificate.check_validity(now, at + 1))
    }
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
            return Err(RefusalReason::WrongCommonName);
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
        let path = self.path(presented)?;
        let (group, at) = self.nearest_group(&path)?;
        path.check(now, at, expiry)?;
        if !group.settings.is_enabled() {
            return Err(RefusalReason::Disabled);
        }
        let signer = path.signers.get(at).map(|signer| signer.certificate.clone());
        Ok(self.admission(Source::Group(group.enrollment_group_id.clone()), leaf, signer))
    }

    fn admission(&self, source: Source, leaf: &Certificate, signer: Option<Certificate>) -> Admission {
        let info = |certificate: &Certificate| certificate.info().clone();
        let shown = self.options.certificate_info;
        let state = X509State {
            certificate_info: shown.then(|| info(leaf)),
            enrollment_group_id: source.group().map(Into::into),
            signing_certificate_info: signer.as_ref().map(info).filter(|_| shown),
        };
        Admission { source, shown: Shown::X509(Box::new(state)), challenge: None }
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
                known.then_some(None).ok_or(RefusalReason::WrongThumbprint)?
            }
            Some(attestation @ X509Attestation::CaReferences(_)) => {
                let path = self.path(presented)?;
                let names = |signer: &Signer| self.accepts(attestation, &signer.certificate);
                let at = path.signers.iter().position(names).ok_or(RefusalReason::UnknownSigner)?;
                path.check(now, at, expiry)?;
                path.signers.get(at).map(|signer| signer.certificate.clone())
            }
            Some(X509Attestation::SigningCertificates(_)) | None => return Err(RefusalReason::OtherAttestation),
        };
        individual.settings.is_enabled().then_some(signer).ok_or(RefusalReason::Disabled)
    }

    /// The CA certificates above the device's: those that it presented, and those of the service that issued the last
    /// of them. At least one is verified.
    fn path(&self, presented: &ClientCertificates) -> Result<Path, RefusalReason> {
        let chain = presented.linked()?;
        let mut above: Vec<Certificate> = chain.iter().skip(1).cloned().collect();
        let problem = loop {
            let last = above.last().or(chain.first()).ok_or(RefusalReason::NoToken)?;
            match self.issuer(last, above.len()) {
                Ok(issuer) if issuer == *last || above.contains(&issuer) => break RefusalReason::RootNotVerified,
                Ok(issuer) => above.push(issuer),
                Err(reason) => break reason,
            }
        };
        let is_verified = |certificate: &Certificate| {
            self.authorities.iter().any(|authority| authority.is_verified && authority.certificate == *certificate)
        };
        let signers: Vec<Signer> = above
            .into_iter()
            .map(|certificate| Signer { is_verified: is_verified(&certificate), certificate })
            .collect();
        signers.iter().any(|signer| signer.is_verified).then_some(Path { signers }).ok_or(problem)
    }

    /// The verified CA certificate of the service that issued the one at `at`.
    fn issuer(&self, subject: &Certificate, at: usize) -> Result<Certificate, RefusalReason> {
        let named = |is_verified: bool| {
            self.authorities
                .iter()
                .filter(move |authority| authority.is_verified == is_verified)
                .map(|authority| &authority.certificate)
                .filter(|authority| subject.names_issuer(authority))
        };
        // Several can have the same name: a root that was renewed, or another one that only has the name.
        let mut refused = None;
        for authority in named(true) {
            match check_issued(subject, authority, at) {
                Ok(()) => return Ok(authority.clone()),
                Err(reason) => refused = Some(reason),
            }
        }
        Err(match refused {
            _ if subject.is_self_issued() => RefusalReason::RootNotVerified,
            Some(reason) => reason,
            None if named(false).next().is_some() => RefusalReason::RootNotVerified,
            None => RefusalReason::IntermediateMissing { at },
        })
    }

    /// The group whose certificate is nearest to the device's, and the place of that certificate in the path. Of several
    /// groups with the same certificate an enabled one is preferred.
    fn nearest_group(&self, path: &Path) -> Result<(&EnrollmentGroup, usize), RefusalReason> {
        for (at, signer) in path.signers.iter().enumerate() {
            let accepts = |group: &&EnrollmentGroup| {
                let attestation = group.settings.attestation.x509.as_ref();
                attestation.is_some_and(|attestation| self.accepts(attestation, &signer.certificate))
            };
            let (enabled, disabled): (Vec<_>, Vec<_>) =
                self.groups.iter().filter(accepts).partition(|group| group.settings.is_enabled());
            if let Some(group) = enabled.into_iter().chain(disabled).next() {
                return Ok((group, at));
            }
        }
        let no_group = self.groups.iter().all(|group| group.settings.attestation.x509.is_none());
        Err(if no_group { RefusalReason::UnknownRegistration } else { RefusalReason::UnknownSigner })
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
